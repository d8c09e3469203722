/* Conversations with HTTP proxies. */
#include <stdio.h>
#include <string.h>

#include "tests/dialog/conversation.h"
#include "tests/dialog/http-connect-setups.h"
#include "tests/lib/suite.h"

#define HELLO     "CONNECT host.example:443 HTTP/1.1\r\nHost: host.example:443\r\n"
#define OLD_HELLO "CONNECT host.example:443 HTTP/1.0\r\nHost: host.example:443\r\n"

#define ASKS        SAYS(HELLO "\r\n")
#define SAYS_BASIC  SAYS(HELLO "Proxy-Authorization: Basic " BASE64 "\r\n\r\n")
#define SAYS_BEARER SAYS(HELLO "Proxy-Authorization: Bearer " TOKEN "\r\n\r\n")
#define DIGEST(nonce, response)                                                                    \
    "Proxy-Authorization: Digest username=\"user\", realm=\"r\", nonce=\"" nonce                   \
    "\", uri=\"host.example:443\", response=\"" response                                           \
    "\", qop=auth, nc=00000001, cnonce=\"c0ffee\"\r\n\r\n"
#define DIGEST_1         DIGEST("n1", "1807eb9d3f966a3bb7a180b57b337a06")
#define DIGEST_2         DIGEST("n2", "473f7715782039cdd96baadcf222837c")
#define DIGEST_3         DIGEST("n3", "e808009b3fa9ca4a5595d1438e3fb8ac")
#define SAYS_DIGEST_1    SAYS(HELLO DIGEST_1)
#define SAYS_DIGEST_2    SAYS(HELLO DIGEST_2)
#define SAYS_DIGEST_3    SAYS(HELLO DIGEST_3)
#define OFFER_DIGEST(n)  "Proxy-Authenticate: Digest realm=\"r\", nonce=\"" n "\", qop=\"auth\"\r\n"
#define OFFER_STALE(n)   "Proxy-Authenticate: Digest realm=r, nonce=" n ", qop=auth, stale=true\r\n"
#define OFFER_BASIC      "Proxy-Authenticate: Basic realm=\"r\"\r\n"
#define WHO              "HTTP/1.1 407 Who\r\n"
#define EMPTY            "Content-Length: 0\r\n"
#define OK               "HTTP/1.1 200 OK\r\n\r\n"
#define BANNER           "SSH-2.0-x\r\n"
#define HEARS_WHO(offer) HEARS(WHO offer EMPTY "\r\n")

#define OPENS(words, who, left, ...)                                                               \
    {                                                                                              \
        .name = words, .setup = &setups[who], .turns = {__VA_ARGS__}, .rest = left                 \
    }
#define FAILS(words, who, error, said, ...)                                                        \
    {                                                                                              \
        .name = words, .setup = &setups[who], .turns = {__VA_ARGS__}, .code = ERROR_PROXY_##error, \
        .detail = said                                                                             \
    }
#define REFUSES_IN(words, who, said, page, n_page, ...)                                            \
    {                                                                                              \
        .name = words, .setup = &setups[who], .turns = {__VA_ARGS__}, .code = ERROR_PROXY_REFUSED, \
        .detail = said, .response = page, .n_response = n_page                                     \
    }
#define REFUSES(words, who, said, page, ...) REFUSES_IN(words, who, said, page, 0, __VA_ARGS__)

#define X64 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

