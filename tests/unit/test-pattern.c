/* Patterns: what parses, what matches, and what is denied in another form than it is written. */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/policy/pattern.h"
#include "proto/cleanup.h"
#include "tests/lib/suite.h"

static struct target target_of(const char *text)
{
    struct target target;
    const char *why = "";

    ck_assert_msg(target_parse(text, strlen(text), &target, &why) == 0, "%s: %s", text, why);
    return target;
}

static struct pattern pattern_of(const char *text)
{
    struct pattern pattern;
    const char *why = "";

    ck_assert_msg(pattern_parse(text, &pattern, &why) == 0, "%s: %s", text, why);
    return pattern;
}

static const struct match_case {
    const char *pattern;
    const char *target;
    bool is_match;
} matches[] = {
    {"https://example.org", "https://example.org", true},
    {"HTTPS://Example.ORG.", "https://EXAMPLE.org./", true},
    {"https://example.org", "http://example.org:443", false},
    {"https://example.org", "tls://example.org:443", false},
    {"https://example.org", "https://example.org:444", false},
    {"https://example.org:444", "https://example.org", false},
    {"https://example.org", "https://example.org.evil.example", false},
    {"https://example.org", "https://evilexample.org", false},
    {"https://example.org", "https://www.example.org", false},
    {"https://*.example.org", "https://www.example.org", true},
    {"https://*.example.org", "https://a.b.example.org", true},
    {"https://*.EXAMPLE.org.", "https://WWW.example.ORG.", true},
    {"https://*.example.org", "https://example.org", false},
    {"https://*.example.org", "https://wwwexample.org", false},
    {"https://*.example.org", "https://www.example.org.evil.example", false},
    {"https://*.org", "https://example.org", true},
    {"https://*", "https://example.org", true},
    {"https://*", "https://192.0.2.1", true},
    {"https://*", "https://[2001:db8::1]", true},
    {"https://*", "https://example.org:8443", false},
    {"https://*:*", "https://example.org:1", true},
    {"https://*:*", "https://example.org:65535", true},
    {"*://example.org:*", "postgres+starttls://example.org", true},
    {"*://*:*", "ws://example.org/path", true},
    {"*://*:22", "tcp://example.org:22", true},
    {"*://*:22", "tcp://example.org:23", false},
    {"tcp://h.example:80,443,8000-8080", "tcp://h.example:443", true},
    {"tcp://h.example:80,443,8000-8080", "tcp://h.example:8000", true},
    {"tcp://h.example:80,443,8000-8080", "tcp://h.example:8080", true},
    {"tcp://h.example:80,443,8000-8080", "tcp://h.example:8081", false},
    {"tcp://h.example:80,443,8000-8080", "tcp://h.example:7999", false},
    {"tcp://h.example:1-65535", "tcp://h.example:65535", true},
    {"tcp://h.example:5-5", "tcp://h.example:5", true},
    {"smtp+starttls://mx.example", "smtp+starttls://mx.example", true},
    {"wss://h.example", "wss://h.example/chat", true},
    {"tcp://192.0.2.1:1", "tcp://192.0.2.1:1", true},
    {"tcp://192.0.2.1:1", "tcp://192.0.2.2:1", false},
    {"tcp://10.0.0.0/8:1", "tcp://10.255.255.255:1", true},
    {"tcp://10.0.0.0/8:1", "tcp://11.0.0.0:1", false},
    {"tcp://10.0.0.0/8:1", "tcp://10.0.0.1:2", false},
    {"tcp://10.0.0.0/8:1", "tcp://ten.example:1", false},
    {"https://172.16.0.0/12", "https://172.31.255.255", true},
    {"https://172.16.0.0/12", "https://172.32.0.0", false},
    {"https://0.0.0.0/0", "https://192.0.2.1", true},
    {"https://0.0.0.0/0", "https://[2001:db8::1]", false},
    {"https://0.0.0.0/0", "https://example.org", false},
    {"https://192.0.2.0/31", "https://192.0.2.1", true},
    {"https://192.0.2.0/31", "https://192.0.2.2", false},
    {"https://[2001:DB8::1]", "https://[2001:db8:0:0::1]", true},
    {"https://[2001:db8::]/32", "https://[2001:db8:ffff::1]", true},
    {"https://[2001:db8::]/32", "https://[2001:db9::1]", false},
    {"https://[2001:db8::]/33", "https://[2001:db8:8000::1]", false},
    {"tcp://[2001:db8::]/32:5432", "tcp://[2001:db8::1]:5432", true},
    {"tcp://[2001:db8::]/32:5432", "tcp://[2001:db8::1]:5433", false},
    {"https://[::]/0", "https://[::1]", true},
    {"https://[::]/0", "https://192.0.2.1", false},
    {"https://10.0.0.0/8", "https://[::ffff:10.0.0.1]", false},
    {"https://[::ffff:10.0.0.1]", "https://10.0.0.1", false},
    {"unix:/run/a.sock", "unix:/run/a.sock", true},
    {"unix:/run/a.sock", "unix:/run/A.sock", false},
    {"unix:/run/a.sock", "unix:/run/a.sock2", false},
    {"unix:/run/*", "unix:/run/a", false},
    {"*://*:*", "unix:/run/a.sock", false},
    {"unix:/run/a.sock", "tcp://run:1", false},
};

