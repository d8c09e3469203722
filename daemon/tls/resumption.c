/* What a session takes from its context's cache before the handshake, and gives to it afterwards.
 *
 * OpenSSL does not look at the certificate again when a session is resumed. So what let it in the
 * first time has to hold still: the key stands for who asked for what and as whom, the cache
 * belongs to the context, which does not change, and all that comes from one full handshake, by
 * whatever number of resumptions, ends TLS_RESUMPTION_AGE_MAX_S after it, or when a certificate of
 * its chain expires. Where a section asks about revocation, or verifies nothing, nothing is kept.
 *
 * With TLS 1.3 a server sends tickets after the handshake, and they are kept as they are read; with
 * TLS 1.2 the session is there at the end of the handshake, and comes back after each use. Kept are
 * copies: the original is still written to by its own connection. */
#include <errno.h>
#include <openssl/asn1.h>
#include <openssl/err.h>
#include <string.h>

#include "daemon/tls/hash.h"
#include "daemon/tls/internal.h"

/* The caller's key, a byte for the kind of peer, its name, and the protocols. */
#define PIECES_MAX (3 + MESSAGE_ALPN_MAX)

/* Memory of a session besides its ticket and its certificates. Parsed, these take memory for each
 * value in them, however short: a server can send names of three bytes that take a hundred.
 * Measured with OpenSSL 3.0; the bounds need no more than the right order. */
#define SESSION_BYTES 1280
#define VALUE_BYTES   96
#define ENCODED_TWICE 2  /* it keeps the encoding too */
#define DEPTH_MAX     12 /* of a value in an extension of a certificate */

struct pieces {
    struct text texts[2 * PIECES_MAX]; /* each behind its length: no two lists give one key */
    uint32_t lengths[PIECES_MAX];
    size_t n;
};

static void put(struct pieces *p, const void *data, size_t n)
{
    p->lengths[p->n] = (uint32_t)n;
    p->texts[2 * p->n] = (struct text){(const char *)&p->lengths[p->n], sizeof p->lengths[0]};
    p->texts[2 * p->n + 1] = (struct text){data, n};
    p->n++;
}

static bool make_key(const struct tls_params *params, uint8_t ret[TLS_TICKETS_KEY_SIZE])
{
    uint8_t kind = (uint8_t)((params->name ? 2 : 0) | params->is_anonymous);
    struct pieces p = {.n = 0};

    _Static_assert(HASH_SIZE_MAX == TLS_TICKETS_KEY_SIZE, "a key is a SHA-256");
    put(&p, params->session_key.data, params->session_key.n);
    put(&p, &kind, sizeof kind);
    if (params->name)
        put(&p, params->name, strlen(params->name));
    else
        put(&p, params->address, params->address_size);
    for (size_t i = 0; i < params->n_alpn; i++)
        put(&p, params->alpn[i].data, params->alpn[i].n);
    return tls_hash(HASH_SHA256, p.texts, 2 * p.n, ret) == TLS_TICKETS_KEY_SIZE;
}

/* With TLS 1.2 the cipher stays that of the first handshake, and a server may end the handshake
 * when it is not among those offered. */
static bool can_be_offered(const struct tls_session *s, const SSL_SESSION *session)
{
    const SSL_CIPHER *cipher = SSL_SESSION_get0_cipher(session);
    const STACK_OF(SSL_CIPHER) *ciphers = SSL_get_ciphers(s->ssl);
    bool is_offered = false;

    if (SSL_SESSION_get_protocol_version(session) != TLS1_2_VERSION)
        return true;
    for (int i = 0; !is_offered && i < sk_SSL_CIPHER_num(ciphers); i++)
        is_offered = sk_SSL_CIPHER_value(ciphers, i) == cipher;
    return is_offered;
}

void tls_resumption_prepare(struct tls_session *s, const struct tls_params *params)
{
    int64_t now_s = tls_tickets_now_s();
    SSL_SESSION *session;

    if (params->session_key.n == 0 || !s->context->is_resuming || !make_key(params, s->ticket_key))
        return;
    s->is_resumable = true;
    SSL_clear_options(s->ssl, SSL_OP_NO_TICKET);
    /* With TLS 1.2 the secret that the keys follow from stays, too, and relays may have it still:
     * it is not what the keys of a connection that is to be the kernel's are made of. */
    session = tls_tickets_take(&s->context->tickets, s->ticket_key, s->export ? TLS1_3_VERSION : 0,
                               now_s, &s->trusted_until_s);
    if (session && can_be_offered(s, session))
        s->is_offering = SSL_set_session(s->ssl, session) == 1;
    SSL_SESSION_free(session);
}

