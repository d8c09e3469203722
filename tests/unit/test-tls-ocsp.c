/* Stapled OCSP responses: who signed them, about whom, and when; and none at all. */
#include <check.h>
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/tls-pair.h"

#define HOUR_S 3600

enum who {
    ISSUER, /* of the leaf; an intermediate */
    ROOT,
    LEAF,
    SIBLING,   /* below the issuer, too */
    RESPONDER, /* appointed by the issuer */
    ROOT_RESPONDER,
    PRETENDER, /* below the issuer, but not appointed */
    STRANGER,  /* a CA nobody trusts */
    LATE,      /* a responder, expired */
    PEOPLE,
};

static const struct {
    enum who issuer;
    struct certs_spec spec;
} specs[PEOPLE] = {
    [ROOT] = {PEOPLE, {.common_name = "Root", .is_ca = true}},
    [ISSUER] = {ROOT, {.common_name = "Issuer", .is_ca = true}},
    [LEAF] = {ISSUER, {.common_name = "leaf", .names = "DNS:localhost"}},
    [SIBLING] = {ISSUER, {.common_name = "sibling", .names = "DNS:localhost"}},
    [RESPONDER] = {ISSUER, {.common_name = "responder", .purpose = "OCSPSigning"}},
    [ROOT_RESPONDER] = {ROOT, {.common_name = "root's responder", .purpose = "OCSPSigning"}},
    [PRETENDER] = {ISSUER, {.common_name = "pretender"}},
    [STRANGER] = {PEOPLE, {.common_name = "Issuer", .is_ca = true}},
    [LATE] = {ISSUER,
              {.common_name = "late responder",
               .purpose = "OCSPSigning",
               .from_s = -2 * CERTS_DAY_S,
               .until_s = -CERTS_DAY_S}},
};

static struct certs_pair *people[PEOPLE];

static void set_up(void)
{
    static const enum who order[] = {ROOT,           ISSUER,    LEAF,     SIBLING, RESPONDER,
                                     ROOT_RESPONDER, PRETENDER, STRANGER, LATE};

    for (size_t i = 0; i < PEOPLE; i++) {
        enum who who = order[i];

        people[who] = certs_new(&specs[who].spec,
                                specs[who].issuer == PEOPLE ? NULL : people[specs[who].issuer]);
    }
}

static void tear_down(void)
{
    for (int i = 0; i < PEOPLE; i++)
        people[i] = certs_free(people[i]);
}

#define SIGNED "not signed by the certificate's issuer"
#define FRESH  "not fresh; the server has to fetch a new one"

