/* Conversations with HTTP proxies about Negotiate and NTLM, whose tokens somebody else makes. */
#include <stdio.h>
#include <string.h>

#include "tests/dialog/conversation.h"
#include "tests/dialog/http-connect-setups.h"
#include "tests/lib/suite.h"

#define HELLO       "CONNECT host.example:443 HTTP/1.1\r\nHost: host.example:443\r\n"
#define ASKS        SAYS(HELLO "\r\n")
#define SAYS_(word) SAYS(HELLO "Proxy-Authorization: " word "\r\n\r\n")

/* What is told is "first", "last" and so on; in base 64: */
#define FIRST "Zmlyc3Q="
#define LAST  "bGFzdA=="
#define MORE  "bW9yZQ=="
#define SPEAK "c3BlYWs="

#define WHO              "HTTP/1.1 407 Who\r\n"
#define EMPTY            "Content-Length: 0\r\n"
#define CLOSE            "Connection: close\r\n"
#define OFFER(word)      "Proxy-Authenticate: " word "\r\n"
#define HEARS_WHO(offer) HEARS(WHO offer EMPTY "\r\n")
#define OK               "HTTP/1.1 200 OK\r\n\r\n"
#define BANNER           "SSH-2.0-x\r\n"

#define OPENS(words, who, left, ...)                                                               \
    {                                                                                              \
        .name = words, .setup = &setups[who], .turns = {__VA_ARGS__}, .rest = left                 \
    }
#define FAILS(words, who, error, said, ...)                                                        \
    {                                                                                              \
        .name = words, .setup = &setups[who], .turns = {__VA_ARGS__}, .code = ERROR_PROXY_##error, \
        .detail = said                                                                             \
    }