static const struct conversation conversations[] = {
    /* ---- it opens ---- */
    OPENS("1.1", PLAIN, NULL, ASKS, HEARS(OK)),
    OPENS("1.0", OLD, NULL, SAYS(OLD_HELLO "\r\n"), HEARS("HTTP/1.0 200 OK\r\n\r\n")),
    OPENS("1.0 answers 1.1", PLAIN, NULL, ASKS, HEARS("HTTP/1.0 200 OK\r\n\r\n")),
    OPENS("headers", EXTRA, NULL,
          SAYS("CONNECT 192.0.2.1:1 HTTP/1.1\r\nHost: 192.0.2.1:1\r\nUser-Agent: fdial\r\n"
               "X-Tenant:\ta b\r\n\r\n"),
          HEARS(OK)),
    OPENS("IPv6", IPV6, NULL,
          SAYS("CONNECT [2001:db8::1]:65535 HTTP/1.1\r\nHost: [2001:db8::1]:65535\r\n\r\n"),
          HEARS(OK)),
    OPENS("the server speaks first", PLAIN, BANNER, ASKS, HEARS(OK BANNER)),
    OPENS("what follows looks like a head", PLAIN, OK, ASKS, HEARS(OK OK)),
    OPENS("204", PLAIN, BANNER, ASKS, HEARS("HTTP/1.1 204 No\r\n\r\n" BANNER)),
    OPENS("299", PLAIN, NULL, ASKS, HEARS("HTTP/1.1 299\r\n\r\n")),
    OPENS("a length of a 2xx", PLAIN, BANNER, ASKS,
          HEARS("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" BANNER)),
    OPENS("chunks of a 2xx", PLAIN, "5\r\nhello\r\n0\r\n\r\n", ASKS,
          HEARS("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")),
    OPENS("both lengths of a 2xx", PLAIN, BANNER, ASKS,
          HEARS("HTTP/1.1 200 OK\r\nContent-Length: x\r\nContent-Length: 5\r\n"
                "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n" BANNER)),
    OPENS("bare line feeds", PLAIN, "\r\n", ASKS, HEARS("HTTP/1.1 200 OK\nA: b\n\n\r\n")),
    OPENS("folded", PLAIN, NULL, ASKS, HEARS("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n")),
    OPENS("1xx first", PLAIN, BANNER, ASKS,
          HEARS("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nContent-Length: 5\r\n\r\n" OK
                    BANNER)),
    /* ---- it refuses ---- */
    REFUSES("403", PLAIN, "http-connect: it answers 403 Forbidden: not you, there",
            "not you,\n there", ASKS,
            HEARS("HTTP/1.1 403 Forbidden\r\nContent-Length: 15\r\n\r\nnot you,\n there")),
    REFUSES("squid", PLAIN, "http-connect: it answers 503 Busy, ERR_CONNECT_FAIL 111",
            "\r\n <html>no", ASKS,
            HEARS("HTTP/1.1 503 Busy\r\nX-Squid-Error: ERR_CONNECT_FAIL 111\r\n"
                  "Content-Length: 11\r\n\r\n\r\n <html>no")),
    REFUSES("only what is announced", PLAIN, "it answers 502 Bad: abc", "abc", ASKS,
            HEARS("HTTP/1.1 502 Bad\r\nContent-Length: 3\r\n\r\nabcdef")),
    REFUSES("nothing is announced", PLAIN, "it answers 503 Busy", NULL, ASKS,
            HEARS("HTTP/1.0 503 Busy\r\n\r\nabc")),
    REFUSES("an empty page", PLAIN, "it answers 503 Busy", NULL, ASKS,
            HEARS("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")),
    REFUSES("no reason", PLAIN, "it answers 500", NULL, ASKS, HEARS("HTTP/1.1 500\r\n\r\n")),
    REFUSES("a chunked page", PLAIN, "it answers 403 No: hello, world", "hello, world", ASKS,
            HEARS("HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n"
                  "5\r\nhello\r\n7;x=y\r\n, world\r\n0\r\nA: b\r\n\r\n")),
    REFUSES("a trailer is not waited for", PLAIN, "it answers 403 No: hello", "hello", ASKS,
            HEARS("HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n")),
    REFUSES("half a page", PLAIN, "it answers 403 No", NULL, ASKS,
            HEARS("HTTP/1.1 403 No\r\nContent-Length: 100\r\n\r\nabc")),
    REFUSES("half a chunked page", PLAIN, "it answers 403 No: hello", "hello", ASKS,
            HEARS("HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")),
    REFUSES("a broken chunk", PLAIN, "it answers 403 No: hello", "hello", ASKS,
            HEARS("HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nx\r\n")),
    REFUSES("a chunk's endless size", PLAIN, "it answers 403 No: hi", "hi", ASKS,
            HEARS("HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n"
                  "fffffffffffffffff\r\n")),
    REFUSES("both lengths", PLAIN, "it answers 403 No", NULL, ASKS,
            HEARS("HTTP/1.1 403 No\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc")),
    REFUSES_IN("escapes in the detail, and none in the page", PLAIN,
               "it answers 403 \\xc3\\xa4: \\x1b[2J \\x5c", "\x1b[2J\0\r\\", 7, ASKS,
               HEARS("HTTP/1.1 403 \xc3\xa4\r\nContent-Length: 7\r\n\r\n\x1b[2J\0\r\\")),
    REFUSES("a redirect", PLAIN, "it answers 302 Found", NULL, ASKS,
            HEARS("HTTP/1.1 302 Found\r\nLocation: http://login.example/\r\n\r\n")),
    FAILS("401 is not 407", BASIC_ONLY, AUTH, "it answers 401", SAYS_BASIC,
          HEARS("HTTP/1.1 401 Who\r\n" OFFER_BASIC "\r\n")),
    REFUSES("999", PLAIN, "it answers 999", NULL, ASKS, HEARS("HTTP/1.1 999 X\r\n\r\n")),
    REFUSES("after credentials", DIGEST_BASIC, "it answers 403 No", NULL, ASKS,
            HEARS_WHO(OFFER_BASIC), SAYS_BASIC, HEARS("HTTP/1.1 403 No\r\n\r\n")),
    REFUSES("after 1xx", PLAIN, "it answers 504", NULL, ASKS,
            HEARS("HTTP/1.1 102 Wait\r\n\r\nHTTP/1.1 504 Late\r\n\r\n")),
    /* ---- it repeats the credentials ---- */
    REFUSES("the page repeats the password", BASIC_ONLY,
            "it answers 403, in words that repeat the credentials", NULL, SAYS_BASIC,
            HEARS("HTTP/1.1 403 No\r\nContent-Length: 28\r\n\r\nthe password of user is " SECRET)),
    REFUSES(
        "the page repeats the request", BASIC_ONLY,
        "it answers 403, in words that repeat the credentials", NULL, SAYS_BASIC,
        HEARS("HTTP/1.1 403 No\r\nContent-Length: 80\r\n\r\nCONNECT host.example:443 HTTP/1.1\r\n"
              "Proxy-Authorization: Basic " BASE64)),
    REFUSES("the page was cut in the password", BASIC_ONLY,
            "it answers 403, in words that repeat the credentials", NULL, SAYS_BASIC,
            HEARS("HTTP/1.1 403 No\r\nContent-Length: 10\r\n\r\nsee: Sword")),
    REFUSES("the reason repeats the token", BEARER_ONLY,
            "it answers 400, in words that repeat the credentials", NULL, SAYS_BEARER,
            HEARS("HTTP/1.1 400 what is " TOKEN "?\r\n\r\n")),
    REFUSES("a long reason repeats the password", BASIC_ONLY,
            "it answers 400, in words that repeat the credentials", NULL, SAYS_BASIC,
            HEARS("HTTP/1.1 400 " X64 X64 SECRET "\r\nContent-Length: 1\r\n\r\nx")),
    REFUSES("the reason of squid repeats the password", BASIC_ONLY,
            "it answers 503, in words that repeat the credentials", NULL, SAYS_BASIC,
            HEARS("HTTP/1.1 503 Busy\r\nX-Squid-Error: " X64 X64 SECRET
                  "\r\nContent-Length: 1\r\n\r\n<")),
    REFUSES(
        "a long page repeats the password", BASIC_ONLY,
        "it answers 400, in words that repeat the credentials", NULL, SAYS_BASIC,
        HEARS("HTTP/1.1 400 Bad\r\nContent-Length: 330\r\n\r\n" X64 X64 X64 X64 X64 SECRET ".")),
    FAILS("an offer repeats the password", BASIC_ONLY, AUTH, "it repeats the credentials",
          SAYS_BASIC, HEARS(WHO "Proxy-Authenticate: " SECRET "\r\n\r\n")),
    /* ---- it breaks the protocol ---- */
    FAILS("it closes at once", PLAIN, PROTOCOL, "it closed the connection", ASKS),
    FAILS("it closes in the head", PLAIN, PROTOCOL, "it closed the connection", ASKS,
          HEARS("HTTP/1.1 200 OK\r\n")),
    FAILS("HTTP/2", PLAIN, PROTOCOL, "something else than HTTP/1.0 or HTTP/1.1", ASKS,
          HEARS("HTTP/2 200\r\n\r\n")),
    FAILS("ICY", PLAIN, PROTOCOL, "not HTTP: it starts with ICY 2", ASKS,
          HEARS("ICY 200 OK\r\n\r\n")),
    FAILS("it is an SSH server", PLAIN, PROTOCOL, "not HTTP: it starts with SSH-2", ASKS,
          HEARS(BANNER)),
    FAILS("it starts with the password", BASIC_ONLY, PROTOCOL, "it repeats the credentials",
          SAYS_BASIC, HEARS("Swordfish\r\n")),
    FAILS("it speaks TLS: alert", PLAIN, PROTOCOL, "its url should begin with https://", ASKS,
          HEARS("\x15\x03\x03\0\2\2\x46")),
    FAILS("it speaks TLS: handshake", PLAIN, PROTOCOL, "its url should begin with https://", ASKS,
          HEARS("\x16\x03\x01\0\2\2\x46")),
    FAILS("it answers like SOCKS", PLAIN, PROTOCOL, "not HTTP: it starts with \\x05\\xff", ASKS,
          HEARS("\5\xff\0\0\0")),
    FAILS("a NUL", PLAIN, PROTOCOL, "its answer has a NUL", ASKS,
          HEARS("HTTP/1.1 200 OK\r\nA: \0\r\n\r\n")),
    FAILS("no colon", PLAIN, PROTOCOL, "its answer has a line without a colon", ASKS,
          HEARS("HTTP/1.1 200 OK\r\nAb\r\n\r\n")),
    FAILS("no code", PLAIN, PROTOCOL, "no status code", ASKS, HEARS("HTTP/1.1 OK\r\n\r\n")),
    FAILS("101", PLAIN, PROTOCOL, "switches to another protocol", ASKS,
          HEARS("HTTP/1.1 101 X\r\nUpgrade: x\r\n\r\n")),
    FAILS("1xx without end", PLAIN, PROTOCOL, "too many 1xx", ASKS,
          HEARS("HTTP/1.1 100\r\n\r\nHTTP/1.1 100\r\n\r\nHTTP/1.1 100\r\n\r\nHTTP/1.1 100\r\n\r\n"
                "HTTP/1.1 100\r\n\r\nHTTP/1.1 100\r\n\r\nHTTP/1.1 100\r\n\r\nHTTP/1.1 100\r\n\r\n"
                "HTTP/1.1 100\r\n\r\nHTTP/1.1 100\r\n\r\nHTTP/1.1 100\r\n\r\n" OK)),
    /* ---- it asks for credentials ---- */
    OPENS("basic unasked", BASIC_ONLY, BANNER, SAYS_BASIC, HEARS(OK BANNER)),
    OPENS("bearer unasked", BEARER_ONLY, NULL, SAYS_BEARER, HEARS(OK)),
    OPENS("basic known", KNOWN_BASIC, NULL, SAYS_BASIC, HEARS(OK)),
    OPENS("a nonce known", KNOWN_NONCE, NULL,
          SAYS(HELLO "Proxy-Authorization: Digest username=\"user\", realm=\"r\", nonce=\"known\", "
                     "uri=\"host.example:443\", response=\""
                     "ebb62c14f40670acb15a3e3bf42b5c3897c80b76f6aaa67c6c4ecd6123bebcc4\", "
                     "algorithm=SHA-256, qop=auth, nc=00000007, cnonce=\"before\"\r\n\r\n"),
          HEARS(OK)),
    OPENS(
        "a known nonce is old", KNOWN_NONCE, NULL,
        SAYS(HELLO "Proxy-Authorization: Digest username=\"user\", realm=\"r\", nonce=\"known\", "
                   "uri=\"host.example:443\", response=\""
                   "ebb62c14f40670acb15a3e3bf42b5c3897c80b76f6aaa67c6c4ecd6123bebcc4\", "
                   "algorithm=SHA-256, qop=auth, nc=00000007, cnonce=\"before\"\r\n\r\n"),
        HEARS_WHO("Proxy-Authenticate: Digest realm=r, nonce=n2, qop=auth, algorithm=SHA-256\r\n"),
        SAYS(HELLO "Proxy-Authorization: Digest username=\"user\", realm=\"r\", nonce=\"n2\", "
                   "uri=\"host.example:443\", response=\""
                   "c76ccfc678602f52b1bcc283bf25310dfd5d0a6078fb7dd0cb37f36d6df04b65\", "
                   "algorithm=SHA-256, qop=auth, nc=00000001, cnonce=\"c0ffee\"\r\n\r\n"),
        HEARS(OK)),
    OPENS("digest", DIGEST_ONLY, BANNER, ASKS, HEARS_WHO(OFFER_DIGEST("n1")), SAYS_DIGEST_1,
          HEARS(OK BANNER)),
    OPENS(
        "digest before basic", DIGEST_BASIC, NULL, ASKS,
        HEARS_WHO("Proxy-Authenticate: Basic realm=\"r\", Digest realm=r, nonce=n1, qop=auth\r\n"),
        SAYS_DIGEST_1, HEARS(OK)),
    OPENS("basic instead of digest", DIGEST_BASIC, NULL, ASKS, HEARS_WHO(OFFER_BASIC), SAYS_BASIC,
          HEARS(OK)),
    OPENS("a body before the next answer", DIGEST_BASIC, BANNER, ASKS,
          HEARS(WHO OFFER_BASIC "Content-Length: 20\r\n\r\n" OK "x"), SAYS_BASIC, HEARS(OK BANNER)),
    OPENS("a chunked body", DIGEST_BASIC, BANNER, ASKS,
          HEARS(WHO OFFER_BASIC "Transfer-Encoding: chunked\r\n\r\n"
                                "5 ;a=\"b\"\r\nhello\r\n00a\nHTTP/1.1 2\n0\r\nTrailer: x\r\n\r\n"),
          SAYS_BASIC, HEARS(OK BANNER)),
    OPENS("1.0 keeps alive", OLD_DIGEST, NULL, SAYS(OLD_HELLO "\r\n"),
          HEARS("HTTP/1.0 407 Who\r\nConnection: keep-alive\r\n" OFFER_DIGEST("n1") EMPTY "\r\n"),
          SAYS(OLD_HELLO DIGEST_1), HEARS("HTTP/1.0 200 OK\r\n\r\n")),
    OPENS("1.0 keeps alive in the old way", OLD_DIGEST, NULL, SAYS(OLD_HELLO "\r\n"),
          HEARS("HTTP/1.0 407 Who\r\nProxy-Connection: keep-alive\r\n" OFFER_DIGEST("n1") EMPTY
                "\r\n"),
          SAYS(OLD_HELLO DIGEST_1), HEARS("HTTP/1.0 200 OK\r\n\r\n")),
    OPENS("1xx around", DIGEST_BASIC, NULL, ASKS,
          HEARS("HTTP/1.1 100\r\n\r\n" WHO OFFER_BASIC EMPTY "\r\n"), SAYS_BASIC,
          HEARS("HTTP/1.1 100\r\n\r\n" OK)),
    /* ---- on a new connection ---- */
    OPENS("it wants to close", DIGEST_ONLY, BANNER, ASKS,
          HEARS(WHO "Connection: close\r\n" OFFER_DIGEST("n1") "Content-Length: 3\r\n\r\nabc"),
          AGAIN, SAYS_DIGEST_1, HEARS(OK BANNER)),
    OPENS("it wants to close in the old way", DIGEST_ONLY, NULL, ASKS,
          HEARS(WHO "Proxy-Connection: close\r\n" OFFER_DIGEST("n1") EMPTY "\r\n"), AGAIN,
          SAYS_DIGEST_1, HEARS(OK)),
    OPENS("both ways", DIGEST_ONLY, NULL, ASKS,
          HEARS(WHO "Connection: close\r\nProxy-Connection: keep-alive\r\n" OFFER_DIGEST("n1") EMPTY
                "\r\n"),
          AGAIN, SAYS_DIGEST_1, HEARS(OK)),
    OPENS("1.0 closes", DIGEST_BASIC, NULL, ASKS,
          HEARS("HTTP/1.0 407 Who\r\n" OFFER_BASIC EMPTY "\r\n"), AGAIN, SAYS_BASIC, HEARS(OK)),
    OPENS("no length", DIGEST_BASIC, NULL, ASKS, HEARS(WHO OFFER_BASIC "\r\nabc"), AGAIN,
          SAYS_BASIC, HEARS(OK)),
    OPENS("a body too long to be read", DIGEST_BASIC, NULL, ASKS,
          HEARS(WHO OFFER_BASIC "Content-Length: 262145\r\n\r\nabc"), AGAIN, SAYS_BASIC, HEARS(OK)),
    OPENS("a chunk too long to be read", DIGEST_BASIC, NULL, ASKS,
          HEARS(WHO OFFER_BASIC "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nabc"), AGAIN,
          SAYS_BASIC, HEARS(OK)),
    OPENS("it closes in the body", DIGEST_BASIC, NULL, ASKS,
          HEARS(WHO OFFER_BASIC "Content-Length: 10\r\n\r\nabc"), AGAIN, SAYS_BASIC, HEARS(OK)),
    OPENS("it closes without a word", DIGEST_BASIC, NULL, ASKS, HEARS_WHO(OFFER_BASIC), SAYS_BASIC,
          AGAIN, SAYS_BASIC, HEARS(OK)),
    FAILS("it closes again", DIGEST_BASIC, PROTOCOL, "it closed the connection", ASKS,
          HEARS_WHO(OFFER_BASIC), SAYS_BASIC, AGAIN, SAYS_BASIC),
    FAILS("it closes after the reconnect that it wanted", DIGEST_BASIC, PROTOCOL,
          "it closed the connection", ASKS,
          HEARS(WHO "Connection: close\r\n" OFFER_BASIC EMPTY "\r\n"), AGAIN, SAYS_BASIC),
    OPENS("a stale nonce on two connections", DIGEST_ONLY, NULL, ASKS,
          HEARS(WHO "Connection: close\r\n" OFFER_DIGEST("n1") EMPTY "\r\n"), AGAIN, SAYS_DIGEST_1,
          HEARS(WHO "Connection: close\r\n" OFFER_STALE("n2") EMPTY "\r\n"), AGAIN, SAYS_DIGEST_2,
          HEARS(OK)),
    /* ---- it does not want them ---- */
    REFUSES("401 for nothing", PLAIN, "it answers 401 No", NULL, ASKS,
            HEARS("HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n")),
    FAILS("the same again", BASIC_ONLY, AUTH, "it refused the credentials (basic)", SAYS_BASIC,
          HEARS_WHO(OFFER_BASIC)),
    FAILS("digest is refused", DIGEST_ONLY, AUTH, "it refused the credentials (digest)", ASKS,
          HEARS_WHO(OFFER_DIGEST("n1")), SAYS_DIGEST_1, HEARS_WHO(OFFER_DIGEST("n2"))),
    OPENS("basic after digest", DIGEST_BASIC, NULL, ASKS, HEARS_WHO(OFFER_BASIC OFFER_DIGEST("n1")),
          SAYS_DIGEST_1, HEARS_WHO(OFFER_BASIC OFFER_DIGEST("n2")), SAYS_BASIC, HEARS(OK)),
    FAILS("all are refused", ALL_SCHEMES, AUTH,
          "it refused the credentials (bearer, digest, basic)", ASKS,
          HEARS_WHO(OFFER_BASIC OFFER_DIGEST("n1") "Proxy-Authenticate: Bearer\r\n"), SAYS_BEARER,
          HEARS_WHO(OFFER_BASIC OFFER_DIGEST("n1")), SAYS_DIGEST_1, HEARS_WHO(OFFER_BASIC),
          SAYS_BASIC, HEARS_WHO(OFFER_BASIC)),
    FAILS("endless rounds", DIGEST_BASIC, AUTH, "it refused the credentials (digest, basic)", ASKS,
          HEARS_WHO(OFFER_DIGEST("n1")), SAYS_DIGEST_1, HEARS_WHO(OFFER_STALE("n2")), SAYS_DIGEST_2,
          HEARS_WHO(OFFER_STALE("n3")), SAYS_DIGEST_3, HEARS_WHO(OFFER_STALE("n1") OFFER_BASIC),
          SAYS_BASIC, HEARS_WHO(OFFER_STALE("n1") OFFER_BASIC)),
    FAILS("nothing configured", PLAIN, AUTH,
          "it wants credentials, and none are configured; it offers Basic", ASKS,
          HEARS_WHO(OFFER_BASIC)),
    FAILS("basic is not for digest only", DIGEST_ONLY, AUTH, "it offers Basic", ASKS,
          HEARS_WHO(OFFER_BASIC)),
    FAILS("no challenge", DIGEST_BASIC, AUTH, "it offers nothing that can be read", ASKS,
          HEARS_WHO("")),
    FAILS("both lengths", DIGEST_BASIC, PROTOCOL, "both a Content-Length and a Transfer-Encoding",
          ASKS, HEARS(WHO OFFER_BASIC EMPTY "Transfer-Encoding: chunked\r\n\r\n")),
    FAILS("two lengths", DIGEST_BASIC, PROTOCOL, "two different Content-Lengths", ASKS,
          HEARS(WHO OFFER_BASIC EMPTY "Content-Length: 1\r\n\r\n")),
    FAILS("a chunk without a size", DIGEST_BASIC, PROTOCOL, "a chunk without a size", ASKS,
          HEARS(WHO OFFER_BASIC "Transfer-Encoding: chunked\r\n\r\n\r\n")),
    FAILS("a chunk of more than 64 bits", DIGEST_BASIC, PROTOCOL, "a chunk without a size", ASKS,
          HEARS(WHO OFFER_BASIC "Transfer-Encoding: chunked\r\n\r\n10000000000000001\r\nx\r\n")),
    FAILS("a chunk longer than its size", DIGEST_BASIC, PROTOCOL, "longer than its size", ASKS,
          HEARS(WHO OFFER_BASIC "Transfer-Encoding: chunked\r\n\r\n1\r\na \n0\r\n\r\n")),
    FAILS("a body longer than its length", DIGEST_BASIC, PROTOCOL, "it starts with bcdef", ASKS,
          HEARS(WHO OFFER_BASIC "Content-Length: 1\r\n\r\nabcdefgh"), SAYS_BASIC),
};

