/* For LD_PRELOAD: io_uring works until the file $BREAK_RING is there, and then fails for good. */
#include <dlfcn.h>
#include <errno.h>
#include <liburing.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))

static bool is_broken(void)
{
    const char *path = getenv("BREAK_RING");

    return path && access(path, F_OK) == 0;
}

EXPORTED int io_uring_submit_and_wait(struct io_uring *ring, unsigned wait_nr)
{
    int (*real)(struct io_uring *, unsigned) = dlsym(RTLD_NEXT, "io_uring_submit_and_wait");

    return is_broken() ? -EBADF : real(ring, wait_nr);
}

EXPORTED int io_uring_submit_and_wait_timeout(struct io_uring *ring, struct io_uring_cqe **cqe_ptr,
                                              unsigned wait_nr, struct __kernel_timespec *ts,
                                              sigset_t *sigmask)
{
    int (*real)(struct io_uring *, struct io_uring_cqe **, unsigned, struct __kernel_timespec *,
                sigset_t *) = dlsym(RTLD_NEXT, "io_uring_submit_and_wait_timeout");

    return is_broken() ? -EBADF : real(ring, cqe_ptr, wait_nr, ts, sigmask);
}
