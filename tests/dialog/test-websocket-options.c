/* What a client may add to the request: everything else is refused before a byte is sent, and
 * without a word of a header's value. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "daemon/dialog/websocket.h"
#include "daemon/tls/hash.h"
#include "proto/cleanup.h"
#include "tests/lib/suite.h"

#define TEXT(word)                                                                                 \
    {                                                                                              \
        word, sizeof(word) - 1                                                                     \
    }

/* The list ends with the first text that is NULL. */
static size_t count(const struct text *texts)
{
    size_t n = 0;

    while (texts[n].data)
        n++;
    return n;
}

static void check_dialog(const struct websocket_options *options, bool is_good)
{
    struct target target;
    struct websocket_setup setup = {&target, *options, {0}, tls_hash};
    struct websocket websocket;
    const char *error;

    ck_assert_int_eq(target_parse("ws://h", 6, &target, &error), 0);
    websocket_init(&websocket, &setup);
    if (is_good) {
        ck_assert_int_eq(websocket.dialog.want, DIALOG_SEND);
    } else {
        ck_assert_int_eq(websocket.dialog.want, DIALOG_FAILED);
        ck_assert_int_eq(websocket.dialog.failure.code, ERROR_BAD_OPTION);
        ck_assert_ptr_null(strstr(websocket.dialog.failure.detail, "s3cret"));
    }
    dialog_deinit(&websocket.dialog);
}

static const struct {
    struct text headers[3];
    struct text subprotocols[4];
} good[] = {
    {{{NULL, 0}}, {{NULL, 0}}},
    {{TEXT("Cookie: a=b"), TEXT("Cookie: a=b")}, {TEXT("chat"), TEXT("Chat")}},
    {{TEXT("Origin:http://x"), TEXT("Empty:")}, {TEXT("!#$%&'*+-.^_`|~09azAZ")}},
    {{TEXT("X: \t a\tb\xff \t"), TEXT("Hosts: x")}, {{NULL, 0}}},
    {{TEXT("Sec-WebSocket: x"), TEXT("Connection-X: y")}, {{NULL, 0}}},
};

START_TEST(test_good)
{
    struct websocket_options options = {good[_i].headers, count(good[_i].headers),
                                        good[_i].subprotocols, count(good[_i].subprotocols)};
    struct failure failure = {0};

    ck_assert_msg(websocket_check_options(&options, &failure), "%s", failure.detail);
    check_dialog(&options, true);
}
END_TEST