static const char *const secrets[] = {SECRET, BASE64, TOKEN, NULL};

static const struct conversation_kind kind = {make_connection, free_connection, secrets};

START_TEST(test_conversation)
{
    conversation_check(&kind, &conversations[_i]);
}
END_TEST

/* ---- too long for a table ---- */

static void hear(struct dialog *d, const char *text)
{
    while (*text && d->want != DIALOG_RECONNECT) {
        const char *end =
            d->want == DIALOG_RECV_HEAD ? strstr(text, "\r\n\r\n") + 4 : strchr(text, '\n') + 1;
        size_t n = d->want == DIALOG_RECV_EXACT ? d->n : (size_t)(end - text);

        ck_assert_uint_le(n, strlen(text));
        dialog_received(d, (const uint8_t *)text, n);
        text += n;
    }
}

static struct dialog *start(unsigned setup)
{
    struct dialog *d = make_connection(&setups[setup]);

    ck_assert_int_eq(d->want, DIALOG_SEND);
    dialog_sent(d);
    return d;
}

static void finish(struct dialog *d)
{
    dialog_deinit(d);
    free_connection(d);
}

START_TEST(test_endless_head)
{
    struct dialog *d = start(PLAIN);

    hear(d, "HTTP/");
    ck_assert_int_eq(d->want, DIALOG_RECV_HEAD);
    ck_assert_uint_eq(d->n, HTTP_HEAD_MAX - 5);
    dialog_broken(d, DIALOG_TOO_LONG);
    ck_assert_int_eq(d->failure.code, ERROR_PROXY_PROTOCOL);
    ck_assert_str_eq(d->failure.detail,
                     "http-connect: it said more than 65531 bytes without an end");
    finish(d);
}
END_TEST

