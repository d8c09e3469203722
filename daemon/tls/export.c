/* The keys of a session, for the kernel to go on with.
 *
 * TLS 1.3: OpenSSL tells the traffic secrets to its key log only, as text; the session keeps the
 * two that application data starts with, and the keys are derived from them (RFC 8446, 7.3). TLS
 * 1.2: they are cut from the key block again, which the master secret gives (RFC 5246, 6.3).
 *
 * The record numbers are right as long as the handshake was the last thing that the session did: in
 * TLS 1.3 they start again behind it, in TLS 1.2 each side's Finished was number 0. With AES-GCM in
 * TLS 1.2 records carry a part of their nonce, which OpenSSL starts at random and counts; so the
 * last record that went out, our Finished, says where to go on.
 *
 * Whatever is done with the session afterwards ends the possibility, and the secrets are wiped. */
#include <assert.h>
#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/kdf.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/tls/internal.h"
#include "daemon/tls/kernel.h"
#include "proto/cleanup.h"

#define SECRET_MAX 48 /* as long as the cipher's hash, SHA-384 at most */

#define NONCE_SIZE 8 /* the explicit part */
/* Head, nonce, the message, tag. */
#define FINISHED_SIZE (SSL3_RT_HEADER_LENGTH + NONCE_SIZE + SSL3_HM_HEADER_LENGTH + 12 + 16)

struct secret {
    uint8_t data[SECRET_MAX];
    size_t n;
};

struct tls_export {
    unsigned kernel_ciphers;
    struct secret client; /* n 0: none */
    struct secret server;
    uint8_t tail[FINISHED_SIZE]; /* of what was sent */
};

struct key_block {
    uint8_t client_key[TLS_KERNEL_KEY_MAX], server_key[TLS_KERNEL_KEY_MAX];
    uint8_t client_iv[TLS_KERNEL_IV_SIZE], server_iv[TLS_KERNEL_IV_SIZE];
};

int tls_export_begin(struct tls_session *s, unsigned kernel_ciphers)
{
    if (kernel_ciphers == 0)
        return 0;
    s->export = calloc(1, sizeof *s->export);
    if (!s->export)
        return -ENOMEM;
    s->export->kernel_ciphers = kernel_ciphers;
    return 0;
}

void tls_export_end(struct tls_session *s)
{
    if (!s->export)
        return;
    explicit_bzero(s->export, sizeof *s->export);
    free(s->export);
    s->export = NULL;
}

void tls_export_watch_output(struct tls_session *s, const void *data, size_t n)
{
    uint8_t *tail = s->export ? s->export->tail : NULL;

    if (!tail)
        return;
    if (n >= FINISHED_SIZE) {
        memcpy(tail, (const uint8_t *)data + n - FINISHED_SIZE, FINISHED_SIZE);
    } else if (n > 0) {
        memmove(tail, tail + n, FINISHED_SIZE - n);
        memcpy(tail + FINISHED_SIZE - n, data, n);
    }
}

static unsigned nibble(char c)
{
    return (unsigned)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10) & 0xf;
}

/* "LABEL RANDOM SECRET", the latter two in hexadecimal digits. */
static void keep_secret(struct secret *secret, const char *line)
{
    const char *digits = strrchr(line, ' ') + 1;
    size_t n = strlen(digits) / 2;

    assert(n <= SECRET_MAX);
    for (size_t i = 0; i < n; i++)
        secret->data[i] = (uint8_t)(nibble(digits[2 * i]) << 4 | nibble(digits[2 * i + 1]));
    secret->n = n;
}

static void watch_key_log(const SSL *ssl, const char *line)
{
    static const char client[] = "CLIENT_TRAFFIC_SECRET_0 ";
    static const char server[] = "SERVER_TRAFFIC_SECRET_0 ";
    const struct tls_session *s = SSL_get_app_data(ssl);

    if (!s->export)
        return;
    if (strncmp(line, client, sizeof client - 1) == 0)
        keep_secret(&s->export->client, line);
    else if (strncmp(line, server, sizeof server - 1) == 0)
        keep_secret(&s->export->server, line);
}

