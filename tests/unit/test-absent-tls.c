/* What each key of a `tls` section means when it is absent: nobody is trusted, and nothing shown,
 * that would not be without a section. The contexts here only note what they are asked for. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/policy/config_tree.h"
#include "proto/cleanup.h"
#include "tests/lib/suite.h"

static struct tls_settings seen;

int tls_context_new(struct tls_context **ret, const struct tls_settings *settings,
                    struct tls_problem *ret_problem)
{
    static char context;

    (void)ret_problem;
    seen = *settings; /* its texts are not to be followed later */
    *ret = (struct tls_context *)&context;
    return 0;
}

struct tls_context *tls_context_ref(struct tls_context *context)
{
    return context;
}

struct tls_context *tls_context_unref(struct tls_context *context)
{
    (void)context;
    return NULL;
}

struct tls_context *tls_context_retire(struct tls_context *context)
{
    return tls_context_unref(context);
}

static bool is_system_store(void)
{
    return !seen.ca_file;
}

static bool is_any_cipher(void)
{
    return seen.n_ciphers == 0; /* the usual ones: test-tls-context.c */
}

static bool is_without_crl(void)
{
    return !seen.crl_file;
}

static bool is_without_ocsp(void)
{
    return !seen.needs_ocsp;
}

static bool is_resuming(void)
{
    return !seen.is_resumption_off;
}

static bool is_1_2_enough(void)
{
    return seen.min_version == 0x0303;
}

static bool is_target_name(void)
{
    return !seen.verify_name && !seen.verify_uri;
}

static bool is_verified(void)
{
    return !seen.is_verify_off;
}

static bool is_unpinned(void)
{
    return seen.n_pins == 0;
}

static bool is_anonymous(void)
{
    return !seen.certificate.data && !seen.key.data;
}

static bool is_key_in_certificate(void)
{
    return !seen.key.data;
}

static bool is_without_passphrase(void)
{
    return !seen.passphrase.data;
}

static const struct row {
    const char *line;
    const char *besides;      /* what the key needs beside it */
    bool (*is_default)(void); /* what its absence means */
} rows[KEY_COUNT] = {
    [KEY_CA_FILE] = {"ca-file = /dev/null", "", is_system_store},
    [KEY_MIN_VERSION] = {"min-version = 1.3", "", is_1_2_enough},
    [KEY_CIPHERS] = {"ciphers = TLS_AES_128_GCM_SHA256", "", is_any_cipher},
    [KEY_VERIFY_NAME] = {"verify-name = host", "", is_target_name},
    [KEY_VERIFY_URI] = {"verify-uri = \"spiffe://domain/host\"", "", is_target_name},
    [KEY_VERIFY] = {"verify = off", "", is_verified},
    [KEY_PIN] = {"pin = \"sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\"", "", is_unpinned},
    [KEY_OCSP] = {"ocsp = required", "", is_without_ocsp},
    [KEY_RESUMPTION] = {"resumption = false", "", is_resuming},
    [KEY_CRL_FILE] = {"crl-file = /dev/null", "", is_without_crl},
    [KEY_CERTIFICATE] = {"certificate = file", "", is_anonymous},
    [KEY_KEY] = {"key = file", "certificate = file", is_key_in_certificate},
    [KEY_PASSPHRASE] = {"passphrase = file", "certificate = file", is_without_passphrase},
};

static const enum config_key keys[] = {
#define X(name, text, form) KEY_##name,
    CONFIG_TLS_KEYS(X)
#undef X
};

static void parse(const char *line, const char *besides)
{
    struct config *config = NULL;
    char error[CONFIG_ERROR_MAX] = "", text[512];

    snprintf(text, sizeof text, "tls a {\n %s\n %s\n}\n", line, besides);
    ck_assert_msg(config_parse(&config, "c", text, strlen(text), error) == 0, "%s: %s", text,
                  error);
    config_unref(config);
}

START_TEST(test_key)
{
    const struct row *row = &rows[keys[_i]];

    ck_assert_msg(row->line != NULL, "what does a section without '%s' mean?",
                  config_key_name(keys[_i]));
    parse(row->line, row->besides);
    ck_assert_msg(!row->is_default(), "'%s' does nothing", config_key_name(keys[_i]));
    parse("", row->besides);
    ck_assert(row->is_default());
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        parse("", "");
        ck_assert(rows[keys[i]].is_default());
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("absent-tls");
    TCase *tcase = tcase_create("absent-tls");
    char directory[] = "/tmp/fdial-test-XXXXXX", path[64];
    FILE *file;
    int status;

    if (!mkdtemp(directory))
        return 99;
    snprintf(path, sizeof path, "%s/file", directory);
    file = fopen(path, "we");
    if (!file || fputs("a secret\n", file) < 0 || fclose(file) != 0)
        return 99;
    setenv("CREDENTIALS_DIRECTORY", directory, 1);
    tcase_add_loop_test(tcase, test_key, 0, ARRAY_SIZE(keys));
    suite_add_tcase(suite, tcase);
    status = suite_run(suite);
    unlink(path);
    rmdir(directory);
    return status;
}
