/* Hash functions, for layers that do not see OpenSSL. Only daemon/tls/ knows it, and what lies
 * beside that folder or below cannot call it: whoever needs a hash is given this function, which in
 * the daemon is tls_hash(). */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "proto/message.h"

#define HASH_SIZE_MAX 32

enum hash_algorithm {
    HASH_MD5,
    HASH_SHA1,
    HASH_SHA256,
    HASH_SHA512_256,
};

/* The hash of n pieces, one behind the other. Returns its size in bytes, or -ENOTSUP where the
 * library does not have the algorithm (MD5 may be forbidden). */
typedef int hash_function(enum hash_algorithm algorithm, const struct text *pieces, size_t n,
                          uint8_t ret[HASH_SIZE_MAX]);
