/* Heads, good and bad, and what is read off them. */
#include "daemon/dialog/http_head.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/cleanup.h"
#include "tests/lib/suite.h"

#define TEXT(string) string, sizeof(string) - 1

/* ---- refused ---- */

static const struct bad {
    const char *data;
    size_t n;
    const char *error;
} bad_heads[] = {
    {TEXT(""), "is empty"},
    {TEXT("\r\n"), "something else"},
    {TEXT("HTTP/1.1 200 OK\r\n"), "has no end"},
    {TEXT("HTTP/1.1 200 OK\r\nA: b\r\n"), "has no end"},
    {TEXT("HTTP/1.1 200 OK\r\nA: b"), "has no end"},
    {TEXT("HTTP/1.1 200 OK\r\n\r\nx"), "behind its end"},
    {TEXT("HTTP/1.1 200 OK\r\n\r\nA: b\r\n\r\n"), "behind its end"},
    /* the first line */
    {TEXT("HTTP/2 200\r\n\r\n"), "something else"},
    {TEXT("HTTP/2.0 200 OK\r\n\r\n"), "something else"},
    {TEXT("HTTP/1.2 200 OK\r\n\r\n"), "something else"},
    {TEXT("HTTP/0.9 200 OK\r\n\r\n"), "something else"},
    {TEXT("http/1.1 200 OK\r\n\r\n"), "something else"},
    {TEXT("ICY 200 OK\r\n\r\n"), "something else"},
    {TEXT(" HTTP/1.1 200 OK\r\n\r\n"), "something else"},
    {TEXT("\r\nHTTP/1.1 200 OK\r\n\r\n"), "something else"},
    {TEXT("\x16\x03\x01\n\n"), "something else"},
    {TEXT("HTTP/1.1\r\n\r\n"), "three digits"},
    {TEXT("HTTP/1.1 \r\n\r\n"), "three digits"},
    {TEXT("HTTP/1.1 20\r\n\r\n"), "three digits"},
    {TEXT("HTTP/1.1 2000 OK\r\n\r\n"), "three digits"},
    {TEXT("HTTP/1.1 099 OK\r\n\r\n"), "three digits"},
    {TEXT("HTTP/1.1 2x0 OK\r\n\r\n"), "three digits"},
    {TEXT("HTTP/1.1 -20 OK\r\n\r\n"), "three digits"},
    {TEXT("HTTP/1.1 +20 OK\r\n\r\n"), "three digits"},
    {TEXT("HTTP/1.1  200 OK\r\n\r\n"), "three digits"},
    {TEXT("HTTP/1.1\t200 OK\r\n\r\n"), "three digits"},
    {TEXT("HTTP/1.1 200\tOK\r\n\r\n"), "three digits"},
    {TEXT("HTTP/1.1 200OK\r\n\r\n"), "three digits"},
    {TEXT("HTTP/1.1 200 O\x01K\r\n\r\n"), "in its reason"},
    {TEXT("HTTP/1.1 200 OK\rA: b\r\n\r\n"), "in its reason"},
    {TEXT("HTTP/1.1 200 OK\r\r\n\r\n"), "in its reason"},
    /* the fields */
    {TEXT("HTTP/1.1 200 OK\0\r\n\r\n"), "a NUL"},
    {TEXT("HTTP/1.1 200 OK\r\nA: b\0c\r\n\r\n"), "a NUL"},
    {TEXT("HTTP/1.1 200 OK\r\nA\0: b\r\n\r\n"), "a NUL"},
    {TEXT("HTTP/1.1 200 OK\r\nA b\r\n\r\n"), "without a colon"},
    {TEXT("HTTP/1.1 200 OK\r\n\r \n\r\n"), "without a colon"},
    {TEXT("HTTP/1.1 200 OK\r\n: b\r\n\r\n"), "whose name is none"},
    {TEXT("HTTP/1.1 200 OK\r\nA : b\r\n\r\n"), "whose name is none"},
    {TEXT("HTTP/1.1 200 OK\r\nA\t: b\r\n\r\n"), "whose name is none"},
    {TEXT("HTTP/1.1 200 OK\r\nA(b): c\r\n\r\n"), "whose name is none"},
    {TEXT("HTTP/1.1 200 OK\r\n\xc3\xa4: c\r\n\r\n"), "whose name is none"},
    {TEXT("HTTP/1.1 200 OK\r\nA: b\rC: d\r\n\r\n"), "control character in a field"},
    {TEXT("HTTP/1.1 200 OK\r\nA: \x1b[31m\r\n\r\n"), "control character in a field"},
    {TEXT("HTTP/1.1 200 OK\r\nA: \x7f\r\n\r\n"), "control character in a field"},
    {TEXT("HTTP/1.1 200 OK\r\n A: b\r\n\r\n"), "before its first field"},
    {TEXT("HTTP/1.1 200 OK\r\n \r\nA: b\r\n\r\n"), "before its first field"},
};

