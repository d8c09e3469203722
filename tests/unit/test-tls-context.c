/* Contexts: what they are made of, what is wrong with it, and how long they live. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/tls-pair.h"
#include "tests/lib/valgrind.h"

/* A session keeps its context. */
START_TEST(context_references)
{
    const struct certs_pair *ca = certs_matrix_ca(pair_matrix);
    struct tls_context *own = pair_context_new(&ca, 1, (struct tls_settings){0});
    struct pair_options options = pair_options_of("server-ecdsa", 0);
    struct pair p;

    ck_assert_ptr_eq(tls_context_ref(own), own);
    ck_assert_ptr_null(tls_context_unref(own));
    options.context = own;
    pair_init(&p, &options);
    tls_context_unref(own);
    ck_assert_int_eq(pair_run(&p), TLS_DONE);
    pair_deinit(&p);
    ck_assert_ptr_null(tls_context_unref(NULL));
    ck_assert_ptr_null(tls_session_free(NULL));
}
END_TEST

/* The server would choose how much work it makes. */
START_TEST(no_finite_field)
{
    struct pair_options options = pair_options_of("server-ecdsa", TLS1_3_VERSION);
    struct pair p;

    pair_init(&p, &options);
    ck_assert_int_eq(SSL_set1_groups_list(p.server, "ffdhe2048"), 1);
    ck_assert_int_eq(pair_run(&p), TLS_FAILED);
    pair_deinit(&p);
}
END_TEST

START_TEST(min_version)
{
    const struct certs_pair *ca = certs_matrix_ca(pair_matrix);
    struct pair_options options = pair_options_of("server-ecdsa", TLS1_2_VERSION);
    struct pair p;

    options.context =
        pair_context_new(&ca, 1, (struct tls_settings){.min_version = TLS1_3_VERSION});
    pair_init(&p, &options);
    ck_assert_int_eq(pair_run(&p), TLS_FAILED);
    ck_assert_int_eq(p.failure.code, ERROR_TLS_VERSION);
    pair_deinit(&p);
    options.version = TLS1_3_VERSION;
    pair_init(&p, &options);
    ck_assert_int_eq(pair_run(&p), TLS_DONE);
    pair_deinit(&p);
    tls_context_unref(options.context);
}
END_TEST

static void set_ciphers(struct tls_settings *settings, char *list, char *names[TLS_CIPHERS_MAX])
{
    settings->ciphers = names;
    for (char *name = strtok(list, ":"); name; name = strtok(NULL, ":"))
        names[settings->n_ciphers++] = name;
}

static const struct {
    const char *names;
    const char *offered[4]; /* IANA's names, in this order; none: as without the key */
} good_ciphers[] = {
    {"TLS_AES_256_GCM_SHA384", {"TLS_AES_256_GCM_SHA384"}},
    {"TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_CCM_SHA256",
     {"TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_CCM_SHA256"}},
    {"ECDHE-ECDSA-AES256-GCM-SHA384", {"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"}},
    {"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", {"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"}},
    {"ECDHE-RSA-AES128-SHA256:AES128-GCM-SHA256",
     {"TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256", "TLS_RSA_WITH_AES_128_GCM_SHA256"}},
    {"ECDHE-RSA-AES128-GCM-SHA256:TLS_AES_256_GCM_SHA384:ECDHE-ECDSA-AES128-GCM-SHA256",
     {"TLS_AES_256_GCM_SHA384", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
      "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"}},
};

START_TEST(ciphers)
{
    char *names[TLS_CIPHERS_MAX], *list = strdup(good_ciphers[_i].names);
    const char *const *offered = good_ciphers[_i].offered;
    const struct certs_pair *ca = certs_matrix_ca(pair_matrix);
    struct pair_options options = pair_options_of("server-ecdsa", 0);
    struct tls_settings settings = {0};
    STACK_OF(SSL_CIPHER) * seen;
    struct pair p;
    int n = 0;

    set_ciphers(&settings, list, names);
    options.context = pair_context_new(&ca, 1, settings);
    free(list);
    pair_init(&p, &options);
    pair_run(&p);
    seen = SSL_get_client_ciphers(p.server);
    for (int i = 0; i < sk_SSL_CIPHER_num(seen); i++) {
        const char *name = SSL_CIPHER_standard_name(sk_SSL_CIPHER_value(seen, i));

        if (strstr(name, "SCSV"))
            continue;
        ck_assert_msg(n < 4 && offered[n] && strcmp(offered[n], name) == 0, "offers %s", name);
        n++;
    }
    ck_assert(n == 4 || !offered[n]);
    pair_deinit(&p);
    tls_context_unref(options.context);
}
END_TEST

