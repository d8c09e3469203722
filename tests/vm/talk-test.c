/* libfdial on kTLS sockets of the real kernel.
 *
 * Both ends are kTLS with keys made up, so the other one can send records of any type. First the
 * conversations of the unit test, whose imitation of the kernel is thereby compared with it; then
 * what fdial-ktls(7) says of the plain calls.
 *
 *   talk-test           prints TAP; exit status 0 when all is as wanted
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/tls.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/ktls-talks.h"

#define SOL_TLS_LEVEL 282
#define TCP_ULP_NAME  31

#define STREAM_MAX 64
#define BUFFER_MAX 20000
#define CALLS_MAX  200
#define WAIT_MS    20000
#define QUIET_MS   200

static unsigned n_cases, n_failed;

static void report(bool is_right, const char *what)
{
    n_failed += !is_right;
    printf("%sok %u - %s\n", is_right ? "" : "not ", ++n_cases, what);
    fflush(stdout);
}

/* Ends the test when the result is negative. */
static int need(int result, const char *what)
{
    if (result < 0) {
        printf("Bail out! %s: %s\n", what, strerror(errno));
        exit(1);
    }
    return result;
}

/* ---- a pair of kTLS sockets ---- */

static void set_keys(int fd, int direction, char key, unsigned version)
{
    struct tls12_crypto_info_aes_gcm_128 k = {
        .info = {(unsigned short)version, TLS_CIPHER_AES_GCM_128}};

    memset(k.key, key, sizeof k.key);
    memset(k.iv, key, sizeof k.iv);
    memset(k.salt, key, sizeof k.salt);
    need(setsockopt(fd, SOL_TLS_LEVEL, direction, &k, sizeof k), "keys");
}

static void make_pair(int pair[2], unsigned version)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof address;
    int listener = need(socket(AF_INET, SOCK_STREAM, 0), "socket");

    need(bind(listener, (void *)&address, sizeof address), "bind");
    need(listen(listener, 1), "listen");
    need(getsockname(listener, (void *)&address, &n), "getsockname");
    pair[0] = need(socket(AF_INET, SOCK_STREAM, 0), "socket");
    need(connect(pair[0], (void *)&address, sizeof address), "connect");
    pair[1] = need(accept(listener, NULL, NULL), "accept");
    close(listener);
    for (int i = 0; i < 2; i++) {
        need(setsockopt(pair[i], IPPROTO_TCP, TCP_ULP_NAME, "tls", 4), "TCP_ULP");
        set_keys(pair[i], TLS_TX, i ? 'b' : 'a', version);
        set_keys(pair[i], TLS_RX, i ? 'a' : 'b', version);
    }
}

static void close_pair(const int pair[2])
{
    close(pair[0]);
    close(pair[1]);
}

static void send_record(int fd, int type, const char *bytes, size_t n)
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(1)];
    } control = {.head = {CMSG_LEN(1), SOL_TLS_LEVEL, TLS_SET_RECORD_TYPE}};
    struct iovec iov = {(void *)(uintptr_t)bytes, n};
    struct msghdr header = {.msg_iov = &iov,
                            .msg_iovlen = 1,
                            .msg_control = &control,
                            .msg_controllen = sizeof control};

    *CMSG_DATA(&control.head) = (unsigned char)type;
    need((int)sendmsg(fd, &header, 0), "record");
}

static bool is_readable(int fd, int timeout_ms)
{
    struct pollfd polled = {.fd = fd, .events = POLLIN};

    return need(poll(&polled, 1, timeout_ms), "poll") > 0;
}

/* ---- conversations ---- */

/* An empty record is not sent. */
static bool is_sendable(const struct talk *talk)
{
    for (const struct part *p = talk->parts; p->bytes; p++)
        if (p->n == 0)
            return false;
    return true;
}

static int read_all(int fd, size_t size, char stream[STREAM_MAX], size_t *ret_n)
{
    static char buf[BUFFER_MAX];

    for (unsigned calls = 0; calls < CALLS_MAX; calls++) {
        ssize_t r = fdial_recv(fd, buf, size, 0);

        if (r == -EAGAIN && is_readable(fd, WAIT_MS))
            continue;
        if (r <= 0)
            return (int)r;
        if (*ret_n + (size_t)r > STREAM_MAX)
            break;
        memcpy(stream + *ret_n, buf, (size_t)r);
        *ret_n += (size_t)r;
    }
    return 1;
}

static bool play(const struct talk *talk, size_t size, bool is_blocking)
{
    char stream[STREAM_MAX];
    size_t n = 0;
    int pair[2], end;

    make_pair(pair, talk->version);
    if (!is_blocking)
        need(fcntl(pair[1], F_SETFL, O_NONBLOCK), "O_NONBLOCK");
    for (const struct part *p = talk->parts; p->bytes; p++)
        send_record(pair[0], p->type, p->bytes, p->n);
    need(shutdown(pair[0], SHUT_WR), "shutdown");
    end = read_all(pair[1], size, stream, &n);
    close_pair(pair);
    if (end == talk->end && n == strlen(talk->data) && memcmp(stream, talk->data, n) == 0)
        return true;
    printf("# %s, buffer %zu: \"%.*s\", end %d\n", talk->name, size, (int)n, stream, end);
    return false;
}