/* No more than the limit of a page is ever asked for, and all of it is told. */
START_TEST(test_long_page)
{
    static uint8_t page[HTTP_REFUSAL_PAGE_MAX];
    struct dialog *d = start(PLAIN);
    size_t n = 0;

    memset(page, 'x', sizeof page);
    hear(d, "HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n200\r\n");
    for (; d->want == DIALOG_RECV_EXACT && n < 0x200; n += d->n) {
        ck_assert_uint_le(d->n, 0x200);
        dialog_received(d, page, d->n);
    }
    hear(d, "\r\nfffffff\r\n");
    ck_assert_int_eq(d->want, DIALOG_RECV_EXACT);
    n = d->n;
    ck_assert_uint_eq(n, HTTP_REFUSAL_PAGE_MAX - 0x200 - sizeof "200\r\n\r\nfffffff\r\n" + 1);
    dialog_received(d, page, n);
    ck_assert_int_eq(d->failure.code, ERROR_PROXY_REFUSED);
    ck_assert_uint_eq(strlen(d->failure.detail), FAILURE_DETAIL_MAX);
    ck_assert_uint_eq(d->response.n, 0x200 + n);
    ck_assert_mem_eq(d->response.data, page, d->response.n);
    finish(d);
}
END_TEST

/* The body of a 407 that never ends, in the smallest chunks. */
START_TEST(test_endless_body)
{
    struct dialog *d = start(DIGEST_BASIC);
    size_t n = 0;

    hear(d, WHO OFFER_BASIC "Transfer-Encoding: chunked\r\n\r\n");
    for (; d->want != DIALOG_RECONNECT; n += 6)
        hear(d, "1\r\nx\r\n");
    ck_assert_uint_ge(n, HTTP_CONNECT_SKIP_MAX);
    ck_assert_uint_le(n, HTTP_CONNECT_SKIP_MAX + 6);
    dialog_reconnected(d);
    ck_assert_int_eq(d->want, DIALOG_SEND);
    finish(d);
}
END_TEST

