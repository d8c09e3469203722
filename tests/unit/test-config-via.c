/* The way to a rule's targets: what the keys give, which targets go direct, and each mistake with
 * its line and sentence. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/stats.h"
#include "daemon/policy/no_proxy.h"
#include "daemon/policy/policy.h"
#include "proto/cleanup.h"
#include "tests/lib/suite.h"

#define PROXIES                                                                                    \
    "proxy http { url = \"http://http.example:3128\" }\n"                                          \
    "proxy https { url = \"https://https.example\" }\n"                                            \
    "proxy https2 { url = \"https://https2.example\" }\n"                                          \
    "proxy socks4 { url = \"socks4://192.0.2.4\" }\n"                                              \
    "proxy socks4a { url = \"socks4a://socks4a.example\" }\n"                                      \
    "proxy socks5 { url = \"socks5://socks5.example\" }\n"                                         \
    "proxy six { url = \"socks5://[2001:db8::6]\" }\n"                                             \
    "proxy unix { url = \"http://unix.example\" unix-socket = \"/run/x\" }\n"
#define N_PROXIES 8 /* and as many lines */

static struct config *parse(const char *text)
{
    struct config *config = NULL;
    char error[CONFIG_ERROR_MAX] = "";
    int r = config_parse(&config, "c", text, strlen(text), error);

    ck_assert_msg(r == 0, "%s", error);
    return config;
}

START_TEST(test_defaults)
{
    struct config *config =
        parse(PROXIES "rule a { client = \"uid:1\" allow = \"tcp://h:1\" }\n"
                      "rule b { client = \"uid:1\" allow = \"tcp://h:1\" via = http }\n");
    const struct rule *rule = config->rules;

    ck_assert_uint_eq(config->n_proxies, N_PROXIES);
    ck_assert_uint_eq(rule->n_via, 0);
    ck_assert_uint_eq(rule->n_no_proxy, 0);
    ck_assert_int_eq(rule->send_proxy.version, 0);
    ck_assert_uint_eq(rule[1].n_via, 1);
    ck_assert_uint_eq(rule[1].n_no_proxy, 0);
    ck_assert_int_eq(rule[1].resolve, RESOLVE_LOCAL);
    config_unref(config);
}
END_TEST

/* The rule stands before the proxies, of which it may have all that may be in one way. */
START_TEST(test_every_key)
{
    struct config *config =
        parse("rule a {\n client = \"uid:1\"\n allow = \"https://*\"\n"
              " via = { unix, https, socks4a, socks5 }\n"
              " no-proxy = { \".internal.example\", \"10.0.0.0/8\" }\n"
              " resolve = proxy\n send-proxy = v2\n send-proxy-options = { alpn, crc32c }\n}\n"
              "rule b { client = \"uid:1\" allow = \"tcp://h:1\" send-proxy = v1 }\n" PROXIES);
    const struct rule *rule = config->rules;
    static const char *const names[] = {"unix", "https", "socks4a", "socks5"};

    ck_assert_uint_eq(rule->n_via, ARRAY_SIZE(names));
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        ck_assert_str_eq(rule->via[i]->name, names[i]);
    ck_assert_uint_eq(rule->n_no_proxy, 2);
    ck_assert_int_eq(rule->resolve, RESOLVE_PROXY);
    ck_assert_int_eq(rule->send_proxy.version, PROXY_HEADER_V2);
    ck_assert(rule->send_proxy.has_alpn && rule->send_proxy.has_checksum);
    ck_assert(!rule->send_proxy.has_authority && !rule->send_proxy.has_unique_id);
    ck_assert_int_eq(rule[1].send_proxy.version, PROXY_HEADER_V1);
    config_unref(config);
}
END_TEST

static struct target target_of(const char *text)
{
    struct target target;
    const char *why = "";

    ck_assert_msg(target_parse(text, strlen(text), &target, &why) == 0, "%s: %s", text, why);
    return target;
}

