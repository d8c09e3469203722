/* fdial connect: stdin to the connection, the connection to stdout.
 *
 * Two one-way flows with a buffer each, and one poll(2). The end of stdin shuts the connection down
 * for writing; the end of the connection closes stdout. stdin and stdout are shared with whoever
 * started us, so they are never made non-blocking: what poll announced is read or written in
 * amounts that do not block (PIPE_BUF for a pipe, MSG_DONTWAIT for a socket).
 */
#include <errno.h>
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

struct end {
    int fd;
    bool is_socket;
};

struct flow {
    struct end from, to;
    const char *name; /* of the side that is ours, for the error line */
    size_t start, n;  /* what is in the buffer */
    bool has_ended;   /* `from` gave its end */
    bool is_done;     /* … and everything was written, and the end was passed on */
    uint8_t buf[FLOW_BUFFER_SIZE];
};

static struct end end_of(int fd)
{
    struct stat st;

    return (struct end){.fd = fd, .is_socket = fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode)};
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

/* Closing a socket that is stdin too would not tell the other side anything. */
static void end_finish(const struct end *end)
{
    if (end->is_socket)
        fdial_shutdown(end->fd, SHUT_WR);
    else
        close(end->fd);
}

static int flow_read(struct flow *flow)
{
    ssize_t n = end_read(&flow->from, flow->buf, sizeof flow->buf);

    if (n == -EAGAIN || n == -EINTR)
        return 0;
    if (n < 0)
        return (int)n;
    flow->start = 0;
    flow->n = (size_t)n;
    flow->has_ended = n == 0;
    return 0;
}

static int flow_write(struct flow *flow)
{
    ssize_t n = end_write(&flow->to, flow->buf + flow->start, flow->n);

    if (n == -EAGAIN || n == -EINTR)
        return 0;
    if (n < 0)
        return (int)n;
    flow->start += (size_t)n;
    flow->n -= (size_t)n;
    return 0;
}

/* One step in the direction that is possible; passes the end on once the buffer is empty. */
static int flow_step(struct flow *flow, short in, short out)
{
    int r = 0;

    if (flow->is_done)
        return 0;
    if (flow->n == 0 && !flow->has_ended && in)
        r = flow_read(flow);
    else if (flow->n > 0 && out)
        r = flow_write(flow);
    if (r == 0 && flow->n == 0 && flow->has_ended) {
        end_finish(&flow->to);
        flow->is_done = true;
    }
    return r;
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
    return !flow->is_done && flow->n > 0 ? POLLOUT : 0;
}

/* Both directions of a relay or TCP connection are over for the other side: what is still read from
 * stdin has nowhere to go. Asked only when the connection has given its end. */
static bool is_connection_gone(const struct flow *up)
{
    struct pollfd p = {.fd = up->to.fd};

    return poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLERR)) != 0;
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

static int carry(struct flow *up, struct flow *down, const struct flow **ret_failed)
{
    struct pollfd polled[N_POLLED];
    int r;

    while (!up->is_done || !down->is_done) {
        r = wait_for_flows(up, down, polled);
        if (r < 0)
            return r;
        if (r == 0)
            continue;
        *ret_failed = down;
        r = flow_step(down, polled[CONNECTION].revents, polled[STDOUT].revents);
        if (r < 0)
            return r;
        *ret_failed = up;
        r = flow_step(up, polled[STDIN].revents, polled[CONNECTION].revents);
        if (r < 0)
            return r;
        if (down->is_done && !up->is_done && is_connection_gone(up))
            return 0;
    }
    return 0;
}

static int connect_streams(int fd, const char *target)
{
    static struct flow up, down;
    const struct flow *failed = &up;
    int r;

    up = (struct flow){.from = end_of(STDIN_FILENO), .to = {fd, true}, .name = "stdin"};
    down = (struct flow){.from = {fd, true}, .to = end_of(STDOUT_FILENO), .name = "stdout"};
    signal(SIGPIPE, SIG_IGN);
    r = carry(&up, &down, &failed);
    if (r < 0)
        return report_error(EXIT_CONNECTION, target, "connection (%s): %s", failed->name,
                            strerror(-r));
    return EXIT_DONE;
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
    dialled.session = fdial_close(dialled.session);
    return connect_streams(fd, argv[first]);
}