/* The server's version, and whether the ciphers leave anything to agree on. */
START_TEST(ciphers_and_versions)
{
    static const struct {
        const char *names;
        int version;
        enum tls_progress progress;
    } cases[] = {
        {"TLS_AES_256_GCM_SHA384", TLS1_3_VERSION, TLS_DONE},
        {"TLS_AES_256_GCM_SHA384", TLS1_2_VERSION, TLS_FAILED},
        {"ECDHE-ECDSA-AES256-GCM-SHA384", TLS1_2_VERSION, TLS_DONE},
        {"ECDHE-ECDSA-AES256-GCM-SHA384", TLS1_3_VERSION, TLS_FAILED},
        {"ECDHE-ECDSA-AES256-GCM-SHA384:TLS_AES_256_GCM_SHA384", TLS1_2_VERSION, TLS_DONE},
        {"ECDHE-ECDSA-AES256-GCM-SHA384:TLS_AES_256_GCM_SHA384", TLS1_3_VERSION, TLS_DONE},
        {"ECDHE-RSA-AES256-GCM-SHA384", TLS1_2_VERSION, TLS_FAILED},
    };
    const struct certs_pair *ca = certs_matrix_ca(pair_matrix);

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct pair_options options = pair_options_of("server-ecdsa", cases[i].version);
        char *names[TLS_CIPHERS_MAX], *list = strdup(cases[i].names);
        struct tls_settings settings = {0};
        struct pair p;

        set_ciphers(&settings, list, names);
        options.context = pair_context_new(&ca, 1, settings);
        pair_init(&p, &options);
        ck_assert_msg(pair_run(&p) == cases[i].progress, "%s: %s", cases[i].names,
                      p.failure.detail);
        pair_deinit(&p);
        tls_context_unref(options.context);
        free(list);
    }
}
END_TEST

#define UNKNOWN "OpenSSL knows no cipher '"
#define UNFIT   "' cannot be used"

static const struct {
    const char *names;
    int min_version;
    size_t index;
    const char *error;
} bad_ciphers[] = {
    {"", 0, 0, UNKNOWN "'"},
    {"ALL", 0, 0, UNKNOWN "ALL'"},
    {"DEFAULT", 0, 0, UNKNOWN "DEFAULT'"},
    {"ECDHE+AESGCM", 0, 0, UNKNOWN "ECDHE+AESGCM'"},
    {"TLS_AES_256_GCM_SHA384:@SECLEVEL=0", 0, 1, UNKNOWN "@SECLEVEL=0'"},
    {"TLS_AES_256_GCM_SHA384:!aNULL", 0, 1, UNKNOWN "!aNULL'"},
    {"tls_aes_256_gcm_sha384", 0, 0, UNKNOWN},
    {"TLS_AES_256_GCM_SHA385", 0, 0, UNKNOWN},
    {"TLS_AES_256_GCM_SHA384:NULL-SHA256", 0, 1, "'NULL-SHA256" UNFIT},
    {"ECDHE-ECDSA-NULL-SHA", 0, 0, UNFIT},
    {"TLS_RSA_WITH_NULL_SHA", 0, 0, UNFIT},
    {"ADH-AES256-GCM-SHA384", 0, 0, UNFIT},
    {"AECDH-AES256-SHA", 0, 0, UNFIT},
    {"PSK-AES256-GCM-SHA384", 0, 0, UNFIT},
    {"ECDHE-PSK-CHACHA20-POLY1305", 0, 0, UNFIT},
    {"RSA-PSK-AES256-GCM-SHA384", 0, 0, UNFIT},
    {"SRP-RSA-AES-256-CBC-SHA", 0, 0, UNFIT},
    {"DHE-RSA-AES256-GCM-SHA384", 0, 0, UNFIT},
    {"ECDHE-RSA-AES256-GCM-SHA384", TLS1_3_VERSION, 0, "none of the ciphers is for TLS 1.3"},
};

START_TEST(refused_ciphers)
{
    struct tls_settings settings = {.min_version = bad_ciphers[_i].min_version,
                                    .is_verify_off = true};
    char *names[TLS_CIPHERS_MAX] = {0}, *list = strdup(bad_ciphers[_i].names);
    struct tls_context *c = NULL;
    struct tls_problem problem;

    set_ciphers(&settings, list, names);
    if (settings.n_ciphers == 0)
        names[settings.n_ciphers++] = list;
    ck_assert_int_eq(tls_context_new(&c, &settings, &problem), -EINVAL);
    ck_assert_int_eq(problem.setting, TLS_SETTING_CIPHERS);
    ck_assert_uint_eq(problem.index, bad_ciphers[_i].index);
    ck_assert_msg(strstr(problem.text, bad_ciphers[_i].error) != NULL, "%s", problem.text);
    free(list);
}
END_TEST

