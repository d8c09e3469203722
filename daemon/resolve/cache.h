/* Answers by name until they expire, the least recently used thrown out first. Sans I/O: the caller
 * brings the time. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/resolve/resolve.h"

/* What there is to say about a name. */
struct answer {
    enum error_code code; /* ERROR_NONE: there are addresses */
    const char *reason;   /* of a failure: a static string; else NULL */
    struct address_list addresses;
};

struct cache;

/* Holds at most `max` names, at least 1. Returns 0 or -ENOMEM. */
int cache_new(struct cache **ret, size_t max);
struct cache *cache_free(struct cache *cache);
/* Replaces what was there. Without memory nothing is kept. */
void cache_put(struct cache *cache, const char *name, const struct answer *answer,
               uint64_t expires_at_us);
/* False: not there, or expired. */
bool cache_get(struct cache *cache, const char *name, uint64_t now_us, struct answer *ret);
void cache_clear(struct cache *cache);
size_t cache_count(const struct cache *cache);