/* A long body is asked for in pieces, and the limit itself is not over it. */
START_TEST(test_long_body)
{
    static uint8_t piece[HTTP_BODY_PIECE];
    struct dialog *d = start(DIGEST_BASIC);
    size_t n = 0;

    hear(d, WHO OFFER_BASIC "Content-Length: 262144\r\n\r\n");
    while (d->want == DIALOG_RECV_EXACT) {
        ck_assert_uint_le(d->n, sizeof piece);
        n += d->n;
        dialog_received(d, piece, d->n);
    }
    ck_assert_uint_eq(n, 262144);
    ck_assert_int_eq(d->want, DIALOG_SEND);
    finish(d);
}
END_TEST

/* One byte more, and nothing of it is read. */
START_TEST(test_too_long_body)
{
    struct dialog *d = start(DIGEST_BASIC);

    hear(d, WHO OFFER_BASIC "Content-Length: 262145\r\n\r\n");
    ck_assert_int_eq(d->want, DIALOG_RECONNECT);
    finish(d);
}
END_TEST

START_TEST(test_endless_chunk_size)
{
    struct dialog *d = start(DIGEST_BASIC);

    hear(d, WHO OFFER_BASIC "Transfer-Encoding: chunked\r\n\r\n");
    ck_assert_int_eq(d->want, DIALOG_RECV_LINE);
    ck_assert_uint_eq(d->n, HTTP_CHUNK_LINE_MAX);
    dialog_broken(d, DIALOG_TOO_LONG);
    ck_assert_int_eq(d->failure.code, ERROR_PROXY_PROTOCOL);
    finish(d);
}
END_TEST

