/* The keys that leave a session, against records of OpenSSL's: what comes behind the handshake is
 * opened with them, and what is sealed with them is what the session itself would have sent. After
 * every kind of handshake, with nothing of what follows it lost in the session. */
#include <check.h>
#include <errno.h>
#include <openssl/pem.h>
#include <string.h>

#include "daemon/tls/internal.h"
#include "tests/lib/tls-wire.h"

/* The tickets of TLS 1.3: two, or one when the session is resumed. */
static void check_tickets(struct wire *w)
{
    static uint8_t out[KERNEL_RECORD_MAX];
    int n = SSL_session_reused(w->p.server) ? 1 : 2;

    for (int i = 0; i < n && w->rx.is_13; i++) {
        ck_assert_uint_gt(wire_receive(w, WIRE_HANDSHAKE, out), 4);
        ck_assert_uint_eq(out[0], SSL3_MT_NEWSESSION_TICKET);
    }
    wire_collect(w);
    ck_assert_uint_eq(w->n, 0);
}

/* What we seal is to the byte what the session would have sent. */
static void check_sending(struct wire *w, const void *data, size_t n)
{
    static uint8_t record[KERNEL_RECORD_MAX], received[TLS_RECORD_MAX];
    size_t size = kernel_seal(&w->tx, WIRE_DATA, data, n, record), n_shown;
    const uint8_t *shown;

    ck_assert_int_eq(pair_write(&w->p, data, n), n);
    n_shown = tls_session_output(w->p.client, &shown);
    ck_assert_uint_eq(n_shown, size);
    ck_assert_mem_eq(shown, record, size);
    tls_session_sent(w->p.client, n_shown);
    ck_assert_int_eq(BIO_write(SSL_get_rbio(w->p.server), record, (int)size), size);
    ck_assert_int_eq(SSL_read(w->p.server, received, sizeof received), n);
    ck_assert_mem_eq(received, data, n);
}

/* Keys or numbers that are off by one open nothing. */
static void check_others_fail(const struct wire *w)
{
    static uint8_t out[KERNEL_RECORD_MAX];
    struct kernel_direction others[] = {w->rx, w->rx, w->rx, w->rx};
    uint8_t type;
    size_t n;

    others[0].sequence++;
    others[1].sequence--;
    others[2].key[0] ^= 1;
    others[3].iv[0] ^= 1;
    ck_assert_uint_gt(w->n, 0);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        ck_assert_int_eq(kernel_open(&others[i], w->queue, w->n, out, &n, &type), -1);
}

static void check_end(struct wire *w)
{
    uint8_t record[256];
    size_t n = kernel_seal(&w->tx, WIRE_ALERT, "\1\0", 2, record);

    ck_assert_int_eq(BIO_write(SSL_get_rbio(w->p.server), record, (int)n), n);
    ck_assert_int_eq(SSL_read(w->p.server, record, sizeof record), 0);
    ck_assert_int_eq(SSL_get_shutdown(w->p.server), SSL_RECEIVED_SHUTDOWN);
    SSL_shutdown(w->p.server);
    wire_expect(w, WIRE_ALERT, "\1\0", 2);
    ck_assert_uint_eq(w->n, 0);
}

static void check_both_ways(struct wire *w)
{
    static const size_t sizes[] = {1, 2, 1000, 16383, 16384};
    static uint8_t data[TLS_RECORD_MAX];

    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7 + i / 256);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        ck_assert_int_eq(SSL_write(w->p.server, data, (int)sizes[i]), sizes[i]);
        wire_collect(w);
        check_others_fail(w);
        wire_expect(w, WIRE_DATA, data, sizes[i]);
        check_sending(w, data, sizes[i]);
    }
    check_end(w);
}

/* Nothing of what came is inside. */
static void check_empty(const struct wire *w)
{
    ck_assert_int_eq(SSL_pending(w->p.client->ssl), 0);
    ck_assert_int_eq(SSL_has_pending(w->p.client->ssl), 0);
    ck_assert_uint_eq(tls_session_unread(w->p.client), 0);
}

