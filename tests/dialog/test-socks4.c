/* SOCKS 4 and 4a. */
#include <stdlib.h>
#include <string.h>

#include "daemon/dialog/socks4.h"
#include "proto/cleanup.h"
#include "tests/dialog/conversation.h"
#include "tests/dialog/long-texts.h"
#include "tests/lib/suite.h"

#define BANNER "SSH-2.0-x\r\n"

#define NAME(text)                                                                                 \
    {                                                                                              \
        .name = {text, sizeof(text) - 1}, .port = 443                                              \
    }
#define TEXT(text)                                                                                 \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }
/* An IPv4 address is the first four bytes of the union. */
#define IPV4(...)                                                                                  \
    {                                                                                              \
        .address = {.family = AF_INET, .ipv6 = {.s6_addr = {__VA_ARGS__}}}, .port = 0x1234         \
    }

static const struct socks4_setup plain = {.to = IPV4(192, 0, 2, 7)};
static const struct socks4_setup with_user = {.to = IPV4(192, 0, 2, 7), .user = TEXT("secret-id")};
static const struct socks4_setup longest_user = {.to = IPV4(192, 0, 2, 7), .user = TEXT(X255)};
static const struct socks4_setup user_too_long = {.to = IPV4(192, 0, 2, 7), .user = TEXT(X255 "x")};
static const struct socks4_setup user_with_nul = {.to = IPV4(192, 0, 2, 7), .user = TEXT("ro\0ot")};
static const struct socks4_setup ipv6 = {
    .to = {.address = {.family = AF_INET6, .ipv6 = IN6ADDR_LOOPBACK_INIT}, .port = 443},
    .is_4a = true,
};
static const struct socks4_setup marker = {.to = IPV4(0, 0, 0, 1), .is_4a = true};
static const struct socks4_setup name_in_4 = {.to = NAME("example.org")};
static const struct socks4_setup name = {.to = NAME("example.org"), .is_4a = true};
static const struct socks4_setup address_in_4a = {.to = IPV4(192, 0, 2, 7), .is_4a = true};
static const struct socks4_setup name_and_user = {
    .to = NAME("example.org"),
    .user = TEXT("secret-id"),
    .is_4a = true,
};
static const struct socks4_setup longest_all = {
    .to = NAME(X255),
    .user = TEXT(X255),
    .is_4a = true,
};
static const struct socks4_setup name_too_long = {.to = NAME(X255 "x"), .is_4a = true};
static const struct socks4_setup name_empty = {.to = NAME(""), .is_4a = true};
static const struct socks4_setup name_with_nul = {.to = NAME("a.example\0b.example"),
                                                  .is_4a = true};

static const char *const secrets[] = {"secret-id", NULL};

static struct dialog *make(const void *setup)
{
    struct socks4 *s = malloc(sizeof *s);

    ck_assert_ptr_nonnull(s);
    socks4_init(s, setup);
    return &s->dialog;
}

static void free_socks4(struct dialog *d)
{
    free(d);
}

static const struct conversation_kind kind = {
    .make = make,
    .free_ = free_socks4,
    .secrets = secrets,
};

#define ASKS    SAYS("\4\1\x12\x34\xc0\0\2\7\0")
#define GRANTED "\0\x5a\x12\x34\xc0\0\2\7"

