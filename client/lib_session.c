/* Opening and closing a session: connect (or get one from a grant, lib_grant.c), judge who is at
 * the other end, hello, welcome. The peer is judged before a byte is sent or believed (lib_peer.c).
 */
#include "config.h"

#include "client/session.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "client/where.h"
#include "proto/cleanup.h"
#include "proto/error.h"

#define SOFTWARE   "libfdial/" PACKAGE_VERSION
#define OPEN_TRIES 3

int session_wait(int fd, short events, int64_t deadline_ms)
{
    for (;;) {
        struct pollfd p = {.fd = fd, .events = events};
        int64_t left_ms = -1;
        int r;

        if (deadline_ms >= 0) {
            left_ms = deadline_ms - session_now_ms();
            if (left_ms < 0)
                left_ms = 0;
            if (left_ms > INT32_MAX)
                left_ms = INT32_MAX;
        }
        r = poll(&p, 1, (int)left_ms);
        if (r > 0)
            return 1;
        if (r == 0 && deadline_ms >= 0 && session_now_ms() >= deadline_ms)
            return 0;
        if (r < 0 && errno != EINTR)
            return -errno;
    }
}

/* A full backlog blocks connect(2) on a Unix socket, for as long as SO_SNDTIMEO allows. */
static int connect_path(const char *path, int64_t deadline_ms, int *ret_fd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    CLEANUP(fd_closep) int fd = -1;

    memcpy(address.sun_path, path, strlen(path));
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    for (;;) {
        int64_t left_ms = deadline_ms - session_now_ms();
        struct timeval timeout = {.tv_sec = left_ms / 1000, .tv_usec = left_ms % 1000 * 1000};

        if (left_ms <= 0)
            return -EAGAIN;
        if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout) < 0)
            return -errno;
        if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
            break;
        if (errno == ENOENT || errno == ECONNREFUSED || errno == ENOTDIR)
            return -ENOTCONN;
        if (errno == EPROTOTYPE || errno == ENOTSOCK)
            return -EPROTO;
        if (errno != EINTR)
            return -errno;
    }
    *ret_fd = TAKE_FD(fd);
    return 0;
}

/* The first message: a welcome, or an error that says why not. */
static int read_welcome(struct fdial *d, int64_t deadline_ms)
{
    struct message_welcome welcome;
    struct message_error refusal;
    struct wire_reader reader;
    struct wire_head head;
    const char *sentence;
    size_t n_fds = 0;
    ssize_t n;
    int r;

    while ((n = session_recv(d, NULL, 0, &n_fds)) == -EAGAIN) {
        r = session_wait(d->fd, POLLIN, deadline_ms);
        if (r < 0)
            return r;
        if (r == 0)
            return -ETIMEDOUT;
    }
    if (n == 0 || n == -ECONNRESET || n == -EPIPE)
        return -ENOTCONN;
    if (n < 0 || wire_read_head(&reader, d->buf, (size_t)n, &head) < 0)
        return -EPROTO;
    if (head.type == WIRE_ERROR && message_decode_error(reader, &refusal, &sentence) == 0)
        return -error_to_errno(refusal.code);
    if (head.type != WIRE_WELCOME || message_decode_welcome(reader, &welcome, &sentence) < 0 ||
        welcome.version != WIRE_VERSION)
        return -EPROTO;
    d->request_max =
        welcome.message_max < WIRE_REQUEST_MAX ? welcome.message_max : WIRE_REQUEST_MAX;
    d->pending_max = welcome.pending_max < PENDING_MAX ? welcome.pending_max : PENDING_MAX;
    d->count_max = welcome.count_max;
    return 0;
}

static int say_hello(struct fdial *d, int64_t deadline_ms)
{
    struct message_hello hello = {.version = WIRE_VERSION, .software = text_of(SOFTWARE)};
    ssize_t n;
    int r;

    n = message_encode_hello(d->buf, sizeof d->buf, &hello);
    if (n < 0)
        return (int)n;
    r = session_send(d, (size_t)n);
    /* A daemon that is at a limit may have said so and gone before it heard us. */
    if (r < 0 && r != -ENOTCONN)
        return r;
    return read_welcome(d, deadline_ms);
}

/* path: where fd was connected to, NULL when that is unknown: a session, or a grant */
static int open_consume_fd(struct fdial **ret, int fd, const char *path, int64_t deadline_ms)
{
    struct fdial *d;
    int r;

    r = session_check_peer(fd, path);
    if (r < 0) {
        fd_close(fd);
        return r;
    }
    d = calloc(1, sizeof *d);
    if (!d) {
        fd_close(fd);
        return -ENOMEM;
    }
    d->fd = fd;
    d->request_max = WIRE_REQUEST_MAX;
    pending_init(&d->pending);
    r = path ? 0 : session_enter(d, deadline_ms);
    if (r == 0)
        r = say_hello(d, deadline_ms);
    if (r < 0) {
        fdial_close(d);
        return r;
    }
    *ret = d;
    return 0;
}

/* The fd that $FDIAL_FD names stays open: the variable must keep naming what it named. */
static int dup_inherited(int inherited_fd, int *ret_fd)
{
    int fd = fcntl(inherited_fd, F_DUPFD_CLOEXEC, 3);

    if (fd < 0)
        return -errno;
    *ret_fd = fd;
    return 0;
}

/* A daemon that is being restarted may have taken the connection and hang up without a word; the
 * next one is connected to the one that follows. */
static int open_path(struct fdial **ret, const char *path, int64_t deadline_ms)
{
    int fd = -1, r = -ENOTCONN;

    for (int i = 0; i < OPEN_TRIES && r == -ENOTCONN; i++) {
        r = connect_path(path, deadline_ms, &fd);
        if (r < 0)
            return r;
        r = open_consume_fd(ret, fd, path, deadline_ms);
    }
    return r;
}

int fdial_open(struct fdial **ret, const char *socket_path)
{
    int64_t deadline_ms = session_now_ms() + SESSION_HELLO_MS;
    struct where where;
    int fd = -1, r;

    r = socket_path ? where_set_path(&where, socket_path, "the caller") : where_find(&where);
    if (r < 0)
        return r;
    if (where.inherited_fd < 0)
        return open_path(ret, where.path, deadline_ms);
    r = dup_inherited(where.inherited_fd, &fd);
    if (r < 0)
        return r;
    return open_consume_fd(ret, fd, NULL, deadline_ms);
}

int fdial_open_fd(struct fdial **ret, int fd)
{
    int r;

    r = where_check_fd(fd);
    if (r == 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        r = -errno;
    if (r < 0) {
        fd_close(fd);
        return r;
    }
    return open_consume_fd(ret, fd, NULL, session_now_ms() + SESSION_HELLO_MS);
}

struct fdial *fdial_close(struct fdial *d)
{
    if (!d)
        return NULL;
    pending_deinit(&d->pending);
    fd_close(d->fd);
    free(d);
    return NULL;
}

int fdial_fileno(const struct fdial *d)
{
    return d->fd;
}

short fdial_events(const struct fdial *d)
{
    return d->wants_write || d->pending.n_cancels_unsent > 0 ? POLLIN | POLLOUT : POLLIN;
}
