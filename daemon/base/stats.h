/* What became of requests, counted by the name of the rule that decided; where none did, the name
 * is "". A count outlives reloads as long as a rule of that name is there. Safe from all threads:
 * relaxed atomics, and a mutex for the names only. */
#pragma once

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/error.h"
#include "proto/message.h"

/* X(NAME, "key") as `fdial status` prints them */
#define STAT_LIST(X)                                                                               \
    X(UNDECIDED, "requests_undecided") /* failed before any decision */                            \
    X(ALLOWED, "requests_allowed")                                                                 \
    X(DENIED, "requests_denied")                                                                   \
    X(CONNECTED_TCP, "connected_tcp") /* connections handed over */                                \
    X(CONNECTED_KTLS, "connected_ktls")                                                            \
    X(CONNECTED_RELAY, "connected_relay")                                                          \
    X(TLS_RESUMED, "tls_resumed")   /* of them, with a target's TLS session from before */         \
    X(RELAYS_CLEAN, "relays_clean") /* relays ended, in the order of enum relay_end */             \
    X(RELAYS_TRUNCATED, "relays_truncated")                                                        \
    X(RELAYS_RESET, "relays_reset")                                                                \
    X(RELAYS_IDLE, "relays_idle")                                                                  \
    X(RELAYS_DRAINED, "relays_drained")                                                            \
    X(RELAYS_LIFETIME, "relays_lifetime")                                                          \
    X(RELAY_BYTES_SENT, "relay_bytes_sent") /* of relays that have ended */                        \
    X(RELAY_BYTES_RECEIVED, "relay_bytes_received")

enum stats_key {
#define X(name, key) STAT_##name,
    STAT_LIST(X)
#undef X
        STAT_COUNT,
};

#define STATS_STAGES STAGE_HANDOFF /* they count from 1 */

enum {
#define X(name, number, stage, error, text) STATS_INDEX_##name,
    ERROR_LIST(X)
#undef X
        STATS_CODES,
};

struct stats_table;

struct stats {
    struct stats *next; /* the table's */
    struct stats_table *table;
    _Atomic unsigned n_references;
    _Atomic uint64_t values[STAT_COUNT];
    _Atomic uint64_t failed[STATS_STAGES][STATS_CODES]; /* requests */
    char rule[];
};

int stats_table_new(struct stats_table **ret);
struct stats_table *stats_table_free(struct stats_table *table); /* NULL is fine; returns NULL */

/* The counts of a rule, from 0 where the name is new. NULL without memory. */
struct stats *stats_get(struct stats_table *table, const char *rule);
struct stats *stats_ref(struct stats *stats);
struct stats *stats_put(struct stats *stats); /* NULL is fine; returns NULL */

static inline void stats_add(struct stats *stats, enum stats_key stat, uint64_t n)
{
    atomic_fetch_add_explicit(&stats->values[stat], n, memory_order_relaxed);
}

static inline uint64_t stats_value(struct stats *stats, enum stats_key stat)
{
    return atomic_load_explicit(&stats->values[stat], memory_order_relaxed);
}

/* code: an index, stats_code() */
static inline uint64_t stats_failed(struct stats *stats, enum stage stage, size_t code)
{
    return atomic_load_explicit(&stats->failed[stage - 1][code], memory_order_relaxed);
}

/* One request has failed like this. */
void stats_add_failure(struct stats *stats, enum stage stage, enum error_code code);
enum stats_key stats_of_relay_end(enum relay_end end);
enum stats_key stats_of_handoff(enum handoff kind);

const char *stats_key_name(enum stats_key stat);
enum error_code stats_code(size_t index); /* of failed[][index] */

/* All that are there now, each referenced, the oldest first. `ret_total` gets the sum of them and
 * of those that have gone. Returns how many, or -ENOMEM. */
ssize_t stats_table_list(struct stats_table *table, struct stats ***ret, struct stats *ret_total);
/* Puts them and frees the list. */
void stats_list_free(struct stats **list, size_t n);
