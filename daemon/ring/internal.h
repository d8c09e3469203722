/* Shared by the files of ring/ only. */
#pragma once

#include <liburing.h>

#include "daemon/ring/ring.h"
#include "daemon/ring/timer.h"

struct completion {
    struct op *op;
    int res;
    uint32_t flags;
};

struct ring {
    struct io_uring uring;
    bool has_uring;
    bool is_sqpoll;
    struct ring_features features;
    uint64_t now_us;
    uint64_t n_enters;
    uint64_t n_ops;
    struct timer_heap timers;
    struct list ready; /* ops that are done without the kernel */
    struct fair_queue tasks;
    uint64_t heavy_us; /* when the last of them ended */
    struct io_uring_buf_ring *buffer_ring;
    uint8_t *buffers;
    struct msghdr message_header;       /* what multishot receives leave room for */
    struct sockaddr_storage *addresses; /* one a submission entry, see ring_connect() */
    struct completion batch[RING_COMPLETIONS];
#ifdef FDIAL_FAULT_INJECTION
    uint64_t fail_at; /* n_ops of the op to fail; 0: none */
    int fail_error;
#endif
};

#define RING_BUFFER_GROUP 0

/* setup.c */
int ring_setup(struct ring *ring, const struct ring_options *options, const char **ret_error);
void ring_teardown(struct ring *ring);

/* ops.c */
struct io_uring_sqe *ring_get_sqe(struct ring *ring);
void ring_prepare_setsockopt(struct io_uring_sqe *sqe, int fd, int level, int name,
                             const void *value, socklen_t n);
void ring_recycle_buffer(struct ring *ring, unsigned id);
