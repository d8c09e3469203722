/* DNS answers as bytes: well-formed ones, hostile ones, each also cut at every byte and with every
 * byte changed (which must not crash, nor read outside: each copy is allocated at its exact size).
 */
#include "daemon/resolve/dns_message.h"

#include <arpa/inet.h>
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/cleanup.h"
#include "tests/lib/suite.h"

/* The question for www.ex, class IN; its name is at offset 12, "ex" at 16. */
#define HEAD(flags, rcode, answers, authorities)                                                   \
    "\x12\x34" flags rcode "\0\1\0" answers "\0" authorities "\0\0"
#define QUESTION(type)        "\3www\2ex\0\0" type "\0\1"
#define TTL(s)                "\0\0\0" s
#define A(name, ttl, addr)    name "\0\1\0\1" TTL(ttl) "\0\4" addr
#define AAAA(name, ttl, addr) name "\0\x1c\0\1" TTL(ttl) "\0\x10" addr
/* CNAME to X.ex, compressed */
#define CNAME(name, ttl, label) name "\0\5\0\1" TTL(ttl) "\0\4\1" label "\xc0\x10"
#define SOA(ttl, minimum)                                                                          \
    "\xc0\x10\0\6\0\1" TTL(ttl) "\0\x16\0\0" TTL("\1") TTL("\1") TTL("\1") TTL("\1") TTL(minimum)
#define WWW          "\xc0\x0c"
#define NAMED(label) "\1" label "\xc0\x10"
#define IP1          "\xc0\0\2\1"
#define IP2          "\xc0\0\2\2"
#define IP6          "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1"

struct row {
    const char *what;
    const char *bytes;
    size_t n;
    int family;
    const char *expected; /* "verdict ttl addresses…" or the reason of a failure */
};

#define ROW(what, family, expected, bytes)                                                         \
    {                                                                                              \
        what, bytes, sizeof(bytes) - 1, family, expected                                           \
    }

