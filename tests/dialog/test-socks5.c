/* SOCKS 5, without authentication and with user and password. */
#include <stdlib.h>
#include <string.h>

#include "daemon/dialog/socks5.h"
#include "proto/cleanup.h"
#include "tests/dialog/conversation.h"
#include "tests/dialog/long-texts.h"
#include "tests/lib/suite.h"

#define BANNER "220 mail.example ESMTP\r\n"

#define TEXT(text)                                                                                 \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }
#define NAME(text)                                                                                 \
    {                                                                                              \
        .name = TEXT(text), .port = 443                                                            \
    }
/* An IPv4 address is the first four bytes of the union. */
#define TO_IPV4                                                                                    \
    {                                                                                              \
        .address = {.family = AF_INET, .ipv6 = {.s6_addr = {192, 0, 2, 7}}}, .port = 0xfffe        \
    }
#define TO_IPV6                                                                                    \
    {                                                                                              \
        .address = {.family = AF_INET6, .ipv6 = IN6ADDR_LOOPBACK_INIT}, .port = 443                \
    }
#define CREDENTIALS .user = TEXT("secret-user"), .password = TEXT("secret-word")

static const struct socks5_setup ipv4 = {.to = TO_IPV4};
static const struct socks5_setup ipv6 = {.to = TO_IPV6};
static const struct socks5_setup name = {.to = NAME("example.org")};
static const struct socks5_setup longest_name = {.to = NAME(X255)};
static const struct socks5_setup name_too_long = {.to = NAME(X255 "x")};
static const struct socks5_setup name_empty = {.to = NAME("")};
static const struct socks5_setup name_with_nul = {.to = NAME("a.example\0b.example")};
static const struct socks5_setup login = {.to = TO_IPV4, CREDENTIALS};
static const struct socks5_setup either = {.to = TO_IPV4, CREDENTIALS, .may_be_anonymous = true};
static const struct socks5_setup longest_login = {
    .to = NAME(X255),
    .user = TEXT(X255),
    .password = TEXT(X255),
};
static const struct socks5_setup binary_login = {
    .to = TO_IPV4,
    .user = TEXT("\0"),
    .password = TEXT("\xff\0:"),
};
static const struct socks5_setup user_empty = {
    .to = TO_IPV4,
    .user = TEXT(""),
    .password = TEXT("secret-word"),
};
static const struct socks5_setup user_too_long = {
    .to = TO_IPV4,
    .user = TEXT(X255 "x"),
    .password = TEXT("secret-word"),
};
static const struct socks5_setup password_empty = {.to = TO_IPV4, .user = TEXT("secret-user")};
static const struct socks5_setup password_too_long = {
    .to = TO_IPV4,
    .user = TEXT("secret-user"),
    .password = TEXT(X255 "x"),
    .may_be_anonymous = true,
};

static const char *const secrets[] = {"secret-user", "secret-word", NULL};

static struct dialog *make(const void *setup)
{
    struct socks5 *s = malloc(sizeof *s);

    ck_assert_ptr_nonnull(s);
    socks5_init(s, setup);
    return &s->dialog;
}

static void free_socks5(struct dialog *d)
{
    free(d);
}

static const struct conversation_kind kind = {
    .make = make,
    .free_ = free_socks5,
    .secrets = secrets,
};

#define GREETS_ANONYMOUS SAYS("\5\1\0")
#define GREETS_LOGIN     SAYS("\5\1\2")
#define GREETS_EITHER    SAYS("\5\2\2\0")
#define LOGS_IN          SAYS("\1\13secret-user\13secret-word")
#define ASKS             SAYS("\5\1\0\1\xc0\0\2\7\xff\xfe")
#define REPLY_IPV4       "\5\0\0\1\xc6\x33\x64\1\4\0"
#define REPLY_IPV6       "\5\0\0\4\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1\4\0"
#define ANONYMOUS        GREETS_ANONYMOUS, HEARS("\5\0"), ASKS

