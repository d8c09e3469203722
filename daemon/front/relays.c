#include "daemon/front/relays.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "daemon/base/escape.h"
#include "daemon/front/audit.h"
#include "daemon/front/identity.h"
#include "daemon/front/request.h"
#include "daemon/front/user.h"
#include "proto/cleanup.h"

static void relay_ended(struct relay *relay);

static void keep(struct front_relay *r, const struct request *request)
{
    char target[TARGET_TEXT_MAX];

    r->front = request->peer->front;
    r->user = user_ref(request->peer->user);
    r->identity = identity_ref(request->peer->identity);
    r->pid = request->peer->holder.pid;
    r->is_by_grant = audit_is_by_grant(request->peer);
    r->holder_uid = request->peer->holder.sender.uid;
    r->stats = stats_ref(request->route.rule->stats);
    r->id = request->id;
    target_format(&request->params.target, target);
    escape(r->target, sizeof r->target, target, strlen(target));
}

int relays_new(struct front_relay **ret, const struct request *request, struct channel *channel,
               struct charge *charge, int *ret_client_fd)
{
    const struct rule *rule = request->route.rule;
    const struct relay_limits limits = {.idle_timeout_us = rule->idle_timeout_us,
                                        .max_lifetime_us = rule->max_lifetime_us};
    struct front_relay *r = calloc(1, sizeof *r);
    int pair[2];

    if (!r)
        return -ENOMEM;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        int error = -errno;

        free(r);
        return error;
    }
    r->relay = relay_new_consume(channel, pair[0], &limits, relay_ended);
    if (!r->relay) {
        fd_close(pair[0]);
        fd_close(pair[1]);
        free(r);
        return -ENOMEM;
    }
    r->relay->owner = r;
    keep(r, request);
    r->charge = charge_take(charge);
    list_init(&r->node);
    list_init(&r->peer_node);
    *ret = r;
    *ret_client_fd = pair[1];
    return 0;
}

void relays_free(struct front_relay *r)
{
    list_remove(&r->node);
    list_remove(&r->peer_node);
    relay_free(r->relay);
    charge_deinit(&r->charge);
    user_put(r->user);
    identity_unref(r->identity);
    stats_put(r->stats);
    free(r);
}

void relays_start(struct front_relay *r, struct peer *peer, uint8_t index)
{
    r->index = index;
    r->start_us = ring_now_us(r->front->env.ring);
    list_remove(&r->node);
    list_append(&r->front->relays, &r->node);
    if (!peer->is_closing) {
        r->peer = peer;
        list_append(&peer->relays, &r->peer_node);
    }
    counter_add(&r->front->counters->relays_now, 1);
    relay_start(r->relay);
}

static void tell_peer(const struct front_relay *r)
{
    const struct message_ended ended = {.end = (uint8_t)r->relay->end,
                                        .index = r->index,
                                        .bytes_sent = r->relay->bytes_sent,
                                        .bytes_received = r->relay->bytes_received};
    uint8_t *scratch = r->front->scratch;

    if (r->peer)
        peer_send_bytes(r->peer, scratch,
                        message_encode_ended(scratch, sizeof r->front->scratch, r->id, &ended));
}

static void relay_ended(struct relay *relay)
{
    struct front_relay *r = relay->owner;

    counter_sub(&r->front->counters->relays_now, 1);
    stats_add(r->stats, STAT_RELAY_BYTES_SENT, relay->bytes_sent);
    stats_add(r->stats, STAT_RELAY_BYTES_RECEIVED, relay->bytes_received);
    stats_add(r->stats, stats_of_relay_end(relay->end), 1);
    audit_relay_ended(r);
    tell_peer(r);
    relays_free(r);
}

void relays_forget_peer(struct peer *peer)
{
    struct list *node;

    while ((node = list_pop(&peer->relays)))
        container_of(node, struct front_relay, peer_node)->peer = NULL;
}

void relays_stop_all(struct front *front, enum relay_end end)
{
    /* Each may free itself inside; list_for_each allows that. */
    list_for_each (&front->relays, node)
        relay_stop(container_of(node, struct front_relay, node)->relay, end);
}