static const struct row rows[] = {
    ROW("one address", AF_INET, "addresses 60 192.0.2.1",
        HEAD("\x81", "\x80", "\1", "\0") QUESTION("\1") A(WWW, "\x3c", IP1)),
    ROW("two addresses: order kept, the shorter TTL", AF_INET, "addresses 5 192.0.2.2 192.0.2.1",
        HEAD("\x81", "\x80", "\2", "\0") QUESTION("\1") A(WWW, "\x3c", IP2) A(WWW, "\5", IP1)),
    ROW("IPv6", AF_INET6, "addresses 60 2001:db8::1",
        HEAD("\x81", "\x80", "\1", "\0") QUESTION("\x1c") AAAA(WWW, "\x3c", IP6)),
    ROW("the name spelled out, in capitals", AF_INET, "addresses 60 192.0.2.1",
        HEAD("\x81", "\x80", "\1", "\0") QUESTION("\1") A("\3WwW\2EX\0", "\x3c", IP1)),
    ROW("chain: the shortest TTL of all", AF_INET, "addresses 7 192.0.2.1",
        HEAD("\x81", "\x80", "\3", "\0") QUESTION("\1") CNAME(WWW, "\x3c", "a")
            CNAME(NAMED("a"), "\7", "b") A(NAMED("b"), "\x20", IP1)),
    ROW("chain in reverse order", AF_INET, "addresses 7 192.0.2.1",
        HEAD("\x81", "\x80", "\3", "\0") QUESTION("\1") A(NAMED("b"), "\x20", IP1)
            CNAME(NAMED("a"), "\7", "b") CNAME(WWW, "\x3c", "a")),
    ROW("address of a name not asked for", AF_INET, "nodata 10",
        HEAD("\x81", "\x80", "\1", "\0") QUESTION("\1") A(NAMED("z"), "\x3c", IP1)),
    ROW("address of the alias itself does not count", AF_INET, "addresses 32 192.0.2.2",
        HEAD("\x81", "\x80", "\3", "\0") QUESTION("\1") A(WWW, "\x3c", IP1) CNAME(WWW, "\x3c", "a")
            A(NAMED("a"), "\x20", IP2)),
    ROW("record of the other family", AF_INET6, "nodata 10",
        HEAD("\x81", "\x80", "\1", "\0") QUESTION("\x1c") A(WWW, "\x3c", IP1)),
    ROW("address of a wrong size", AF_INET, "nodata 10",
        HEAD("\x81", "\x80", "\1", "\0") QUESTION("\1") WWW "\0\1\0\1\0\0\0\x3c\0\5\1\2\3\4\5"),
    ROW("another class", AF_INET, "nodata 10",
        HEAD("\x81", "\x80", "\1", "\0") QUESTION("\1") WWW "\0\1\0\3\0\0\0\x3c\0\4" IP1),
    ROW("TTL with the top bit is 0", AF_INET, "addresses 0 192.0.2.1",
        HEAD("\x81", "\x80", "\1", "\0") QUESTION("\1") WWW "\0\1\0\1\x80\0\0\0\0\4" IP1),
    ROW("NXDOMAIN with SOA: the minimum", AF_INET, "noname 20",
        HEAD("\x81", "\x83", "\0", "\1") QUESTION("\1") SOA("\x50", "\x14")),
    ROW("NXDOMAIN with SOA: its TTL", AF_INET, "noname 8",
        HEAD("\x81", "\x83", "\0", "\1") QUESTION("\1") SOA("\x08", "\x14")),
    ROW("NXDOMAIN without SOA", AF_INET, "noname 10",
        HEAD("\x81", "\x83", "\0", "\0") QUESTION("\1")),
    ROW("NODATA with SOA", AF_INET6, "nodata 20",
        HEAD("\x81", "\x80", "\0", "\1") QUESTION("\x1c") SOA("\x50", "\x14")),
    ROW("NXDOMAIN at the end of a chain", AF_INET, "noname 5",
        HEAD("\x81", "\x83", "\1", "\1") QUESTION("\1") CNAME(WWW, "\5", "a") SOA("\x50", "\x14")),
    ROW("addresses under NXDOMAIN do not count", AF_INET, "noname 10",
        HEAD("\x81", "\x83", "\1", "\0") QUESTION("\1") A(WWW, "\x3c", IP1)),
    ROW("SERVFAIL", AF_INET, "SERVFAIL", HEAD("\x81", "\x82", "\0", "\0") QUESTION("\1")),
    ROW("REFUSED", AF_INET, "REFUSED", HEAD("\x81", "\x85", "\0", "\0") QUESTION("\1")),
    ROW("response code 15", AF_INET, "unknown response code",
        HEAD("\x81", "\x8f", "\0", "\0") QUESTION("\1")),
    ROW("alias of itself", AF_INET, "CNAME chain too long or circular",
        HEAD("\x81", "\x80", "\1", "\0") QUESTION("\1") WWW "\0\5\0\1\0\0\0\1\0\2\xc0\x0c"),
    ROW("circle of two", AF_INET, "CNAME chain too long or circular",
        HEAD("\x81", "\x80", "\2", "\0") QUESTION("\1") CNAME(WWW, "\1", "a")
            NAMED("a") "\0\5\0\1\0\0\0\1\0\2\xc0\x0c"),
    ROW("a question, not an answer", AF_INET, "malformed answer",
        HEAD("\x01", "\x80", "\1", "\0") QUESTION("\1") A(WWW, "\x3c", IP1)),
    ROW("the answer to another name", AF_INET, "malformed answer",
        HEAD("\x81", "\x80", "\0", "\0") "\3www\2ey\0\0\1\0\1"),
    ROW("the answer to another type", AF_INET, "malformed answer",
        HEAD("\x81", "\x80", "\0", "\0") QUESTION("\x1c")),
    ROW("no question", AF_INET, "malformed answer",
        "\x12\x34\x81\x80\0\0\0\1\0\0\0\0" A("\3www\2ex\0", "\x3c", IP1)),
    ROW("more records announced than there are", AF_INET, "malformed answer",
        HEAD("\x81", "\x80", "\2", "\0") QUESTION("\1") A(WWW, "\x3c", IP1)),
    ROW("pointer to itself", AF_INET, "malformed answer",
        HEAD("\x81", "\x80", "\1", "\0") QUESTION("\1") A("\xc0\x18", "\x3c", IP1)),
    ROW("pointer out of the message", AF_INET, "malformed answer",
        HEAD("\x81", "\x80", "\1", "\0") QUESTION("\1") A("\xff\xff", "\x3c", IP1)),
    ROW("reserved label type", AF_INET, "malformed answer",
        HEAD("\x81", "\x80", "\1", "\0") QUESTION("\1") A("\x80\0", "\x3c", IP1)),
    ROW("data beyond the end", AF_INET, "malformed answer",
        HEAD("\x81", "\x80", "\1", "\0") QUESTION("\1") WWW "\0\1\0\1\0\0\0\x3c\xff\xff" IP1),
    ROW("nothing", AF_INET, "malformed answer", ""),
};

