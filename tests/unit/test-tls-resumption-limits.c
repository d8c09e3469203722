/* Where there is no resumption: what is not kept, or not for long; servers that do not go along, or
 * send too much. */
#include <check.h>
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/lib/tls-resume.h"

/* ---- where nothing is kept ---- */

/* A section that asks about revocation wants it asked each time; where nothing is verified, a
 * session stands for nothing. */
START_TEST(where_nothing_is_kept)
{
    char path[] = "/tmp/fdial-test-XXXXXX";
    int fd = mkstemp(path);
    struct tls_settings settings[] = {
        {.pins = NULL},     {.is_resumption_off = true}, {.is_verify_off = true},
        {.crl_file = path}, {.needs_ocsp = true},
    };
    struct certs_crl_spec crl;

    resume_begin(TLS1_3_VERSION);
    crl = (struct certs_crl_spec){.issuer = resume_root};
    certs_write_crls(path, &crl, 1);
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        struct tls_session *s;

        resume_renew_context(settings[i]);
        ck_assert_int_eq(tls_session_new(&s, resume_context, &resume_options.params), 0);
        ck_assert_int_eq(s->is_resumable, i == 0);
        tls_session_free(s);
    }
    resume_renew_context(settings[1]);
    ck_assert(!resume_run());
    ck_assert_uint_eq(resume_count(), 0);
    ck_assert(!resume_run());
    unlink(path);
    close(fd);
    resume_end();
}
END_TEST

START_TEST(without_extended_master_secret)
{
    resume_begin(TLS1_2_VERSION);
    SSL_CTX_set_options(resume_server, SSL_OP_NO_EXTENDED_MASTER_SECRET);
    ck_assert(!resume_run());
    ck_assert_uint_eq(resume_count(), 0);
    ck_assert(!resume_run());
    resume_end();
}
END_TEST

START_TEST(a_retired_context_keeps_nothing)
{
    uint8_t buf[1];
    struct pair p;

    resume_begin(TLS1_3_VERSION);
    ck_assert(!resume_run());
    ck_assert_uint_gt(resume_count(), 0);
    resume_connect(&p);
    tls_context_retire(tls_context_ref(resume_context));
    ck_assert_uint_eq(resume_count(), 0);
    ck_assert_int_eq(pair_read(&p, buf, 1), -EAGAIN); /* and tickets with it */
    ck_assert_uint_eq(resume_count(), 0);
    pair_deinit(&p);
    ck_assert(!resume_run());
    resume_end();
}
END_TEST

/* ---- time ---- */

/* What the chain allows is what the session lives, whatever comes of it by resumption. */
START_TEST(not_longer_than_the_certificate)
{
    const struct certs_spec ca_spec = {
        .common_name = "short", .is_ca = true, .from_s = -1000, .until_s = 1000};
    const struct certs_spec leaf_spec = {.names = "DNS:localhost"};
    struct certs_pair *ca = certs_new(&ca_spec, NULL);
    struct certs_pair *leaf = certs_new(&leaf_spec, ca);
    struct certs_case own = {.chain = {leaf}, .n_chain = 1};
    int64_t least_s, until_s = 0;
    struct pair p;
    uint8_t buf[1];

    resume_begin(resume_versions[_i]);
    resume_root = ca;
    resume_renew_context((struct tls_settings){0});
    resume_options.server = &own;
    ck_assert(!resume_run());
    resume_connect(&p);
    least_s = p.client->trusted_until_s - tls_tickets_now_s();
    ck_assert_int_gt(least_s, 900);
    ck_assert_int_le(least_s, 1000);
    ck_assert(resume_is_resumed(&p));
    pair_read(&p, buf, 1);
    SSL_SESSION_free(tls_tickets_take(&resume_context->tickets, p.client->ticket_key, 0,
                                      tls_tickets_now_s(), &until_s));
    ck_assert_int_gt(until_s, 0);
    ck_assert_int_le(until_s, p.client->trusted_until_s);
    pair_deinit(&p);
    certs_free(ca);
    certs_free(leaf);
    resume_end();
}
END_TEST

/* Resumption does not make it younger. */
START_TEST(an_hour_after_the_full_handshake)
{
    int64_t now_s, until_s = 0;
    SSL_SESSION *session;
    struct pair p;
    uint8_t buf[1];

    resume_begin(resume_versions[_i]);
    resume_connect(&p);
    pair_read(&p, buf, 1);
    now_s = tls_tickets_now_s();
    ck_assert_int_le(p.client->trusted_until_s, now_s + TLS_RESUMPTION_AGE_MAX_S);
    ck_assert_int_gt(p.client->trusted_until_s, now_s + TLS_RESUMPTION_AGE_MAX_S - 60);
    session = tls_tickets_take(&resume_context->tickets, p.client->ticket_key, 0, now_s, &until_s);
    ck_assert_int_le(until_s, p.client->trusted_until_s);
    tls_tickets_forget(&resume_context->tickets, p.client->ticket_key);
    tls_tickets_add_consume(&resume_context->tickets, p.client->ticket_key, session, 1, now_s + 500,
                            now_s);
    pair_deinit(&p);

    resume_connect(&p);
    ck_assert(resume_is_resumed(&p));
    pair_read(&p, buf, 1);
    ck_assert_int_eq(p.client->trusted_until_s, now_s + 500);
    SSL_SESSION_free(
        tls_tickets_take(&resume_context->tickets, p.client->ticket_key, 0, now_s, &until_s));
    ck_assert_int_eq(until_s, now_s + 500);
    pair_deinit(&p);
    resume_end();
}
END_TEST

