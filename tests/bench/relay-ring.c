/* relay-ring [MIB]: a relay without TLS from a TCP socket to a Unix socket, by one io_uring of the
 * daemon's kind, in three ways: operations RECV and SEND; operations SPLICE through a pipe; and a
 * POLL operation with splice(2) behind it.
 *
 * IORING_OP_SPLICE never tries in the caller's thread: each one goes to a worker thread of the
 * kernel's. Told are microseconds per MiB, of the clock and of CPU time (this process, its workers
 * included; the ends are processes of their own), how many worker threads there were, and how many
 * operations and system calls it took. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* As daemon/relay/relay.h. Of kernel TLS splice(2) takes one record at a time. */
#define BUFFER  16384
#define WORKERS "iou-wrk"

struct relay {
    struct io_uring ring;
    int from, to, pipe_fds[2];
    unsigned n_ops, n_calls, n_workers;
};

static void __attribute__((noreturn)) die(const char *what)
{
    perror(what);
    exit(1);
}

static struct io_uring_sqe *get_sqe(struct relay *relay)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&relay->ring);

    if (!sqe)
        die("the submission queue is full");
    return sqe;
}

/* The end of a chain of one: what was done. */
static int run_op(struct relay *relay)
{
    struct io_uring_cqe *cqe;
    int res;

    relay->n_ops++;
    relay->n_calls++;
    if (io_uring_submit_and_wait(&relay->ring, 1) < 0 || io_uring_peek_cqe(&relay->ring, &cqe) < 0)
        die("io_uring_enter");
    res = cqe->res;
    io_uring_cqe_seen(&relay->ring, cqe);
    if (res < 0) {
        errno = -res;
        die("operation");
    }
    return res;
}

static void relay_by_recv(struct relay *relay)
{
    static char buf[BUFFER];
    int n;

    do {
        io_uring_prep_recv(get_sqe(relay), relay->from, buf, sizeof buf, 0);
        n = run_op(relay);
        for (int sent = 0; sent < n;) {
            io_uring_prep_send(get_sqe(relay), relay->to, buf + sent, (size_t)(n - sent),
                               MSG_NOSIGNAL);
            sent += run_op(relay);
        }
    } while (n > 0);
}

static unsigned count_workers(void)
{
    DIR *tasks = opendir("/proc/self/task");
    unsigned n = 0;

    for (struct dirent *entry; (entry = readdir(tasks));) {
        char path[512], name[32] = "";
        FILE *f;

        snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
        f = fopen(path, "re");
        if (f && fgets(name, sizeof name, f) && strncmp(name, WORKERS, strlen(WORKERS)) == 0)
            n++;
        if (f)
            fclose(f);
    }
    closedir(tasks);
    return n;
}

static void relay_by_splice_op(struct relay *relay)
{
    int n;

    do {
        io_uring_prep_splice(get_sqe(relay), relay->from, -1, relay->pipe_fds[1], -1, BUFFER, 0);
        n = run_op(relay);
        for (int sent = 0; sent < n;) {
            io_uring_prep_splice(get_sqe(relay), relay->pipe_fds[0], -1, relay->to, -1,
                                 (unsigned)(n - sent), 0);
            sent += run_op(relay);
        }
    } while (n > 0);
    relay->n_workers = count_workers();
}

/* What was spliced, or -1 when there is nothing just now. */
static ssize_t call_splice(struct relay *relay, int from, int to, size_t n)
{
    ssize_t k = splice(from, NULL, to, NULL, n, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

    relay->n_calls++;
    if (k < 0 && errno != EAGAIN)
        die("splice");
    return k;
}

static void poll_for(struct relay *relay, int fd, unsigned events)
{
    io_uring_prep_poll_add(get_sqe(relay), fd, events);
    run_op(relay);
}

static void relay_by_poll(struct relay *relay)
{
    ssize_t n;

    while ((n = call_splice(relay, relay->from, relay->pipe_fds[1], BUFFER)) != 0) {
        if (n < 0)
            poll_for(relay, relay->from, POLLIN);
        while (n > 0) {
            ssize_t k = call_splice(relay, relay->pipe_fds[0], relay->to, (size_t)n);

            if (k < 0)
                poll_for(relay, relay->to, POLLOUT);
            else
                n -= k;
        }
    }
}

/* Non-blocking only for splice(2): the ring would give the caller the EAGAIN. */
static void make_ends(struct relay *relay, int *ret_source, int *ret_sink, int flags)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof sa;
    int pair[2], listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    relay->from = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listener, (struct sockaddr *)&sa, n) < 0 || listen(listener, 1) < 0 ||
        getsockname(listener, (struct sockaddr *)&sa, &n) < 0 ||
        connect(relay->from, (struct sockaddr *)&sa, n) < 0)
        die("loopback");
    *ret_source = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (*ret_source < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0 ||
        pipe2(relay->pipe_fds, O_CLOEXEC | flags) < 0)
        die("socketpair");
    relay->to = pair[0];
    *ret_sink = pair[1];
    if (fcntl(relay->from, F_SETFL, flags) < 0 || fcntl(relay->to, F_SETFL, flags) < 0)
        die("F_SETFL");
    close(listener);
}

static pid_t start_end(const struct relay *relay, int source, int sink, size_t total,
                       bool is_source)
{
    static char buf[BUFFER];
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    close(relay->from);
    close(relay->to);
    close(is_source ? sink : source);
    if (is_source)
        for (size_t i = 0; i < total; i += BUFFER)
            send(source, buf, BUFFER, MSG_NOSIGNAL);
    else
        while (recv(sink, buf, BUFFER, 0) > 0)
            ;
    _exit(0);
}

static double us_of(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void measure(const char *name, void (*relay_by)(struct relay *relay), int flags, size_t mib)
{
    struct io_uring_params params = {.flags =
                                         IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN};
    struct relay relay = {.n_ops = 0};
    int source, sink;
    pid_t ends[2];
    double wall, cpu;

    make_ends(&relay, &source, &sink, flags);
    ends[0] = start_end(&relay, source, sink, mib << 20, true);
    ends[1] = start_end(&relay, source, sink, mib << 20, false);
    close(source);
    close(sink);
    if (io_uring_queue_init_params(16, &relay.ring, &params) < 0)
        die("io_uring");
    wall = us_of(CLOCK_MONOTONIC);
    cpu = us_of(CLOCK_PROCESS_CPUTIME_ID);
    relay_by(&relay);
    wall = us_of(CLOCK_MONOTONIC) - wall;
    cpu = us_of(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    close(relay.to);
    close(relay.from);
    io_uring_queue_exit(&relay.ring);
    for (size_t i = 0; i < 2; i++)
        waitpid(ends[i], NULL, 0);
    printf("%-26s %9.1f %9.1f %10.1f %9.1f %9u\n", name, wall / (double)mib, cpu / (double)mib,
           (double)relay.n_ops / (double)mib, (double)relay.n_calls / (double)mib, relay.n_workers);
}

int main(int argc, char **argv)
{
    size_t mib = argc > 1 ? strtoul(argv[1], NULL, 10) : 512;

    signal(SIGPIPE, SIG_IGN);
    printf("%-26s %9s %9s %10s %9s %9s\n", "", "us/MiB", "CPU", "ops", "calls", "workers");
    measure("ring: RECV, SEND", relay_by_recv, 0, mib);
    measure("ring: SPLICE", relay_by_splice_op, 0, mib);
    measure("ring: POLL; splice(2)", relay_by_poll, O_NONBLOCK, mib);
    return 0;
}
