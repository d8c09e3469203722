/* A list of names under one mutex: the main thread adds to it when it has read a configuration, and
 * a name leaves it with the last rule, request or relay that holds it. What was counted under it
 * then goes to `gone`, so that sums never fall.
 *
 * The last reference may be put while the table is asked for the same name: one without references
 * is never given out again. */
#include "daemon/base/stats.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct stats_table {
    pthread_mutex_t mutex;
    struct stats *first;
    size_t n;
    struct stats gone;
};

int stats_table_new(struct stats_table **ret)
{
    struct stats_table *table = calloc(1, sizeof *table);

    if (!table)
        return -ENOMEM;
    pthread_mutex_init(&table->mutex, NULL);
    *ret = table;
    return 0;
}

struct stats_table *stats_table_free(struct stats_table *table)
{
    if (!table)
        return NULL;
    assert(!table->first);
    pthread_mutex_destroy(&table->mutex);
    free(table);
    return NULL;
}

/* Unless it is being freed. */
static struct stats *ref_if_held(struct stats *stats)
{
    unsigned n = atomic_load(&stats->n_references);

    do {
        if (n == 0)
            return NULL;
    } while (!atomic_compare_exchange_weak(&stats->n_references, &n, n + 1));
    return stats;
}

static struct stats *stats_new(struct stats_table *table, const char *rule)
{
    struct stats *stats = calloc(1, sizeof *stats + strlen(rule) + 1);
    struct stats **place = &table->first;

    if (!stats)
        return NULL;
    while (*place)
        place = &(*place)->next;
    stats->table = table;
    stats->n_references = 1;
    strcpy(stats->rule, rule);
    stats->next = *place;
    *place = stats;
    table->n++;
    return stats;
}

struct stats *stats_get(struct stats_table *table, const char *rule)
{
    struct stats *stats;

    pthread_mutex_lock(&table->mutex);
    for (stats = table->first; stats; stats = stats->next) {
        if (strcmp(stats->rule, rule) == 0 && ref_if_held(stats))
            break;
    }
    if (!stats)
        stats = stats_new(table, rule);
    pthread_mutex_unlock(&table->mutex);
    return stats;
}

struct stats *stats_ref(struct stats *stats)
{
    unsigned before = atomic_fetch_add(&stats->n_references, 1);

    assert(before > 0);
    (void)before;
    return stats;
}

static void add_all(struct stats *to, struct stats *from)
{
    for (size_t i = 0; i < STAT_COUNT; i++)
        to->values[i] += from->values[i];
    for (size_t stage = 0; stage < STATS_STAGES; stage++)
        for (size_t code = 0; code < STATS_CODES; code++)
            to->failed[stage][code] += from->failed[stage][code];
}

struct stats *stats_put(struct stats *stats)
{
    struct stats_table *table;
    struct stats **place;

    if (!stats || atomic_fetch_sub(&stats->n_references, 1) > 1)
        return NULL;
    table = stats->table;
    pthread_mutex_lock(&table->mutex);
    for (place = &table->first; *place != stats; place = &(*place)->next)
        ;
    *place = stats->next;
    table->n--;
    add_all(&table->gone, stats);
    pthread_mutex_unlock(&table->mutex);
    free(stats);
    return NULL;
}

static const enum error_code codes[STATS_CODES] = {
#define X(name, number, stage, error, text) [STATS_INDEX_##name] = ERROR_##name,
    ERROR_LIST(X)
#undef X
};

enum error_code stats_code(size_t index)
{
    return codes[index];
}

void stats_add_failure(struct stats *stats, enum stage stage, enum error_code code)
{
    size_t i = 0;

    while (i < STATS_CODES && codes[i] != code)
        i++;
    assert(i < STATS_CODES && stage >= 1 && stage <= STATS_STAGES);
    atomic_fetch_add_explicit(&stats->failed[stage - 1][i], 1, memory_order_relaxed);
}

enum stats_key stats_of_relay_end(enum relay_end end)
{
    return STAT_RELAYS_CLEAN + (end - RELAY_END_CLEAN);
}

enum stats_key stats_of_handoff(enum handoff kind)
{
    switch (kind) {
    case HANDOFF_TCP:
        return STAT_CONNECTED_TCP;
    case HANDOFF_KTLS:
        return STAT_CONNECTED_KTLS;
    case HANDOFF_RELAY:
        break;
    }
    return STAT_CONNECTED_RELAY;
}

const char *stats_key_name(enum stats_key stat)
{
    static const char *const keys[STAT_COUNT] = {
#define X(name, key) [STAT_##name] = key,
        STAT_LIST(X)
#undef X
    };

    return keys[stat];
}

ssize_t stats_table_list(struct stats_table *table, struct stats ***ret, struct stats *ret_total)
{
    struct stats **list;
    size_t n = 0;

    pthread_mutex_lock(&table->mutex);
    list = calloc(table->n + 1, sizeof(struct stats *));
    if (!list) {
        pthread_mutex_unlock(&table->mutex);
        return -ENOMEM;
    }
    memset(ret_total, 0, sizeof *ret_total);
    add_all(ret_total, &table->gone);
    for (struct stats *stats = table->first; stats; stats = stats->next) {
        if (ref_if_held(stats))
            list[n++] = stats;
        else
            add_all(ret_total, stats); /* as good as gone: it waits for the mutex */
    }
    pthread_mutex_unlock(&table->mutex);
    for (size_t i = 0; i < n; i++)
        add_all(ret_total, list[i]);
    *ret = list;
    return (ssize_t)n;
}

void stats_list_free(struct stats **list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        stats_put(list[i]);
    free(list);
}
