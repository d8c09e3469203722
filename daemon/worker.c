/* The thread makes its own ring (a ring has a single issuer) and resolver, listens, and turns the
 * ring until it is ordered to drain and nothing is left. Orders come as bits and a write to an
 * eventfd.
 */
#include "daemon/worker.h"

#include <assert.h>
#include <errno.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "daemon/base/clock.h"
#include "daemon/base/heap.h"
#include "daemon/base/log.h"
#include "daemon/front/grant.h"
#include "daemon/front/listener.h"
#include "daemon/front/peer.h"
#include "daemon/front/relays.h"
#include "daemon/gss/gss.h"
#include "proto/cleanup.h"

#define TRIM_PEAK_MIN 256      /* requests and relays at once; below, there is not much to gain */
#define TRIM_AFTER_US US_PER_S /* after it; nor is it done more often, as it costs milliseconds */

struct worker {
    struct worker_shared *shared;
    pthread_t thread;
    sem_t ready;
    int start_result;
    const char *start_error;
    int result;
    _Atomic unsigned orders;
    _Atomic(const struct config *) reloaded_to; /* for other threads to compare with */
    sem_t reloaded;                             /* posted when it has changed */
    int wake_fd;
    uint64_t wake_value;
    struct op wake_op;
    struct timer drain_timer;
    struct timer trim_timer;
    uint64_t peak;    /* most requests and relays at once since the memory was last trimmed */
    bool has_rest;    /* there was something left of a burst when it was trimmed */
    bool is_stopping; /* draining is over: only what is in flight */
    bool is_parting;  /* all relays have ended, the peers are told and closed */
    struct ring *ring;
    struct counters counters;
    struct front front;
    struct listener listeners[SOCKETS_MAX];
    size_t n_listeners;
};

static void take_config(struct worker *w)
{
    pthread_mutex_lock(&w->shared->mutex);
    config_unref(w->front.config);
    w->front.config = config_ref(w->shared->config);
    pthread_mutex_unlock(&w->shared->mutex);
}

static void reload(struct worker *w)
{
    int r;

    take_config(w);
    r = resolver_set_servers(w->front.env.resolver, w->front.config->nameservers);
    if (r < 0)
        log_error(
            "the name servers of before are asked, as those of the configuration cannot be set:"
            " %s",
            strerror(-r));
    atomic_store(&w->reloaded_to, w->front.config);
    sem_post(&w->reloaded);
}

static void close_all(struct timer *timer)
{
    struct worker *w = container_of(timer, struct worker, drain_timer);

    list_for_each (&w->front.grants, node)
        grant_close(container_of(node, struct grant, node));
    list_for_each (&w->front.peers, node)
        peer_close(container_of(node, struct peer, node));
}

/* The end of draining: what is left is cut off. */
static void stop(struct worker *w)
{
    if (w->is_stopping)
        return;
    w->is_stopping = true;
    ring_timer_clear(w->ring, &w->drain_timer);
    ring_cancel(w->ring, &w->wake_op);
}

static bool is_empty(const struct worker *w)
{
    return list_is_empty(&w->front.peers) && list_is_empty(&w->front.grants) &&
           list_is_empty(&w->front.relays);
}

/* In each turn from then on, for there may be relays whose result has only just gone out. How they
 * ended is told in the turn after the last one's end, to those who read; then all peers are closed.
 */
static void go_on_stopping(struct worker *w)
{
    relays_stop_all(&w->front, RELAY_END_DRAINED);
    if (is_empty(w))
        gss_link_stop(w->front.env.gss);
    if (w->is_parting || !list_is_empty(&w->front.relays))
        return;
    w->is_parting = true;
    timer_init(&w->drain_timer, close_all);
    ring_timer_set(w->ring, &w->drain_timer, ring_now_us(w->ring));
}

static void drain_timeout(struct timer *timer)
{
    stop(container_of(timer, struct worker, drain_timer));
}