/* What OpenSSL can do and nobody should is refused one by one, however it was built. */
START_TEST(no_weak_cipher)
{
    const int step = is_under_valgrind() ? 5 : 1;
    SSL_CTX *every = SSL_CTX_new(TLS_client_method());
    const STACK_OF(SSL_CIPHER) * list;
    int n_refused = 0;

    ck_assert(SSL_CTX_set_cipher_list(every, "aNULL:eNULL:LOW:PSK:SRP:kDHE:3DES:RC4:@SECLEVEL=0"));
    ck_assert(SSL_CTX_set_ciphersuites(every, ""));
    list = SSL_CTX_get_ciphers(every);
    for (int i = 0; i < sk_SSL_CIPHER_num(list); i += step) {
        char *name = strdup(SSL_CIPHER_get_name(sk_SSL_CIPHER_value(list, i)));
        struct tls_settings settings = {.ciphers = &name, .n_ciphers = 1, .is_verify_off = true};
        struct tls_context *c = NULL;
        struct tls_problem problem;

        ck_assert_msg(tls_context_new(&c, &settings, &problem) == -EINVAL, "%s", name);
        free(name);
        n_refused++;
    }
    ck_assert_int_gt(n_refused, 20 / step);
    SSL_CTX_free(every);
}
END_TEST

static void check_ca_file(const char *path, int result, const char *reason)
{
    struct tls_settings settings = {.ca_file = (char *)(uintptr_t)path};
    struct tls_context *c = NULL;
    struct tls_problem problem;

    ck_assert_int_eq(tls_context_new(&c, &settings, &problem), result);
    ck_assert_ptr_null(c);
    ck_assert_int_eq(problem.setting, TLS_SETTING_CA_FILE);
    ck_assert_ptr_nonnull(strstr(problem.text, path));
    ck_assert_msg(strstr(problem.text, reason) != NULL, "%s", problem.text);
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");

    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}

START_TEST(bad_ca_files)
{
    char path[] = "/tmp/fdial-test-XXXXXX";
    int fd = mkstemp(path);

    ck_assert_int_ge(fd, 0);
    check_ca_file("/nonexistent/ca.pem", -ENOENT, "No such file");
    check_ca_file("/", -EISDIR, "directory");
    check_ca_file("/dev/zero", -EINVAL, "Invalid");
    check_ca_file(path, -ENODATA, "no certificate");
    write_file(path, "nothing of interest\n");
    check_ca_file(path, -ENODATA, "no certificate");
    write_file(path, "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n");
    check_ca_file(path, -EBADMSG, "");
    write_file(path, "-----BEGIN CERTIFICATE-----\nMIIB\n");
    check_ca_file(path, -EBADMSG, "");
    ck_assert_int_eq(ftruncate(fd, TLS_CA_FILE_MAX + 1), 0);
    check_ca_file(path, -EFBIG, "large");
    unlink(path);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    check_ca_file(path, -EINVAL, "Invalid"); /* and does not wait for a writer */
    unlink(path);
    close(fd);
}
END_TEST

/* The environment must not choose whom the daemon trusts; and the system's store does not trust
 * ours. */
START_TEST(system_store)
{
    const struct certs_pair *ca = certs_matrix_ca(pair_matrix);
    struct pair_options options = pair_options_of("server-ecdsa", 0);
    char path[] = "/tmp/fdial-test-XXXXXX";
    struct tls_context *c = NULL;
    int r, fd = mkstemp(path);
    struct tls_problem problem;
    struct pair p;

    ck_assert_int_ge(fd, 0);
    close(fd);
    certs_write_chain(path, &ca, 1);
    setenv("SSL_CERT_FILE", path, 1);
    r = tls_context_new(&c, &(struct tls_settings){0}, &problem);
    unsetenv("SSL_CERT_FILE");
    unlink(path);
    if (r < 0) { /* a machine without ca-certificates: the sentence must help */
        ck_assert_int_eq(r, -ENOENT);
        ck_assert_ptr_nonnull(strstr(problem.text, "ca-certificates"));
        return;
    }
    options.context = c;
    pair_init(&p, &options);
    ck_assert_int_eq(pair_run(&p), TLS_FAILED);
    ck_assert_int_eq(p.failure.code, ERROR_CERT_UNKNOWN_ISSUER);
    pair_deinit(&p);
    tls_context_unref(c);
}
END_TEST

static void add_tests(TCase *tcase)
{
    tcase_add_test(tcase, context_references);
    tcase_add_test(tcase, no_finite_field);
    tcase_add_test(tcase, min_version);
    tcase_add_loop_test(tcase, ciphers, 0, sizeof good_ciphers / sizeof good_ciphers[0]);
    tcase_add_test(tcase, ciphers_and_versions);
    tcase_add_loop_test(tcase, refused_ciphers, 0, sizeof bad_ciphers / sizeof bad_ciphers[0]);
    tcase_add_test(tcase, no_weak_cipher);
    tcase_add_test(tcase, bad_ca_files);
    tcase_add_test(tcase, system_store);
}

int main(void)
{
    return pair_run_suite_twice("tls-context", add_tests);
}