static const struct {
    enum who leaf;
    enum who issuer; /* as the response has it */
    enum who signer;
    int status;
    int64_t from_s, until_s;
    bool has_no_end;
    const char *digest;
    enum error_code code;
    const char *detail;
} cases[] = {
    {LEAF, ISSUER, ISSUER, V_OCSP_CERTSTATUS_GOOD, 0, 0, false, NULL, ERROR_NONE, NULL},
    {LEAF, ISSUER, RESPONDER, V_OCSP_CERTSTATUS_GOOD, 0, 0, false, NULL, ERROR_NONE, NULL},
    {LEAF, ISSUER, ISSUER, V_OCSP_CERTSTATUS_GOOD, -HOUR_S, 0, true, NULL, ERROR_NONE, NULL},
    {LEAF, ISSUER, ISSUER, V_OCSP_CERTSTATUS_REVOKED, 0, 0, false, NULL, ERROR_CERT_REVOKED,
     "UTC, keyCompromise, as the OCSP response says"},
    {LEAF, ISSUER, ISSUER, V_OCSP_CERTSTATUS_UNKNOWN, 0, 0, false, NULL, ERROR_CERT_STATUS_UNKNOWN,
     "does not know it"},
    {SIBLING, ISSUER, ISSUER, V_OCSP_CERTSTATUS_GOOD, 0, 0, false, NULL, ERROR_CERT_STATUS_UNKNOWN,
     "about another certificate"},
    {ISSUER, ROOT, ROOT, V_OCSP_CERTSTATUS_GOOD, 0, 0, false, NULL, ERROR_CERT_STATUS_UNKNOWN,
     "the OCSP response is "},
    {LEAF, ROOT, ROOT, V_OCSP_CERTSTATUS_GOOD, 0, 0, false, NULL, ERROR_CERT_STATUS_UNKNOWN,
     "the OCSP response is "},
    {LEAF, ISSUER, PRETENDER, V_OCSP_CERTSTATUS_GOOD, 0, 0, false, NULL, ERROR_CERT_STATUS_UNKNOWN,
     SIGNED},
    {LEAF, ISSUER, LEAF, V_OCSP_CERTSTATUS_GOOD, 0, 0, false, NULL, ERROR_CERT_STATUS_UNKNOWN,
     SIGNED},
    {LEAF, ISSUER, STRANGER, V_OCSP_CERTSTATUS_GOOD, 0, 0, false, NULL, ERROR_CERT_STATUS_UNKNOWN,
     SIGNED},
    {LEAF, STRANGER, STRANGER, V_OCSP_CERTSTATUS_GOOD, 0, 0, false, NULL, ERROR_CERT_STATUS_UNKNOWN,
     SIGNED},
    {LEAF, ISSUER, ROOT_RESPONDER, V_OCSP_CERTSTATUS_GOOD, 0, 0, false, NULL,
     ERROR_CERT_STATUS_UNKNOWN, SIGNED},
    {LEAF, ISSUER, LATE, V_OCSP_CERTSTATUS_GOOD, 0, 0, false, NULL, ERROR_CERT_STATUS_UNKNOWN,
     SIGNED},
    {LEAF, ISSUER, ISSUER, V_OCSP_CERTSTATUS_GOOD, -2 * CERTS_DAY_S, -HOUR_S, false, NULL,
     ERROR_CERT_STATUS_UNKNOWN, FRESH},
    {LEAF, ISSUER, ISSUER, V_OCSP_CERTSTATUS_GOOD, HOUR_S, CERTS_DAY_S, false, NULL,
     ERROR_CERT_STATUS_UNKNOWN, FRESH},
    {LEAF, ISSUER, ISSUER, V_OCSP_CERTSTATUS_GOOD, -25 * HOUR_S, 0, true, NULL,
     ERROR_CERT_STATUS_UNKNOWN, FRESH},
    {LEAF, ISSUER, ISSUER, V_OCSP_CERTSTATUS_GOOD, 0, 0, false, "SHA1", ERROR_CERT_STATUS_UNKNOWN,
     "too weak"},
};

/* Both versions; the trust anchor is the root, and then the intermediate alone. */
static void check_staple(struct text staple, bool is_required, enum error_code code,
                         const char *detail)
{
    struct certs_case server = {
        .name = "chain", .chain = {people[LEAF], people[ISSUER]}, .n_chain = 2};

    for (int i = 0; i < 4; i++) {
        const struct certs_pair *anchor = people[i / 2 ? ISSUER : ROOT];
        struct pair_options options = {
            .server = &server,
            .version = i % 2 ? TLS1_3_VERSION : TLS1_2_VERSION,
            .staple = staple,
            .context =
                pair_context_new(&anchor, 1, (struct tls_settings){.needs_ocsp = is_required}),
        };
        struct pair p;

        pair_init(&p, &options);
        if (code == ERROR_NONE) {
            ck_assert_msg(pair_run(&p) == TLS_DONE, "%s", p.failure.detail);
        } else {
            ck_assert_int_eq(pair_run(&p), TLS_FAILED);
            pair_check_failure(&p.failure, code, detail);
        }
        pair_deinit(&p);
        tls_context_unref(options.context);
    }
}

