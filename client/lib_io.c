/* Reading, writing and shutting down a connection, whatever kind it is.
 *
 * Sealed TCP sockets, Unix targets and relays are ordinary stream sockets, and these three
 * functions are the plain system calls with -errno and without SIGPIPE. For kernel TLS they do what
 * TLS needs besides, see lib_ktls.c. They are the one place where kinds of connections are told
 * apart, so that programs which use them need not know which kind they have.
 *
 * Nothing is remembered about an fd: the kernel is asked what it is, and only when it matters,
 * which is at an end, an error, or a record that is not data.
 *
 * recvmsg, sendmsg, poll, getsockopt and shutdown: a caller's seccomp filter may know no others.
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

ssize_t fdial_recv(int fd, void *buf, size_t n, int flags)
{
    struct ktls_input in = {.fd = fd, .flags = flags};

    if ((flags & ~RECV_FLAGS) != 0 && ktls_get_version(fd, KTLS_RX) != 0)
        return -EINVAL;
    do {
        ssize_t r = ktls_receive(&in, buf, n);

        if (r < 0)
            return r;
        if (in.type == KTLS_NONE)
            return r > 0 || n == 0 ? r : judge_end(fd);
        if (in.type == KTLS_DATA && r > 0)
            return r;
        /* Data without a byte are empty records, and no end: something else is behind them. */
        if (in.type != KTLS_DATA) {
            r = ktls_take_record(&in, buf, (size_t)r);
            if (r <= 0)
                return r;
            if (in.is_interrupted)
                return -EINTR;
        }
    } while (in.n_records <= KTLS_RECORDS_MAX);
    return -EPROTO;
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
