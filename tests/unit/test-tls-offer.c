/* What a session offers that is to go on in the kernel, by what the kernel has. */
#include <check.h>
#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/tls-pair.h"

#define OFFERED_MAX 1024

#define HAS(cipher) (1U << TLS_KERNEL_##cipher)
#define ALL         ((1U << TLS_KERNEL_CIPHERS) - 1)

#define S_256    "TLS_AES_256_GCM_SHA384 "
#define S_128    "TLS_AES_128_GCM_SHA256 "
#define S_CHACHA "TLS_CHACHA20_POLY1305_SHA256 "
#define C_256    "ECDHE-ECDSA-AES256-GCM-SHA384 ECDHE-RSA-AES256-GCM-SHA384 "
#define C_128    "ECDHE-ECDSA-AES128-GCM-SHA256 ECDHE-RSA-AES128-GCM-SHA256 "
#define C_CHACHA "ECDHE-ECDSA-CHACHA20-POLY1305 ECDHE-RSA-CHACHA20-POLY1305 "
#define USUAL_13 S_256 S_CHACHA S_128
#define USUAL_12 C_256 C_128 C_CHACHA

#define OWN "TLS_AES_128_CCM_SHA256 TLS_CHACHA20_POLY1305_SHA256 AES128-GCM-SHA256 AES128-SHA256 "

static const struct {
    const char *own; /* NULL: the settings have none */
    unsigned kernel_ciphers;
    const char *preferring;
    const char *needing; /* NULL: there is no session */
    int min_version;
} offers[] = {
    {NULL, ALL, USUAL_13 USUAL_12, USUAL_13 USUAL_12, 0},
    {NULL, 0, USUAL_13 USUAL_12, NULL, 0},
    {NULL, HAS(13_AES_256_GCM), USUAL_13 USUAL_12, S_256, 0}, /* first anyway */
    {NULL, HAS(13_AES_128_GCM) | HAS(12_AES_128_GCM), S_128 S_256 S_CHACHA C_128 C_256 C_CHACHA,
     S_128 C_128, 0},
    {NULL, ALL & ~HAS(13_CHACHA20_POLY1305) & ~HAS(12_CHACHA20_POLY1305),
     S_256 S_128 S_CHACHA USUAL_12, S_256 S_128 C_256 C_128, 0},
    {NULL, HAS(13_AES_128_GCM) | HAS(13_CHACHA20_POLY1305), S_CHACHA S_128 S_256 USUAL_12,
     S_CHACHA S_128, 0},
    /* TLS 1.3 is not given up for a mere preference. */
    {NULL, HAS(12_CHACHA20_POLY1305), USUAL_13 C_CHACHA C_256 C_128, C_CHACHA, 0},
    {NULL, HAS(12_AES_128_GCM), USUAL_13, NULL, TLS1_3_VERSION},
    {NULL, HAS(13_AES_128_GCM), S_128 S_256 S_CHACHA, S_128, TLS1_3_VERSION},
    {OWN, ALL, OWN, S_CHACHA "AES128-GCM-SHA256 ", 0},
    {OWN, HAS(12_AES_128_GCM), OWN, "AES128-GCM-SHA256 ", 0},
    {OWN, HAS(13_CHACHA20_POLY1305), OWN, S_CHACHA, 0},
    {OWN, HAS(13_AES_128_GCM), OWN, NULL, 0},
    {"TLS_AES_128_CCM_SHA256 ", ALL, "TLS_AES_128_CCM_SHA256 ", NULL, 0},
    {"AES128-SHA256 ", ALL, "AES128-SHA256 ", NULL, 0},
    {C_128, HAS(13_AES_128_GCM), C_128, NULL, 0},
    {S_128, HAS(12_AES_128_GCM), S_128, NULL, 0},
};

static struct tls_context *context_of(const char *ciphers, int min_version)
{
    const struct certs_pair *ca = certs_matrix_ca(pair_matrix);
    char *names[TLS_CIPHERS_MAX], *list = strdup(ciphers ? ciphers : "");
    struct tls_settings settings = {.ciphers = names, .min_version = min_version};
    struct tls_context *context;

    ck_assert_ptr_nonnull(list);
    for (char *name = strtok(list, " "); name; name = strtok(NULL, " "))
        names[settings.n_ciphers++] = name;
    context = pair_context_new(&ca, 1, settings);
    free(list);
    return context;
}