void tls_export_watch(SSL_CTX *ctx)
{
    SSL_CTX_set_keylog_callback(ctx, watch_key_log);
}

static void kdf_freep(EVP_KDF **kdf)
{
    EVP_KDF_free(*kdf);
}

static void kdf_ctx_freep(EVP_KDF_CTX **ctx)
{
    EVP_KDF_CTX_free(*ctx);
}

static const char *digest_of(const SSL *ssl)
{
    return EVP_MD_get0_name(SSL_CIPHER_get_handshake_digest(SSL_get_current_cipher(ssl)));
}

static OSSL_PARAM text_param(const char *name, const char *text)
{
    return OSSL_PARAM_construct_utf8_string(name, (char *)text, 0);
}

static OSSL_PARAM bytes_param(const char *name, const void *data, size_t n)
{
    return OSSL_PARAM_construct_octet_string(name, (void *)data, n);
}

/* HKDF-Expand-Label with an empty context. */
static bool expand(EVP_KDF_CTX *ctx, const char *digest, const struct secret *secret,
                   const char *label, uint8_t *out, size_t n)
{
    int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
        text_param(OSSL_KDF_PARAM_DIGEST, digest),
        bytes_param(OSSL_KDF_PARAM_KEY, secret->data, secret->n),
        bytes_param(OSSL_KDF_PARAM_PREFIX, "tls13 ", 6),
        bytes_param(OSSL_KDF_PARAM_LABEL, label, strlen(label)),
        OSSL_PARAM_construct_end(),
    };

    EVP_KDF_CTX_reset(ctx);
    return EVP_KDF_derive(ctx, out, n, params) > 0;
}

static int derive_13(const struct tls_session *s, size_t key_size, struct key_block *block)
{
    CLEANUP(kdf_freep) EVP_KDF *kdf = EVP_KDF_fetch(NULL, OSSL_KDF_NAME_TLS1_3_KDF, NULL);
    CLEANUP(kdf_ctx_freep) EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
    const struct tls_export *e = s->export;
    const char *digest = digest_of(s->ssl);

    if (e->client.n == 0 || e->server.n == 0)
        return -EOPNOTSUPP;
    return ctx && expand(ctx, digest, &e->client, "key", block->client_key, key_size) &&
                   expand(ctx, digest, &e->client, "iv", block->client_iv, TLS_KERNEL_IV_SIZE) &&
                   expand(ctx, digest, &e->server, "key", block->server_key, key_size) &&
                   expand(ctx, digest, &e->server, "iv", block->server_iv, TLS_KERNEL_IV_SIZE)
               ? 0
               : -ENOMEM;
}

static bool expand_master(const SSL *ssl, uint8_t *out, size_t n)
{
    static const char label[] = "key expansion";
    CLEANUP(kdf_freep) EVP_KDF *kdf = EVP_KDF_fetch(NULL, OSSL_KDF_NAME_TLS1_PRF, NULL);
    CLEANUP(kdf_ctx_freep) EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
    uint8_t master[SSL_MAX_MASTER_KEY_LENGTH], random[2 * SSL3_RANDOM_SIZE];
    size_t n_master = SSL_SESSION_get_master_key(SSL_get_session(ssl), master, sizeof master);
    const OSSL_PARAM params[] = {
        text_param(OSSL_KDF_PARAM_DIGEST, digest_of(ssl)),
        bytes_param(OSSL_KDF_PARAM_SECRET, master, n_master),
        bytes_param(OSSL_KDF_PARAM_SEED, label, sizeof label - 1),
        bytes_param(OSSL_KDF_PARAM_SEED, random, sizeof random), /* goes behind it */
        OSSL_PARAM_construct_end(),
    };
    bool is_done;

    SSL_get_server_random(ssl, random, SSL3_RANDOM_SIZE);
    SSL_get_client_random(ssl, random + SSL3_RANDOM_SIZE, SSL3_RANDOM_SIZE);
    is_done = ctx && EVP_KDF_derive(ctx, out, n, params) > 0;
    explicit_bzero(master, sizeof master);
    return is_done;
}

