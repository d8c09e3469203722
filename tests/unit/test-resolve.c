/* The resolver against a scripted name server: what is answered, and how often it asks. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "proto/cleanup.h"
#include "tests/lib/resolve_rig.h"

START_TEST(test_both_families)
{
    say("www.example 60 A 192.0.2.2");
    say("www.example 60 A 192.0.2.1");
    say("www.example 60 AAAA 2001:db8::2");
    say("www.example 60 AAAA 2001:db8::1");
    ck_assert_str_eq(resolve("www.example"), "2001:db8::2 2001:db8::1 192.0.2.2 192.0.2.1");
    ck_assert_uint_eq(dns_server_count(rig.server, "www.example", DNS_A), 1);
    ck_assert_uint_eq(dns_server_count(rig.server, "www.example", DNS_AAAA), 1);
}
END_TEST

START_TEST(test_one_family)
{
    say("four.example 60 A 192.0.2.1");
    say("six.example 60 AAAA 2001:db8::1");
    ck_assert_str_eq(resolve("four.example"), "192.0.2.1");
    ck_assert_str_eq(resolve("six.example"), "2001:db8::1");
}
END_TEST

START_TEST(test_chain)
{
    say("a.example 60 CNAME b.example");
    say("b.example 60 CNAME c.example");
    say("c.example 60 A 192.0.2.1");
    ck_assert_str_eq(resolve("a.example"), "192.0.2.1");
    say("x.example 60 CNAME y.example");
    say("y.example 60 CNAME x.example");
    ck_assert_str_eq(resolve("x.example"),
                     "RESOLVE_FAILED: x.example: CNAME chain too long or circular");
    say("dangling.example 60 CNAME nowhere.example");
    ck_assert_str_eq(resolve("dangling.example"), "NO_NAME: dangling.example: NXDOMAIN");
}
END_TEST

START_TEST(test_no_name)
{
    ck_assert_str_eq(resolve("none.example"), "NO_NAME: none.example: NXDOMAIN");
}
END_TEST

START_TEST(test_no_address)
{
    say("mx.example 60 NODATA");
    ck_assert_str_eq(resolve("mx.example"), "NO_ADDRESS: mx.example: neither A nor AAAA records");
}
END_TEST

START_TEST(test_server_fails)
{
    say("bad.example - RCODE 2");
    say("refused.example - RCODE 5");
    ck_assert_str_eq(resolve("bad.example"), "RESOLVE_FAILED: bad.example: SERVFAIL");
    ck_assert_str_eq(resolve("refused.example"), "RESOLVE_FAILED: refused.example: REFUSED");
}
END_TEST

START_TEST(test_one_family_fails)
{
    say("half.example - RCODE 2 AAAA");
    say("half.example 60 A 192.0.2.1");
    say("other.example - RCODE 2 A");
    say("other.example 60 AAAA 2001:db8::1");
    ck_assert_str_eq(resolve("half.example"), "192.0.2.1");
    ck_assert_str_eq(resolve("other.example"), "2001:db8::1");
    say("mixed.example - RCODE 2 A");
    ck_assert_str_eq(resolve("mixed.example"), "RESOLVE_FAILED: mixed.example: SERVFAIL");
}
END_TEST

/* The reason, with the rig's server. */
static const char *asked_in_vain(const char *reason)
{
    static char text[256];

    snprintf(text, sizeof text, "RESOLVE_FAILED: %s, asked: 127.0.0.1:%u", reason,
             dns_server_port(rig.server));
    return text;
}

START_TEST(test_timeout)
{
    uint64_t begin_us, took_ms;

    reopen_with_short_timeout();
    begin_us = clock_now_us();
    say("silent.example - SILENT");
    ck_assert_str_eq(resolve("silent.example"), asked_in_vain("silent.example: timed out"));
    took_ms = (clock_now_us() - begin_us) / US_PER_MS;
    ck_assert_uint_ge(took_ms, 3 * TIMEOUT_MS - 5); /* twice, the second time doubled */
    ck_assert_uint_le(took_ms, 3 * TIMEOUT_MS + 10000);
    ck_assert_uint_eq(asked("silent.example"), 4);
}
END_TEST

START_TEST(test_answer_to_second_try)
{
    struct probe p;

    reopen_with_short_timeout();
    say("slow.example - SILENT");
    begin(&p, "slow.example");
    run_for_ms(TIMEOUT_MS / 2);
    dns_server_clear(rig.server);
    say("slow.example 60 A 192.0.2.1");
    wait_for(&p);
    ck_assert_str_eq(p.text, "192.0.2.1");
}
END_TEST

