/* What others than its opener get of a session, asked of a running daemon as root: on a kernel
 * without SO_PEERPIDFD (the machine of tests/vm) the daemon has only process ids to go by.
 *
 *   heir-test SOCKET PID    the daemon's; prints TAP, exit status 0 when all is as wanted
 *
 * The daemon is stopped while things happen that it has to sort out afterwards. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

#define CHECKS       6
#define WAIT_MS      20000
#define OTHER_UID    12345
#define WELCOME      129
#define STATUS_REPLY 133
#define ERROR        255
#define NOTHING      0 /* the end of the session */

static const char hello[] = "\1\0\0\0\x16\0\0\0\0\0\0\0\0\0\0\0\1\0\2\0\1";
static const char status[] = "\5\0\0\0\x10\0\0\0\7\0\0\0\0\0\0";

static const char *socket_path;
static pid_t daemon_pid;
static unsigned n_cases, n_failed;

static int check(int result, const char *what)
{
    if (result < 0) {
        printf("Bail out! %s: %s\n", what, strerror(errno));
        exit(1);
    }
    return result;
}

static void say_hello(int fd)
{
    check((int)send(fd, hello, sizeof hello, MSG_NOSIGNAL), "send");
}

static void ask(int fd)
{
    check((int)send(fd, status, sizeof status, MSG_NOSIGNAL), "send");
}

/* The type of the next message. */
static int next(int fd)
{
    struct pollfd in = {.fd = fd, .events = POLLIN};
    uint8_t message[65536];
    ssize_t n;

    if (poll(&in, 1, WAIT_MS) != 1)
        return -1;
    n = recv(fd, message, sizeof message, 0);
    return n >= 16 ? message[0] | message[1] << 8 : NOTHING;
}

static void expect(const char *what, int fd, int first, int second)
{
    int got_first = next(fd);
    int got_second = got_first > NOTHING ? next(fd) : NOTHING;
    bool is_ok = got_first == first && got_second == second;

    printf("%s %u - %s: %d, %d\n", is_ok ? "ok" : "not ok", ++n_cases, what, got_first, got_second);
    fflush(stdout);
    n_failed += !is_ok;
}

/* An error before the end or only the end: nothing in any case. */
static void expect_nothing(const char *what, int fd)
{
    int first = next(fd);
    int second = first == ERROR ? next(fd) : first;

    printf("%s %u - %s: %d\n", second == NOTHING ? "ok" : "not ok", ++n_cases, what, first);
    fflush(stdout);
    n_failed += second != NOTHING;
    close(fd);
}

static void stop_daemon(void)
{
    char path[64], state = '?';

    snprintf(path, sizeof path, "/proc/%d/stat", daemon_pid);
    kill(daemon_pid, SIGSTOP);
    for (int i = 0; i < WAIT_MS && state != 'T'; i++) {
        FILE *f = fopen(path, "r");

        if (!f || fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
            check(-1, path);
        fclose(f);
        usleep(1000);
    }
}

static void go_on(void)
{
    kill(daemon_pid, SIGCONT);
}

static int new_socket(void)
{
    return check(socket(AF_UNIX, SOCK_SEQPACKET, 0), "socket");
}

static void connect_to_daemon(int fd)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};

    strncpy(sa.sun_path, socket_path, sizeof sa.sun_path - 1);
    check(connect(fd, (struct sockaddr *)&sa, sizeof sa), socket_path);
}

static pid_t fork_child(void)
{
    fflush(stdout);
    return check(fork(), "fork");
}

static void reap(pid_t pid)
{
    int result;

    check(waitpid(pid, &result, 0), "waitpid");
    if (result != 0)
        check(-1, "a child");
}

static void check_opener(bool has_peerpidfd)
{
    int fd = new_socket();

    connect_to_daemon(fd);
    say_hello(fd);
    if (next(fd) != WELCOME)
        check(-1, "hello");
    ask(fd);
    printf("%s %u - who waits for the welcome is answered\n",
           next(fd) == STATUS_REPLY ? "ok" : (n_failed++, "not ok"), ++n_cases);
    close(fd);

    fd = new_socket();
    stop_daemon();
    connect_to_daemon(fd);
    say_hello(fd);
    ask(fd);
    go_on();
    expect("who does not wait is answered if that is safe", fd, WELCOME,
           has_peerpidfd ? STATUS_REPLY : ERROR);
    close(fd);
}