static const struct conversation conversations[] = {
    {.name = "address", .setup = &plain, .turns = {ASKS, HEARS(GRANTED)}},
    {.name = "address, of 4a", .setup = &address_in_4a, .turns = {ASKS, HEARS(GRANTED)}},
    {.name = "user",
     .setup = &with_user,
     .turns = {SAYS("\4\1\x12\x34\xc0\0\2\7secret-id\0"), HEARS(GRANTED)}},
    {.name = "longest user",
     .setup = &longest_user,
     .turns = {SAYS("\4\1\x12\x34\xc0\0\2\7" X255 "\0"), HEARS(GRANTED)}},
    {.name = "name",
     .setup = &name,
     .turns = {SAYS("\4\1\1\xbb\0\0\0\1\0example.org\0"), HEARS(GRANTED)}},
    {.name = "name and user",
     .setup = &name_and_user,
     .turns = {SAYS("\4\1\1\xbb\0\0\0\1secret-id\0example.org\0"), HEARS(GRANTED)}},
    {.name = "longest name and user",
     .setup = &longest_all,
     .turns = {SAYS("\4\1\1\xbb\0\0\0\1" X255 "\0" X255 "\0"), HEARS(GRANTED)}},
    {.name = "port and address of the reply say nothing",
     .setup = &plain,
     .turns = {ASKS, HEARS("\0\x5a\0\0\xff\xff\xff\xff")}},
    {.name = "the server speaks first",
     .setup = &plain,
     .turns = {ASKS, HEARS(GRANTED BANNER)},
     .rest = BANNER},
    {.name = "reply in pieces",
     .setup = &plain,
     .turns = {ASKS, HEARS("\0"), HEARS("\x5a\0"), HEARS("\0\0\0\0\0" BANNER)},
     .rest = BANNER},

    {.name = "rejected",
     .setup = &with_user,
     .turns = {SAYS("\4\1\x12\x34\xc0\0\2\7secret-id\0"), HEARS("\0\x5b\0\0\0\0\0\0")},
     .code = ERROR_PROXY_REFUSED,
     .detail = "socks4: request rejected or failed (reply 91)"},
    {.name = "rejected, of 4a",
     .setup = &name,
     .turns = {SAYS("\4\1\1\xbb\0\0\0\1\0example.org\0"), HEARS("\0\x5b\0\0\0\0\0\0")},
     .code = ERROR_PROXY_REFUSED,
     .detail = "socks4a: request rejected or failed (reply 91)"},
    {.name = "rejected and closed early",
     .setup = &plain,
     .turns = {ASKS, HEARS("\0\x5b")},
     .code = ERROR_PROXY_REFUSED,
     .detail = "(reply 91)"},
    {.name = "no identd",
     .setup = &plain,
     .turns = {ASKS, HEARS("\0\x5c\0\0\0\0\0\0")},
     .code = ERROR_PROXY_AUTH,
     .detail = "(reply 92)"},
    {.name = "another user",
     .setup = &plain,
     .turns = {ASKS, HEARS("\0\x5d\0\0\0\0\0\0")},
     .code = ERROR_PROXY_AUTH,
     .detail = "(reply 93)"},
    {.name = "unknown reply",
     .setup = &plain,
     .turns = {ASKS, HEARS("\0\x5e\0\0\0\0\0\0")},
     .code = ERROR_PROXY_PROTOCOL,
     .detail = "unknown reply 94"},
    {.name = "the request's version",
     .setup = &plain,
     .turns = {ASKS, HEARS("\4\x5a\0\0\0\0\0\0")},
     .code = ERROR_PROXY_PROTOCOL,
     .detail = "byte 4 instead of 0: it may be a SOCKS 4 proxy"},
    {.name = "SOCKS 5",
     .setup = &plain,
     .turns = {ASKS, HEARS("\5\xff")},
     .code = ERROR_PROXY_PROTOCOL,
     .detail = "it may be a SOCKS 5 proxy"},
    {.name = "HTTP",
     .setup = &plain,
     .turns = {ASKS, HEARS("HTTP/1.1 400 Bad Request\r\n\r\n")},
     .code = ERROR_PROXY_PROTOCOL,
     .detail = "byte 72 instead of 0: it may be an HTTP proxy"},
    {.name = "TLS",
     .setup = &plain,
     .turns = {ASKS, HEARS("\x15\3\3\0\2\2\x32")},
     .code = ERROR_PROXY_PROTOCOL,
     .detail = "TLS"},
    {.name = "SSH",
     .setup = &plain,
     .turns = {ASKS, HEARS(BANNER)},
     .code = ERROR_PROXY_PROTOCOL,
     .detail = "socks4: its answer starts with byte 83 instead of 0"},
    {.name = "closed",
     .setup = &plain,
     .turns = {ASKS},
     .code = ERROR_PROXY_PROTOCOL,
     .detail = "it closed"},
    {.name = "closed in the reply",
     .setup = &plain,
     .turns = {ASKS, HEARS("\0\x5a\0\0\0\0\0")},
     .code = ERROR_PROXY_PROTOCOL,
     .detail = "it closed"},

    {.name = "IPv6", .setup = &ipv6, .code = ERROR_BAD_TARGET, .detail = "socks5"},
    {.name = "the mark of a name as address",
     .setup = &marker,
     .code = ERROR_BAD_TARGET,
     .detail = "0.0.0.0/24"},
    {.name = "name without 4a",
     .setup = &name_in_4,
     .code = ERROR_BAD_TARGET,
     .detail = "socks4: names need a socks4a"},
    {.name = "name too long", .setup = &name_too_long, .code = ERROR_BAD_TARGET, .detail = "256"},
    {.name = "no name", .setup = &name_empty, .code = ERROR_BAD_TARGET, .detail = "not 0"},
    {.name = "NUL in the name", .setup = &name_with_nul, .code = ERROR_BAD_TARGET, .detail = "NUL"},
    {.name = "user too long", .setup = &user_too_long, .code = ERROR_PROXY_AUTH, .detail = "255"},
    {.name = "NUL in the user", .setup = &user_with_nul, .code = ERROR_PROXY_AUTH, .detail = "NUL"},
};