START_TEST(test_truncation_goes_to_tcp)
{
    char line[64];
    const char *text;
    unsigned n = 1;

    say("big.example - TRUNCATE");
    for (unsigned i = 0; i < 100; i++) {
        snprintf(line, sizeof line, "big.example 60 A 10.0.0.%u", i);
        say(line);
        snprintf(line, sizeof line, "big.example 60 AAAA 2001:db8::%x", i);
        say(line);
    }
    text = resolve("big.example");
    ck_assert_uint_eq(dns_server_count_tcp(rig.server), 2);
    for (const char *c = text; *c; c++)
        n += *c == ' ';
    ck_assert_uint_eq(n, RESOLVE_ADDRESSES_MAX); /* and both families have a share */
    ck_assert_int_eq(strncmp(text, "2001:db8:: ", 11), 0);
    ck_assert_ptr_nonnull(strstr(text, " 10.0.0.15"));
    ck_assert_ptr_null(strstr(text, " 10.0.0.16"));
}
END_TEST

START_TEST(test_tcp_closed)
{
    say("cut.example - TRUNCATE");
    say("cut.example - RESET");
    ck_assert_int_eq(strncmp(resolve("cut.example"), "RESOLVE_FAILED: cut.example: ", 29), 0);
    ck_assert_uint_ge(dns_server_count_tcp(rig.server), 1);
}
END_TEST

START_TEST(test_garbage)
{
    reopen_with_short_timeout();
    say("garbage.example - GARBAGE");
    say("wrong.example - WRONG-NAME");
    ck_assert_str_eq(resolve("garbage.example"),
                     "RESOLVE_FAILED: garbage.example: malformed answer");
    /* Not an answer to our question at all: passed over. */
    ck_assert_str_eq(resolve("wrong.example"), asked_in_vain("wrong.example: timed out"));
}
END_TEST

/* The first of them are named. */
START_TEST(test_many_servers)
{
    struct resolver_options options = usual_options();

    options.servers = "[::1]:1,127.0.0.1:1,127.0.0.2:1,127.0.0.3:1,127.0.0.4:1";
    options.timeout_ms = TIMEOUT_MS;
    options.tries = 1;
    reopen_resolver(&options);
    ck_assert_ptr_nonnull(
        strstr(resolve("www.example"), ", asked: [::1]:1, 127.0.0.1:1, 127.0.0.2:1 and 2 more"));
}
END_TEST

START_TEST(test_second_server)
{
    struct resolver_options options = usual_options();
    struct dns_server *second;
    char two[128];

    ck_assert_int_eq(dns_server_new(&second, NULL, 0, NULL), 0);
    ck_assert_int_eq(dns_server_add(second, "www.example 60 A 192.0.2.1"), 0);
    say("* - RCODE 5");
    snprintf(two, sizeof two, "%s,127.0.0.1:%u", rig.servers, dns_server_port(second));
    options.servers = two;
    reopen_resolver(&options);
    ck_assert_str_eq(resolve("www.example"), "192.0.2.1");
    ck_assert_uint_eq(asked("www.example"), 2);
    dns_server_free(second);
}
END_TEST

/* RESOLVE_PATIENCE_MS for the family that is late; what it says still gets into the cache. */
START_TEST(test_late_family)
{
    struct probe p, second;
    uint64_t begin_us, took_ms;

    say("late.example 60 A 192.0.2.1");
    say("late.example 60 AAAA 2001:db8::1");
    say("late.example - DELAY 1800 AAAA"); /* less than RESOLVE_TIMEOUT_MS */
    begin_us = clock_now_us();
    begin(&p, "late.example");
    wait_for(&p);
    took_ms = (clock_now_us() - begin_us) / US_PER_MS;
    ck_assert_str_eq(p.text, "192.0.2.1");
    ck_assert_uint_ge(took_ms, RESOLVE_PATIENCE_MS - 5);
    ck_assert_uint_lt(took_ms, 1800);
    ck_assert_uint_eq(questions(), 1);
    ck_assert(begin(&second, "late.example")); /* no need to wait again */
    ck_assert_str_eq(second.text, "192.0.2.1");
    wait_for_questions();
    ck_assert_str_eq(resolve("late.example"), "2001:db8::1 192.0.2.1");
    ck_assert_uint_eq(asked("late.example"), 2);
}
END_TEST

