/* Revocation lists: a chain of three, and what the file has to say of it. */
#include <check.h>
#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/tls-pair.h"

#define CA_USAGE "critical,keyCertSign,cRLSign"
#define YEAR_S   (365 * CERTS_DAY_S)

enum who {
    NOBODY,
    ROOT,
    MIDDLE,
    LEAF,
    STRANGER, /* a leaf of nobody's */
};

/* The lists of the file, as certs_crl_spec. */
struct list {
    enum who issuer, key, revoked;
    int64_t from_s, until_s;
};

#define PAST   -2 * YEAR_S, -YEAR_S
#define FUTURE YEAR_S, 2 * YEAR_S

static const struct {
    struct list lists[3];
    bool is_middle_anchor; /* ca-file has the intermediate alone */
    enum error_code code;
    const char *detail;
} cases[] = {
    {{{MIDDLE, 0, 0, 0, 0}, {ROOT, 0, 0, 0, 0}}, false, ERROR_NONE, NULL},
    {{{MIDDLE, 0, STRANGER, 0, 0}, {ROOT, 0, STRANGER, 0, 0}}, false, ERROR_NONE, NULL},
    {{{MIDDLE, 0, LEAF, 0, 0}, {ROOT, 0, 0, 0, 0}},
     false,
     ERROR_CERT_REVOKED,
     "its issuer has it in the list in crl-file; subject CN=leaf"},
    {{{MIDDLE, 0, 0, 0, 0}, {ROOT, 0, MIDDLE, 0, 0}},
     false,
     ERROR_CERT_REVOKED,
     "subject CN=Middle"},
    /* The same serial number in another's list means nothing. */
    {{{MIDDLE, 0, 0, 0, 0}, {ROOT, 0, LEAF, 0, 0}}, false, ERROR_NONE, NULL},
    {{{MIDDLE, 0, 0, 0, 0}},
     false,
     ERROR_CERT_STATUS_UNKNOWN,
     "no list of its issuer; add it; subject CN=Middle"},
    {{{ROOT, 0, 0, 0, 0}},
     false,
     ERROR_CERT_STATUS_UNKNOWN,
     "no list of its issuer; add it; "
     "subject CN=leaf"},
    {{{STRANGER, 0, 0, 0, 0}}, false, ERROR_CERT_STATUS_UNKNOWN, "no list of its issuer"},
    {{{MIDDLE, 0, 0, PAST}, {ROOT, 0, 0, 0, 0}},
     false,
     ERROR_CERT_STATUS_UNKNOWN,
     "crl-file has expired; put a new one there"},
    {{{MIDDLE, 0, 0, FUTURE}, {ROOT, 0, 0, 0, 0}}, false, ERROR_CERT_STATUS_UNKNOWN, "not yet"},
    {{{MIDDLE, STRANGER, 0, 0, 0}, {ROOT, 0, 0, 0, 0}},
     false,
     ERROR_CERT_STATUS_UNKNOWN,
     "did not sign"},
    /* Of a trust anchor nothing is asked. */
    {{{MIDDLE, 0, 0, 0, 0}}, true, ERROR_NONE, NULL},
    {{{MIDDLE, 0, LEAF, 0, 0}}, true, ERROR_CERT_REVOKED, "subject CN=leaf"},
    {{{ROOT, 0, 0, 0, 0}}, true, ERROR_CERT_STATUS_UNKNOWN, "no list of its issuer"},
    /* Without a file, nothing is asked at all. */
    {{{NOBODY, 0, 0, 0, 0}}, false, ERROR_NONE, NULL},
};

static struct certs_pair *people[STRANGER + 1];

static void set_up(void)
{
    struct certs_spec root = {.common_name = "Root", .is_ca = true, .usage = CA_USAGE};
    struct certs_spec middle = {.common_name = "Middle", .is_ca = true, .usage = CA_USAGE};
    struct certs_spec leaf = {.common_name = "leaf", .names = "DNS:localhost"};

    people[ROOT] = certs_new(&root, NULL);
    people[MIDDLE] = certs_new(&middle, people[ROOT]);
    people[LEAF] = certs_new(&leaf, people[MIDDLE]);
    people[STRANGER] = certs_new(&leaf, NULL);
}

