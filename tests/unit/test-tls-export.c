/* The keys that leave a session, against records of OpenSSL's: what comes behind the handshake is
 * opened with them, and what is sealed with them is what the session itself would have sent.
 *
 * Bytes wait in a queue like a socket's, of which the session gets to see some and takes what it
 * needs: so nothing behind the handshake may be lost in it. */
#include <check.h>
#include <errno.h>
#include <openssl/err.h>
#include <string.h>

#include "tests/lib/tls-kernel.h"
#include "tests/lib/tls-pair.h"

#define ALL_CIPHERS ((1U << TLS_KERNEL_CIPHERS) - 1)
#define ROUNDS_MAX  100000
#define QUEUE_MAX   (256 * 1024)

#define HANDSHAKE 22
#define ALERT     21
#define DATA      23

static const struct {
    const char *ciphers;
    const char *suites;
    int version;
    uint32_t size;
} kinds[TLS_KERNEL_CIPHERS] = {
    [TLS_KERNEL_12_AES_128_GCM] = {"ECDHE-ECDSA-AES128-GCM-SHA256:@SECLEVEL=0", NULL,
                                   TLS1_2_VERSION, 40},
    [TLS_KERNEL_12_AES_256_GCM] = {"ECDHE-ECDSA-AES256-GCM-SHA384:@SECLEVEL=0", NULL,
                                   TLS1_2_VERSION, 56},
    [TLS_KERNEL_12_CHACHA20_POLY1305] = {"ECDHE-ECDSA-CHACHA20-POLY1305:@SECLEVEL=0", NULL,
                                         TLS1_2_VERSION, 56},
    [TLS_KERNEL_13_AES_128_GCM] = {NULL, "TLS_AES_128_GCM_SHA256", TLS1_3_VERSION, 40},
    [TLS_KERNEL_13_AES_256_GCM] = {NULL, "TLS_AES_256_GCM_SHA384", TLS1_3_VERSION, 56},
    [TLS_KERNEL_13_CHACHA20_POLY1305] = {NULL, "TLS_CHACHA20_POLY1305_SHA256", TLS1_3_VERSION, 56},
};

struct wire {
    struct pair p;
    size_t window; /* how much of the queue the session sees at once */
    uint8_t *queue;
    size_t n;
    bool is_early; /* the server sends data behind its Finished, before ours */
    struct kernel_direction tx, rx;
};

static struct pair_options options_of(enum tls_kernel_cipher cipher)
{
    struct pair_options options = pair_options_of("server-ecdsa", kinds[cipher].version);

    options.ciphers = kinds[cipher].ciphers;
    options.suites = kinds[cipher].suites;
    options.params = (struct tls_params){.name = "localhost", .kernel_ciphers = 1U << cipher};
    return options;
}

static void wire_init(struct wire *w, const struct pair_options *options)
{
    *w = (struct wire){.window = SIZE_MAX};
    w->queue = malloc(QUEUE_MAX);
    ck_assert_ptr_nonnull(w->queue);
    pair_init(&w->p, options);
}

static void wire_deinit(struct wire *w)
{
    pair_deinit(&w->p);
    free(w->queue);
}

static size_t wire_collect(struct wire *w)
{
    int n = BIO_read(SSL_get_wbio(w->p.server), w->queue + w->n, (int)(QUEUE_MAX - w->n));

    if (n <= 0)
        return 0;
    w->n += (size_t)n;
    return (size_t)n;
}

static void wire_drop(struct wire *w, size_t n)
{
    ck_assert_uint_le(n, w->n);
    memmove(w->queue, w->queue + n, w->n - n);
    w->n -= n;
}

static void drive_server(struct wire *w)
{
    size_t n;

    if (SSL_is_init_finished(w->p.server))
        return;
    if (w->is_early) {
        uint8_t none[1];

        if (SSL_read_early_data(w->p.server, none, sizeof none, &n) == SSL_READ_EARLY_DATA_FINISH) {
            ck_assert(SSL_write_early_data(w->p.server, "early", 5, &n));
            w->is_early = false;
        }
    } else {
        SSL_do_handshake(w->p.server);
    }
    ERR_clear_error();
}

/* Shows the session the front of the queue and takes from it what the session used. */
static enum tls_progress drive_client(struct wire *w)
{
    size_t shown = w->n < w->window ? w->n : w->window;
    enum tls_progress progress;

    pair_inject(&w->p, w->queue, shown);
    progress = tls_session_handshake(w->p.client, &w->p.failure);
    wire_drop(w, shown - tls_session_unread(w->p.client));
    tls_session_forget_unread(w->p.client);
    ck_assert_uint_eq(tls_session_unread(w->p.client), 0);
    ck_assert_int_ne(progress, TLS_FAILED);
    return progress;
}