START_TEST(test_match)
{
    struct pattern pattern = pattern_of(matches[_i].pattern);
    struct target target = target_of(matches[_i].target);

    ck_assert_msg(pattern_matches(&pattern, &target) == matches[_i].is_match, "%s, %s",
                  matches[_i].pattern, matches[_i].target);
    /* What is allowed by a pattern would be denied by it, too. */
    if (matches[_i].is_match)
        ck_assert(pattern_matches_any_form(&pattern, &target));
    pattern_deinit(&pattern);
}
END_TEST

static const struct match_case forms[] = {
    {"https://10.0.0.0/8", "https://[::ffff:10.0.0.1]", true},
    {"https://10.0.0.0/8", "https://[::ffff:a00:1]", true},
    {"https://10.0.0.0/8", "https://[::ffff:11.0.0.1]", false},
    {"https://10.0.0.0/8", "https://[::10.0.0.1]", true},
    {"https://10.0.0.0/8", "https://[64:ff9b::10.0.0.1]", true},
    {"https://10.0.0.0/8", "https://[64:ff9b:1:2:3:4:a00:1]", true},
    {"https://10.0.0.0/8", "https://[64:ff9b:2::a00:1]", false},
    {"https://10.0.0.0/8", "https://[2002:a00:1::1]", true},
    {"https://10.0.0.0/8", "https://[2002:b00:1::1]", false},
    {"https://10.0.0.0/8", "https://[2001:0:a00:1::1]", true},
    {"https://10.0.0.0/8", "https://[2001::f5ff:fffe]", true},
    {"https://10.0.0.0/8", "https://[2001::f4ff:fffe]", false},
    {"https://10.0.0.0/8", "https://[2001:db8::a00:1]", false},
    {"https://127.0.0.1", "https://[::ffff:127.0.0.1]", true},
    {"https://127.0.0.1", "https://[::ffff:127.0.0.1]:444", false},
    {"https://[::ffff:10.0.0.0]/104", "https://10.1.2.3", true},
    {"https://[::ffff:10.0.0.0]/104", "https://11.1.2.3", false},
    {"https://[::ffff:0.0.0.0]/96", "https://192.0.2.1", true},
    {"https://[::]/0", "https://192.0.2.1", false},
    {"https://[::]/0", "https://[::ffff:192.0.2.1]", true},
    {"https://10.0.0.0/8", "https://example.org", false},
    {"https://*", "unix:/a", false},
};

START_TEST(test_any_form)
{
    struct pattern pattern = pattern_of(forms[_i].pattern);
    struct target target = target_of(forms[_i].target);

    ck_assert_msg(pattern_matches_any_form(&pattern, &target) == forms[_i].is_match, "%s, %s",
                  forms[_i].pattern, forms[_i].target);
    pattern_deinit(&pattern);
}
END_TEST

static const struct {
    const char *pattern;
    const char *why; /* how it begins */
} mistakes[] = {
    {"", "write a scheme first"},
    {"example.org", "write a scheme first"},
    {"example.org:443", "write a scheme first"},
    {"gopher://example.org", "this scheme is unknown"},
    {"**://example.org:1", "this scheme is unknown"},
    {"://example.org:1", "write a scheme first"},
    {"tcp://::1:1", "an IPv6 address needs brackets"},
    {"tcp://2001:db8::1", "an IPv6 address needs brackets"},
    {"https://example.org:80:90", "an IPv6 address needs brackets"},
    {"https:example.org", "write '://'"},
    {"https:/example.org", "write '://'"},
    {"https//example.org", "write a scheme first"},
    {"*:/run/a", "write '://'"},
    {"https://", "the host is missing"},
    {"https://:443", "the host is missing"},
    {"https:///x", "the host is missing"},
    {"tcp://example.org", "this scheme has no port of its own"},
    {"*://example.org", "this scheme has no port of its own"},
    {"tls://10.0.0.0/8", "this scheme has no port of its own"},
    {"https://example.org/", "a pattern ends with the host"},
    {"https://example.org/8", "a pattern ends with the host"},
    {"https://user@example.org", "the host name may have"},
    {"https://exa mple.org", "the host name may have"},
    {"https://example..org", "the host name has an empty label"},
    {"https://ex*mple.org", "'*' stands for a whole host"},
    {"https://*example.org", "'*' stands for a whole host"},
    {"https://www.*.org", "'*' stands for a whole host"},
    {"https://*.*.org", "'*' stands for a whole host"},
    {"https://**", "'*' stands for a whole host"},
    {"https://*.", "the host is missing"},
    {"https://*.10.0.0.1", "nothing is below an address"},
    {"https://10.0.0.1/8", "the address has bits set behind its prefix"},
    {"https://10.0.0.0/33", "write a prefix length of 0 to 32"},
    {"https://10.0.0.0/08", "write a prefix length of 0 to 32"},
    {"https://10.0.0.0/", "write a prefix length of 0 to 32"},
    {"https://10.0.0.0/-1", "write a prefix length of 0 to 32"},
    {"https://10.0.0.0/8/8", "write a prefix length of 0 to 32"},
    {"https://10.0.0/8", "a pattern ends with the host"},
    {"https://10.0.0", "not an IPv4 address"},
    {"https://010.0.0.0/8", "a pattern ends with the host"},
    {"https://[2001:db8::1", "the closing bracket"},
    {"https://[]", "there is no IPv6 address"},
    {"https://[10.0.0.1]", "there is no IPv6 address"},
    {"https://[fe80::1%eth0]", "there is no IPv6 address"},
    {"https://2001:db8::1", "an IPv6 address needs brackets"},
    {"https://[2001:db8::]/129", "write a prefix length of 0 to 128"},
    {"https://[2001:db8::1]/64", "the address has bits set behind its prefix"},
    {"https://[2001:db8::1]x", "after an address comes"},
    {"https://example.org:", "write ports as numbers"},
    {"https://example.org:0", "write ports as numbers"},
    {"https://example.org:080", "write ports as numbers"},
    {"https://example.org:65536", "write ports as numbers"},
    {"https://example.org:80,", "write ports as numbers"},
    {"https://example.org:,80", "write ports as numbers"},
    {"https://example.org:80,*", "'*' for all ports stands alone"},
    {"https://example.org:**", "write ports as numbers"},
    {"https://example.org:443/x", "write ports as numbers"},
    {"https://example.org:90-80", "the range of ports is empty"},
    {"https://example.org:80-", "write a range of ports"},
    {"https://example.org:80-90-95", "write a range of ports"},
    {"https://h.example:1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17", "too many ports"},
    {"unix:", ""},
    {"unix:run", ""},
    {"unix:/run/../etc", ""},
    {"unix://host/path", ""},
};

