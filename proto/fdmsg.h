/* One message with file descriptors over a SOCK_SEQPACKET (or, for ssh, SOCK_STREAM) Unix socket.
 *
 * cmsg(3), unix(7). CMSG_SPACE(sizeof(int)) has room for two fds on 64-bit machines, so a surplus
 * fd is always possible: the receiver closes everything it did not ask for.
 */
#pragma once

#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#define FDMSG_FDS_MAX 64 /* fds in one message */

/* Everything the kernel reads while a message is being sent; must stay in place until the send has
 * completed, also the fds themselves. */
struct fdmsg {
    struct msghdr header;
    struct iovec iov;
    alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * FDMSG_FDS_MAX)];
};

/* Prepares `header` to send n bytes and the fds (none: no control message). The fds are not
 * duplicated and stay the caller's. */
void fdmsg_build(struct fdmsg *msg, const void *data, size_t n, const int *fds, size_t n_fds);

/* Sends one message, with flags for sendmsg (MSG_NOSIGNAL is added). Returns 0 or -errno. */
int fdmsg_send(int socket, const void *data, size_t n, const int *fds, size_t n_fds, int flags);

/* Receives one message. *ret_n_fds fds, CLOEXEC, are the caller's; at most max_fds.
 * Returns the number of bytes, 0 at the end of the stream, or -errno:
 *   -EMSGSIZE  the message was longer than `size`
 *   -EBADMSG   more fds than max_fds, or a control message of another kind
 *   -EMFILE    fds were lost because RLIMIT_NOFILE was reached
 * On any error no fd stays open. */
ssize_t fdmsg_recv(int socket, void *data, size_t size, int *fds, size_t max_fds, size_t *ret_n_fds,
                   int flags);