/* As the server sees it. */
static void check_offer(const struct pair *p, const char *expected)
{
    const STACK_OF(SSL_CIPHER) *seen = SSL_get_client_ciphers(p->server);
    char offered[OFFERED_MAX] = "";

    ck_assert_int_gt(sk_SSL_CIPHER_num(seen), 0);
    for (int i = 0; i < sk_SSL_CIPHER_num(seen); i++) {
        const char *name = SSL_CIPHER_get_name(sk_SSL_CIPHER_value(seen, i));

        if (strstr(name, "SCSV"))
            continue;
        strncat(offered, name, OFFERED_MAX - strlen(offered) - 1);
        strncat(offered, " ", OFFERED_MAX - strlen(offered) - 1);
    }
    ck_assert_str_eq(offered, expected);
}

static void check(int i, bool needs_kernel, const char *expected)
{
    struct tls_context *context = context_of(offers[i].own, offers[i].min_version);
    struct pair_options options = pair_options_of("server-rsa", 0);
    struct tls_session *session = NULL;
    struct pair p;

    options.context = context;
    options.suites = "TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:"
                     "TLS_AES_128_CCM_SHA256";
    options.params = (struct tls_params){.name = "localhost",
                                         .kernel_ciphers = offers[i].kernel_ciphers,
                                         .needs_kernel = needs_kernel};
    if (expected) {
        pair_init(&p, &options);
        ck_assert_int_eq(pair_run(&p), TLS_DONE);
        check_offer(&p, expected);
        if (needs_kernel)
            ck_assert(offers[i].kernel_ciphers & 1U << tls_session_kernel_cipher(p.client));
        pair_deinit(&p);
    } else {
        ck_assert_int_eq(tls_session_new(&session, context, &options.params), -EOPNOTSUPP);
        ck_assert_ptr_null(session);
        ck_assert_uint_eq(ERR_peek_error(), 0);
    }
    tls_context_unref(context);
}

START_TEST(preferring)
{
    check(_i, false, offers[_i].preferring);
}
END_TEST

START_TEST(needing)
{
    check(_i, true, offers[_i].needing);
}
END_TEST

/* One session's choice is not another's, though they share a context. */
START_TEST(one_context)
{
    struct pair_options options = pair_options_of("server-rsa", 0);
    struct pair narrow, wide;

    options.params = (struct tls_params){
        .name = "localhost", .kernel_ciphers = HAS(12_AES_128_GCM), .needs_kernel = true};
    pair_init(&narrow, &options);
    options.params = (struct tls_params){0};
    pair_init(&wide, &options);
    ck_assert_int_eq(pair_run(&narrow), TLS_DONE);
    ck_assert_int_eq(pair_run(&wide), TLS_DONE);
    check_offer(&narrow, C_128);
    check_offer(&wide, USUAL_13 USUAL_12);
    pair_deinit(&wide);
    pair_deinit(&narrow);
}
END_TEST

/* The server has only what the kernel lacks: the failure says what was offered, and why. */
static void check_nothing(int version, unsigned kernel_ciphers, enum error_code code,
                          const char *detail)
{
    struct pair_options options = pair_options_of("server-rsa", version);
    struct pair p;

    options.params = (struct tls_params){
        .name = "localhost", .kernel_ciphers = kernel_ciphers, .needs_kernel = true};
    pair_init(&p, &options);
    if (version == TLS1_3_VERSION)
        ck_assert_int_eq(SSL_set_ciphersuites(p.server, "TLS_CHACHA20_POLY1305_SHA256"), 1);
    ck_assert_int_eq(pair_run(&p), TLS_FAILED);
    pair_check_failure(&p.failure, code, detail);
    pair_deinit(&p);
}

START_TEST(nothing_in_common)
{
    check_nothing(TLS1_2_VERSION, HAS(13_AES_128_GCM), ERROR_TLS_VERSION,
                  "offered TLS versions; only those with ciphers of this kernel's TLS");
    check_nothing(TLS1_3_VERSION, HAS(13_AES_128_GCM), ERROR_TLS_ALERT,
                  "offered ciphers, groups or signatures; only ciphers of this kernel's TLS");
}
END_TEST

static void add_tests(TCase *tcase)
{
    tcase_add_loop_test(tcase, preferring, 0, sizeof offers / sizeof offers[0]);
    tcase_add_loop_test(tcase, needing, 0, sizeof offers / sizeof offers[0]);
    tcase_add_test(tcase, one_context);
    tcase_add_test(tcase, nothing_in_common);
}

int main(void)
{
    return pair_run_suite("tls-offer", add_tests);
}
