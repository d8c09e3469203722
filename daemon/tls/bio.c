/* One BIO a session: reads come from `input`, writes go behind what is to be sent.
 *
 * It is also where a peer's excess ends. SSL_read() works on as long as there is input, and answers
 * KeyUpdate and HelloRequest by itself; the message callback counts these, and once the session is
 * marked, the BIO fails the next read or write, which ends SSL_read() in the middle of the input.
 */
#include "daemon/tls/bio.h"

#include <errno.h>
#include <openssl/bio.h>
#include <string.h>

#include "daemon/tls/internal.h"

static int bio_create(BIO *bio)
{
    BIO_set_init(bio, 1);
    return 1;
}

static bool is_excessive(const struct tls_session *s)
{
    return s->is_renegotiating || s->is_flooding || s->is_overflowing;
}

static int bio_read(BIO *bio, char *buf, int n)
{
    struct tls_session *s = BIO_get_data(bio);
    size_t length = tls_queue_length(&s->input);

    BIO_clear_retry_flags(bio);
    if (n <= 0 || is_excessive(s))
        return -1;
    if (length == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    if (length > (size_t)n)
        length = (size_t)n;
    memcpy(buf, s->input.data + s->input.start, length);
    tls_queue_drop(&s->input, length);
    return (int)length;
}

static int bio_write(BIO *bio, const char *data, int n)
{
    struct tls_session *s = BIO_get_data(bio);
    size_t queued = tls_queue_length(&s->sending) + tls_queue_length(&s->pending);

    BIO_clear_retry_flags(bio);
    if (n < 0)
        return -1;
    if (queued + (size_t)n > TLS_OUTPUT_MAX) {
        s->is_overflowing = true;
        return -1;
    }
    if (tls_queue_append(&s->pending, data, (size_t)n) < 0)
        return -1;
    tls_export_watch_output(s, data, (size_t)n);
    return n;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)bio, (void)number, (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

BIO_METHOD *tls_bio_method_new(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "session");

    if (!method)
        return NULL;
    if (!BIO_meth_set_create(method, bio_create) || !BIO_meth_set_read(method, bio_read) ||
        !BIO_meth_set_write(method, bio_write) || !BIO_meth_set_ctrl(method, bio_ctrl)) {
        BIO_meth_free(method);
        return NULL;
    }
    return method;
}

/* Called by OpenSSL for each message it has read or written. */
static void watch_message(int is_write, int version, int type, const void *data, size_t n, SSL *ssl,
                          void *arg)
{
    struct tls_session *s = SSL_get_app_data(ssl);
    const uint8_t *message = data;

    (void)version, (void)arg;
    if (is_write || type != SSL3_RT_HANDSHAKE || n < 4)
        return;
    if (message[0] == SSL3_MT_SERVER_HELLO && n >= 6)
        s->server_version = (uint16_t)(message[4] << 8 | message[5]);
    if (message[0] == SSL3_MT_CERTIFICATE_REQUEST)
        s->is_certificate_wanted = true;
    if (!s->is_established)
        return;
    if (message[0] == SSL3_MT_HELLO_REQUEST)
        s->is_renegotiating = true;
    else if (++s->n_messages > TLS_MESSAGES_MAX)
        s->is_flooding = true;
}

void tls_bio_watch(SSL_CTX *ctx)
{
    SSL_CTX_set_msg_callback(ctx, watch_message);
}

int tls_bio_attach(struct tls_session *s)
{
    BIO *bio = BIO_new(s->context->bio_method);

    if (!bio)
        return -ENOMEM;
    BIO_set_data(bio, s);
    SSL_set_bio(s->ssl, bio, bio); /* takes it, once for both directions */
    return 0;
}
