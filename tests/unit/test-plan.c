/* Plans: target and rule in, one line out. */
#include <check.h>
#include <string.h>

#include "daemon/conn/plan.h"
#include "proto/cleanup.h"
#include "tests/lib/suite.h"

#define CIPHERS (1U << TLS_KERNEL_13_AES_128_GCM)

static const struct capabilities whole = {
    .can_seal = true, .kernel_tx = CIPHERS, .kernel_rx = CIPHERS};
static const struct capabilities sealing = {
    .can_seal = true, .kernel_tx = CIPHERS, .ktls_reason = "no ciphers"};
static const struct capabilities plain = {.seal_reason = "no kernel TLS",
                                          .ktls_reason = "no kernel TLS"};

static const struct row {
    const char *target;
    unsigned handoff;
    enum seal seal;
    const struct capabilities *caps;
    const char *plan; /* or, after '!', the error's name */
} rows[] = {
    {"tcp://h:22", HANDOFF_ALL, SEAL_REQUIRED, &sealing,
     "resolve(h) connect(22) seal handoff(tcp)"},
    {"tcp://h:22", HANDOFF_ALL, SEAL_REQUIRED, &plain, "resolve(h) connect(22) handoff(relay)"},
    {"tcp://h:22", HANDOFF_ALL, SEAL_OFF, &plain, "resolve(h) connect(22) handoff(tcp)"},
    {"tcp://h:22", HANDOFF_ALL, SEAL_OFF, &sealing, "resolve(h) connect(22) handoff(tcp)"},
    {"tcp://h:22", HANDOFF_RELAY, SEAL_OFF, &sealing, "resolve(h) connect(22) handoff(relay)"},
    {"tcp://h:22", HANDOFF_TCP, SEAL_REQUIRED, &plain, "!HANDOFF_KIND"},
    {"tcp://h:22", HANDOFF_TCP | HANDOFF_KTLS, SEAL_REQUIRED, &sealing,
     "resolve(h) connect(22) seal handoff(tcp)"},
    {"tcp://h:22", HANDOFF_KTLS, SEAL_OFF, &sealing, "!HANDOFF_KIND"},
    {"http://192.0.2.1", HANDOFF_ALL, SEAL_REQUIRED, &sealing,
     "address(192.0.2.1) connect(80) seal handoff(tcp)"},
    {"https://h", HANDOFF_ALL, SEAL_REQUIRED, &sealing,
     "resolve(h) connect(443) tls(h) handoff(relay)"},
    {"tls://[2001:db8::1]:1", HANDOFF_RELAY, SEAL_REQUIRED, &plain,
     "address(2001:db8::1) connect(1) tls(2001:db8::1) handoff(relay)"},
    {"https://h", HANDOFF_TCP, SEAL_OFF, &sealing, "!HANDOFF_KIND"},
    {"https://h", HANDOFF_TCP | HANDOFF_KTLS, SEAL_OFF, &sealing, "!HANDOFF_KIND"},
    {"unix:/run/x", HANDOFF_ALL, SEAL_REQUIRED, &plain, "connect(/run/x) handoff(tcp)"},
    {"unix:/run/x", HANDOFF_RELAY, SEAL_REQUIRED, &plain, "connect(/run/x) handoff(relay)"},
    {"ws://h/chat", HANDOFF_ALL, SEAL_REQUIRED, &sealing,
     "resolve(h) connect(80) seal websocket(/chat) handoff(tcp)"},
    {"wss://h", HANDOFF_ALL, SEAL_OFF, &sealing,
     "resolve(h) connect(443) tls(h) websocket(/) handoff(relay)"},
    {"imap+starttls://h", HANDOFF_ALL, SEAL_OFF, &sealing,
     "resolve(h) connect(143) imap+starttls tls(h) handoff(relay)"},
    {"imap+starttls://h", HANDOFF_TCP, SEAL_OFF, &sealing, "!HANDOFF_KIND"},
    {"https://h", HANDOFF_ALL, SEAL_REQUIRED, &whole,
     "resolve(h) connect(443) seal tls(h) ktls handoff(ktls)"},
    {"https://h", HANDOFF_KTLS, SEAL_OFF, &whole,
     "resolve(h) connect(443) seal tls(h) ktls handoff(ktls)"},
    {"https://h", HANDOFF_TCP | HANDOFF_RELAY, SEAL_REQUIRED, &whole,
     "resolve(h) connect(443) tls(h) handoff(relay)"},
    {"https://h", HANDOFF_KTLS, SEAL_REQUIRED, &plain, "!HANDOFF_KIND"},
    {"tcp://h:22", HANDOFF_KTLS | HANDOFF_RELAY, SEAL_REQUIRED, &whole,
     "resolve(h) connect(22) handoff(relay)"},
    {"imap+starttls://h", HANDOFF_ALL, SEAL_OFF, &whole,
     "resolve(h) connect(143) seal imap+starttls tls(h) ktls handoff(ktls)"},
    {"wss://h", HANDOFF_ALL, SEAL_OFF, &whole,
     "resolve(h) connect(443) tls(h) websocket(/) handoff(relay)"},
    {"wss://h", HANDOFF_KTLS, SEAL_OFF, &whole, "!HANDOFF_KIND"},
    {"unix:/run/x", HANDOFF_ALL, SEAL_REQUIRED, &whole, "connect(/run/x) handoff(tcp)"},
};