static void check_heirs(void)
{
    int fd = new_socket();
    pid_t pid;

    stop_daemon();
    pid = fork_child();
    if (pid == 0) {
        connect_to_daemon(fd);
        say_hello(fd);
        ask(fd);
        _exit(0);
    }
    reap(pid);
    go_on();
    expect_nothing("the opener ended before it was accepted", fd);

    fd = new_socket();
    pid = fork_child();
    if (pid == 0) {
        connect_to_daemon(fd);
        say_hello(fd);
        if (next(fd) != WELCOME)
            _exit(1);
        stop_daemon();
        ask(fd);
        _exit(0);
    }
    reap(pid);
    go_on();
    expect_nothing("the opener ended before its question was read", fd);
}

static void set_last_pid(pid_t pid)
{
    FILE *f = fopen("/proc/sys/kernel/ns_last_pid", "w");

    if (!f || fprintf(f, "%d", pid) < 0 || fclose(f) != 0)
        check(-1, "ns_last_pid");
}

static void be_heir(int fd, uid_t uid, int ready, const int order[2])
{
    char c;

    close(order[1]);
    if (setuid(uid) < 0 || write(ready, "r", 1) < 0 || read(order[0], &c, 1) < 0)
        _exit(1);
    send(fd, hello, sizeof hello, MSG_NOSIGNAL);
    send(fd, status, sizeof status, MSG_NOSIGNAL);
    if (read(order[0], &c, 1) < 0) /* until it is over */
        _exit(1);
}

/* Somebody with the opener's id comes before the daemon looks. */
static void check_same_id(const char *what, bool has_sent, uid_t uid)
{
    int fd = new_socket(), order[2], ready[2];
    char c;
    pid_t opener, heir = 0;

    check(pipe(order), "pipe");
    check(pipe(ready), "pipe");
    stop_daemon();
    opener = fork_child();
    if (opener == 0) {
        connect_to_daemon(fd);
        if (has_sent) {
            say_hello(fd);
            ask(fd);
        }
        _exit(0);
    }
    reap(opener);
    for (int i = 0; i < 100 && heir != opener; i++) {
        if (heir)
            reap(heir);
        set_last_pid(opener - 1);
        heir = fork_child();
        if (heir == 0) {
            if (getpid() == opener)
                be_heir(fd, uid, ready[1], order);
            _exit(0);
        }
    }
    if (heir != opener)
        check(-1, "the opener's id");
    check((int)read(ready[0], &c, 1), "read");
    go_on();
    if (!has_sent)
        check((int)write(order[1], "h", 1), "write");
    if (has_sent)
        expect(what, fd, WELCOME, ERROR);
    else
        expect_nothing(what, fd);
    close(order[1]);
    reap(heir);
    close(order[0]);
    close(ready[0]);
    close(ready[1]);
}

int main(int argc, char **argv)
{
    int pair[2], pidfd;
    socklen_t n = sizeof pidfd;
    bool has_peerpidfd;

    if (argc != 3)
        return 2;
    socket_path = argv[1];
    daemon_pid = atoi(argv[2]);
    check(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), "socketpair");
    has_peerpidfd = getsockopt(pair[0], SOL_SOCKET, SO_PEERPIDFD, &pidfd, &n) == 0;
    printf("1..%u\n# SO_PEERPIDFD: %s\n", CHECKS, has_peerpidfd ? "yes" : "no");
    check_opener(has_peerpidfd);
    check_heirs();
    check_same_id("another user got the opener's id", false, OTHER_UID);
    if (has_peerpidfd)
        check_same_id("another process got the opener's id", false, 0);
    else
        check_same_id("and what the opener left", true, 0);
    return n_failed ? 1 : 0;
}
