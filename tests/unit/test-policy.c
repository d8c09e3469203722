/* Decisions: one configuration, many clients and targets. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/policy/policy.h"
#include "proto/cleanup.h"
#include "tests/lib/suite.h"

static const char text[] =
    "rule agents { client = \"uid:1001\" socket = agents allow = \"*://*:*\" handoff = relay }\n"
    "rule first {\n"
    "  client = { \"uid:1001\", \"group:ci\" }\n"
    "  allow  = { \"https://*.example.org\", \"tls://10.2.0.0/16:5432\", "
    "\"tls://db.example.org:5432\",\n"
    "             \"unix:/run/a.sock\" }\n"
    "  deny   = { \"https://private.example.org\", \"*://10.2.3.0/24:*\" }\n"
    "}\n"
    "rule second {\n"
    "  client = \"uid:1001\"\n"
    "  allow  = { \"https://private.example.org\", \"https://www.example.org\", "
    "\"https://other.example\",\n"
    "             \"*://10.2.3.4:*\", \"tls://[::]/0:5432\" }\n"
    "  handoff = { tcp, ktls }\n"
    "}\n"
    "rule root { client = \"uid:0\" allow = \"*://*:*\" }\n"
    "rule low { client = \"gid:0\" allow = \"tcp://low.example:1\" }\n";

static const struct {
    uid_t uid;
    gid_t gid;
    gid_t group; /* supplementary; 0: none */
    const char *listener;
    const char *target;
    const char *tls_name;
    unsigned handoff;
    const char *rule;     /* NULL: refused */
    unsigned ret_handoff; /* or the error */
} decisions[] = {
    /* order, by user and by group */
    {1001, 1, 0, NULL, "https://www.example.org", NULL, 5, "first", 5},
    {1001, 1, 0, NULL, "https://other.example", NULL, 7, "second", 3},
    {1002, 2001, 0, NULL, "https://www.example.org", NULL, 1, "first", 1},
    {1002, 1, 2001, NULL, "https://www.example.org", NULL, 1, "first", 1},
    {1002, 1, 2002, NULL, "https://www.example.org", NULL, 1, NULL, ERROR_DENIED},
    {1002, 1, 2001, NULL, "https://other.example", NULL, 7, NULL, ERROR_DENIED},
    {0, 1, 0, NULL, "tcp://any.example:25", NULL, 7, "root", 7},
    {1002, 0, 0, NULL, "tcp://low.example:1", NULL, 7, "low", 7},
    /* deny is final, in every form */
    {1001, 1, 0, NULL, "https://private.example.org", NULL, 7, NULL, ERROR_DENIED},
    {1001, 1, 0, NULL, "https://PRIVATE.example.org.", NULL, 7, NULL, ERROR_DENIED},
    {1001, 1, 0, NULL, "tls://10.2.3.4:5432", NULL, 7, NULL, ERROR_DENIED},
    {1001, 1, 0, NULL, "tls://[::ffff:10.2.3.4]:5432", NULL, 7, NULL, ERROR_DENIED},
    {1001, 1, 0, NULL, "tls://[64:ff9b::10.2.3.4]:5432", NULL, 7, NULL, ERROR_DENIED},
    {1001, 1, 0, NULL, "tls://[2001:db8::1]:5432", NULL, 7, "second", 3},
    {1001, 1, 0, NULL, "tls://10.2.4.4:5432", NULL, 7, "first", 7},
    /* nothing matches */
    {1001, 1, 0, NULL, "https://example.org", NULL, 7, NULL, ERROR_DENIED},
    {1001, 1, 0, NULL, "https://www.example.org:8443", NULL, 7, NULL, ERROR_DENIED},
    {1003, 3, 0, NULL, "https://www.example.org", NULL, 7, NULL, ERROR_DENIED},
    /* unix paths are a permission of their own */
    {1001, 1, 0, NULL, "unix:/run/a.sock", NULL, 7, "first", 7},
    {1001, 1, 0, NULL, "unix:/run/b.sock", NULL, 7, NULL, ERROR_DENIED},
    {0, 0, 0, NULL, "unix:/run/a.sock", NULL, 7, NULL, ERROR_DENIED},
    {1001, 1, 0, "agents", "unix:/run/a.sock", NULL, 7, NULL, ERROR_DENIED},
    /* listeners */
    {1001, 1, 0, "agents", "https://private.example.org", NULL, 7, "agents", 4},
    {1001, 1, 0, "agent", "https://www.example.org", NULL, 7, NULL, ERROR_DENIED},
    {1001, 1, 0, "", "https://www.example.org", NULL, 7, NULL, ERROR_DENIED},
    {0, 1, 0, "agents", "https://www.example.org", NULL, 7, NULL, ERROR_DENIED},
    /* ids that stand for anybody */
    {65534, 1, 2001, NULL, "https://www.example.org", NULL, 7, NULL, ERROR_DENIED},
    {(uid_t)-1, 1, 2001, NULL, "https://www.example.org", NULL, 7, NULL, ERROR_DENIED},
    {1002, 65534, 65534, NULL, "https://www.example.org", NULL, 7, NULL, ERROR_DENIED},
    {1001, 65534, 65534, NULL, "https://www.example.org", NULL, 7, "first", 7},
    /* TLS names */
    {1001, 1, 0, NULL, "https://www.example.org", "mail.example.org", 7, "first", 7},
    {1001, 1, 0, NULL, "https://www.example.org", "www.example.org", 7, "first", 7},
    {1001, 1, 0, NULL, "https://www.example.org", "private.example.org", 7, NULL, ERROR_DENIED},
    {1001, 1, 0, NULL, "https://www.example.org", "other.example", 7, NULL, ERROR_DENIED},
    {1001, 1, 0, NULL, "https://other.example", "private.example.org", 7, NULL, ERROR_DENIED},
    {1001, 1, 0, NULL, "https://other.example", "www.example.org", 7, "second", 3},
    {1001, 1, 0, NULL, "tls://10.2.4.4:5432", "db.example.org", 7, "first", 7},
    {1001, 1, 0, NULL, "tls://10.2.4.4:5432", "10.2.4.5", 7, "first", 7},
    {1001, 1, 0, NULL, "tls://10.2.4.4:5432", "10.2.3.5", 7, NULL, ERROR_DENIED},
    {1001, 1, 0, NULL, "tls://10.2.4.4:5432", "::ffff:10.2.3.5", 7, NULL, ERROR_DENIED},
    {1001, 1, 0, NULL, "tls://10.2.4.4:5432", "www.example.org", 7, NULL, ERROR_DENIED},
    {1001, 1, 0, NULL, "https://www.example.org", "no name", 7, NULL, ERROR_DENIED},
    /* kinds of hand-over */
    {1001, 1, 0, NULL, "https://other.example", NULL, 4, NULL, ERROR_HANDOFF_KIND},
    {1001, 1, 0, NULL, "https://other.example", NULL, 6, "second", 2},
    {1001, 1, 0, NULL, "https://www.example.org", NULL, 0, NULL, ERROR_HANDOFF_KIND},
};

