#include "daemon/tls/hash.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>

static const EVP_MD *find(enum hash_algorithm algorithm)
{
    switch (algorithm) {
    case HASH_MD5:
        return EVP_md5();
    case HASH_SHA1:
        return EVP_sha1();
    case HASH_SHA256:
        return EVP_sha256();
    case HASH_SHA512_256:
        return EVP_sha512_256();
    }
    return NULL;
}

static int digest(EVP_MD_CTX *ctx, const EVP_MD *md, const struct text *pieces, size_t n,
                  uint8_t ret[HASH_SIZE_MAX])
{
    unsigned size;

    if (EVP_DigestInit_ex(ctx, md, NULL) != 1)
        return -ENOTSUP;
    for (size_t i = 0; i < n; i++)
        if (EVP_DigestUpdate(ctx, pieces[i].data, pieces[i].n) != 1)
            return -ENOTSUP;
    return EVP_DigestFinal_ex(ctx, ret, &size) == 1 ? (int)size : -ENOTSUP;
}

/* The context is wiped as it is freed. */
int tls_hash(enum hash_algorithm algorithm, const struct text *pieces, size_t n,
             uint8_t ret[HASH_SIZE_MAX])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    int r = ctx ? digest(ctx, find(algorithm), pieces, n, ret) : -ENOTSUP;

    EVP_MD_CTX_free(ctx);
    if (r < 0)
        ERR_clear_error();
    return r;
}
