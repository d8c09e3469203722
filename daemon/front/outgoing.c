/* What is sent to a session. Several messages are with the kernel at once: results carry ids, their
 * order does not matter. `ended` follows its result because the relay starts after the result is
 * out. Whoever does not read is charged for what waits, and dropped when that is too much.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/front/peer.h"

static void outgoing_free_unfilled(struct peer *peer, struct outgoing *out, size_t n)
{
    charge_sub(&peer->charge, QUOTA_OUTGOING, (unsigned)(sizeof *out + n));
    if (out)
        free(out->fds);
    free(out);
}

struct outgoing *outgoing_new(struct peer *peer, const void *data, size_t n, size_t n_fds)
{
    struct outgoing *out;

    if (!charge_add(&peer->charge, QUOTA_OUTGOING, (unsigned)(sizeof *out + n),
                    peer->narrowing ? OUTGOING_PER_USER_MAX / 2 : OUTGOING_PER_USER_MAX))
        return NULL;
    out = malloc(sizeof *out + n);
    if (out) {
        memset(out, 0, offsetof(struct outgoing, msg));
        out->fds = n_fds > 0 ? malloc(n_fds * sizeof *out->fds) : NULL;
    }
    if (!out || (n_fds > 0 && !out->fds)) {
        outgoing_free_unfilled(peer, out, n);
        return NULL;
    }
    list_init(&out->node);
    out->peer = peer;
    out->n_fds = n_fds;
    for (size_t i = 0; i < n_fds; i++)
        out->fds[i] = -1;
    out->n = n;
    memcpy(out->data, data, n);
    return out;
}

struct outgoing *outgoing_free(struct outgoing *out)
{
    if (!out)
        return NULL;
    for (size_t i = 0; i < out->n_fds; i++)
        ring_close_consume_fd(out->peer->front->env.ring, out->fds[i]);
    untaken_sub(&out->peer->untaken, out->n_untaken);
    outgoing_free_unfilled(out->peer, out, out->n);
    return NULL;
}

/* EPIPE, ECONNRESET: gone. But ETOOMANYREFS (unix(7)) may be due to others: the fds that wait in
 * sockets count together for all whom the daemon's user sends some. */
bool outgoing_can_go_on(int res)
{
    return res >= 0 || res == -ETOOMANYREFS;
}

static void outgoing_done(struct op *op, int res, uint32_t flags);

static void start_sending(struct outgoing *out)
{
    struct peer *peer = out->peer;

    list_append(&peer->sending, &out->node);
    peer->n_sending++;
    op_init(&out->op, outgoing_done);
    fdmsg_build(&out->msg, out->data, out->n, out->fds, out->n_fds);
    ring_sendmsg(peer->front->env.ring, &out->op, peer->fd, &out->msg.header, 0);
}

void peer_send(struct outgoing *out)
{
    struct peer *peer = out->peer;

    if (peer->is_closing) {
        if (out->sent)
            out->sent(out, -ECONNRESET);
        outgoing_free(out);
    } else if (peer->n_sending < SEND_PARALLEL_MAX) {
        start_sending(out);
    } else {
        list_append(&peer->queued, &out->node);
        peer->n_queued++;
    }
}

static void note_untaken(struct outgoing *out)
{
    if (out->n_untaken > 0)
        untaken_sent(&out->peer->untaken, out->n_untaken, out->n);
    out->n_untaken = 0;
}

static void outgoing_done(struct op *op, int res, uint32_t flags)
{
    struct outgoing *out = container_of(op, struct outgoing, op);
    struct peer *peer = out->peer;
    struct list *next;
    bool was_last_word = peer->is_failing;

    (void)flags;
    list_remove(&out->node);
    if (out->sent)
        out->sent(out, res < 0 ? res : 0);
    if (res >= 0)
        note_untaken(out);
    outgoing_free(out);
    peer->n_sending--;
    if (peer->is_closing) {
        peer_free_if_idle(peer);
        return;
    }
    if (!list_is_empty(&peer->queued) && !peer_is_held(peer)) {
        peer_close(peer);
        return;
    }
    next = list_pop(&peer->queued);
    if (next) {
        peer->n_queued--;
        start_sending(container_of(next, struct outgoing, node));
    }
    if (!outgoing_can_go_on(res) || (was_last_word && peer->n_sending == 0))
        peer_close(peer);
}

bool peer_has_room(const struct peer *peer)
{
    return peer->n_sending + peer->n_queued <
           SESSION_PENDING_MAX + SEND_PARALLEL_MAX + SESSION_OUTBOX_EXTRA;
}

void peer_send_bytes(struct peer *peer, const void *data, ssize_t n)
{
    struct outgoing *out = NULL;

    assert(n > 0);
    if (peer->is_closing)
        return;
    if (peer_has_room(peer))
        out = outgoing_new(peer, data, (size_t)n, 0);
    if (out)
        peer_send(out);
    else
        peer_close(peer);
}

void peer_drop_outgoing(struct peer *peer)
{
    struct list *node;

    while ((node = list_pop(&peer->queued))) {
        struct outgoing *out = container_of(node, struct outgoing, node);

        peer->n_queued--;
        if (out->sent)
            out->sent(out, -ECONNRESET);
        outgoing_free(out);
    }
    list_for_each (&peer->sending, sending)
        ring_cancel(peer->front->env.ring, &container_of(sending, struct outgoing, node)->op);
}
