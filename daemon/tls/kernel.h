/* The keys of one direction as linux/tls.h lays them out. Of tls/ only. */
#pragma once

#include "daemon/tls/tls.h"

#define TLS_KERNEL_KEY_MAX 32
#define TLS_KERNEL_IV_SIZE 12 /* of the nonce that record numbers go into */

size_t tls_kernel_key_size(enum tls_kernel_cipher cipher);
size_t tls_kernel_salt_size(enum tls_kernel_cipher cipher);
/* iv is the salt, if any, and what follows it; sequence the number of the next record. */
void tls_kernel_keys_put(struct tls_kernel_keys *ret, enum tls_kernel_cipher cipher,
                         const uint8_t *key, const uint8_t *iv, uint8_t sequence);