START_TEST(test_it_is_remembered)
{
    struct dialog *d = start(DIGEST_BASIC);
    const struct auth_memory *memory = &((struct connection *)d)->memory;

    hear(d, WHO EMPTY OFFER_DIGEST("n1") "\r\n");
    dialog_sent(d);
    ck_assert(!memory->is_known);
    hear(d, "HTTP/1.1 200 OK\r\nProxy-Authentication-Info: nextnonce=\"n2\"\r\n\r\n");
    ck_assert_int_eq(d->want, DIALOG_DONE);
    ck_assert(memory->is_known);
    ck_assert_int_eq(memory->scheme, AUTH_DIGEST);
    ck_assert_str_eq(memory->digest.challenge.nonce, "n2");
    finish(d);
}
END_TEST

START_TEST(test_reset)
{
    struct dialog *d = start(DIGEST_BASIC);

    dialog_broken(d, DIALOG_RESET);
    ck_assert_str_eq(d->failure.detail, "http-connect: it reset the connection");
    finish(d);
    d = start(DIGEST_BASIC);
    hear(d, WHO EMPTY OFFER_BASIC "\r\n");
    ck_assert_int_eq(d->want, DIALOG_SEND);
    dialog_broken(d, DIALOG_RESET);
    ck_assert_int_eq(d->want, DIALOG_RECONNECT);
    dialog_reconnected(d);
    dialog_broken(d, DIALOG_RESET);
    ck_assert_int_eq(d->failure.code, ERROR_PROXY_PROTOCOL);
    finish(d);
}
END_TEST

