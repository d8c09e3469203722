/* What a section asks for beyond the chain: each key with a peer that satisfies it and with those
 * that do not, each with its own failure; and that without the key all is as before. */
#include <check.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <string.h>

#include "tests/lib/tls-pair.h"

static void compute_pin(const struct certs_pair *pair, char ret[TLS_PIN_LENGTH + 1])
{
    unsigned char digest[32], *der = NULL;
    int n = i2d_PUBKEY(pair->key, &der);

    ck_assert_int_gt(n, 0);
    ck_assert_int_eq(EVP_Digest(der, (size_t)n, digest, NULL, EVP_sha256(), NULL), 1);
    ck_assert_int_eq(EVP_EncodeBlock((unsigned char *)ret, digest, 32), TLS_PIN_LENGTH);
    OPENSSL_free(der);
}

/* Against a server of the matrix, with both versions. */
static void check_server(const char *server, struct tls_settings settings, enum error_code code,
                         const char *detail)
{
    const struct certs_pair *ca = certs_matrix_ca(pair_matrix);
    struct tls_context *context = pair_context_new(&ca, 1, settings);
    const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

    for (size_t i = 0; i < 2; i++) {
        struct pair_options options = pair_options_of(server, versions[i]);
        struct pair p;

        options.context = context;
        pair_init(&p, &options);
        if (code == ERROR_NONE) {
            ck_assert_msg(pair_run(&p) == TLS_DONE, "%s: %s", server, p.failure.detail);
        } else {
            ck_assert_msg(pair_run(&p) == TLS_FAILED, "%s is trusted", server);
            pair_check_failure(&p.failure, code, detail);
            ck_assert_int_eq(SSL_do_handshake(p.server), -1); /* it was told */
            ERR_clear_error();
        }
        pair_deinit(&p);
    }
    tls_context_unref(context);
}

static const struct certs_pair *leaf_of(const char *server)
{
    return certs_matrix_find(pair_matrix, server)->chain[0];
}

START_TEST(pins)
{
    char good[TLS_PIN_LENGTH + 1], other[TLS_PIN_LENGTH + 1], issuer[TLS_PIN_LENGTH + 1];
    char *of_leaf[] = {good}, *backup[] = {other, good}, *of_other[] = {other},
         *of_issuer[] = {issuer};

    compute_pin(leaf_of("server-intermediate"), good);
    compute_pin(leaf_of("server-ecdsa"), other);
    compute_pin(certs_matrix_find(pair_matrix, "server-intermediate")->chain[1], issuer);
    check_server("server-intermediate", (struct tls_settings){.pins = of_leaf, .n_pins = 1},
                 ERROR_NONE, NULL);
    check_server("server-intermediate", (struct tls_settings){.pins = backup, .n_pins = 2},
                 ERROR_NONE, NULL);
    check_server("server-intermediate", (struct tls_settings){.pins = of_other, .n_pins = 1},
                 ERROR_CERT_NOT_PINNED, good);
    /* Only the leaf's counts. */
    check_server("server-intermediate", (struct tls_settings){.pins = of_issuer, .n_pins = 1},
                 ERROR_CERT_NOT_PINNED, "add it to 'pin'");
    check_server("server-intermediate", (struct tls_settings){0}, ERROR_NONE, NULL);
}
END_TEST

/* A pin does not make up for a bad chain, name or time. */
START_TEST(pins_besides)
{
    static const char *const bad[] = {"expired", "wrong-name", "unknown-issuer", "self-signed"};
    static const enum error_code codes[] = {ERROR_CERT_EXPIRED, ERROR_CERT_WRONG_NAME,
                                            ERROR_CERT_UNKNOWN_ISSUER, ERROR_CERT_SELF_SIGNED};

    for (size_t i = 0; i < 4; i++) {
        char pin[TLS_PIN_LENGTH + 1];
        char *list[] = {pin};

        compute_pin(leaf_of(bad[i]), pin);
        check_server(bad[i], (struct tls_settings){.pins = list, .n_pins = 1}, codes[i], "");
    }
}
END_TEST

START_TEST(verify_off)
{
    struct tls_settings off = {.is_verify_off = true};
    char pin[TLS_PIN_LENGTH + 1];
    const struct certs_case *c;

    for (size_t i = 0; (c = certs_matrix_get(pair_matrix, i)); i++)
        check_server(c->name, off, ERROR_NONE, NULL);
    off.pins = (char *[]){pin};
    off.n_pins = 1;
    compute_pin(leaf_of("expired"), pin);
    check_server("expired", off, ERROR_NONE, NULL);
    check_server("self-signed", off, ERROR_CERT_NOT_PINNED, "its key has the pin sha256//");
}
END_TEST

/* Not verifying is not accepting a peer that has no certificate. */
START_TEST(verify_off_is_not_anonymous)
{
    const struct certs_pair *ca = certs_matrix_ca(pair_matrix);
    struct tls_context *context =
        pair_context_new(&ca, 1, (struct tls_settings){.is_verify_off = true});
    struct pair_options options = pair_options_of("server-ecdsa", TLS1_2_VERSION);
    struct pair p;

    options.context = context;
    options.ciphers = "aNULL:@SECLEVEL=0";
    pair_init(&p, &options);
    ck_assert_int_eq(pair_run(&p), TLS_FAILED);
    pair_check_failure(&p.failure, ERROR_TLS_ALERT, "handshake_failure");
    pair_deinit(&p);
    tls_context_unref(context);
}
END_TEST

static void add_tests(TCase *tcase)
{
    tcase_add_test(tcase, pins);
    tcase_add_test(tcase, pins_besides);
    tcase_add_test(tcase, verify_off);
    tcase_add_test(tcase, verify_off_is_not_anonymous);
}

int main(void)
{
    return pair_run_suite("tls-trust", add_tests);
}
