/* The upgrade to WebSocket. The key and its answer are those of RFC 6455, 1.3. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/dialog/websocket.h"
#include "daemon/tls/hash.h"
#include "proto/cleanup.h"
#include "tests/dialog/conversation.h"
#include "tests/lib/suite.h"

#define KEY "the sample nonce"
#define TEXT(word)                                                                                 \
    {                                                                                              \
        word, sizeof(word) - 1                                                                     \
    }

struct setup {
    const char *target;
    struct text headers[MESSAGE_HEADERS_MAX + 1];
    struct text subprotocols[MESSAGE_SUBPROTOCOL_MAX + 1];
};

/* The lists end with the first text that is NULL. */
static size_t count(const struct text *texts)
{
    size_t n = 0;

    while (texts[n].data)
        n++;
    return n;
}

static struct dialog *make_with(const struct setup *s, hash_function *hash)
{
    struct websocket *websocket = malloc(sizeof *websocket);
    struct websocket_setup setup = {.hash = hash};
    struct target target;
    const char *error = "";

    ck_assert_ptr_nonnull(websocket);
    ck_assert_msg(target_parse(s->target, strlen(s->target), &target, &error) == 0, "%s", error);
    setup.target = &target;
    setup.options = (struct websocket_options){s->headers, count(s->headers), s->subprotocols,
                                               count(s->subprotocols)};
    memcpy(setup.key, KEY, sizeof setup.key);
    websocket_init(websocket, &setup);
    return &websocket->dialog;
}

static struct dialog *make(const void *setup)
{
    return make_with(setup, tls_hash);
}

static void free_websocket(struct dialog *d)
{
    free(d);
}

static const char *const secrets[] = {"s3cret", "YWxhZGRpbg", NULL};
static const struct conversation_kind kind = {
    .make = make, .free_ = free_websocket, .secrets = secrets};

static const struct setup plain = {.target = "ws://example.org/chat"};
static const struct setup asking = {
    .target = "ws://example.org/chat",
    .subprotocols = {TEXT("chat"), TEXT("superchat"), TEXT("v2.x")}};
static const struct setup telling = {
    .target = "ws://example.org/chat",
    .headers = {TEXT("Origin: http://example.org"), TEXT("Cookie: id=s3cret"), TEXT("X-Empty:"),
                TEXT("Authorization: Basic YWxhZGRpbg=="), TEXT("x-tab:\tb\xc3\xa9\t")},
    .subprotocols = {TEXT("chat")}};
static const struct setup other_port = {.target = "ws://example.org:8080/chat"};
static const struct setup secure = {.target = "wss://example.org:443/chat"};
static const struct setup secure_80 = {.target = "wss://example.org:80/chat"};
static const struct setup plain_443 = {.target = "ws://example.org:443/chat"};
static const struct setup ipv4 = {.target = "ws://192.0.2.1/chat"};
static const struct setup ipv6 = {.target = "ws://[2001:db8::1]/chat"};
static const struct setup ipv6_port = {.target = "wss://[2001:db8::1]:8443/chat"};
static const struct setup no_path = {.target = "ws://example.org"};
static const struct setup with_query = {.target = "ws://example.org/a/b?c=%20d&e"};

#define GET "GET /chat HTTP/1.1\r\n"
#define OUR_FIELDS                                                                                 \
    "Upgrade: websocket\r\nConnection: Upgrade\r\n"                                                \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
#define PLAIN SAYS(GET "Host: example.org\r\n" OUR_FIELDS "\r\n")
#define ASKING                                                                                     \
    SAYS(GET "Host: example.org\r\n" OUR_FIELDS                                                    \
             "Sec-WebSocket-Protocol: chat, superchat, v2.x\r\n\r\n")
#define TELLING                                                                                    \
    SAYS(GET "Host: example.org\r\n" OUR_FIELDS                                                    \
             "Origin: http://example.org\r\nCookie: id=s3cret\r\nX-Empty:\r\n"                     \
             "Authorization: Basic YWxhZGRpbg==\r\nx-tab:\tb\xc3\xa9\t\r\n"                        \
             "Sec-WebSocket-Protocol: chat\r\n\r\n")

