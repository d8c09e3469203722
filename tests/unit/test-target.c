/* The target parser: a table of what is accepted with its canonical form, and of what is refused
 * with a word of the sentence that says why. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "proto/cleanup.h"
#include "proto/target.h"
#include "tests/lib/suite.h"

static const struct good {
    const char *text;
    const char *canonical;
    enum scheme scheme;
    enum host_kind kind;
    uint16_t port;
} good[] = {
    {"https://example.org", "https://example.org", SCHEME_HTTPS, HOST_NAME, 443},
    {"HTTPS://Example.ORG.:443/", "https://example.org", SCHEME_HTTPS, HOST_NAME, 443},
    {"http://example.org:8080/a/b?c=d", "http://example.org:8080", SCHEME_HTTP, HOST_NAME, 8080},
    {"tcp://192.0.2.1:22", "tcp://192.0.2.1:22", SCHEME_TCP, HOST_IPV4, 22},
    {"tcp://0.0.0.0:1", "tcp://0.0.0.0:1", SCHEME_TCP, HOST_IPV4, 1},
    {"tls://[2001:DB8:0:0::1]:65535", "tls://[2001:db8::1]:65535", SCHEME_TLS, HOST_IPV6, 65535},
    {"https://[::ffff:127.0.0.1]", "https://[::ffff:127.0.0.1]", SCHEME_HTTPS, HOST_IPV6, 443},
    {"https://_srv.xn--bcher-kva.example", "https://_srv.xn--bcher-kva.example", SCHEME_HTTPS,
     HOST_NAME, 443},
    {"https://1.example", "https://1.example", SCHEME_HTTPS, HOST_NAME, 443},
    {"https://0xcafe.example", "https://0xcafe.example", SCHEME_HTTPS, HOST_NAME, 443},
    {"ws://h", "ws://h/", SCHEME_WS, HOST_NAME, 80},
    {"wss://h/chat?x=/y", "wss://h/chat?x=/y", SCHEME_WSS, HOST_NAME, 443},
    {"smtp+starttls://mx.example", "smtp+starttls://mx.example", SCHEME_SMTP, HOST_NAME, 25},
    {"mysql+starttls://db:3307", "mysql+starttls://db:3307", SCHEME_MYSQL, HOST_NAME, 3307},
    {"unix:/run/app.sock", "unix:/run/app.sock", SCHEME_UNIX, HOST_PATH, 0},
    {"unix:/..a/.b/c..", "unix:/..a/.b/c..", SCHEME_UNIX, HOST_PATH, 0},
};

START_TEST(test_good)
{
    const struct good *g = &good[_i];
    char canonical[TARGET_TEXT_MAX];
    const char *error = "";
    struct target t, again;

    ck_assert_msg(target_parse(g->text, strlen(g->text), &t, &error) == 0, "%s: %s", g->text,
                  error);
    target_format(&t, canonical);
    ck_assert_str_eq(canonical, g->canonical);
    ck_assert_int_eq(t.scheme, g->scheme);
    ck_assert_int_eq(t.host_kind, g->kind);
    ck_assert_uint_eq(t.port, g->port);
    ck_assert_int_eq(target_parse(canonical, strlen(canonical), &again, &error), 0);
    ck_assert_mem_eq(&t, &again, sizeof t);
}
END_TEST

static const struct bad {
    const char *text;
    const char *why;
} bad[] = {
    {"", "scheme is missing"},
    {"example.org", "scheme is missing"},
    {"example.org:443", "scheme is missing"},
    {"127.0.0.1:", "scheme is missing"},
    {"[::1]:443/path", "scheme is missing"},
    {"://example.org", "unknown scheme"},
    {"gopher://h", "unknown scheme"},
    {"smtp://h", "unknown scheme"},
    {"https:/h", "must be followed"},
    {"https:", "must be followed"},
    {"https://", "host is missing"},
    {"https://.", "host is missing"},
    {"https://a..b", "empty label"},
    {"https://.a", "empty label"},
    {"https://a..", "empty label"},
    {"https://-a.b", "hyphen"},
    {"https://a-.b", "hyphen"},
    {"https://a b", "letters"},
    {"https://b\xc3\xbc"
     "cher.example",
     "letters"},
    {"https://a%2eb", "letters"},
    {"https://user@h", "user or password"},
    {"https://user:pw@h", "user or password"},
    {"https://h@/x", "user or password"},
    {"https://127.1", "IPv4"},
    {"https://0x7f.1", "IPv4"},
    {"https://0x", "IPv4"}, /* 0.0.0.0 for browsers */
    {"https://127.0x", "IPv4"},
    {"https://0x7f000001", "IPv4"},
    {"https://2130706433", "IPv4"},
    {"https://127.0.0.01", "IPv4"},
    {"https://256.0.0.1", "IPv4"},
    {"https://1.2.3.4.5", "IPv4"},
    {"https://a.1", "IPv4"},
    {"https://1.2.3.4.", "IPv4"},
    {"https://[::1", "']'"},
    {"https://[]", "IPv6"},
    {"https://[1.2.3.4]", "IPv6"},
    {"https://[fe80::1%eth0]", "IPv6"},
    {"https://[::1]x", "other than"},
    {"https://::1", "host is missing"},
    {"tcp://h", "needs a port"},
    {"tls://h", "needs a port"},
    {"tcp://h:", "port is not"},
    {"tcp://h:0", "port is not"},
    {"tcp://h:080", "port is not"},
    {"tcp://h:65536", "port is not"},
    {"tcp://h:1e1", "port is not"},
    {"tcp://h:+1", "port is not"},
    {"tcp://h:1/", "no path"},
    {"https://h?x", "'?'"},
    {"https://h#x", "'?'"},
    {"wss://h/a b", "percent-encoded"},
    {"wss://h/a#b", "percent-encoded"},
    {"wss://h/a\r\nHost: x", "percent-encoded"},
    {"unix:", "absolute path"},
    {"unix:run/x", "absolute path"},
    {"unix://run/x", "shortest form"},
    {"unix:/run/../etc/x", "shortest form"},
    {"unix:/run/./x", "shortest form"},
    {"unix:/run/x/", "shortest form"},
    {"unix:/run/x/..", "shortest form"},
    {"unix:/a\nb", "printable"},
};

