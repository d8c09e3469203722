/* An entry is in the tree, by its name, and in the list, the most recently used last. Entries are
 * allocated at their real size: most names have few addresses. */
#include "daemon/resolve/cache.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/resolve/names.h"

struct cached {
    const char *name; /* behind the addresses */
    struct list node;
    uint64_t expires_at_us;
    enum error_code code;
    const char *reason;
    size_t n;
    struct address addresses[];
};

struct cache {
    void *tree;
    struct list used;
    size_t n, max;
};

int cache_new(struct cache **ret, size_t max)
{
    struct cache *cache = calloc(1, sizeof *cache);

    assert(max > 0);
    if (!cache)
        return -ENOMEM;
    list_init(&cache->used);
    cache->max = max;
    *ret = cache;
    return 0;
}

struct cache *cache_free(struct cache *cache)
{
    if (cache) {
        cache_clear(cache);
        free(cache);
    }
    return NULL;
}

static void cache_drop(struct cache *cache, struct cached *entry)
{
    names_remove(&cache->tree, entry);
    list_remove(&entry->node);
    cache->n--;
    free(entry);
}

static struct cached *entry_new(const char *name, const struct answer *answer,
                                uint64_t expires_at_us)
{
    size_t n = answer->addresses.n;
    size_t n_bytes = n * sizeof answer->addresses.items[0];
    size_t name_size = strlen(name) + 1;
    struct cached *entry = malloc(sizeof *entry + n_bytes + name_size);

    if (!entry)
        return NULL;
    *entry = (struct cached){
        .name = (char *)entry->addresses + n_bytes,
        .expires_at_us = expires_at_us,
        .code = answer->code,
        .reason = answer->reason,
        .n = n,
    };
    memcpy(entry->addresses, answer->addresses.items, n_bytes);
    memcpy((char *)entry->addresses + n_bytes, name, name_size);
    list_init(&entry->node);
    return entry;
}

void cache_put(struct cache *cache, const char *name, const struct answer *answer,
               uint64_t expires_at_us)
{
    struct cached *entry = names_find(&cache->tree, name);

    if (entry)
        cache_drop(cache, entry);
    if (cache->n == cache->max)
        cache_drop(cache, container_of(cache->used.next, struct cached, node));
    entry = entry_new(name, answer, expires_at_us);
    if (!entry)
        return;
    if (!names_insert(&cache->tree, entry)) {
        free(entry);
        return;
    }
    list_append(&cache->used, &entry->node);
    cache->n++;
}

bool cache_get(struct cache *cache, const char *name, uint64_t now_us, struct answer *ret)
{
    struct cached *entry = names_find(&cache->tree, name);

    if (!entry)
        return false;
    if (now_us >= entry->expires_at_us) {
        cache_drop(cache, entry);
        return false;
    }
    list_remove(&entry->node);
    list_append(&cache->used, &entry->node);
    ret->code = entry->code;
    ret->reason = entry->reason;
    ret->addresses.n = entry->n;
    memcpy(ret->addresses.items, entry->addresses, entry->n * sizeof entry->addresses[0]);
    return true;
}

void cache_clear(struct cache *cache)
{
    list_for_each (&cache->used, node)
        cache_drop(cache, container_of(node, struct cached, node));
}

size_t cache_count(const struct cache *cache)
{
    return cache->n;
}