/* Rules that report: what they change, and what not. */
static const char report_text[] =
    "rule strict { client = \"uid:1001\" allow = { \"https://strict.example\", "
    "\"https://strict.example:444\" }\n"
    "  deny = \"https://early.example\" addresses = private handoff = relay }\n"
    "rule watch { client = { \"uid:1001\", \"uid:1002\" } mode = report handoff = { tcp, relay }\n"
    "  allow = { \"https://known.example\", \"unix:/run/a.sock\" } deny = "
    "\"https://never.example\" }\n"
    "rule watch2 { client = { \"uid:1001\", \"uid:1003\" } mode = report\n"
    "  allow = \"https://second.example\" }\n"
    "rule watch-agents { client = \"uid:1004\" socket = agents mode = report allow = "
    "\"https://a.example\" }\n"
    "rule late { client = \"uid:1001\" allow = \"https://late.example\"\n"
    "  deny = \"https://late-deny.example\" mode = enforce }\n";

static const struct {
    uid_t uid;
    const char *listener;
    const char *target;
    const char *tls_name;
    unsigned handoff;
    const char *rule; /* NULL: denied, or HANDOFF_KIND where handoff is 2 */
    bool is_reported;
} reports[] = {
    /* who is allowed has what he had */
    {1001, NULL, "https://strict.example", NULL, 7, "strict", false},
    {1001, NULL, "https://known.example", NULL, 7, "watch", false},
    {1001, NULL, "https://second.example", NULL, 7, "watch2", false},
    {1001, NULL, "https://late.example", NULL, 7, "late", false},
    {1002, NULL, "unix:/run/a.sock", NULL, 7, "watch", false},
    /* nobody allows it: the first that reports and is for this client on this socket */
    {1001, NULL, "https://other.example", NULL, 7, "watch", true},
    {1001, NULL, "tcp://[::ffff:10.0.0.1]:22", NULL, 7, "watch", true},
    {1002, NULL, "https://late.example", NULL, 7, "watch", true},
    {1003, NULL, "https://known.example", NULL, 7, "watch2", true},
    {1004, "agents", "https://b.example", NULL, 7, "watch-agents", true},
    {1004, NULL, "https://b.example", NULL, 7, NULL, false},
    {1001, "agents", "https://other.example", NULL, 7, NULL, false},
    {1005, NULL, "https://known.example", NULL, 7, NULL, false},
    {65534, NULL, "https://known.example", NULL, 7, NULL, false},
    /* deny is final: before, of itself, and behind */
    {1001, NULL, "https://early.example", NULL, 7, NULL, false},
    {1002, NULL, "https://early.example", NULL, 7, "watch", true},
    {1002, NULL, "https://never.example", NULL, 7, NULL, false},
    {1001, NULL, "https://late-deny.example", NULL, 7, NULL, false},
    {1002, NULL, "https://other.example", "never.example", 7, NULL, false},
    /* nor is the kind of hand-over wider, nor are there Unix sockets */
    {1002, NULL, "https://other.example", NULL, 2, NULL, false},
    {1002, NULL, "unix:/run/b.sock", NULL, 7, NULL, false},
    /* TLS names, in what the rule itself decides */
    {1002, NULL, "https://known.example", "known.example", 7, "watch", false},
    {1002, NULL, "https://known.example", "other.example", 7, "watch", true},
    {1002, NULL, "https://known.example", "never.example", 7, NULL, false},
    {1002, NULL, "https://other.example", "known.example", 7, "watch", true},
    {1001, NULL, "https://strict.example", "other.example", 7, NULL, false},
    {1002, NULL, "https://known.example", "no name", 7, NULL, false},
};

