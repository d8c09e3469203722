/* Kernel TLS: waiting for records.
 *
 * recvmsg() of a socket that blocks goes on waiting behind each record without data, and begins its
 * time limit anew, so that a peer could keep a caller in it. Hence the waiting is done here, by
 * ppoll(), as the caller wants it: whether the socket blocks and for how long (SO_RCVTIMEO) is
 * asked for when there is something to wait for. Sockets without kernel TLS are left to the kernel.
 *
 * In the middle of a message the call cannot end. There a caller that does not want to wait, does
 * not any longer, or was interrupted, waits nevertheless, but not for as long as the peer likes.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

#include "client/ktls.h"
#include "client/session.h"

#define US_PER_MS 1000
#define MS_PER_S  1000
#define NS_PER_US 1000

static struct timespec duration_of(int64_t us)
{
    const int64_t us_per_s = MS_PER_S * US_PER_MS;

    return (struct timespec){.tv_sec = us / us_per_s, .tv_nsec = us % us_per_s * NS_PER_US};
}

/* Linux 6.1 announces a part of a record, again and again until its rest has come. */
static int64_t next_pause_us(struct ktls_input *in)
{
    if (in->pause_us == 0)
        in->pause_us = KTLS_PAUSE_MIN_US;
    else if (in->pause_us < KTLS_PAUSE_MAX_US)
        in->pause_us *= 2;
    return in->pause_us;
}

/* 1 when recvmsg() may have something, -EAGAIN at the deadline, or another error. */
static int wait_until(struct ktls_input *in, int64_t deadline_ms)
{
    struct pollfd polled = {.fd = in->fd, .events = POLLIN};
    int64_t left_us = INT64_MAX;
    bool is_pause = in->was_announced;
    struct timespec timeout;
    int r;

    if (deadline_ms != INT64_MAX) {
        left_us = (deadline_ms - session_now_ms()) * US_PER_MS;
        if (left_us <= 0)
            return -EAGAIN;
    }
    if (is_pause) {
        int64_t pause_us = next_pause_us(in);

        left_us = pause_us < left_us ? pause_us : left_us;
    }
    timeout = duration_of(left_us);
    r = ppoll(&polled, !is_pause, left_us == INT64_MAX ? NULL : &timeout, NULL);
    if (r < 0)
        return -errno;
    in->was_announced = r > 0;
    return 1;
}

/* The kernel takes limits of which the milliseconds have no place in an int64_t. */
static int64_t deadline_of(int fd)
{
    struct timeval limit = {0};
    socklen_t n = sizeof limit;
    int64_t limit_ms;

    if (getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, &n) < 0 || limit.tv_sec > INT32_MAX)
        return INT64_MAX;
    limit_ms = (int64_t)limit.tv_sec * MS_PER_S + (limit.tv_usec + US_PER_MS - 1) / US_PER_MS;
    return limit_ms > 0 ? session_now_ms() + limit_ms : INT64_MAX;
}

int ktls_await(struct ktls_input *in)
{
    if (!in->may_wait)
        return -EAGAIN;
    if (!in->knows_deadline) {
        if (ktls_get_version(in->fd, KTLS_RX) == 0) { /* before fcntl(): see lib_io.c */
            in->may_wait = false;
            in->flags &= ~MSG_DONTWAIT;
            return 1;
        }
        in->may_wait = (fcntl(in->fd, F_GETFL) & O_NONBLOCK) == 0;
        if (!in->may_wait)
            return -EAGAIN;
        in->deadline_ms = deadline_of(in->fd);
        in->knows_deadline = true;
    }
    return wait_until(in, in->deadline_ms);
}

int ktls_await_rest(struct ktls_input *in)
{
    int r = in->is_interrupted ? -EAGAIN : ktls_await(in);

    if (r == -EAGAIN) {
        in->flags |= MSG_DONTWAIT;
        if (in->rest_deadline_ms == 0)
            in->rest_deadline_ms = session_now_ms() + KTLS_MESSAGE_WAIT_MS;
        r = wait_until(in, in->rest_deadline_ms);
    }
    if (r == -EAGAIN)
        return -EPROTO;
    in->is_interrupted |= r == -EINTR;
    return r == -EINTR ? 1 : r;
}