START_TEST(test_mistake)
{
    struct pattern pattern = {.n_ports = 77};
    const char *why = NULL;

    ck_assert_int_eq(pattern_parse(mistakes[_i].pattern, &pattern, &why), -EINVAL);
    ck_assert_uint_eq(pattern.n_ports, 77);
    ck_assert_ptr_nonnull(why);
    ck_assert_msg(strncmp(why, mistakes[_i].why, strlen(mistakes[_i].why)) == 0, "%s: %s",
                  mistakes[_i].pattern, why);
}
END_TEST

START_TEST(test_too_long)
{
    char text[PATTERN_MAX + 2];
    struct pattern pattern;
    const char *why;

    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    ck_assert_int_eq(pattern_parse(text, &pattern, &why), -EINVAL);
    ck_assert_str_eq(why, "the pattern is too long");
}
END_TEST

START_TEST(test_any)
{
    static const char *const texts[] = {"tcp://h:1", "https://[::1]", "unix:/a",
                                        "ws://10.0.0.1:65535"};
    struct pattern any;
    struct pattern any_path;

    pattern_init_any(&any);
    pattern_init_any_path(&any_path);
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct target target = target_of(texts[i]);

        ck_assert(pattern_matches(&any, &target) == (target.scheme != SCHEME_UNIX));
        ck_assert(pattern_matches(&any_path, &target) == (target.scheme == SCHEME_UNIX));
    }
    pattern_deinit(&any);
    pattern_deinit(&any_path);
}
END_TEST

START_TEST(test_rename)
{
    struct target target = target_of("tls://192.0.2.1:5432");
    struct pattern pattern = pattern_of("tls://db.example:5432");
    struct target named = target;

    ck_assert_int_eq(pattern_rename_target(&target, "DB.example.", &named), 0);
    ck_assert(pattern_matches(&pattern, &named));
    pattern_deinit(&pattern);
    pattern = pattern_of("tls://[2001:db8::]/32:5432");
    ck_assert_int_eq(pattern_rename_target(&target, "2001:db8::1", &named), 0);
    ck_assert(pattern_matches(&pattern, &named));
    ck_assert_int_eq(pattern_rename_target(&named, "192.0.2.1", &named), 0);
    ck_assert(!pattern_matches(&pattern, &named));
    ck_assert_int_eq(pattern_rename_target(&target, "a b", &named), -EINVAL);
    ck_assert_int_eq(pattern_rename_target(&target, "", &named), -EINVAL);
    pattern_deinit(&pattern);
    target = target_of("unix:/a");
    ck_assert_int_eq(pattern_rename_target(&target, "a", &named), -EINVAL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pattern");
    TCase *tcase = tcase_create("pattern");

    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, test_match, 0, ARRAY_SIZE(matches));
    tcase_add_loop_test(tcase, test_any_form, 0, ARRAY_SIZE(forms));
    tcase_add_loop_test(tcase, test_mistake, 0, ARRAY_SIZE(mistakes));
    tcase_add_test(tcase, test_too_long);
    tcase_add_test(tcase, test_any);
    tcase_add_test(tcase, test_rename);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