static struct config *config;

static void set_up(void)
{
    char error[CONFIG_ERROR_MAX] = "";

    ck_assert_msg(config_parse(&config, "c", text, sizeof text - 1, error) == 0, "%s", error);
}

static void tear_down(void)
{
    config = config_unref(config);
}

static struct target target_of(const char *string)
{
    struct target target;
    const char *why = "";

    ck_assert_msg(target_parse(string, strlen(string), &target, &why) == 0, "%s: %s", string, why);
    return target;
}

START_TEST(test_decision)
{
    gid_t groups[] = {77, decisions[_i].group, 78};
    struct identity identity = {
        .uid = decisions[_i].uid,
        .gid = decisions[_i].gid,
        .groups = groups,
        .n_groups = decisions[_i].group ? 3 : 0,
        .listener = decisions[_i].listener,
    };
    struct target target = target_of(decisions[_i].target);
    struct route route = {0};
    struct failure failure = {0};
    bool is_allowed = policy_decide(config, &identity, &target, decisions[_i].tls_name,
                                    decisions[_i].handoff, &route, &failure);

    ck_assert_msg(is_allowed == (decisions[_i].rule != NULL), "%s: %s %s", decisions[_i].target,
                  route.rule ? route.rule->name : "refused", failure.detail);
    if (is_allowed) {
        ck_assert_str_eq(route.rule->name, decisions[_i].rule);
        ck_assert_uint_eq(route.handoff, decisions[_i].ret_handoff);
        ck_assert_int_eq(failure.code, ERROR_NONE);
    } else {
        ck_assert_uint_eq(failure.code, decisions[_i].ret_handoff);
        ck_assert_str_ne(failure.detail, "");
        ck_assert_ptr_null(route.rule);
    }
}
END_TEST