static void check_all(struct wire *w, enum tls_kernel_cipher cipher)
{
    bool is_early = w->is_early;

    wire_shake_hands(w);
    check_empty(w);
    wire_export(w, cipher);
    if (is_early)
        wire_expect(w, WIRE_DATA, "early", 5);
    check_tickets(w);
    check_both_ways(w);
}

START_TEST(full_handshake)
{
    struct pair_options options = wire_options_of(_i);
    struct wire w;

    wire_init(&w, &options);
    check_all(&w, _i);
    wire_deinit(&w);
}
END_TEST

/* However little of the wire the session gets to see at once. */
START_TEST(small_windows)
{
    static const size_t windows[] = {1, 2, 4, 5, 6, 7, 100, 1001};

    for (size_t i = 0; i < sizeof windows / sizeof windows[0]; i++) {
        struct pair_options options = wire_options_of(_i);
        struct wire w;

        wire_init(&w, &options);
        w.window = windows[i];
        w.is_early = _i >= TLS_KERNEL_13_AES_128_GCM;
        check_all(&w, _i);
        wire_deinit(&w);
    }
}
END_TEST

/* The first share is for X25519: in TLS 1.3 another group means a HelloRetryRequest. */
START_TEST(another_group)
{
    struct pair_options options = wire_options_of(_i);
    struct wire w;

    options.groups = "P-384";
    wire_init(&w, &options);
    check_all(&w, _i);
    ck_assert_int_eq(SSL_get_negotiated_group(w.p.server), NID_secp384r1);
    wire_deinit(&w);
}
END_TEST

/* The certificate has a name of `size` bytes. */
static struct tls_context *context_with_certificate(size_t size)
{
    char name[8192] = "DNS:";
    const struct certs_spec spec = {
        .common_name = "client", .purpose = "clientAuth", .names = name};
    const struct certs_pair *ca = certs_matrix_ca(pair_matrix);
    struct tls_settings settings = {0};
    BIO *bio = BIO_new(BIO_s_mem());
    struct certs_pair *own;
    struct tls_context *context;
    char *data;

    ck_assert_uint_lt(size, sizeof name - 4);
    memset(name + 4, 'x', size);
    own = certs_new(&spec, ca);
    ck_assert(PEM_write_bio_PrivateKey(bio, own->key, NULL, NULL, 0, NULL, NULL));
    ck_assert(PEM_write_bio_X509(bio, own->cert));
    settings.certificate.n = (size_t)BIO_get_mem_data(bio, &data);
    settings.certificate.data = data;
    context = pair_context_new(&ca, 1, settings);
    BIO_free(bio);
    certs_free(own);
    return context;
}

START_TEST(client_certificate)
{
    struct pair_options options = wire_options_of(_i);
    struct wire w;

    options.context = context_with_certificate(10);
    options.wants_client_certificate = true;
    wire_init(&w, &options);
    check_all(&w, _i);
    ck_assert_ptr_nonnull(SSL_get0_peer_certificate(w.p.server));
    wire_deinit(&w);
    tls_context_unref(options.context);
}
END_TEST

START_TEST(resumed)
{
    struct pair_options options = wire_options_of(_i);
    struct pair before;
    uint8_t buf[16];
    struct wire w;

    options.params.session_key = (struct text){"rule", 4};
    options.params.kernel_ciphers = 0; /* a relay */
    pair_init(&before, &options);
    ck_assert_int_eq(pair_run(&before), TLS_DONE);
    ck_assert_int_eq(pair_read(&before, buf, sizeof buf), -EAGAIN);
    options.server_ctx = before.server_ctx;
    options.params.kernel_ciphers = 1U << _i;
    wire_init(&w, &options);
    check_all(&w, _i);
    /* with TLS 1.2 the keys would follow from what the relay has */
    ck_assert_int_eq(SSL_session_reused(w.p.server), _i >= TLS_KERNEL_13_AES_128_GCM);
    wire_deinit(&w);
    pair_deinit(&before);
}
END_TEST

/* OpenSSL puts out its last flight in pieces of 4096 bytes: the last record, which has the nonce to
 * go on from in TLS 1.2, may lie in two of them. Returns how long the flight was. */
