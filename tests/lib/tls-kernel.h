/* What the kernel does with the keys it is given, by OpenSSL's ciphers: one direction of records,
 * opened or sealed one by one (RFC 8446, 5.2 and 5.3; RFC 5246, 6.2.3.3; RFC 5288, 3; RFC 7905, 2).
 */
#pragma once

#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/tls/tls.h"

#define KERNEL_HEAD_SIZE  5
#define KERNEL_NONCE_SIZE 8  /* in a record of TLS 1.2 with AES-GCM */
#define KERNEL_TAG_SIZE   16 /* of all ciphers */
#define KERNEL_RECORD_MAX (KERNEL_HEAD_SIZE + TLS_RECORD_MAX + 256)

struct kernel_direction {
    const EVP_CIPHER *cipher;
    bool is_13;
    bool has_nonce; /* in the record */
    uint8_t key[32];
    uint8_t iv[12]; /* with the salt, if any, in front */
    uint64_t sequence;
};

/* How a server has this cipher alone. */
struct kernel_kind {
    int version;
    const char *ciphers; /* TLS 1.2 */
    const char *suites;  /* TLS 1.3 */
    const char *name;    /* IANA's */
};

extern const struct kernel_kind kernel_kinds[TLS_KERNEL_CIPHERS];

/* Of exactly `size` bytes. */
void kernel_set_keys(struct kernel_direction *ret, const struct tls_kernel_keys *keys);
/* Opens the first of the n bytes' records into `out` (KERNEL_RECORD_MAX) with its true type.
 * Returns how long the record was, 0 when it is not complete, -1 when the keys are not its keys. */
int kernel_open(struct kernel_direction *d, const uint8_t *data, size_t n, uint8_t *out,
                size_t *ret_n, uint8_t *ret_type);
/* Makes a record in `out` (KERNEL_RECORD_MAX). Returns how long it is. */
size_t kernel_seal(struct kernel_direction *d, uint8_t type, const void *data, size_t n,
                   uint8_t *out);