/* ---- settings ---- */

static const char *const good_headers[] = {"A:", "A: b", "User-Agent: x/1 (y)", "X-A:\t\xc3\xa4",
                                           "Proxy-Authenticate: x"};
static const char *const bad_headers[][2] = {
    {"", "is written"},
    {"A", "is written"},
    {": b", "name has"},
    {"A : b", "name has"},
    {" A: b", "name has"},
    {"A b: c", "name has"},
    {"A: b\r\nC: d", "control characters"},
    {"A: b\n", "control characters"},
    {"A: \x7f", "control characters"},
    {"host: a", "not free"},
    {"Proxy-authorization: Basic eA==", "not free"},
    {"Content-Length: 1", "not free"},
    {"Transfer-Encoding: chunked", "not free"},
    {"Connection: close", "not free"},
    {"Proxy-Connection: close", "not free"},
    {"Upgrade: x", "not free"},
};

START_TEST(test_headers)
{
    char header[HTTP_CONNECT_HEADER_MAX + 1] = "A:";
    const char *error;

    for (size_t i = 0; i < ARRAY_SIZE(good_headers); i++)
        ck_assert_ptr_null(http_connect_check_header(text_of(good_headers[i])));
    for (size_t i = 0; i < ARRAY_SIZE(bad_headers); i++) {
        error = http_connect_check_header(text_of(bad_headers[i][0]));
        ck_assert_msg(error && strstr(error, bad_headers[i][1]), "'%s': %s", bad_headers[i][0],
                      error);
    }
    ck_assert_ptr_nonnull(http_connect_check_header((struct text){"A: \0", 4}));
    memset(header + 2, 'x', sizeof header - 2);
    ck_assert_ptr_null(http_connect_check_header((struct text){header, HTTP_CONNECT_HEADER_MAX}));
    ck_assert_ptr_nonnull(http_connect_check_header((struct text){header, sizeof header}));
}
END_TEST