static size_t check_flight(size_t name_size)
{
    struct pair_options options = wire_options_of(TLS_KERNEL_12_AES_128_GCM);
    size_t n_flight;
    struct wire w;

    options.context = context_with_certificate(name_size);
    options.wants_client_certificate = true;
    wire_init(&w, &options);
    wire_drive_client(&w);
    wire_drive_server(&w);
    n_flight = BIO_number_written(SSL_get_rbio(w.p.server));
    wire_drive_client(&w);
    n_flight = BIO_number_written(SSL_get_rbio(w.p.server)) - n_flight;
    check_all(&w, TLS_KERNEL_12_AES_128_GCM);
    wire_deinit(&w);
    tls_context_unref(options.context);
    return n_flight;
}

START_TEST(finished_in_two_pieces)
{
    const size_t piece = 4096, finished = 45;
    size_t name_size = 2000 + piece - check_flight(2000);

    for (size_t n = 0; n < finished + 5; n += 5) { /* signatures differ by a few bytes */
        size_t n_flight = check_flight(name_size + n);

        ck_assert_uint_gt(n_flight, piece - 10);
        ck_assert_uint_lt(n_flight, piece + finished + 15);
    }
}
END_TEST

/* Data in the same segment as the server's Finished, which it sends before it has ours. */
START_TEST(early_data_of_the_server)
{
    struct pair_options options = wire_options_of(_i);
    struct wire w;

    wire_init(&w, &options);
    w.is_early = true;
    check_all(&w, _i);
    wire_deinit(&w);
}
END_TEST

/* Everything that follows in one segment with the server's last bytes of the handshake: it stays
 * outside, and opens with the keys or, given back, in the session. */
static void check_glued(enum tls_kernel_cipher cipher, bool is_exported)
{
    struct pair_options options = wire_options_of(cipher);
    bool is_13 = cipher >= TLS_KERNEL_13_AES_128_GCM;
    uint8_t buf[16];
    struct wire w;

    wire_init(&w, &options);
    w.is_early = is_13;
    wire_drive_client(&w);
    wire_drive_server(&w);
    if (!is_13) {
        wire_drive_client(&w);
        wire_drive_server(&w);
        ck_assert(SSL_is_init_finished(w.p.server));
        ck_assert_int_eq(SSL_write(w.p.server, "early", 5), 5);
        wire_collect(&w);
    }
    ck_assert(wire_drive_client(&w));
    ck_assert_int_eq(w.progress, TLS_DONE);
    ck_assert_uint_gt(w.n, 5);
    check_empty(&w);
    if (is_exported) {
        wire_export(&w, cipher);
        wire_expect(&w, WIRE_DATA, "early", 5);
    } else {
        pair_inject(&w.p, w.queue, w.n);
        ck_assert_uint_eq(tls_session_unread(w.p.client), w.n);
        ck_assert_int_eq(pair_read(&w.p, buf, sizeof buf), 5);
        ck_assert_mem_eq(buf, "early", 5);
        ck_assert_uint_eq(tls_session_unread(w.p.client), 0);
    }
    wire_deinit(&w);
}

START_TEST(glued)
{
    check_glued(_i, true);
    check_glued(_i, false);
}
END_TEST

static void add_tests(TCase *tcase)
{
    tcase_add_loop_test(tcase, full_handshake, 0, TLS_KERNEL_CIPHERS);
    tcase_add_loop_test(tcase, small_windows, 0, TLS_KERNEL_CIPHERS);
    tcase_add_loop_test(tcase, another_group, 0, TLS_KERNEL_CIPHERS);
    tcase_add_loop_test(tcase, client_certificate, 0, TLS_KERNEL_CIPHERS);
    tcase_add_loop_test(tcase, resumed, 0, TLS_KERNEL_CIPHERS);
    tcase_add_test(tcase, finished_in_two_pieces);
    tcase_add_loop_test(tcase, early_data_of_the_server, TLS_KERNEL_13_AES_128_GCM,
                        TLS_KERNEL_CIPHERS);
    tcase_add_loop_test(tcase, glued, 0, TLS_KERNEL_CIPHERS);
}

int main(void)
{
    return pair_run_suite("tls-export", add_tests);
}
