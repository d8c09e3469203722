/* The event loop: one io_uring per worker thread. The only module that knows io_uring.
 *
 * An operation in flight is a `struct op` embedded in its owner. Callbacks never run inside the
 * function that starts an operation, only from ring_turn(). An owner may be freed when none of its
 * ops is pending; ring_cancel() hurries a pending one to its end, it still calls back (-ECANCELED,
 * or whatever it came to). An fd must not be closed while an op on it is pending.
 *
 * What a call is given by pointer must stay alive until the callback, except where said.
 * Results are as from the system call: >= 0, or -errno.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "daemon/base/fair.h"
#include "daemon/base/list.h"

#define RING_ENTRIES        1024 /* submission queue */
#define RING_COMPLETIONS    8192
#define RING_BUFFERS        64    /* receive buffers shared by all multishot receives of a ring */
#define RING_BUFFER_SIZE    16640 /* one request (16 KiB) and the kernel's head before it */
#define RING_HEAVY_PAUSE_US 2000  /* for how long what is cheap may come before a heavy task */

struct ring;

struct op;
typedef void op_fn(struct op *op, int res, uint32_t flags);

struct op {
    op_fn *fn;
    bool is_pending;
    bool is_ready;    /* done without the kernel, the callback is due */
    int result;       /* in that case */
    struct list node; /* among those */
};

static inline void op_init(struct op *op, op_fn *fn)
{
    *op = (struct op){.fn = fn};
}

struct timer;
typedef void timer_fn(struct timer *timer);

struct timer {
    timer_fn *fn;
    uint64_t at_us; /* CLOCK_MONOTONIC */
    bool is_set;
    struct timer *child; /* pairing heap: first child, next sibling, */
    struct timer *sibling;
    struct timer *prev; /* previous sibling, or the parent */
};

/* Work that costs much CPU (a handshake step): one between two enters, when there is nothing cheap
 * to do, or was for too long. Those on whose behalf it is done have their turn one after the other,
 * each with his own lane. */
struct task;
typedef void task_fn(struct task *task);

struct task {
    task_fn *fn;
    struct fair_lane *lane;
    struct list node;
};

struct ring_options {
    bool sqpoll;
};

/* What the kernel offers, found out at start. */
struct ring_features {
    bool has_setsockopt; /* IORING_OP_URING_CMD with SOCKET_URING_OP_SETSOCKOPT (6.7) */
    unsigned entries;    /* what RLIMIT_MEMLOCK left of RING_ENTRIES */
};

/* Makes the ring in the calling thread, which alone may use it. Returns 0 or -errno with a sentence
 * (cause and cure) in *ret_error, a static string. */
int ring_new(struct ring **ret, const struct ring_options *options, const char **ret_error);
struct ring *ring_free(struct ring *ring);
const struct ring_features *ring_features(const struct ring *ring);

/* Submits everything wanted, waits for at least one completion or timer, runs what is due.
 * Returns 0 or -errno (fatal). */
int ring_turn(struct ring *ring);
/* Time of the current turn; cheap. */
uint64_t ring_now_us(const struct ring *ring);
/* Counted since start, for status and benchmarks. */
uint64_t ring_enters(const struct ring *ring);
uint64_t ring_ops(const struct ring *ring);

void ring_socket(struct ring *ring, struct op *op, int family, int type, int protocol);
/* The address is copied. */
void ring_connect(struct ring *ring, struct op *op, int fd, const struct sockaddr *sa, socklen_t n);
/* One connection, and so one in each turn, however many knock: multishot would take all at once. */
void ring_accept(struct ring *ring, struct op *op, int fd);
void ring_recv(struct ring *ring, struct op *op, int fd, void *buf, size_t n, int flags);
void ring_send(struct ring *ring, struct op *op, int fd, const void *buf, size_t n, int flags);
void ring_sendmsg(struct ring *ring, struct op *op, int fd, const struct msghdr *msg, int flags);
void ring_poll(struct ring *ring, struct op *op, int fd, short events);
/* Multishot: calls back with the events (POLLRDHUP, POLLHUP, POLLERR are always among those waited
 * for) each time the fd's state changes, until !op_is_pending. */
void ring_poll_changes(struct ring *ring, struct op *op, int fd);
void ring_read(struct ring *ring, struct op *op, int fd, void *buf, size_t n);

/* Multishot receive of whole messages with the sender's credentials (SO_PASSCRED must be on) into
 * the ring's own buffers. No fd is ever accepted. When the callback gets res >= 0,
 * ring_message_get() takes the completion apart; the bytes are valid inside the callback only.
 * It ends (not pending any more) at EOF, on an error and with -ENOBUFS; re-arm after the last. */
struct ring_message {
    const uint8_t *data;
    size_t n;
    bool is_truncated; /* longer than a buffer */
    bool has_creds;
    struct ucred creds;
};
void ring_recv_messages(struct ring *ring, struct op *op, int fd);
/* Returns 0, or -ENODATA at the end of the stream. */
int ring_message_get(struct ring *ring, int res, uint32_t flags, struct ring_message *ret);

/* SOL_SOCKET, IPPROTO_TCP … on a socket. Where the kernel cannot do it in the ring, setsockopt(2)
 * is called at once and the callback runs in the next turn. */
void ring_setsockopt(struct ring *ring, struct op *op, int fd, int level, int name,
                     const void *value, socklen_t n);
/* The same, best effort: nobody is told, and the value must be static. */
void ring_setsockopt_quietly(struct ring *ring, int fd, int level, int name, const void *value,
                             socklen_t n);
/* Closes in the ring, nobody is told. No op may be pending on fd. Negative: nothing. */
void ring_close_consume_fd(struct ring *ring, int fd);
void ring_cancel(struct ring *ring, struct op *op);

static inline bool op_is_pending(const struct op *op)
{
    return op->is_pending;
}

void timer_init(struct timer *timer, timer_fn *fn);
/* Sets or moves; a time in the past fires in the next turn. */
void ring_timer_set(struct ring *ring, struct timer *timer, uint64_t at_us);
void ring_timer_clear(struct ring *ring, struct timer *timer);

void task_init(struct task *task, struct fair_lane *lane, task_fn *fn);
void ring_post(struct ring *ring, struct task *task);
void task_clear(struct task *task);

#ifdef FDIAL_FAULT_INJECTION
/* The nth op from now on (1: the next) fails with -error without reaching the kernel.
 * ring_ops() counts them. */
void ring_fail_nth(struct ring *ring, uint64_t nth, int error);
/* From now on socket options are set by setsockopt(2), which a test can define. */
void ring_forget_setsockopt(struct ring *ring);
#endif