/* Seconds until the first certificate expires of those by which the peer was trusted. */
static int64_t measure_trust(const struct tls_session *s)
{
    const STACK_OF(X509) *chain = SSL_get0_verified_chain(s->ssl);
    int64_t least_s = chain ? TLS_RESUMPTION_AGE_MAX_S : 0;

    for (int i = 0; i < sk_X509_num(chain); i++) {
        int days, seconds;

        if (!ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(sk_X509_value(chain, i))))
            return 0;
        if (days * INT64_C(86400) + seconds < least_s)
            least_s = days * INT64_C(86400) + seconds;
    }
    return least_s;
}

/* Values within values, and in the strings that extensions are. */
static size_t count_values(const uint8_t *data, size_t n, unsigned depth)
{
    const uint8_t *end = data + n;
    size_t count = 0;

    while (data < end) {
        int tag, class, r;
        long length;

        r = ASN1_get_object(&data, &length, &tag, &class, end - data);
        if (r & ~V_ASN1_CONSTRUCTED)
            break; /* no DER */
        count++;
        if (depth > 1 && (r == V_ASN1_CONSTRUCTED || tag == V_ASN1_OCTET_STRING))
            count += count_values(data, (size_t)length, depth - 1);
        data += length;
    }
    return count;
}

static size_t measure_certificate(const X509 *cert)
{
    uint8_t *der = NULL;
    int n = i2d_X509(cert, &der);
    size_t n_values;

    if (n <= 0)
        return TLS_TICKETS_KEY_BYTES_MAX; /* too much, then */
    ERR_set_mark();                       /* we are within a call of OpenSSL's */
    n_values = count_values(der, (size_t)n, DEPTH_MAX);
    ERR_pop_to_mark();
    OPENSSL_free(der);
    return (size_t)n * ENCODED_TWICE + n_values * VALUE_BYTES;
}

static size_t measure_memory(const SSL_SESSION *session, const STACK_OF(X509) * chain)
{
    const unsigned char *ticket;
    size_t n;

    SSL_SESSION_get0_ticket(session, &ticket, &n);
    n += SESSION_BYTES;
    for (int i = 0; i < sk_X509_num(chain); i++)
        n += measure_certificate(sk_X509_value(chain, i));
    return n;
}

/* By RFC 8446, 4.6.1 a lifetime of 0 means at once; by RFC 5077, 3.3 that nothing is said. */
static int64_t limit_by_ticket(const SSL_SESSION *session, int64_t now_s, int64_t until_s)
{
    int64_t hint_s = (int64_t)SSL_SESSION_get_ticket_lifetime_hint(session);

    if (hint_s == 0 && SSL_SESSION_get_protocol_version(session) == TLS1_2_VERSION)
        return until_s;
    return now_s + hint_s < until_s ? now_s + hint_s : until_s;
}

static void keep(struct tls_session *s, const SSL_SESSION *session)
{
    int64_t now_s = tls_tickets_now_s();
    int64_t until_s = limit_by_ticket(session, now_s, s->trusted_until_s);
    const unsigned char *ticket;
    SSL_SESSION *copy;
    size_t n;

    SSL_SESSION_get0_ticket(session, &ticket, &n);
    if (until_s <= now_s || n > TLS_TICKET_MAX || !SSL_SESSION_is_resumable(session))
        return;
    copy = SSL_SESSION_dup(session);
    if (copy)
        tls_tickets_add_consume(&s->context->tickets, s->ticket_key, copy,
                                measure_memory(copy, SSL_get_peer_cert_chain(s->ssl)), until_s,
                                now_s);
}

/* The handshake of TLS 1.2 is not over when this is called, and the peer not yet accepted. */
static int take_ticket(SSL *ssl, SSL_SESSION *session)
{
    struct tls_session *s = SSL_get_app_data(ssl);

    if (s->is_resumable && s->is_established && s->n_tickets < TLS_TICKETS_PER_SESSION) {
        s->n_tickets++;
        keep(s, session);
    }
    return 0;
}

void tls_resumption_watch(SSL_CTX *ctx)
{
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, take_ticket);
}

void tls_resumption_finish(struct tls_session *s)
{
    if (!s->is_resumable)
        return;
    if (!SSL_session_reused(s->ssl))
        s->trusted_until_s = tls_tickets_now_s() + measure_trust(s);
    /* Without the extended master secret somebody in the middle could have made it (RFC 7627). The
     * keys themselves follow from it: of a connection that is to be the kernel's none is kept. */
    if (SSL_version(s->ssl) == TLS1_2_VERSION && SSL_get_extms_support(s->ssl) == 1 && !s->export)
        keep(s, SSL_get0_session(s->ssl));
}

void tls_resumption_forget(struct tls_session *s)
{
    if (s->is_resumable)
        tls_tickets_forget(&s->context->tickets, s->ticket_key);
}
