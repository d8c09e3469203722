/* The helper for GSSAPI without a key distribution centre: what is said to it, what it cannot
 * answer, how it dies; and NTLM, which needs nobody. tests/real/kerberos.py has the rest. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/gss/message.h"
#include "proto/cleanup.h"
#include "tests/lib/gss_rig.h"
#include "tests/lib/suite.h"

static struct gss_rig rig;

static void setup(void)
{
    char path[] = "/tmp/test-gss-XXXXXX", config[64];
    FILE *file;

    ck_assert_ptr_nonnull(mkdtemp(path));
    snprintf(config, sizeof config, "%s/krb5.conf", path);
    file = fopen(config, "we");
    ck_assert_ptr_nonnull(file);
    fputs("[libdefaults]\ndefault_realm = NOWHERE.TEST\ndns_lookup_kdc = false\n"
          "dns_canonicalize_hostname = false\nrdns = false\n",
          file);
    fclose(file);
    setenv("KRB5_CONFIG", config, true);
    setenv("KRB5CCNAME", "FILE:/nowhere/ccache", true);
    setenv("KRB5_CLIENT_KTNAME", "/nowhere/keytab", true);
    snprintf(config, sizeof config, "%s/ntlm", path);
    file = fopen(config, "we");
    ck_assert_ptr_nonnull(file);
    fputs("TESTDOM:user:Swordfish\n", file);
    fclose(file);
    setenv("NTLM_USER_FILE", config, true);
    gss_rig_init(&rig);
}

static void teardown(void)
{
    const char *config = getenv("KRB5_CONFIG"), *ntlm = getenv("NTLM_USER_FILE");
    char directory[64];

    gss_rig_deinit(&rig);
    snprintf(directory, sizeof directory, "%.*s", (int)(strrchr(config, '/') - config), config);
    unlink(config);
    unlink(ntlm);
    rmdir(directory);
}

/* ---- messages ---- */

START_TEST(test_message)
{
    struct gss_message m = {.type = 1, .kind = 2, .mechanism = 3, .id = 4, .serial = 5}, read;
    uint8_t data[512], copy[512];
    size_t n;

    m.texts[GSS_TEXT_SERVICE] = text_of("HTTP@proxy");
    m.texts[GSS_TEXT_TOKEN] = (struct text){"\0\1\2", 3};
    ck_assert_int_eq(gss_message_measure(&m, &n), 0);
    ck_assert_uint_le(n, sizeof data);
    gss_message_write(&m, data);
    ck_assert_int_eq(gss_message_read(data, n, &read), 0);
    ck_assert_uint_eq(read.id, 4);
    ck_assert_str_eq(read.texts[GSS_TEXT_SERVICE].data, "HTTP@proxy");
    ck_assert_str_eq(read.texts[GSS_TEXT_PASSWORD].data, "");
    ck_assert_uint_eq(read.texts[GSS_TEXT_TOKEN].n, 3);
    ck_assert_int_eq(memcmp(read.texts[GSS_TEXT_TOKEN].data, "\0\1\2", 3), 0);
    for (size_t cut = 0; cut < n; cut++) {
        CLEANUP(freep) uint8_t *whole = malloc(cut + 1);

        ck_assert_ptr_nonnull(whole);
        memcpy(whole, data, cut);
        ck_assert_int_eq(gss_message_read(whole, cut, &read), -EBADMSG);
    }
    /* Each byte changed: it may be read, but never beyond its end (the sanitizers look). */
    for (size_t at = 0; at < n; at++) {
        memcpy(copy, data, n);
        copy[at] ^= 0xff;
        gss_message_read(copy, n, &read);
    }
}
END_TEST

START_TEST(test_message_too_long)
{
    CLEANUP(freep) char *token = calloc(1, QUESTION_TOKEN_MAX + 1);
    struct gss_message m = {0};
    size_t n;

    ck_assert_ptr_nonnull(token);
    for (size_t i = 0; i < GSS_N_TEXTS; i++)
        m.texts[i] =
            (struct text){token, i == GSS_TEXT_TOKEN ? QUESTION_TOKEN_MAX : QUESTION_TEXT_MAX};
    ck_assert_int_eq(gss_message_measure(&m, &n), 0);
    ck_assert_uint_le(n, GSS_MESSAGE_MAX);
    m.texts[GSS_TEXT_TOKEN].n++;
    ck_assert_int_eq(gss_message_measure(&m, &n), -EMSGSIZE);
    m.texts[GSS_TEXT_TOKEN].n--;
    m.texts[GSS_TEXT_KEYTAB].n++;
    ck_assert_int_eq(gss_message_measure(&m, &n), -EMSGSIZE);
}
END_TEST

