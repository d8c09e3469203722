/* SOCKS 5 with GSSAPI, whose tokens somebody else makes. */
#include <stdlib.h>
#include <string.h>

#include "daemon/dialog/socks5.h"
#include "proto/cleanup.h"
#include "tests/dialog/conversation.h"
#include "tests/lib/suite.h"

#define BANNER "220 mail.example ESMTP\r\n"

#define TO_IPV4                                                                                    \
    {                                                                                              \
        .address = {.family = AF_INET, .ipv6 = {.s6_addr = {192, 0, 2, 7}}}, .port = 0xfffe        \
    }

static const struct gss_settings gss = {.service = "rcmd@proxy.example"};

static const struct socks5_setup only = {.to = TO_IPV4, .gss = &gss};
static const struct socks5_setup all = {
    .to = TO_IPV4,
    .gss = &gss,
    .user = {"secret-user", 11},
    .password = {"secret-word", 11},
    .may_be_anonymous = true,
};
static const struct socks5_setup or_login = {
    .to = TO_IPV4, .gss = &gss, .user = {"secret-user", 11}, .password = {"secret-word", 11}};

static const char *const secrets[] = {"secret-user", "secret-word", "secret-token", NULL};

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

#define GREETS     SAYS("\5\1\1")
#define GREETS_ALL SAYS("\5\3\1\2\0")
#define ASKS       SAYS("\5\1\0\1\xc0\0\2\7\xff\xfe")
#define REPLY      "\5\0\0\1\xc6\x33\x64\1\4\0"
#define LOGS_IN    SAYS("\1\13secret-user\13secret-word")
#define FIRST      ASKS_FOR('k', "1"), TOLD("secret-token"), SAYS("\1\1\0\14secret-token")
#define CONTEXT                                                                                    \
    GREETS, HEARS("\5\1"), FIRST, HEARS("\1\1\0\5proof"), ASKS_FOR('k', "+proof"), TOLD_ALL("")
#define SAYS_LEVEL  ASKS_FOR('k', "w\0"), TOLD("wrapped"), SAYS("\1\2\0\7wrapped")
#define HEARS_LEVEL HEARS("\1\2\0\5level")
#define LEVEL       SAYS_LEVEL, HEARS_LEVEL, ASKS_FOR('k', "ulevel")