/* By unit and cgroup, whatever the user. */
START_TEST(test_cgroup)
{
    static const char rules[] =
        "rule unit { client = \"unit:ci.service\" allow = \"tcp://h:1\" }\n"
        "rule scope { client = \"unit:init.scope\" deny = \"tcp://h:1\" allow = \"tcp://i:1\" }\n"
        "rule cgroup { client = { \"cgroup:/ci.slice/x\", \"cgroup:/b c\" } allow = \"tcp://h:1\" "
        "}\n";
    static const struct {
        uid_t uid;
        const char *unit;
        const char *cgroup;
        const char *rule;
    } rows[] = {
        {0, "ci.service", "/system.slice/ci.service", "unit"},
        {1001, "ci.service", NULL, "unit"},
        {65534, "ci.service", "/ci.slice/x", NULL},
        {(uid_t)-1, "ci.service", "/ci.slice/x", NULL},
        {1001, NULL, NULL, NULL},
        {0, NULL, NULL, NULL},
        {1001, "", "", NULL},
        {1001, "CI.service", NULL, NULL},
        {1001, "ci.servic", NULL, NULL},
        {1001, "ci.service2", NULL, NULL},
        {1001, "xci.service", NULL, NULL},
        {1001, "init.scope", "/ci.slice/x", NULL},
        {1001, "user@1001.service", "/user.slice/user@1001.service/ci.slice/x", NULL},
        {1001, "user@1001.service", "/user.slice/user@1001.service/ci.service", NULL},
        {1001, NULL, "/ci.slice/x", "cgroup"},
        {1001, "a.service", "/ci.slice/x/a.service", "cgroup"},
        {1001, NULL, "/b c/d", "cgroup"},
        {1001, NULL, "/ci.slice", NULL},
        {1001, NULL, "/ci.slice/xy", NULL},
        {1001, NULL, "/", NULL},
    };
    struct target target = target_of("tcp://h:1");
    struct config *by_cgroup = NULL;
    char error[CONFIG_ERROR_MAX] = "";

    ck_assert(!config->needs_cgroup);
    ck_assert_msg(config_parse(&by_cgroup, "c", rules, sizeof rules - 1, error) == 0, "%s", error);
    ck_assert(by_cgroup->needs_cgroup);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct identity identity = {.uid = rows[i].uid,
                                    .gid = 1,
                                    .unit = (char *)(uintptr_t)rows[i].unit,
                                    .cgroup = (char *)(uintptr_t)rows[i].cgroup};
        struct failure failure;
        struct route route;
        bool is_allowed =
            policy_decide(by_cgroup, &identity, &target, NULL, HANDOFF_ALL, &route, &failure);

        ck_assert_msg(is_allowed == (rows[i].rule != NULL), "row %zu", i);
        if (is_allowed)
            ck_assert_str_eq(route.rule->name, rows[i].rule);
    }
    config_unref(by_cgroup);
}
END_TEST