/* ---- no answer ---- */

static void check_no_answer(enum gss_mechanism mechanism, const struct gss_settings *settings,
                            enum gss_question_kind kind, const char *why)
{
    struct gss_asker asker;

    gss_asker_init(&asker, &rig);
    ck_assert_int_eq(gss_asker_ask(&asker, kind, mechanism, settings, NULL, 0), 0);
    gss_asker_wait(&rig, &asker, 1);
    ck_assert(!asker.is_answered);
    ck_assert_msg(strstr(asker.why, why) != NULL, "'%s' is not in '%s'", why, asker.why);
    ck_assert_msg(!strstr(asker.why, "Swordfish"), "%s", asker.why);
    gss_asker_deinit(&asker);
}

START_TEST(test_no_answer)
{
    const struct gss_settings none = {.service = "HTTP@proxy.test"};
    const struct gss_settings keytab = {.service = "HTTP@proxy.test", .keytab = "/nowhere/it"};
    const struct gss_settings ccache = {.service = "HTTP@proxy.test", .ccache = "/nowhere/cc"};
    const struct gss_settings nobody = {.password = {"Swordfish", 9}};

    check_no_answer(GSS_NEGOTIATE, &none, QUESTION_FIRST, "No Kerberos credentials available");
    check_no_answer(GSS_KERBEROS, &none, QUESTION_FIRST, "No Kerberos credentials available");
    check_no_answer(GSS_NEGOTIATE, &keytab, QUESTION_FIRST,
                    "keytab /nowhere/it: No such file or directory");
    check_no_answer(GSS_NEGOTIATE, &ccache, QUESTION_FIRST,
                    "credential cache /nowhere/cc: No such file");
    check_no_answer(GSS_NEGOTIATE, &nobody, QUESTION_FIRST, "no name of a service");
    check_no_answer(GSS_NEGOTIATE, &none, QUESTION_NEXT, "the context was lost");
    check_no_answer(GSS_NEGOTIATE, &none, QUESTION_UNWRAP, "the context was lost");
    check_no_answer(77, &none, QUESTION_FIRST, "no name of a service");
    check_no_answer(GSS_KERBEROS, &none, 77, "the context was lost");
}
END_TEST

START_TEST(test_too_long)
{
    CLEANUP(freep) char *name = malloc(QUESTION_TEXT_MAX + 2);
    struct gss_settings settings = {.service = name};
    struct gss_asker asker;

    ck_assert_ptr_nonnull(name);
    memset(name, 'x', QUESTION_TEXT_MAX + 1);
    name[QUESTION_TEXT_MAX + 1] = '\0';
    gss_asker_init(&asker, &rig);
    ck_assert_int_eq(gss_asker_ask(&asker, QUESTION_FIRST, GSS_NEGOTIATE, &settings, NULL, 0),
                     -EMSGSIZE);
    gss_asker_deinit(&asker);
}
END_TEST

START_TEST(test_too_many)
{
    struct gss_asker *askers = calloc(GSS_CONTEXTS_MAX + 1, sizeof *askers);
    const struct gss_settings none = {.service = "HTTP@proxy.test"};

    ck_assert_ptr_nonnull(askers);
    for (size_t i = 0; i <= GSS_CONTEXTS_MAX; i++)
        gss_asker_init(&askers[i], &rig);
    for (size_t i = 0; i < GSS_CONTEXTS_MAX; i++)
        ck_assert_int_eq(gss_asker_ask(&askers[i], QUESTION_FIRST, GSS_KERBEROS, &none, NULL, 0),
                         0);
    ck_assert_int_eq(
        gss_asker_ask(&askers[GSS_CONTEXTS_MAX], QUESTION_FIRST, GSS_KERBEROS, &none, NULL, 0),
        -EAGAIN);
    /* Half of them are not waited for. */
    for (size_t i = 0; i < GSS_CONTEXTS_MAX; i += 2)
        gss_asker_deinit(&askers[i]);
    for (size_t i = 1; i < GSS_CONTEXTS_MAX; i += 2)
        gss_asker_wait(&rig, &askers[i], 1);
    for (size_t i = 0; i <= GSS_CONTEXTS_MAX; i++)
        gss_asker_deinit(&askers[i]);
    check_no_answer(GSS_NEGOTIATE, &none, QUESTION_FIRST, "No Kerberos credentials available");
    free(askers);
}
END_TEST