static struct proxy http = {.name = (char *)(uintptr_t) "corp", .kind = PROXY_HTTP};
static struct proxy https = {.name = (char *)(uintptr_t) "safe",
                             .kind = PROXY_HTTP,
                             .tls_name = (char *)(uintptr_t) "s.example"};
static struct proxy socks4 = {.name = (char *)(uintptr_t) "old", .kind = PROXY_SOCKS4};
static struct proxy socks4a = {.name = (char *)(uintptr_t) "older", .kind = PROXY_SOCKS4A};
static struct proxy socks5 = {.name = (char *)(uintptr_t) "inner", .kind = PROXY_SOCKS5};
static struct proxy local = {.name = (char *)(uintptr_t) "local", .kind = PROXY_SOCKS5};
static struct proxy headed = {.name = (char *)(uintptr_t) "lb",
                              .kind = PROXY_HTTP,
                              .tls_name = (char *)(uintptr_t) "lb.example",
                              .send_proxy.version = PROXY_HEADER_V2};

static const struct chain_row {
    const char *target;
    const struct proxy *via[PROXY_HOPS_MAX];
    enum resolve_by resolve;
    enum proxy_header_version header;
    unsigned handoff;
    const char *plan;
} chain_rows[] = {
    {"tcp://h:22",
     {&http},
     RESOLVE_LOCAL,
     0,
     HANDOFF_ALL,
     "resolve(h) resolve(p) connect(3128) seal http-connect(corp) handoff(tcp)"},
    {"tcp://h:22",
     {&http},
     RESOLVE_PROXY,
     0,
     HANDOFF_ALL,
     "resolve(p) connect(3128) seal http-connect(corp) handoff(tcp)"},
    {"tcp://192.0.2.1:22",
     {&socks5},
     RESOLVE_PROXY,
     0,
     HANDOFF_ALL,
     "address(192.0.2.1) address(192.0.2.9) connect(1080) seal socks5(inner) handoff(tcp)"},
    {"https://h",
     {&socks4},
     RESOLVE_LOCAL,
     0,
     HANDOFF_ALL,
     "resolve(h) address(192.0.2.9) connect(1080) seal socks4(old) tls(h) ktls handoff(ktls)"},
    {"https://h",
     {&https},
     RESOLVE_PROXY,
     0,
     HANDOFF_ALL,
     "resolve(p) connect(3128) tls(s.example) http-connect(safe) tls(h) handoff(relay)"},
    {"tcp://h:22",
     {&https},
     RESOLVE_PROXY,
     0,
     HANDOFF_ALL,
     "resolve(p) connect(3128) tls(s.example) http-connect(safe) handoff(relay)"},
    {"tcp://h:22", {&https}, RESOLVE_PROXY, 0, HANDOFF_TCP, "!HANDOFF_KIND"},
    {"tcp://h:22", {&https}, RESOLVE_PROXY, 0, HANDOFF_KTLS, "!HANDOFF_KIND"},
    {"https://h",
     {&local},
     RESOLVE_PROXY,
     0,
     HANDOFF_ALL,
     "connect(/run/p) socks5(local) tls(h) handoff(relay)"},
    {"wss://h/x",
     {&http, &socks5, &https, &socks4a},
     RESOLVE_PROXY,
     0,
     HANDOFF_ALL,
     "resolve(p) connect(3128) http-connect(corp) socks5(inner) tls(s.example) http-connect(safe)"
     " socks4a(older) tls(h) websocket(/x) handoff(relay)"},
    {"tcp://h:22",
     {&local, &http},
     RESOLVE_PROXY,
     0,
     HANDOFF_ALL,
     "connect(/run/p) socks5(local) http-connect(corp) handoff(tcp)"},
    {"tcp://h:22",
     {&headed},
     RESOLVE_PROXY,
     0,
     HANDOFF_ALL,
     "resolve(p) connect(3128) proxy-header(lb) tls(lb.example) http-connect(lb) handoff(relay)"},
    {"tcp://h:22",
     {&http},
     RESOLVE_PROXY,
     PROXY_HEADER_V1,
     HANDOFF_ALL,
     "resolve(p) connect(3128) seal http-connect(corp) proxy-header(h) handoff(tcp)"},
    {"smtp+starttls://h",
     {NULL},
     RESOLVE_LOCAL,
     PROXY_HEADER_V2,
     HANDOFF_ALL,
     "resolve(h) connect(25) seal proxy-header(h) smtp+starttls tls(h) ktls handoff(ktls)"},
    {"tcp://direct.example:22",
     {&http},
     RESOLVE_LOCAL,
     0,
     HANDOFF_ALL,
     "resolve(direct.example) connect(22) seal handoff(tcp)"},
    {"unix:/run/x",
     {&http},
     RESOLVE_LOCAL,
     PROXY_HEADER_V1,
     HANDOFF_ALL,
     "connect(/run/x) handoff(tcp)"},
};

