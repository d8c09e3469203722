/* A nonce is made of a fixed part and the record's number: in TLS 1.2 with GCM the number is sent
 * along, otherwise the two are xored. */
#include "tests/vm/records.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TAG          16
#define EXPLICIT     8 /* bytes of the nonce in a GCM record of TLS 1.2 */
#define IV_FIXED_GCM 4

void must(bool is_so, const char *what)
{
    if (!is_so) {
        printf("Bail out! %s\n", what);
        exit(99);
    }
}

/* ---- keys ---- */

static void derive(const char *kdf_name, const OSSL_PARAM *params, uint8_t *out, size_t n)
{
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, kdf_name, NULL);
    EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);

    must(EVP_KDF_derive(ctx, out, n, params) == 1, kdf_name);
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
}

static OSSL_PARAM octets(const char *name, const void *data, size_t n)
{
    return OSSL_PARAM_construct_octet_string(name, (void *)data, n);
}

static OSSL_PARAM digest_param(const struct records *r)
{
    return OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST,
                                            (char *)EVP_MD_get0_name(r->digest), 0);
}

/* HKDF-Expand-Label without a context. */
static void expand(const struct records *r, const uint8_t *secret, const char *label, uint8_t *out,
                   size_t n)
{
    int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
    OSSL_PARAM params[] = {
        digest_param(r),
        OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
        octets(OSSL_KDF_PARAM_KEY, secret, (size_t)EVP_MD_get_size(r->digest)),
        octets(OSSL_KDF_PARAM_PREFIX, "tls13 ", 6),
        octets(OSSL_KDF_PARAM_LABEL, label, strlen(label)),
        OSSL_PARAM_construct_end(),
    };

    derive("TLS13-KDF", params, out, n);
}

void records_set_secret(const struct records *r, struct record_keys *keys, const uint8_t *secret)
{
    memmove(keys->secret, secret, (size_t)EVP_MD_get_size(r->digest));
    expand(r, keys->secret, "key", keys->key, (size_t)EVP_CIPHER_get_key_length(r->cipher));
    expand(r, keys->secret, "iv", keys->iv, sizeof(keys->iv));
    keys->number = 0;
}

void records_update(const struct records *r, struct record_keys *keys)
{
    uint8_t next[RECORD_SECRET];

    expand(r, keys->secret, "traffic upd", next, (size_t)EVP_MD_get_size(r->digest));
    records_set_secret(r, keys, next);
}

static bool has_explicit_nonce(const struct records *r)
{
    return r->version == TLS1_2_VERSION && EVP_CIPHER_get_nid(r->cipher) != NID_chacha20_poly1305;
}

static void set_master(struct records *r, const SSL *ssl)
{
    uint8_t master[SSL_MAX_MASTER_KEY_LENGTH], randoms[64], block[2 * (32 + 12)];
    size_t n_key = (size_t)EVP_CIPHER_get_key_length(r->cipher),
           n_iv = has_explicit_nonce(r) ? IV_FIXED_GCM : sizeof(r->out.iv),
           n_master = SSL_SESSION_get_master_key(SSL_get_session(ssl), master, sizeof(master));
    OSSL_PARAM params[] = {
        digest_param(r),
        octets(OSSL_KDF_PARAM_SECRET, master, n_master),
        octets(OSSL_KDF_PARAM_SEED, "key expansion", 13),
        octets(OSSL_KDF_PARAM_SEED, randoms, sizeof(randoms)),
        OSSL_PARAM_construct_end(),
    };
    const uint8_t *at = block;

    SSL_get_server_random(ssl, randoms, 32);
    SSL_get_client_random(ssl, randoms + 32, 32);
    derive("TLS1-PRF", params, block, 2 * (n_key + n_iv));
    memcpy(r->in.key, at, n_key);
    memcpy(r->out.key, at += n_key, n_key);
    memcpy(r->in.iv, at += n_key, n_iv);
    memcpy(r->out.iv, at + n_iv, n_iv);
    r->in.number = r->out.number = 1; /* behind Finished */
}

void records_init(struct records *r, const SSL *ssl)
{
    const SSL_CIPHER *cipher = SSL_get_current_cipher(ssl);

    *r = (struct records){
        .version = SSL_version(ssl),
        .cipher = EVP_get_cipherbynid(SSL_CIPHER_get_cipher_nid(cipher)),
        .digest = SSL_CIPHER_get_handshake_digest(cipher),
    };
    must(r->cipher && r->digest, "cipher");
    if (r->version == TLS1_2_VERSION)
        set_master(r, ssl);
}

/* ---- records ---- */

