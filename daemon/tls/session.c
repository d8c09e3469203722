/* A session is an SSL between two queues (bio.c). It is in the handshake, then established, and may
 * fail in both; a failure is final, is kept, and is explained once (fault.c, verify.c).
 *
 * Each direction ends by itself: our close_notify stops writing only, the peer's stops reading
 * only.
 *
 * OpenSSL does post-handshake messages inside SSL_read(). While one is incomplete it refuses writes
 * and the close_notify; the first is told to the caller as -EAGAIN, the second is made up for in
 * the next read. */
#include "daemon/tls/tls.h"

#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/tls/bio.h"
#include "daemon/tls/internal.h"
#include "proto/cleanup.h"

/* What a record may add to its plaintext, generously: head, explicit nonce, tag, type, and the
 * answer to a KeyUpdate that goes out in front of it. */
#define RECORD_OVERHEAD_MAX 512

static void session_freep(struct tls_session **s)
{
    tls_session_free(*s);
}

int tls_session_new(struct tls_session **ret, struct tls_context *context,
                    const struct tls_params *params)
{
    CLEANUP(session_freep) struct tls_session *s = calloc(1, sizeof *s);
    int r;

    if (!s)
        return -ENOMEM;
    ERR_clear_error();
    s->context = tls_context_ref(context);
    s->ssl = SSL_new(params->kernel_ciphers ? context->kernel_ctx : context->ssl_ctx);
    r = s->ssl ? tls_bio_attach(s) : -ENOMEM;
    if (r >= 0) {
        SSL_set_app_data(s->ssl, s);
        SSL_set_connect_state(s->ssl);
        if (params->is_anonymous)
            SSL_certs_clear(s->ssl);
        r = tls_identity_apply(s, params);
        if (r >= 0)
            r = tls_ciphers_narrow(s, params);
        if (r >= 0)
            r = tls_export_begin(s, params->kernel_ciphers);
        if (r >= 0)
            tls_resumption_prepare(s, params);
    }
    ERR_clear_error();
    if (r < 0)
        return r;
    *ret = TAKE_PTR(s);
    return 0;
}

/* OpenSSL leaves the traffic secrets of TLS 1.3 where they were; but a connection that is the
 * kernel's leaves nothing of its keys with us. */
static void free_ssl(struct tls_session *s)
{
    if (s->is_exported)
        tls_memory_begin_wiping();
    SSL_free(s->ssl);
    if (s->is_exported)
        tls_memory_end_wiping();
}

struct tls_session *tls_session_free(struct tls_session *s)
{
    if (!s)
        return NULL;
    tls_export_end(s);
    free_ssl(s);
    X509_free(s->verify_cert);
    sk_X509_pop_free(s->verify_chain, X509_free);
    ERR_clear_error();
    tls_context_unref(s->context);
    tls_queue_deinit(&s->input);
    tls_queue_deinit(&s->sending);
    tls_queue_deinit(&s->pending);
    free(s->expected);
    free(s->alpn_wire);
    free(s);
    return NULL;
}

static void fail(struct tls_session *s)
{
    if (s->is_failed)
        return;
    s->is_failed = true;
    tls_resumption_forget(s);
    if (s->failure.code == ERROR_NONE) /* trust.c may have said it */
        tls_fault_explain(s, &s->failure);
    ERR_clear_error();
}

static enum tls_progress finish_handshake(struct tls_session *s)
{
    const char *problem = tls_identity_check(s);

    if (problem) {
        s->is_failed = true;
        tls_resumption_forget(s);
        failure_format(&s->failure, ERROR_TLS_PROTOCOL, 0, "%s", problem);
        return TLS_FAILED;
    }
    s->is_established = true;
    tls_resumption_finish(s);
    return TLS_DONE;
}

enum tls_progress tls_session_handshake(struct tls_session *s, struct failure *ret_failure)
{
    enum tls_progress progress = TLS_FAILED;
    int r;

    ERR_clear_error();
    if (s->is_established)
        return TLS_DONE;
    if (!s->is_failed) {
        r = SSL_do_handshake(s->ssl);
        if (r == 1)
            progress = finish_handshake(s);
        else if (SSL_get_error(s->ssl, r) == SSL_ERROR_WANT_READ)
            progress = TLS_WANT_INPUT;
        else
            fail(s);
        ERR_clear_error();
    }
    if (progress == TLS_FAILED)
        *ret_failure = s->failure;
    return progress;
}

void tls_session_handshake_eof(struct tls_session *s, struct failure *ret_failure)
{
    assert(!s->is_established);
    ERR_clear_error();
    if (!s->is_failed) {
        s->is_failed = true;
        tls_resumption_forget(s);
        tls_fault_explain_eof(s, &s->failure);
    }
    *ret_failure = s->failure;
}