START_TEST(not_longer_than_the_ticket)
{
    int64_t until_s = 0, now_s;
    struct pair p;
    uint8_t buf[1];

    resume_begin(resume_versions[_i]);
    SSL_CTX_set_timeout(resume_server, 100);
    resume_connect(&p);
    pair_read(&p, buf, 1);
    now_s = tls_tickets_now_s();
    SSL_SESSION_free(
        tls_tickets_take(&resume_context->tickets, p.client->ticket_key, 0, now_s, &until_s));
    ck_assert_int_gt(until_s, 0);
    ck_assert_int_le(until_s, now_s + 100);
    pair_deinit(&p);
    resume_end();
}
END_TEST

/* ---- servers that do not go along ---- */

static void forget_ticket_keys(void)
{
    uint8_t keys[80] = {(uint8_t)rand()};

    ck_assert(SSL_CTX_set_tlsext_ticket_keys(resume_server, keys, sizeof keys));
}

START_TEST(a_refused_ticket_is_a_full_handshake)
{
    resume_begin(resume_versions[_i]);
    ck_assert(!resume_run());
    forget_ticket_keys();
    ck_assert_uint_gt(resume_count(), 0);
    ck_assert(!resume_run());
    ck_assert(resume_run());
    resume_end();
}
END_TEST

/* The server does not know our session; whom it shows now is looked at as ever. */
START_TEST(a_bad_certificate_instead)
{
    struct pair p;

    resume_begin(resume_versions[_i]);
    ck_assert(!resume_run());
    forget_ticket_keys();
    resume_options.server = certs_matrix_find(pair_matrix, "expired");
    resume_connect(&p);
    ck_assert(p.client->is_offering);
    ck_assert_int_eq(p.progress, TLS_FAILED);
    pair_check_failure(&p.failure, ERROR_CERT_EXPIRED, "expired");
    ck_assert_uint_eq(resume_count(), 0);
    pair_deinit(&p);
    resume_end();
}
END_TEST

/* With TLS 1.2 first, and 1.3 now, and the other way round. */
START_TEST(another_version_is_a_full_handshake)
{
    resume_begin(resume_versions[_i]);
    ck_assert(!resume_run());
    resume_options.version = resume_versions[!_i];
    SSL_CTX_set_min_proto_version(resume_server, 0);
    SSL_CTX_set_max_proto_version(resume_server, 0);
    ck_assert(!resume_run());
    resume_end();
}
END_TEST

START_TEST(a_failed_handshake_forgets)
{
    struct pair p;

    resume_begin(resume_versions[_i]);
    ck_assert(!resume_run());
    ck_assert_uint_gt(resume_count(), 0);
    resume_options.server_ctx = resume_server;
    pair_init(&p, &resume_options);
    p.limit = 3;
    pair_run(&p);
    tls_session_handshake_eof(p.client, &p.failure);
    pair_check_failure(&p.failure, ERROR_TLS_CLOSED, "peer closed");
    ck_assert_uint_eq(resume_count(), 0);
    pair_deinit(&p);
    ck_assert(!resume_run());
    resume_end();
}
END_TEST

/* RFC 8446, 6.2: those of a connection that ended with a fatal alert are discarded. */
START_TEST(a_failed_connection_forgets)
{
    uint8_t buf[16];
    struct pair p;

    resume_begin(resume_versions[_i]);
    ck_assert(!resume_run());
    resume_connect(&p);
    ck_assert_int_eq(pair_read(&p, buf, sizeof buf), -EAGAIN);
    ck_assert_uint_gt(resume_count(), 0);
    pair_inject(&p, "\x17\x03\x03\x00\x20junkjunkjunkjunkjunkjunkjunkjunk", 37);
    ck_assert_int_eq(pair_read(&p, buf, sizeof buf), -EPROTO);
    ck_assert_uint_eq(resume_count(), 0);
    pair_deinit(&p);
    resume_end();
}
END_TEST

/* With TLS 1.2 the cipher cannot change: what cannot be had any more is not asked for. */
START_TEST(a_cipher_that_is_not_offered)
{
    resume_begin(TLS1_2_VERSION);
    resume_options.ciphers = "ECDHE-ECDSA-CHACHA20-POLY1305";
    ck_assert(!resume_run());
    resume_options.ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256";
    SSL_CTX_set_cipher_list(resume_context->ssl_ctx, resume_options.ciphers);
    ck_assert(!resume_run());
    ck_assert(resume_run());
    resume_end();
}
END_TEST