START_TEST(test_direct)
{
    static const struct {
        const char *no_proxy;
        const char *target;
        bool is_direct;
    } rows[] = {
        {".internal.example", "https://internal.example", true},
        {".internal.example", "https://a.internal.example", true},
        {".internal.example", "tcp://a.b.Internal.Example.:1", true},
        {".internal.example", "https://xinternal.example", false},
        {".internal.example", "https://internal.example.org", false},
        {".internal.example", "https://example", false},
        {"internal.example", "https://internal.example", true},
        {"internal.example", "https://a.internal.example", false},
        {"Internal.Example.", "https://internal.example", true},
        {".internal.example:443", "https://a.internal.example", true},
        {".internal.example:443", "https://a.internal.example:444", false},
        {"internal.example:80,443", "http://internal.example", true},
        {"internal.example:8000-8080", "http://internal.example", false},
        {"10.0.0.0/8", "tcp://10.255.0.1:22", true},
        {"10.0.0.0/8", "tcp://11.0.0.1:22", false},
        {"10.0.0.0/8", "tcp://[::ffff:10.0.0.1]:22", false},
        {"10.0.0.0/8:22", "tcp://10.0.0.1:22", true},
        {"10.0.0.0/8:22", "tcp://10.0.0.1:23", false},
        {"0.0.0.0/0", "https://name.example", false}, /* nobody looks it up */
        {"192.0.2.1", "https://192.0.2.1", true},
        {"192.0.2.1", "https://192.0.2.2", false},
        {"[2001:db8::]/32", "https://[2001:db8::1]", true},
        {"[2001:db8::]/32", "https://[2001:db9::1]", false},
        {"[2001:db8::1]:443", "https://[2001:db8::1]", true},
        {"[2001:db8::1]:443", "http://[2001:db8::1]", false},
        {"other.example", "unix:/run/x", true},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct target target = target_of(rows[i].target);
        struct config *config;
        char text[2048];

        snprintf(text, sizeof text,
                 PROXIES "rule a { client = \"uid:1\" allow = \"*://*:*\" via = http\n"
                         "  no-proxy = { \"first.example\", \"%s\" } }",
                 rows[i].no_proxy);
        config = parse(text);
        ck_assert_msg(rule_is_direct(config->rules, &target) == rows[i].is_direct,
                      "no-proxy \"%s\": %s", rows[i].no_proxy, rows[i].target);
        config_unref(config);
    }
}
END_TEST

START_TEST(test_direct_without)
{
    struct config *config =
        parse(PROXIES "rule a { client = \"uid:1\" allow = \"*://*:*\" via = http }\n"
                      "rule b { client = \"uid:1\" allow = \"*://*:*\" }\n");
    struct target https = target_of("https://h");
    struct target path = target_of("unix:/run/x");

    ck_assert(!rule_is_direct(&config->rules[0], &https));
    ck_assert(rule_is_direct(&config->rules[0], &path));
    ck_assert(rule_is_direct(&config->rules[1], &https));
    config_unref(config);
}
END_TEST

START_TEST(test_prepare)
{
    struct config *config = parse(PROXIES);
    struct stats_table *table;

    ck_assert_int_eq(stats_table_new(&table), 0);
    ck_assert_int_eq(config_prepare(config, table, 3), 0);
    for (size_t i = 0; i < config->n_proxies; i++)
        for (unsigned worker = 0; worker < 3; worker++)
            ck_assert(!config->proxies[i].memories[worker].is_known);
    config_unref(config);
    stats_table_free(table);
}
END_TEST

#define RULE_OF(allow, body)                                                                       \
    PROXIES "rule \"a\" {\n client = \"uid:1\"\n allow = " allow "\n" body "\n}\n"
#define RULE(body) RULE_OF("\"tcp://h:1\"", body)
#define HANDOFF                                                                                    \
    "12: nothing that this rule allows can be handed over so; add relay: tcp is for connections "  \
    "without TLS, ktls for TLS, but not for WebSocket or through a proxy on a Unix socket, and "   \
    "neither goes through a proxy with TLS"