START_TEST(every_case)
{
    struct certs_ocsp_spec spec = {.issuer = people[cases[_i].issuer],
                                   .leaf = people[cases[_i].leaf],
                                   .signer = people[cases[_i].signer],
                                   .digest = cases[_i].digest,
                                   .status = cases[_i].status,
                                   .has_no_end = cases[_i].has_no_end,
                                   .from_s = cases[_i].from_s,
                                   .until_s = cases[_i].until_s};
    size_t n;
    unsigned char *der = certs_make_ocsp(&spec, &n);

    check_staple((struct text){(char *)der, n}, true, cases[_i].code, cases[_i].detail);
    /* Who does not ask for it is not told. */
    check_staple((struct text){(char *)der, n}, false, ERROR_NONE, NULL);
    free(der);
}
END_TEST

START_TEST(no_staple)
{
    check_staple((struct text){NULL, 0}, true, ERROR_CERT_STATUS_UNKNOWN, "sent no OCSP response");
    check_staple((struct text){NULL, 0}, false, ERROR_NONE, NULL);
}
END_TEST

static bool is_unreadable(const unsigned char *data, size_t n)
{
    OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &data, (long)n);

    OCSP_RESPONSE_free(response);
    ERR_clear_error();
    return !response;
}

/* Cut at every byte, and every byte changed: never good but where nothing depends on it. */
START_TEST(broken_staples)
{
    struct certs_ocsp_spec spec = {
        .issuer = people[ISSUER], .leaf = people[LEAF], .status = V_OCSP_CERTSTATUS_GOOD};
    struct certs_case server = {
        .name = "chain", .chain = {people[LEAF], people[ISSUER]}, .n_chain = 2};
    const struct certs_pair *anchor = people[ROOT];
    struct tls_context *context =
        pair_context_new(&anchor, 1, (struct tls_settings){.needs_ocsp = true});
    size_t n, n_good = 0;
    unsigned char *der = certs_make_ocsp(&spec, &n);

    for (size_t i = 1; i < 2 * n; i++) {
        bool is_cut = i < n;
        struct pair_options options = {.server = &server,
                                       .version = TLS1_3_VERSION,
                                       .staple = {(char *)der, is_cut ? i : n},
                                       .context = context};
        struct pair p;

        if (!is_cut)
            der[i - n] ^= 1;
        pair_init(&p, &options);
        if (pair_run(&p) == TLS_DONE) {
            ck_assert(!is_cut);
            n_good++; /* NULLs of algorithms, and the like */
        } else if (is_cut) {
            ck_assert(is_unreadable(der, i));
            pair_check_failure(&p.failure, ERROR_CERT_STATUS_UNKNOWN, "OCSP response");
        }
        pair_deinit(&p);
        if (!is_cut)
            der[i - n] ^= 1;
    }
    ck_assert_uint_lt(n_good, 8);
    tls_context_unref(context);
    free(der);
}
END_TEST

START_TEST(error_response)
{
    OCSP_RESPONSE *response = OCSP_response_create(OCSP_RESPONSE_STATUS_TRYLATER, NULL);
    unsigned char *der = NULL;
    int n = i2d_OCSP_RESPONSE(response, &der);

    check_staple((struct text){(char *)der, (size_t)n}, true, ERROR_CERT_STATUS_UNKNOWN,
                 "is an error: trylater");
    OPENSSL_free(der);
    OCSP_RESPONSE_free(response);
}
END_TEST

static void add_tests(TCase *tcase)
{
    tcase_add_unchecked_fixture(tcase, set_up, tear_down);
    tcase_add_loop_test(tcase, every_case, 0, sizeof cases / sizeof cases[0]);
    tcase_add_test(tcase, no_staple);
    tcase_add_test(tcase, broken_staples);
    tcase_add_test(tcase, error_response);
}

int main(void)
{
    return pair_run_suite_twice("tls-ocsp", add_tests);
}