static const struct conversation conversations[] = {
    /* ---- it opens ---- */
    OPENS("one scheme is said unasked", NEGOTIATE_ONLY, BANNER, ASKS_FOR('n', "1"), TOLD("first"),
          SAYS_("Negotiate " FIRST), HEARS(OK BANNER)),
    OPENS("of two, the offered one", NEGOTIATE_BASIC, BANNER, ASKS, HEARS_WHO(OFFER("Negotiate")),
          ASKS_FOR('n', "1"), TOLD_ALL("first"), SAYS_("Negotiate " FIRST), HEARS(OK BANNER)),
    OPENS("the proof of a 200 is looked at", NEGOTIATE_ONLY, BANNER, ASKS_FOR('n', "1"),
          TOLD("first"), SAYS_("Negotiate " FIRST),
          HEARS("HTTP/1.1 200 OK\r\n" OFFER("Negotiate " SPEAK) "\r\n" BANNER),
          ASKS_FOR('n', "+speak"), TOLD_ALL("")),
    OPENS("a token that nobody waits for", NEGOTIATE_ONLY, NULL, ASKS_FOR('n', "1"),
          TOLD_ALL("first"), SAYS_("Negotiate " FIRST),
          HEARS("HTTP/1.1 200 OK\r\n" OFFER("Negotiate " SPEAK) "\r\n")),
    OPENS("several rounds", NEGOTIATE_BASIC, NULL, ASKS, HEARS_WHO(OFFER("Negotiate")),
          ASKS_FOR('n', "1"), TOLD("first"), SAYS_("Negotiate " FIRST),
          HEARS_WHO(OFFER("Negotiate " SPEAK)), ASKS_FOR('n', "+speak"), TOLD("more"),
          SAYS_("Negotiate " MORE), HEARS_WHO(OFFER("negotiate " SPEAK)), ASKS_FOR('n', "+speak"),
          TOLD_ALL("last"), SAYS_("Negotiate " LAST), HEARS(OK)),
    OPENS("NTLM", NTLM_ONLY, BANNER, ASKS_FOR('N', "1"), TOLD("first"), SAYS_("NTLM " FIRST),
          HEARS(WHO OFFER("NTLM " SPEAK) "Content-Length: 4\r\n\r\npage"), ASKS_FOR('N', "+speak"),
          TOLD_ALL("last"), SAYS_("NTLM " LAST), HEARS(OK BANNER)),
    OPENS("NTLM was right before", KNOWN_NTLM, NULL, ASKS_FOR('N', "1"), TOLD("first"),
          SAYS_("NTLM " FIRST), HEARS_WHO(OFFER("NTLM " SPEAK)), ASKS_FOR('N', "+speak"),
          TOLD_ALL("last"), SAYS_("NTLM " LAST), HEARS(OK)),

    /* ---- connections ---- */
    OPENS("closed after the offer", NTLM_NEGOTIATE, NULL, ASKS,
          HEARS(WHO OFFER("NTLM") CLOSE EMPTY "\r\n"), ASKS_FOR('N', "1"), TOLD("lost"), AGAIN,
          ASKS_FOR('N', "1"), TOLD("first"), SAYS_("NTLM " FIRST), HEARS_WHO(OFFER("NTLM " SPEAK)),
          ASKS_FOR('N', "+speak"), TOLD_ALL("last"), SAYS_("NTLM " LAST), HEARS(OK)),
    OPENS("closed in the middle: it starts over", NTLM_ONLY, NULL, ASKS_FOR('N', "1"),
          TOLD("first"), SAYS_("NTLM " FIRST), HEARS(WHO OFFER("NTLM " SPEAK) CLOSE EMPTY "\r\n"),
          ASKS_FOR('N', "+speak"), TOLD_ALL("lost"), AGAIN, ASKS_FOR('N', "1"), TOLD("first"),
          SAYS_("NTLM " FIRST), HEARS_WHO(OFFER("NTLM " SPEAK)), ASKS_FOR('N', "+speak"),
          TOLD_ALL("last"), SAYS_("NTLM " LAST), HEARS(OK)),
    FAILS("always closed in the middle", NTLM_ONLY, AUTH, "needs a persistent one",
          ASKS_FOR('N', "1"), TOLD("first"), SAYS_("NTLM " FIRST),
          HEARS(WHO OFFER("NTLM " SPEAK) CLOSE "\r\n"), ASKS_FOR('N', "+speak"), TOLD_ALL("lost"),
          AGAIN, ASKS_FOR('N', "1"), TOLD("first"), SAYS_("NTLM " FIRST),
          HEARS(WHO OFFER("NTLM " SPEAK) CLOSE "\r\n"), ASKS_FOR('N', "+speak"), TOLD_ALL("lost"),
          AGAIN, ASKS_FOR('N', "1"), TOLD("first"), SAYS_("NTLM " FIRST),
          HEARS(WHO OFFER("NTLM " SPEAK) CLOSE "\r\n"), ASKS_FOR('N', "+speak"), TOLD_ALL("lost"),
          AGAIN),
    OPENS("closed after the middle without a word", NTLM_NEGOTIATE, NULL, ASKS,
          HEARS_WHO(OFFER("NTLM")), ASKS_FOR('N', "1"), TOLD("first"), SAYS_("NTLM " FIRST), AGAIN,
          ASKS_FOR('N', "1"), TOLD("first"), SAYS_("NTLM " FIRST), HEARS(OK)),

    /* ---- refusals ---- */
    FAILS("a 407 without a token is a no", NEGOTIATE_ONLY, AUTH,
          "it refused the credentials (negotiate); it offers Negotiate", ASKS_FOR('n', "1"),
          TOLD("first"), SAYS_("Negotiate " FIRST), HEARS_WHO(OFFER("Negotiate"))),
    FAILS("and so is one when all is said", NTLM_ONLY, AUTH, "it refused the credentials (ntlm)",
          ASKS_FOR('N', "1"), TOLD("first"), SAYS_("NTLM " FIRST), HEARS_WHO(OFFER("NTLM " SPEAK)),
          ASKS_FOR('N', "+speak"), TOLD_ALL("last"), SAYS_("NTLM " LAST),
          HEARS_WHO(OFFER("NTLM " SPEAK))),
    OPENS("the next scheme after a no", NEGOTIATE_BASIC, NULL, ASKS,
          HEARS_WHO(OFFER("Negotiate, Basic realm=r")), ASKS_FOR('n', "1"), TOLD("first"),
          SAYS_("Negotiate " FIRST), HEARS_WHO(OFFER("Negotiate")), SAYS_("Basic " BASE64),
          HEARS(OK)),
    OPENS("from one context to another", NTLM_NEGOTIATE, NULL, ASKS,
          HEARS_WHO(OFFER("Negotiate, NTLM")), ASKS_FOR('N', "1"), TOLD("first"),
          SAYS_("NTLM " FIRST), HEARS_WHO(OFFER("Negotiate") OFFER("NTLM")), ASKS_FOR('n', "1"),
          TOLD_ALL("last"), SAYS_("Negotiate " LAST), HEARS(OK)),
    FAILS("no context ends in another's scheme", NTLM_ONLY, AUTH,
          "it refused the credentials (ntlm); it offers Negotiate", ASKS_FOR('N', "1"),
          TOLD("first"), SAYS_("NTLM " FIRST), HEARS_WHO(OFFER("Negotiate " SPEAK))),
    FAILS("it repeats the token", NEGOTIATE_ONLY, REFUSED, "in words that repeat the credentials",
          ASKS_FOR('n', "1"), TOLD("longer token"), SAYS_("Negotiate bG9uZ2VyIHRva2Vu"),
          HEARS("HTTP/1.1 403 bG9uZ2VyIHRva2Vu\r\n" EMPTY "\r\n")),
    FAILS("it repeats the beginning of the token", NEGOTIATE_ONLY, REFUSED,
          "in words that repeat the credentials", ASKS_FOR('n', "1"), TOLD("longer token"),
          SAYS_("Negotiate bG9uZ2VyIHRva2Vu"),
          HEARS("HTTP/1.1 403 No\r\nContent-Length: 9\r\n\r\n>bG9uZ2Vy")),

    /* ---- without an answer ---- */
    FAILS("nobody knows", NEGOTIATE_ONLY, AUTH,
          "there is no answer for negotiate: no Kerberos ticket", ASKS_FOR('n', "1"),
          NOT_TOLD("no Kerberos ticket"), ASKS, HEARS_WHO(OFFER("Negotiate"))),
    OPENS("nobody knows, and nobody has to", NEGOTIATE_ONLY, NULL, ASKS_FOR('n', "1"),
          NOT_TOLD("no Kerberos ticket"), ASKS, HEARS(OK)),
    OPENS("the next scheme where there is no answer", NEGOTIATE_BASIC, NULL, ASKS,
          HEARS_WHO(OFFER("Negotiate, Basic realm=r")), ASKS_FOR('n', "1"), NOT_TOLD("no ticket"),
          SAYS_("Basic " BASE64), HEARS(OK)),
    FAILS("no answer in the middle", NTLM_ONLY, AUTH, "for ntlm: a strange token",
          ASKS_FOR('N', "1"), TOLD("first"), SAYS_("NTLM " FIRST), HEARS_WHO(OFFER("NTLM " SPEAK)),
          ASKS_FOR('N', "+speak"), NOT_TOLD("a strange token")),
    FAILS("there is nothing to say", NTLM_ONLY, AUTH, "nothing left to say", ASKS_FOR('N', "1"),
          TOLD("first"), SAYS_("NTLM " FIRST), HEARS_WHO(OFFER("NTLM " SPEAK)),
          ASKS_FOR('N', "+speak"), TOLD_ALL("")),
    FAILS("the proof of a 200 is wrong", NEGOTIATE_ONLY, AUTH, "did not prove who it is: wrong",
          ASKS_FOR('n', "1"), TOLD("first"), SAYS_("Negotiate " FIRST),
          HEARS("HTTP/1.1 200 OK\r\n" OFFER("Negotiate " SPEAK) "\r\n"), ASKS_FOR('n', "+speak"),
          NOT_TOLD("wrong")),
    FAILS("the proof of a 200 is half", NEGOTIATE_ONLY, AUTH, "there is more to say",
          ASKS_FOR('n', "1"), TOLD("first"), SAYS_("Negotiate " FIRST),
          HEARS("HTTP/1.1 200 OK\r\n" OFFER("Negotiate " SPEAK) "\r\n"), ASKS_FOR('n', "+speak"),
          TOLD("more")),
    FAILS("the proof of a 200 is broken", NEGOTIATE_ONLY, AUTH, "its last token is broken",
          ASKS_FOR('n', "1"), TOLD("first"), SAYS_("Negotiate " FIRST),
          HEARS("HTTP/1.1 200 OK\r\n" OFFER("Negotiate a") "\r\n")),
    FAILS("a token that is none", NTLM_ONLY, AUTH, "it offers NTLM", ASKS_FOR('N', "1"),
          TOLD("first"), SAYS_("NTLM " FIRST), HEARS_WHO(OFFER("NTLM abc"))),
};

