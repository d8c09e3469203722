/* The PROXY header: to the byte, and as an independent receiver reads it. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/dialog/proxy_header.h"
#include "proto/cleanup.h"
#include "tests/dialog/conversation.h"
#include "tests/dialog/proxy_reader.h"
#include "tests/lib/suite.h"

struct setup {
    enum proxy_header_version version;
    const char *source; /* "" for a Unix socket's; NULL: not known */
    unsigned source_port;
    const char *destination;
    unsigned destination_port;
    struct text alpn;
    struct text authority;
    struct text unique_id;
    bool has_checksum;
};

#define TEXT(literal)                                                                              \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }

#define V1         PROXY_HEADER_V1
#define V2         PROXY_HEADER_V2
#define IPV4_PAIR  "192.0.2.1", 40000, "198.51.100.7", 443
#define IPV6_PAIR  "2001:db8::1", 40000, "2001:db8:0:0:1::ff", 443
#define ALL_ONES   "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
#define MIXED_PAIR "2001:db8::1", 1, "192.0.2.1", 2
#define SIGNATURE  "\r\n\r\n\0\r\nQUIT\n"
#define WIRE_IPV4  "\xc0\x00\x02\x01\xc6\x33\x64\x07\x9c\x40\x01\xbb"
#define WIRE_IPV6                                                                                  \
    "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x20\x01\x0d\xb8\0\0\0\0\0\x01\0\0\0\0\0\xff"       \
    "\x9c\x40\x01\xbb"

static char long_text[65536];

static const struct setup v1_ipv4 = {V1, IPV4_PAIR}, v1_ipv6 = {V1, IPV6_PAIR},
                          v1_unknown = {.version = V1}, v1_half = {V1, "192.0.2.1", 1, NULL, 0},
                          v1_unix = {V1, "", 0, "", 0},
                          v1_ones = {V1, ALL_ONES, 65535, ALL_ONES, 65535},
                          v1_ones4 = {V1, "255.255.255.255", 65535, "255.255.255.255", 65535},
                          v1_mixed = {V1, MIXED_PAIR},
                          v1_mapped = {V1, "::ffff:192.0.2.1", 1, "::ffff:127.0.0.1", 2},
                          v1_compatible = {V1, "::192.0.2.1", 0, "::1", 2},
                          v1_tlv = {V1, IPV4_PAIR, TEXT("h2"), {0}, {0}, false},
                          v1_checksum = {.version = V1, .has_checksum = true};
static const struct setup v2_ipv4 = {V2, IPV4_PAIR}, v2_ipv6 = {V2, IPV6_PAIR},
                          v2_local = {.version = V2}, v2_unix = {V2, "", 0, "", 0},
                          v2_half = {V2, NULL, 0, "192.0.2.1", 1}, v2_mixed = {V2, MIXED_PAIR},
                          v2_mapped = {V2, "::ffff:192.0.2.1", 40000, "198.51.100.7", 443};
static const struct setup
    v2_alpn = {.version = V2, .alpn = TEXT("http/1.1")},
    v2_authority = {.version = V2, .authority = TEXT("example.org")},
    v2_unique_id = {.version = V2, .unique_id = TEXT("\0\xff\r\n")},
    v2_checksum = {.version = V2, .has_checksum = true},
    v2_all = {V2, IPV4_PAIR, TEXT("http/1.1"), TEXT("example.org"), TEXT("\0id\xff"), true},
    v2_longest = {V2, IPV6_PAIR, {long_text, 255}, {long_text, 255}, {long_text, 128}, true};
static const struct setup long_alpn = {.version = V2, .alpn = {long_text, 256}},
                          long_authority = {.version = V2, .authority = {long_text, 256}},
                          long_unique_id = {.version = V2, .unique_id = {long_text, 129}},
                          long_wrapped = {.version = V2, .unique_id = {long_text, 65536}};

static struct sockaddr_storage address_of(const char *text, unsigned port)
{
    struct sockaddr_storage ret = {.ss_family = AF_UNSPEC};
    struct sockaddr_in6 *ipv6 = (struct sockaddr_in6 *)&ret;
    struct sockaddr_in *ipv4 = (struct sockaddr_in *)&ret;

    if (!text)
        return ret;
    if (!*text) {
        ret.ss_family = AF_UNIX;
    } else if (strchr(text, ':')) {
        *ipv6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
        ck_assert_int_eq(inet_pton(AF_INET6, text, &ipv6->sin6_addr), 1);
    } else {
        *ipv4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
        ck_assert_int_eq(inet_pton(AF_INET, text, &ipv4->sin_addr), 1);
    }
    return ret;
}

