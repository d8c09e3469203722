/* One process for each connection of the echo services; all end with the test. */
#include "tests/vm/seal-maker.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <linux/tcp.h>

int check(int result, const char *what)
{
    if (result < 0) {
        printf("Bail out! %s: %s\n", what, strerror(errno));
        exit(99);
    }
    return result;
}

socklen_t loopback(struct sockaddr_storage *ret, int family, uint16_t port, bool is_mapped)
{
    *ret = (struct sockaddr_storage){.ss_family = family};
    if (family == AF_INET) {
        struct sockaddr_in *in = (void *)ret;

        in->sin_port = htons(port);
        in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        return sizeof(*in);
    }
    struct sockaddr_in6 *in6 = (void *)ret;

    in6->sin6_port = htons(port);
    in6->sin6_addr = in6addr_loopback;
    if (is_mapped)
        check(inet_pton(AF_INET6, "::ffff:127.0.0.1", &in6->sin6_addr) - 1, "inet_pton");
    return sizeof(*in6);
}

static int make_listener(int family, uint16_t port, uint16_t *ret_port)
{
    struct sockaddr_storage sa;
    socklen_t n = loopback(&sa, family, port, false);
    int one = 1, fd = check(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    check(bind(fd, (void *)&sa, n), "bind");
    check(listen(fd, 16), "listen");
    check(getsockname(fd, (void *)&sa, &n), "getsockname");
    *ret_port = ntohs(family == AF_INET ? ((struct sockaddr_in *)&sa)->sin_port
                                        : ((struct sockaddr_in6 *)&sa)->sin6_port);
    return fd;
}

/* Echoes until it is killed; one process a connection. They end with their parent. */
static void serve_echo(int listener)
{
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
        char buf[512];
        ssize_t n;
        int fd = check(accept(listener, NULL, NULL), "accept");

        if (fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            while ((n = recv(fd, buf, sizeof(buf), 0)) > 0)
                if (send(fd, buf, (size_t)n, MSG_NOSIGNAL) != n)
                    break;
            _exit(0);
        }
        close(fd);
    }
}

static void fork_echo(int listener)
{
    if (check(fork(), "fork") == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        serve_echo(listener);
    }
}

static int make_socket(const struct maker *m, enum order order, int family)
{
    bool is_ours = order == ORDER_FIN || order == ORDER_RESET || order == ORDER_HELD;
    bool is_v4 = family == AF_INET || order == ORDER_MAPPED;
    uint16_t port = is_ours ? (is_v4 ? m->port_v4 : m->port_v6) : is_v4 ? m->echo_v4 : m->echo_v6;
    struct linger none = {.l_onoff = 1, .l_linger = 0};
    struct sockaddr_storage sa;
    socklen_t n = loopback(&sa, family, port, order == ORDER_MAPPED);
    int fd = check(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");

    check(connect(fd, (void *)&sa, n), "connect");
    if (order != ORDER_BARE)
        check(setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", 3), "TCP_ULP");
    if (!is_ours)
        return fd;

    int peer = check(accept(is_v4 ? m->listener_v4 : m->listener_v6, NULL, NULL), "accept");

    if (order == ORDER_HELD)
        return fd; /* and keep the peer */
    if (order == ORDER_RESET)
        setsockopt(peer, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
    close(peer);
    struct pollfd p = {.fd = fd, .events = POLLIN | POLLRDHUP};

    check(poll(&p, 1, 5000) - 1, "poll for the peer's end");
    return fd;
}

static void send_fd(int over, int fd)
{
    union {
        struct cmsghdr head;
        char buf[CMSG_SPACE(sizeof(int))];
    } control = {0};
    char byte = 0;
    struct iovec iov = {.iov_base = &byte, .iov_len = 1};
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control.buf,
        .msg_controllen = sizeof(control.buf),
    };

    control.head.cmsg_level = SOL_SOCKET;
    control.head.cmsg_type = SCM_RIGHTS;
    control.head.cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(&control.head), &fd, sizeof(int));
    check((int)sendmsg(over, &msg, MSG_NOSIGNAL), "sendmsg");
    close(fd);
}

void maker_run(const struct maker *m, int over)
{
    char order;

    while (recv(over, &order, 1, 0) == 1) {
        bool is_v6 = order >= 'A' && order <= 'Z';

        send_fd(over, make_socket(m, (enum order)(order | 0x20), is_v6 ? AF_INET6 : AF_INET));
    }
}

void maker_init(struct maker *m)
{
    m->listener_v4 = make_listener(AF_INET, 0, &m->port_v4);
    m->listener_v6 = make_listener(AF_INET6, 0, &m->port_v6);
    fork_echo(make_listener(AF_INET, 0, &m->echo_v4));
    fork_echo(make_listener(AF_INET6, 0, &m->echo_v6));
}

void maker_serve_echo(uint16_t port)
{
    uint16_t ignored;

    serve_echo(make_listener(AF_INET, port, &ignored));
}
