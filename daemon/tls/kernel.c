/* The kernel's side of kernel TLS: its ciphers, and how linux/tls.h lays out the keys of one
 * direction. There is one struct for each cipher, all of the same shape:
 *
 *     version cipher_type iv[8 or 12] key[16 or 32] salt[4 or 0] rec_seq[8]
 *
 * AES-GCM's nonce of 12 bytes is salt and iv; in TLS 1.2 the iv is the explicit part of the next
 * record to be sent (RFC 5288, 3). CHACHA20-POLY1305 has no salt. */
#include <assert.h>
#include <linux/tls.h>
#include <string.h>

#include "daemon/tls/kernel.h"

#define SALT_SIZE 4 /* of AES-GCM */

static const struct cipher {
    const char *name;
    struct tls_crypto_info info;
    size_t key_size;
    size_t salt_size;
} ciphers[TLS_KERNEL_CIPHERS] = {
    [TLS_KERNEL_12_AES_128_GCM] = {"tls1.2-aes-128-gcm",
                                   {TLS_1_2_VERSION, TLS_CIPHER_AES_GCM_128},
                                   16,
                                   SALT_SIZE},
    [TLS_KERNEL_12_AES_256_GCM] = {"tls1.2-aes-256-gcm",
                                   {TLS_1_2_VERSION, TLS_CIPHER_AES_GCM_256},
                                   32,
                                   SALT_SIZE},
    [TLS_KERNEL_12_CHACHA20_POLY1305] = {"tls1.2-chacha20-poly1305",
                                         {TLS_1_2_VERSION, TLS_CIPHER_CHACHA20_POLY1305},
                                         32,
                                         0},
    [TLS_KERNEL_13_AES_128_GCM] = {"tls1.3-aes-128-gcm",
                                   {TLS_1_3_VERSION, TLS_CIPHER_AES_GCM_128},
                                   16,
                                   SALT_SIZE},
    [TLS_KERNEL_13_AES_256_GCM] = {"tls1.3-aes-256-gcm",
                                   {TLS_1_3_VERSION, TLS_CIPHER_AES_GCM_256},
                                   32,
                                   SALT_SIZE},
    [TLS_KERNEL_13_CHACHA20_POLY1305] = {"tls1.3-chacha20-poly1305",
                                         {TLS_1_3_VERSION, TLS_CIPHER_CHACHA20_POLY1305},
                                         32,
                                         0},
};

/* That the structs have the shape described above. */
#define CHECK_STRUCT(type, iv_size, key_size, salt_size)                                           \
    static_assert(offsetof(struct type, iv) == sizeof(struct tls_crypto_info), #type);             \
    static_assert(offsetof(struct type, key) == offsetof(struct type, iv) + (iv_size), #type);     \
    static_assert(offsetof(struct type, salt) == offsetof(struct type, key) + (key_size), #type);  \
    static_assert(offsetof(struct type, rec_seq) == offsetof(struct type, salt) + (salt_size),     \
                  #type);                                                                          \
    static_assert(sizeof(struct type) == offsetof(struct type, rec_seq) + 8, #type);               \
    static_assert(sizeof(struct type) <= TLS_KERNEL_INFO_MAX, #type)

CHECK_STRUCT(tls12_crypto_info_aes_gcm_128, TLS_KERNEL_IV_SIZE - SALT_SIZE, 16, SALT_SIZE);
CHECK_STRUCT(tls12_crypto_info_aes_gcm_256, TLS_KERNEL_IV_SIZE - SALT_SIZE, 32, SALT_SIZE);
CHECK_STRUCT(tls12_crypto_info_chacha20_poly1305, TLS_KERNEL_IV_SIZE, 32, 0);

static uint8_t *put(uint8_t *to, const void *data, size_t n)
{
    if (n > 0)
        memcpy(to, data, n);
    return to + n;
}

size_t tls_kernel_key_size(enum tls_kernel_cipher cipher)
{
    return ciphers[cipher].key_size;
}

size_t tls_kernel_salt_size(enum tls_kernel_cipher cipher)
{
    return ciphers[cipher].salt_size;
}

void tls_kernel_keys_put(struct tls_kernel_keys *ret, enum tls_kernel_cipher cipher,
                         const uint8_t *key, const uint8_t *iv, uint8_t sequence)
{
    const struct cipher *c = &ciphers[cipher];
    const uint8_t rec_seq[8] = {[7] = sequence};
    uint8_t *end = ret->info;

    end = put(end, &c->info, sizeof c->info);
    end = put(end, iv + c->salt_size, TLS_KERNEL_IV_SIZE - c->salt_size);
    end = put(end, key, c->key_size);
    end = put(end, iv, c->salt_size);
    end = put(end, rec_seq, sizeof rec_seq);
    ret->size = (uint32_t)(end - ret->info);
}

void tls_kernel_keys_make_up(struct tls_kernel_keys *ret, enum tls_kernel_cipher cipher)
{
    static const uint8_t key[TLS_KERNEL_KEY_MAX] = "a key that nobody has to keep";
    static const uint8_t iv[TLS_KERNEL_IV_SIZE] = "nor this iv";

    tls_kernel_keys_put(ret, cipher, key, iv, 0);
}

const char *tls_kernel_cipher_name(enum tls_kernel_cipher cipher)
{
    return ciphers[cipher].name;
}
