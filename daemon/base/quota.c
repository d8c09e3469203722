/* A hash table of accounts under one mutex, held for the look-up only; the counts are atomics. An
 * account lives as long as somebody holds it, and until its bucket is full again: who leaves and
 * comes back finds it as he left it. Such leftovers are freed by whoever passes by.
 *
 * The bucket is one number: when it will be full (the generic cell rate algorithm, ITU-T I.371). */
#include "daemon/base/quota.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/list.h"

#define BUCKETS   256
#define NS_PER_US UINT64_C(1000)
#define NS_PER_S  (US_PER_S * NS_PER_US)

struct quota {
    struct list node;
    struct quota_table *table;
    unsigned n_references;
    uid_t uid;
    _Atomic unsigned counts[QUOTA_KINDS];
    _Atomic uint64_t full_at_ns;
    char rule[];
};

struct quota_table {
    pthread_mutex_t mutex;
    unsigned n_held;
    struct list buckets[BUCKETS];
};

int quota_table_new(struct quota_table **ret)
{
    struct quota_table *table = malloc(sizeof *table);

    if (!table)
        return -ENOMEM;
    pthread_mutex_init(&table->mutex, NULL);
    table->n_held = 0;
    for (size_t i = 0; i < BUCKETS; i++)
        list_init(&table->buckets[i]);
    *ret = table;
    return 0;
}

static void quota_free(struct quota *quota)
{
    assert(quota->n_references == 0);
    list_remove(&quota->node);
    free(quota);
}

struct quota_table *quota_table_free(struct quota_table *table)
{
    if (!table)
        return NULL;
    for (size_t i = 0; i < BUCKETS; i++) {
        list_for_each (&table->buckets[i], node)
            quota_free(container_of(node, struct quota, node));
    }
    pthread_mutex_destroy(&table->mutex);
    free(table);
    return NULL;
}

unsigned quota_table_count(struct quota_table *table)
{
    unsigned n;

    pthread_mutex_lock(&table->mutex);
    n = table->n_held;
    pthread_mutex_unlock(&table->mutex);
    return n;
}

/* FNV-1a */
static struct list *bucket_of(struct quota_table *table, uid_t uid, const char *rule)
{
    uint32_t hash = 2166136261u ^ uid;

    for (; *rule; rule++)
        hash = (hash ^ (uint8_t)*rule) * 16777619u;
    return &table->buckets[(hash ^ hash >> 16) % BUCKETS];
}

static bool is_leftover(struct quota *quota)
{
    return quota->n_references == 0 &&
           atomic_load(&quota->full_at_ns) <= clock_now_us() * NS_PER_US;
}

static struct quota *find_or_add(struct quota_table *table, uid_t uid, const char *rule)
{
    struct list *bucket = bucket_of(table, uid, rule);
    struct quota *quota;

    list_for_each (bucket, node) {
        quota = container_of(node, struct quota, node);
        if (quota->uid == uid && strcmp(quota->rule, rule) == 0)
            return quota;
        if (is_leftover(quota))
            quota_free(quota);
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
    if (quota && quota->n_references++ == 0)
        table->n_held++;
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

    if (!quota)
        return NULL;
    table = quota->table;
    pthread_mutex_lock(&table->mutex);
    if (--quota->n_references == 0) {
        for (size_t i = 0; i < QUOTA_KINDS; i++)
            assert(quota->counts[i] == 0);
        table->n_held--;
        if (is_leftover(quota))
            quota_free(quota);
    }
    pthread_mutex_unlock(&table->mutex);
    return NULL;
}

bool charge_add(struct charge *charge, enum quota_kind kind, unsigned n, unsigned max)
{
    _Atomic unsigned *count = &charge->quota->counts[kind];
    unsigned now = atomic_load(count);

    do {
        if (now > max || n > max - now)
            return false;
    } while (!atomic_compare_exchange_weak(count, &now, now + n));
    charge->n[kind] += n;
    return true;
}

void charge_sub(struct charge *charge, enum quota_kind kind, unsigned n)
{
    assert(charge->n[kind] >= n);
    charge->n[kind] -= n;
    atomic_fetch_sub(&charge->quota->counts[kind], n);
}

void charge_move(struct charge *from, struct charge *to, enum quota_kind kind, unsigned n)
{
    if (!to->quota)
        to->quota = quota_ref(from->quota);
    assert(to->quota == from->quota && from->n[kind] >= n);
    from->n[kind] -= n;
    to->n[kind] += n;
}

void charge_deinit(struct charge *charge)
{
    for (size_t i = 0; charge->quota && i < QUOTA_KINDS; i++)
        charge_sub(charge, i, charge->n[i]);
    charge->quota = quota_put(charge->quota);
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

uint64_t quota_take(struct quota *quota, const struct quota_rate *rate, unsigned n, uint64_t now_us)
{
    uint64_t now_ns = now_us * NS_PER_US, full_at_ns = atomic_load(&quota->full_at_ns);
    uint64_t each_ns, bucket_ns, debt_max_ns, after_ns;

    assert(n <= QUOTA_TOKENS_MAX);
    if (rate->n == 0)
        return 0;
    each_ns = rate->period_s * NS_PER_S / rate->n;
    bucket_ns = larger(NS_PER_S, n * each_ns);
    /* What was taken at a lower rate, before a reload, shall not bar for longer than this one can.
     */
    debt_max_ns = larger(NS_PER_S, QUOTA_TOKENS_MAX * each_ns);
    do {
        uint64_t debt_ns = larger(full_at_ns, now_ns) - now_ns;

        after_ns = (debt_ns < debt_max_ns ? debt_ns : debt_max_ns) + n * each_ns;
        if (after_ns > bucket_ns)
            return (after_ns - bucket_ns) / NS_PER_US + 1;
    } while (!atomic_compare_exchange_weak(&quota->full_at_ns, &full_at_ns, now_ns + after_ns));
    return 0;
}