static void check_refused(const void *data, size_t n, const char *expected)
{
    struct http_head head = {.code = 7};
    const char *error = NULL;
    CLEANUP(freep) char *copy = malloc(n ? n : 1);

    ck_assert_ptr_nonnull(copy);
    memcpy(copy, data, n);
    ck_assert_int_eq(http_head_parse(copy, n, &head, &error), -EBADMSG);
    ck_assert_msg(strstr(error, expected) != NULL, "'%s' is not in '%s'", expected, error);
    ck_assert_uint_eq(head.code, 7);
}

START_TEST(test_refused)
{
    check_refused(bad_heads[_i].data, bad_heads[_i].n, bad_heads[_i].error);
}
END_TEST

static void check_parsed(struct http_head *head, const char *data, size_t n)
{
    const char *error = "";
    CLEANUP(freep) char *copy = malloc(n);

    ck_assert_ptr_nonnull(copy);
    memcpy(copy, data, n);
    ck_assert_msg(http_head_parse(copy, n, head, &error) == 0, "%s: %.*s", error, (int)n, data);
}

static void check_text(struct text text, const char *expected)
{
    ck_assert_ptr_nonnull(text.data);
    ck_assert_msg(text.n == strlen(expected) && memcmp(text.data, expected, text.n) == 0,
                  "'%.*s' is not '%s'", (int)text.n, text.data, expected);
}

START_TEST(test_limits)
{
    static char data[HTTP_HEAD_MAX + 1];
    struct http_head head;
    int n;

    for (unsigned n_fields = HTTP_FIELDS_MAX; n_fields <= HTTP_FIELDS_MAX + 1; n_fields++) {
        n = snprintf(data, sizeof data, "HTTP/1.1 200 OK\r\n");
        for (unsigned i = 0; i < n_fields; i++)
            n += snprintf(data + n, sizeof data - (size_t)n, "A: b\r\n");
        n += snprintf(data + n, sizeof data - (size_t)n, "\r\n");
        if (n_fields > HTTP_FIELDS_MAX) {
            check_refused(data, (size_t)n, "too many fields");
            continue;
        }
        check_parsed(&head, data, (size_t)n);
        ck_assert_uint_eq(head.n_fields, HTTP_FIELDS_MAX);
        http_head_deinit(&head);
    }
    memset(data, 'x', sizeof data);
    memcpy(data, TEXT("HTTP/1.1 200 OK\r\nA: "));
    memcpy(data + HTTP_HEAD_MAX - 4, TEXT("\r\n\r\n"));
    check_parsed(&head, data, HTTP_HEAD_MAX);
    ck_assert_uint_eq(head.fields[0].value.n, HTTP_HEAD_MAX - 4 - 20);
    http_head_deinit(&head);
    memcpy(data + HTTP_HEAD_MAX - 4, TEXT("x\r\n\r\n"));
    check_refused(data, HTTP_HEAD_MAX + 1, "too long");
}
END_TEST

/* ---- read ---- */

static const struct status_line {
    const char *data;
    unsigned minor, code;
    const char *reason;
} status_lines[] = {
    {"HTTP/1.1 200 Connection established\r\n\r\n", 1, 200, "Connection established"},
    {"HTTP/1.0 407 Who are you\r\n\r\n", 0, 407, "Who are you"},
    {"HTTP/1.1 200 \r\n\r\n", 1, 200, ""},
    {"HTTP/1.1 200\r\n\r\n", 1, 200, ""},
    {"HTTP/1.1 200  two spaces \r\n\r\n", 1, 200, "two spaces"},
    {"HTTP/1.1 999 \xe4\t!\r\n\r\n", 1, 999, "\xe4\t!"},
    {"HTTP/1.1 100 bare\n\n", 1, 100, "bare"},
    {"HTTP/1.1 100 mixed\r\n\n", 1, 100, "mixed"},
    {"HTTP/1.1 100 mixed\n\r\n", 1, 100, "mixed"},
};

START_TEST(test_status_line)
{
    const struct status_line *line = &status_lines[_i];
    struct http_head head;

    check_parsed(&head, line->data, strlen(line->data));
    ck_assert_uint_eq(head.minor, line->minor);
    ck_assert_uint_eq(head.code, line->code);
    check_text(head.reason, line->reason);
    ck_assert_uint_eq(head.n_fields, 0);
    http_head_deinit(&head);
}
END_TEST

