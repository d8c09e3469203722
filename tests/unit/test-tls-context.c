/* Contexts: what they are made of, what is wrong with it, and how long they live. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/tls-pair.h"

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
    tcase_add_test(tcase, bad_ca_files);
    tcase_add_test(tcase, system_store);
}

int main(void)
{
    return pair_run_suite("tls-context", add_tests);
}