static const struct {
    const char *text;
    const char *error; /* behind "c:"; NULL: there is none */
} rules[] = {
    {RULE("via = { http,\n corp }"),
     "13: there is no section proxy \"corp\"; write one, or remove it here"},
    {RULE("via = { http, socks5,\n http }"), "13: the way goes twice through proxy 'http'"},
    {RULE("via = { http, https, https2, socks4a,\n socks5 }"),
     "13: the way goes through more than 4 proxies"},
    {RULE("via = { http,\n unix }"),
     "13: proxy 'unix' is reached over a Unix socket of this host and so has to be the first"},
    {RULE("via = { socks4a,\n six }"),
     "13: proxy 'six' has an IPv6 address, which 'socks4a' cannot be told by socks4; use socks5 "
     "there"},
    {RULE("via = { socks4,\n http }"),
     "13: proxy 'http' has a name, which 'socks4' cannot be told by socks4; write its address, or "
     "use socks4a there"},
    {RULE("via = { socks4a, http }"), NULL},
    {RULE("via = { socks5, socks4 }"), NULL},
    {RULE("via = { six, socks4a }"), NULL},
    {RULE("via = http\nresolve = remote"), "13: 'resolve' takes local or proxy; 'remote' is "
                                           "unknown"},
    {RULE("resolve = local"), "12: 'resolve' is for rules with 'via', which is missing; add it, or "
                              "remove this"},
    {RULE("no-proxy = h"), "12: 'no-proxy' is for rules with 'via', which is missing; add it, or "
                           "remove this"},
    {RULE("via = { http, socks4 }\nresolve = proxy"),
     "13: proxy 'socks4' looks no names up: socks4 knows addresses only; use socks4a or socks5, or "
     "remove this"},
    {RULE("via = { socks4a, http }\nresolve = proxy"), NULL},
    {RULE("via = socks4\nresolve = local"), NULL},
    {RULE_OF("{ \"https://[2001:db8::]/32\", \"tcp://[2001:db8::1]:22\" }", "via = socks4a"),
     "12: proxy 'socks4a' cannot be told IPv6 addresses by socks4, and this rule allows nothing "
     "else; use socks5"},
    {RULE_OF("{ \"https://[2001:db8::]/32\", \"https://h\" }", "via = socks4a"), NULL},
    {RULE_OF("\"https://[2001:db8::]/32\"", "via = socks4a\nmode = report"), NULL},
    {RULE_OF("\"https://[2001:db8::]/32\"", "via = { socks4a, socks5 }"), NULL},
    {RULE_OF("{ \"unix:/a\", \"unix:/b\" }", "via = http"),
     "12: no proxy leads to a Unix socket, and this rule allows nothing else; remove 'via'"},
    {RULE_OF("{ \"unix:/a\", \"tcp://h:1\" }", "via = http"), NULL},
    {RULE("via = unix\nsource = eth0"),
     "13: proxy 'unix' is reached over a Unix socket, which has no 'source'; remove it"},
    {RULE("via = unix\nsource = eth0\nno-proxy = h"), NULL},
    {RULE("via = six\nsource = 192.0.2.7"),
     "13: proxy 'six' cannot be connected to from an address of the other family; write one of its "
     "family"},
    {RULE("via = socks4\nsource = \"2001:db8::7\""),
     "13: proxy 'socks4' cannot be connected to from an address of the other family; write one of "
     "its family"},
    {RULE("via = six\nsource = \"2001:db8::7\""), NULL},
    {RULE("via = http\nsource = 192.0.2.7"), NULL},
    {RULE("via = six\nsource = eth0"), NULL},
    /* no-proxy */
    {RULE("via = http\nno-proxy = { a,\n \"*\" }"),
     "14: bad 'no-proxy' '*': '*' is not known here; '.name' is this name and all below it"},
    {RULE("via = http\nno-proxy = \"*.a.example\""),
     "13: bad 'no-proxy' '*.a.example': '*' is not known here; '.name' is this name and all below "
     "it"},
    {RULE("via = http\nno-proxy = \"*:*\""),
     "13: bad 'no-proxy' '*:*': '*' is not known here; '.name' is this name and all below it"},
    {RULE("via = http\nno-proxy = \"https://a\""),
     "13: bad 'no-proxy' 'https://a': it takes no scheme; remove it"},
    {RULE("via = http\nno-proxy = \".10.0.0.1\""),
     "13: bad 'no-proxy' '.10.0.0.1': nothing is below an address; remove the dot"},
    {RULE("via = http\nno-proxy = \"\""), "13: bad 'no-proxy' '': the host is missing; write a "
                                          "name, an address, or '*'"},
    {RULE("via = http\nno-proxy = \".\""), "13: bad 'no-proxy' '.': the host is missing; write a "
                                           "name, an address, or '*'"},
    {RULE("via = http\nno-proxy = \"2001:db8::1\""),
     "13: bad 'no-proxy' '2001:db8::1': an IPv6 address needs brackets, '[2001:db8::1]:443'"},
    {RULE("via = http\nno-proxy = \"10.0.0.1/8\""),
     "13: bad 'no-proxy' '10.0.0.1/8': the address has bits set behind its prefix; write the first "
     "address of the prefix, or a longer one"},
    {RULE("via = http\nno-proxy = \"a:x\""),
     "13: bad 'no-proxy' 'a:x': write ports as numbers of 1 to 65535, '443' or '80,8000-8080'"},
    /* send-proxy */
    {RULE_OF("\"unix:/a\"", "send-proxy = v1"),
     "12: no PROXY header is sent to a Unix socket, and this rule allows nothing else; remove "
     "'send-proxy'"},
    {RULE("send-proxy = 2"), "12: 'send-proxy' takes v1 or v2; '2' is unknown"},
    {RULE("send-proxy-options = alpn"),
     "12: 'send-proxy-options' is for version 2; write send-proxy = \"v2\", or remove it"},
    {RULE("send-proxy = v1\nsend-proxy-options = alpn"),
     "13: 'send-proxy-options' is for version 2; write send-proxy = \"v2\", or remove it"},
    /* what is allowed, and how it may be handed over */
    {RULE_OF("{ \"https://h\", \"smtp+starttls://h\" }", "handoff = tcp"), HANDOFF},
    {RULE_OF("\"tcp://h:1\"", "handoff = ktls"), HANDOFF},
    {RULE_OF("\"unix:/a\"", "handoff = ktls"), HANDOFF},
    {RULE_OF("\"https://h\"", "handoff = tcp\nmode = report"), NULL},
    {RULE_OF("\"https://h\"", "handoff = ktls"), NULL},
    {RULE_OF("{ \"https://h\", \"http://h\" }", "handoff = tcp"), NULL},
    {RULE_OF("\"*://h:1\"", "handoff = ktls"), NULL},
    {RULE_OF("\"*://h:1\"", "handoff = tcp"), NULL},
    {RULE_OF("\"tcp://h:1\"", "handoff = tcp\nvia = { https }"), HANDOFF},
    {RULE_OF("\"tcp://h:1\"", "handoff = tcp\nvia = { https }\nno-proxy = h"), NULL},
    {RULE_OF("\"tcp://h:1\"", "handoff = ktls\nvia = { socks5, https }"), HANDOFF},
    {RULE_OF("\"wss://h\"", "handoff = ktls"), HANDOFF},
    {RULE_OF("\"wss://h\"", "handoff = { ktls, relay }"), NULL},
    {RULE_OF("\"ws://h\"", "handoff = tcp"), NULL},
    {RULE_OF("\"tcp://h:1\"", "handoff = ktls\nvia = { https, https2 }"), HANDOFF},
    {RULE_OF("\"https://h\"", "handoff = ktls\nvia = { https }"), HANDOFF},
    {RULE_OF("\"https://h\"", "handoff = ktls\nvia = { https }\nno-proxy = h"), NULL},
    {RULE_OF("\"https://h\"", "handoff = ktls\nvia = { http }"), NULL},
    {RULE_OF("\"https://h\"", "handoff = ktls") "ktls = false\n",
     "12: what this rule allows could only be handed over as ktls, which 'ktls = false' switches "
     "off; add relay"},
    {RULE_OF("\"https://h\"", "handoff = { tcp, ktls }") "ktls = false\n",
     "12: what this rule allows could only be handed over as ktls, which 'ktls = false' switches "
     "off; add relay"},
    {RULE_OF("\"https://h\"", "handoff = { relay, ktls }") "ktls = false\n", NULL},
    {RULE_OF("\"https://h\"", "handoff = ktls\nvia = { unix }"), HANDOFF},
    {RULE_OF("\"tcp://h:1\"", "handoff = tcp\nvia = { unix }"), NULL},
    {RULE_OF("\"https://h\"", "handoff = relay\nvia = { https }"), NULL},
    {RULE_OF("{ \"unix:/a\", \"tcp://h:1\" }", "handoff = tcp\nvia = https"), NULL},
};