/* Where the kernel is to go on, with TLS 1.2 no session is used, and none is kept. */
START_TEST(connections_of_the_kernel)
{
    resume_begin(TLS1_2_VERSION);
    ck_assert(!resume_run());
    resume_options.params.kernel_ciphers = 1U << TLS_KERNEL_12_AES_128_GCM;
    ck_assert(!resume_run());
    resume_options.params.kernel_ciphers = 0;
    ck_assert(resume_run()); /* what relays have got is still theirs */
    resume_end();
}
END_TEST

/* ---- servers that send too much ---- */

START_TEST(a_flood_of_tickets)
{
    uint8_t buf[16];
    struct pair p;

    resume_begin(TLS1_3_VERSION);
    resume_connect(&p);
    for (int i = 0; i < 200; i++) {
        ck_assert_int_eq(SSL_new_session_ticket(p.server), 1);
        ck_assert_int_eq(SSL_write(p.server, "x", 1), 1);
        pair_move_to_client(&p);
        ck_assert_int_eq(pair_read(&p, buf, sizeof buf), 1);
    }
    ck_assert_uint_eq(resume_count(), TLS_TICKETS_PER_SESSION);
    pair_deinit(&p);
    resume_end();
}
END_TEST

static int make_large(SSL *ssl, void *arg)
{
    static uint8_t data[TLS_TICKET_MAX];

    (void)arg;
    return SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), data, sizeof data);
}

START_TEST(a_large_ticket)
{
    resume_begin(resume_versions[_i]);
    SSL_CTX_set_session_ticket_cb(resume_server, make_large, NULL, NULL);
    ck_assert(!resume_run());
    ck_assert_uint_eq(resume_count(), 0);
    resume_end();
}
END_TEST

/* A server's certificates may be such that they are far larger in memory than on the wire. */
static const struct certs_pair *certificate_of_many(const char *what)
{
    static char names[20000];
    struct certs_spec spec = {.common_name = "many", .names = names};
    size_t n = (size_t)snprintf(names, sizeof names, "DNS:localhost");

    while (n < sizeof names - 64)
        n += (size_t)snprintf(names + n, sizeof names - n, ",%s", what);
    return certs_new(&spec, resume_root);
}

/* Each of another key, and from a handshake of its own. */
static void fill(char first, char last)
{
    for (char key = first; key <= last; key++) {
        resume_options.params.session_key = (struct text){&key, 1};
        ck_assert(!resume_run());
    }
}

/* With sanitizers, and under valgrind, the C library knows nothing of what is used. */
START_TEST(what_is_kept_is_counted)
{
    static const char *const names[] = {"DNS:a", "IP:1.2.3.4", "DNS:localhost.localdomain"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct certs_case server = {.name = "many", .error = "OK", .n_chain = 1};
        size_t before, counted, used;

        resume_begin(resume_versions[_i]);
        SSL_CTX_set_session_cache_mode(resume_server, SSL_SESS_CACHE_OFF);
        server.chain[0] = certificate_of_many(names[i]);
        resume_options.server = &server;
        fill('a', 'a');
        before = mallinfo2().uordblks;
        counted = resume_context->tickets.bytes;
        fill('b', 'k');
        counted = resume_context->tickets.bytes - counted;
        used = mallinfo2().uordblks - before;
        ck_assert_msg(used <= counted + counted / 2, "%s: %zu bytes, counted as %zu", names[i],
                      used, counted);
        certs_free((struct certs_pair *)server.chain[0]);
        resume_end();
    }
}
END_TEST

static void add_tests(TCase *tcase)
{
    tcase_add_test(tcase, where_nothing_is_kept);
    tcase_add_test(tcase, without_extended_master_secret);
    tcase_add_test(tcase, a_retired_context_keeps_nothing);
    tcase_add_loop_test(tcase, not_longer_than_the_certificate, 0, 2);
    tcase_add_loop_test(tcase, an_hour_after_the_full_handshake, 0, 2);
    tcase_add_loop_test(tcase, not_longer_than_the_ticket, 0, 2);
    tcase_add_loop_test(tcase, a_refused_ticket_is_a_full_handshake, 0, 2);
    tcase_add_loop_test(tcase, a_bad_certificate_instead, 0, 2);
    tcase_add_loop_test(tcase, another_version_is_a_full_handshake, 0, 2);
    tcase_add_loop_test(tcase, a_failed_handshake_forgets, 0, 2);
    tcase_add_loop_test(tcase, a_failed_connection_forgets, 0, 2);
    tcase_add_test(tcase, a_cipher_that_is_not_offered);
    tcase_add_test(tcase, connections_of_the_kernel);
    tcase_add_test(tcase, a_flood_of_tickets);
    tcase_add_loop_test(tcase, a_large_ticket, 0, 2);
    tcase_add_loop_test(tcase, what_is_kept_is_counted, 0, 2);
}

int main(void)
{
    return pair_run_suite("tls-resumption-limits", add_tests);
}
