/* Two directions that know of each other only at the end.
 *
 *     up:    receive from client ─▶ channel_write, flush ─▶ receive …
 *            EOF ─▶ close_notify, flush ─▶ shutdown(target, WR) ─▶ wait for the client to hang up
 *     down:  channel_read ─▶ send to client ─▶ channel_read … ─▶ fill ─▶ channel_read …
 *            EOF ─▶ shutdown(client, WR)
 *
 * A client that has only shut down its side still reads; one that has closed both hangs up
 * (POLLHUP), and then nobody is left to read. Answers of the TLS layer to what it reads (KeyUpdate)
 * go out with the next flush, which the down side starts when none is under way.
 *
 * TLS stays in user space also where the kernel could do it. With the keys in the kernel a
 * KeyUpdate (before Linux 6.14) ends the connection, tickets are lost, and IORING_OP_SPLICE would
 * go to a worker thread each time; what that costs and what it would save is in
 * tests/bench/RESULTS.md. A client that wants to move much takes the kTLS socket itself.
 */
#include "daemon/relay/relay.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static void up_done(struct op *op, int res, uint32_t flags);
static void hang_up_done(struct op *op, int res, uint32_t flags);
static void down_done(struct op *op, int res, uint32_t flags);
static void filled(struct channel *channel, int res);
static void flushed(struct channel *channel, int res);
static void idle_over(struct timer *timer);
static void lifetime_over(struct timer *timer);
static void look_for_stall(struct timer *timer);
static void flush(struct relay *relay);

struct relay *relay_new_consume(struct channel *channel, int client_fd,
                                const struct relay_limits *limits, relay_fn *fn)
{
    struct relay *relay = malloc(sizeof *relay);

    if (!relay)
        return NULL;
    /* All but the buffer: most of its pages are never touched. */
    memset(relay, 0, offsetof(struct relay, up));
    relay->client_fd = client_fd;
    relay->limits = *limits;
    relay->fn = fn;
    channel_move(channel, &relay->channel);
    relay->channel.filled = filled;
    relay->channel.flushed = flushed;
    op_init(&relay->up_op, up_done);
    op_init(&relay->down_op, down_done);
    timer_init(&relay->idle_timer, idle_over);
    timer_init(&relay->lifetime_timer, lifetime_over);
    timer_init(&relay->stall_timer, look_for_stall);
    return relay;
}

struct relay *relay_free(struct relay *relay)
{
    if (!relay)
        return NULL;
    ring_close_consume_fd(relay->channel.ring, relay->client_fd);
    channel_deinit(&relay->channel);
    free(relay);
    return NULL;
}

static bool is_idle(const struct relay *relay)
{
    return channel_is_idle(&relay->channel) && !op_is_pending(&relay->up_op) &&
           !op_is_pending(&relay->down_op);
}

/* Every callback of the kernel or a timer ends with this and touches the relay no more: the last
 * one calls back to the owner, who frees it. */
static void finish_if_idle(struct relay *relay)
{
    if (relay->is_ending && is_idle(relay))
        relay->fn(relay);
}

static void end(struct relay *relay, enum relay_end how)
{
    struct ring *ring = relay->channel.ring;

    if (relay->is_ending)
        return;
    relay->is_ending = true;
    relay->end = how;
    ring_timer_clear(ring, &relay->idle_timer);
    ring_timer_clear(ring, &relay->lifetime_timer);
    ring_timer_clear(ring, &relay->stall_timer);
    ring_cancel(ring, &relay->up_op);
    ring_cancel(ring, &relay->down_op);
    channel_cancel(&relay->channel);
}

static void end_if_done(struct relay *relay)
{
    if (relay->is_up_done && relay->is_down_done)
        end(relay, relay->is_truncated ? RELAY_END_TRUNCATED : RELAY_END_CLEAN);
}

static void touch(struct relay *relay)
{
    if (relay->limits.idle_timeout_us > 0)
        ring_timer_set(relay->channel.ring, &relay->idle_timer,
                       ring_now_us(relay->channel.ring) + relay->limits.idle_timeout_us);
}

