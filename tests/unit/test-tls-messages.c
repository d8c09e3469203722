/* What comes between the data: KeyUpdate, tickets, renegotiation, and too much of it. */
#include <check.h>
#include <errno.h>
#include <openssl/err.h>
#include <string.h>

#include "tests/lib/tls-pair.h"
#include "tests/lib/valgrind.h"

static void update_keys(struct pair *p, int type)
{
    ck_assert(SSL_key_update(p->server, type));
    ck_assert_int_eq(SSL_do_handshake(p->server), 1);
}

START_TEST(key_update)
{
    uint8_t buf[64];
    struct pair p;

    pair_open(&p, TLS1_3_VERSION);
    for (int i = 0; i < 50; i++) {
        bool is_asked = i % 2;

        update_keys(&p, is_asked ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED);
        pair_move_to_client(&p);
        ck_assert_int_eq(pair_read(&p, buf, sizeof buf), -EAGAIN);
        ck_assert_uint_eq(pair_move_to_server(&p), 0);
        ck_assert_int_eq(SSL_write(p.server, "ping", 4), 4);
        pair_move_to_client(&p);
        ck_assert_int_eq(pair_read(&p, buf, sizeof buf), 4);
        /* Its answer goes out in front of the next data (RFC 8446, 4.6.3). */
        ck_assert_int_eq(pair_write(&p, "pong", 4), 4);
        ck_assert_int_eq(pair_move_to_server(&p) > 40, is_asked);
        ck_assert_int_eq(SSL_read(p.server, buf, sizeof buf), 4);
    }
    pair_deinit(&p);
}
END_TEST

/* After our close_notify nothing more may go out, and reading must go on. */
START_TEST(key_update_after_close)
{
    uint8_t buf[64];
    struct pair p;

    pair_open(&p, TLS1_3_VERSION);
    tls_session_close(p.client);
    pair_move_to_server(&p);
    update_keys(&p, SSL_KEY_UPDATE_REQUESTED);
    ck_assert_int_eq(SSL_write(p.server, "rest", 4), 4);
    SSL_shutdown(p.server);
    pair_move_to_client(&p);
    ck_assert_int_eq(pair_read(&p, buf, sizeof buf), 4);
    ck_assert_int_eq(pair_read(&p, buf, sizeof buf), 0);
    pair_deinit(&p);
}
END_TEST

START_TEST(key_update_flood)
{
    uint8_t buf[64];
    struct pair p;

    pair_open(&p, TLS1_3_VERSION);
    for (int i = 0; i < (is_under_valgrind() ? 100 : 1000); i++)
        update_keys(&p, SSL_KEY_UPDATE_REQUESTED);
    pair_move_to_client(&p);
    ck_assert_int_eq(pair_read(&p, buf, sizeof buf), -EPROTO);
    pair_check_failure(tls_session_failure(p.client), ERROR_TLS_PROTOCOL, "without end");
    ck_assert_uint_lt(pair_move_to_server(&p), 10000); /* it ended soon */
    ck_assert_int_eq(pair_read(&p, buf, sizeof buf), -EPROTO);
    ck_assert_int_eq(pair_write(&p, "x", 1), -EPROTO);
    pair_deinit(&p);
}
END_TEST

/* With data in between it is no flood, but the answers that nobody takes are bounded all the same.
 */
START_TEST(key_update_without_taking_answers)
{
    const uint8_t *shown;
    uint8_t buf[64];
    struct pair p;
    int i;

    pair_open(&p, TLS1_3_VERSION);
    if (is_under_valgrind()) { /* ten thousand answers take a minute there: data for most of them */
        static const uint8_t data[TLS_RECORD_MAX];

        while (pair_write(&p, data, sizeof data) == sizeof data)
            ;
    }
    for (i = 0; i < 100000; i++) {
        ssize_t r;

        update_keys(&p, SSL_KEY_UPDATE_REQUESTED);
        SSL_write(p.server, "x", 1);
        pair_move_to_client(&p);
        r = pair_read(&p, buf, sizeof buf);
        ck_assert_uint_le(tls_session_output(p.client, &shown), TLS_OUTPUT_MAX);
        if (r == -EPROTO)
            break;
        ck_assert_int_eq(r, 1);
    }
    ck_assert_int_lt(i, 100000);
    pair_check_failure(tls_session_failure(p.client), ERROR_TLS_PROTOCOL,
                       "more answers than it takes");
    pair_deinit(&p);
}
END_TEST