static void play_all(void)
{
    static const size_t sizes[] = {1, 2, 3, 4, 5, 7, BUFFER_MAX};

    for (size_t i = 0; i < sizeof talks / sizeof *talks; i++) {
        bool is_right = true;

        if (!is_sendable(&talks[i]))
            continue;
        for (size_t k = 0; k < 2 * sizeof sizes / sizeof *sizes; k++)
            is_right = play(&talks[i], sizes[k / 2], k % 2) && is_right;
        report(is_right, talks[i].name);
    }
}

/* ---- the plain calls ---- */

static bool fails_with(ssize_t r, int error)
{
    return r < 0 && errno == error;
}

static void try_read(int type, const char *bytes, size_t n, const char *what)
{
    char buf[100];
    int pair[2];

    make_pair(pair, TLS_1_3);
    send_record(pair[0], type, bytes, n);
    report(is_readable(pair[1], WAIT_MS) && fails_with(read(pair[1], buf, sizeof buf), EIO) &&
               fails_with(recv(pair[1], buf, sizeof buf, 0), EIO) && is_readable(pair[1], WAIT_MS),
           what);
    close_pair(pair);
}

static void try_splice(void)
{
    int pair[2], pipes[2];
    char buf[100];

    make_pair(pair, TLS_1_3);
    need(pipe(pipes), "pipe");
    send_record(pair[0], HANDSHAKE, TICKET, sizeof TICKET - 1);
    send_record(pair[0], DATA, "abc", 3);
    need(is_readable(pair[1], WAIT_MS) - 1, "ticket");
    report(fails_with(splice(pair[1], NULL, pipes[1], NULL, 100, 0), EINVAL),
           "splice says EINVAL at a ticket");
    report(fdial_recv(pair[1], buf, 1, MSG_DONTWAIT) == 1 && *buf == 'a',
           "fdial_recv drops it, and gives what is behind");
    report(splice(pair[1], NULL, pipes[1], NULL, 100, 0) == 2, "splice takes data");
    close(pipes[0]);
    close(pipes[1]);
    close_pair(pair);
}

static void try_ends(void)
{
    char buf[100];
    int pair[2];

    make_pair(pair, TLS_1_3);
    need(shutdown(pair[0], SHUT_WR), "shutdown");
    report(read(pair[1], buf, sizeof buf) == 0, "a FIN without the end of TLS reads as 0");
    close_pair(pair);
    make_pair(pair, TLS_1_3);
    report(fdial_shutdown(pair[0], SHUT_WR) == 0 && fdial_recv(pair[1], buf, sizeof buf, 0) == 0,
           "fdial_shutdown is a proper end");
    report(fdial_send(pair[1], "x", 1, 0) == 1 && fdial_recv(pair[0], buf, sizeof buf, 0) == 1,
           "of one direction");
    report(fdial_shutdown(pair[0], SHUT_WR) == 0, "which can be asked for again");
    close_pair(pair);
}

static void try_key(void)
{
    struct tls12_crypto_info_aes_gcm_128 k;
    socklen_t n = sizeof k;
    int pair[2], r;

    make_pair(pair, TLS_1_3);
    r = getsockopt(pair[0], SOL_TLS_LEVEL, TLS_TX, &k, &n);
    report(r == 0 && k.key[0] == 'a', "getsockopt gives the key");
    close_pair(pair);
}

/* No time passes: the record is there when the call ends. */
static void try_without_waiting(void)
{
    char buf[100];
    int pair[2];

    make_pair(pair, TLS_1_3);
    send_record(pair[0], HANDSHAKE, TICKET, sizeof TICKET - 1);
    report(is_readable(pair[1], WAIT_MS) &&
               fdial_recv(pair[1], buf, sizeof buf, MSG_DONTWAIT) == -EAGAIN &&
               !is_readable(pair[1], QUIET_MS),
           "a dropped ticket is EAGAIN, and announced no more");
    report(fdial_recv(pair[1], buf, sizeof buf, MSG_PEEK) == -EINVAL, "no MSG_PEEK");
    close_pair(pair);
}

int main(void)
{
    play_all();
    try_read(HANDSHAKE, TICKET, sizeof TICKET - 1, "read says EIO at a ticket, again and again");
    try_read(ALERT, CLOSE, sizeof CLOSE - 1, "and at the proper end");
    try_splice();
    try_ends();
    try_key();
    try_without_waiting();
    printf("1..%u\n", n_cases);
    return n_failed ? 1 : 0;
}
