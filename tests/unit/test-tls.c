/* Handshakes that succeed: versions, keys, ALPN, dribbled input, threads. */
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/tls-pair.h"
#include "tests/lib/valgrind.h"

static const struct {
    const char *server;
    int version;
    const char *ciphers;
    const char *cipher;
} handshakes[] = {
    {"server-ecdsa", TLS1_2_VERSION, NULL, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"},
    {"server-ecdsa", TLS1_3_VERSION, NULL, "TLS_AES_256_GCM_SHA384"},
    {"server-rsa", TLS1_2_VERSION, NULL, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"},
    {"server-rsa", TLS1_2_VERSION, "ECDHE-RSA-CHACHA20-POLY1305",
     "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"},
    {"server-rsa", TLS1_3_VERSION, NULL, "TLS_AES_256_GCM_SHA384"},
    {"server-intermediate", TLS1_3_VERSION, NULL, "TLS_AES_256_GCM_SHA384"},
    {"server-with-root", TLS1_2_VERSION, NULL, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"},
};

static void check_handshake(int i, size_t chunk_size)
{
    struct pair_options options = pair_options_of(handshakes[i].server, handshakes[i].version);
    struct tls_info info;
    struct pair p;

    options.ciphers = handshakes[i].ciphers;
    pair_init(&p, &options);
    p.chunk_size = chunk_size;
    ck_assert_int_eq(pair_run(&p), TLS_DONE);
    tls_session_info(p.client, &info);
    ck_assert_uint_eq(info.version, (unsigned)handshakes[i].version);
    ck_assert_str_eq(info.cipher, handshakes[i].cipher);
    ck_assert_str_eq(info.alpn, "");
    ck_assert_str_eq(SSL_get_servername(p.server, TLSEXT_NAMETYPE_host_name), "localhost");
    ck_assert_int_eq(tls_session_failure(p.client)->code, ERROR_NONE);
    pair_deinit(&p);
}

START_TEST(handshake_whole)
{
    check_handshake(_i, SIZE_MAX);
}
END_TEST

START_TEST(handshake_byte_by_byte)
{
    check_handshake(_i, 1);
}
END_TEST

/* Under valgrind a handshake takes fifty times as long: not from every byte there. */
static size_t stride(void)
{
    return is_under_valgrind() ? 23 : 1;
}

/* Whatever is missing at the end, it is a close in the handshake and nothing else. */
START_TEST(handshake_cut_everywhere)
{
    struct pair_options options = pair_options_of("server-ecdsa", _i);
    size_t limit, n_handshake = 0;

    for (limit = 0;; limit += stride()) {
        struct failure failure;
        struct pair p;

        pair_init(&p, &options);
        p.limit = limit;
        if (pair_run(&p) == TLS_DONE) {
            n_handshake = limit;
            pair_deinit(&p);
            break;
        }
        ck_assert_int_eq(p.progress, TLS_WANT_INPUT);
        tls_session_handshake_eof(p.client, &failure);
        ck_assert_int_eq(failure.code, ERROR_TLS_CLOSED);
        ck_assert_int_eq(failure.stage, STAGE_TLS);
        /* The shortest ServerHello record has 5 + 4 + 38 bytes. */
        ck_assert_ptr_nonnull(strstr(failure.detail, limit == 0   ? "without an answer"
                                                     : limit < 47 ? "before its ServerHello"
                                                                  : "ServerHello"));
        ck_assert_int_eq(tls_session_handshake(p.client, &failure), TLS_FAILED);
        ck_assert_int_eq(failure.code, ERROR_TLS_CLOSED);
        pair_deinit(&p);
    }
    ck_assert_uint_gt(n_handshake, 500);
}
END_TEST

/* One bit of what the server sends is wrong: an error that says something, or a wait for more, and
 * never a connection. Only the version in the head of a plain record means nothing (RFC 8446, 5.1).
 */
START_TEST(handshake_bit_errors)
{
    struct pair_options options = pair_options_of("server-ecdsa", _i);
    size_t n_done = 0, position;

    for (position = 0; position < 3000 && n_done < 10;
         position += (position < 200 ? 1 : 3) * stride()) {
        struct pair p;

        pair_init(&p, &options);
        p.flipped = position;
        if (pair_run(&p) == TLS_DONE) {
            ck_assert(position == 2 || position > 600);
            n_done++;
        } else if (p.progress == TLS_FAILED) {
            ck_assert_int_eq(p.failure.stage, STAGE_TLS);
            ck_assert_str_ne(p.failure.detail, "");
        }
        pair_deinit(&p);
    }
    ck_assert_uint_gt(position, 500);
    ck_assert_uint_eq(n_done, 10);
}
END_TEST

static const struct {
    const char *offered[3];
    const char *answer;
    const char *chosen; /* NULL: the handshake fails */
} alpns[] = {
    {{"http/1.1"}, "http/1.1", "http/1.1"},
    {{"h2", "http/1.1"}, "http/1.1", "http/1.1"},
    {{"h2", "http/1.1"}, "h2", "h2"},
    {{"h2"}, NULL, ""},
    {{NULL}, NULL, ""},
    {{"http/1.1"}, "h2", NULL},      /* not offered */
    {{"http/1.1"}, "http/1.", NULL}, /* only begins like it */
    {{"a"}, "aa", NULL},
};

START_TEST(alpn_choice)
{
    struct pair_options options = pair_options_of("server-ecdsa", 0);
    struct text offered[3];
    struct tls_info info;
    struct pair p;

    while (options.params.n_alpn < 3 && alpns[_i].offered[options.params.n_alpn]) {
        offered[options.params.n_alpn] = text_of(alpns[_i].offered[options.params.n_alpn]);
        options.params.n_alpn++;
    }
    options.params.alpn = offered;
    options.alpn = alpns[_i].answer;
    pair_init(&p, &options);
    memset(offered, 0xee, sizeof offered); /* it must have been copied */
    if (alpns[_i].chosen) {
        ck_assert_int_eq(pair_run(&p), TLS_DONE);
        tls_session_info(p.client, &info);
        ck_assert_str_eq(info.alpn, alpns[_i].chosen);
    } else {
        ck_assert_int_eq(pair_run(&p), TLS_FAILED);
        ck_assert_int_eq(p.failure.code, ERROR_TLS_PROTOCOL);
        ck_assert_str_ne(p.failure.detail, "");
    }
    pair_deinit(&p);
}
END_TEST

START_TEST(bad_params)
{
    char long_name[TLS_NAME_MAX + 2] = {0}, long_alpn[257];
    struct text alpn[MESSAGE_ALPN_MAX + 1];
    struct tls_session *s = NULL;
    const char *names[] = {"", ".", ".example.com", long_name};

    memset(long_name, 'a', TLS_NAME_MAX + 1);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct tls_params params = {.name = names[i]};

        ck_assert_int_eq(tls_session_new(&s, pair_context, &params), -EINVAL);
    }
    memset(long_alpn, 'a', sizeof long_alpn);
    for (size_t i = 0; i < MESSAGE_ALPN_MAX + 1; i++)
        alpn[i] = text_of("x");
    ck_assert_int_eq(tls_session_new(&s, pair_context,
                                     &(struct tls_params){.name = "a", .alpn = alpn, .n_alpn = 9}),
                     -EINVAL);
    alpn[0] = (struct text){long_alpn, 256};
    ck_assert_int_eq(tls_session_new(&s, pair_context,
                                     &(struct tls_params){.name = "a", .alpn = alpn, .n_alpn = 1}),
                     -EINVAL);
    alpn[0] = (struct text){"", 0};
    ck_assert_int_eq(tls_session_new(&s, pair_context,
                                     &(struct tls_params){.name = "a", .alpn = alpn, .n_alpn = 1}),
                     -EINVAL);
    ck_assert_ptr_null(s);
}
END_TEST

START_TEST(peer_chain)
{
    struct pair_options options = pair_options_of("server-with-root", 0);
    struct pair p;
    uint8_t *der;
    ssize_t n;

    pair_init(&p, &options);
    ck_assert_int_eq(pair_run(&p), TLS_DONE);
    for (size_t i = 0; i < options.server->n_chain; i++) {
        uint8_t *expected = NULL;
        int n_expected = i2d_X509(options.server->chain[i]->cert, &expected);

        n = tls_session_chain(p.client, i, &der);
        ck_assert_int_eq(n, n_expected);
        ck_assert_mem_eq(der, expected, n);
        free(der);
        OPENSSL_free(expected);
    }
    ck_assert_int_eq(tls_session_chain(p.client, options.server->n_chain, &der), -ENOENT);
    pair_deinit(&p);
}
END_TEST

static void *run_handshakes(void *data)
{
    const struct pair_options *options = data;

    for (int i = 0; i < 20; i++) {
        char text[5] = "";
        struct pair p;

        pair_init(&p, options);
        ck_assert_int_eq(pair_run(&p), TLS_DONE);
        ck_assert_int_eq(SSL_write(p.server, "hello", 5), 5);
        pair_move_to_client(&p);
        ck_assert_int_eq(pair_read(&p, text, sizeof text), 5);
        pair_deinit(&p);
    }
    return NULL;
}

START_TEST(threads_share_a_context)
{
    struct pair_options options[2] = {pair_options_of("server-ecdsa", TLS1_2_VERSION),
                                      pair_options_of("server-intermediate", TLS1_3_VERSION)};
    pthread_t threads[2];

    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, run_handshakes, &options[i]), 0);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
}
END_TEST

static void add_tests(TCase *tcase)
{
    tcase_add_loop_test(tcase, handshake_whole, 0, sizeof handshakes / sizeof handshakes[0]);
    tcase_add_loop_test(tcase, handshake_byte_by_byte, 0, sizeof handshakes / sizeof handshakes[0]);
    tcase_add_loop_test(tcase, handshake_cut_everywhere, TLS1_2_VERSION, TLS1_3_VERSION + 1);
    tcase_add_loop_test(tcase, handshake_bit_errors, TLS1_2_VERSION, TLS1_3_VERSION + 1);
    tcase_add_loop_test(tcase, alpn_choice, 0, sizeof alpns / sizeof alpns[0]);
    tcase_add_test(tcase, bad_params);
    tcase_add_test(tcase, peer_chain);
    tcase_add_test(tcase, threads_share_a_context);
}

int main(void)
{
    return pair_run_suite("tls", add_tests);
}