int tls_session_feed(struct tls_session *s, const void *data, size_t n)
{
    int r;

    if (n > TLS_INPUT_MAX - tls_queue_length(&s->input))
        return -ENOBUFS;
    r = tls_queue_append(&s->input, data, n);
    if (r < 0)
        return r;
    if (s->n_first < sizeof s->first) {
        size_t room = sizeof s->first - s->n_first;

        if (n < room)
            room = n;
        if (room > 0)
            memcpy(s->first + s->n_first, data, room);
        s->n_first += room;
    }
    return 0;
}

size_t tls_session_unread(const struct tls_session *s)
{
    return tls_queue_length(&s->input);
}

void tls_session_forget_unread(struct tls_session *s)
{
    tls_queue_drop(&s->input, tls_queue_length(&s->input));
}

size_t tls_session_output(struct tls_session *s, const uint8_t **ret_data)
{
    if (tls_queue_length(&s->sending) == 0) {
        struct tls_queue empty = s->sending;

        s->sending = s->pending;
        s->pending = empty;
    }
    *ret_data = s->sending.data ? s->sending.data + s->sending.start : NULL;
    return tls_queue_length(&s->sending);
}

void tls_session_sent(struct tls_session *s, size_t n)
{
    tls_queue_drop(&s->sending, n);
}

/* SSL_shutdown() refuses in the middle of a post-handshake message of the peer. */
static void try_to_close(struct tls_session *s)
{
    if (!s->is_closing || s->is_close_sent || s->is_failed || SSL_in_init(s->ssl))
        return;
    ERR_clear_error();
    s->is_close_sent = SSL_shutdown(s->ssl) >= 0;
    ERR_clear_error();
}

typedef int read_fn(SSL *ssl, void *buf, size_t n, size_t *ret_n);

static ssize_t read_with(struct tls_session *s, read_fn *fn, void *buf, size_t n)
{
    size_t n_read = 0;
    int r;

    assert(s->is_established && n > 0);
    ERR_clear_error();
    if (s->is_failed)
        return -EPROTO;
    if (s->is_ended)
        return 0;
    tls_export_end(s);
    r = fn(s->ssl, buf, n, &n_read);
    if (r == 1)
        s->n_messages = 0;
    else
        switch (SSL_get_error(s->ssl, r)) {
        case SSL_ERROR_WANT_READ:
            break;
        case SSL_ERROR_ZERO_RETURN:
            s->is_ended = true;
            break;
        default: /* OpenSSL's numbers; all others are failures here */
            fail(s);
        }
    if (!s->is_failed && (s->is_renegotiating || s->is_flooding || s->is_overflowing))
        fail(s);
    ERR_clear_error();
    try_to_close(s);
    if (r == 1)
        return (ssize_t)n_read;
    if (s->is_failed)
        return -EPROTO;
    return s->is_ended ? 0 : -EAGAIN;
}

ssize_t tls_session_read(struct tls_session *s, void *buf, size_t n)
{
    return read_with(s, SSL_read_ex, buf, n);
}

ssize_t tls_session_peek(struct tls_session *s, void *buf, size_t n)
{
    return read_with(s, SSL_peek_ex, buf, n);
}

ssize_t tls_session_write(struct tls_session *s, const void *buf, size_t n)
{
    size_t queued = tls_queue_length(&s->sending) + tls_queue_length(&s->pending);
    size_t n_written = 0;
    ssize_t result = -EAGAIN;
    int r;

    assert(s->is_established && n <= TLS_RECORD_MAX);
    ERR_clear_error();
    if (s->is_failed)
        return -EPROTO;
    if (s->is_closing)
        return -EPIPE;
    if (n == 0)
        return 0;
    if (queued + n + RECORD_OVERHEAD_MAX > TLS_OUTPUT_MAX)
        return -EAGAIN;
    tls_export_end(s);
    r = SSL_write_ex(s->ssl, buf, n, &n_written);
    if (r == 1) {
        assert(n_written == n);
        result = (ssize_t)n;
    } else if (SSL_get_error(s->ssl, r) != SSL_ERROR_WANT_READ) {
        fail(s);
        result = -EPROTO;
    }
    ERR_clear_error();
    return result;
}

void tls_session_close(struct tls_session *s)
{
    assert(s->is_established);
    tls_export_end(s);
    s->is_closing = true;
    try_to_close(s);
}

const struct failure *tls_session_failure(const struct tls_session *s)
{
    return &s->failure;
}
