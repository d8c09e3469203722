/* What kerberos.py runs: the helper with a real key distribution centre, and one that never
 * answers. The environment says where keytabs and the like are. */
#include <gssapi/gssapi_krb5.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "proto/cleanup.h"
#include "tests/lib/gss_rig.h"
#include "tests/lib/suite.h"

#define CLIENT   "fdiald@FDIAL.TEST"
#define N_SILENT (2 * GSS_SERVICE_THREADS)

static struct gss_rig rig;
static struct gss_settings by_keytab, by_ccache, by_default, silent;

static void setup(void)
{
    by_default = (struct gss_settings){.service = "HTTP@proxy.test"};
    by_keytab = by_ccache = by_default;
    by_keytab.keytab = getenv("CLIENT_KEYTAB");
    by_ccache.ccache = getenv("CLIENT_CCACHE");
    silent = (struct gss_settings){.service = "HTTP@silent.test",
                                   .keytab = getenv("SILENT_KEYTAB"),
                                   .principal = "fdiald@SILENT.TEST"};
    gss_rig_init(&rig);
}

static void teardown(void)
{
    gss_rig_deinit(&rig);
}

static void check_context(enum gss_mechanism mechanism, const struct gss_settings *settings)
{
    struct gss_asker asker;
    gss_ctx_id_t acceptor;
    OM_uint32 minor;
    char *name;

    gss_asker_init(&asker, &rig);
    acceptor = gss_rig_establish(&rig, &asker, mechanism, settings, &name);
    ck_assert_str_eq(name, CLIENT);
    free(name);
    gss_delete_sec_context(&minor, &acceptor, GSS_C_NO_BUFFER);
    gss_asker_deinit(&asker);
}

START_TEST(test_context)
{
    struct gss_settings named = by_keytab;

    check_context(GSS_NEGOTIATE, &by_keytab);
    check_context(GSS_NEGOTIATE, &by_ccache);
    check_context(GSS_KERBEROS, &by_keytab);
    check_context(GSS_KERBEROS, &by_ccache);
    named.principal = CLIENT;
    check_context(GSS_NEGOTIATE, &named);
}
END_TEST

/* The environment of the daemon names the keytab or the cache. */
START_TEST(test_environment)
{
    gss_rig_deinit(&rig);
    setenv("KRB5CCNAME", by_ccache.ccache, true);
    gss_rig_init(&rig);
    check_context(GSS_NEGOTIATE, &by_default);
    gss_rig_deinit(&rig);
    setenv("KRB5CCNAME", "MEMORY:", true);
    setenv("KRB5_CLIENT_KTNAME", by_keytab.keytab, true);
    gss_rig_init(&rig);
    check_context(GSS_NEGOTIATE, &by_default);
}
END_TEST

/* As SOCKS 5 says the level of protection. */
START_TEST(test_wrap)
{
    gss_buffer_desc in, out;
    struct gss_asker asker;
    gss_ctx_id_t acceptor;
    OM_uint32 minor;
    int is_private;
    char *name;

    gss_asker_init(&asker, &rig);
    acceptor = gss_rig_establish(&rig, &asker, GSS_KERBEROS, &by_keytab, &name);
    free(name);
    gss_asker_get(&rig, &asker, QUESTION_WRAP, GSS_KERBEROS, &by_keytab, "\0", 1);
    in = (gss_buffer_desc){asker.n, asker.token};
    ck_assert_uint_eq(gss_unwrap(&minor, acceptor, &in, &out, &is_private, NULL), GSS_S_COMPLETE);
    ck_assert_uint_eq(out.length, 1);
    ck_assert_int_eq(*(char *)out.value, 0);
    ck_assert_int_eq(is_private, 0);
    gss_release_buffer(&minor, &out);

    in = (gss_buffer_desc){1, (char[]){3}};
    ck_assert_uint_eq(gss_wrap(&minor, acceptor, 0, GSS_C_QOP_DEFAULT, &in, NULL, &out),
                      GSS_S_COMPLETE);
    gss_asker_get(&rig, &asker, QUESTION_UNWRAP, GSS_KERBEROS, &by_keytab, out.value, out.length);
    ck_assert_uint_eq(asker.n, 1);
    ck_assert_int_eq(asker.token[0], 3);
    ((char *)out.value)[out.length - 1] ^= 1;
    ck_assert_int_eq(
        gss_asker_ask(&asker, QUESTION_UNWRAP, GSS_KERBEROS, &by_keytab, out.value, out.length), 0);
    gss_asker_wait(&rig, &asker, asker.n_answers + 1);
    ck_assert(!asker.is_answered);
    gss_release_buffer(&minor, &out);
    gss_delete_sec_context(&minor, &acceptor, GSS_C_NO_BUFFER);
    gss_asker_deinit(&asker);
}
END_TEST