static void describe(const struct dns_answer *answer, char *text, size_t size)
{
    static const char *const names[] = {"addresses", "noname", "nodata"};
    size_t n;

    if (answer->verdict == DNS_FAILED) {
        snprintf(text, size, "%s", answer->reason);
        return;
    }
    n = (size_t)snprintf(text, size, "%s %u", names[answer->verdict], answer->ttl_s);
    for (size_t i = 0; i < answer->n; i++) {
        char buf[INET6_ADDRSTRLEN];

        inet_ntop(answer->items[i].family, &answer->items[i].ipv6, buf, sizeof buf);
        n += (size_t)snprintf(text + n, size - n, " %s", buf);
    }
}

/* From memory of exactly this size, so that reading outside is found. */
static void parse(const char *bytes, size_t n, int family, struct dns_answer *ret)
{
    CLEANUP(freep) uint8_t *copy = malloc(n + (n == 0));

    memcpy(copy, bytes, n);
    dns_message_parse(copy, n, "www.ex", family, ret);
    ck_assert_uint_le(ret->n, RESOLVE_ADDRESSES_MAX);
    ck_assert_int_eq(ret->verdict == DNS_ADDRESSES, ret->n > 0);
    ck_assert_int_eq(ret->verdict == DNS_FAILED, ret->reason != NULL);
}

START_TEST(test_rows)
{
    const struct row *row = &rows[_i];
    struct dns_answer answer;
    char text[1024];

    parse(row->bytes, row->n, row->family, &answer);
    describe(&answer, text, sizeof text);
    ck_assert_msg(strcmp(text, row->expected) == 0, "%s: %s, not %s", row->what, text,
                  row->expected);
}
END_TEST

START_TEST(test_rows_cut)
{
    const struct row *row = &rows[_i];
    struct dns_answer answer;

    for (size_t n = 0; n < row->n; n++) {
        parse(row->bytes, n, row->family, &answer);
        ck_assert_msg(answer.verdict == DNS_FAILED, "%s, cut at %zu", row->what, n);
    }
}
END_TEST

START_TEST(test_rows_changed)
{
    const struct row *row = &rows[_i];
    CLEANUP(freep) char *copy = malloc(row->n + 1);
    struct dns_answer answer;

    memcpy(copy, row->bytes, row->n);
    for (size_t i = 0; i < row->n; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            copy[i] ^= (char)(1 << bit);
            parse(copy, row->n, row->family, &answer);
            copy[i] ^= (char)(1 << bit);
        }
        copy[i] ^= (char)0xff;
        parse(copy, row->n, row->family, &answer);
        copy[i] ^= (char)0xff;
    }
}
END_TEST

/* Of very many addresses the first are kept; a section without end is refused. */
START_TEST(test_many_records)
{
    static const char head[] = HEAD("\x81", "\x80", "\0", "\0") QUESTION("\1");
    static const char record[] = A(WWW, "\x3c", IP1);
    size_t head_n = sizeof head - 1, record_n = sizeof record - 1;

    for (size_t count = 1; count <= 1024; count *= 2) {
        size_t n = head_n + count * record_n;
        CLEANUP(freep) char *message = malloc(n);
        struct dns_answer answer;

        memcpy(message, head, head_n);
        message[6] = (char)(count >> 8);
        message[7] = (char)count;
        for (size_t i = 0; i < count; i++)
            memcpy(message + head_n + i * record_n, record, record_n);
        parse(message, n, AF_INET, &answer);
        ck_assert_uint_eq(answer.n, count > 512                     ? 0
                                    : count > RESOLVE_ADDRESSES_MAX ? RESOLVE_ADDRESSES_MAX
                                                                    : count);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dns-message");
    TCase *tcase = tcase_create("dns-message");

    tcase_add_loop_test(tcase, test_rows, 0, ARRAY_SIZE(rows));
    tcase_add_loop_test(tcase, test_rows_cut, 0, ARRAY_SIZE(rows));
    tcase_add_loop_test(tcase, test_rows_changed, 0, ARRAY_SIZE(rows));
    tcase_add_test(tcase, test_many_records);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
