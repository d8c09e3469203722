/* Absent never means any. A rule with every key is taken apart: each key in turn is left out, and
 * whatever that makes possible must be what the manual says of its absence. The keys are the
 * parser's, so one that comes new needs a row here. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/address.h"
#include "daemon/policy/config_tree.h"
#include "daemon/policy/policy.h"
#include "proto/cleanup.h"
#include "tests/lib/suite.h"

/* What a client could want besides the decision. */
enum wish {
    WISH_PUBLIC,
    WISH_PRIVATE,
    WISH_LOOPBACK,
    WISH_LINK_LOCAL,
    WISH_HOST,
    WISH_BARE,         /* a socket without seal */
    WISH_OTHER_SOURCE, /* to come from elsewhere than the rule's source */
    WISH_SYSTEM_TRUST, /* a certificate of any CA of the system */
    WISH_TWO,          /* connections in progress */
    WISH_MANY,         /* as many as there are by default */
    WISH_TOO_MANY,     /* one more */
    WISH_TWO_RELAYS,
    WISH_MANY_RELAYS,
    WISH_TOO_MANY_RELAYS,
    WISH_FAST,     /* requests one after the other, without end */
    WISH_IDLE,     /* a relay without data, for ever */
    WISH_FOR_EVER, /* a relay that does not end */
    WISH_DIRECT,   /* past the proxy */
    WISH_PROXIED,  /* through it, also where the rule would not */
    WISH_RESOLVED, /* a name, of which nobody here sees the addresses */
    WISH_UNKNOWN,  /* not to be told to the target */
    WISH_UNNAMED,  /* nor what it was asked for as */
    WISHES,
};

struct probe {
    uid_t uid;
    const char *listener;
    const char *target;
    const char *tls_name;
    unsigned handoff;
    enum wish wish;
};

static bool comes_by_default_socket(const struct probe *p)
{
    return p->listener == NULL;
}

static bool is_in_deny(const struct probe *p)
{
    return strstr(p->target, "private") != NULL ||
           (p->tls_name && strstr(p->tls_name, "private") != NULL);
}

static bool is_public(const struct probe *p)
{
    return p->wish == WISH_PUBLIC;
}

static bool is_from_elsewhere(const struct probe *p)
{
    return p->wish == WISH_OTHER_SOURCE;
}

static bool is_system_trust(const struct probe *p)
{
    return p->wish == WISH_SYSTEM_TRUST;
}

static bool is_handed_over(const struct probe *p)
{
    return p->handoff != 0;
}

static bool is_within_pending(const struct probe *p)
{
    return p->wish == WISH_TWO || p->wish == WISH_MANY;
}

static bool is_within_relays(const struct probe *p)
{
    return p->wish == WISH_TWO_RELAYS || p->wish == WISH_MANY_RELAYS;
}

static bool is_fast(const struct probe *p)
{
    return p->wish == WISH_FAST;
}

static bool is_idle(const struct probe *p)
{
    return p->wish == WISH_IDLE;
}

static bool is_for_ever(const struct probe *p)
{
    return p->wish == WISH_FOR_EVER;
}

static bool is_proxied(const struct probe *p)
{
    return p->wish == WISH_PROXIED;
}

static bool is_unnamed(const struct probe *p)
{
    return p->wish == WISH_UNNAMED;
}

