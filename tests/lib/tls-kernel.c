/* Reads the keys through the structs of linux/tls.h, as the kernel does. */
#include "tests/lib/tls-kernel.h"

#include <check.h>
#include <endian.h>
#include <linux/tls.h>
#include <openssl/ssl.h>
#include <string.h>

#define AAD_MAX 13

const struct kernel_kind kernel_kinds[TLS_KERNEL_CIPHERS] = {
    [TLS_KERNEL_12_AES_128_GCM] = {TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256", NULL,
                                   "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"},
    [TLS_KERNEL_12_AES_256_GCM] = {TLS1_2_VERSION, "ECDHE-ECDSA-AES256-GCM-SHA384", NULL,
                                   "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"},
    [TLS_KERNEL_12_CHACHA20_POLY1305] = {TLS1_2_VERSION, "ECDHE-ECDSA-CHACHA20-POLY1305", NULL,
                                         "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"},
    [TLS_KERNEL_13_AES_128_GCM] = {TLS1_3_VERSION, NULL, "TLS_AES_128_GCM_SHA256",
                                   "TLS_AES_128_GCM_SHA256"},
    [TLS_KERNEL_13_AES_256_GCM] = {TLS1_3_VERSION, NULL, "TLS_AES_256_GCM_SHA384",
                                   "TLS_AES_256_GCM_SHA384"},
    [TLS_KERNEL_13_CHACHA20_POLY1305] = {TLS1_3_VERSION, NULL, "TLS_CHACHA20_POLY1305_SHA256",
                                         "TLS_CHACHA20_POLY1305_SHA256"},
};

static uint64_t load_64(const uint8_t *data)
{
    uint64_t number;

    memcpy(&number, data, sizeof number);
    return be64toh(number);
}

static void store_64(uint8_t *data, uint64_t number)
{
    number = htobe64(number);
    memcpy(data, &number, sizeof number);
}

#define TAKE(type)                                                                                 \
    do {                                                                                           \
        struct type info;                                                                          \
        ck_assert_uint_eq(keys->size, sizeof info);                                                \
        memcpy(&info, keys->info, sizeof info);                                                    \
        memcpy(ret->key, info.key, sizeof info.key);                                               \
        memcpy(ret->iv, info.salt, sizeof info.salt);                                              \
        memcpy(ret->iv + sizeof info.salt, info.iv, sizeof info.iv);                               \
        ret->sequence = load_64(info.rec_seq);                                                     \
    } while (0)

void kernel_set_keys(struct kernel_direction *ret, const struct tls_kernel_keys *keys)
{
    struct tls_crypto_info head;

    *ret = (struct kernel_direction){0};
    memcpy(&head, keys->info, sizeof head);
    ck_assert(head.version == TLS_1_2_VERSION || head.version == TLS_1_3_VERSION);
    ret->is_13 = head.version == TLS_1_3_VERSION;
    switch (head.cipher_type) {
    case TLS_CIPHER_AES_GCM_128:
        ret->cipher = EVP_aes_128_gcm();
        TAKE(tls12_crypto_info_aes_gcm_128);
        break;
    case TLS_CIPHER_AES_GCM_256:
        ret->cipher = EVP_aes_256_gcm();
        TAKE(tls12_crypto_info_aes_gcm_256);
        break;
    case TLS_CIPHER_CHACHA20_POLY1305:
        ret->cipher = EVP_chacha20_poly1305();
        TAKE(tls12_crypto_info_chacha20_poly1305);
        break;
    default:
        ck_abort_msg("cipher type %u", head.cipher_type);
    }
    ret->has_nonce = !ret->is_13 && head.cipher_type != TLS_CIPHER_CHACHA20_POLY1305;
}

/* `explicit` is the record's part of the nonce. */
static void make_nonce(const struct kernel_direction *d, const uint8_t *explicit, uint8_t *nonce)
{
    memcpy(nonce, d->iv, sizeof d->iv);
    if (d->has_nonce)
        memcpy(nonce + 4, explicit, KERNEL_NONCE_SIZE);
    else
        store_64(nonce + 4, load_64(nonce + 4) ^ d->sequence);
}

/* n is the length of the plaintext, which is what TLS 1.2 wants there. */
static int make_aad(const struct kernel_direction *d, const uint8_t *head, size_t n, uint8_t *aad)
{
    if (d->is_13) {
        memcpy(aad, head, KERNEL_HEAD_SIZE);
        return KERNEL_HEAD_SIZE;
    }
    store_64(aad, d->sequence);
    memcpy(aad + 8, head, 3);
    aad[11] = (uint8_t)(n >> 8);
    aad[12] = (uint8_t)n;
    return AAD_MAX;
}

