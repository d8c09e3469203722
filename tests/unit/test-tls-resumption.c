/* Resumption, with an OpenSSL server: when there is one, what it says, and each part of the key. */
#include <arpa/inet.h>
#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/tls-resume.h"

static const struct text h2_first[] = {{"h2", 2}, {"http/1.1", 8}};
static const struct text h1_first[] = {{"http/1.1", 8}, {"h2", 2}};

START_TEST(again_and_again)
{
    resume_begin(resume_versions[_i]);
    ck_assert(!resume_run());
    for (int i = 0; i < 5; i++) {
        size_t n = resume_count();

        ck_assert_uint_gt(n, 0);
        ck_assert(resume_run());
        ck_assert_uint_eq(resume_count(), n); /* one is used, one comes */
    }
    resume_end();
}
END_TEST

START_TEST(each_session_is_used_once)
{
    struct tls_session *s[8];
    size_t n;

    resume_begin(resume_versions[_i]);
    ck_assert(!resume_run());
    n = resume_count();
    ck_assert(n > 0 && n < 8);
    for (size_t i = 0; i <= n; i++) {
        ck_assert_int_eq(tls_session_new(&s[i], resume_context, &resume_options.params), 0);
        ck_assert_int_eq(s[i]->is_offering, i < n);
    }
    for (size_t i = 0; i <= n; i++)
        tls_session_free(s[i]);
    resume_end();
}
END_TEST

/* The session IDs of TLS 1.2. */
START_TEST(without_tickets)
{
    resume_begin(TLS1_2_VERSION);
    SSL_CTX_set_options(resume_server, SSL_OP_NO_TICKET);
    ck_assert(!resume_run());
    ck_assert(resume_run());
    ck_assert(resume_run());
    resume_end();
}
END_TEST

START_TEST(says_the_same_as_the_first)
{
    struct tls_info info[2];
    uint8_t *der[2], buf[1];
    ssize_t n[2];

    resume_begin(resume_versions[_i]);
    resume_options.alpn = "h2";
    resume_options.params.alpn = h2_first;
    resume_options.params.n_alpn = 2;
    for (int i = 0; i < 2; i++) {
        struct pair p;

        resume_connect(&p);
        pair_read(&p, buf, 1);
        tls_session_info(p.client, &info[i]);
        n[i] = tls_session_chain(p.client, 0, &der[i]);
        pair_deinit(&p);
    }
    ck_assert(!info[0].is_resumed && info[1].is_resumed);
    ck_assert_uint_eq(info[0].version, info[1].version);
    ck_assert_str_eq(info[0].cipher, info[1].cipher);
    ck_assert_str_eq(info[0].alpn, "h2");
    ck_assert_str_eq(info[1].alpn, "h2");
    ck_assert_int_gt(n[0], 0);
    ck_assert_int_eq(n[0], n[1]);
    ck_assert_mem_eq(der[0], der[1], (size_t)n[0]);
    free(der[0]);
    free(der[1]);
    resume_end();
}
END_TEST

/* ---- the key ---- */

static void change_caller(void)
{
    resume_options.params.session_key = (struct text){"rule hos", 8};
}

/* The bytes of all parts together stay what they are. */
static void shift_caller(void)
{
    resume_options.params.session_key = (struct text){"rule hostl", 10};
    resume_options.params.name = "ocalhost";
}

static void change_name(void)
{
    resume_options.params.name = "server.localhost";
}

static void change_to_address(void)
{
    static const struct in_addr address = {.s_addr = 0x0100007f}; /* 127.0.0.1 */

    resume_options.params.name = NULL;
    resume_options.params.address = &address;
    resume_options.params.address_size = sizeof address;
}

static void change_anonymous(void)
{
    resume_options.params.is_anonymous = true;
}

static void change_alpn_order(void)
{
    resume_options.params.alpn = h1_first;
}

static void change_alpn_number(void)
{
    resume_options.params.n_alpn = 1;
}

static void change_context(void)
{
    resume_options.context = pair_context;
}

static void change_nothing(void)
{
}

static void drop_caller(void)
{
    resume_options.params.session_key = (struct text){0};
}

static const struct {
    void (*change)(void);
    bool is_hit;
} parts[] = {
    {change_nothing, true},     {change_caller, false},      {shift_caller, false},
    {change_name, false},       {change_to_address, false},  {change_anonymous, false},
    {change_alpn_order, false}, {change_alpn_number, false}, {change_context, false},
    {drop_caller, false},
};

