/* What the holder of a connected socket may try in order to make something else of it. Each returns
 * 0, or a negative errno. */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <liburing.h>

static inline int try_disconnect(int fd)
{
    struct sockaddr none = {.sa_family = AF_UNSPEC};

    return connect(fd, &none, sizeof(none)) < 0 ? -errno : 0;
}

static inline int try_connect(int fd, const struct sockaddr_storage *to)
{
    return connect(fd, (const void *)to, sizeof(*to)) < 0 ? -errno : 0;
}

static inline int try_bind(int fd, int family)
{
    struct sockaddr_storage any = {.ss_family = family};

    return bind(fd, (void *)&any, sizeof(any)) < 0 ? -errno : 0;
}

static inline int try_listen(int fd)
{
    return listen(fd, 1) < 0 ? -errno : 0;
}

static inline int try_fastopen(int fd, const struct sockaddr_storage *to)
{
    ssize_t n = sendto(fd, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL | MSG_DONTWAIT, (const void *)to,
                       sizeof(*to));

    return n < 0 ? -errno : 0;
}

/* IPV6_ADDRFORM turns an IPv6 socket with a mapped address into an IPv4 one, new operations and
 * all. */
static inline int try_addrform(int fd)
{
    int family = AF_INET;

    return setsockopt(fd, IPPROTO_IPV6, IPV6_ADDRFORM, &family, sizeof(family)) < 0 ? -errno : 0;
}

/* Through io_uring, where the call's checks are not on the way. */
static inline int try_ring_connect(int fd, const void *to, socklen_t n)
{
    struct io_uring ring;
    struct io_uring_sqe *sqe;
    struct io_uring_cqe *cqe;
    int r = io_uring_queue_init(4, &ring, 0);

    if (r < 0) {
        printf("Bail out! io_uring_queue_init: %s\n", strerror(-r));
        exit(99);
    }
    sqe = io_uring_get_sqe(&ring);
    if (!sqe)
        abort();
    io_uring_prep_connect(sqe, fd, to, n);
    if (io_uring_submit_and_wait(&ring, 1) < 0 || io_uring_peek_cqe(&ring, &cqe) < 0)
        abort();
    r = cqe->res;
    io_uring_queue_exit(&ring);
    return r;
}

static inline int try_ring_disconnect(int fd)
{
    struct sockaddr none = {.sa_family = AF_UNSPEC};

    return try_ring_connect(fd, &none, sizeof(none));
}

static inline int try_accept(int fd)
{
    int r = accept4(fd, NULL, NULL, SOCK_NONBLOCK);

    return r < 0 ? -errno : 0;
}

/* A file can be opened anew through /proc, with other rights; a socket cannot. */
static inline int try_reopen(int fd)
{
    char path[64];
    int r;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    r = open(path, O_RDWR | O_CLOEXEC);
    return r < 0 ? -errno : 0;
}

/* TCP_REPAIR would give the socket another state, peer and sequence numbers. */
static inline int try_repair(int fd)
{
    int on = 1;

    return setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof(on)) < 0 ? -errno : 0;
}

static inline int try_ulp(int fd, const char *name)
{
    return setsockopt(fd, IPPROTO_TCP, TCP_ULP, name, (socklen_t)strlen(name)) < 0 ? -errno : 0;
}

/* Keys of the holder's own: kernel TLS is then on, which must not take the seal off. */
static inline int try_keys(int fd, int direction)
{
    struct tls12_crypto_info_aes_gcm_128 keys = {
        .info = {.version = TLS_1_3_VERSION, .cipher_type = TLS_CIPHER_AES_GCM_128}};

    return setsockopt(fd, SOL_TLS, direction, &keys, sizeof(keys)) < 0 ? -errno : 0;
}

#define SOCKET_OPTIONS 10

struct socket_option {
    const char *name;
    int level, option;
    const void *value;
    socklen_t size;
};

/* What a socket's user may ask for, and what might prepare another use of it. The seal does not
 * depend on their being refused. */
static inline size_t socket_options(struct socket_option ret[SOCKET_OPTIONS])
{
    static const int one = 1, loopback = 1; /* the interface's index, too */
    const struct socket_option options[] = {
        {"SO_REUSEADDR", SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)},
        {"SO_REUSEPORT", SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)},
        {"SO_BINDTODEVICE", SOL_SOCKET, SO_BINDTODEVICE, "lo", 3},
        {"SO_BINDTOIFINDEX", SOL_SOCKET, SO_BINDTOIFINDEX, &loopback, sizeof(loopback)},
        {"SO_DONTROUTE", SOL_SOCKET, SO_DONTROUTE, &one, sizeof(one)},
        {"IP_FREEBIND", IPPROTO_IP, IP_FREEBIND, &one, sizeof(one)},
        {"IP_TRANSPARENT", IPPROTO_IP, IP_TRANSPARENT, &one, sizeof(one)},
        {"IP_BIND_ADDRESS_NO_PORT", IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one)},
        {"TCP_FASTOPEN_CONNECT", IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &one, sizeof(one)},
        {"TCP_DEFER_ACCEPT", IPPROTO_TCP, TCP_DEFER_ACCEPT, &one, sizeof(one)},
    };

    memcpy(ret, options, sizeof(options));
    return sizeof(options) / sizeof(*options);
}