static const struct row {
    const char *line;                            /* in the full rule */
    const char *error;                           /* leaving it out is a mistake */
    bool (*may_open)(const struct probe *probe); /* what the manual says; NULL: nothing */
} rows[KEY_COUNT] = {
    [KEY_CLIENT] = {"client = \"uid:1001\"", "has no 'client' and would be for nobody", NULL},
    [KEY_SOCKET] = {"socket = agents", NULL, comes_by_default_socket},
    [KEY_ALLOW] = {"allow = { \"https://*.example.org\", \"unix:/run/a.sock\" }",
                   "has no 'allow' and would allow nothing", NULL},
    [KEY_DENY] = {"deny = \"https://private.example.org\"", NULL, is_in_deny},
    [KEY_ADDRESSES] = {"addresses = { private, link-local }", NULL, is_public},
    [KEY_SOURCE] = {"source = 192.0.2.7", NULL, is_from_elsewhere},
    [KEY_HANDOFF] = {"handoff = relay", NULL, is_handed_over},
    [KEY_SEAL] = {"seal = required", NULL, NULL},
    [KEY_MODE] = {"mode = enforce", NULL, NULL},
    [KEY_TLS] = {"tls = partner", NULL, is_system_trust},
    [KEY_MAX_PENDING] = {"max-pending = 1", NULL, is_within_pending},
    [KEY_MAX_RELAYS] = {"max-relays = 1", NULL, is_within_relays},
    [KEY_MAX_RATE] = {"max-rate = \"1/s\"", NULL, is_fast},
    [KEY_IDLE_TIMEOUT] = {"idle-timeout = 60", NULL, is_idle},
    [KEY_MAX_LIFETIME] = {"max-lifetime = 60", NULL, is_for_ever},
    [KEY_VIA] = {"via = corp", "is for rules with 'via', which is missing", NULL},
    [KEY_NO_PROXY] = {"no-proxy = www.example.org", NULL, is_proxied},
    [KEY_RESOLVE] = {"resolve = local", NULL, NULL},
    [KEY_SEND_PROXY] = {"send-proxy = v2", "is for version 2; write send-proxy = \"v2\"", NULL},
    [KEY_SEND_PROXY_OPTIONS] = {"send-proxy-options = authority", NULL, is_unnamed},
};

static const enum config_key keys[] = {
#define X(name, text, form) form == FORM_LATER ? KEY_COUNT : KEY_##name,
    CONFIG_RULE_KEYS(X)
#undef X
};

/* The rule without one key, and one with the system's trust for comparison. */
static int parse_without(enum config_key omitted, struct config **ret, char *error)
{
    char text[4096] = "tls partner { min-version = 1.3 }\n"
                      "proxy corp { url = \"http://proxy.example:3128\" }\n"
                      "rule system { client = \"uid:7\" allow = \"https://h\" }\n"
                      "rule r {\n";

    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        if (keys[i] == KEY_COUNT || keys[i] == omitted)
            continue;
        ck_assert_msg(rows[keys[i]].line != NULL, "what does a rule without '%s' mean?",
                      config_key_name(keys[i]));
        strcat(strcat(text, rows[keys[i]].line), "\n");
    }
    strcat(text, "}\n");
    return config_parse(ret, "c", text, strlen(text), error);
}

static bool is_wish_granted(const struct config *config, const struct rule *rule,
                            const struct target *target, enum wish wish)
{
    switch (wish) {
    case WISH_PUBLIC:
        return rule->addresses & ADDRESS_CLASS_PUBLIC;
    case WISH_PRIVATE:
        return rule->addresses & ADDRESS_CLASS_PRIVATE;
    case WISH_LOOPBACK:
        return rule->addresses & ADDRESS_CLASS_LOOPBACK;
    case WISH_LINK_LOCAL:
        return rule->addresses & ADDRESS_CLASS_LINK_LOCAL;
    case WISH_HOST:
        return rule->addresses & ADDRESS_CLASS_HOST;
    case WISH_BARE:
        return rule->seal == SEAL_OFF;
    case WISH_OTHER_SOURCE:
        return !rule->source;
    case WISH_SYSTEM_TRUST:
        return rule->tls == config->rules[0].tls;
    case WISH_TWO:
        return rule->max_pending >= 2;
    case WISH_MANY:
        return rule->max_pending >= CONFIG_PENDING_DEFAULT;
    case WISH_TOO_MANY:
        return rule->max_pending > CONFIG_PENDING_DEFAULT;
    case WISH_TWO_RELAYS:
        return rule->max_relays >= 2;
    case WISH_MANY_RELAYS:
        return rule->max_relays >= CONFIG_RELAYS_DEFAULT;
    case WISH_TOO_MANY_RELAYS:
        return rule->max_relays > CONFIG_RELAYS_DEFAULT;
    case WISH_FAST:
        return rule->max_rate.n == 0;
    case WISH_IDLE:
        return rule->idle_timeout_us == 0;
    case WISH_FOR_EVER:
        return rule->max_lifetime_us == 0;
    case WISH_DIRECT:
        return rule_is_direct(rule, target);
    case WISH_PROXIED:
        return !rule_is_direct(rule, target);
    case WISH_RESOLVED:
        return rule->resolve == RESOLVE_PROXY;
    case WISH_UNKNOWN:
        return rule->send_proxy.version == 0;
    case WISH_UNNAMED:
        return !rule->send_proxy.has_authority;
    case WISHES:
        break;
    }
    ck_abort();
}