/* A refusal says why: which of the reasons it was. */
START_TEST(test_detail)
{
    static const struct {
        uid_t uid;
        const char *target;
        const char *tls_name;
        const char *detail;
    } details[] = {
        {65534, "https://a.example", NULL,
         "the client's user is unknown in the daemon's user namespace"},
        {1003, "https://a.example", NULL, "no rule is for this client on this socket"},
        {1001, "https://a.example", NULL, "no rule allows this target to this client"},
        {1001, "https://private.example.org", NULL, "rule 'first' denies this target"},
        {1001, "https://www.example.org", "private.example.org",
         "rule 'first' denies this TLS name"},
        {1001, "https://www.example.org", "b.example",
         "rule 'first' allows the target, but not this TLS name"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(details); i++) {
        struct identity identity = {.uid = details[i].uid, .gid = 1};
        struct target target = target_of(details[i].target);
        struct failure failure;
        struct route route;

        ck_assert(!policy_decide(config, &identity, &target, details[i].tls_name, HANDOFF_ALL,
                                 &route, &failure));
        ck_assert_int_eq(failure.stage, STAGE_POLICY);
        ck_assert_str_eq(failure.detail, details[i].detail);
    }
}
END_TEST

/* Both sides are told: the client cannot see the rule, nor the administrator the request. */
START_TEST(test_kinds_in_detail)
{
    struct identity identity = {.uid = 1001, .gid = 1};
    struct target target = target_of("https://other.example");
    struct failure failure;
    struct route route;

    ck_assert(!policy_decide(config, &identity, &target, NULL, HANDOFF_RELAY, &route, &failure));
    ck_assert_str_eq(failure.detail,
                     "the client accepts only relay, and rule 'second' allows only tcp, ktls");
}
END_TEST

START_TEST(test_report)
{
    struct identity identity = {.uid = reports[_i].uid, .gid = 1, .listener = reports[_i].listener};
    struct target target = target_of(reports[_i].target);
    struct config *reporting = NULL;
    char error[CONFIG_ERROR_MAX] = "";
    struct route route = {0};
    struct failure failure = {0};
    bool is_allowed;

    ck_assert_msg(config_parse(&reporting, "c", report_text, sizeof report_text - 1, error) == 0,
                  "%s", error);
    is_allowed = policy_decide(reporting, &identity, &target, reports[_i].tls_name,
                               reports[_i].handoff, &route, &failure);
    ck_assert_msg(is_allowed == (reports[_i].rule != NULL), "%s: %s %s", reports[_i].target,
                  route.rule ? route.rule->name : "refused", failure.detail);
    if (is_allowed) {
        ck_assert_str_eq(route.rule->name, reports[_i].rule);
        ck_assert(route.is_reported == reports[_i].is_reported);
        ck_assert_uint_eq(route.handoff & ~route.rule->handoff, 0);
        ck_assert_ptr_nonnull(route.rule->tls);
    } else {
        ck_assert_uint_eq(failure.code,
                          reports[_i].handoff == 2 ? ERROR_HANDOFF_KIND : ERROR_DENIED);
    }
    config_unref(reporting);
}
END_TEST

START_TEST(test_empty)
{
    struct identity root = {0};
    struct target target = target_of("https://example.org");
    struct config *empty = NULL;
    struct failure failure;
    struct route route;
    char error[CONFIG_ERROR_MAX];

    ck_assert_int_eq(config_new_empty(&empty, error), 0);
    ck_assert(!policy_decide(empty, &root, &target, NULL, HANDOFF_ALL, &route, &failure));
    ck_assert_int_eq(failure.code, ERROR_DENIED);
    config_unref(empty);
}
END_TEST

START_TEST(test_user)
{
    static const char *const targets[] = {"tcp://h:1", "https://[::1]:7", "unix:/run/a",
                                          "ws://10.0.0.1"};
    struct config *user = NULL;
    char error[CONFIG_ERROR_MAX];

    ck_assert_int_eq(config_new_user(&user, 1001, error), 0);
    for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
        struct identity self = {.uid = 1001, .gid = 65534};
        struct identity other = {.uid = 1002, .gid = 1001};
        struct target target = target_of(targets[i]);
        struct failure failure;
        struct route route;

        ck_assert(policy_decide(user, &self, &target, NULL, HANDOFF_ALL, &route, &failure));
        ck_assert_uint_eq(route.handoff, HANDOFF_ALL);
        ck_assert(!policy_decide(user, &other, &target, NULL, HANDOFF_ALL, &route, &failure));
        self.listener = "agents";
        ck_assert(!policy_decide(user, &self, &target, NULL, HANDOFF_ALL, &route, &failure));
    }
    config_unref(user);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("policy");
    TCase *tcase = tcase_create("policy");

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, test_decision, 0, ARRAY_SIZE(decisions));
    tcase_add_loop_test(tcase, test_report, 0, ARRAY_SIZE(reports));
    tcase_add_test(tcase, test_cgroup);
    tcase_add_test(tcase, test_detail);
    tcase_add_test(tcase, test_kinds_in_detail);
    tcase_add_test(tcase, test_empty);
    tcase_add_test(tcase, test_user);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