START_TEST(test_fields)
{
    struct http_head head;
    const struct http_field *field;

    check_parsed(&head, TEXT("HTTP/1.1 407 no\r\n"
                             "Proxy-Authenticate: Negotiate\r\n"
                             "Empty:\r\n"
                             "X-Spaces: \t a b \t\n"
                             "proxy-authenticate:Basic realm=\"a:b\"\n"
                             "Folded: one,\r\n\t two\n  three\r\n"
                             "Nothing:\r\n \r\n"
                             "!#$%&'*+-.^_`|~09AZaz: \xfc\r\n"
                             "PROXY-AUTHENTICATE: Digest\r\n"
                             "\r\n"));
    ck_assert_uint_eq(head.n_fields, 8);
    field = http_head_find(&head, "Proxy-Authenticate", NULL);
    check_text(field->value, "Negotiate");
    field = http_head_find(&head, "Proxy-Authenticate", field);
    check_text(field->value, "Basic realm=\"a:b\"");
    field = http_head_find(&head, "Proxy-Authenticate", field);
    check_text(field->value, "Digest");
    ck_assert_ptr_null(http_head_find(&head, "Proxy-Authenticate", field));
    ck_assert_ptr_null(http_head_find(&head, "Proxy-Authenticat", NULL));
    check_text(http_head_find(&head, "empty", NULL)->value, "");
    check_text(http_head_find(&head, "nothing", NULL)->value, "");
    check_text(http_head_find(&head, "x-spaces", NULL)->value, "a b");
    check_text(http_head_find(&head, "folded", NULL)->value, "one,  \t two   three");
    check_text(http_head_find(&head, "!#$%&'*+-.^_`|~09AZaz", NULL)->value, "\xfc");
    http_head_deinit(&head);
    ck_assert_uint_eq(head.n_fields, 0);
}
END_TEST

START_TEST(test_members)
{
    struct http_head head;

    check_parsed(&head, TEXT("HTTP/1.1 101 go\r\n"
                             "Connection: keep-alive, ,Upgrade\r\n"
                             "Upgrade: h2c,\"a, b\"\r\n"
                             "Upgrade: WebSocket\r\n"
                             "Odd: \"quoted \\\", still\", then, \"open, to the end\r\n"
                             "None: , ,,\r\n"
                             "\r\n"));
    ck_assert(http_head_has_member(&head, "connection", "upgrade"));
    ck_assert(http_head_has_member(&head, "connection", "Keep-Alive"));
    ck_assert(!http_head_has_member(&head, "connection", "keep"));
    ck_assert(!http_head_has_member(&head, "connection", "close"));
    ck_assert(!http_head_has_member(&head, "connection", ""));
    ck_assert(http_head_has_member(&head, "upgrade", "websocket"));
    ck_assert(http_head_has_member(&head, "upgrade", "\"a, b\""));
    ck_assert(!http_head_has_member(&head, "upgrade", "b\""));
    ck_assert(http_head_has_member(&head, "odd", "\"quoted \\\", still\""));
    ck_assert(http_head_has_member(&head, "odd", "then"));
    ck_assert(!http_head_has_member(&head, "odd", "to the end"));
    ck_assert(!http_head_has_member(&head, "none", ""));
    ck_assert(!http_head_has_member(&head, "absent", "x"));
    http_head_deinit(&head);
}
END_TEST

/* ---- the body ---- */

