/* The daemon's end of a session, played by the test itself: what it will say is put into the socket
 * beforehand or in between, what it was told is read afterwards. No second thread is needed, since
 * the library sees only what is in the socket. */
#pragma once

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/fdial.h"
#include "proto/cleanup.h"
#include "proto/fdmsg.h"
#include "proto/message.h"

#define FAKE_PENDING_MAX 4096
#define FAKE_COUNT_MAX   16

struct fake {
    int fd;
    struct fdial *d;
    uint8_t buf[WIRE_MESSAGE_MAX];
    struct wire_head head; /* of what fake_read() read */
    struct wire_reader reader;
};

static inline void fake_send(struct fake *f, ssize_t n, const int *fds, size_t n_fds)
{
    ck_assert_int_gt(n, 0);
    ck_assert_int_eq(fdmsg_send(f->fd, f->buf, (size_t)n, fds, n_fds, 0), 0);
}

static inline void fake_welcome(struct fake *f, uint16_t version, uint32_t pending_max)
{
    struct message_welcome m = {.version = version,
                                .software = text_of("fake/1"),
                                .message_max = WIRE_REQUEST_MAX,
                                .pending_max = pending_max,
                                .count_max = FAKE_COUNT_MAX};

    fake_send(f, message_encode_welcome(f->buf, sizeof f->buf, &m), NULL, 0);
}

/* The answer to `open`: of a session, or of a grant that gives the fd. */
static inline void fake_opened(struct fake *f, uint32_t code, int fd)
{
    struct message_answer m = {.code = code};

    fake_send(f, message_encode_opened(f->buf, sizeof f->buf, &m), &fd, fd >= 0);
}

/* Reads one message; false when there is none. */
static inline bool fake_read(struct fake *f)
{
    size_t n_fds;
    ssize_t n = fdmsg_recv(f->fd, f->buf, sizeof f->buf, NULL, 0, &n_fds, MSG_DONTWAIT);

    if (n <= 0)
        return false;
    ck_assert_int_eq(wire_read_head(&f->reader, f->buf, (size_t)n, &f->head), 0);
    return true;
}

static inline void fake_expect(struct fake *f, enum wire_type type, uint64_t id)
{
    ck_assert(fake_read(f));
    ck_assert_uint_eq(f->head.type, type);
    ck_assert_uint_eq(f->head.id, id);
}

static inline void fake_pair(struct fake *f, int *ret_client)
{
    int pair[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    f->fd = pair[0];
    *ret_client = pair[1];
}

static inline void fake_open(struct fake *f, uint32_t pending_max)
{
    int client;

    fake_pair(f, &client);
    fake_opened(f, 0, -1);
    fake_welcome(f, WIRE_VERSION, pending_max);
    ck_assert_int_eq(fdial_open_fd(&f->d, client), 0);
    fake_expect(f, WIRE_OPEN, 0);
    fake_expect(f, WIRE_HELLO, 0);
}

static inline void fake_close(struct fake *f)
{
    f->d = fdial_close(f->d);
    f->fd = fd_close(f->fd);
}

/* A connection: the result gets one end, the test keeps the other. */
static inline void fake_connection(int *ret_result, int *ret_kept)
{
    int pair[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    *ret_result = pair[0];
    *ret_kept = pair[1];
}

static inline void fake_result(struct fake *f, uint64_t id, const struct message_result *m,
                               const int *fds, size_t n_fds)
{
    fake_send(f, message_encode_result(f->buf, sizeof f->buf, id, m), fds, n_fds);
}

/* One good result; returns the end that the test keeps. */
static inline int fake_succeed(struct fake *f, uint64_t id)
{
    struct message_result m = {.handoff = HANDOFF_RELAY};
    int fd, kept;

    fake_connection(&fd, &kept);
    fake_result(f, id, &m, &fd, 1);
    fd_close(fd);
    return kept;
}

static inline void fake_fail(struct fake *f, uint64_t id, uint32_t code)
{
    struct message_result m = {.code = code, .stage = (uint8_t)error_stage(code)};

    fake_result(f, id, &m, NULL, 0);
}

/* True when the other end of `kept` is closed everywhere. */
static inline bool is_other_end_closed(int kept)
{
    char c;

    return recv(kept, &c, 1, MSG_DONTWAIT) == 0;
}

static inline int count_open_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int n = -1; /* its own */

    ck_assert_ptr_nonnull(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}