START_TEST(test_rule)
{
    const char *text = rules[_i].text;
    struct config *config = NULL;
    char expected[CONFIG_ERROR_MAX] = "";
    char error[CONFIG_ERROR_MAX] = "";
    int r = config_parse(&config, "c", text, strlen(text), error);

    if (rules[_i].error)
        snprintf(expected, sizeof expected, "c:%s", rules[_i].error);
    ck_assert_msg(r == (rules[_i].error ? -EINVAL : 0), "%s", r < 0 ? error : "accepted");
    if (r < 0)
        ck_assert_str_eq(error, expected);
    config_unref(config);
}
END_TEST

START_TEST(test_long)
{
    char text[PATTERN_MAX + 2];
    struct pattern pattern;
    const char *why;

    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    for (size_t n = PATTERN_MAX - 10; n < sizeof text; n++) {
        ck_assert_int_eq(no_proxy_parse(text + sizeof text - 1 - n, &pattern, &why), -EINVAL);
        ck_assert_ptr_nonnull(why);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("config-via");
    TCase *tcase = tcase_create("config-via");

    tcase_add_test(tcase, test_defaults);
    tcase_add_test(tcase, test_every_key);
    tcase_add_test(tcase, test_direct);
    tcase_add_test(tcase, test_direct_without);
    tcase_add_test(tcase, test_prepare);
    tcase_add_loop_test(tcase, test_rule, 0, ARRAY_SIZE(rules));
    tcase_add_test(tcase, test_long);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