static void drain(struct worker *w)
{
    if (w->front.is_draining)
        return;
    w->front.is_draining = true;
    for (size_t i = 0; i < w->n_listeners; i++)
        listener_stop(&w->listeners[i]);
    ring_timer_set(w->ring, &w->drain_timer,
                   ring_now_us(w->ring) + w->front.config->drain_timeout_us);
}

static void listen_to_all(struct worker *w)
{
    const struct sockets *sockets = w->shared->sockets;

    for (; w->n_listeners < sockets->n; w->n_listeners++)
        listener_start(&w->listeners[w->n_listeners], &w->front, sockets->items[w->n_listeners].fd,
                       sockets->items[w->n_listeners].name);
}

static uint64_t load(struct worker *w)
{
    return counter_get(&w->counters.requests_now) + counter_get(&w->counters.relays_now);
}

static void trim(struct timer *timer)
{
    struct worker *w = container_of(timer, struct worker, trim_timer);

    heap_trim();
    w->peak = load(w);
    w->has_rest = w->peak > 0;
}

/* After a burst free() gives little back: a few small chunks that the C library keeps for this
 * thread lie between what is free and the heap's end. So it is told to, when half is gone. */
static void watch_load(struct worker *w)
{
    uint64_t now = load(w);

    if (now > w->peak)
        w->peak = now;
    else if (((w->peak >= TRIM_PEAK_MIN && now <= w->peak / 2) || (w->has_rest && now == 0)) &&
             !w->trim_timer.is_set)
        ring_timer_set(w->ring, &w->trim_timer, ring_now_us(w->ring) + TRIM_AFTER_US);
}

static void woken(struct op *op, int res, uint32_t flags)
{
    struct worker *w = container_of(op, struct worker, wake_op);
    unsigned orders = atomic_exchange(&w->orders, 0);

    (void)flags;
    if (orders & WORKER_LISTEN)
        listen_to_all(w);
    if (orders & WORKER_RELOAD)
        reload(w);
    if (orders & WORKER_DRAIN)
        drain(w);
    if (res >= 0 && !w->is_stopping)
        ring_read(w->ring, &w->wake_op, w->wake_fd, &w->wake_value, sizeof w->wake_value);
}

static int set_up(struct worker *w, const char **ret_error)
{
    struct worker_shared *shared = w->shared;
    struct ring_options ring_options;
    struct resolver_options resolver_options;
    int r;

    take_config(w);
    ring_options = (struct ring_options){.sqpoll = w->front.config->sqpoll};
    resolver_options = (struct resolver_options){.servers = w->front.config->nameservers};
    r = ring_new(&w->ring, &ring_options, ret_error);
    if (r < 0)
        return r;
    w->front.env.ring = w->ring;
    w->front.env.caps = &shared->caps;
    w->front.quotas = shared->quotas;
    w->front.counters = &w->counters;
    w->front.status = &shared->status;
    w->front.undecided = shared->undecided;
    w->front.untaken_max = untaken_max();
    r = own_addresses_new(&w->front.env.own);
    if (r == 0)
        r = resolver_new(&w->front.env.resolver, w->ring, &resolver_options);
    if (r < 0) {
        *ret_error = "cannot start the resolver";
        return r;
    }
    r = gss_link_new(&w->front.env.gss, w->ring, shared->keeper);
    if (r < 0) {
        *ret_error = "cannot connect to the GSSAPI helper";
        return r;
    }
    op_init(&w->wake_op, woken);
    timer_init(&w->drain_timer, drain_timeout);
    timer_init(&w->trim_timer, trim);
    ring_read(w->ring, &w->wake_op, w->wake_fd, &w->wake_value, sizeof w->wake_value);
    return 0;
}

static void tear_down(struct worker *w)
{
    if (w->ring)
        audit_deinit(&w->front);
    resolver_free(w->front.env.resolver);
    own_addresses_free(w->front.env.own);
    ring_free(w->ring);
    gss_link_free(w->front.env.gss); /* the ring may have received into it until now */
    config_unref(w->front.config);
}

static bool is_accepting(const struct worker *w)
{
    for (size_t i = 0; i < w->n_listeners; i++) {
        if (op_is_pending(&w->listeners[i].accept_op))
            return true;
    }
    return false;
}

