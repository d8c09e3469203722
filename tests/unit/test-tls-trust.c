/* What a section asks for beyond the chain: each key with a peer that satisfies it and with those
 * that do not, each with its own failure; and that without the key all is as before. */
#include <check.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdlib.h>
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

#define ID "spiffe://example.org/a"

static const struct {
    const char *names;
    const char *expected;
    enum error_code code;
    const char *detail;
    const char *usage;
    bool is_ca;
} ids[] = {
    {"URI:" ID, ID, ERROR_NONE, NULL, NULL, false},
    {"DNS:elsewhere,URI:" ID ",IP:192.0.2.1", ID, ERROR_NONE, NULL, "digitalSignature", false},
    {"URI:" ID, ID "b", ERROR_CERT_WRONG_NAME, "not for " ID "b, but for " ID, NULL, false},
    {"URI:" ID "b", ID, ERROR_CERT_WRONG_NAME, "not for " ID ", but for " ID "b", NULL, false},
    {"URI:spiffe://example.org/A", ID, ERROR_CERT_WRONG_NAME, "but for", NULL, false},
    {"URI:spiffe://example.com/a", ID, ERROR_CERT_WRONG_NAME, "but for", NULL, false},
    {"URI:" ID ",URI:spiffe://example.org/b", ID, ERROR_CERT_WRONG_NAME, "several URIs", NULL,
     false},
    {"URI:https://example.org,URI:" ID, ID, ERROR_CERT_WRONG_NAME, "several URIs", NULL, false},
    {"URI:" ID ",URI:" ID, ID, ERROR_CERT_WRONG_NAME, "several URIs", NULL, false},
    {"DNS:localhost", ID, ERROR_CERT_WRONG_NAME, "no URI", NULL, false},
    {"DNS:spiffe.example.org", ID, ERROR_CERT_WRONG_NAME, "no URI", NULL, false},
    {NULL, ID, ERROR_CERT_WRONG_NAME, "no URI", NULL, false},
    {"URI:" ID, ID, ERROR_CERT_BAD_PURPOSE, "may sign", "digitalSignature,cRLSign", false},
    {"URI:" ID, ID, ERROR_CERT_BAD_PURPOSE, "may sign", "digitalSignature,keyCertSign", true},
    /* The ID stands for the name; without the key a URI says nothing. */
    {"URI:" ID, NULL, ERROR_CERT_WRONG_NAME, "not for localhost", NULL, false},
};

START_TEST(verify_uri)
{
    const struct certs_pair *ca = certs_matrix_ca(pair_matrix);
    struct certs_spec spec = {.common_name = "leaf",
                              .names = ids[_i].names,
                              .usage = ids[_i].usage,
                              .is_ca = ids[_i].is_ca};
    struct certs_pair *leaf = certs_new(&spec, ca);
    struct certs_case c = {.name = "spiffe", .chain = {leaf}, .n_chain = 1};
    char *expected = ids[_i].expected ? strdup(ids[_i].expected) : NULL;
    struct tls_context *context =
        pair_context_new(&ca, 1, (struct tls_settings){.verify_uri = expected});
    struct pair_options options = {.server = &c, .context = context};
    struct pair p;

    free(expected); /* the context has a copy */
    pair_init(&p, &options);
    if (ids[_i].code == ERROR_NONE) {
        ck_assert_msg(pair_run(&p) == TLS_DONE, "%s", p.failure.detail);
        ck_assert_str_eq(SSL_get_servername(p.server, TLSEXT_NAMETYPE_host_name), "localhost");
    } else {
        ck_assert_int_eq(pair_run(&p), TLS_FAILED);
        pair_check_failure(&p.failure, ids[_i].code, ids[_i].detail);
    }
    pair_deinit(&p);
    tls_context_unref(context);
    certs_free(leaf);
}
END_TEST

static void add_tests(TCase *tcase)
{
    tcase_add_loop_test(tcase, verify_uri, 0, sizeof ids / sizeof ids[0]);
    tcase_add_test(tcase, pins);
    tcase_add_test(tcase, pins_besides);
    tcase_add_test(tcase, verify_off);
    tcase_add_test(tcase, verify_off_is_not_anonymous);
}

int main(void)
{
    return pair_run_suite_twice("tls-trust", add_tests);
}