/* Who wants one family waits for that one alone, for as long as it takes. */
START_TEST(test_wanted_family)
{
    struct probe four, six, any;

    say("late.example 60 A 192.0.2.1");
    say("late.example 60 AAAA 2001:db8::1");
    say("late.example - DELAY 1800 AAAA"); /* less than RESOLVE_TIMEOUT_MS */
    begin_family(&six, "late.example", AF_INET6);
    begin_family(&four, "late.example", AF_INET);
    begin(&any, "late.example");
    wait_for(&four);
    ck_assert_str_eq(four.text, "192.0.2.1");
    ck_assert_uint_eq(any.calls, 0);
    wait_for(&any);
    ck_assert_uint_eq(six.calls, 0);
    ck_assert(begin_family(&four, "late.example", AF_INET));
    wait_for(&six);
    ck_assert_str_eq(six.text, "2001:db8::1 192.0.2.1");
    ck_assert_uint_eq(asked("late.example"), 2);
}
END_TEST

/* Names that DNS is not asked for. */

START_TEST(test_special_names)
{
    write_file(rig.hosts_path, "192.0.2.1 localhost\n");
    ck_assert_str_eq(resolve("localhost"), "::1 127.0.0.1");
    ck_assert_str_eq(resolve("a.b.localhost"), "::1 127.0.0.1");
    ck_assert_int_eq(strncmp(resolve("x.onion"), "NO_NAME", 7), 0);
    ck_assert_uint_eq(dns_server_count_all(rig.server), 0);
    say("notlocalhost 60 A 192.0.2.9");
    ck_assert_str_eq(resolve("notlocalhost"), "192.0.2.9");
}
END_TEST

START_TEST(test_hosts_first)
{
    write_file(rig.hosts_path, "192.0.2.1 www.example\n2001:db8::1 www.example\n");
    say("www.example 60 A 192.0.2.9");
    ck_assert_str_eq(resolve("www.example"), "192.0.2.1 2001:db8::1");
    ck_assert_uint_eq(dns_server_count_all(rig.server), 0);
}
END_TEST

START_TEST(test_no_search_list)
{
    struct resolver_options options = usual_options();

    write_file(rig.resolv_conf_path, "search example.org\noptions ndots:9\n");
    options.resolv_conf_path = rig.resolv_conf_path;
    reopen_resolver(&options);
    say("printer.example.org 60 A 192.0.2.9");
    say("printer 60 A 192.0.2.1");
    ck_assert_str_eq(resolve("printer"), "192.0.2.1");
    ck_assert_str_eq(resolve("scanner"), "NO_NAME: scanner: NXDOMAIN");
    ck_assert_uint_eq(dns_server_count_all(rig.server), 4);
}
END_TEST

START_TEST(test_longest_name)
{
    char name[TARGET_HOST_MAX + 1], line[TARGET_HOST_MAX + 32];

    for (size_t i = 0; i < TARGET_HOST_MAX; i++)
        name[i] = i % 64 == 63 ? '.' : 'a';
    name[TARGET_HOST_MAX] = '\0';
    snprintf(line, sizeof line, "%s 60 A 192.0.2.1", name);
    say(line);
    ck_assert_str_eq(resolve(name), "192.0.2.1");
    name[TARGET_HOST_MAX - 2] = '.';
    name[100] = '.'; /* an empty label, had a caller not checked */
    name[101] = '.';
    ck_assert_int_eq(strncmp(resolve(name), "RESOLVE_FAILED", 14), 0);
}
END_TEST

/* Asking once. */

START_TEST(test_joined)
{
    struct probe probes[20];

    say("www.example 0 A 192.0.2.1");
    for (size_t i = 0; i < ARRAY_SIZE(probes); i++)
        ck_assert(!begin(&probes[i], "www.example"));
    for (size_t i = 0; i < ARRAY_SIZE(probes); i++) {
        wait_for(&probes[i]);
        ck_assert_str_eq(probes[i].text, "192.0.2.1");
    }
    ck_assert_uint_eq(asked("www.example"), 2);
    /* TTL 0: shared by those who waited, not kept. */
    resolve("www.example");
    ck_assert_uint_eq(asked("www.example"), 4);
}
END_TEST