static void set_endpoint(struct proxy *proxy, const char *target)
{
    const char *error;

    ck_assert_int_eq(target_parse(target, strlen(target), &proxy->endpoint, &error), 0);
}

START_TEST(test_chain)
{
    const struct chain_row *row = &chain_rows[_i];
    struct rule rule = {.resolve = row->resolve, .send_proxy.version = row->header};
    struct route route = {.rule = &rule, .accepted = row->handoff, .handoff = row->handoff};
    struct pattern direct;
    char text[PLAN_TEXT_MAX];
    struct failure failure;
    struct target target;
    const char *error;
    struct plan plan;

    https.tls = headed.tls = (struct tls_context *)(uintptr_t)1;
    set_endpoint(&http, "tcp://p:3128");
    set_endpoint(&https, "tcp://p:3128");
    set_endpoint(&headed, "tcp://p:3128");
    set_endpoint(&socks4, "tcp://192.0.2.9:1080");
    set_endpoint(&socks4a, "tcp://192.0.2.9:1080");
    set_endpoint(&socks5, "tcp://192.0.2.9:1080");
    set_endpoint(&local, "unix:/run/p");
    ck_assert_int_eq(pattern_parse("*://direct.example:*", &direct, &error), 0);
    rule.no_proxy = &direct;
    rule.n_no_proxy = 1;
    for (; rule.n_via < PROXY_HOPS_MAX && row->via[rule.n_via]; rule.n_via++)
        rule.via[rule.n_via] = row->via[rule.n_via];
    ck_assert_int_eq(target_parse(row->target, strlen(row->target), &target, &error), 0);
    if (plan_make(&target, &route, &whole, &plan, &failure)) {
        plan_format(&plan, &target, NULL, text);
        ck_assert_str_eq(text, row->plan);
    } else {
        ck_assert_int_eq(row->plan[0], '!');
        ck_assert_str_eq(error_name(failure.code), row->plan + 1);
    }
    pattern_deinit(&direct);
}
END_TEST

