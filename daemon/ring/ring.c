/* The loop. One turn: submit what is wanted and wait in one io_uring_enter; copy all completions
 * out and advance the queue once; run the callbacks; run timers; then perhaps one heavy task.
 *
 * Callbacks run from the copy, so they may start and cancel operations freely. user_data is the
 * op's address. It needs no generation: an op is reused only after its completion was reaped, and
 * its new submission stands behind any earlier cancel request in the submission queue.
 */
#include "daemon/ring/internal.h"

#include <errno.h>
#include <stdlib.h>

#include "daemon/base/clock.h"
#include "daemon/ring/memcheck.h"

int ring_new(struct ring **ret, const struct ring_options *options, const char **ret_error)
{
    struct ring *ring = calloc(1, sizeof *ring);
    int r;

    if (!ring) {
        *ret_error = "out of memory";
        return -ENOMEM;
    }
    list_init(&ring->ready);
    fair_queue_init(&ring->tasks);
    ring->now_us = clock_now_us();
    r = ring_setup(ring, options, ret_error);
    if (r < 0) {
        ring_free(ring);
        return r;
    }
    *ret = ring;
    return 0;
}

struct ring *ring_free(struct ring *ring)
{
    if (!ring)
        return NULL;
    ring_teardown(ring);
    free(ring);
    return NULL;
}

const struct ring_features *ring_features(const struct ring *ring)
{
    return &ring->features;
}

uint64_t ring_now_us(const struct ring *ring)
{
    return ring->now_us;
}

uint64_t ring_enters(const struct ring *ring)
{
    return ring->n_enters;
}

uint64_t ring_ops(const struct ring *ring)
{
    return ring->n_ops;
}

/* How long the turn may wait for a completion; UINT64_MAX: until there is one. */
static uint64_t wait_time_us(struct ring *ring)
{
    if (!list_is_empty(&ring->ready) || !fair_is_empty(&ring->tasks))
        return 0;
    if (!ring->timers.root)
        return UINT64_MAX;
    ring->now_us = clock_now_us();
    return ring->timers.root->at_us > ring->now_us ? ring->timers.root->at_us - ring->now_us : 0;
}

/* One enter that submits everything and, unless something is to be done at once, waits for a
 * completion or the next timer. */
static int submit_and_wait(struct ring *ring)
{
    uint64_t wait_us = wait_time_us(ring);
    struct __kernel_timespec ts;
    struct io_uring_cqe *cqe;
    int r;

    ring->n_enters++;
    if (memcheck_has_waited(&ring->uring, wait_us))
        wait_us = 0;
    if (wait_us == UINT64_MAX) {
        r = io_uring_submit_and_wait(&ring->uring, 1);
        return r < 0 && r != -EINTR ? r : 0;
    }
    ts.tv_sec = (long long)(wait_us / US_PER_S);
    ts.tv_nsec = (long long)(wait_us % US_PER_S * 1000);
    r = io_uring_submit_and_wait_timeout(&ring->uring, &cqe, 1, &ts, NULL);
    return r < 0 && r != -EINTR && r != -ETIME ? r : 0;
}

static unsigned reap(struct ring *ring)
{
    struct io_uring_cqe *cqe;
    unsigned head, seen = 0, n = 0;

    io_uring_for_each_cqe(&ring->uring, head, cqe)
    {
        seen++;
        /* Cancels and closes carry no op; nobody waits for them. */
        if (cqe->user_data != 0)
            ring->batch[n++] =
                (struct completion){(struct op *)(uintptr_t)cqe->user_data, cqe->res, cqe->flags};
        if (seen == RING_COMPLETIONS)
            break;
    }
    io_uring_cq_advance(&ring->uring, seen);
    return n;
}

static void run_completions(struct ring *ring, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        const struct completion *c = &ring->batch[i];

        if (!(c->flags & IORING_CQE_F_MORE))
            c->op->is_pending = false;
        c->op->fn(c->op, c->res, c->flags);
        if (c->flags & IORING_CQE_F_BUFFER)
            ring_recycle_buffer(ring, c->flags >> IORING_CQE_BUFFER_SHIFT);
    }
}

/* Those that were there at the start of the turn: what callbacks add waits for the next. */
static void run_ready(struct list *ready)
{
    struct list *node;

    while ((node = list_pop(ready))) {
        struct op *op = container_of(node, struct op, node);

        op->is_pending = false;
        op->is_ready = false;
        op->fn(op, op->result, 0);
    }
}

static void run_timers(struct ring *ring)
{
    while (ring->timers.root && ring->timers.root->at_us <= ring->now_us) {
        struct timer *timer = ring->timers.root;

        timer_heap_remove(&ring->timers, timer);
        timer->fn(timer);
    }
}

/* The kernel hands completions out in the order they came up, a few dozen in a turn: a heavy task
 * in each such turn would make those of everybody wait that stand behind a burst of some user. */
static void run_task(struct ring *ring, bool is_cheap_turn)
{
    struct task *task;
    struct list *node;

    if (is_cheap_turn && ring->now_us - ring->heavy_us < RING_HEAVY_PAUSE_US)
        return;
    node = fair_pop(&ring->tasks);
    if (!node)
        return;
    if (io_uring_sq_ready(&ring->uring) > 0) {
        ring->n_enters++;
        io_uring_submit(&ring->uring); /* if it fails, the next enter makes up for it */
    }
    task = container_of(node, struct task, node);
    task->fn(task);
    ring->heavy_us = clock_now_us();
}

int ring_turn(struct ring *ring)
{
    struct list ready;
    bool is_cheap_turn;
    unsigned n;
    int r;

    r = submit_and_wait(ring);
    /* EBUSY, EAGAIN: the completion queue is full or memory is short; reaping is the cure. */
    if (r < 0 && r != -EBUSY && r != -EAGAIN)
        return r;
    ring->now_us = clock_now_us();
    list_move(&ring->ready, &ready);
    is_cheap_turn = !list_is_empty(&ready);
    n = reap(ring);
    run_completions(ring, n);
    run_ready(&ready);
    run_timers(ring);
    run_task(ring, is_cheap_turn || n > 0);
    return 0;
}

void timer_init(struct timer *timer, timer_fn *fn)
{
    *timer = (struct timer){.fn = fn};
}

void ring_timer_set(struct ring *ring, struct timer *timer, uint64_t at_us)
{
    ring_timer_clear(ring, timer);
    timer->at_us = at_us;
    timer_heap_add(&ring->timers, timer);
}

void ring_timer_clear(struct ring *ring, struct timer *timer)
{
    if (timer->is_set)
        timer_heap_remove(&ring->timers, timer);
}

void task_init(struct task *task, struct fair_lane *lane, task_fn *fn)
{
    task->fn = fn;
    task->lane = lane;
    list_init(&task->node);
}

void ring_post(struct ring *ring, struct task *task)
{
    if (list_is_empty(&task->node))
        fair_push(&ring->tasks, task->lane, &task->node);
}

void task_clear(struct task *task)
{
    fair_remove(task->lane, &task->node);
}
