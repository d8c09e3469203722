/* Reading, writing and shutting down a connection, whatever kind it is.
 *
 * Sealed TCP sockets, Unix targets and relays are ordinary stream sockets, and these three
 * functions are the plain system calls with -errno and without SIGPIPE. For kernel TLS they do what
 * TLS needs besides, see lib_ktls.c. They are the one place where kinds of connections are told
 * apart, so that programs which use them need not know which kind they have.
 *
 * What an fd is is not remembered: the kernel is asked, and only when it matters, which is at an
 * end, an error, a record that is not data, or when there is nothing yet.
 *
 * recvmsg, sendmsg, getsockopt and shutdown, with kernel TLS also ppoll, setsockopt, fcntl and
 * (where it is a system call) clock_gettime: a caller's seccomp filter may know no others.
 */
#include "client/fdial.h"

#include <errno.h>
#include <sys/uio.h>

#include "client/ktls.h"

/* What has the same meaning with kernel TLS as without. */
#define RECV_FLAGS (MSG_DONTWAIT | MSG_WAITALL | MSG_NOSIGNAL)

/* A FIN without close_notify may be anybody's; a socket that is sealed but plain has no other
 * end. */
static int judge_end(int fd)
{
    return ktls_get_version(fd, KTLS_RX) != 0 ? -ECONNABORTED : 0;
}

/* A record that is not data, or data without a byte, behind which there is something else: 1 to go
 * on, or what is to be told. */
static int pass_over(struct ktls_input *in, const void *data, size_t n)
{
    int r = in->type == KTLS_DATA ? 1 : ktls_take_record(in, data, n);

    return r > 0 && in->is_interrupted ? -EINTR : r;
}

static ssize_t receive(struct ktls_input *in, void *buf, size_t n)
{
    ssize_t r;

    do {
        r = ktls_receive(in, buf, n);
        if (r >= 0 && in->type == KTLS_NONE)
            return r > 0 || n == 0 ? r : judge_end(in->fd);
        if (r > 0 && in->type == KTLS_DATA)
            return r;
        if (r == -EAGAIN)
            r = ktls_await(in);
        else if (r >= 0)
            r = pass_over(in, buf, (size_t)r);
    } while (r > 0);
    return r;
}

ssize_t fdial_recv(int fd, void *buf, size_t n, int flags)
{
    bool is_kernel_waiting = flags & MSG_WAITALL; /* it alone can put together what comes */
    struct ktls_input in = {.fd = fd,
                            .flags = is_kernel_waiting ? flags : flags | MSG_DONTWAIT,
                            .may_wait = !is_kernel_waiting && !(flags & MSG_DONTWAIT)};
    ssize_t r;

    if ((flags & ~RECV_FLAGS) != 0 && ktls_get_version(fd, KTLS_RX) != 0)
        return -EINVAL;
    r = receive(&in, buf, n);
    if (r > 0 && in.type == KTLS_DATA) {
        ktls_row_forget(fd);
        if ((size_t)r < n)
            ktls_announce_next(fd);
    }
    if (r == -EAGAIN || r == -EINTR)
        ktls_row_keep(&in);
    return r;
}

ssize_t fdial_send(int fd, const void *buf, size_t n, int flags)
{
    struct iovec iov = {.iov_base = (void *)(uintptr_t)buf, .iov_len = n};
    struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};
    ssize_t r = sendmsg(fd, &header, flags | MSG_NOSIGNAL);

    return r < 0 ? -errno : r;
}

/* The end of TLS goes first. Where it cannot be sent at all, the connection being dead or the
 * writing over already, the socket is shut down nevertheless. */
int fdial_shutdown(int fd, int how)
{
    int closed = 0;

    if ((how == SHUT_WR || how == SHUT_RDWR) && ktls_get_version(fd, KTLS_TX) != 0)
        closed = ktls_send_close(fd);
    if (closed == -EAGAIN || closed == -EINTR)
        return closed;
    if (shutdown(fd, how) < 0)
        return -errno;
    return closed == -EPIPE ? 0 : closed;
}