#define SWITCHING    "HTTP/1.1 101 Switching Protocols\r\n"
#define UPGRADE      "Upgrade: websocket\r\n"
#define CONNECTION   "Connection: Upgrade\r\n"
#define ACCEPT_VALUE "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
#define ACCEPT       "Sec-WebSocket-Accept: " ACCEPT_VALUE "\r\n"
#define AGREED       SWITCHING UPGRADE CONNECTION ACCEPT

/* It says this request, hears these words, and is done: `head` is the response, `rest` unread. */
#define DONE(name, setup, request, before, head, rest)                                             \
    {                                                                                              \
        name, &setup, {request, HEARS(before head rest)}, rest, ERROR_NONE, NULL, head             \
    }
#define REFUSED(name, setup, request, head, rest, detail)                                          \
    {                                                                                              \
        name, &setup, {request, HEARS(head rest)}, NULL, ERROR_UPGRADE_REFUSED,                    \
            "websocket: it answers " detail, head                                                  \
    }
#define BROKEN(name, words, detail)                                                                \
    {                                                                                              \
        name, &asking, {ASKING, HEARS(words)}, NULL, ERROR_UPGRADE_PROTOCOL, detail, NULL          \
    }

static const struct conversation good[] = {
    DONE("plain", plain, PLAIN, "", AGREED "\r\n", ""),
    DONE("a frame behind it", plain, PLAIN, "", AGREED "\r\n", "\x81\x05Hello"),
    DONE("frames that look like a head", plain, PLAIN, "", AGREED "\r\n",
         "HTTP/1.1 400 No\r\n\r\n"),
    DONE("bare line feeds", plain, PLAIN, "",
         "HTTP/1.1 101\nUpgrade: websocket\nConnection: Upgrade\n"
         "Sec-WebSocket-Accept: " ACCEPT_VALUE "\n\n",
         "\n\n"),
    DONE("letters' case", plain, PLAIN, "",
         SWITCHING "UPGRADE: WebSocket\r\nconnection: upGRADE\r\n"
                   "sec-websocket-accept:" ACCEPT_VALUE " \t\r\n\r\n",
         ""),
    DONE("Connection with more", plain, PLAIN, "",
         SWITCHING UPGRADE "Connection: keep-alive\r\nConnection: x ,, Upgrade\r\n" ACCEPT "\r\n",
         ""),
    DONE("other fields", plain, PLAIN, "",
         AGREED "Server: x\r\nSet-Cookie: a=b\r\nContent-Length: 5\r\n\r\n", "12345"),
    DONE("no subprotocol agreed", asking, ASKING, "", AGREED "\r\n", ""),
    DONE("first subprotocol", asking, ASKING, "", AGREED "Sec-WebSocket-Protocol: chat\r\n\r\n",
         ""),
    DONE("last subprotocol", asking, ASKING, "", AGREED "Sec-WebSocket-Protocol: v2.x\r\n\r\n",
         "x"),
    DONE("headers", telling, TELLING, "", AGREED "Sec-WebSocket-Protocol: chat\r\n\r\n", ""),
    DONE("interim answers", plain, PLAIN,
         "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
         "HTTP/1.1 102 Processing\r\nContent-Length: 3\r\n\r\n",
         AGREED "\r\n", "\x88"),
#define CONTINUE   "HTTP/1.1 100 Continue\r\n\r\n"
#define CONTINUE_4 CONTINUE CONTINUE CONTINUE CONTINUE
    DONE("eight interim answers", plain, PLAIN, CONTINUE_4 CONTINUE_4, AGREED "\r\n", ""),

    DONE("other port", other_port, SAYS(GET "Host: example.org:8080\r\n" OUR_FIELDS "\r\n"), "",
         AGREED "\r\n", ""),
    DONE("wss", secure, PLAIN, "", AGREED "\r\n", ""),
    DONE("wss, 80", secure_80, SAYS(GET "Host: example.org:80\r\n" OUR_FIELDS "\r\n"), "",
         AGREED "\r\n", ""),
    DONE("ws, 443", plain_443, SAYS(GET "Host: example.org:443\r\n" OUR_FIELDS "\r\n"), "",
         AGREED "\r\n", ""),
    DONE("IPv4", ipv4, SAYS(GET "Host: 192.0.2.1\r\n" OUR_FIELDS "\r\n"), "", AGREED "\r\n", ""),
    DONE("IPv6", ipv6, SAYS(GET "Host: [2001:db8::1]\r\n" OUR_FIELDS "\r\n"), "", AGREED "\r\n",
         ""),
    DONE("IPv6 and port", ipv6_port, SAYS(GET "Host: [2001:db8::1]:8443\r\n" OUR_FIELDS "\r\n"), "",
         AGREED "\r\n", ""),
    DONE("no path", no_path, SAYS("GET / HTTP/1.1\r\nHost: example.org\r\n" OUR_FIELDS "\r\n"), "",
         AGREED "\r\n", ""),
    DONE("query", with_query,
         SAYS("GET /a/b?c=%20d&e HTTP/1.1\r\nHost: example.org\r\n" OUR_FIELDS "\r\n"), "",
         AGREED "\r\n", ""),
};

