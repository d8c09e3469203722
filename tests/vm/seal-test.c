/* What the seal holds against, on a kernel with CONFIG_TLS (the machine of tests/vm runs this as
 * root).
 *
 * Two processes. The maker stays in its network namespace, listens on loopback and makes connected
 * sockets; the holder becomes uid 65534 in an empty namespace, receives them over a Unix socket and
 * tries to turn each into something else. One order at a time: the holder writes a letter, the
 * maker answers with an fd. First the holder shows with unsealed sockets that the attack works
 * here.
 *
 *   seal-test           prints TAP, CHECKS cases; exit status 0 when all is as wanted
 *   seal-test --fd N    the same attacks on an fd that somebody else made: exit status 0 when all
 *                       fail. ADDRESS (IPv4) and PORT in the environment: where to reconnect
 *   seal-test --serve PORT   an echo service on 127.0.0.1, until it is killed
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <grp.h>

#include "tests/vm/attacks.h"
#include "tests/vm/seal-maker.h"

#define HOLDER_UID 65534
/* As the kernel has it; <netinet/tcp.h> and <linux/tcp.h> exclude each other. */
#define TCP_STATE_CLOSE 7

static unsigned n_cases, n_failed;

__attribute__((format(printf, 2, 3))) static bool report(bool is_ok, const char *format, ...)
{
    va_list args;

    printf("%s %u - ", is_ok ? "ok" : "not ok", ++n_cases);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
    fflush(stdout);
    n_failed += !is_ok;
    return is_ok;
}

static void expect(const char *what, int result, int wanted)
{
    if (result == wanted)
        report(true, "%s: %s", what, wanted ? strerrorname_np(-wanted) : "success");
    else
        report(false, "%s: got %s, not %s", what, result < 0 ? strerrorname_np(-result) : "success",
               wanted ? strerrorname_np(-wanted) : "success");
}

static void expect_refusal(const char *what, int result)
{
    report(result < 0, "%s: %s", what, result < 0 ? strerrorname_np(-result) : "success");
}

/* "ping" there and back. */
static int try_echo(int fd)
{
    char buf[4];

    if (send(fd, "ping", 4, MSG_NOSIGNAL) != 4)
        return -errno;
    struct pollfd p = {.fd = fd, .events = POLLIN};

    if (poll(&p, 1, 5000) != 1)
        return -ETIMEDOUT;
    if (recv(fd, buf, sizeof(buf), MSG_WAITALL) != 4)
        return -EIO;
    return memcmp(buf, "ping", 4) ? -EPROTO : 0;
}

/* ---- the holder ---- */

struct holder {
    int over;
    struct sockaddr_storage elsewhere_v4, elsewhere_v6;
};

