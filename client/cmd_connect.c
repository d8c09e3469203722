/* fdial connect: stdin to the connection, the connection to stdout.
 *
 * Two one-way flows with a buffer each, and one poll(2). The end of stdin shuts the connection down
 * for writing; the end of the connection closes stdout. stdin and stdout are shared with whoever
 * started us, so they are never made non-blocking: what poll announced is read or written in
 * amounts that do not block (PIPE_BUF for a pipe, MSG_DONTWAIT for a socket). The connection is
 * ours alone and is made non-blocking: the end of TLS has to wait for room like data, and the peer
 * may make none before it was read from.
 *
 * A relay's end looks the same whether it was a proper one or not; the daemon tells on the session,
 * which is kept for that.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/dial.h"
#include "proto/cleanup.h"

#define FLOW_BUFFER_SIZE 65536
#define NOTHING_MS       2    /* where there is not what poll announced */
#define END_WAIT_MS      5000 /* for the daemon to tell how it ended */

struct end {
    int fd;
    bool is_socket;
    const char *name;
};

struct flow {
    struct end from, to;
    size_t start, n; /* what is in the buffer */
    bool has_ended;  /* `from` gave its end, which is yet to be passed on behind the buffer */
    bool is_done;    /* everything was written, and the end was passed on; or it failed */
    int error;       /* negative errno */
    const struct end *failed;
    uint8_t buf[FLOW_BUFFER_SIZE];
};

static struct end end_of(int fd, const char *name)
{
    struct stat st;

    return (struct end){
        .fd = fd, .is_socket = fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode), .name = name};
}

/* Both return bytes, 0 at the end (reading), or -errno; -EAGAIN and -EINTR: nothing happened. */
static ssize_t end_read(const struct end *end, void *buf, size_t n)
{
    ssize_t r;

    if (end->is_socket)
        return fdial_recv(end->fd, buf, n, MSG_DONTWAIT);
    r = read(end->fd, buf, n);
    return r < 0 ? -errno : r;
}

static ssize_t end_write(const struct end *end, const void *buf, size_t n)
{
    ssize_t r;

    if (end->is_socket)
        return fdial_send(end->fd, buf, n, MSG_DONTWAIT);
    r = write(end->fd, buf, n < PIPE_BUF ? n : PIPE_BUF);
    return r < 0 ? -errno : r;
}

/* Closing a socket that is stdin too would not tell the other side anything. As end_write(). */
static int end_finish(const struct end *end)
{
    if (end->is_socket)
        return fdial_shutdown(end->fd, SHUT_WR);
    close(end->fd);
    return 0;
}

static void flow_fail(struct flow *flow, const struct end *end, int error)
{
    if (flow->error == 0) {
        flow->error = error;
        flow->failed = end;
    }
    flow->n = 0;
    flow->is_done = true;
}

static void flow_read(struct flow *flow)
{
    ssize_t n = end_read(&flow->from, flow->buf, sizeof flow->buf);

    /* A record without data, or, for Linux 6.1, a part of one, of which poll says that it is there.
     */
    if (n == -EAGAIN)
        poll(NULL, 0, NOTHING_MS);
    if (n == -EAGAIN || n == -EINTR)
        return;
    /* A Unix socket tells the reset before what had arrived until then: that is read on. */
    if (n == -ECONNRESET && flow->error == 0) {
        flow->error = -ECONNRESET;
        flow->failed = &flow->from;
        return;
    }
    if (n < 0) {
        flow_fail(flow, &flow->from, (int)n);
        return;
    }
    flow->start = 0;
    flow->n = (size_t)n;
    flow->has_ended = n == 0;
}

static void flow_write(struct flow *flow)
{
    ssize_t n = end_write(&flow->to, flow->buf + flow->start, flow->n);

    if (n == -EAGAIN || n == -EINTR)
        return;
    if (n < 0) {
        flow_fail(flow, &flow->to, (int)n);
        return;
    }
    flow->start += (size_t)n;
    flow->n -= (size_t)n;
}

/* Whoever reads no more has no use for the end: its failure is none. */
static void flow_end(struct flow *flow)
{
    int r = end_finish(&flow->to);

    flow->is_done = r != -EAGAIN && r != -EINTR;
}

/* One step in the direction that is possible; passes the end on once the buffer is empty. */
static void flow_step(struct flow *flow, int in, int out)
{
    if (flow->is_done)
        return;
    if (flow->n == 0 && !flow->has_ended && in)
        flow_read(flow);
    else if (flow->n > 0 && out)
        flow_write(flow);
    if (!flow->is_done && flow->n == 0 && flow->has_ended)
        flow_end(flow);
}

/* -1 leaves a descriptor out; a hang-up would otherwise be announced again and again. */
static struct pollfd poll_for(const struct end *end, short events)
{
    return (struct pollfd){.fd = events ? end->fd : -1, .events = events};
}

static short wants_in(const struct flow *flow)
{
    return !flow->is_done && !flow->has_ended && flow->n == 0 ? POLLIN : 0;
}

static short wants_out(const struct flow *flow)
{
    return !flow->is_done && (flow->n > 0 || flow->has_ended) ? POLLOUT : 0;
}

/* Both directions are over for the other side, and stdin has nothing that would be lost. Asked only
 * when the connection has given its end. */
