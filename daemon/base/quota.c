/* A hash table of accounts under one mutex, held for the look-up only; the counts are atomics. An
 * account lives as long as somebody holds it. */
#include "daemon/base/quota.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/list.h"
#include "proto/cleanup.h"

#define BUCKETS 256

struct quota {
    struct list node;
    struct quota_table *table;
    unsigned n_references;
    uid_t uid;
    _Atomic unsigned counts[QUOTA_KINDS];
    char rule[];
};

struct quota_table {
    pthread_mutex_t mutex;
    struct list buckets[BUCKETS];
};

int quota_table_new(struct quota_table **ret)
{
    struct quota_table *table = malloc(sizeof *table);

    if (!table)
        return -ENOMEM;
    pthread_mutex_init(&table->mutex, NULL);
    for (size_t i = 0; i < BUCKETS; i++)
        list_init(&table->buckets[i]);
    *ret = table;
    return 0;
}

struct quota_table *quota_table_free(struct quota_table *table)
{
    if (!table)
        return NULL;
    for (size_t i = 0; i < BUCKETS; i++)
        assert(list_is_empty(&table->buckets[i]));
    pthread_mutex_destroy(&table->mutex);
    free(table);
    return NULL;
}

/* FNV-1a */
static struct list *bucket_of(struct quota_table *table, uid_t uid, const char *rule)
{
    uint32_t hash = 2166136261u ^ uid;

    for (; *rule; rule++)
        hash = (hash ^ (uint8_t)*rule) * 16777619u;
    return &table->buckets[(hash ^ hash >> 16) % BUCKETS];
}

static struct quota *find_or_add(struct quota_table *table, uid_t uid, const char *rule)
{
    struct list *bucket = bucket_of(table, uid, rule);
    struct quota *quota;

    list_for_each (bucket, node) {
        quota = container_of(node, struct quota, node);
        if (quota->uid == uid && strcmp(quota->rule, rule) == 0)
            return quota;
    }
    quota = calloc(1, sizeof *quota + strlen(rule) + 1);
    if (!quota)
        return NULL;
    quota->table = table;
    quota->uid = uid;
    strcpy(quota->rule, rule);
    list_append(bucket, &quota->node);
    return quota;
}

struct quota *quota_get(struct quota_table *table, uid_t uid, const char *rule)
{
    struct quota *quota;

    pthread_mutex_lock(&table->mutex);
    quota = find_or_add(table, uid, rule);
    if (quota)
        quota->n_references++;
    pthread_mutex_unlock(&table->mutex);
    return quota;
}

struct quota *quota_ref(struct quota *quota)
{
    pthread_mutex_lock(&quota->table->mutex);
    quota->n_references++;
    pthread_mutex_unlock(&quota->table->mutex);
    return quota;
}

struct quota *quota_put(struct quota *quota)
{
    struct quota_table *table;
    bool is_last;

    if (!quota)
        return NULL;
    table = quota->table;
    pthread_mutex_lock(&table->mutex);
    is_last = --quota->n_references == 0;
    if (is_last)
        list_remove(&quota->node);
    pthread_mutex_unlock(&table->mutex);
    if (is_last) {
        for (size_t i = 0; i < QUOTA_KINDS; i++)
            assert(quota->counts[i] == 0);
        free(quota);
    }
    return NULL;
}

bool quota_charge(struct quota *quota, enum quota_kind kind, unsigned n, unsigned max)
{
    unsigned now = atomic_load(&quota->counts[kind]);

    do {
        if (now > max || n > max - now)
            return false;
    } while (!atomic_compare_exchange_weak(&quota->counts[kind], &now, now + n));
    return true;
}

void quota_release(struct quota *quota, enum quota_kind kind, unsigned n)
{
    unsigned before = atomic_fetch_sub(&quota->counts[kind], n);

    assert(before >= n);
    (void)before;
}