/* ---- the processes ---- */

START_TEST(test_helper_dies)
{
    const struct gss_settings none = {.service = "HTTP@proxy.test"};
    pid_t keeper = gss_rig_child(getpid()), helper;
    struct gss_asker asker;

    ck_assert_int_eq(gss_rig_child(keeper), 0);
    check_no_answer(GSS_KERBEROS, &none, QUESTION_FIRST, "No Kerberos credentials available");
    helper = gss_rig_child(keeper);
    ck_assert_int_ne(helper, 0);
    gss_asker_init(&asker, &rig);
    kill(helper, SIGSTOP);
    ck_assert_int_eq(gss_asker_ask(&asker, QUESTION_FIRST, GSS_KERBEROS, &none, NULL, 0), 0);
    kill(helper, SIGKILL);
    gss_asker_wait(&rig, &asker, 1);
    ck_assert(!asker.is_answered);
    ck_assert_msg(strstr(asker.why, "has died"), "%s", asker.why);
    gss_asker_deinit(&asker);
    check_no_answer(GSS_KERBEROS, &none, QUESTION_FIRST, "No Kerberos credentials available");
    ck_assert_int_ne(gss_rig_child(keeper), helper);
}
END_TEST

/* Each is answered, though a helper makes fewer. */
START_TEST(test_helper_retires)
{
    const struct gss_settings none = {.service = "HTTP@proxy.test"};
    pid_t keeper = gss_rig_child(getpid()), first;

    check_no_answer(GSS_KERBEROS, &none, QUESTION_FIRST, "No Kerberos credentials available");
    first = gss_rig_child(keeper);
    for (size_t i = 0; i < GSS_HELPER_CONTEXTS + 10; i++)
        check_no_answer(GSS_KERBEROS, &none, QUESTION_FIRST, "No Kerberos credentials available");
    ck_assert_int_ne(gss_rig_child(keeper), first);
}
END_TEST

START_TEST(test_keeper_dies)
{
    const struct gss_settings none = {.service = "HTTP@proxy.test"};
    pid_t keeper = gss_rig_child(getpid());
    struct gss_asker asker;

    check_no_answer(GSS_KERBEROS, &none, QUESTION_FIRST, "No Kerberos credentials available");
    gss_asker_init(&asker, &rig);
    kill(gss_rig_child(keeper), SIGSTOP);
    ck_assert_int_eq(gss_asker_ask(&asker, QUESTION_FIRST, GSS_KERBEROS, &none, NULL, 0), 0);
    kill(keeper, SIGKILL);
    gss_asker_wait(&rig, &asker, 1);
    ck_assert_msg(strstr(asker.why, "restarted"), "%s", asker.why);
    ck_assert_int_eq(gss_asker_ask(&asker, QUESTION_FIRST, GSS_KERBEROS, &none, NULL, 0),
                     -ENOTCONN);
    gss_asker_deinit(&asker);
}
END_TEST

START_TEST(test_without_link)
{
    const struct gss_question question = {.kind = QUESTION_FIRST};
    struct gss_context context;

    gss_context_init(&context, NULL, NULL);
    ck_assert_int_eq(gss_context_ask(&context, &question), -ENOTCONN);
    gss_context_deinit(&context);
}
END_TEST

/* ---- NTLM ---- */

/* The acceptor of these tests is gss-ntlmssp's, in this process, and loses memory. LeakSanitizer
 * looks for these functions. */
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);
__attribute__((visibility("default"))) const char *__lsan_default_options(void);

const char *__lsan_default_suppressions(void)
{
    return "leak:gssntlmssp.so\nleak:libcrypto.so\n";
}

const char *__lsan_default_options(void)
{
    return "print_suppressions=0";
}

static bool has_ntlm(void)
{
    static char oid[] = "\x2b\x06\x01\x04\x01\x82\x37\x02\x02\x0a";
    gss_OID_desc ntlm = {sizeof oid - 1, oid};
    gss_OID_set all;
    OM_uint32 minor;
    int is_there = 0;

    gss_indicate_mechs(&minor, &all);
    gss_test_oid_set_member(&minor, &ntlm, all, &is_there);
    gss_release_oid_set(&minor, &all);
    return is_there;
}