static void idle_over(struct timer *timer)
{
    relay_stop(container_of(timer, struct relay, idle_timer), RELAY_END_IDLE);
}

static void lifetime_over(struct timer *timer)
{
    relay_stop(container_of(timer, struct relay, lifetime_timer), RELAY_END_LIFETIME);
}

void relay_stop(struct relay *relay, enum relay_end how)
{
    if (relay->is_ending)
        return;
    end(relay, how);
    finish_if_idle(relay);
}

/* Up */

static void up_receive(struct relay *relay)
{
    ring_recv(relay->channel.ring, &relay->up_op, relay->client_fd, relay->up, sizeof relay->up, 0);
}

/* The target takes nothing any more, but what it sent before may still be there to be read. The
 * client is told by EPIPE on its next write. Any other error than the target's ends it all. */
static void up_broken(struct relay *relay, int error)
{
    if (error != EPIPE && error != ECONNRESET) {
        end(relay, RELAY_END_RESET);
        return;
    }
    relay->is_up_done = true;
    shutdown(relay->client_fd, SHUT_RD);
    channel_shutdown_write(&relay->channel);
    end_if_done(relay);
}

static void up_finished(struct relay *relay)
{
    channel_shutdown_write(&relay->channel);
    relay->is_up_done = true;
    end_if_done(relay);
    if (relay->is_ending)
        return;
    op_init(&relay->up_op, hang_up_done);
    ring_poll_changes(relay->channel.ring, &relay->up_op, relay->client_fd);
}

/* A ring poll reports POLLRDHUP unasked, so once for the half-close that is already known. */
static void hang_up_done(struct op *op, int res, uint32_t flags)
{
    struct relay *relay = container_of(op, struct relay, up_op);

    (void)flags;
    if (res < 0 || res & (POLLHUP | POLLERR)) {
        /* The client has closed: whatever still comes has no reader. */
        end(relay, relay->is_truncated ? RELAY_END_TRUNCATED : RELAY_END_CLEAN);
    } else if (!relay->is_ending && !op_is_pending(op)) {
        ring_poll_changes(relay->channel.ring, op, relay->client_fd);
    }
    finish_if_idle(relay);
}

/* TLS may not take bytes just now (the target is in the middle of a KeyUpdate); asked again after
 * each flush and fill. */
static void up_write(struct relay *relay)
{
    int r = channel_write(&relay->channel, relay->up, relay->up_size);

    if (r == -EAGAIN)
        return;
    if (r < 0) {
        end(relay, RELAY_END_RESET);
        return;
    }
    relay->up_size = 0;
    relay->has_up_data = true;
    flush(relay);
}

static void up_received(struct relay *relay, int res)
{
    /* A client that closes without having read everything resets the pair; what it wrote before
     * comes behind the error (unix(7) sockets report it once). */
    if (res == -ECONNRESET && !relay->is_client_reset) {
        relay->is_client_reset = true;
        up_receive(relay);
        return;
    }
    if (res > 0) {
        touch(relay);
        relay->bytes_sent += (uint64_t)res;
        relay->up_size = (size_t)res;
        up_write(relay);
    } else {
        relay->is_up_ending = true;
        channel_close_write(&relay->channel);
        flush(relay);
    }
}

static void up_done(struct op *op, int res, uint32_t flags)
{
    struct relay *relay = container_of(op, struct relay, up_op);

    (void)flags;
    if (!relay->is_ending && !relay->is_up_done)
        up_received(relay, res);
    finish_if_idle(relay);
}

/* After each flush: what the up side does next. */
static void up_continue(struct relay *relay)
{
    if (relay->is_up_done)
        return;
    if (relay->up_size > 0) {
        up_write(relay);
    } else if (relay->is_up_ending) {
        up_finished(relay);
    } else if (relay->has_up_data) {
        relay->has_up_data = false;
        up_receive(relay);
    }
}

static void watch_for_stall(struct relay *relay)
{
    ring_timer_set(relay->channel.ring, &relay->stall_timer,
                   ring_now_us(relay->channel.ring) + RELAY_STALL_US);
}