static void check_no_answer(const struct gss_settings *settings, const char *why)
{
    struct gss_asker asker;

    gss_asker_init(&asker, &rig);
    ck_assert_int_eq(gss_asker_ask(&asker, QUESTION_FIRST, GSS_NEGOTIATE, settings, NULL, 0), 0);
    gss_asker_wait(&rig, &asker, 1);
    ck_assert(!asker.is_answered);
    ck_assert_msg(strstr(asker.why, why) != NULL, "'%s' is not in '%s'", why, asker.why);
    gss_asker_deinit(&asker);
}

START_TEST(test_refused)
{
    struct gss_settings other = by_keytab, stranger = by_keytab, wrong = by_keytab;

    other.service = "HTTP@nobody.test";
    check_no_answer(&other, "Server HTTP/nobody.test@FDIAL.TEST not found");
    stranger.principal = "stranger@FDIAL.TEST";
    check_no_answer(&stranger, "stranger@FDIAL.TEST");
    wrong.keytab = getenv("WRONG_KEYTAB"); /* as after a key was changed */
    check_no_answer(&wrong, "Decrypt integrity check failed");
}
END_TEST

START_TEST(test_many)
{
    struct gss_asker askers[200];

    for (size_t i = 0; i < ARRAY_SIZE(askers); i++) {
        gss_asker_init(&askers[i], &rig);
        ck_assert_int_eq(
            gss_asker_ask(&askers[i], QUESTION_FIRST, GSS_NEGOTIATE, &by_keytab, NULL, 0), 0);
    }
    for (size_t i = 0; i < ARRAY_SIZE(askers); i++) {
        gss_asker_wait(&rig, &askers[i], 1);
        ck_assert_msg(askers[i].is_answered, "%s", askers[i].why);
        gss_asker_deinit(&askers[i]);
    }
}
END_TEST

/* Many that wait for a centre in vain do not keep others from theirs; and nobody has to wait: what
 * is taken back is gone at once. */
START_TEST(test_silence)
{
    struct gss_asker askers[N_SILENT];

    check_context(GSS_NEGOTIATE, &by_keytab);
    for (size_t i = 0; i < N_SILENT; i++) {
        gss_asker_init(&askers[i], &rig);
        ck_assert_int_eq(gss_asker_ask(&askers[i], QUESTION_FIRST, GSS_NEGOTIATE, &silent, NULL, 0),
                         0);
    }
    check_context(GSS_NEGOTIATE, &by_keytab);
    for (size_t i = 0; i < N_SILENT; i++) {
        ck_assert_msg(askers[i].n_answers == 0, "%s", askers[i].why);
        gss_asker_deinit(&askers[i]);
    }
    check_context(GSS_NEGOTIATE, &by_keytab);
}
END_TEST

/* Killed while it talks to a centre, with another context in the middle. */
START_TEST(test_killed)
{
    pid_t helper;
    struct gss_asker waiting, half;

    gss_asker_init(&waiting, &rig);
    gss_asker_init(&half, &rig);
    gss_asker_get(&rig, &half, QUESTION_FIRST, GSS_NEGOTIATE, &by_keytab, NULL, 0);
    ck_assert_int_eq(gss_asker_ask(&waiting, QUESTION_FIRST, GSS_NEGOTIATE, &silent, NULL, 0), 0);
    helper = gss_rig_child(gss_rig_child(getpid()));
    ck_assert_int_ne(helper, 0);
    kill(helper, SIGKILL);
    gss_asker_wait(&rig, &waiting, 1);
    ck_assert_msg(strstr(waiting.why, "has died"), "%s", waiting.why);
    ck_assert_int_eq(gss_asker_ask(&half, QUESTION_NEXT, GSS_NEGOTIATE, &by_keytab, "x", 1), 0);
    gss_asker_wait(&rig, &half, 2);
    ck_assert_msg(strstr(half.why, "context was lost"), "%s", half.why);
    gss_asker_deinit(&half);
    gss_asker_deinit(&waiting);
    check_context(GSS_NEGOTIATE, &by_keytab);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kerberos");
    TCase *tests = tcase_create("centre");

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 3 * GSS_RIG_WAIT_S);
    tcase_add_test(tests, test_context);
    tcase_add_test(tests, test_environment);
    tcase_add_test(tests, test_wrap);
    tcase_add_test(tests, test_refused);
    tcase_add_test(tests, test_many);
    tcase_add_test(tests, test_silence);
    tcase_add_test(tests, test_killed);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