static int get_socket(const struct holder *h, enum order order, int family)
{
    char byte = (char)(family == AF_INET6 ? order & ~0x20 : order);
    union {
        struct cmsghdr head;
        char buf[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec iov = {.iov_base = &byte, .iov_len = 1};
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control.buf,
        .msg_controllen = sizeof(control.buf),
    };
    int fd = -1;

    check((int)send(h->over, &byte, 1, MSG_NOSIGNAL), "send");
    if (recvmsg(h->over, &msg, MSG_CMSG_CLOEXEC) != 1 ||
        msg.msg_controllen < sizeof(control.head)) {
        printf("Bail out! the maker is gone\n");
        exit(99);
    }
    memcpy(&fd, CMSG_DATA(&control.head), sizeof(int));
    return fd;
}

static const struct sockaddr_storage *elsewhere(const struct holder *h, int family)
{
    return family == AF_INET ? &h->elsewhere_v4 : &h->elsewhere_v6;
}

/* The control: without the seal the fd opens the maker's whole namespace. */
static void test_bare(const struct holder *h, int family)
{
    int fd = get_socket(h, ORDER_BARE, family);

    expect("bare: data flows", try_echo(fd), 0);
    expect("bare: disconnect", try_disconnect(fd), 0);
    expect("bare: connect elsewhere", try_connect(fd, elsewhere(h, family)), 0);
    expect("bare: data flows elsewhere", try_echo(fd), 0);
    close(fd);

    fd = get_socket(h, ORDER_BARE, family);
    expect("bare: disconnect again", try_disconnect(fd), 0);
    expect("bare: bind", try_bind(fd, family), 0);
    expect("bare: listen", try_listen(fd), 0);
    close(fd);
}

static void test_sealed(const struct holder *h, int family)
{
    int fd = get_socket(h, ORDER_SEALED, family);

    expect("sealed: data flows", try_echo(fd), 0);
    expect("sealed: disconnect", try_disconnect(fd), -EOPNOTSUPP);
    expect("sealed: disconnect through io_uring", try_ring_disconnect(fd), -EOPNOTSUPP);
    expect("sealed: connect elsewhere", try_connect(fd, elsewhere(h, family)), -EINVAL);
    expect("sealed: bind", try_bind(fd, family), -EINVAL);
    expect("sealed: listen", try_listen(fd), -EINVAL);
    expect("sealed: MSG_FASTOPEN elsewhere", try_fastopen(fd, elsewhere(h, family)), -EINVAL);
    expect("sealed: connect elsewhere through io_uring",
           try_ring_connect(fd, elsewhere(h, family), sizeof(struct sockaddr_storage)), -EINVAL);
    expect("sealed: accept", try_accept(fd), -EINVAL);
    expect("sealed: open anew through /proc", try_reopen(fd), -ENXIO);
    expect("sealed: TCP_REPAIR", try_repair(fd), -EPERM);
    expect("sealed: the seal a second time", try_ulp(fd, "tls"), -EEXIST);
    expect_refusal("sealed: another protocol over it", try_ulp(fd, "espintcp"));
    expect_refusal("sealed: no protocol over it", try_ulp(fd, ""));
    expect("sealed: data still flows", try_echo(fd), 0);
    close(fd);
}

/* Whatever the holder sets on it, the socket stays with its peer. */
static void test_options(const struct holder *h, int family)
{
    struct socket_option options[SOCKET_OPTIONS];
    size_t n = socket_options(options);
    int fd = get_socket(h, ORDER_SEALED, family);

    for (size_t i = 0; i < n; i++) {
        const struct socket_option *o = &options[i];
        int r = setsockopt(fd, o->level, o->option, o->value, o->size) < 0 ? -errno : 0;
        int disconnected = try_disconnect(fd), connected = try_connect(fd, elsewhere(h, family));
        int bound = try_bind(fd, family), listening = try_listen(fd);

        report(disconnected < 0 && connected < 0 && bound < 0 && listening < 0,
               "sealed, with %s (%s): nothing more", o->name, r < 0 ? strerrorname_np(-r) : "set");
    }
    expect("sealed, with all of them: data flows", try_echo(fd), 0);
    close(fd);
}

/* With keys of the holder's own it is kernel TLS, which nobody at the other end speaks. */
static void test_keys(const struct holder *h, int family)
{
    static const int directions[] = {TLS_TX, TLS_RX};
    int fd = get_socket(h, ORDER_HELD, family);

    for (size_t i = 0; i < 2; i++) {
        expect("keys: set", try_keys(fd, directions[i]), 0);
        expect("keys: disconnect", try_disconnect(fd), -EOPNOTSUPP);
        expect_refusal("keys: connect elsewhere", try_connect(fd, elsewhere(h, family)));
        expect_refusal("keys: bind", try_bind(fd, family));
        expect_refusal("keys: listen", try_listen(fd));
    }
    close(fd);
}

/* Whatever state the socket is in, it reaches nothing, in this order and then again. One thing is
 * left to the holder once both ends are closed: bind() takes a port in the maker's namespace (once,
 * not a privileged one), behind which neither listen() nor connect() follow. */
static void attack(const char *state, int fd, int family, const struct sockaddr_storage *to,
                   bool is_closed)
{
    for (int i = 0; i < 2; i++) {
        char what[64];

#define ATTACK(name, call)                                                                         \
    (snprintf(what, sizeof(what), "%s: %s", state, name), expect_refusal(what, call))
        ATTACK("disconnect", try_disconnect(fd));
        ATTACK("connect elsewhere", try_connect(fd, to));
        ATTACK("MSG_FASTOPEN elsewhere", try_fastopen(fd, to));
        if (is_closed && i == 0)
            expect("closed by both: bind, nothing more", try_bind(fd, family), 0);
        else
            ATTACK("bind", try_bind(fd, family));
        ATTACK("listen", try_listen(fd));
        ATTACK("disconnect through io_uring", try_ring_disconnect(fd));
        ATTACK("connect elsewhere through io_uring", try_ring_connect(fd, to, sizeof(*to)));
        ATTACK("accept", try_accept(fd));
#undef ATTACK
    }
}

static void wait_closed(int fd)
{
    struct tcp_info info;
    socklen_t n = sizeof(info);

    for (int i = 0; i < 500; i++) {
        check(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n), "TCP_INFO");
        if (info.tcpi_state == TCP_STATE_CLOSE)
            return;
        usleep(10000);
    }
    printf("Bail out! the connection does not come to its end\n");
    exit(99);
}