/* While the target takes nothing the client is not read, so that its end is not seen either. One
 * that has closed both sides does not wait for ever: its relay counts against its user's limit. */
static void look_for_stall(struct timer *timer)
{
    struct relay *relay = container_of(timer, struct relay, stall_timer);
    struct pollfd client = {.fd = relay->client_fd};
    size_t left = relay->channel.sending_size;

    if (!channel_is_flushing(&relay->channel))
        return;
    if (relay->stalled_sent != relay->bytes_sent || relay->stalled_left != left)
        relay->n_stalls = 0;
    relay->stalled_sent = relay->bytes_sent;
    relay->stalled_left = left;
    if (++relay->n_stalls > RELAY_STALLS_MAX && poll(&client, 1, 0) > 0 &&
        client.revents & (POLLHUP | POLLERR))
        relay_stop(relay, RELAY_END_RESET);
    else
        watch_for_stall(relay);
}

static void flush(struct relay *relay)
{
    int r;

    if (channel_is_flushing(&relay->channel))
        return;
    r = channel_flush(&relay->channel);
    if (r < 0)
        end(relay, RELAY_END_RESET);
    else if (r == 0)
        up_continue(relay);
    else if (!relay->stall_timer.is_set)
        watch_for_stall(relay);
}

static void flushed(struct channel *channel, int res)
{
    struct relay *relay = container_of(channel, struct relay, channel);

    if (!relay->is_ending) {
        if (res < 0)
            up_broken(relay, -res);
        else
            up_continue(relay);
    }
    finish_if_idle(relay);
}

/* Down */

static void down_send(struct relay *relay)
{
    ring_send(relay->channel.ring, &relay->down_op, relay->client_fd, relay->down, relay->down_size,
              0);
}

static void down_finished(struct relay *relay)
{
    shutdown(relay->client_fd, SHUT_WR);
    relay->is_down_done = true;
    end_if_done(relay);
}

/* Reads until there is something to send, or nothing without receiving more. */
static void down_continue(struct relay *relay)
{
    ssize_t n = channel_read(&relay->channel, &relay->down);

    if (n > 0) {
        relay->down_size = (size_t)n;
        relay->bytes_received += (uint64_t)n;
        down_send(relay);
    } else if (n == 0) {
        down_finished(relay);
        return;
    } else if (n != -EAGAIN || channel_fill(&relay->channel) < 0) {
        end(relay, RELAY_END_RESET);
        return;
    }
    if (channel_top(&relay->channel) && !relay->is_up_done)
        flush(relay);
}

static void filled(struct channel *channel, int res)
{
    struct relay *relay = container_of(channel, struct relay, channel);

    if (relay->is_ending) {
        /* nothing more is read */
    } else if (res > 0) {
        touch(relay);
        down_continue(relay);
    } else if (res == 0) {
        relay->is_truncated = channel_top(channel) != NULL;
        down_finished(relay);
    } else {
        end(relay, RELAY_END_RESET);
    }
    finish_if_idle(relay);
}

static void down_sent(struct relay *relay, int res)
{
    if (res < 0) {
        /* The client closed before it had read everything. */
        end(relay, RELAY_END_RESET);
        return;
    }
    touch(relay);
    relay->down += res;
    relay->down_size -= (size_t)res;
    if (relay->down_size > 0)
        down_send(relay);
    else
        down_continue(relay);
}

static void down_done(struct op *op, int res, uint32_t flags)
{
    struct relay *relay = container_of(op, struct relay, down_op);

    (void)flags;
    if (!relay->is_ending)
        down_sent(relay, res);
    finish_if_idle(relay);
}

void relay_start(struct relay *relay)
{
    struct ring *ring = relay->channel.ring;

    touch(relay);
    if (relay->limits.max_lifetime_us > 0)
        ring_timer_set(ring, &relay->lifetime_timer,
                       ring_now_us(ring) + relay->limits.max_lifetime_us);
    up_receive(relay);
    down_continue(relay);
    finish_if_idle(relay);
}