START_TEST(test_bad)
{
    const struct bad *b = &bad[_i];
    const char *error = "";
    struct target t, untouched;

    memset(&t, 0x55, sizeof t);
    untouched = t;
    ck_assert_msg(target_parse(b->text, strlen(b->text), &t, &error) == -EINVAL, "%s", b->text);
    ck_assert_msg(strstr(error, b->why) != NULL, "%s: %s", b->text, error);
    ck_assert_mem_eq(&t, &untouched, sizeof t);
}
END_TEST

START_TEST(test_limits)
{
    char text[TARGET_MAX + 16];
    const char *error;
    struct target t;

    /* four labels of 63, 63, 63 and 61 bytes: 253 with the dots */
    snprintf(text, sizeof text, "https://%063d.%063d.%063d.a%060d", 0, 0, 0, 0);
    ck_assert_int_eq(target_parse(text, strlen(text), &t, &error), 0);
    snprintf(text, sizeof text, "https://%063d.%063d.%063d.a%061d", 0, 0, 0, 0);
    ck_assert_int_eq(target_parse(text, strlen(text), &t, &error), -EINVAL);
    snprintf(text, sizeof text, "https://%064d.a", 0);
    ck_assert_int_eq(target_parse(text, strlen(text), &t, &error), -EINVAL);
    snprintf(text, sizeof text, "wss://h/%01023d", 0);
    ck_assert_int_eq(target_parse(text, strlen(text), &t, &error), 0);
    snprintf(text, sizeof text, "wss://h/%01024d", 0);
    ck_assert_int_eq(target_parse(text, strlen(text), &t, &error), -EINVAL);
    snprintf(text, sizeof text, "unix:/%0106d", 0);
    ck_assert_int_eq(target_parse(text, strlen(text), &t, &error), 0);
    snprintf(text, sizeof text, "unix:/%0107d", 0);
    ck_assert_int_eq(target_parse(text, strlen(text), &t, &error), -EINVAL);
    ck_assert_int_eq(target_parse("https://h\0x", 11, &t, &error), -EINVAL);
    ck_assert_ptr_nonnull(strstr(error, "NUL"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("target");
    TCase *tcase = tcase_create("target");

    tcase_add_loop_test(tcase, test_good, 0, ARRAY_SIZE(good));
    tcase_add_loop_test(tcase, test_bad, 0, ARRAY_SIZE(bad));
    tcase_add_test(tcase, test_limits);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