START_TEST(test_good)
{
    conversation_check(&kind, &good[_i]);
}
END_TEST

static const struct conversation bad[] = {
    REFUSED("401", plain, PLAIN,
            "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\n"
            "Content-Length: 4\r\n\r\n",
            "body", "401 Unauthorized"),
    REFUSED("302", plain, PLAIN, "HTTP/1.1 302 Found\r\nLocation: https://login.example/a\r\n\r\n",
            "", "302 Found, Location: https://login.example/a"),
    REFUSED("302 without a Location", plain, PLAIN, "HTTP/1.1 302 Found\r\n\r\n", "", "302 Found"),
    REFUSED("303 with an empty one", plain, PLAIN, "HTTP/1.1 303\r\nLocation:\r\n\r\n", "", "303"),
    REFUSED(
        "426", plain, PLAIN,
        "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 8\r\n\r\n",
        "", "426 Upgrade Required"),
    REFUSED("500", plain, PLAIN, "HTTP/1.1 500 Internal Server Error\r\n\r\n", "", "500 Internal"),
    REFUSED("503 in HTTP/1.0", plain, PLAIN, "HTTP/1.0 503 Busy\n\n", "x", "503 Busy"),
    REFUSED("200", plain, PLAIN, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "", "200 OK"),
    REFUSED("200 with the right fields", plain, PLAIN,
            "HTTP/1.1 200 OK\r\n" UPGRADE CONNECTION ACCEPT "\r\n", "", "200 OK"),
    REFUSED("escaped", plain, PLAIN, "HTTP/1.1 403 \xff\\\r\n\r\n", "", "403 \\xff\\x5c"),
    REFUSED("with headers", telling, TELLING, "HTTP/1.1 403 Forbidden\r\n\r\n", "",
            "403 Forbidden"),
    {"refused behind an interim answer",
     &plain,
     {PLAIN, HEARS(CONTINUE "HTTP/1.1 404 Not Found\r\n\r\n")},
     NULL,
     ERROR_UPGRADE_REFUSED,
     "404 Not Found",
     "HTTP/1.1 404 Not Found\r\n\r\n"},

    BROKEN("closed", "", "it closed"),
    BROKEN("closed within", "HTTP/1.1 101 Sw", "it closed"),
    BROKEN("closed behind an interim answer", CONTINUE, "it closed"),
    BROKEN("HTTP/1.0", "HTTP/1.0 101 Switching Protocols\r\n" UPGRADE CONNECTION ACCEPT "\r\n",
           "HTTP/1.0"),
    BROKEN("HTTP/2", "HTTP/2 101\r\n\r\n", "starts with something else"),
    BROKEN("TLS", "\x15\x03\x01\x00\x02\x02\x46\n\n", "NUL"),
    BROKEN("ssh", "SSH-2.0-x\r\n\r\n", "starts with something else"),
    BROKEN("a NUL", AGREED "X: \0\r\n\r\n", "NUL"),
    BROKEN("no colon", AGREED "X\r\n\r\n", "colon"),
    BROKEN("no Upgrade", SWITCHING CONNECTION ACCEPT "\r\n", "its Upgrade"),
    BROKEN("empty Upgrade", SWITCHING "Upgrade:\r\n" CONNECTION ACCEPT "\r\n", "its Upgrade"),
    BROKEN("another Upgrade", SWITCHING "Upgrade: h2c\r\n" CONNECTION ACCEPT "\r\n", "its Upgrade"),
    BROKEN("two in Upgrade", SWITCHING "Upgrade: websocket, h2c\r\n" CONNECTION ACCEPT "\r\n",
           "its Upgrade"),
    BROKEN("Upgrade twice", SWITCHING UPGRADE UPGRADE CONNECTION ACCEPT "\r\n", "its Upgrade"),
    BROKEN("no Connection", SWITCHING UPGRADE ACCEPT "\r\n", "its Connection"),
    BROKEN("another Connection", SWITCHING UPGRADE "Connection: close, upgraded\r\n" ACCEPT "\r\n",
           "its Connection"),
    BROKEN("no Accept", SWITCHING UPGRADE CONNECTION "\r\n", "Sec-WebSocket-Accept"),
    BROKEN("another Accept",
           SWITCHING UPGRADE CONNECTION
           "Sec-WebSocket-Accept: HSmrc0sMlYUkAGmm5OPpG2HaGWk=\r\n\r\n",
           "Sec-WebSocket-Accept"),
    BROKEN("Accept in capitals",
           SWITCHING UPGRADE CONNECTION
           "Sec-WebSocket-Accept: S3PPLMBITXAQ9KYGZZHZRBK+XOO=\r\n\r\n",
           "Sec-WebSocket-Accept"),
    BROKEN("half an Accept", SWITCHING UPGRADE CONNECTION "Sec-WebSocket-Accept: s3pPLM\r\n\r\n",
           "Sec-WebSocket-Accept"),
    BROKEN("more than an Accept",
           SWITCHING UPGRADE CONNECTION "Sec-WebSocket-Accept: " ACCEPT_VALUE "=\r\n\r\n",
           "Sec-WebSocket-Accept"),
    BROKEN("Accept twice", AGREED ACCEPT "\r\n", "Sec-WebSocket-Accept"),
    BROKEN("the key given back",
           SWITCHING UPGRADE CONNECTION "Sec-WebSocket-Accept: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
           "Sec-WebSocket-Accept"),
    BROKEN("an extension", AGREED "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
           "an extension"),
    BROKEN("an empty extension", AGREED "sec-websocket-extensions:\r\n\r\n", "an extension"),
    BROKEN("another subprotocol", AGREED "Sec-WebSocket-Protocol: mqtt\r\n\r\n", "a subprotocol"),
    BROKEN("a subprotocol's beginning", AGREED "Sec-WebSocket-Protocol: super\r\n\r\n",
           "a subprotocol"),
    BROKEN("a subprotocol in capitals", AGREED "Sec-WebSocket-Protocol: Chat\r\n\r\n",
           "a subprotocol"),
    BROKEN("an empty subprotocol", AGREED "Sec-WebSocket-Protocol:\r\n\r\n", "a subprotocol"),
    BROKEN("two subprotocols", AGREED "Sec-WebSocket-Protocol: chat, superchat\r\n\r\n",
           "a subprotocol"),
    BROKEN("a subprotocol twice",
           AGREED "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: chat\r\n\r\n",
           "a subprotocol"),
    BROKEN("nine interim answers", CONTINUE_4 CONTINUE_4 CONTINUE AGREED "\r\n",
           "more than 8 interim"),
    {"a subprotocol that nobody asked for",
     &plain,
     {PLAIN, HEARS(AGREED "Sec-WebSocket-Protocol: chat\r\n\r\n")},
     NULL,
     ERROR_UPGRADE_PROTOCOL,
     "a subprotocol",
     NULL},
};