static void tear_down(void)
{
    for (int i = ROOT; i <= STRANGER; i++)
        people[i] = certs_free(people[i]);
}

static size_t write_lists(const char *path, const struct list *lists)
{
    struct certs_crl_spec specs[3];
    size_t n = 0;

    for (; n < 3 && lists[n].issuer; n++)
        specs[n] = (struct certs_crl_spec){.issuer = people[lists[n].issuer],
                                           .key = people[lists[n].key],
                                           .revoked = people[lists[n].revoked],
                                           .from_s = lists[n].from_s,
                                           .until_s = lists[n].until_s};
    certs_write_crls(path, specs, n);
    return n;
}

START_TEST(every_case)
{
    const struct certs_pair *anchor = people[cases[_i].is_middle_anchor ? MIDDLE : ROOT];
    struct certs_case server = {
        .name = "chain", .chain = {people[LEAF], people[MIDDLE]}, .n_chain = 2};
    char path[] = "/tmp/fdial-test-XXXXXX";
    const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct tls_settings settings = {0};
    struct tls_context *context;

    close(mkstemp(path));
    if (write_lists(path, cases[_i].lists) > 0)
        settings.crl_file = path;
    context = pair_context_new(&anchor, 1, settings);
    unlink(path);
    for (size_t i = 0; i < 2; i++) {
        struct pair_options options = {
            .server = &server, .context = context, .version = versions[i]};
        struct pair p;

        pair_init(&p, &options);
        if (cases[_i].code == ERROR_NONE) {
            ck_assert_msg(pair_run(&p) == TLS_DONE, "%s", p.failure.detail);
        } else {
            ck_assert_int_eq(pair_run(&p), TLS_FAILED);
            pair_check_failure(&p.failure, cases[_i].code, cases[_i].detail);
        }
        pair_deinit(&p);
    }
    tls_context_unref(context);
}
END_TEST

static void check_file(const char *ca, const char *path, int result, const char *text)
{
    struct tls_settings settings = {.ca_file = strdup(ca), .crl_file = strdup(path)};
    struct tls_context *c = NULL;
    struct tls_problem problem;

    ck_assert_int_eq(tls_context_new(&c, &settings, &problem), result);
    ck_assert_int_eq(problem.setting, TLS_SETTING_CRL_FILE);
    ck_assert_msg(strstr(problem.text, path) && strstr(problem.text, text), "%s", problem.text);
    tls_context_unref(c);
    free(settings.ca_file);
    free(settings.crl_file);
}

START_TEST(files)
{
    const struct list old[3] = {{MIDDLE, 0, 0, 0, 0}, {ROOT, 0, 0, PAST}};
    char ca[] = "/tmp/fdial-test-XXXXXX", path[] = "/tmp/fdial-test-XXXXXX";

    close(mkstemp(ca));
    close(mkstemp(path));
    certs_write_chain(ca, (const struct certs_pair *[]){people[ROOT]}, 1);
    check_file(ca, "/nonexistent/crl.pem", -ENOENT, "cannot use CRL file");
    check_file(ca, "/etc", -EISDIR, "directory");
    check_file(ca, path, -ENODATA, "no revocation list in it");
    check_file(ca, ca, -ENODATA, "no revocation list in it");
    write_lists(path, old);
    check_file(ca, path, 0, "has expired 20");
    unlink(path);
    unlink(ca);
}
END_TEST

static void add_tests(TCase *tcase)
{
    tcase_add_unchecked_fixture(tcase, set_up, tear_down);
    tcase_add_loop_test(tcase, every_case, 0, sizeof cases / sizeof cases[0]);
    tcase_add_test(tcase, files);
}

int main(void)
{
    return pair_run_suite_twice("tls-crl", add_tests);
}
