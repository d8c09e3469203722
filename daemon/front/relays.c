#include "daemon/front/relays.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "daemon/base/log.h"
#include "proto/cleanup.h"

static void relay_ended(struct relay *relay);

int relays_new(struct front_relay **ret, struct front *front, struct channel *channel,
               const struct rule *rule, struct charge *charge, int *ret_client_fd)
{
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
    r->front = front;
    r->charge = charge_take(charge);
    list_init(&r->node);
    list_init(&r->peer_node);
    *ret = r;
    *ret_client_fd = pair[1];
    return 0;
}

static void front_relay_free(struct front_relay *r)
{
    list_remove(&r->node);
    list_remove(&r->peer_node);
    relay_free(r->relay);
    charge_deinit(&r->charge);
    free(r);
}

void relays_discard(struct front_relay *r)
{
    front_relay_free(r);
}

void relays_start(struct front_relay *r, struct peer *peer, uint64_t id, uint8_t index)
{
    r->id = id;
    r->index = index;
    list_remove(&r->node);
    list_append(&r->front->relays, &r->node);
    if (!peer->is_closing) {
        r->peer = peer;
        list_append(&peer->relays, &r->peer_node);
    }
    counter_add(&r->front->counters->relays_now, 1);
    relay_start(r->relay);
}

static void count_end(struct counters *counters, enum relay_end end)
{
    switch (end) {
    case RELAY_END_CLEAN:
        counter_add(&counters->relays_clean, 1);
        break;
    case RELAY_END_TRUNCATED:
        counter_add(&counters->relays_truncated, 1);
        break;
    case RELAY_END_RESET:
        counter_add(&counters->relays_reset, 1);
        break;
    case RELAY_END_IDLE:
        counter_add(&counters->relays_idle, 1);
        break;
    case RELAY_END_DRAINED:
        counter_add(&counters->relays_drained, 1);
        break;
    case RELAY_END_LIFETIME:
        counter_add(&counters->relays_lifetime, 1);
        break;
    }
}

/* What TLS had to complain of is known here alone: the client is told `reset`. */
static void log_end(const struct relay *relay)
{
    const struct tls_session *session = channel_top(&relay->channel);
    const struct failure *failure = session ? tls_session_failure(session) : NULL;
    bool is_failed = failure && failure->code != ERROR_NONE;

    log_debug("relay ended: %s, %llu bytes sent, %llu received%s%s%s%s", relay_end_name(relay->end),
              (unsigned long long)relay->bytes_sent, (unsigned long long)relay->bytes_received,
              is_failed ? ": " : "", is_failed ? error_text(failure->code) : "",
              is_failed && failure->detail[0] ? ": " : "", is_failed ? failure->detail : "");
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
    struct counters *counters = r->front->counters;

    counter_sub(&counters->relays_now, 1);
    counter_add(&counters->relay_bytes_sent, relay->bytes_sent);
    counter_add(&counters->relay_bytes_received, relay->bytes_received);
    count_end(counters, relay->end);
    log_end(relay);
    tell_peer(r);
    front_relay_free(r);
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