START_TEST(test_bad)
{
    conversation_check(&kind, &bad[_i]);
}
END_TEST

/* What is in a query may be secret; the client has it in the response. */
START_TEST(test_query_stays_out_of_the_error)
{
    const char *head = "HTTP/1.1 302 Found\r\nLocation: https://h/a?state=77#b\r\n\r\n";
    struct dialog *d = make(&plain);

    dialog_sent(d);
    dialog_received(d, (const uint8_t *)head, strlen(head));
    ck_assert_str_eq(d->failure.detail, "websocket: it answers 302 Found, Location: https://h/a");
    ck_assert_uint_eq(d->response.n, strlen(head));
    dialog_deinit(d);
    free_websocket(d);
}
END_TEST

/* ---- limits ---- */

/* A head of n bytes that agrees. */
static char *make_long_head(size_t n)
{
    const char *start = AGREED "X: ", *end = "\r\n\r\n";
    char *head = malloc(n);

    ck_assert_ptr_nonnull(head);
    memset(head, 'x', n);
    memcpy(head, start, strlen(start));
    memcpy(head + n - strlen(end), end, strlen(end));
    return head;
}

START_TEST(test_longest_head)
{
    char *head = make_long_head(WEBSOCKET_HEAD_MAX);
    struct dialog *d = make(&plain);

    dialog_sent(d);
    ck_assert_int_eq(d->want, DIALOG_RECV_HEAD);
    ck_assert_uint_eq(d->n, MESSAGE_RESPONSE_MAX);
    dialog_received(d, (const uint8_t *)head, WEBSOCKET_HEAD_MAX);
    ck_assert_msg(d->want == DIALOG_DONE, "%s", d->failure.detail);
    ck_assert_uint_eq(d->response.n, WEBSOCKET_HEAD_MAX);
    ck_assert_mem_eq(d->response.data, head, WEBSOCKET_HEAD_MAX);
    dialog_deinit(d);
    free_websocket(d);
    free(head);
}
END_TEST