static size_t overhead(const struct kernel_direction *d)
{
    return KERNEL_TAG_SIZE + (d->has_nonce ? KERNEL_NONCE_SIZE : 0);
}

static bool decrypt(const struct kernel_direction *d, const uint8_t *record, size_t n, uint8_t *out)
{
    const uint8_t *body = record + KERNEL_HEAD_SIZE;
    const uint8_t *text = d->has_nonce ? body + KERNEL_NONCE_SIZE : body;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    uint8_t nonce[12], aad[AAD_MAX];
    int n_aad = make_aad(d, record, n, aad), length;
    bool is_good;

    make_nonce(d, body, nonce);
    ck_assert_ptr_nonnull(ctx);
    ck_assert(EVP_DecryptInit_ex(ctx, d->cipher, NULL, d->key, nonce));
    ck_assert(EVP_DecryptUpdate(ctx, NULL, &length, aad, n_aad));
    ck_assert(EVP_DecryptUpdate(ctx, out, &length, text, (int)n));
    ck_assert(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, KERNEL_TAG_SIZE, (void *)(text + n)));
    is_good = EVP_DecryptFinal_ex(ctx, out + n, &length) > 0;
    EVP_CIPHER_CTX_free(ctx);
    return is_good;
}

int kernel_open(struct kernel_direction *d, const uint8_t *data, size_t n, uint8_t *out,
                size_t *ret_n, uint8_t *ret_type)
{
    size_t length = n < KERNEL_HEAD_SIZE ? 0 : (size_t)(data[3] << 8 | data[4]);

    if (n < KERNEL_HEAD_SIZE + length || n < KERNEL_HEAD_SIZE)
        return 0;
    if (length < overhead(d) || KERNEL_HEAD_SIZE + length > KERNEL_RECORD_MAX)
        return -1;
    *ret_n = length - overhead(d);
    if (!decrypt(d, data, *ret_n, out))
        return -1;
    *ret_type = data[0];
    if (d->is_13) {
        ck_assert_uint_eq(data[0], 23);
        while (*ret_n > 0 && out[*ret_n - 1] == 0)
            --*ret_n;
        ck_assert_uint_gt(*ret_n, 0);
        *ret_type = out[--*ret_n];
    }
    d->sequence++;
    return (int)(KERNEL_HEAD_SIZE + length);
}

size_t kernel_seal(struct kernel_direction *d, uint8_t type, const void *data, size_t n,
                   uint8_t *out)
{
    size_t n_text = n + d->is_13, n_body = n_text + overhead(d);
    uint8_t *text = out + KERNEL_HEAD_SIZE + (d->has_nonce ? KERNEL_NONCE_SIZE : 0);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    uint8_t nonce[12], aad[AAD_MAX];
    int n_aad, length;

    ck_assert_ptr_nonnull(ctx);
    ck_assert_uint_le(n, TLS_RECORD_MAX);
    memcpy(out, (const uint8_t[]){d->is_13 ? 23 : type, 3, 3, n_body >> 8 & 0xff, n_body & 0xff},
           KERNEL_HEAD_SIZE);
    memcpy(out + KERNEL_HEAD_SIZE, d->iv + 4, KERNEL_NONCE_SIZE); /* or text goes over it */
    memcpy(text, data, n);
    if (d->is_13)
        text[n] = type;
    make_nonce(d, d->iv + 4, nonce);
    n_aad = make_aad(d, out, n, aad);
    ck_assert(EVP_EncryptInit_ex(ctx, d->cipher, NULL, d->key, nonce));
    ck_assert(EVP_EncryptUpdate(ctx, NULL, &length, aad, n_aad));
    ck_assert(EVP_EncryptUpdate(ctx, text, &length, text, (int)n_text));
    ck_assert(EVP_EncryptFinal_ex(ctx, text + n_text, &length));
    ck_assert(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, KERNEL_TAG_SIZE, text + n_text));
    EVP_CIPHER_CTX_free(ctx);
    d->sequence++;
    if (d->has_nonce)
        store_64(d->iv + 4, load_64(d->iv + 4) + 1);
    return KERNEL_HEAD_SIZE + n_body;
}
