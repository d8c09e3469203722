/* Users take turns with these messages as they do with steps of handshakes (ring.h), but in a lane
 * of their own, so that nobody's questions wait for his handshakes. One message is a turn, and so
 * is the pause after a refusal: who asks again and again for what he does not get is heard no more
 * often than others.
 *
 * As long as one waits, nothing is received for the session: who asks faster than he has turns
 * fills his own socket, and then has to wait there. What the kernel has delivered already when
 * receiving is stopped is kept too, whatever it is, a socket full at most, and charged: so messages
 * stay in their order, and a cancel finds its request.
 */
#include "daemon/front/inbox.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/front/peer.h"
#include "daemon/front/user.h"

struct message {
    struct list node;
    message_fn *fn;
    size_t n;
    uint8_t data[];
};

static void take_turn(struct task *task);

void inbox_init(struct peer *peer)
{
    list_init(&peer->inbox.messages);
    task_init(&peer->inbox.turn, &peer->user->questions, take_turn);
}

static struct message *message_new(struct peer *peer, size_t n)
{
    struct message *m;

    if (!charge_add(&peer->charge, QUOTA_INBOX, (unsigned)(sizeof *m + n),
                    peer->narrowing ? INBOX_BYTES_PER_USER_MAX / 2 : INBOX_BYTES_PER_USER_MAX))
        return NULL;
    m = malloc(sizeof *m + n);
    if (!m)
        charge_sub(&peer->charge, QUOTA_INBOX, (unsigned)(sizeof *m + n));
    return m;
}

static void message_free(struct peer *peer, struct message *m)
{
    charge_sub(&peer->charge, QUOTA_INBOX, (unsigned)(sizeof *m + m->n));
    free(m);
}

bool inbox_is_waiting(const struct peer *peer)
{
    return peer->inbox.is_pausing || !list_is_empty(&peer->inbox.messages);
}

static void stop_receiving(struct peer *peer)
{
    if (!inbox_is_waiting(peer))
        ring_cancel(peer->front->env.ring, &peer->recv_op);
}

void inbox_pause(struct peer *peer)
{
    if (peer->is_closing)
        return;
    stop_receiving(peer);
    peer->inbox.is_pausing = true;
    ring_post(peer->front->env.ring, &peer->inbox.turn);
}

void inbox_put(struct peer *peer, message_fn *fn, const uint8_t *data, size_t n)
{
    struct message *m = message_new(peer, n);

    if (!m) {
        peer_fail(peer, ERROR_OVER_LIMIT, "too many questions of this user wait for an answer");
        return;
    }
    m->fn = fn;
    m->n = n;
    memcpy(m->data, data, n);
    stop_receiving(peer);
    list_append(&peer->inbox.messages, &m->node);
    ring_post(peer->front->env.ring, &peer->inbox.turn);
}

/* The holder is looked at again: an answer is only for him. */
static void deal_with_consume(struct peer *peer, struct message *m)
{
    struct wire_reader reader;
    struct wire_head head;

    if (!peer_is_held(peer))
        peer_close(peer);
    else if (!peer->is_failing && wire_read_head(&reader, m->data, m->n, &head) == 0)
        m->fn(peer, &head, reader);
    message_free(peer, m);
}

static void take_turn(struct task *task)
{
    struct peer *peer = container_of(task, struct peer, inbox.turn);
    struct list *node = list_pop(&peer->inbox.messages);

    if (!list_is_empty(&peer->inbox.messages))
        ring_post(peer->front->env.ring, task);
    peer->inbox.is_pausing = false;
    peer->n_holds++;
    if (node)
        deal_with_consume(peer, container_of(node, struct message, node));
    peer->n_holds--;
    peer_go_on(peer);
}

void inbox_drop(struct peer *peer)
{
    struct list *node;

    task_clear(&peer->inbox.turn);
    while ((node = list_pop(&peer->inbox.messages)))
        message_free(peer, container_of(node, struct message, node));
}