static void test_states(const struct holder *h, int family)
{
    int fd = get_socket(h, ORDER_RESET, family);

    attack("sealed, reset by the peer", fd, family, elsewhere(h, family), true);
    close(fd);

    fd = get_socket(h, ORDER_FIN, family);
    attack("sealed, ended by the peer", fd, family, elsewhere(h, family), false);
    shutdown(fd, SHUT_WR);
    wait_closed(fd);
    attack("sealed, ended by both", fd, family, elsewhere(h, family), true);
    close(fd);

    fd = get_socket(h, ORDER_HELD, family);
    shutdown(fd, SHUT_RDWR);
    attack("sealed, shut down", fd, family, elsewhere(h, family), false);
    close(fd);

    fd = get_socket(h, ORDER_SEALED, family);
    shutdown(fd, SHUT_RDWR);
    wait_closed(fd);
    attack("sealed, shut down and answered", fd, family, elsewhere(h, family), true);
    close(fd);
}

static void test_mapped(const struct holder *h)
{
    int fd = get_socket(h, ORDER_MAPPED, AF_INET6);

    expect("mapped: data flows", try_echo(fd), 0);
    expect_refusal("mapped: IPV6_ADDRFORM", try_addrform(fd));
    expect("mapped: disconnect", try_disconnect(fd), -EOPNOTSUPP);
    expect("mapped: data still flows", try_echo(fd), 0);
    close(fd);
}

#define CHECKS_BARE    7
#define CHECKS_SEALED  15
#define CHECKS_STATES  80
#define CHECKS_OPTIONS (SOCKET_OPTIONS + 1)
#define CHECKS_KEYS    10
#define CHECKS_MAPPED  4
#define CHECKS_FIRST   1
#define CHECKS_GIVEN   20
#define CHECKS                                                                                     \
    (CHECKS_FIRST +                                                                                \
     2 * (CHECKS_BARE + CHECKS_SEALED + CHECKS_STATES + CHECKS_OPTIONS + CHECKS_KEYS) +            \
     CHECKS_MAPPED)

static int run_holder(const struct holder *h)
{
    static const int families[] = {AF_INET, AF_INET6};
    int fd;

    check(unshare(CLONE_NEWNET), "unshare");
    check(setgroups(0, NULL), "setgroups");
    check(setresgid(HOLDER_UID, HOLDER_UID, HOLDER_UID), "setresgid");
    check(setresuid(HOLDER_UID, HOLDER_UID, HOLDER_UID), "setresuid");

    fd = check(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
    expect("a socket of the holder's own reaches nothing", try_connect(fd, &h->elsewhere_v4),
           -ENETUNREACH);
    close(fd);
    for (size_t i = 0; i < 2; i++) {
        printf("# %s\n", families[i] == AF_INET ? "IPv4" : "IPv6");
        test_bare(h, families[i]);
        test_sealed(h, families[i]);
        test_states(h, families[i]);
        test_options(h, families[i]);
        test_keys(h, families[i]);
    }
    test_mapped(h);
    if (n_cases != CHECKS) {
        printf("Bail out! %u cases, not %u\n", n_cases, CHECKS);
        return 99;
    }
    return n_failed ? 1 : 0;
}

/* ---- an fd that somebody else made ---- */

static int attack_given(int fd)
{
    const char *address = getenv("ADDRESS"), *port = getenv("PORT");
    struct sockaddr_in to = {.sin_family = AF_INET};
    struct sockaddr_storage sa = {0};

    if (!address || !port || inet_pton(AF_INET, address, &to.sin_addr) != 1) {
        fprintf(stderr, "seal-test: ADDRESS and PORT are to be set\n");
        return 2;
    }
    to.sin_port = htons((uint16_t)atoi(port));
    memcpy(&sa, &to, sizeof(to));
    printf("1..%u\n", CHECKS_GIVEN);
    expect("given: data flows", try_echo(fd), 0);
    expect("given: disconnect", try_disconnect(fd), -EOPNOTSUPP);
    expect("given: disconnect through io_uring", try_ring_disconnect(fd), -EOPNOTSUPP);
    attack("given", fd, AF_INET, &sa, false);
    expect("given: data still flows", try_echo(fd), 0);
    return n_failed ? 1 : 0;
}

int main(int argc, char **argv)
{
    struct maker m;
    struct holder h;
    int pair[2], status;

    if (argc == 3 && !strcmp(argv[1], "--fd"))
        return attack_given(atoi(argv[2]));
    if (argc == 3 && !strcmp(argv[1], "--serve"))
        maker_serve_echo((uint16_t)atoi(argv[2]));
    if (argc != 1)
        return 2;
    printf("1..%u\n", CHECKS);
    fflush(stdout);
    maker_init(&m);
    loopback(&h.elsewhere_v4, AF_INET, m.echo_v4, false);
    loopback(&h.elsewhere_v6, AF_INET6, m.echo_v6, false);
    check(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), "socketpair");

    pid_t pid = check(fork(), "fork");

    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(pair[0]);
        h.over = pair[1];
        exit(run_holder(&h));
    }
    close(pair[1]);
    maker_run(&m, pair[0]);
    check(waitpid(pid, &status, 0), "waitpid");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 99;
}
