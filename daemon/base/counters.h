/* What a worker has done and has under way. Written by its thread alone, read by all: relaxed
 * atomics, no locks. Names are stable: `fdial status` prints them. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

/* X(name) */
#define COUNTER_LIST(X)                                                                            \
    X(sessions)         /* opened */                                                               \
    X(sessions_refused) /* at the limit, or identity unknown */                                    \
    X(grants)           /* made */                                                                 \
    X(protocol_errors)  /* sessions ended by ours for a bad message */                             \
    X(requests)                                                                                    \
    X(connected_tcp)                                                                               \
    X(connected_ktls)                                                                              \
    X(connected_relay)                                                                             \
    X(failed_request)                                                                              \
    X(failed_policy)                                                                               \
    X(failed_resolve)                                                                              \
    X(failed_connect)                                                                              \
    X(failed_proxy)                                                                                \
    X(failed_tls)                                                                                  \
    X(failed_upgrade)                                                                              \
    X(failed_starttls)                                                                             \
    X(failed_handoff)                                                                              \
    X(relays_clean)                                                                                \
    X(relays_truncated)                                                                            \
    X(relays_reset)                                                                                \
    X(relays_idle)                                                                                 \
    X(relays_drained)                                                                              \
    X(relays_lifetime)                                                                             \
    X(relay_bytes_sent)                                                                            \
    X(relay_bytes_received)                                                                        \
    X(sessions_now)                                                                                \
    X(grants_now)                                                                                  \
    X(requests_now)                                                                                \
    X(relays_now)                                                                                  \
    X(ring_enters)                                                                                 \
    X(ring_operations)                                                                             \
    X(names_looked_up)                                                                             \
    X(names_from_cache)                                                                            \
    X(dns_queries)

struct counters {
#define X(name) _Atomic uint64_t name;
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