START_TEST(test_cached_until_the_ttl)
{
    struct resolver_stats stats;

    say("short.example 3 A 192.0.2.1");
    say("chain.example 3 CNAME long.example");
    say("long.example 60 A 192.0.2.2");
    for (unsigned i = 0; i < 5; i++) {
        ck_assert_str_eq(resolve("short.example"), "192.0.2.1");
        ck_assert_str_eq(resolve("chain.example"), "192.0.2.2");
        ck_assert_str_eq(resolve("long.example"), "192.0.2.2");
    }
    ck_assert_uint_eq(asked("short.example"), 2);
    ck_assert_uint_eq(asked("chain.example"), 2);
    ck_assert_uint_eq(asked("long.example"), 2);
    resolver_stats(rig.resolver, &stats);
    ck_assert_uint_eq(stats.lookups, 15);
    ck_assert_uint_eq(stats.cache_hits, 12);
    ck_assert_uint_eq(stats.queries, 6);
    ck_assert_uint_eq(stats.failures, 0);
    ck_assert_uint_eq(stats.cached, 3);
    run_for_ms(3100);
    resolve("short.example");
    resolve("chain.example");
    resolve("long.example");
    ck_assert_uint_eq(asked("short.example"), 4);
    ck_assert_uint_eq(asked("chain.example"), 4);
    ck_assert_uint_eq(asked("long.example"), 2);
}
END_TEST

START_TEST(test_negative_cached)
{
    say("none.example 3 NXDOMAIN");
    say("nodata.example 3 NODATA");
    say("nosoa.example - NXDOMAIN");
    for (unsigned i = 0; i < 3; i++) {
        ck_assert_str_eq(resolve("none.example"), "NO_NAME: none.example: NXDOMAIN");
        ck_assert_int_eq(strncmp(resolve("nodata.example"), "NO_ADDRESS", 10), 0);
        ck_assert_str_eq(resolve("nosoa.example"), "NO_NAME: nosoa.example: NXDOMAIN");
    }
    ck_assert_uint_eq(asked("none.example"), 2);
    ck_assert_uint_eq(asked("nodata.example"), 2);
    ck_assert_uint_eq(asked("nosoa.example"), 2);
    run_for_ms(3100);
    resolve("none.example");
    resolve("nodata.example");
    resolve("nosoa.example");
    ck_assert_uint_eq(asked("none.example"), 4);
    ck_assert_uint_eq(asked("nodata.example"), 4);
    ck_assert_uint_eq(asked("nosoa.example"), 2);
}
END_TEST

START_TEST(test_failures_not_cached)
{
    unsigned before;

    say("bad.example - RCODE 2");
    resolve("bad.example");
    before = asked("bad.example");
    dns_server_clear(rig.server);
    say("bad.example 60 A 192.0.2.1");
    ck_assert_str_eq(resolve("bad.example"), "192.0.2.1");
    ck_assert_uint_eq(asked("bad.example"), before + 2);
}
END_TEST

START_TEST(test_cache_is_bounded)
{
    struct resolver_stats stats;
    char name[32];

    say("* 60 A 192.0.2.1");
    for (unsigned i = 0; i < 150; i++) {
        snprintf(name, sizeof name, "n%u.example", i);
        ck_assert_str_eq(resolve(name), "192.0.2.1");
    }
    resolver_stats(rig.resolver, &stats);
    ck_assert_uint_eq(stats.cached, 100);
    resolve("n149.example");
    ck_assert_uint_eq(asked("n149.example"), 2);
    resolve("n0.example"); /* thrown out */
    ck_assert_uint_eq(asked("n0.example"), 4);
}
END_TEST

static void add_tests(TCase *tcase)
{
    tcase_add_test(tcase, test_both_families);
    tcase_add_test(tcase, test_one_family);
    tcase_add_test(tcase, test_chain);
    tcase_add_test(tcase, test_no_name);
    tcase_add_test(tcase, test_no_address);
    tcase_add_test(tcase, test_server_fails);
    tcase_add_test(tcase, test_one_family_fails);
    tcase_add_test(tcase, test_timeout);
    tcase_add_test(tcase, test_answer_to_second_try);
    tcase_add_test(tcase, test_truncation_goes_to_tcp);
    tcase_add_test(tcase, test_tcp_closed);
    tcase_add_test(tcase, test_garbage);
    tcase_add_test(tcase, test_many_servers);
    tcase_add_test(tcase, test_second_server);
    tcase_add_test(tcase, test_late_family);
    tcase_add_test(tcase, test_wanted_family);
    tcase_add_test(tcase, test_special_names);
    tcase_add_test(tcase, test_hosts_first);
    tcase_add_test(tcase, test_no_search_list);
    tcase_add_test(tcase, test_longest_name);
    tcase_add_test(tcase, test_joined);
    tcase_add_test(tcase, test_cached_until_the_ttl);
    tcase_add_test(tcase, test_negative_cached);
    tcase_add_test(tcase, test_failures_not_cached);
    tcase_add_test(tcase, test_cache_is_bounded);
}

int main(void)
{
    return rig_run("resolve", add_tests);
}