static const struct body {
    const char *fields;
    unsigned minor;
    enum http_body body;
    uint64_t length;
    const char *error;
} bodies[] = {
    {"", 1, HTTP_BODY_CLOSE, 0, NULL},
    {"Content-Length: 0\r\n", 1, HTTP_BODY_LENGTH, 0, NULL},
    {"Content-Length: 10\r\n", 0, HTTP_BODY_LENGTH, 10, NULL},
    {"Content-Length: 10\r\ncontent-length: 10\r\n", 1, HTTP_BODY_LENGTH, 10, NULL},
    {"Content-Length: 10, 10,10\r\n", 1, HTTP_BODY_LENGTH, 10, NULL},
    {"Content-Length: 10, 010\r\n", 1, HTTP_BODY_LENGTH, 10, NULL},
    {"Content-Length: 18446744073709551615\r\n", 1, HTTP_BODY_LENGTH, UINT64_MAX, NULL},
    {"Content-Length: 18446744073709551616\r\n", 1, 0, 0, "no number"},
    {"Content-Length: 99999999999999999999999999\r\n", 1, 0, 0, "no number"},
    {"Content-Length: 10, 11\r\n", 1, 0, 0, "different"},
    {"Content-Length: 10\r\nContent-Length: 11\r\n", 1, 0, 0, "different"},
    {"Content-Length:\r\n", 1, 0, 0, "an empty"},
    {"Content-Length: ,\r\n", 1, 0, 0, "an empty"},
    {"Content-Length: -1\r\n", 1, 0, 0, "no number"},
    {"Content-Length: +1\r\n", 1, 0, 0, "no number"},
    {"Content-Length: 0x10\r\n", 1, 0, 0, "no number"},
    {"Content-Length: 1 0\r\n", 1, 0, 0, "no number"},
    {"Content-Length: 1\r\n 0\r\n", 1, 0, 0, "no number"},
    {"Content-Length: \"1\"\r\n", 1, 0, 0, "no number"},
    {"Transfer-Encoding: chunked\r\n", 1, HTTP_BODY_CHUNKED, 0, NULL},
    {"Transfer-Encoding: gzip, Chunked\r\n", 1, HTTP_BODY_CHUNKED, 0, NULL},
    {"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", 1, HTTP_BODY_CHUNKED, 0, NULL},
    {"Transfer-Encoding: gzip\r\n", 1, HTTP_BODY_CLOSE, 0, NULL},
    {"Transfer-Encoding: identity\r\n", 1, HTTP_BODY_CLOSE, 0, NULL},
    {"Transfer-Encoding:\r\n", 1, HTTP_BODY_CLOSE, 0, NULL},
    {"Transfer-Encoding: chunked\r\n", 0, HTTP_BODY_CLOSE, 0, NULL},
    {"Transfer-Encoding: chunked, gzip\r\n", 1, 0, 0, "behind chunked"},
    {"Transfer-Encoding: chunked, chunked\r\n", 1, 0, 0, "behind chunked"},
    {"Transfer-Encoding: \"chunked\"\r\n", 1, HTTP_BODY_CLOSE, 0, NULL},
    {"Content-Length: 10\r\nTransfer-Encoding: chunked\r\n", 1, 0, 0, "both"},
    {"Content-Length: 10\r\nTransfer-Encoding: chunked\r\n", 0, 0, 0, "both"},
    {"Transfer-Encoding: gzip\r\nContent-Length: 10\r\n", 1, 0, 0, "both"},
};

START_TEST(test_body)
{
    const struct body *b = &bodies[_i];
    enum http_body body = 77;
    uint64_t length = 7777;
    const char *error = "";
    struct http_head head;
    char data[256];
    int n = snprintf(data, sizeof data, "HTTP/1.%u 200 OK\r\n%s\r\n", b->minor, b->fields);
    int r;

    check_parsed(&head, data, (size_t)n);
    r = http_head_measure_body(&head, &body, &length, &error);
    if (b->error) {
        ck_assert_int_eq(r, -EBADMSG);
        ck_assert_msg(strstr(error, b->error) != NULL, "'%s' is not in '%s'", b->error, error);
    } else {
        ck_assert_msg(r == 0, "%s: %s", b->fields, error);
        ck_assert_int_eq(body, b->body);
    }
    ck_assert_uint_eq(length, r == 0 && body == HTTP_BODY_LENGTH ? b->length : 7777);
    http_head_deinit(&head);
}
END_TEST

static const struct persistence {
    const char *data;
    bool is_persistent;
} persistences[] = {
    {"HTTP/1.1 200 OK\r\n\r\n", true},
    {"HTTP/1.0 200 OK\r\n\r\n", false},
    {"HTTP/1.1 200 OK\r\nConnection: Close\r\n\r\n", false},
    {"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nConnection: x, close\r\n\r\n", false},
    {"HTTP/1.1 200 OK\r\nConnection: closed\r\n\r\n", true},
    {"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n\r\n", true},
    {"HTTP/1.0 200 OK\r\nConnection: keep-alive, close\r\n\r\n", false},
    {"HTTP/1.0 200 OK\r\nKeep-Alive: timeout=5\r\n\r\n", false},
};

START_TEST(test_persistence)
{
    struct http_head head;

    check_parsed(&head, persistences[_i].data, strlen(persistences[_i].data));
    ck_assert_int_eq(http_head_is_persistent(&head), persistences[_i].is_persistent);
    http_head_deinit(&head);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("http_head");
    TCase *tests = tcase_create("heads");

    tcase_add_loop_test(tests, test_refused, 0, ARRAY_SIZE(bad_heads));
    tcase_add_test(tests, test_limits);
    tcase_add_loop_test(tests, test_status_line, 0, ARRAY_SIZE(status_lines));
    tcase_add_test(tests, test_fields);
    tcase_add_test(tests, test_members);
    tcase_add_loop_test(tests, test_body, 0, ARRAY_SIZE(bodies));
    tcase_add_loop_test(tests, test_persistence, 0, ARRAY_SIZE(persistences));
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
