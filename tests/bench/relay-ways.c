/* The relay, in each of the ways. Only system calls are counted as the kernel's; what interrupts
 * the rest of it is not told apart. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <x86intrin.h>

#include <linux/tls.h>

#include "tests/bench/relay-rig.h"

#ifndef SOL_TLS
#define SOL_TLS 282
#endif
#define RECORD_DATA 23 /* RFC 8446, 5.1 */

static uint8_t buffer[RIG_BUFFER];

uint64_t rig_ticks(void)
{
    return __rdtsc();
}

/* The result of a system call, which is timed. */
#define TIMED(rig, call)                                                                           \
    __extension__({                                                                                \
        uint64_t start_ = rig_ticks();                                                             \
        ssize_t result_ = (call);                                                                  \
        (rig)->kernel_ticks += rig_ticks() - start_;                                               \
        result_;                                                                                   \
    })

/* The sizes are such that there is always room. */
static void send_all(struct rig *rig, int fd, const uint8_t *data, size_t size)
{
    while (size > 0) {
        ssize_t n = TIMED(rig, send(fd, data, size, MSG_NOSIGNAL));

        if (n < 0)
            rig_die("the relay's send");
        data += n;
        size -= (size_t)n;
    }
}

/* Bytes, 0 when there are none just now. */
static size_t received(ssize_t n)
{
    if (n == 0 || (n < 0 && errno != EAGAIN))
        rig_die("the relay's receiving");
    return n < 0 ? 0 : (size_t)n;
}

static size_t receive(struct rig *rig, int fd)
{
    return received(TIMED(rig, recv(fd, buffer, sizeof buffer, 0)));
}

/* A relay has to know what kind of record it is. */
static size_t receive_records(struct rig *rig, int fd)
{
    union {
        struct cmsghdr head;
        char buf[CMSG_SPACE(sizeof(uint8_t))];
    } control;
    struct iovec iov = {.iov_base = buffer, .iov_len = sizeof buffer};
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control.buf,
        .msg_controllen = sizeof control.buf,
    };
    size_t n = received(TIMED(rig, recvmsg(fd, &msg, 0)));

    if (n > 0 && (msg.msg_controllen == 0 || control.head.cmsg_level != SOL_TLS ||
                  control.head.cmsg_type != TLS_GET_RECORD_TYPE ||
                  *CMSG_DATA(&control.head) != RECORD_DATA)) {
        fprintf(stderr, "not a record of data\n");
        exit(1);
    }
    return n;
}

static void copy(struct rig *rig, int from, int to)
{
    size_t n;

    while ((n = receive(rig, from)) > 0)
        send_all(rig, to, buffer, n);
}

static void copy_records(struct rig *rig, int from, int to)
{
    size_t n;

    while ((n = receive_records(rig, from)) > 0)
        send_all(rig, to, buffer, n);
}

static void splice_all(struct rig *rig, int from, int to)
{
    const unsigned flags = SPLICE_F_MOVE | SPLICE_F_NONBLOCK;
    size_t n;

    while ((n = received(TIMED(rig, splice(from, NULL, rig->pipe_fds[1], NULL, RIG_PIPE, flags)))) >
           0)
        while (n > 0) {
            ssize_t k = TIMED(rig, splice(rig->pipe_fds[0], NULL, to, NULL, n, flags));

            if (k <= 0)
                rig_die("the relay's splice");
            n -= (size_t)k;
        }
}

/* As relay.c and channel.c do it. */
static void decrypt(struct rig *rig)
{
    static uint8_t plain[RIG_BUFFER];
    size_t n;

    while ((n = receive(rig, rig->target_fd)) > 0) {
        ssize_t k;

        if (tls_session_feed(rig->session, buffer, n) < 0)
            rig_die("feed");
        while ((k = tls_session_read(rig->session, plain, sizeof plain)) > 0)
            send_all(rig, rig->relay_fd, plain, (size_t)k);
        if (k != -EAGAIN)
            rig_die("the relay's TLS");
    }
}

static void encrypt(struct rig *rig)
{
    const uint8_t *output;
    size_t n;

    while ((n = receive(rig, rig->relay_fd)) > 0) {
        if (tls_session_write(rig->session, buffer, n) != (ssize_t)n)
            rig_die("the relay's TLS");
        n = tls_session_output(rig->session, &output);
        send_all(rig, rig->target_fd, output, n);
        tls_session_sent(rig->session, n);
    }
}

void rig_relay(struct rig *rig, bool is_down)
{
    int from = is_down ? rig->target_fd : rig->relay_fd;
    int to = is_down ? rig->relay_fd : rig->target_fd;

    switch (rig->way) {
    case RIG_PLAIN_COPIED:
        copy(rig, from, to);
        break;
    case RIG_KTLS_COPIED:
        if (is_down)
            copy_records(rig, from, to);
        else
            copy(rig, from, to);
        break;
    case RIG_PLAIN_SPLICED:
    case RIG_KTLS_SPLICED:
        splice_all(rig, from, to);
        break;
    case RIG_SESSION:
        if (is_down)
            decrypt(rig);
        else
            encrypt(rig);
        break;
    case RIG_N_WAYS:
        break;
    }
}