/* While draining: whether anything is still worth waiting for. */
static bool is_busy(struct worker *w)
{
    if (!list_is_empty(&w->front.relays))
        return true;
    return counter_get(&w->counters.requests_now) > 0;
}

static bool is_over(const struct worker *w)
{
    return w->is_parting && is_empty(w) && gss_link_has_stopped(w->front.env.gss) &&
           !op_is_pending(&w->wake_op) && !is_accepting(w);
}

static void publish_counters(struct worker *w)
{
    struct resolver_stats stats;

    resolver_stats(w->front.env.resolver, &stats);
    counter_set(&w->counters.ring_enters, ring_enters(w->ring));
    counter_set(&w->counters.ring_operations, ring_ops(w->ring));
    counter_set(&w->counters.names_looked_up, stats.lookups);
    counter_set(&w->counters.names_from_cache, stats.cache_hits);
    counter_set(&w->counters.dns_queries, stats.queries);
}

/* A second SIGTERM would cut the draining of the other workers short. */
static void break_down(struct worker *w, int error)
{
    log_error("io_uring broke down: %s; the daemon ends", strerror(-error));
    w->result = error;
    if (!atomic_exchange(&w->shared->has_broken_down, true))
        kill(getpid(), SIGTERM);
}

static void loop(struct worker *w)
{
    while (!is_over(w)) {
        int r = ring_turn(w->ring);

        if (r < 0) {
            break_down(w, r);
            return;
        }
        publish_counters(w);
        watch_load(w);
        if (w->front.is_draining && !is_busy(w))
            stop(w);
        if (w->is_stopping)
            go_on_stopping(w);
    }
}

static void *run(void *data)
{
    struct worker *w = data;

    w->start_result = set_up(w, &w->start_error);
    sem_post(&w->ready);
    if (w->start_result == 0)
        loop(w);
    if (w->result == 0)
        tear_down(w);
    return NULL;
}

/* All signals are the main thread's. */
static int start_thread(struct worker *w)
{
    sigset_t all, old;
    int r;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    r = -pthread_create(&w->thread, NULL, run, w);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return r;
}

struct worker *worker_free(struct worker *w)
{
    fd_close(w->wake_fd);
    sem_destroy(&w->ready);
    sem_destroy(&w->reloaded);
    free(w);
    return NULL;
}

int worker_new(struct worker **ret, struct worker_shared *shared, unsigned number,
               const char **ret_error)
{
    struct worker *w = calloc(1, sizeof *w);
    int r;

    *ret_error = "cannot start a worker thread";
    if (!w)
        return -ENOMEM;
    w->shared = shared;
    front_init(&w->front);
    w->front.env.worker = number;
    sem_init(&w->ready, 0, 0);
    sem_init(&w->reloaded, 0, 0);
    w->wake_fd = eventfd(0, EFD_CLOEXEC);
    r = w->wake_fd < 0 ? -errno : start_thread(w);
    if (r < 0) {
        worker_free(w);
        return r;
    }
    while (sem_wait(&w->ready) < 0 && errno == EINTR)
        ;
    r = w->start_result;
    if (r < 0) {
        *ret_error = w->start_error;
        pthread_join(w->thread, NULL);
        worker_free(w);
        return r;
    }
    *ret = w;
    return 0;
}

struct counters *worker_counters(struct worker *worker)
{
    return &worker->counters;
}

void worker_order(struct worker *w, enum worker_order order)
{
    const uint64_t one = 1;
    ssize_t n;

    atomic_fetch_or(&w->orders, order);
    n = write(w->wake_fd, &one, sizeof one);
    assert(n == sizeof one);
    (void)n;
}

bool worker_await_reload(struct worker *w, const struct config *config)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += WORKER_RELOAD_MAX_S;
    while (atomic_load(&w->reloaded_to) != config) {
        if (sem_clockwait(&w->reloaded, CLOCK_MONOTONIC, &until) < 0 && errno != EINTR)
            return false;
    }
    return true;
}

int worker_join(struct worker *w)
{
    pthread_join(w->thread, NULL);
    return w->result;
}
