/* Established sessions: data, its bounds, and how each direction ends. */
#include <check.h>
#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/tls-pair.h"
#include "tests/lib/valgrind.h"

START_TEST(data_both_ways)
{
    static const size_t sizes[] = {1, 2, 255, 256, 1000, 16383, 16384};
    uint8_t sent[TLS_RECORD_MAX], received[TLS_RECORD_MAX];
    struct pair p;

    pair_open(&p, _i);
    for (size_t i = 0; i < sizeof sent; i++)
        sent[i] = (uint8_t)(i * 7 + i / 256);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        size_t n = sizes[i], n_got = 0;

        ck_assert_int_eq(pair_write(&p, sent, n), n);
        pair_move_to_server(&p);
        memset(received, 0, sizeof received);
        ck_assert_int_eq(SSL_read(p.server, received, sizeof received), n);
        ck_assert_mem_eq(received, sent, n);

        ck_assert_int_eq(SSL_write(p.server, sent, (int)n), n);
        pair_move_to_client(&p);
        memset(received, 0, sizeof received);
        while (n_got < n) { /* in small pieces */
            ssize_t r = pair_read(&p, received + n_got, 1 + n / 3);

            ck_assert_int_gt(r, 0);
            n_got += (size_t)r;
        }
        ck_assert_mem_eq(received, sent, n);
        ck_assert_int_eq(pair_read(&p, received, 1), -EAGAIN);
    }
    ck_assert_int_eq(pair_write(&p, sent, 0), 0);
    ck_assert_uint_eq(pair_move_to_server(&p), 0);
    pair_deinit(&p);
}
END_TEST

/* A record in single bytes: nothing before its last one, and no byte too many. */
START_TEST(record_byte_by_byte)
{
    uint8_t wire[256], buf[64];
    struct pair p;
    int n;

    pair_open(&p, _i);
    while (pair_read(&p, buf, sizeof buf) > 0)
        ;
    ck_assert_int_eq(SSL_write(p.server, "hello", 5), 5);
    n = BIO_read(SSL_get_wbio(p.server), wire, sizeof wire);
    ck_assert_int_gt(n, 5);
    for (int i = 0; i < n; i++) {
        ck_assert_int_eq(pair_read(&p, buf, sizeof buf), -EAGAIN);
        pair_inject(&p, wire + i, 1);
    }
    ck_assert_int_eq(pair_read(&p, buf, sizeof buf), 5);
    ck_assert_mem_eq(buf, "hello", 5);
    pair_deinit(&p);
}
END_TEST

/* What was shown stays where it is while more is made, and the order holds. */
START_TEST(output_does_not_move)
{
    uint8_t data[TLS_RECORD_MAX] = {1}, received[TLS_RECORD_MAX];
    const uint8_t *shown, *again;
    size_t n, n_again, n_received = 0;
    uint8_t *copy;
    struct pair p;
    int r;

    pair_open(&p, TLS1_3_VERSION);
    ck_assert_int_eq(pair_write(&p, data, 100), 100);
    n = tls_session_output(p.client, &shown);
    copy = malloc(n);
    memcpy(copy, shown, n);
    for (int i = 0; i < 8; i++)
        ck_assert_int_eq(pair_write(&p, data, sizeof data), sizeof data);
    n_again = tls_session_output(p.client, &again);
    ck_assert_uint_eq(n_again, n);
    ck_assert_ptr_eq(again, shown);
    ck_assert_mem_eq(shown, copy, n);
    tls_session_sent(p.client, 10);
    ck_assert_int_eq(pair_write(&p, data, 1), 1);
    ck_assert_uint_eq(tls_session_output(p.client, &again), n - 10);
    ck_assert_ptr_eq(again, shown + 10);
    BIO_write(SSL_get_rbio(p.server), copy, 10);
    free(copy);
    pair_move_to_server(&p);
    while ((r = SSL_read(p.server, received, sizeof received)) > 0)
        n_received += (size_t)r;
    ck_assert_uint_eq(n_received, 100 + 8 * sizeof data + 1);
    pair_deinit(&p);
}
END_TEST