START_TEST(test_ntlm)
{
    const struct gss_settings settings = {
        .service = "HTTP@proxy.test", .user = {"TESTDOM\\user", 12}, .password = {"Swordfish", 9}};
    struct gss_asker asker;
    gss_ctx_id_t acceptor;
    OM_uint32 minor;
    char *name;

    if (!has_ntlm()) {
        check_no_answer(GSS_NTLM, &settings, QUESTION_FIRST, "package gss-ntlmssp");
        return;
    }
    gss_asker_init(&asker, &rig);
    acceptor = gss_rig_establish(&rig, &asker, GSS_NTLM, &settings, &name);
    ck_assert_str_eq(name, "TESTDOM\\user");
    free(name);
    gss_delete_sec_context(&minor, &acceptor, GSS_C_NO_BUFFER);
    gss_asker_deinit(&asker);
}
END_TEST

/* A wrong token of the proxy's is told, and no token of ours. */
START_TEST(test_ntlm_broken)
{
    const struct gss_settings settings = {
        .service = "HTTP@proxy.test", .user = {"TESTDOM\\user", 12}, .password = {"Swordfish", 9}};
    struct gss_asker asker;

    if (!has_ntlm())
        return;
    gss_asker_init(&asker, &rig);
    gss_asker_get(&rig, &asker, QUESTION_FIRST, GSS_NTLM, &settings, NULL, 0);
    ck_assert_int_eq(gss_asker_ask(&asker, QUESTION_NEXT, GSS_NTLM, &settings, "NTLMSSP", 8), 0);
    gss_asker_wait(&rig, &asker, 2);
    ck_assert(!asker.is_answered);
    ck_assert_ptr_null(strstr(asker.why, "Swordfish"));
    gss_asker_deinit(&asker);
}
END_TEST

/* It says that it names its target, and does not: gss-ntlmssp 1.2.0 crashes at it. */
static const char nameless[] = "NTLMSSP\0\2\0\0\0"
                               "\0\0\0\0\x38\0\0\0"
                               "\x05\x82\x8a\xa2\1\2\3\4\5\6\7\x8"
                               "\0\0\0\0\0\0\0\0\4\0\4\0\x38\0\0\0"
                               "\6\1\xb1\x1d\0\0\0\xf\0\0\0";

/* Its process is none that has anybody else's contexts. */
START_TEST(test_ntlm_alone)
{
    const struct gss_settings settings = {
        .service = "HTTP@proxy.test", .user = {"TESTDOM\\user", 12}, .password = {"Swordfish", 9}};
    const struct gss_settings none = {.service = "HTTP@proxy.test"};
    struct gss_asker asker;

    if (!has_ntlm())
        return;
    check_no_answer(GSS_KERBEROS, &none, QUESTION_FIRST, "No Kerberos credentials available");
    gss_asker_init(&asker, &rig);
    kill(gss_rig_child(gss_rig_child(getpid())), SIGSTOP);
    gss_asker_get(&rig, &asker, QUESTION_FIRST, GSS_NTLM, &settings, NULL, 0);
    ck_assert_int_eq(
        gss_asker_ask(&asker, QUESTION_NEXT, GSS_NTLM, &settings, nameless, sizeof nameless), 0);
    gss_asker_wait(&rig, &asker, 2);
    ck_assert(!asker.is_answered);
    ck_assert_str_eq(asker.why, "the challenge names no target");
    gss_asker_deinit(&asker);
}
END_TEST

/* Without the mechanism: as on a machine that has the library only. */
START_TEST(test_ntlm_missing)
{
    const struct gss_settings settings = {
        .service = "HTTP@proxy.test", .user = {"user", 4}, .password = {"Swordfish", 9}};

    gss_rig_deinit(&rig);
    setenv("GSS_MECH_CONFIG", "/nowhere/mech", true);
    gss_rig_init(&rig);
    check_no_answer(GSS_NTLM, &settings, QUESTION_FIRST, "package gss-ntlmssp");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gss");
    TCase *tests = tcase_create("helper");

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 2 * GSS_RIG_WAIT_S);
    tcase_add_test(tests, test_message);
    tcase_add_test(tests, test_message_too_long);
    tcase_add_test(tests, test_no_answer);
    tcase_add_test(tests, test_too_long);
    tcase_add_test(tests, test_too_many);
    tcase_add_test(tests, test_helper_dies);
    tcase_add_test(tests, test_helper_retires);
    tcase_add_test(tests, test_keeper_dies);
    tcase_add_test(tests, test_without_link);
    tcase_add_test(tests, test_ntlm);
    tcase_add_test(tests, test_ntlm_broken);
    tcase_add_test(tests, test_ntlm_alone);
    tcase_add_test(tests, test_ntlm_missing);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