/* Until nothing moves. */
static void wire_shake_hands(struct wire *w)
{
    enum tls_progress progress = TLS_WANT_INPUT;
    size_t n_moved = 1;

    for (int i = 0; n_moved > 0; i++) {
        size_t before = w->n;

        ck_assert_int_lt(i, ROUNDS_MAX);
        if (progress == TLS_WANT_INPUT) {
            progress = drive_client(w);
            /* A session that sees one byte at a time still sees the next. */
            n_moved = before - w->n;
        } else {
            n_moved = 0;
        }
        n_moved += pair_move_to_server(&w->p);
        drive_server(w);
        n_moved += wire_collect(w);
    }
    ck_assert_int_eq(progress, TLS_DONE);
    ck_assert(SSL_is_init_finished(w->p.server));
}

static void wire_export(struct wire *w, enum tls_kernel_cipher cipher)
{
    struct tls_kernel_keys tx, rx;

    ck_assert_int_eq(tls_session_kernel_cipher(w->p.client), cipher);
    ck_assert_int_eq(tls_session_export(w->p.client, &tx, &rx), 0);
    ck_assert_uint_eq(tx.size, kinds[cipher].size);
    ck_assert_uint_eq(rx.size, kinds[cipher].size);
    kernel_set_keys(&w->tx, &tx);
    kernel_set_keys(&w->rx, &rx);
    ck_assert_int_eq(w->rx.is_13, kinds[cipher].version == TLS1_3_VERSION);
}

/* The next record must be of this type. Returns how much it has. */
static size_t wire_receive(struct wire *w, uint8_t expected_type, uint8_t *out)
{
    uint8_t type;
    size_t n;
    int r;

    wire_collect(w);
    r = kernel_open(&w->rx, w->queue, w->n, out, &n, &type);
    ck_assert_int_gt(r, 0);
    ck_assert_uint_eq(type, expected_type);
    wire_drop(w, (size_t)r);
    return n;
}

static void check_data(struct wire *w, const void *data, size_t n)
{
    static uint8_t out[KERNEL_RECORD_MAX];

    ck_assert_uint_eq(wire_receive(w, DATA, out), n);
    ck_assert_mem_eq(out, data, n);
}

/* The tickets of TLS 1.3. */
static void check_tickets(struct wire *w, int n)
{
    static uint8_t out[KERNEL_RECORD_MAX];

    for (int i = 0; i < n && w->rx.is_13; i++) {
        ck_assert_uint_gt(wire_receive(w, HANDSHAKE, out), 4);
        ck_assert_uint_eq(out[0], SSL3_MT_NEWSESSION_TICKET);
    }
}

/* What we seal is to the byte what the session would have sent. */
static void check_sending(struct wire *w, const void *data, size_t n)
{
    static uint8_t record[KERNEL_RECORD_MAX], received[TLS_RECORD_MAX];
    size_t size = kernel_seal(&w->tx, DATA, data, n, record), n_shown;
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

static void check_both_ways(struct wire *w)
{
    static const size_t sizes[] = {1, 2, 1000, 16383, 16384};
    static uint8_t data[TLS_RECORD_MAX];
    uint8_t record[KERNEL_RECORD_MAX];
    size_t n;

    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7 + i / 256);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        ck_assert_int_eq(SSL_write(w->p.server, data, (int)sizes[i]), sizes[i]);
        wire_collect(w);
        check_others_fail(w);
        check_data(w, data, sizes[i]);
        check_sending(w, data, sizes[i]);
    }
    n = kernel_seal(&w->tx, ALERT, "\1\0", 2, record);
    ck_assert_int_eq(BIO_write(SSL_get_rbio(w->p.server), record, (int)n), n);
    ck_assert_int_eq(SSL_read(w->p.server, record, sizeof record), 0);
    ck_assert_int_eq(SSL_get_shutdown(w->p.server), SSL_RECEIVED_SHUTDOWN);
    SSL_shutdown(w->p.server);
    ck_assert_uint_eq(wire_receive(w, ALERT, record), 2);
    ck_assert_mem_eq(record, "\1\0", 2);
    ck_assert_uint_eq(w->n, 0);
}

static void check_all(const struct pair_options *options, enum tls_kernel_cipher cipher)
{
    struct wire w;

    wire_init(&w, options);
    wire_shake_hands(&w);
    wire_export(&w, cipher);
    check_tickets(&w, 2);
    ck_assert_uint_eq(w.n, 0);
    check_both_ways(&w);
    wire_deinit(&w);
}

START_TEST(full_handshake)
{
    struct pair_options options = options_of(_i);

    check_all(&options, _i);
}
END_TEST

static void add_tests(TCase *tcase)
{
    tcase_add_loop_test(tcase, full_handshake, 0, TLS_KERNEL_CIPHERS);
}

int main(void)
{
    return pair_run_suite("tls-export", add_tests);
}