static const struct {
    struct text headers[3];
    struct text subprotocols[4];
    const char *why;
} bad[] = {
    {{TEXT("Host: evil.example")}, {{NULL, 0}}, "header Host is not"},
    {{TEXT("A: b"), TEXT("hOST:evil.example")}, {{NULL, 0}}, "header hOST is not"},
    {{TEXT("Upgrade: h2c")}, {{NULL, 0}}, "header Upgrade is not"},
    {{TEXT("Connection: close")}, {{NULL, 0}}, "header Connection is not"},
    {{TEXT("Keep-Alive: 1")}, {{NULL, 0}}, "header Keep-Alive is not"},
    {{TEXT("Proxy-Connection: close")}, {{NULL, 0}}, "header Proxy-Connection is not"},
    {{TEXT("Proxy-Authenticate: x")}, {{NULL, 0}}, "header Proxy-Authenticate is not"},
    {{TEXT("Proxy-Authentication-Info: x")},
     {{NULL, 0}},
     "header Proxy-Authentication-Info is not"},
    {{TEXT("Proxy-Authorization: s3cret")}, {{NULL, 0}}, "header Proxy-Authorization is not"},
    {{TEXT("HTTP2-Settings: x")}, {{NULL, 0}}, "header HTTP2-Settings is not"},
    {{TEXT("TE: trailers")}, {{NULL, 0}}, "header TE is not"},
    {{TEXT("Trailer: x")}, {{NULL, 0}}, "header Trailer is not"},
    {{TEXT("Transfer-Encoding: chunked")}, {{NULL, 0}}, "header Transfer-Encoding is not"},
    {{TEXT("content-length: 5")}, {{NULL, 0}}, "header content-length is not"},
    {{TEXT("Expect: 100-continue")}, {{NULL, 0}}, "header Expect is not"},
    {{TEXT("Sec-WebSocket-Key: x")}, {{NULL, 0}}, "header Sec-WebSocket-Key is not"},
    {{TEXT("sec-websocket-extensions: x")}, {{NULL, 0}}, "header sec-websocket-extensions is not"},
    {{TEXT("Sec-WebSocket-: x")}, {{NULL, 0}}, "header Sec-WebSocket- is not"},
    {{TEXT("A: s3cret\r\nB: c")}, {{NULL, 0}}, "header A has a control character"},
    {{TEXT("A: s3cret\r\n\r\nGET / HTTP/1.1")}, {{NULL, 0}}, "header A has a control character"},
    {{TEXT("A: s3cret\n B: c")}, {{NULL, 0}}, "header A has a control character"},
    {{TEXT("A: s3cret\r")}, {{NULL, 0}}, "header A has a control character"},
    {{TEXT("A: s3cret\0")}, {{NULL, 0}}, "header A has a control character"},
    {{TEXT("A: s3cret\x7f")}, {{NULL, 0}}, "header A has a control character"},
    {{TEXT("A: b"), TEXT("A b")}, {{NULL, 0}}, "header 2 does not start"},
    {{TEXT("")}, {{NULL, 0}}, "header 1 does not start"},
    {{TEXT(":")}, {{NULL, 0}}, "header 1 does not start"},
    {{TEXT(": x")}, {{NULL, 0}}, "header 1 does not start"},
    {{TEXT("Host : x")}, {{NULL, 0}}, "header 1 does not start"},
    {{TEXT(" Host: x")}, {{NULL, 0}}, "header 1 does not start"},
    {{TEXT("A\r\nHost: x")}, {{NULL, 0}}, "header 1 does not start"},
    {{TEXT("A\0: x")}, {{NULL, 0}}, "header 1 does not start"},
    {{TEXT("\xc3\xa9: x")}, {{NULL, 0}}, "header 1 does not start"},
    {{{NULL, 0}}, {TEXT("")}, "subprotocol 1 is no token"},
    {{{NULL, 0}}, {TEXT("a"), TEXT("a b")}, "subprotocol 2 is no token"},
    {{{NULL, 0}}, {TEXT("a,b")}, "subprotocol 1 is no token"},
    {{{NULL, 0}}, {TEXT("a\r\nHost: x")}, "subprotocol 1 is no token"},
    {{{NULL, 0}}, {TEXT("a\0")}, "subprotocol 1 is no token"},
    {{{NULL, 0}}, {TEXT("a/b")}, "subprotocol 1 is no token"},
    {{{NULL, 0}}, {TEXT("\xc3\xa9")}, "subprotocol 1 is no token"},
    {{{NULL, 0}}, {TEXT("a"), TEXT("a")}, "subprotocols 1 and 2 are the same"},
    {{{NULL, 0}}, {TEXT("a"), TEXT("b"), TEXT("a")}, "subprotocols 1 and 3 are the same"},
};

START_TEST(test_bad)
{
    struct websocket_options options = {bad[_i].headers, count(bad[_i].headers),
                                        bad[_i].subprotocols, count(bad[_i].subprotocols)};
    struct failure failure = {0};

    ck_assert(!websocket_check_options(&options, &failure));
    ck_assert_int_eq(failure.code, ERROR_BAD_OPTION);
    ck_assert_int_eq(failure.stage, STAGE_REQUEST);
    ck_assert_msg(strstr(failure.detail, bad[_i].why) != NULL, "%s", failure.detail);
    ck_assert_ptr_null(strstr(failure.detail, "s3cret"));
    check_dialog(&options, false);
}
END_TEST

START_TEST(test_how_many_options)
{
    struct text headers[MESSAGE_HEADERS_MAX + 1], subprotocols[MESSAGE_SUBPROTOCOL_MAX + 1];
    char names[MESSAGE_SUBPROTOCOL_MAX + 1][2];
    struct websocket_options options = {headers, MESSAGE_HEADERS_MAX, subprotocols,
                                        MESSAGE_SUBPROTOCOL_MAX};
    struct failure failure;

    for (size_t i = 0; i < ARRAY_SIZE(headers); i++)
        headers[i] = text_of("Cookie: a=b");
    for (size_t i = 0; i < ARRAY_SIZE(subprotocols); i++) {
        snprintf(names[i], sizeof names[i], "%zu", i);
        subprotocols[i] = text_of(names[i]);
    }
    ck_assert(websocket_check_options(&options, &failure));
    options.n_headers++;
    ck_assert(!websocket_check_options(&options, &failure));
    ck_assert_int_eq(failure.code, ERROR_BAD_OPTION);
    options.n_headers = 0;
    ck_assert(websocket_check_options(&options, &failure));
    options.n_subprotocols++;
    ck_assert(!websocket_check_options(&options, &failure));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("websocket-options");
    TCase *tests = tcase_create("options");

    tcase_add_loop_test(tests, test_good, 0, ARRAY_SIZE(good));
    tcase_add_loop_test(tests, test_bad, 0, ARRAY_SIZE(bad));
    tcase_add_test(tests, test_how_many_options);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