static void put_big_endian(uint8_t *out, uint64_t value, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t)(value >> 8 * (n - 1 - i));
}

/* What is authenticated along with the content. */
static size_t make_additional(const struct records *r, const struct record_keys *keys, uint8_t type,
                              size_t n_content, size_t n_wire, uint8_t out[13])
{
    if (r->version == TLS1_3_VERSION) {
        memcpy(out, "\x17\x03\x03", 3);
        put_big_endian(out + 3, n_wire, 2);
        return RECORD_HEAD;
    }
    put_big_endian(out, keys->number, 8);
    out[8] = type;
    memcpy(out + 9, "\x03\x03", 2);
    put_big_endian(out + 11, n_content, 2);
    return 13;
}

static void make_nonce(const struct records *r, const struct record_keys *keys,
                       const uint8_t *explicit_part, uint8_t out[12])
{
    uint8_t number[8];

    memcpy(out, keys->iv, 12);
    if (has_explicit_nonce(r)) {
        memcpy(out + IV_FIXED_GCM, explicit_part, EXPLICIT);
        return;
    }
    put_big_endian(number, keys->number, 8);
    for (size_t i = 0; i < 8; i++)
        out[4 + i] ^= number[i];
}

size_t records_seal(struct records *r, uint8_t type, const void *data, size_t n, uint8_t *out)
{
    bool is_13 = r->version == TLS1_3_VERSION;
    size_t n_explicit = has_explicit_nonce(r) ? EXPLICIT : 0, n_content = n + is_13,
           n_wire = n_explicit + n_content + TAG, n_additional;
    uint8_t additional[13], nonce[12], *at = out + RECORD_HEAD, type_byte = type;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int n_out;

    out[0] = is_13 ? RECORD_APPLICATION : type;
    memcpy(out + 1, "\x03\x03", 2);
    put_big_endian(out + 3, n_wire, 2);
    put_big_endian(at, r->out.number, n_explicit);
    make_nonce(r, &r->out, at, nonce);
    n_additional = make_additional(r, &r->out, type, n, n_wire, additional);
    at += n_explicit;
    must(EVP_EncryptInit_ex(ctx, r->cipher, NULL, r->out.key, nonce) == 1 &&
             EVP_EncryptUpdate(ctx, NULL, &n_out, additional, (int)n_additional) == 1 &&
             EVP_EncryptUpdate(ctx, at, &n_out, data, (int)n) == 1 &&
             (!is_13 || EVP_EncryptUpdate(ctx, at + n, &n_out, &type_byte, 1) == 1) &&
             EVP_EncryptFinal_ex(ctx, at + n_content, &n_out) == 1 &&
             EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG, at + n_content) == 1,
         "sealing a record");
    EVP_CIPHER_CTX_free(ctx);
    r->out.number++;
    return RECORD_HEAD + n_wire;
}

int records_open(struct records *r, uint8_t *record, size_t n, uint8_t *ret_type,
                 uint8_t **ret_data)
{
    bool is_13 = r->version == TLS1_3_VERSION, is_good;
    size_t n_explicit = has_explicit_nonce(r) ? EXPLICIT : 0, n_content, n_additional;
    uint8_t additional[13], nonce[12], *at = record + RECORD_HEAD;
    EVP_CIPHER_CTX *ctx;
    int n_out;

    if (n < RECORD_HEAD + n_explicit + TAG + is_13)
        return -1;
    n_content = n - RECORD_HEAD - n_explicit - TAG;
    make_nonce(r, &r->in, at, nonce);
    n_additional = make_additional(r, &r->in, record[0], n_content, n - RECORD_HEAD, additional);
    at += n_explicit;
    ctx = EVP_CIPHER_CTX_new();
    is_good = EVP_DecryptInit_ex(ctx, r->cipher, NULL, r->in.key, nonce) == 1 &&
              EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG, at + n_content) == 1 &&
              EVP_DecryptUpdate(ctx, NULL, &n_out, additional, (int)n_additional) == 1 &&
              EVP_DecryptUpdate(ctx, at, &n_out, at, (int)n_content) == 1 &&
              EVP_DecryptFinal_ex(ctx, at + n_content, &n_out) == 1;
    EVP_CIPHER_CTX_free(ctx);
    if (!is_good)
        return -1;
    r->in.number++;
    *ret_data = at;
    *ret_type = record[0];
    if (is_13) {
        while (n_content > 0 && at[n_content - 1] == 0)
            n_content--;
        if (n_content == 0)
            return -1;
        *ret_type = at[--n_content];
    }
    return (int)n_content;
}
