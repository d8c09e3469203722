/* The ring under valgrind, in test builds alone (FDIAL_MEMCHECK; elsewhere nothing is left of it).
 * Memcheck does not see what the kernel writes behind an operation, and as of 3.19 takes
 * io_uring_enter for a call that never waits: all other threads would stand still meanwhile. */
#pragma once

#include <liburing.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef FDIAL_MEMCHECK
#include <poll.h>
#include <valgrind/memcheck.h>

/* The kernel is about to write here. */
static inline void memcheck_expect_data(void *buf, size_t n)
{
    (void)VALGRIND_MAKE_MEM_DEFINED(buf, n);
}

#define MEMCHECK_WAIT_MS 10 /* kernels differ in when a ring with DEFER_TASKRUN wakes a poll */

/* Submits and waits a little, so that io_uring_enter need not. False: this is not valgrind. */
static inline bool memcheck_has_waited(struct io_uring *uring, uint64_t wait_us)
{
    struct pollfd pollfd = {.fd = uring->ring_fd, .events = POLLIN};

    if (!RUNNING_ON_VALGRIND)
        return false;
    io_uring_submit(uring);
    poll(&pollfd, 1,
         wait_us < MEMCHECK_WAIT_MS * 1000 ? (int)(wait_us + 999) / 1000 : MEMCHECK_WAIT_MS);
    return true;
}
#else
static inline void memcheck_expect_data(void *buf, size_t n)
{
    (void)buf;
    (void)n;
}

static inline bool memcheck_has_waited(struct io_uring *uring, uint64_t wait_us)
{
    (void)uring;
    (void)wait_us;
    return false;
}
#endif