START_TEST(output_is_bounded)
{
    uint8_t data[TLS_RECORD_MAX] = {1};
    const uint8_t *shown;
    size_t n_records = 0;
    struct pair p;

    pair_open(&p, _i);
    while (pair_write(&p, data, sizeof data) == sizeof data)
        ck_assert_uint_lt(++n_records, TLS_OUTPUT_MAX / TLS_RECORD_MAX);
    ck_assert_uint_ge(n_records, TLS_OUTPUT_MAX / TLS_RECORD_MAX - 1);
    ck_assert_int_eq(pair_write(&p, data, sizeof data), -EAGAIN);
    ck_assert_uint_le(tls_session_output(p.client, &shown), TLS_OUTPUT_MAX);
    pair_move_to_server(&p);
    ck_assert_int_eq(pair_write(&p, data, sizeof data), sizeof data);
    pair_deinit(&p);
}
END_TEST

START_TEST(input_is_bounded)
{
    uint8_t *data = calloc(1, TLS_INPUT_MAX);
    struct pair p;

    pair_open(&p, TLS1_3_VERSION);
    ck_assert_int_eq(tls_session_feed(p.client, data, TLS_INPUT_MAX - p.n_received), 0);
    ck_assert_int_eq(tls_session_feed(p.client, data, TLS_INPUT_MAX), -ENOBUFS);
    free(data);
    pair_deinit(&p);
}
END_TEST

START_TEST(peer_closes_first)
{
    uint8_t buf[64];
    struct pair p;

    pair_open(&p, _i);
    SSL_write(p.server, "last", 4);
    SSL_shutdown(p.server);
    pair_move_to_client(&p);
    ck_assert_int_eq(pair_read(&p, buf, sizeof buf), 4);
    ck_assert_int_eq(pair_read(&p, buf, sizeof buf), 0);
    ck_assert_int_eq(pair_read(&p, buf, sizeof buf), 0);
    ck_assert_int_eq(tls_session_failure(p.client)->code, ERROR_NONE);
    /* Our direction is still open. */
    ck_assert_int_eq(pair_write(&p, "more", 4), 4);
    tls_session_close(p.client);
    ck_assert_uint_gt(pair_move_to_server(&p), 0);
    if (_i == TLS1_3_VERSION) { /* OpenSSL's server reads on after its own close */
        ck_assert_int_eq(SSL_read(p.server, buf, sizeof buf), 4);
        ck_assert_int_eq(SSL_read(p.server, buf, sizeof buf), 0);
        ck_assert_int_eq(SSL_get_shutdown(p.server), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    }
    pair_deinit(&p);
}
END_TEST

START_TEST(we_close_first)
{
    uint8_t buf[64];
    struct pair p;

    pair_open(&p, _i);
    ck_assert_int_eq(pair_write(&p, "all", 3), 3);
    tls_session_close(p.client);
    tls_session_close(p.client);
    ck_assert_int_eq(pair_write(&p, "x", 1), -EPIPE);
    pair_move_to_server(&p);
    ck_assert_int_eq(SSL_read(p.server, buf, sizeof buf), 3);
    ck_assert_int_eq(SSL_read(p.server, buf, sizeof buf), 0);
    ck_assert_int_eq(SSL_get_shutdown(p.server), SSL_RECEIVED_SHUTDOWN);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(SSL_write(p.server, "answer", 6), 6);
        pair_move_to_client(&p);
        ck_assert_int_eq(pair_read(&p, buf, sizeof buf), 6);
        ck_assert_int_eq(pair_read(&p, buf, sizeof buf), -EAGAIN);
    }
    SSL_shutdown(p.server);
    pair_move_to_client(&p);
    ck_assert_int_eq(pair_read(&p, buf, sizeof buf), 0);
    ck_assert_uint_eq(pair_move_to_server(&p), 0); /* one close_notify, not two */
    pair_deinit(&p);
}
END_TEST