/* The longest of everything fits into a request. */
START_TEST(test_longest_request)
{
    static char header[HTTP_CONNECT_HEADER_MAX] = "A:", token[AUTH_TOKEN_MAX];
    struct text headers[HTTP_CONNECT_HEADERS_MAX];
    struct setup s = setups[BEARER_ONLY];
    char host[TARGET_HOST_MAX + 1] = "";
    struct dialog *d;

    memset(header + 2, 'x', sizeof header - 2);
    memset(token, 't', sizeof token);
    memset(host, 'h', sizeof host - 1);
    for (size_t i = 0; i < ARRAY_SIZE(headers); i++)
        headers[i] = (struct text){header, sizeof header};
    s.proxy.headers = headers;
    s.proxy.n_headers = ARRAY_SIZE(headers);
    s.proxy.auth.token = (struct text){token, sizeof token};
    s.host = host;
    s.port = 65535;
    d = make_connection(&s);
    ck_assert_int_eq(d->want, DIALOG_SEND);
    ck_assert_uint_gt(d->n_out,
                      sizeof token + ARRAY_SIZE(headers) * sizeof header + 2 * sizeof host);
    finish(d);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("http_connect");
    TCase *tests = tcase_create("conversations");

    tcase_add_loop_test(tests, test_conversation, 0, ARRAY_SIZE(conversations));
    tcase_add_test(tests, test_endless_head);
    tcase_add_test(tests, test_long_page);
    tcase_add_test(tests, test_endless_body);
    tcase_add_test(tests, test_long_body);
    tcase_add_test(tests, test_too_long_body);
    tcase_add_test(tests, test_endless_chunk_size);
    tcase_add_test(tests, test_it_is_remembered);
    tcase_add_test(tests, test_reset);
    tcase_add_test(tests, test_headers);
    tcase_add_test(tests, test_longest_request);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