static const struct conversation conversations[] = {
    {.name = "GSSAPI",
     .setup = &only,
     .turns = {CONTEXT, LEVEL, TOLD_ALL("\0"), ASKS, HEARS(REPLY BANNER)},
     .rest = BANNER},
    {.name = "the first of those offered",
     .setup = &all,
     .turns = {GREETS_ALL, HEARS("\5\1"), FIRST, HEARS("\1\1\0\5proof"), ASKS_FOR('k', "+proof"),
               TOLD_ALL(""), LEVEL, TOLD_ALL("\0"), ASKS, HEARS(REPLY)}},
    {.name = "another of those offered",
     .setup = &all,
     .turns = {GREETS_ALL, HEARS("\5\2"), LOGS_IN, HEARS("\1\0"), ASKS, HEARS(REPLY)}},
    {.name = "none of those offered",
     .setup = &all,
     .turns = {GREETS_ALL, HEARS("\5\0"), ASKS, HEARS(REPLY)}},
    {.name = "complete with the last of ours",
     .setup = &only,
     .turns = {GREETS, HEARS("\5\1"), FIRST, HEARS("\1\1\0\1x"), ASKS_FOR('k', "+x"),
               TOLD_ALL("last"), SAYS("\1\1\0\4last"), LEVEL, TOLD_ALL("\0"), ASKS, HEARS(REPLY)}},
    {.name = "several rounds",
     .setup = &only,
     .turns = {GREETS, HEARS("\5\1"), FIRST, HEARS("\1\1\0\1x"), ASKS_FOR('k', "+x"), TOLD("more"),
               SAYS("\1\1\0\4more"), HEARS("\1\1"), HEARS("\0\1"), HEARS("y"), ASKS_FOR('k', "+y"),
               TOLD_ALL(""), LEVEL, TOLD_ALL("\0"), ASKS, HEARS(REPLY)}},

    /* ---- refusals ---- */
    {.name = "it does not take it",
     .setup = &only,
     .turns = {GREETS, HEARS("\5\xff")},
     .code = ERROR_PROXY_AUTH,
     .detail = "it does not take GSSAPI"},
    {.name = "it takes nothing",
     .setup = &or_login,
     .turns = {SAYS("\5\2\1\2"), HEARS("\5\xff")},
     .code = ERROR_PROXY_AUTH,
     .detail = "it does not take GSSAPI, nor user and password"},
    {.name = "none where it was not offered",
     .setup = &only,
     .turns = {GREETS, HEARS("\5\0")},
     .code = ERROR_PROXY_PROTOCOL,
     .detail = "method 0, which was not offered"},
    {.name = "it refuses the credentials",
     .setup = &only,
     .turns = {GREETS, HEARS("\5\1"), FIRST, HEARS("\1\xff")},
     .code = ERROR_PROXY_AUTH,
     .detail = "GSSAPI: it refused the credentials"},
    {.name = "it refuses the credentials, another method does",
     .setup = &or_login,
     .turns = {SAYS("\5\2\1\2"), HEARS("\5\1"), FIRST, HEARS("\1\xff"), AGAIN, SAYS("\5\1\2"),
               HEARS("\5\2"), LOGS_IN, HEARS("\1\0"), ASKS, HEARS(REPLY)}},
    {.name = "it refuses data without protection",
     .setup = &only,
     .turns = {CONTEXT, SAYS_LEVEL, HEARS("\1\xff")},
     .code = ERROR_PROXY_AUTH,
     .detail = "does not let data go unprotected"},
    {.name = "it insists on integrity",
     .setup = &only,
     .turns = {CONTEXT, LEVEL, TOLD_ALL("\1")},
     .code = ERROR_PROXY_AUTH,
     .detail = "insists on protecting all data (level 1)"},
    {.name = "it insists on confidentiality",
     .setup = &only,
     .turns = {CONTEXT, LEVEL, TOLD_ALL("\2")},
     .code = ERROR_PROXY_AUTH,
     .detail = "(level 2)"},
    {.name = "it leaves it open",
     .setup = &only,
     .turns = {CONTEXT, LEVEL, TOLD_ALL("\3")},
     .code = ERROR_PROXY_AUTH,
     .detail = "(level 3)"},
    {.name = "it has two levels",
     .setup = &only,
     .turns = {CONTEXT, LEVEL, TOLD_ALL("\0\0")},
     .code = ERROR_PROXY_PROTOCOL,
     .detail = "has 2 bytes"},
    {.name = "somebody else's level",
     .setup = &only,
     .turns = {CONTEXT, LEVEL, NOT_TOLD("the checksum is wrong")},
     .code = ERROR_PROXY_AUTH,
     .detail = "its level of protection: the checksum is wrong"},

    /* ---- without an answer ---- */
    {.name = "no ticket",
     .setup = &only,
     .turns = {GREETS, HEARS("\5\1"), ASKS_FOR('k', "1"), NOT_TOLD("no ticket")},
     .code = ERROR_PROXY_AUTH,
     .detail = "GSSAPI: no ticket"},
    {.name = "no ticket, another method does",
     .setup = &all,
     .turns = {GREETS_ALL, HEARS("\5\1"), ASKS_FOR('k', "1"), NOT_TOLD("no ticket"), AGAIN,
               SAYS("\5\2\2\0"), HEARS("\5\0"), ASKS, HEARS(REPLY)}},
    {.name = "no ticket, and the other method is refused",
     .setup = &or_login,
     .turns = {SAYS("\5\2\1\2"), HEARS("\5\1"), ASKS_FOR('k', "1"), NOT_TOLD("no ticket"), AGAIN,
               SAYS("\5\1\2"), HEARS("\5\1")},
     .code = ERROR_PROXY_PROTOCOL,
     .detail = "method 1, which was not offered"},
    {.name = "its token is wrong",
     .setup = &only,
     .turns = {GREETS, HEARS("\5\1"), FIRST, HEARS("\1\1\0\1x"), ASKS_FOR('k', "+x"),
               NOT_TOLD("it is not who we think")},
     .code = ERROR_PROXY_AUTH,
     .detail = "it is not who we think"},
    {.name = "the level cannot be wrapped",
     .setup = &only,
     .turns = {CONTEXT, ASKS_FOR('k', "w\0"), NOT_TOLD("no")},
     .code = ERROR_PROXY_AUTH},
    {.name = "a token of no bytes",
     .setup = &only,
     .turns = {GREETS, HEARS("\5\1"), ASKS_FOR('k', "1"), TOLD("")},
     .code = ERROR_PROXY_AUTH,
     .detail = "of 0 bytes"},

    /* ---- broken ---- */
    {.name = "the other version",
     .setup = &only,
     .turns = {GREETS, HEARS("\5\1"), FIRST, HEARS("\5\1\0\1x")},
     .code = ERROR_PROXY_PROTOCOL,
     .detail = "byte 5 instead of 1"},
    {.name = "a level too early",
     .setup = &only,
     .turns = {GREETS, HEARS("\5\1"), FIRST, HEARS("\1\2\0\1x")},
     .code = ERROR_PROXY_PROTOCOL,
     .detail = "type 2 instead of 1"},
    {.name = "a token too late",
     .setup = &only,
     .turns = {CONTEXT, SAYS_LEVEL, HEARS("\1\1\0\1x")},
     .code = ERROR_PROXY_PROTOCOL,
     .detail = "type 1 instead of 2"},
    {.name = "an empty token",
     .setup = &only,
     .turns = {GREETS, HEARS("\5\1"), FIRST, HEARS("\1\1\0\0")},
     .code = ERROR_PROXY_PROTOCOL,
     .detail = "of 0 bytes"},
    {.name = "a token that is too long",
     .setup = &only,
     .turns = {GREETS, HEARS("\5\1"), FIRST, HEARS("\1\1\xff\xff")},
     .code = ERROR_PROXY_PROTOCOL,
     .detail = "of 65535 bytes"},
    {.name = "closed in a token",
     .setup = &only,
     .turns = {GREETS, HEARS("\5\1"), FIRST, HEARS("\1\1\0\5pro")},
     .code = ERROR_PROXY_PROTOCOL,
     .detail = "it closed"},
    {.name = "the request's reply instead of a level",
     .setup = &only,
     .turns = {CONTEXT, SAYS_LEVEL, HEARS(REPLY)},
     .code = ERROR_PROXY_PROTOCOL,
     .detail = "byte 5 instead of 1"},
};

