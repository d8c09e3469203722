/* SCM_RIGHTS, built and taken apart with the checks that unix(7) leaves to its users. */
#include "proto/fdmsg.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "proto/cleanup.h"

void fdmsg_build(struct fdmsg *msg, const void *data, size_t n, const int *fds, size_t n_fds)
{
    struct cmsghdr *cmsg;

    assert(n_fds <= FDMSG_FDS_MAX);
    /* sendmsg does not write through iov_base, the type is shared with recvmsg. */
    msg->iov = (struct iovec){.iov_base = (void *)(uintptr_t)data, .iov_len = n};
    msg->header = (struct msghdr){.msg_iov = &msg->iov, .msg_iovlen = 1};
    if (n_fds == 0)
        return;
    memset(msg->control, 0, CMSG_SPACE(sizeof(int) * n_fds));
    msg->header.msg_control = msg->control;
    msg->header.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
    cmsg = CMSG_FIRSTHDR(&msg->header);
    cmsg->cmsg_level = SOL_SOCKET;
    cmsg->cmsg_type = SCM_RIGHTS;
    cmsg->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
    memcpy(CMSG_DATA(cmsg), fds, sizeof(int) * n_fds);
}

int fdmsg_send(int socket, const void *data, size_t n, const int *fds, size_t n_fds, int flags)
{
    struct fdmsg msg;
    ssize_t sent;

    fdmsg_build(&msg, data, n, fds, n_fds);
    sent = sendmsg(socket, &msg.header, flags | MSG_NOSIGNAL);
    if (sent < 0)
        return -errno;
    return (size_t)sent == n ? 0 : -EMSGSIZE;
}

/* Collects all fds of a received message; those beyond max_fds are closed at once.
 * Returns how many there were, and whether some other control message was among them. */
static size_t take_fds(struct msghdr *header, int *fds, size_t max_fds, bool *ret_is_other)
{
    size_t n_fds = 0;

    *ret_is_other = false;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
        size_t n = 0;

        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
            n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        else
            *ret_is_other = true;
        for (size_t i = 0; i < n; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof fd);
            if (n_fds < max_fds)
                fds[n_fds] = fd;
            else
                fd_close(fd);
            n_fds++;
        }
    }
    return n_fds;
}

ssize_t fdmsg_recv(int socket, void *data, size_t size, int *fds, size_t max_fds, size_t *ret_n_fds,
                   int flags)
{
    struct fdmsg msg;
    size_t n_fds;
    ssize_t n;
    bool is_other;
    int error = 0;

    assert(max_fds <= FDMSG_FDS_MAX);
    msg.iov = (struct iovec){.iov_base = data, .iov_len = size};
    msg.header = (struct msghdr){.msg_iov = &msg.iov,
                                 .msg_iovlen = 1,
                                 .msg_control = msg.control,
                                 .msg_controllen = sizeof msg.control};
    n = recvmsg(socket, &msg.header, flags | MSG_CMSG_CLOEXEC);
    if (n < 0)
        return -errno;
    n_fds = take_fds(&msg.header, fds, max_fds, &is_other);
    if (msg.header.msg_flags & MSG_TRUNC)
        error = -EMSGSIZE;
    else if (msg.header.msg_flags & MSG_CTRUNC)
        error = -EMFILE;
    else if (n_fds > max_fds || is_other || (n == 0 && n_fds > 0))
        error = -EBADMSG; /* an empty message reads as the end, whose fds nobody would close */
    if (error < 0) {
        for (size_t i = 0; i < n_fds && i < max_fds; i++)
            fd_close(fds[i]);
        return error;
    }
    *ret_n_fds = n_fds;
    return n;
}
