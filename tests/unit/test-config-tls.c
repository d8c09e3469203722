/* The configuration with the real tls contexts: what is wrong with a ca-file is told at its line.
 * The other tests of the configuration have contexts of their own. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/policy/config.h"
#include "proto/cleanup.h"
#include "tests/lib/suite.h"

/* Debian's and its like; the same file serves as a ca-file here. */
#define SYSTEM_BUNDLE "/etc/ssl/certs/ca-certificates.crt"

START_TEST(test_bad_ca_file)
{
    static const char *const files[] = {"/nonexistent/ca.pem", "/dev/null", "/etc"};

    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        struct config *config = NULL;
        char error[CONFIG_ERROR_MAX] = "";
        char text[256];

        snprintf(text, sizeof text, "tls \"a\" {\n\n ca-file = \"%s\"\n}", files[i]);
        ck_assert_int_eq(config_parse(&config, "c", text, strlen(text), error), -EINVAL);
        ck_assert_msg(strncmp(error, "c:3: ", 5) == 0 && strstr(error, files[i]), "%s", error);
    }
}
END_TEST

START_TEST(test_bad_cipher)
{
    static const char text[] = "tls \"a\" {\n ciphers = { TLS_AES_256_GCM_SHA384,\n"
                               "  eNULL } }";
    struct config *config = NULL;
    char error[CONFIG_ERROR_MAX] = "";

    ck_assert_int_eq(config_parse(&config, "c", text, sizeof text - 1, error), -EINVAL);
    ck_assert_msg(strstr(error, "c:3: OpenSSL knows no cipher 'eNULL'; ") == error, "%s", error);
}
END_TEST

static void write_credential(const char *directory, const char *name, const char *text)
{
    char path[256];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", directory, name);
    file = fopen(path, "we");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}

static const struct {
    const char *body;
    const char *error; /* NULL: none */
} certificates[] = {
    {"certificate = both", NULL},
    {"certificate = cert\n key = key", NULL},
    {"certificate = cert\n key = locked\n passphrase = good", NULL},
    {"certificate = absent", "c:2: credential * cannot be opened: No such file"},
    {"certificate = \"../both\"", "c:2: a credential is the name of a file"},
    {"certificate = cert", "c:2: there is no private key in it; "},
    {"certificate = cert\n key = absent", "c:3: credential * cannot be opened: No such file"},
    {"key = other\n certificate = cert", "c:2: the private key is not that of the certificate"},
    {"certificate = cert\n key = locked", "c:3: the key is encrypted; name the credential with its "
                                          "passphrase in 'passphrase'"},
    {"certificate = cert\n key = locked\n passphrase = bad",
     "c:4: the key cannot be decrypted with this passphrase"},
    {"certificate = good", "c:2: there is no certificate in it, neither PEM nor PKCS #12"},
};

/* A '*' in the pattern stands for anything. */
static bool is_like(const char *text, const char *pattern)
{
    const char *star = strchr(pattern, '*');

    if (!star)
        return strncmp(text, pattern, strlen(pattern)) == 0;
    return strncmp(text, pattern, (size_t)(star - pattern)) == 0 && strstr(text, star + 1);
}

/* Made with openssl(1), so that what it writes is what is read. */
START_TEST(test_certificates)
{
    static const char *const commands =
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=us -keyout key -out cert "
        "-addext extendedKeyUsage=clientAuth && "
        "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out other && "
        "openssl pkey -in key -aes256 -passout file:good -out locked && cat key cert > both";
    char directory[] = "/tmp/fdial-test-XXXXXX", command[1024];

    ck_assert_ptr_nonnull(mkdtemp(directory));
    write_credential(directory, "good", "correct horse\n");
    write_credential(directory, "bad", "wrong horse\n");
    snprintf(command, sizeof command, "cd %s && { %s; } >/dev/null 2>&1", directory, commands);
    ck_assert_int_eq(system(command), 0);
    setenv("CREDENTIALS_DIRECTORY", directory, 1);
    for (size_t i = 0; i < ARRAY_SIZE(certificates); i++) {
        struct config *config = NULL;
        char error[CONFIG_ERROR_MAX] = "", text[256];
        int r;

        snprintf(text, sizeof text, "tls a {\n %s\n verify = off }", certificates[i].body);
        r = config_parse(&config, "c", text, strlen(text), error);
        ck_assert_msg((r == 0) == !certificates[i].error, "%s: %s", text, error);
        if (certificates[i].error)
            ck_assert_msg(is_like(error, certificates[i].error), "%s: %s", text, error);
        else
            ck_assert_uint_eq(config->n_warnings, 1); /* of verify = off */
        config_unref(config);
    }
    snprintf(command, sizeof command, "rm -r %s", directory);
    ck_assert_int_eq(system(command), 0);
}
END_TEST

START_TEST(test_contexts)
{
    static const char text[] = "tls a { ca-file = \"" SYSTEM_BUNDLE "\" min-version = 1.3 }\n"
                               "rule one { client = \"uid:1\" allow = \"https://*\" }\n"
                               "rule two { client = \"uid:2\" allow = \"https://*\" }\n"
                               "rule three { client = \"uid:3\" allow = \"https://*\" tls = a }\n";
    static const char plain[] =
        "rule one { client = \"uid:1\" allow = {\"tcp://*:*\", \"unix:/x\"} }\n";
    struct config *config = NULL;
    struct config *user = NULL;
    struct tls_context *kept;
    char error[CONFIG_ERROR_MAX] = "";

    ck_assert_msg(config_parse(&config, "c", text, sizeof text - 1, error) == 0, "%s", error);
    ck_assert_ptr_nonnull(config->rules[0].tls);
    ck_assert_ptr_eq(config->rules[0].tls, config->rules[1].tls);
    ck_assert_ptr_ne(config->rules[0].tls, config->rules[2].tls);
    kept = tls_context_ref(config->rules[2].tls); /* as a connection in progress does */
    ck_assert_ptr_null(config_unref(config));
    tls_context_unref(kept);
    ck_assert_msg(config_parse(&config, "c", plain, sizeof plain - 1, error) == 0, "%s", error);
    ck_assert_ptr_null(config->rules[0].tls);
    config_unref(config);
    ck_assert_msg(config_new_user(&user, 1001, error) == 0, "%s", error);
    ck_assert_ptr_nonnull(user->rules[0].tls);
    config_unref(user);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("config-tls");
    TCase *tcase = tcase_create("config-tls");

    if (access(SYSTEM_BUNDLE, R_OK) < 0) {
        printf("SKIP: no %s on this machine\n", SYSTEM_BUNDLE);
        return 77;
    }
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, test_bad_ca_file);
    tcase_add_test(tcase, test_bad_cipher);
    tcase_add_test(tcase, test_certificates);
    tcase_add_test(tcase, test_contexts);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