/* Every cut of "data, close_notify" is told from the whole: never a 0 before the last byte. Each is
 * a handshake; under valgrind a few of the head and the body of either record have to do. */
START_TEST(truncation)
{
    const int step = is_under_valgrind() ? 9 : 1;
    uint8_t wire[512], buf[64];
    int n;

    for (int cut = 0, n_wire = 1; cut < n_wire; cut += step) {
        struct pair p;
        ssize_t r;

        pair_open(&p, _i);
        while (pair_read(&p, buf, sizeof buf) > 0)
            ;
        SSL_write(p.server, "data", 4);
        SSL_shutdown(p.server);
        n = BIO_read(SSL_get_wbio(p.server), wire, sizeof wire);
        ck_assert_int_gt(n, 4);
        n_wire = n;
        pair_inject(&p, wire, (size_t)cut);
        while ((r = pair_read(&p, buf, sizeof buf)) > 0)
            ck_assert_int_eq(r, 4);
        ck_assert_int_eq(r, -EAGAIN);
        pair_inject(&p, wire + cut, (size_t)(n - cut));
        while ((r = pair_read(&p, buf, sizeof buf)) > 0)
            ck_assert_int_eq(r, 4);
        ck_assert_int_eq(r, 0);
        pair_deinit(&p);
    }
}
END_TEST

/* TLS in TLS: what one session puts out is written into the other, and neither knows. */
START_TEST(sessions_stack)
{
    struct pair_options options = pair_options_of("server-ecdsa", TLS1_3_VERSION);
    uint8_t buf[TLS_RECORD_MAX];
    struct pair outer, inner;
    const uint8_t *shown;

    pair_open(&outer, TLS1_2_VERSION);
    pair_init(&inner, &options);
    for (int round = 0; round < 20; round++) {
        size_t n;
        int r;

        if (inner.progress != TLS_DONE)
            inner.progress = tls_session_handshake(inner.client, &inner.failure);
        while ((n = tls_session_output(inner.client, &shown)) > 0) {
            n = n < TLS_RECORD_MAX ? n : TLS_RECORD_MAX;
            ck_assert_int_eq(pair_write(&outer, shown, n), n);
            tls_session_sent(inner.client, n);
        }
        pair_move_to_server(&outer);
        while ((r = SSL_read(outer.server, buf, sizeof buf)) > 0)
            BIO_write(SSL_get_rbio(inner.server), buf, r);
        SSL_do_handshake(inner.server);
        while ((r = BIO_read(SSL_get_wbio(inner.server), buf, sizeof buf)) > 0)
            SSL_write(outer.server, buf, r);
        ERR_clear_error();
        pair_move_to_client(&outer);
        for (ssize_t k; (k = pair_read(&outer, buf, sizeof buf)) > 0;)
            pair_inject(&inner, buf, (size_t)k);
    }
    ck_assert_int_eq(inner.progress, TLS_DONE);
    pair_deinit(&inner);
    pair_deinit(&outer);
}
END_TEST

static void add_tests(TCase *tcase)
{
    tcase_add_loop_test(tcase, data_both_ways, TLS1_2_VERSION, TLS1_3_VERSION + 1);
    tcase_add_loop_test(tcase, record_byte_by_byte, TLS1_2_VERSION, TLS1_3_VERSION + 1);
    tcase_add_test(tcase, output_does_not_move);
    tcase_add_loop_test(tcase, output_is_bounded, TLS1_2_VERSION, TLS1_3_VERSION + 1);
    tcase_add_test(tcase, input_is_bounded);
    tcase_add_loop_test(tcase, peer_closes_first, TLS1_2_VERSION, TLS1_3_VERSION + 1);
    tcase_add_loop_test(tcase, we_close_first, TLS1_2_VERSION, TLS1_3_VERSION + 1);
    tcase_add_loop_test(tcase, truncation, TLS1_2_VERSION, TLS1_3_VERSION + 1);
    tcase_add_test(tcase, sessions_stack);
}

int main(void)
{
    return pair_run_suite("tls-data", add_tests);
}
