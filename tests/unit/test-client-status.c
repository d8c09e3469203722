/* Answers to status that come in several messages. */
#include <check.h>
#include <pthread.h>
#include <string.h>

#include "client/fdial.h"
#include "client/session.h"
#include "tests/lib/suite.h"
#include "tests/unit/fake-daemon.h"

#define CALL_ID   UINT64_MAX
#define PIECE_MAX 60000

static void send_piece(struct fake *f, uint16_t attr, const char *text, size_t n, bool has_more)
{
    struct wire_writer w;

    wire_begin(&w, f->buf, sizeof f->buf, WIRE_STATUS_REPLY, CALL_ID);
    wire_put_bytes(&w, attr, text, n);
    if (has_more)
        wire_put_u8(&w, ATTR_MORE, 1);
    ck_assert_int_eq(wire_end(&w), 0);
    fake_send(f, (ssize_t)w.length, NULL, 0);
}

static void send_text(struct fake *f, uint16_t attr, const char *text, bool has_more)
{
    send_piece(f, attr, text, strlen(text), has_more);
}

START_TEST(test_pieces)
{
    struct fdial_request *request = NULL;
    struct fdial_result *result = NULL;
    char *text = NULL;
    struct fake f;

    fake_open(&f, 8);
    ck_assert_int_eq(fdial_request_new(&request, "tcp://host.test:7"), 0);
    ck_assert_int_eq(fdial_submit(f.d, request, 7), 0);
    send_text(&f, ATTR_TEXT, "fdial_a 1\nfdi", true);
    fake_fail(&f, 7, ERROR_REFUSED);
    send_text(&f, ATTR_TEXT, "", true);
    send_text(&f, ATTR_TEXT, "al_b 2\n# EOF\n", false);
    ck_assert_int_eq(fdial_metrics(f.d, &text), 0);
    ck_assert_str_eq(text, "fdial_a 1\nfdial_b 2\n# EOF\n");
    free(text);
    ck_assert_int_eq(fdial_next(f.d, &result, 0), 1);
    fdial_result_free(result);
    fake_expect(&f, WIRE_CONNECT, 7);
    fake_expect(&f, WIRE_STATUS, CALL_ID);

    send_text(&f, ATTR_STAT, "a=1", true);
    send_text(&f, ATTR_STAT, "b=2\n3", false);
    ck_assert_int_eq(fdial_status(f.d, &text), 0);
    ck_assert_str_eq(text, "a=1\nb=2?3\n");
    free(text);
    fdial_request_free(request);
    fake_close(&f);
}
END_TEST

/* What was given up keeps its id until the last message has come; then it is free again. */
START_TEST(test_late_pieces)
{
    struct fdial_result *result = NULL;
    char *text = NULL;
    struct fake f;

    fake_open(&f, 8);
    send_text(&f, ATTR_TEXT, "one ", true);
    ck_assert_int_eq(fdial_metrics(f.d, &text), -ETIMEDOUT);
    ck_assert_ptr_null(text);
    send_text(&f, ATTR_TEXT, "two ", true);
    send_text(&f, ATTR_TEXT, "three", false);
    ck_assert_int_eq(fdial_next(f.d, &result, 0), 0);
    send_text(&f, ATTR_TEXT, "four", false);
    ck_assert_int_eq(fdial_metrics(f.d, &text), 0);
    ck_assert_str_eq(text, "four");
    free(text);
    fake_close(&f);
}
END_TEST

START_TEST(test_end_in_between)
{
    char *text = NULL;
    struct fake f;

    fake_open(&f, 8);
    send_text(&f, ATTR_TEXT, "one ", true);
    f.fd = fd_close(f.fd);
    ck_assert_int_eq(fdial_metrics(f.d, &text), -ENOTCONN);
    ck_assert_ptr_null(text);
    fake_close(&f);
}
END_TEST

START_TEST(test_malformed)
{
    char *text = NULL;
    struct fake f;

    fake_open(&f, 8);
    send_text(&f, ATTR_TEXT, "one ", true);
    send_text(&f, ATTR_PLAN, "two", true);
    ck_assert_int_eq(fdial_metrics(f.d, &text), -EPROTO);
    ck_assert_ptr_null(text);
    fake_close(&f);
}
END_TEST

static void *send_without_end(void *data)
{
    static char piece[PIECE_MAX];
    struct fake *f = data;

    memset(piece, 'x', sizeof piece);
    for (size_t sent = 0; sent < SESSION_REPLY_MAX + sizeof piece; sent += sizeof piece) {
        struct wire_writer w;

        wire_begin(&w, f->buf, sizeof f->buf, WIRE_STATUS_REPLY, CALL_ID);
        wire_put_bytes(&w, ATTR_TEXT, piece, sizeof piece);
        wire_put_u8(&w, ATTR_MORE, 1);
        if (wire_end(&w) < 0 || send(f->fd, f->buf, w.length, MSG_NOSIGNAL) < 0)
            return NULL;
    }
    send_text(f, ATTR_TEXT, "", false);
    return NULL;
}

START_TEST(test_too_long)
{
    char *text = NULL;
    pthread_t thread;
    struct fake f;

    fake_open(&f, 8);
    ck_assert_int_eq(pthread_create(&thread, NULL, send_without_end, &f), 0);
    ck_assert_int_eq(fdial_metrics(f.d, &text), -EMSGSIZE);
    pthread_join(thread, NULL);
    ck_assert_ptr_null(text);
    send_text(&f, ATTR_TEXT, "short", false);
    ck_assert_int_eq(fdial_metrics(f.d, &text), 0);
    ck_assert_str_eq(text, "short");
    free(text);
    fake_close(&f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("client-status");
    TCase *tcase = tcase_create("client-status");

    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, test_pieces);
    tcase_add_test(tcase, test_late_pieces);
    tcase_add_test(tcase, test_end_in_between);
    tcase_add_test(tcase, test_malformed);
    tcase_add_test(tcase, test_too_long);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