static bool is_connection_gone(const struct flow *up)
{
    struct pollfd connection = {.fd = up->to.fd}, in = {.fd = up->from.fd, .events = POLLIN};

    return up->n == 0 && poll(&connection, 1, 0) > 0 &&
           (connection.revents & (POLLHUP | POLLERR)) != 0 && poll(&in, 1, 0) == 0;
}

enum { CONNECTION, STDIN, STDOUT, N_POLLED };

/* Waits until something can move. The connection's slot is always watched for a hang-up once it has
 * ended, so that an idle stdin does not keep us. */
static int wait_for_flows(const struct flow *up, const struct flow *down, struct pollfd *polled)
{
    short events = (short)(wants_out(up) | wants_in(down));

    polled[CONNECTION] = poll_for(&up->to, events);
    if (down->is_done && !up->is_done)
        polled[CONNECTION].fd = up->to.fd;
    polled[STDIN] = poll_for(&up->from, wants_in(up));
    polled[STDOUT] = poll_for(&down->to, wants_out(down));
    if (poll(polled, N_POLLED, -1) < 0)
        return errno == EINTR ? 0 : -errno;
    return 1;
}

/* Is there nothing left to do? When the connection takes no more from stdin, what it said before
 * (why, perhaps) is still to be read; any other failure ends both directions. */
static bool is_over(const struct flow *up, const struct flow *down)
{
    if (up->is_done && down->is_done)
        return true;
    if (down->is_done && down->error < 0)
        return true;
    if (up->is_done && up->error < 0 && up->failed == &up->from)
        return true;
    return down->is_done && is_connection_gone(up);
}

static int carry(struct flow *up, struct flow *down)
{
    struct pollfd polled[N_POLLED];
    int r;

    while (!is_over(up, down)) {
        r = wait_for_flows(up, down, polled);
        if (r < 0)
            return r;
        if (r == 0)
            continue;
        flow_step(down, polled[CONNECTION].revents & ~POLLOUT, polled[STDOUT].revents);
        flow_step(up, polled[STDIN].revents, polled[CONNECTION].revents & ~POLLIN);
    }
    return 0;
}

static int connect_streams(int fd, const char *target)
{
    static struct flow up, down;
    const struct flow *failed;
    int r;

    up = (struct flow){.from = end_of(STDIN_FILENO, "stdin"), .to = end_of(fd, "connection")};
    down = (struct flow){.from = up.to, .to = end_of(STDOUT_FILENO, "stdout")};
    signal(SIGPIPE, SIG_IGN);
    if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
        return report_error(EXIT_CONNECTION, target, "connection: %s", strerror(errno));
    r = carry(&up, &down);
    if (r < 0)
        return report_error(EXIT_CONNECTION, target, "poll: %s", strerror(-r));
    failed = down.error < 0 ? &down : &up;
    if (failed->error < 0)
        return report_error(EXIT_CONNECTION, target, "%s: %s", failed->failed->name,
                            fdial_strerror(failed->error));
    return EXIT_DONE;
}

/* 1: told, 0: not in time, -ENOTCONN: the daemon is gone. */
static int await_end(struct fdial *d, int *ret_end)
{
    struct fdial_result *result;
    uint64_t id;
    unsigned i;

    for (;;) {
        struct pollfd session = {.fd = fdial_fileno(d), .events = fdial_events(d)};
        int r = fdial_next(d, &result, 0);

        if (fdial_next_ended(d, &id, &i, ret_end) > 0)
            return 1;
        if (r < 0)
            return r;
        r = poll(&session, 1, END_WAIT_MS);
        if (r == 0)
            return 0;
        if (r < 0 && errno != EINTR)
            return -errno;
    }
}

static const char *describe_end(int end)
{
    switch ((enum fdial_end)end) {
    case FDIAL_END_CLEAN:
        return NULL;
    case FDIAL_END_TRUNCATED:
        return "the peer ended without the end of TLS; what came may not be all";
    case FDIAL_END_RESET:
        return strerror(ECONNRESET);
    case FDIAL_END_IDLE:
        return "ended by the daemon: idle for longer than its rule permits";
    case FDIAL_END_DRAINED:
        return "ended by the daemon, which is shutting down";
    case FDIAL_END_LIFETIME:
        return "ended by the daemon: older than its rule permits";
    }
    return NULL;
}

static int report_end(struct fdial *d, const char *target)
{
    int end = FDIAL_END_CLEAN, r;
    const char *what;

    r = await_end(d, &end);
    what = r == -ENOTCONN ? "the daemon is gone; what came may not be all" : describe_end(end);
    return what ? report_error(EXIT_CONNECTION, target, "connection: %s", what) : EXIT_DONE;
}

int cmd_connect(const struct command *command, int argc, char **argv)
{
    CLEANUP(options_deinit) struct options o;
    CLEANUP(dial_deinit) struct dial dialled = {0};
    CLEANUP(fd_closep) int fd = -1;
    int first, status;

    if (!options_parse(&o, command, argc, argv, &first, &status))
        return status;
    if (argc - first != 1)
        return usage_error(command, "one target is needed");
    status = dial_take_fd(&dialled, &o, argv[first], &fd);
    if (status != EXIT_DONE)
        return status;
    if (fdial_result_handoff(dialled.result) != FDIAL_RELAY)
        dialled.session = fdial_close(dialled.session);
    status = connect_streams(fd, argv[first]);
    fd = fd_close(fd);
    if (status == EXIT_DONE && dialled.session)
        status = report_end(dialled.session, argv[first]);
    return status;
}