START_TEST(test_plan)
{
    const struct row *row = &rows[_i];
    struct rule rule = {.name = (char *)(uintptr_t) "r", .seal = row->seal};
    struct route route = {.rule = &rule, .accepted = row->handoff, .handoff = row->handoff};
    char text[PLAN_TEXT_MAX];
    struct failure failure;
    struct target target;
    const char *error;
    struct plan plan;

    ck_assert_int_eq(target_parse(row->target, strlen(row->target), &target, &error), 0);
    if (plan_make(&target, &route, row->caps, &plan, &failure)) {
        plan_format(&plan, &target, NULL, text);
        ck_assert_str_eq(text, row->plan);
    } else {
        ck_assert_int_eq(row->plan[0], '!');
        ck_assert_str_eq(error_name(failure.code), row->plan + 1);
        ck_assert_uint_gt(strlen(failure.detail), 0);
    }
}
END_TEST

START_TEST(test_source)
{
    const struct {
        const char *target;
        struct source source;
        const char *plan;
    } sources[] = {
        {"tcp://h:22",
         {.address.family = AF_INET, .address.ipv4.s_addr = htonl(INADDR_LOOPBACK)},
         "resolve(h) connect(22 from 127.0.0.1) seal handoff(tcp)"},
        {"https://h",
         {.address.family = AF_INET6, .address.ipv6 = IN6ADDR_LOOPBACK_INIT},
         "resolve(h) connect(443 from ::1) tls(h) handoff(relay)"},
        {"http://192.0.2.1",
         {.interface = "eth0"},
         "address(192.0.2.1) connect(80 from eth0) seal handoff(tcp)"},
        {"unix:/run/x", {.interface = "eth0"}, "connect(/run/x) handoff(tcp)"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
        struct source source = sources[i].source;
        struct rule rule = {.source = &source};
        struct route route = {.rule = &rule, .accepted = HANDOFF_ALL, .handoff = HANDOFF_ALL};
        char text[PLAN_TEXT_MAX];
        struct failure failure;
        struct target target;
        const char *error;
        struct plan plan;

        ck_assert_int_eq(
            target_parse(sources[i].target, strlen(sources[i].target), &target, &error), 0);
        ck_assert(plan_make(&target, &route, &sealing, &plan, &failure));
        plan_format(&plan, &target, NULL, text);
        ck_assert_str_eq(text, sources[i].plan);
    }
}
END_TEST

START_TEST(test_long_names_are_cut_in_the_line)
{
    struct rule rule = {.seal = SEAL_OFF};
    struct route route = {.rule = &rule, .accepted = HANDOFF_ALL, .handoff = HANDOFF_ALL};
    struct target target = {.scheme = SCHEME_UNIX, .host_kind = HOST_PATH};
    char text[PLAN_TEXT_MAX];
    struct failure failure;
    struct plan plan;

    memset(target.path, 'x', sizeof target.path - 1);
    ck_assert(plan_make(&target, &route, &plain, &plan, &failure));
    plan_format(&plan, &target, NULL, text);
    ck_assert_uint_lt(strlen(text), PLAN_TEXT_MAX);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("plan");
    TCase *tcase = tcase_create("plan");

    tcase_add_loop_test(tcase, test_plan, 0, ARRAY_SIZE(rows));
    tcase_add_loop_test(tcase, test_chain, 0, ARRAY_SIZE(chain_rows));
    tcase_add_test(tcase, test_source);
    tcase_add_test(tcase, test_long_names_are_cut_in_the_line);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