static bool is_possible(const struct config *config, const struct probe *p)
{
    struct identity identity = {.uid = p->uid, .gid = 1, .listener = p->listener};
    struct failure failure;
    struct target target;
    struct route route;
    const char *why;

    ck_assert_int_eq(target_parse(p->target, strlen(p->target), &target, &why), 0);
    return policy_decide(config, &identity, &target, p->tls_name, p->handoff, &route, &failure) &&
           is_wish_granted(config, route.rule, &target, p->wish);
}

static const uid_t uids[] = {1001, 1002};
static const char *const listeners[] = {"agents", NULL, "other"};
static const char *const targets[] = {"https://www.example.org",   "https://private.example.org",
                                      "https://elsewhere.example", "tcp://www.example.org:443",
                                      "https://10.0.0.1",          "unix:/run/a.sock",
                                      "unix:/run/b.sock"};
static const char *const names[] = {NULL, "mail.example.org", "private.example.org",
                                    "elsewhere.example"};
static const unsigned kinds[] = {HANDOFF_TCP, HANDOFF_KTLS, HANDOFF_RELAY};

#define PROBES                                                                                     \
    (ARRAY_SIZE(uids) * ARRAY_SIZE(listeners) * ARRAY_SIZE(targets) * ARRAY_SIZE(names) *          \
     ARRAY_SIZE(kinds) * WISHES)

static size_t take(size_t *n, size_t size)
{
    size_t digit = *n % size;

    *n /= size;
    return digit;
}

static struct probe probe_nth(size_t n)
{
    return (struct probe){
        .uid = uids[take(&n, ARRAY_SIZE(uids))],
        .listener = listeners[take(&n, ARRAY_SIZE(listeners))],
        .target = targets[take(&n, ARRAY_SIZE(targets))],
        .tls_name = names[take(&n, ARRAY_SIZE(names))],
        .handoff = kinds[take(&n, ARRAY_SIZE(kinds))],
        .wish = (enum wish)take(&n, WISHES),
    };
}

/* Returns how many probes are possible without the key and not with it. */
static size_t count_opened(const struct config *full, const struct config *reduced,
                           enum config_key key)
{
    size_t n_opened = 0;

    for (size_t i = 0; i < PROBES; i++) {
        struct probe p = probe_nth(i);

        if (is_possible(full, &p) || !is_possible(reduced, &p))
            continue;
        n_opened++;
        ck_assert_msg(rows[key].may_open && rows[key].may_open(&p),
                      "without '%s': uid %u on %s, %s as %s, hand-over %u, wish %d",
                      config_key_name(key), p.uid, p.listener ? p.listener : "the default socket",
                      p.target, p.tls_name ? p.tls_name : "itself", p.handoff, (int)p.wish);
    }
    return n_opened;
}

START_TEST(test_key)
{
    enum config_key key = keys[_i];
    struct config *full = NULL;
    struct config *reduced = NULL;
    char error[CONFIG_ERROR_MAX] = "";

    if (key == KEY_COUNT)
        return; /* of a later version */
    ck_assert_msg(parse_without(KEY_COUNT, &full, error) == 0, "%s", error);
    if (rows[key].error) {
        ck_assert_int_eq(parse_without(key, &reduced, error), -EINVAL);
        ck_assert_msg(strstr(error, rows[key].error) != NULL, "%s", error);
    } else {
        ck_assert_msg(parse_without(key, &reduced, error) == 0, "%s", error);
        ck_assert_msg((count_opened(full, reduced, key) > 0) == (rows[key].may_open != NULL),
                      "the row of '%s' says otherwise", config_key_name(key));
    }
    config_unref(reduced);
    config_unref(full);
}
END_TEST

/* The probes can tell: there are some of both kinds for each wish that a rule can grant. */
START_TEST(test_full)
{
    size_t n_possible = 0;
    struct config *full = NULL;
    char error[CONFIG_ERROR_MAX] = "";

    ck_assert_msg(parse_without(KEY_COUNT, &full, error) == 0, "%s", error);
    for (size_t i = 0; i < PROBES; i++) {
        struct probe p = probe_nth(i);

        n_possible += is_possible(full, &p);
    }
    ck_assert_uint_gt(n_possible, 0);
    ck_assert_uint_lt(n_possible, PROBES / 10);
    config_unref(full);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("absent");
    TCase *tcase = tcase_create("absent");

    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, test_key, 0, ARRAY_SIZE(keys));
    tcase_add_test(tcase, test_full);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