/* Nobody may tell our tokens; "longer token" is one of the table's. */
static const char *const secrets[] = {SECRET, BASE64, TOKEN, "bG9uZ2VyIHRva2Vu", NULL};

static const struct conversation_kind kind = {make_connection, free_connection, secrets};

START_TEST(test_conversation)
{
    conversation_check(&kind, &conversations[_i]);
}
END_TEST

static void say(struct dialog *d, const char *words)
{
    char *copy;

    ck_assert_int_eq(d->want, DIALOG_SEND);
    dialog_sent(d);
    while (*words && d->want != DIALOG_ASK) {
        const char *end = strstr(words, "\r\n\r\n");
        size_t n = d->want == DIALOG_RECV_EXACT ? d->n : (size_t)(end + 4 - words);

        copy = malloc(n);
        ck_assert_ptr_nonnull(copy);
        memcpy(copy, words, n);
        dialog_received(d, (const uint8_t *)copy, n);
        free(copy);
        words += n;
    }
}

/* However long the proxy goes on, and however often the context wants more. */
START_TEST(test_endless_rounds)
{
    struct gss_answer answer = {.token = {"more", 4}};
    struct dialog *d = make_connection(&setups[NTLM_ONLY]);
    unsigned n = 0;

    for (; d->want == DIALOG_ASK && n < 100; n++) {
        dialog_answered(d, &answer);
        say(d, WHO OFFER("NTLM " SPEAK) EMPTY "\r\n");
    }
    ck_assert_uint_eq(n, AUTH_ROUNDS_MAX);
    ck_assert_int_eq(d->want, DIALOG_FAILED);
    ck_assert_int_eq(d->failure.code, ERROR_PROXY_AUTH);
    dialog_deinit(d);
    free_connection(d);
}
END_TEST