/* Both sides' keys, then both sides' salts or, where there is none, whole IVs. */
static void cut(struct key_block *block, const uint8_t *data, size_t key_size, size_t iv_size)
{
    memcpy(block->client_key, data, key_size);
    memcpy(block->server_key, data + key_size, key_size);
    memcpy(block->client_iv, data + 2 * key_size, iv_size);
    memcpy(block->server_iv, data + 2 * key_size + iv_size, iv_size);
}

static void increment(uint8_t *number, size_t n)
{
    while (n > 0 && ++number[--n] == 0)
        ;
}

static int derive_12(const struct tls_session *s, size_t key_size, size_t salt_size,
                     struct key_block *block)
{
    static const uint8_t head[] = {SSL3_RT_HANDSHAKE, TLS1_2_VERSION_MAJOR, TLS1_2_VERSION_MINOR, 0,
                                   FINISHED_SIZE - SSL3_RT_HEADER_LENGTH};
    size_t iv_size = salt_size > 0 ? salt_size : TLS_KERNEL_IV_SIZE;
    uint8_t data[sizeof *block];
    bool is_done;

    if (salt_size > 0) {
        if (memcmp(s->export->tail, head, sizeof head) != 0)
            return -EOPNOTSUPP;
        memcpy(block->client_iv + salt_size, s->export->tail + sizeof head, NONCE_SIZE);
        increment(block->client_iv + salt_size, NONCE_SIZE);
    }
    is_done = expand_master(s->ssl, data, 2 * (key_size + iv_size));
    if (is_done)
        cut(block, data, key_size, iv_size);
    explicit_bzero(data, sizeof data);
    return is_done ? 0 : -ENOMEM;
}

int tls_session_kernel_cipher(const struct tls_session *s)
{
    const SSL_CIPHER *cipher = SSL_get_current_cipher(s->ssl);

    assert(s->is_established);
    return cipher ? tls_cipher_to_kernel(cipher) : -EOPNOTSUPP;
}

static int derive(const struct tls_session *s, enum tls_kernel_cipher cipher,
                  struct key_block *block)
{
    size_t key_size = tls_kernel_key_size(cipher);

    if (SSL_version(s->ssl) == TLS1_3_VERSION)
        return derive_13(s, key_size, block);
    return derive_12(s, key_size, tls_kernel_salt_size(cipher), block);
}

int tls_session_export(struct tls_session *s, struct tls_kernel_keys *ret_tx,
                       struct tls_kernel_keys *ret_rx)
{
    uint8_t sequence = SSL_version(s->ssl) == TLS1_3_VERSION ? 0 : 1;
    int cipher = tls_session_kernel_cipher(s);
    struct key_block block = {0};
    int r = -EOPNOTSUPP;

    ERR_clear_error();
    /* A record of the peer's that is half read could not be given back. */
    if (s->export && tls_kernel_has(s->export->kernel_ciphers, cipher) && !SSL_has_pending(s->ssl))
        r = derive(s, (enum tls_kernel_cipher)cipher, &block);
    if (r >= 0) {
        assert(tls_queue_length(&s->sending) + tls_queue_length(&s->pending) == 0);
        s->is_exported = true;
        tls_kernel_keys_put(ret_tx, cipher, block.client_key, block.client_iv, sequence);
        tls_kernel_keys_put(ret_rx, cipher, block.server_key, block.server_iv, sequence);
    }
    tls_export_end(s);
    explicit_bzero(&block, sizeof block);
    ERR_clear_error();
    return r;
}
