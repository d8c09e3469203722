/* A process id says who it is only as long as that process lives, and whoever has ended may have
 * left the socket, with requests in it, to an heir; or his id to somebody else. So a session is for
 * one process, which a pidfd stands for, and that process is looked at again before a message of it
 * counts and before an answer goes out. If it lives then, the id was its own all the time, and the
 * sender of that id was it. What went out while it lived was its own to pass on.
 *
 * The look is poll(2), because a zombie still takes signals. All looks of one turn of the ring are
 * one: everything that is dealt with in a turn was there when the turn began. So a session causes
 * no more of them than calls of io_uring_enter. The ring polls the pidfd as well (peer.c), which
 * closes the session soon after the end, but alone would be late by up to a turn.
 *
 * SO_PEERPIDFD gives the pidfd of the process that connected. Before Linux 6.5, pidfd_open(2) gives
 * that of the process which has its id now. The start time in /proc would not tell them apart: it
 * is in units of 10 ms, and nobody has noted when the socket was connected. But a message sent
 * later comes from that process, as its sender must have that id while it lives; and if that is not
 * the one that connected, it must at least have all the same rights (identity_is_of()). What was in
 * the socket before could be from anybody; only hello may have been. */
#include "daemon/front/holder.h"

#include <errno.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/sockios.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

static int read_opener(int socket, pid_t *ret)
{
    struct ucred creds;
    socklen_t size = sizeof creds;

    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &creds, &size) < 0)
        return -errno;
    /* 0: somebody outside the daemon's pid namespace, and so is everybody else there. */
    if (creds.pid <= 0)
        return -ESRCH;
    *ret = creds.pid;
    return 0;
}

static int open_pidfd(pid_t pid)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);

    return fd < 0 ? -errno : fd;
}

int holder_init_by_pid(struct holder *holder, int socket)
{
    int n_early = 0, pidfd, r;
    pid_t pid = 0;

    r = read_opener(socket, &pid);
    if (r < 0)
        return r;
    pidfd = open_pidfd(pid);
    if (pidfd < 0)
        return pidfd;
    if (ioctl(socket, SIOCINQ, &n_early) < 0) {
        r = -errno;
        close(pidfd);
        return r;
    }
    *holder = (struct holder){.pid = pid,
                              .pidfd = pidfd,
                              .is_opener = true,
                              .is_by_id = true,
                              .n_early = (size_t)n_early};
    return 0;
}

int holder_init(struct holder *holder, int socket)
{
    int pidfd, r;
    socklen_t size = sizeof pidfd;
    pid_t pid = 0;

    r = read_opener(socket, &pid);
    if (r < 0)
        return r;
    if (getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &size) == 0) {
        *holder = (struct holder){.pid = pid, .pidfd = pidfd, .is_opener = true};
        return 0;
    }
    if (errno == ENOPROTOOPT)
        return holder_init_by_pid(holder, socket);
    /* EINVAL: it has ended, and was waited for. */
    return errno == EINVAL ? -ESRCH : -errno;
}

int holder_init_sender(struct holder *holder, const struct ucred *sender)
{
    int pidfd = sender->pid > 0 ? open_pidfd(sender->pid) : -ESRCH;

    if (pidfd < 0)
        return pidfd;
    *holder =
        (struct holder){.pid = sender->pid, .pidfd = pidfd, .sender = *sender, .has_sender = true};
    return 0;
}

void holder_deinit(struct holder *holder, struct ring *ring)
{
    if (holder->pid > 0)
        ring_close_consume_fd(ring, holder->pidfd);
    *holder = (struct holder){0};
}

bool holder_is_sender(struct holder *holder, const struct ucred *sender)
{
    if (sender->pid == 0 || sender->pid != holder->pid)
        return false;
    /* Messages carry the real ids, SO_PEERCRED the effective ones. */
    if (!holder->has_sender) {
        holder->sender = *sender;
        holder->has_sender = true;
    }
    return sender->uid == holder->sender.uid && sender->gid == holder->sender.gid;
}

bool holder_takes_early(struct holder *holder, size_t n)
{
    if (holder->n_early == 0)
        return false;
    holder->n_early -= n < holder->n_early ? n : holder->n_early;
    return true;
}

bool holder_look(struct holder *holder)
{
    struct pollfd look = {.fd = holder->pidfd, .events = POLLIN};

    if (!holder->has_ended)
        holder->has_ended = poll(&look, 1, 0) != 0;
    return !holder->has_ended;
}

bool holder_is_alive(struct holder *holder, uint64_t now_us)
{
    if (holder->checked_us == now_us)
        return !holder->has_ended;
    holder->checked_us = now_us;
    return holder_look(holder);
}