static int make_large_ticket(SSL *ssl, void *arg)
{
    static const uint8_t data[1200];

    (void)arg;
    return SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), data, sizeof data);
}

static SSL_TICKET_RETURN accept_ticket(SSL *ssl, SSL_SESSION *session, const unsigned char *name,
                                       size_t n, SSL_TICKET_STATUS status, void *arg)
{
    (void)ssl, (void)session, (void)name, (void)n, (void)status, (void)arg;
    return SSL_TICKET_RETURN_IGNORE;
}

/* A ticket in three records: while it is not complete, OpenSSL cannot write. */
START_TEST(half_a_message)
{
    uint8_t wire[4096], buf[64];
    struct pair p;
    int n, first;

    pair_open(&p, TLS1_3_VERSION);
    ck_assert_int_eq(pair_read(&p, buf, sizeof buf), -EAGAIN);
    ck_assert(SSL_CTX_set_session_ticket_cb(p.server_ctx, make_large_ticket, accept_ticket, NULL));
    ck_assert(SSL_set_max_send_fragment(p.server, 512));
    ck_assert(SSL_new_session_ticket(p.server));
    ck_assert_int_eq(SSL_do_handshake(p.server), 1);
    n = BIO_read(SSL_get_wbio(p.server), wire, sizeof wire);
    first = 5 + (wire[3] << 8 | wire[4]);
    ck_assert_int_gt(n, 2 * first);

    pair_inject(&p, wire, (size_t)first);
    ck_assert_int_eq(pair_read(&p, buf, sizeof buf), -EAGAIN);
    ck_assert_int_eq(pair_write(&p, "now", 3), -EAGAIN);
    ck_assert_uint_eq(pair_move_to_server(&p), 0);
    pair_inject(&p, wire + first, (size_t)(n - first));
    ck_assert_int_eq(pair_read(&p, buf, sizeof buf), -EAGAIN);
    ck_assert_int_eq(pair_write(&p, "then", 4), 4);
    pair_move_to_server(&p);
    ck_assert_int_eq(SSL_read(p.server, buf, sizeof buf), 4);

    /* The same with our close_notify in the middle: it is made up for. */
    ck_assert(SSL_new_session_ticket(p.server));
    ck_assert_int_eq(SSL_do_handshake(p.server), 1);
    n = BIO_read(SSL_get_wbio(p.server), wire, sizeof wire);
    pair_inject(&p, wire, (size_t)first);
    ck_assert_int_eq(pair_read(&p, buf, sizeof buf), -EAGAIN);
    tls_session_close(p.client);
    ck_assert_uint_eq(pair_move_to_server(&p), 0);
    pair_inject(&p, wire + first, (size_t)(n - first));
    ck_assert_int_eq(pair_read(&p, buf, sizeof buf), -EAGAIN);
    ck_assert_uint_gt(pair_move_to_server(&p), 0);
    ck_assert_int_eq(SSL_read(p.server, buf, sizeof buf), 0);
    ck_assert_int_eq(SSL_get_shutdown(p.server), SSL_RECEIVED_SHUTDOWN);
    pair_deinit(&p);
}
END_TEST

START_TEST(renegotiation)
{
    uint8_t buf[64];
    struct pair p;

    pair_open(&p, TLS1_2_VERSION);
    ck_assert(SSL_renegotiate(p.server));
    ck_assert_int_eq(SSL_do_handshake(p.server), 1);
    SSL_write(p.server, "x", 1);
    pair_move_to_client(&p);
    ck_assert_int_eq(pair_read(&p, buf, sizeof buf), -EPROTO);
    pair_check_failure(tls_session_failure(p.client), ERROR_TLS_PROTOCOL, "renegotiation");
    pair_deinit(&p);
}
END_TEST

static void add_tests(TCase *tcase)
{
    tcase_add_test(tcase, key_update);
    tcase_add_test(tcase, key_update_after_close);
    tcase_add_test(tcase, key_update_flood);
    tcase_add_test(tcase, key_update_without_taking_answers);
    tcase_add_test(tcase, half_a_message);
    tcase_add_test(tcase, renegotiation);
}

int main(void)
{
    return pair_run_suite("tls-messages", add_tests);
}
