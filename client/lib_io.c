/* Reading, writing and shutting down a connection, whatever kind it is.
 *
 * Sealed TCP sockets, Unix targets and relays are ordinary stream sockets, and these three
 * functions are the plain system calls with -errno and without SIGPIPE. They are the one place
 * where kinds of connections are told apart, so that programs which use them need not know which
 * kind they have.
 */
#include "client/fdial.h"

#include <errno.h>
#include <sys/uio.h>

/* recvmsg and sendmsg, because a caller's seccomp filter may know no others. */
ssize_t fdial_recv(int fd, void *buf, size_t n, int flags)
{
    struct iovec iov = {.iov_base = buf, .iov_len = n};
    struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};
    ssize_t r = recvmsg(fd, &header, flags);

    return r < 0 ? -errno : r;
}

ssize_t fdial_send(int fd, const void *buf, size_t n, int flags)
{
    struct iovec iov = {.iov_base = (void *)(uintptr_t)buf, .iov_len = n};
    struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};
    ssize_t r = sendmsg(fd, &header, flags | MSG_NOSIGNAL);

    return r < 0 ? -errno : r;
}

int fdial_shutdown(int fd, int how)
{
    return shutdown(fd, how) < 0 ? -errno : 0;
}
