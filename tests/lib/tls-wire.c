#include "tests/lib/tls-wire.h"

#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS_MAX 100000
#define QUEUE_MAX  (256 * 1024)

struct pair_options wire_options_of(enum tls_kernel_cipher cipher)
{
    struct pair_options options = pair_options_of("server-ecdsa", kernel_kinds[cipher].version);

    options.ciphers = kernel_kinds[cipher].ciphers;
    options.suites = kernel_kinds[cipher].suites;
    options.params = (struct tls_params){.name = "localhost", .kernel_ciphers = 1U << cipher};
    return options;
}

void wire_init(struct wire *w, const struct pair_options *options)
{
    *w = (struct wire){.window = SIZE_MAX, .progress = TLS_WANT_INPUT};
    w->queue = malloc(QUEUE_MAX);
    ck_assert_ptr_nonnull(w->queue);
    pair_init(&w->p, options);
}

void wire_deinit(struct wire *w)
{
    pair_deinit(&w->p);
    free(w->queue);
}

size_t wire_collect(struct wire *w)
{
    int n = BIO_read(SSL_get_wbio(w->p.server), w->queue + w->n, (int)(QUEUE_MAX - w->n));

    if (n <= 0)
        return 0;
    w->n += (size_t)n;
    return (size_t)n;
}

void wire_drop(struct wire *w, size_t n)
{
    ck_assert_uint_le(n, w->n);
    memmove(w->queue, w->queue + n, w->n - n);
    w->n -= n;
}

static void speak_early(struct wire *w)
{
    uint8_t none[1];
    size_t n;

    if (SSL_read_early_data(w->p.server, none, sizeof none, &n) != SSL_READ_EARLY_DATA_FINISH)
        return;
    ck_assert(SSL_write_early_data(w->p.server, "early", 5, &n));
    w->is_early = false;
}

bool wire_drive_server(struct wire *w)
{
    if (!SSL_is_init_finished(w->p.server)) {
        if (w->is_early)
            speak_early(w);
        else
            SSL_do_handshake(w->p.server);
    }
    ERR_clear_error();
    return wire_collect(w) > 0;
}

bool wire_drive_client(struct wire *w)
{
    size_t shown = w->n < w->window ? w->n : w->window, n_used;

    if (w->progress != TLS_WANT_INPUT)
        return false;
    pair_inject(&w->p, w->queue, shown);
    w->progress = tls_session_handshake(w->p.client, &w->p.failure);
    ck_assert_int_ne(w->progress, TLS_FAILED);
    n_used = shown - tls_session_unread(w->p.client);
    wire_drop(w, n_used);
    tls_session_forget_unread(w->p.client);
    ck_assert_uint_eq(tls_session_unread(w->p.client), 0);
    return pair_move_to_server(&w->p) + n_used > 0;
}

void wire_shake_hands(struct wire *w)
{
    bool has_moved = true;

    for (int i = 0; has_moved; i++) {
        ck_assert_int_lt(i, ROUNDS_MAX);
        has_moved = wire_drive_client(w);
        has_moved |= wire_drive_server(w);
    }
    ck_assert_int_eq(w->progress, TLS_DONE);
    ck_assert(SSL_is_init_finished(w->p.server));
}

void wire_export(struct wire *w, enum tls_kernel_cipher cipher)
{
    struct tls_kernel_keys tx, rx;

    ck_assert_int_eq(tls_session_kernel_cipher(w->p.client), cipher);
    ck_assert_int_eq(tls_session_export(w->p.client, &tx, &rx), 0);
    kernel_set_keys(&w->tx, &tx);
    kernel_set_keys(&w->rx, &rx);
    ck_assert_int_eq(w->rx.is_13, kernel_kinds[cipher].version == TLS1_3_VERSION);
    ck_assert_int_eq(w->tx.is_13, w->rx.is_13);
    ck_assert_ptr_eq(w->tx.cipher, w->rx.cipher);
}

size_t wire_receive(struct wire *w, uint8_t type, uint8_t *out)
{
    uint8_t actual;
    size_t n;
    int r;

    wire_collect(w);
    r = kernel_open(&w->rx, w->queue, w->n, out, &n, &actual);
    ck_assert_int_gt(r, 0);
    ck_assert_uint_eq(actual, type);
    wire_drop(w, (size_t)r);
    return n;
}

void wire_expect(struct wire *w, uint8_t type, const void *data, size_t n)
{
    uint8_t out[KERNEL_RECORD_MAX];

    ck_assert_uint_eq(wire_receive(w, type, out), n);
    ck_assert_mem_eq(out, data, n);
}
