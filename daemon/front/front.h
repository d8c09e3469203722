/* The Unix side of one worker: what its listeners, sessions and requests share. */
#pragma once

#include "daemon/base/counters.h"
#include "daemon/base/list.h"
#include "daemon/base/quota.h"
#include "daemon/base/stats.h"
#include "daemon/conn/conn.h"
#include "daemon/front/audit.h"
#include "daemon/front/untaken.h"
#include "daemon/policy/config.h"
#include "proto/wire.h"

#define SESSIONS_MAX          16384                /* per worker; user_has_room() */
#define SESSIONS_PER_USER_MAX 4096                 /* in all workers */
#define OUTGOING_PER_USER_MAX (UINT32_C(64) << 20) /* bytes of messages not yet sent, likewise */
#define SESSION_PENDING_MAX   4096 /* requests in flight in one session, whatever the rules say */
#define SESSION_OUTBOX_EXTRA  64   /* messages waiting besides results; beyond: it is dropped */
#define SEND_PARALLEL_MAX     128  /* messages of one session with the kernel at once */
#define HELLO_TIMEOUT_US      (30 * UINT64_C(1000000)) /* for a client to say hello */
#define DELIVERY_TIMEOUT_US   (30 * UINT64_C(1000000)) /* for a client to take a result */
#define REQUEST_BUCKETS       4096                     /* of the table of requests by id */
#define USER_BUCKETS          256

/* Of the whole daemon, for `status`. */
struct status_source {
    uint64_t start_us;
    struct counters **counters; /* of all workers */
    unsigned n_workers;
    _Atomic size_t n_rules; /* in the current configuration */
    struct stats_table *stats;
};

struct front {
    struct conn_env env;
    struct config *config; /* what new requests are decided by */
    struct quota_table *quotas;
    struct counters *counters;
    const struct status_source *status;
    struct stats *undecided; /* of the rule "": where none decided */
    struct list peers;
    struct list grants;
    struct list relays;
    struct list requests[REQUEST_BUCKETS]; /* of all sessions, by session and id */
    struct list users[USER_BUCKETS];       /* who have a session */
    unsigned untaken_max;                  /* of a user; untaken.c */
    bool is_draining;                      /* no new sessions and requests */
    struct audit audit;
    uint8_t scratch[WIRE_MESSAGE_MAX];
};

/* Its lists; the rest is the caller's to fill in. */
static inline void front_init(struct front *front)
{
    list_init(&front->peers);
    list_init(&front->grants);
    list_init(&front->relays);
    audit_init(&front->audit);
    front->untaken_max = UNTAKEN_PER_USER_MAX;
    for (size_t i = 0; i < REQUEST_BUCKETS; i++)
        list_init(&front->requests[i]);
    for (size_t i = 0; i < USER_BUCKETS; i++)
        list_init(&front->users[i]);
}