/* A hit is what is offered; the server need not be asked. */
START_TEST(each_part_of_the_key)
{
    struct pair_options before;
    struct tls_session *s;

    resume_begin(TLS1_3_VERSION);
    resume_options.params.alpn = h2_first;
    resume_options.params.n_alpn = 2;
    ck_assert(!resume_run());
    before = resume_options;
    parts[_i].change();
    ck_assert_int_eq(tls_session_new(&s, resume_options.context, &resume_options.params), 0);
    ck_assert_int_eq(s->is_offering, parts[_i].is_hit);
    tls_session_free(s);
    resume_options = before;
    ck_assert(resume_run());
    resume_end();
}
END_TEST

/* Two kinds of peer with the same bytes. */
START_TEST(a_name_is_no_address)
{
    struct tls_session *name, *address;

    resume_begin(TLS1_3_VERSION);
    resume_options.params.name = "abcd";
    ck_assert_int_eq(tls_session_new(&name, resume_context, &resume_options.params), 0);
    resume_options.params.name = NULL;
    resume_options.params.address = "abcd";
    resume_options.params.address_size = 4;
    ck_assert_int_eq(tls_session_new(&address, resume_context, &resume_options.params), 0);
    ck_assert_mem_ne(name->ticket_key, address->ticket_key, sizeof name->ticket_key);
    tls_session_free(name);
    tls_session_free(address);
    resume_end();
}
END_TEST

/* ---- what is said to the server ---- */

static bool has_ticket, has_psk;
static uint8_t modes[8];
static size_t n_modes;

static int look_at_hello(SSL *ssl, int *alert, void *arg)
{
    const uint8_t *data;
    size_t n;

    (void)alert, (void)arg;
    has_ticket = SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_session_ticket, &data, &n) == 1;
    has_psk = SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_psk, &data, &n) == 1;
    n_modes = 0;
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_psk_kex_modes, &data, &n) == 1 &&
        n <= sizeof modes) {
        memcpy(modes, data, n);
        n_modes = n;
    }
    ck_assert_int_eq(SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_early_data, &data, &n), 0);
    return SSL_CLIENT_HELLO_SUCCESS;
}

START_TEST(only_with_a_new_key_exchange)
{
    static const uint8_t dhe[] = {1, 1}; /* psk_dhe_ke, RFC 8446, 4.2.9 */

    resume_begin(TLS1_3_VERSION);
    SSL_CTX_set_client_hello_cb(resume_server, look_at_hello, NULL);
    SSL_CTX_set_max_early_data(resume_server, 16384);
    ck_assert(!resume_run());
    ck_assert(!has_psk && has_ticket);
    ck_assert(resume_run());
    ck_assert(has_psk);
    ck_assert_uint_eq(n_modes, sizeof dhe);
    ck_assert_mem_eq(modes, dhe, sizeof dhe);
    resume_options.params.session_key = (struct text){0};
    ck_assert(!resume_run());
    ck_assert(!has_psk && !has_ticket);
    resume_end();
}
END_TEST

/* ---- threads ---- */

#define THREADS 3
#define TURNS   30

static void *stress(void *arg)
{
    static const uint8_t ticket_keys[80];
    size_t *n_resumed = arg;

    for (int i = 0; i < TURNS; i++) {
        struct tls_info info;
        uint8_t buf[1];
        struct pair p;

        pair_init(&p, &resume_options);
        ck_assert(SSL_CTX_set_tlsext_ticket_keys(p.server_ctx, (void *)ticket_keys, 80));
        ck_assert_int_eq(pair_run(&p), TLS_DONE);
        pair_read(&p, buf, 1);
        tls_session_info(p.client, &info);
        *n_resumed += info.is_resumed;
        pair_deinit(&p);
    }
    return NULL;
}

/* Each its own server with the same keys; one cache. */
START_TEST(threads_share_sessions)
{
    size_t n_resumed[THREADS] = {0};
    pthread_t threads[THREADS];

    resume_begin(resume_versions[_i]);
    resume_options.server_ctx = NULL;
    for (size_t i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, stress, &n_resumed[i]), 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < THREADS; i++)
        ck_assert_uint_gt(n_resumed[i], TURNS / 2);
    resume_end();
}
END_TEST

static void add_tests(TCase *tcase)
{
    tcase_add_loop_test(tcase, again_and_again, 0, 2);
    tcase_add_loop_test(tcase, each_session_is_used_once, 0, 2);
    tcase_add_test(tcase, without_tickets);
    tcase_add_loop_test(tcase, says_the_same_as_the_first, 0, 2);
    tcase_add_loop_test(tcase, each_part_of_the_key, 0, sizeof parts / sizeof parts[0]);
    tcase_add_test(tcase, a_name_is_no_address);
    tcase_add_test(tcase, only_with_a_new_key_exchange);
    tcase_add_loop_test(tcase, threads_share_sessions, 0, 2);
}

int main(void)
{
    return pair_run_suite("tls-resumption", add_tests);
}
