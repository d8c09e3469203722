/* What a worker has done and has under way. Written by its thread alone, read by all: relaxed
 * atomics, no locks. Names are stable: `fdial status` prints them. What became of requests is
 * counted by rule: stats.h. */
#pragma once

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* X(name, "metric", "what it counts"): a metric that is not called …_total is a gauge. */
#define COUNTER_LIST(X)                                                                            \
    X(sessions, "fdial_sessions_opened_total", "Sessions that were opened.")                       \
    X(sessions_refused, "fdial_sessions_refused_total",                                            \
      "Sessions refused: over a limit, or identity unknown.")                                      \
    X(grants, "fdial_grants_made_total", "Grants that were made.")                                 \
    X(protocol_errors, "fdial_protocol_errors_total",                                              \
      "Sessions dropped because of a message that breaks the protocol.")                           \
    X(sessions_now, "fdial_sessions", "Sessions that are open.")                                   \
    X(grants_now, "fdial_grants", "Grants that somebody holds.")                                   \
    X(requests_now, "fdial_requests_in_flight", "Requests not yet answered.")                      \
    X(relays_now, "fdial_relays", "Relays that run.")                                              \
    X(ring_enters, "fdial_ring_enters_total", "Calls of io_uring_enter.")                          \
    X(ring_operations, "fdial_ring_operations_total", "Operations given to io_uring.")             \
    X(names_looked_up, "fdial_names_looked_up_total", "Names looked up.")                          \
    X(names_from_cache, "fdial_names_from_cache_total", "Names answered from the cache.")          \
    X(dns_queries, "fdial_dns_queries_total", "Queries sent to name servers.")                     \
    X(log_lines_left_out, "fdial_log_lines_left_out_total",                                        \
      "Log records left out because there were too many.")

struct counters {
#define X(name, metric, help) _Atomic uint64_t name;
    COUNTER_LIST(X)
#undef X
};

static inline void counter_add(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

static inline void counter_sub(_Atomic uint64_t *counter, uint64_t n)
{
    counter_add(counter, -n);
}

static inline void counter_set(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, n, memory_order_relaxed);
}

static inline uint64_t counter_get(_Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* Of n workers; offset: of the counter. */
static inline uint64_t counters_sum(struct counters *const *all, unsigned n, size_t offset)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < n; i++)
        sum += counter_get((_Atomic uint64_t *)((char *)all[i] + offset));
    return sum;
}