/* Tickets of large domains are long; they fit into a request. */
START_TEST(test_longest_token)
{
    char *token = calloc(1, QUESTION_TOKEN_MAX + 1);
    struct gss_answer answer = {.token = {token, QUESTION_TOKEN_MAX}};
    struct dialog *d = make_connection(&setups[NEGOTIATE_ONLY]);

    ck_assert_ptr_nonnull(token);
    dialog_answered(d, &answer);
    ck_assert_int_eq(d->want, DIALOG_SEND);
    ck_assert_uint_gt(d->n_out, BASE64_LENGTH(QUESTION_TOKEN_MAX));
    dialog_deinit(d);
    free_connection(d);

    d = make_connection(&setups[NEGOTIATE_ONLY]);
    answer.token.n++;
    dialog_answered(d, &answer);
    ck_assert_int_eq(d->want, DIALOG_SEND);
    ck_assert_uint_lt(d->n_out, 200);
    dialog_deinit(d);
    free_connection(d);
    free(token);
}
END_TEST

START_TEST(test_settings)
{
    struct auth_settings s = setups[NTLM_ONLY].proxy.auth;

    ck_assert_ptr_null(auth_check_settings(&s));
    s.gss.user = (struct text){0};
    ck_assert_str_eq(auth_check_settings(&s), "the user's name has to be 1 to 255 bytes long");
    s.schemes[0] = AUTH_NEGOTIATE; /* which takes nobody's password */
    ck_assert_ptr_null(auth_check_settings(&s));
    s.gss.service = NULL;
    ck_assert_ptr_nonnull(auth_check_settings(&s));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("http_connect_rounds");
    TCase *tests = tcase_create("conversations");

    tcase_add_loop_test(tests, test_conversation, 0, ARRAY_SIZE(conversations));
    tcase_add_test(tests, test_endless_rounds);
    tcase_add_test(tests, test_longest_token);
    tcase_add_test(tests, test_settings);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
