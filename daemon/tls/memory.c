/* OpenSSL 3's decoders free the buffers that a private key went through as they are, and SSL_free()
 * the traffic secrets. While they are at work, therefore, all that OpenSSL frees is wiped, by its
 * own memory functions: they can be replaced before it has allocated anything only, which is before
 * main().
 *
 * Where that does not work, because somebody was earlier, it is all done all the same. */
#include <malloc.h>
#include <openssl/crypto.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/tls/internal.h"

static atomic_uint n_wiping;

static void wipe(void *data)
{
    if (data && atomic_load_explicit(&n_wiping, memory_order_relaxed) > 0)
        explicit_bzero(data, malloc_usable_size(data));
}

static void *allocate(size_t n, const char *file, int line)
{
    (void)file, (void)line;
    return malloc(n);
}

static void release(void *data, const char *file, int line)
{
    (void)file, (void)line;
    wipe(data);
    free(data);
}

/* In wiping it always moves, since realloc() would leave the old place as it was. */
static void *resize(void *data, size_t n, const char *file, int line)
{
    size_t old = data ? malloc_usable_size(data) : 0;
    void *moved;

    if (!data || n == 0 || atomic_load_explicit(&n_wiping, memory_order_relaxed) == 0)
        return realloc(data, n);
    moved = malloc(n);
    if (!moved)
        return NULL;
    memcpy(moved, data, old < n ? old : n);
    release(data, file, line);
    return moved;
}

__attribute__((constructor)) static void replace(void)
{
    CRYPTO_set_mem_functions(allocate, resize, release);
}

void tls_memory_begin_wiping(void)
{
    atomic_fetch_add(&n_wiping, 1);
}

void tls_memory_end_wiping(void)
{
    atomic_fetch_sub(&n_wiping, 1);
}