START_TEST(test_conversation)
{
    conversation_check(&kind, &conversations[_i]);
}
END_TEST

static struct dialog *hear_head(uint8_t version, uint8_t reply)
{
    struct dialog *d = make(&plain);
    const uint8_t head[] = {version, reply};

    dialog_sent(d);
    ck_assert_int_eq(d->want, DIALOG_RECV_EXACT);
    ck_assert_uint_eq(d->n, sizeof head);
    dialog_received(d, head, sizeof head);
    return d;
}

START_TEST(test_one_reply_is_success)
{
    for (unsigned i = 0; i <= UINT8_MAX; i++) {
        struct dialog *of_reply = hear_head(0, (uint8_t)i);
        struct dialog *of_version = hear_head((uint8_t)i, 90);

        ck_assert_int_eq(of_reply->want, i == 90 ? DIALOG_RECV_EXACT : DIALOG_FAILED);
        ck_assert_int_eq(of_version->want, i == 0 ? DIALOG_RECV_EXACT : DIALOG_FAILED);
        dialog_deinit(of_reply);
        dialog_deinit(of_version);
        free(of_reply);
        free(of_version);
    }
}
END_TEST

START_TEST(test_reset)
{
    struct dialog *d = make(&plain);

    dialog_sent(d);
    dialog_broken(d, DIALOG_RESET);
    ck_assert_int_eq(d->failure.code, ERROR_PROXY_PROTOCOL);
    ck_assert_str_eq(d->failure.detail, "socks4: it reset the connection");
    dialog_deinit(d);
    free(d);
}
END_TEST

START_TEST(test_user_is_wiped)
{
    struct socks4 s;

    socks4_init(&s, &with_user);
    ck_assert_ptr_nonnull(memmem(&s, sizeof s, "secret-id", 9));
    dialog_deinit(&s.dialog);
    ck_assert_ptr_null(memmem(&s, sizeof s, "secret-id", 9));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("socks4");
    TCase *tests = tcase_create("conversations");

    tcase_add_loop_test(tests, test_conversation, 0, ARRAY_SIZE(conversations));
    tcase_add_test(tests, test_one_reply_is_success);
    tcase_add_test(tests, test_reset);
    tcase_add_test(tests, test_user_is_wiped);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