static struct dialog *make(const void *data)
{
    const struct setup *s = data;
    struct proxy_header_setup setup = {.version = s->version,
                                       .source = address_of(s->source, s->source_port),
                                       .destination =
                                           address_of(s->destination, s->destination_port),
                                       .alpn = s->alpn,
                                       .authority = s->authority,
                                       .unique_id = s->unique_id,
                                       .has_checksum = s->has_checksum};
    struct proxy_header *header = malloc(sizeof *header);

    ck_assert_ptr_nonnull(header);
    proxy_header_init(header, &setup);
    return &header->dialog;
}

static void free_header(struct dialog *d)
{
    free(d);
}

static const struct conversation_kind kind = {.make = make, .free_ = free_header};

#define SENT(name, setup, bytes)                                                                   \
    {                                                                                              \
        name, &setup, {SAYS(bytes)}, NULL, ERROR_NONE, NULL, NULL                                  \
    }
#define WRONG(name, setup, why)                                                                    \
    {                                                                                              \
        name, &setup, {{TURN_END, NULL, 0}}, NULL, ERROR_BAD_OPTION, why, NULL                     \
    }

static const struct conversation conversations[] = {
    SENT("TCP4", v1_ipv4, "PROXY TCP4 192.0.2.1 198.51.100.7 40000 443\r\n"),
    SENT("TCP6", v1_ipv6, "PROXY TCP6 2001:db8::1 2001:db8::1:0:0:ff 40000 443\r\n"),
    SENT("UNKNOWN", v1_unknown, "PROXY UNKNOWN\r\n"),
    SENT("one address", v1_half, "PROXY UNKNOWN\r\n"),
    SENT("Unix", v1_unix, "PROXY UNKNOWN\r\n"),
    SENT("longest TCP6", v1_ones, "PROXY TCP6 " ALL_ONES " " ALL_ONES " 65535 65535\r\n"),
    SENT("longest TCP4", v1_ones4, "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"),
    SENT("mixed", v1_mixed, "PROXY TCP6 2001:db8::1 ::ffff:c000:201 1 2\r\n"),
    SENT("mapped", v1_mapped, "PROXY TCP4 192.0.2.1 127.0.0.1 1 2\r\n"),
    SENT("compatible", v1_compatible, "PROXY TCP6 ::c000:201 ::1 0 2\r\n"),
    WRONG("1 with ALPN", v1_tlv, "only version 2"),
    WRONG("1 with checksum", v1_checksum, "only version 2"),

    SENT("2 TCP4", v2_ipv4, SIGNATURE "\x21\x11\0\x0c" WIRE_IPV4),
    SENT("2 TCP6", v2_ipv6, SIGNATURE "\x21\x21\0\x24" WIRE_IPV6),
    SENT("2 LOCAL", v2_local, SIGNATURE "\x20\0\0\0"),
    SENT("2 Unix", v2_unix, SIGNATURE "\x20\0\0\0"),
    SENT("2 one address", v2_half, SIGNATURE "\x20\0\0\0"),
    SENT("2 mixed", v2_mixed,
         SIGNATURE "\x21\x21\0\x24\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
                   "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\x02\x01\0\x01\0\x02"),
    SENT("2 mapped", v2_mapped, SIGNATURE "\x21\x11\0\x0c" WIRE_IPV4),
    SENT("2 ALPN", v2_alpn, SIGNATURE "\x20\0\0\x0b\x01\0\x08http/1.1"),
    SENT("2 authority", v2_authority,
         SIGNATURE "\x20\0\0\x0e\x02\0\x0b"
                   "example.org"),
    SENT("2 unique id", v2_unique_id, SIGNATURE "\x20\0\0\x07\x05\0\x04\0\xff\r\n"),
    /* The checksums were made by another program. */
    SENT("2 checksum", v2_checksum, SIGNATURE "\x20\0\0\x07\x03\0\x04\xa9\xb8\x7e\x8f"),
    SENT("2 all", v2_all,
         SIGNATURE "\x21\x11\0\x33" WIRE_IPV4 "\x01\0\x08http/1.1\x02\0\x0b"
                   "example.org"
                   "\x05\0\x04\0id\xff\x03\0\x04\xf2\xb3\x90\xaa"),
    WRONG("long ALPN", long_alpn, "ALPN"),
    WRONG("long authority", long_authority, "authority"),
    WRONG("long unique id", long_unique_id, "unique id"),
    WRONG("longer than a length", long_wrapped, "unique id"),
};

START_TEST(test_conversation)
{
    conversation_check(&kind, &conversations[_i]);
}
END_TEST

/* ---- as a receiver reads it ---- */

