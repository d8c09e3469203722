/* One connection in one call. It opens a session of its own and closes it: at the hand-over the
 * daemon is done, and a relay lives on without the session. */
#include "client/session.h"

#include <errno.h>
#include <fcntl.h>

#include "proto/cleanup.h"

static void closep(struct fdial **d)
{
    fdial_close(*d);
}

static void request_freep(struct fdial_request **r)
{
    fdial_request_free(*r);
}

static void result_freep(struct fdial_result **r)
{
    fdial_result_free(*r);
}

/* O_NONBLOCK belongs to the open file, so whoever had it before may have left it on. */
static int set_blocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0)
        return -errno;
    if ((flags & O_NONBLOCK) && fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0)
        return -errno;
    return 0;
}

int fdial(const char *target)
{
    CLEANUP(request_freep) struct fdial_request *request = NULL;
    CLEANUP(result_freep) struct fdial_result *result = NULL;
    CLEANUP(closep) struct fdial *d = NULL;
    CLEANUP(fd_closep) int fd = -1;
    int r;

    r = fdial_request_new(&request, target);
    if (r < 0)
        return r;
    r = fdial_open(&d, NULL);
    if (r < 0)
        return r;
    r = fdial_submit(d, request, 1);
    if (r < 0)
        return r;
    r = fdial_next(d, &result, MESSAGE_TIMEOUT_MS_DEFAULT + ONESHOT_GRACE_MS);
    if (r < 0)
        return r;
    if (r == 0)
        return -ETIMEDOUT;
    r = fdial_result_error(result);
    if (r < 0)
        return r;
    fd = fdial_result_take_fd(result, 0);
    r = set_blocking(fd);
    if (r < 0)
        return r;
    return TAKE_FD(fd);
}