START_TEST(test_conversation)
{
    conversation_check(&kind, &conversations[_i]);
}
END_TEST

/* However long both sides find something to say. */
START_TEST(test_endless_rounds)
{
    const struct gss_answer answer = {.token = {"more", 4}};
    static const char *const message[] = {"\1\1", "\0\1", "x"};
    struct dialog *d = make(&only);
    unsigned n = 0;

    dialog_sent(d);
    dialog_received(d, (const uint8_t *)"\5\1", 2);
    for (; d->want == DIALOG_ASK && n < 100; n++) {
        dialog_answered(d, &answer);
        if (d->want != DIALOG_SEND)
            continue;
        dialog_sent(d);
        for (size_t i = 0; i < ARRAY_SIZE(message); i++)
            dialog_received(d, (const uint8_t *)message[i], d->n);
    }
    ck_assert_uint_eq(n, SOCKS5_ROUNDS_MAX + 1);
    ck_assert_int_eq(d->want, DIALOG_FAILED);
    ck_assert_int_eq(d->failure.code, ERROR_PROXY_PROTOCOL);
    dialog_deinit(d);
    free_socks5(d);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("socks5_gssapi");
    TCase *tests = tcase_create("conversations");

    tcase_add_loop_test(tests, test_conversation, 0, ARRAY_SIZE(conversations));
    tcase_add_test(tests, test_endless_rounds);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