static void check_address(const struct sockaddr_storage *told, const struct proxy_reading *reading,
                          const uint8_t *address, unsigned port)
{
    const struct sockaddr_in6 *ipv6 = (const struct sockaddr_in6 *)told;
    const struct sockaddr_in *ipv4 = (const struct sockaddr_in *)told;
    size_t n = reading->family == 4 ? 4 : 16;

    ck_assert_uint_eq(ntohs(told->ss_family == AF_INET ? ipv4->sin_port : ipv6->sin6_port), port);
    if (told->ss_family == AF_INET)
        ck_assert_mem_eq(&ipv4->sin_addr, address + n - 4, 4);
    else
        ck_assert_mem_eq(ipv6->sin6_addr.s6_addr + 16 - n, address, n);
}

static void check_tlv(struct text told, const struct proxy_reading *reading, uint8_t type)
{
    ck_assert_int_eq(reading->tlv[type] != NULL, told.n > 0);
    ck_assert_uint_eq(reading->n_tlv[type], told.n);
    if (told.n > 0)
        ck_assert_mem_eq(reading->tlv[type], told.data, told.n);
}

static const struct setup *const readable[] = {
    &v1_ipv4,      &v1_ipv6,      &v1_unknown,  &v1_half,       &v1_unix,    &v1_ones,
    &v1_ones4,     &v1_mixed,     &v1_mapped,   &v1_compatible, &v2_ipv4,    &v2_ipv6,
    &v2_local,     &v2_unix,      &v2_half,     &v2_mixed,      &v2_mapped,  &v2_alpn,
    &v2_authority, &v2_unique_id, &v2_checksum, &v2_all,        &v2_longest,
};

START_TEST(test_readable)
{
    const struct setup *s = readable[_i];
    struct sockaddr_storage source = address_of(s->source, s->source_port);
    struct sockaddr_storage destination = address_of(s->destination, s->destination_port);
    struct dialog *d = make(s);
    struct proxy_reading reading;
    const char *why = NULL;
    size_t n = proxy_reader_read(d->out, d->n_out, &reading, &why);

    ck_assert_msg(n > 0, "setup %d: %s", _i, why);
    ck_assert_uint_eq(n, d->n_out);
    ck_assert_uint_eq(reading.version, s->version);
    ck_assert_int_eq(reading.family != 0, s->source && *s->source && s->destination);
    if (reading.family != 0) {
        check_address(&source, &reading, reading.source, reading.source_port);
        check_address(&destination, &reading, reading.destination, reading.destination_port);
    }
    check_tlv(s->alpn, &reading, 1);
    check_tlv(s->authority, &reading, 2);
    check_tlv(s->unique_id, &reading, 5);
    ck_assert_int_eq(reading.tlv[3] != NULL, s->has_checksum);
    dialog_deinit(d);
    free_header(d);
}
END_TEST

/* The reader has to be able to say no: to each beginning of a header, and to any changed byte,
 * unless what it changes is that there is a checksum. */
START_TEST(test_reader_is_strict)
{
    struct dialog *d = make(&v2_all);
    struct proxy_reading reading;
    const char *why;
    uint8_t copy[PROXY_HEADER_MAX];
    size_t n = d->n_out;

    ck_assert_uint_eq(proxy_reader_crc32c((const uint8_t *)"123456789", 9), 0xe3069283);
    memcpy(copy, d->out, n);
    for (size_t i = 0; i < n; i++) {
        ck_assert_uint_eq(proxy_reader_read(copy, i, &reading, &why), 0);
        copy[i] ^= 0x20;
        ck_assert_msg(proxy_reader_read(copy, n, &reading, &why) == 0 || !reading.tlv[3],
                      "byte %zu", i);
        copy[i] ^= 0x20;
    }
    ck_assert_uint_eq(proxy_reader_read(copy, n, &reading, &why), n);
    dialog_deinit(d);
    free_header(d);
}
END_TEST

/* A connection that breaks while it is sent. */
START_TEST(test_broken)
{
    struct dialog *d = make(&v1_ipv4);

    dialog_broken(d, DIALOG_RESET);
    ck_assert_int_eq(d->want, DIALOG_FAILED);
    ck_assert_int_eq(d->failure.code, ERROR_PROXY_PROTOCOL);
    ck_assert_int_eq(d->failure.stage, STAGE_PROXY);
    dialog_deinit(d);
    free_header(d);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("proxy-header");
    TCase *tests = tcase_create("conversations");

    memset(long_text, 'x', sizeof long_text);
    tcase_add_loop_test(tests, test_conversation, 0, ARRAY_SIZE(conversations));
    tcase_add_loop_test(tests, test_readable, 0, ARRAY_SIZE(readable));
    tcase_add_test(tests, test_reader_is_strict);
    tcase_add_test(tests, test_broken);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
