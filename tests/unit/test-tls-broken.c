/* Peers that do not speak TLS, or break it, before and after the handshake. */
#include <check.h>
#include <errno.h>
#include <openssl/err.h>
#include <string.h>

#include "tests/lib/tls-pair.h"

static const struct {
    const char *name;
    const uint8_t bytes[40];
    size_t n;
    const char *detail;
} garbage[] = {
    {"forged record", {23, 3, 3, 0, 32}, 37, "mac"},
    {"plain text", "HTTP/1.1 400 Bad Request\r\n", 26, ""},
    {"empty", {23, 3, 3, 0, 0}, 5, ""},
    {"too long", {23, 3, 3, 0xff, 0xff}, 5, "length"},
    {"plain alert", {21, 3, 3, 0, 2, 2, 40}, 7, ""},
    {"unknown type", {99, 3, 3, 0, 20}, 25, ""},
};

START_TEST(garbage_after_handshake)
{
    uint8_t buf[64];
    struct pair p;

    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        pair_open(&p, version);
        while (pair_read(&p, buf, sizeof buf) > 0)
            ;
        pair_inject(&p, garbage[_i].bytes, garbage[_i].n);
        ck_assert_msg(pair_read(&p, buf, sizeof buf) == -EPROTO, "%s", garbage[_i].name);
        pair_check_failure(tls_session_failure(p.client), ERROR_TLS_PROTOCOL, garbage[_i].detail);
        ck_assert_int_eq(pair_read(&p, buf, sizeof buf), -EPROTO);
        ck_assert_uint_gt(pair_move_to_server(&p), 0); /* an alert */
        pair_deinit(&p);
    }
}
END_TEST

/* In TLS 1.3 the server's verdict on a client comes after the handshake. */
START_TEST(alert_after_handshake)
{
    struct pair_options options = pair_options_of("server-ecdsa", TLS1_3_VERSION);
    uint8_t buf[64];
    struct pair p;

    options.wants_client_certificate = true;
    pair_init(&p, &options);
    ck_assert_int_eq(pair_run(&p), TLS_DONE);
    ck_assert_int_eq(pair_read(&p, buf, sizeof buf), -EPROTO);
    pair_check_failure(
        tls_session_failure(p.client), ERROR_TLS_ALERT,
        "peer sent alert certificate_required after the handshake: it wants a client");
    pair_deinit(&p);
}
END_TEST

START_TEST(no_common_cipher)
{
    struct pair_options options = pair_options_of("server-ecdsa", TLS1_2_VERSION);
    struct pair p;

    options.server = certs_matrix_find(pair_matrix, "server-rsa");
    options.ciphers = "AES128-SHA";
    pair_init(&p, &options);
    ck_assert_int_eq(pair_run(&p), TLS_FAILED);
    pair_check_failure(&p.failure, ERROR_TLS_ALERT,
                       "peer sent alert handshake_failure: it accepts none");
    pair_deinit(&p);
}
END_TEST

#define SERVER_HELLO(version, cipher)                                                              \
    "\x16\x03\x03\x00\x2a\x02\x00\x00\x26\x03" version                                             \
    "0123456789abcdef0123456789abcdef\x00" cipher "\x00"

#define ANSWER(bytes) bytes, sizeof bytes - 1