static const struct conversation conversations[] = {
    /* ---- what is asked for ---- */
    {.name = "IPv4", .setup = &ipv4, .turns = {ANONYMOUS, HEARS(REPLY_IPV4)}},
    {.name = "IPv6",
     .setup = &ipv6,
     .turns = {GREETS_ANONYMOUS, HEARS("\5\0"),
               SAYS("\5\1\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\1\xbb"), HEARS(REPLY_IPV6)}},
    {.name = "name",
     .setup = &name,
     .turns = {GREETS_ANONYMOUS, HEARS("\5\0"), SAYS("\5\1\0\3\13example.org\1\xbb"),
               HEARS(REPLY_IPV4)}},
    {.name = "longest name",
     .setup = &longest_name,
     .turns = {GREETS_ANONYMOUS, HEARS("\5\0"), SAYS("\5\1\0\3\xff" X255 "\1\xbb"),
               HEARS(REPLY_IPV4)}},
    {.name = "name too long", .setup = &name_too_long, .code = ERROR_BAD_TARGET, .detail = "256"},
    {.name = "no name", .setup = &name_empty, .code = ERROR_BAD_TARGET, .detail = "not 0"},
    {.name = "NUL in the name", .setup = &name_with_nul, .code = ERROR_BAD_TARGET, .detail = "NUL"},

    /* ---- methods ---- */
    {.name = "either, it wants a login",
     .setup = &either,
     .turns = {GREETS_EITHER, HEARS("\5\2"), LOGS_IN, HEARS("\1\0"), ASKS, HEARS(REPLY_IPV4)}},
    {.name = "either, it wants none",
     .setup = &either,
     .turns = {GREETS_EITHER, HEARS("\5\0"), ASKS, HEARS(REPLY_IPV4)}},
    {.name = "it wants a login, there is none",
     .setup = &ipv4,
     .turns = {GREETS_ANONYMOUS, HEARS("\5\xff")},
     .code = ERROR_PROXY_AUTH,
     .detail = "there are no user and password"},
    {.name = "it takes no login",
     .setup = &login,
     .turns = {GREETS_LOGIN, HEARS("\5\xff")},
     .code = ERROR_PROXY_AUTH,
     .detail = "does not take user and password"},
    {.name = "a login that was not offered",
     .setup = &ipv4,
     .turns = {GREETS_ANONYMOUS, HEARS("\5\2")},
     .code = ERROR_PROXY_PROTOCOL,
     .detail = "method 2, which was not offered"},
    {.name = "no login where one was to be",
     .setup = &login,
     .turns = {GREETS_LOGIN, HEARS("\5\0")},
     .code = ERROR_PROXY_PROTOCOL,
     .detail = "method 0, which was not offered"},
    {.name = "GSSAPI",
     .setup = &either,
     .turns = {GREETS_EITHER, HEARS("\5\1")},
     .code = ERROR_PROXY_PROTOCOL,
     .detail = "method 1, which was not offered"},
    {.name = "SOCKS 4",
     .setup = &ipv4,
     .turns = {GREETS_ANONYMOUS, HEARS("\0\x5b\0\0\0\0\0\0")},
     .code = ERROR_PROXY_PROTOCOL,
     .detail = "socks5: its answer starts with byte 0 instead of 5: it may be a SOCKS 4 proxy"},
    {.name = "HTTP",
     .setup = &ipv4,
     .turns = {GREETS_ANONYMOUS, HEARS("HTTP/1.0 400 Bad Request\r\n\r\n")},
     .code = ERROR_PROXY_PROTOCOL,
     .detail = "it may be an HTTP proxy"},
    {.name = "TLS",
     .setup = &ipv4,
     .turns = {GREETS_ANONYMOUS, HEARS("\x15\3\1\0\2\2\x46")},
     .code = ERROR_PROXY_PROTOCOL,
     .detail = "TLS"},
    {.name = "closed after the greeting",
     .setup = &ipv4,
     .turns = {GREETS_ANONYMOUS},
     .code = ERROR_PROXY_PROTOCOL,
     .detail = "it closed"},
    {.name = "closed in the choice",
     .setup = &ipv4,
     .turns = {GREETS_ANONYMOUS, HEARS("\5")},
     .code = ERROR_PROXY_PROTOCOL,
     .detail = "it closed"},

    /* ---- user and password ---- */
    {.name = "login",
     .setup = &login,
     .turns = {GREETS_LOGIN, HEARS("\5\2"), LOGS_IN, HEARS("\1\0"), ASKS, HEARS(REPLY_IPV4)}},
    {.name = "longest login",
     .setup = &longest_login,
     .turns = {GREETS_LOGIN, HEARS("\5\2"), SAYS("\1\xff" X255 "\xff" X255), HEARS("\1\0"),
               SAYS("\5\1\0\3\xff" X255 "\1\xbb"), HEARS(REPLY_IPV6)}},
    {.name = "any bytes",
     .setup = &binary_login,
     .turns = {GREETS_LOGIN, HEARS("\5\2"), SAYS("\1\1\0\3\xff\0:"), HEARS("\1\0"), ASKS,
               HEARS(REPLY_IPV4)}},
    {.name = "wrong login",
     .setup = &login,
     .turns = {GREETS_LOGIN, HEARS("\5\2"), LOGS_IN, HEARS("\1\1")},
     .code = ERROR_PROXY_AUTH,
     .detail = "it refused user and password (status 1)"},
    {.name = "wrong login, status 255",
     .setup = &either,
     .turns = {GREETS_EITHER, HEARS("\5\2"), LOGS_IN, HEARS("\1\xff")},
     .code = ERROR_PROXY_AUTH,
     .detail = "(status 255)"},
    {.name = "the other version in the login",
     .setup = &login,
     .turns = {GREETS_LOGIN, HEARS("\5\2"), LOGS_IN, HEARS("\5\0")},
     .code = ERROR_PROXY_PROTOCOL,
     .detail = "byte 5 instead of 1"},
    {.name = "closed after the login",
     .setup = &login,
     .turns = {GREETS_LOGIN, HEARS("\5\2"), LOGS_IN},
     .code = ERROR_PROXY_PROTOCOL,
     .detail = "it closed"},
    {.name = "no user", .setup = &user_empty, .code = ERROR_PROXY_AUTH, .detail = "1 to 255"},
    {.name = "user too long", .setup = &user_too_long, .code = ERROR_PROXY_AUTH},
    {.name = "no password", .setup = &password_empty, .code = ERROR_PROXY_AUTH},
    {.name = "password too long", .setup = &password_too_long, .code = ERROR_PROXY_AUTH},

    /* ---- replies ---- */
    {.name = "reply with IPv6, and the server speaks first",
     .setup = &ipv4,
     .turns = {ANONYMOUS, HEARS(REPLY_IPV6 BANNER)},
     .rest = BANNER},
    {.name = "reply with IPv4, and the server speaks first",
     .setup = &login,
     .turns = {GREETS_LOGIN, HEARS("\5\2"), LOGS_IN, HEARS("\1\0"), ASKS, HEARS(REPLY_IPV4 BANNER)},
     .rest = BANNER},
    {.name = "reply with a name",
     .setup = &ipv4,
     .turns = {ANONYMOUS, HEARS("\5\0\0\3\5a.bcd\4\0" BANNER)},
     .rest = BANNER},
    {.name = "reply with an empty name",
     .setup = &ipv4,
     .turns = {ANONYMOUS, HEARS("\5\0\0\3\0\4\0" BANNER)},
     .rest = BANNER},
    {.name = "reply with the longest name",
     .setup = &ipv4,
     .turns = {ANONYMOUS, HEARS("\5\0\0\3\xff" X255 "\4\0" BANNER)},
     .rest = BANNER},
    {.name = "reply in pieces",
     .setup = &ipv4,
     .turns = {GREETS_ANONYMOUS, HEARS("\5"), HEARS("\0"), ASKS, HEARS("\5\0"), HEARS("\0\1"),
               HEARS("\0\0\0\0\0"), HEARS("\0" BANNER)},
     .rest = BANNER},
    {.name = "something in the reserved byte",
     .setup = &ipv4,
     .turns = {ANONYMOUS, HEARS("\5\0\xff\1\0\0\0\0\0\0")}},
    {.name = "general failure",
     .setup = &login,
     .turns = {GREETS_LOGIN, HEARS("\5\2"), LOGS_IN, HEARS("\1\0"), ASKS,
               HEARS("\5\1\0\1\0\0\0\0\0\0")},
     .code = ERROR_PROXY_REFUSED,
     .detail = "socks5: general failure (reply 1)"},
    {.name = "not even an address type",
     .setup = &ipv4,
     .turns = {ANONYMOUS, HEARS("\5\5\0\0\0\0\0\0\0\0")},
     .code = ERROR_PROXY_REFUSED,
     .detail = "connection refused (reply 5)"},
    {.name = "the other version in the reply",
     .setup = &ipv4,
     .turns = {ANONYMOUS, HEARS("\1\0\0\1\0\0\0\0\0\0")},
     .code = ERROR_PROXY_PROTOCOL,
     .detail = "byte 1 instead of 5"},
    {.name = "unknown address type",
     .setup = &ipv4,
     .turns = {ANONYMOUS, HEARS("\5\0\0\2\0\0\0\0\0\0")},
     .code = ERROR_PROXY_PROTOCOL,
     .detail = "unknown type 2"},
    {.name = "closed instead of a reply",
     .setup = &ipv4,
     .turns = {ANONYMOUS},
     .code = ERROR_PROXY_PROTOCOL,
     .detail = "it closed"},
    {.name = "a name longer than the reply",
     .setup = &ipv4,
     .turns = {ANONYMOUS, HEARS("\5\0\0\3\xff" X51 "\4\0")},
     .code = ERROR_PROXY_PROTOCOL,
     .detail = "it closed"},
};

START_TEST(test_conversation)
{
    conversation_check(&kind, &conversations[_i]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("socks5");
    TCase *tests = tcase_create("conversations");

    tcase_add_loop_test(tests, test_conversation, 0, ARRAY_SIZE(conversations));
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
