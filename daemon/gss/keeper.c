/* The keeper has one thread and no secret, so it can fork at any time, which a daemon with threads
 * cannot. It waits for a new link from the daemon, for a question on a link without a helper, and
 * for the end of a helper. The helper's socket stays open here: what is said when there is no
 * helper waits for the next one. After a helper's end it throws away what the helper had not read
 * and says GONE, so that the daemon knows of all that was lost; but not of one that has lost
 * nothing.
 *
 * When the daemon has ended, so has the socket to it, and the keeper kills the helpers and ends.
 * When somebody kills the keeper, the kernel kills the helpers. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/gss/internal.h"
#include "proto/cleanup.h"

#define LINKS_MAX        512 /* two of each worker */
#define CONTROL          3   /* the fd, in the keeper */
#define RESTART_PAUSE_US 50000

struct gss_keeper {
    pid_t pid;
    int fd;
};

struct kept {
    int fd;
    pid_t helper; /* 0: none */
};

struct keeper {
    int signal_fd;
    struct kept links[LINKS_MAX];
    size_t n_links;
};

/* ---- in the keeper ---- */

_Noreturn static void become_helper(struct keeper *k, int fd, pid_t keeper)
{
    sigset_t none;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != keeper)
        _exit(EXIT_FAILURE);
    prctl(PR_SET_NAME, "fdiald-gss");
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (size_t i = 0; i < k->n_links; i++)
        if (k->links[i].fd != fd)
            close(k->links[i].fd);
    close(k->signal_fd);
    close(CONTROL);
    gss_helper_run(fd);
}

static void start_helper(struct keeper *k, struct kept *link)
{
    pid_t keeper = getpid(), pid = fork();

    if (pid == 0)
        become_helper(k, link->fd, keeper);
    if (pid > 0)
        link->helper = pid;
    else
        usleep(RESTART_PAUSE_US);
}

/* False: nobody can be told, so the link is of no more use. */
static bool say_gone(int fd)
{
    struct gss_message gone = {.type = GSS_MESSAGE_GONE};
    uint8_t data[128];
    char byte;
    size_t n;

    while (recv(fd, &byte, 1, MSG_DONTWAIT) > 0)
        ;
    if (gss_message_measure(&gone, &n) < 0 || n > sizeof data)
        return false;
    gss_message_write(&gone, data);
    return send(fd, data, n, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)n;
}

static void remove_link(struct keeper *k, struct kept *link)
{
    close(link->fd);
    *link = k->links[--k->n_links];
}

static void reap(struct keeper *k)
{
    struct signalfd_siginfo info;
    ssize_t n = read(k->signal_fd, &info, sizeof info);
    int status;
    pid_t pid;

    (void)n; /* it only wakes: one signal may stand for several */
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        size_t i = 0;

        while (i < k->n_links && k->links[i].helper != pid)
            i++;
        if (i == k->n_links)
            continue;
        k->links[i].helper = 0;
        if (WIFEXITED(status) && WEXITSTATUS(status) == GSS_EXIT_RETIRED)
            continue;
        if (!say_gone(k->links[i].fd))
            remove_link(k, &k->links[i]);
        usleep(RESTART_PAUSE_US); /* one that dies at once must not take all the time there is */
    }
}

static void end(struct keeper *k)
{
    for (size_t i = 0; i < k->n_links; i++)
        if (k->links[i].helper > 0)
            kill(k->links[i].helper, SIGKILL);
    while (wait(NULL) > 0 || errno == EINTR)
        ;
    _exit(EXIT_SUCCESS);
}

static void take_link(struct keeper *k)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    char byte;
    struct iovec iov = {&byte, 1};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = &control,
                         .msg_controllen = sizeof control};
    ssize_t n = recvmsg(CONTROL, &msg, MSG_CMSG_CLOEXEC);
    struct cmsghdr *c;
    int fd;

    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0)
        end(k);
    c = CMSG_FIRSTHDR(&msg);
    if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
        c->cmsg_len != CMSG_LEN(sizeof(int)))
        return;
    memcpy(&fd, CMSG_DATA(c), sizeof fd);
    if (k->n_links == LINKS_MAX)
        close(fd);
    else
        k->links[k->n_links++] = (struct kept){fd, 0};
}

/* A link at whose other end there is nobody. */
static void look_at_link(struct keeper *k, struct kept *link)
{
    char byte;

    if (recv(link->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0)
        start_helper(k, link);
    else
        remove_link(k, link);
}

_Noreturn static void run(struct keeper *k)
{
    for (;;) {
        struct pollfd polls[2 + LINKS_MAX] = {{.fd = CONTROL, .events = POLLIN},
                                              {.fd = k->signal_fd, .events = POLLIN}};
        size_t n = k->n_links;

        for (size_t i = 0; i < n; i++)
            polls[2 + i] = (struct pollfd){.fd = k->links[i].helper > 0 ? -1 : k->links[i].fd,
                                           .events = POLLIN};
        if (poll(polls, 2 + n, -1) < 0)
            continue;
        for (size_t i = n; i-- > 0;) /* backwards: a removed one is replaced by the last */
            if (polls[2 + i].revents)
                look_at_link(k, &k->links[i]);
        if (polls[1].revents)
            reap(k);
        if (polls[0].revents)
            take_link(k);
    }
}

/* The daemon's signals are not ours: it ends us when it has ended. */
_Noreturn static void become_keeper(int fd)
{
    static struct keeper keeper;
    sigset_t child;

    if (fd != CONTROL && dup2(fd, CONTROL) < 0)
        _exit(EXIT_FAILURE);
    close_range(CONTROL + 1, ~0U, 0);
    prctl(PR_SET_NAME, "fdiald-keeper");
    signal(SIGTERM, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_DFL);
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_SETMASK, &child, NULL);
    keeper.signal_fd = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    if (keeper.signal_fd < 0)
        _exit(EXIT_FAILURE);
    run(&keeper);
}

/* ---- in the daemon ---- */

int gss_keeper_new(struct gss_keeper **ret)
{
    CLEANUP(freep) struct gss_keeper *keeper = calloc(1, sizeof *keeper);
    int fds[2];

    if (!keeper)
        return -ENOMEM;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
        return -errno;
    keeper->fd = fds[0];
    keeper->pid = fork();
    if (keeper->pid == 0)
        become_keeper(fds[1]);
    fd_close(fds[1]);
    if (keeper->pid < 0) {
        fd_close(fds[0]);
        return -errno;
    }
    *ret = TAKE_PTR(keeper);
    return 0;
}

struct gss_keeper *gss_keeper_free(struct gss_keeper *keeper)
{
    if (!keeper)
        return NULL;
    fd_close(keeper->fd);
    while (waitpid(keeper->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    free(keeper);
    return NULL;
}

static int send_fd(int to, int fd)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {0};
    char byte = 0;
    struct iovec iov = {&byte, 1};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = &control,
                         .msg_controllen = sizeof control};
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

    *c = (struct cmsghdr){CMSG_LEN(sizeof fd), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    return sendmsg(to, &msg, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int gss_keeper_connect(struct gss_keeper *keeper)
{
    int fds[2], r;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
        return -errno;
    r = send_fd(keeper->fd, fds[1]);
    fd_close(fds[1]);
    if (r == 0)
        return fds[0];
    fd_close(fds[0]);
    return r;
}
