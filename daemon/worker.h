/* A worker: one thread with its ring, resolver and sessions. Workers share the listening sockets,
 * the configuration snapshot and the quotas. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "daemon/sockets.h"
#include "daemon/front/front.h"

#define WORKER_RELOAD_MAX_S 10 /* for one to take a new configuration */

struct worker;

/* What all workers get; outlives them. */
struct worker_shared {
    pthread_mutex_t mutex;
    struct config *config; /* the current one; under the mutex */
    struct quota_table *quotas;
    struct stats *undecided; /* of the rule "" */
    const struct sockets *sockets;
    struct capabilities caps;
    struct gss_keeper *keeper;
    struct status_source status;
    atomic_bool has_broken_down; /* a ring: nothing can be freed any more */
};

/* Starts the thread and waits until it is ready. Returns 0 or -errno with a sentence, static. */
int worker_new(struct worker **ret, struct worker_shared *shared, unsigned number,
               const char **ret_error);
struct counters *worker_counters(struct worker *worker);

enum worker_order {
    WORKER_LISTEN = 1, /* take sessions: all workers are there */
    WORKER_RELOAD = 2, /* take the current configuration for new requests */
    WORKER_DRAIN = 4,  /* nothing new; end when all is over, or at the drain timeout */
};

/* From another thread. */
void worker_order(struct worker *worker, enum worker_order order);
/* After WORKER_RELOAD: waits until it decides by this configuration. Returns false when it has not
 * come to that in WORKER_RELOAD_MAX_S. For one thread at a time. */
bool worker_await_reload(struct worker *worker, const struct config *config);
/* Waits for its end (after WORKER_DRAIN). Returns 0, or -errno if it broke down: then it must not
 * be freed, for the kernel may still write to what its ring was given. */
int worker_join(struct worker *worker);
/* When all have been joined, for those that still run read the counters of each. */
struct worker *worker_free(struct worker *worker);