static const struct {
    const char *bytes;
    size_t n;
    enum error_code code;
    const char *detail;
} answers[] = {
    {ANSWER("HTTP/1.1 400 Bad Request\r\nServer: x\r\n\r\n"), ERROR_TLS_NOT_TLS,
     "its answer starts with \"HTTP/1.1 400 Bad Request\""},
    {ANSWER("SSH-2.0-OpenSSH_9.2\r\n"), ERROR_TLS_NOT_TLS, "starts with \"SSH-2.0-OpenSSH_9.2\""},
    {ANSWER("220 mail.example ESMTP\r\n"), ERROR_TLS_NOT_TLS, "\"220 mail.example ESMTP\""},
    {ANSWER("* OK IMAP\r\n"), ERROR_TLS_NOT_TLS, "\"* OK IMAP\""},
    {ANSWER("\xc3\xa4\x5c not TLS\r\n"), ERROR_TLS_NOT_TLS, "\"\\xc3\\xa4\\x5c not TLS\""},
    {ANSWER("J\0\0\0\n5.7.1"), ERROR_TLS_NOT_TLS, "the bytes 4a 00 00 00 0a 35 2e 37 2e 31"},
    {ANSWER("\r\n\r\n\r\n"), ERROR_TLS_NOT_TLS, "the bytes 0d 0a 0d 0a 0d 0a"},
    {ANSWER("\x16\x05\x01\x00\x05hello"), ERROR_TLS_NOT_TLS, "the bytes 16 05 01"},
    {ANSWER("N"), ERROR_TLS_NOT_TLS, "\"N\""},
    {ANSWER("\x15\x03\x03\x00\x02\x02\x28"), ERROR_TLS_ALERT, "alert handshake_failure"},
    {ANSWER("\x15\x03\x03\x00\x02\x02\x70"), ERROR_TLS_ALERT,
     "alert unrecognized_name: it does not serve this name"},
    {ANSWER("\x15\x03\x03\x00\x02\x02\x78"), ERROR_TLS_ALERT, "alert no_application_protocol"},
    {ANSWER("\x15\x03\x03\x00\x02\x02\xc8"), ERROR_TLS_ALERT, "alert number 200"},
    {ANSWER("\x15\x03\x03\x00\x02\x02\x46"), ERROR_TLS_VERSION, "alert protocol_version"},
    {ANSWER("\x15\x03\x03\x00\x02\x01\x00"), ERROR_TLS_CLOSED, "close_notify"},
    {ANSWER("\x15\x03\x03\x00\x02\x01\x70"), ERROR_TLS_CLOSED, "before its ServerHello"},
    {ANSWER("\x16\x03"), ERROR_TLS_CLOSED, "before its ServerHello"},
    {ANSWER(""), ERROR_TLS_CLOSED, "without an answer"},
    {ANSWER(SERVER_HELLO("\x01", "\x00\x2f")), ERROR_TLS_VERSION,
     "peer chose TLS 1.0, TLS 1.2 is the least accepted"},
    {ANSWER(SERVER_HELLO("\x02", "\x00\x2f")), ERROR_TLS_VERSION, "peer chose TLS 1.1"},
    {ANSWER(SERVER_HELLO("\x00", "\x00\x2f")), ERROR_TLS_VERSION, "peer chose SSL 3.0"},
    {ANSWER(SERVER_HELLO("\x03", "\x00\x2f")), ERROR_TLS_PROTOCOL, "cipher"},
    {ANSWER("\x17\x03\x03\x00\x05hello"), ERROR_TLS_PROTOCOL, ""},
    {ANSWER("\x16\x03\x03\x00\x05\x63\x00\x00\x01\x00"), ERROR_TLS_PROTOCOL, "unexpected message"},
    {ANSWER("\x16\x03\x03\xff\xff"), ERROR_TLS_PROTOCOL, "length"},
};

static void check_answer(int i, size_t chunk_size)
{
    struct tls_params params = {.name = "localhost"};
    enum tls_progress progress;
    struct tls_session *s;
    struct failure failure;
    const uint8_t *shown;

    ck_assert_int_eq(tls_session_new(&s, pair_context, &params), 0);
    progress = tls_session_handshake(s, &failure);
    ck_assert_int_eq(progress, TLS_WANT_INPUT);
    tls_session_sent(s, tls_session_output(s, &shown));
    for (size_t at = 0; at < answers[i].n && progress == TLS_WANT_INPUT; at += chunk_size) {
        size_t n = answers[i].n - at < chunk_size ? answers[i].n - at : chunk_size;

        ck_assert_int_eq(tls_session_feed(s, answers[i].bytes + at, n), 0);
        progress = tls_session_handshake(s, &failure);
        ck_assert_uint_eq(ERR_peek_error(), 0);
    }
    ck_assert_int_ne(progress, TLS_DONE);
    if (progress == TLS_WANT_INPUT)
        tls_session_handshake_eof(s, &failure);
    pair_check_failure(&failure, answers[i].code, chunk_size > 64 ? answers[i].detail : "");
    tls_session_free(s);
}

START_TEST(strange_answers)
{
    check_answer(_i, SIZE_MAX);
    check_answer(_i, 1);
}
END_TEST

static void add_tests(TCase *tcase)
{
    tcase_add_loop_test(tcase, garbage_after_handshake, 0, sizeof garbage / sizeof garbage[0]);
    tcase_add_test(tcase, alert_after_handshake);
    tcase_add_test(tcase, no_common_cipher);
    tcase_add_loop_test(tcase, strange_answers, 0, sizeof answers / sizeof answers[0]);
}

int main(void)
{
    return pair_run_suite("tls-broken", add_tests);
}