/* Each of the interim answers may be as long, and the one behind them too. */
START_TEST(test_endless_head)
{
    struct dialog *d = make(&plain);

    dialog_sent(d);
    dialog_received(d, (const uint8_t *)CONTINUE, strlen(CONTINUE));
    ck_assert_int_eq(d->want, DIALOG_RECV_HEAD);
    ck_assert_uint_eq(d->n, WEBSOCKET_HEAD_MAX);
    dialog_broken(d, DIALOG_TOO_LONG);
    ck_assert_int_eq(d->want, DIALOG_FAILED);
    ck_assert_int_eq(d->failure.code, ERROR_UPGRADE_PROTOCOL);
    ck_assert_int_eq(d->failure.stage, STAGE_UPGRADE);
    dialog_deinit(d);
    free_websocket(d);
}
END_TEST

/* All that one message may hold fits; what is over the limit fails before a byte is sent. */
START_TEST(test_longest_request)
{
    static char value[WEBSOCKET_REQUEST_MAX];
    struct setup setup = {.target = "ws://example.org/chat"};
    struct dialog *d;

    memset(value, 'x', sizeof value);
    memcpy(value, "A: ", 3);
    setup.headers[0] = (struct text){value, WIRE_REQUEST_MAX};
    d = make(&setup);
    ck_assert_int_eq(d->want, DIALOG_SEND);
    ck_assert_uint_gt(d->n_out, WIRE_REQUEST_MAX);
    dialog_deinit(d);
    free_websocket(d);

    setup.headers[0].n = sizeof value;
    d = make(&setup);
    ck_assert_int_eq(d->want, DIALOG_FAILED);
    ck_assert_int_eq(d->failure.code, ERROR_NO_RESOURCES);
    dialog_deinit(d);
    free_websocket(d);
}
END_TEST

static int no_hash(enum hash_algorithm algorithm, const struct text *pieces, size_t n,
                   uint8_t ret[HASH_SIZE_MAX])
{
    (void)algorithm, (void)pieces, (void)n, (void)ret;
    return -ENOTSUP;
}

START_TEST(test_no_hash)
{
    struct dialog *d = make_with(&plain, no_hash);

    ck_assert_int_eq(d->want, DIALOG_FAILED);
    ck_assert_int_eq(d->failure.code, ERROR_INTERNAL);
    dialog_deinit(d);
    free_websocket(d);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("websocket");
    TCase *tests = tcase_create("conversations");

    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, test_good, 0, ARRAY_SIZE(good));
    tcase_add_loop_test(tests, test_bad, 0, ARRAY_SIZE(bad));
    tcase_add_test(tests, test_query_stays_out_of_the_error);
    tcase_add_test(tests, test_longest_head);
    tcase_add_test(tests, test_endless_head);
    tcase_add_test(tests, test_longest_request);
    tcase_add_test(tests, test_no_hash);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
