/* Relays of this worker: who is told how one ended, and whose quota it is charged to. */
#pragma once

#include "daemon/front/peer.h"
#include "daemon/relay/relay.h"

struct front_relay {
    struct list node;      /* the request's until the result is out, then in front->relays */
    struct list peer_node; /* in peer->relays */
    struct front *front;
    struct peer *peer; /* NULL: the session is gone */
    struct relay *relay;
    struct charge charge; /* one of QUOTA_RELAYS */
    uint64_t id;
    uint8_t index;
};

/* Makes a relay of the channel and a socket pair, not started yet. The charge is taken over.
 * *ret_client_fd is the end for the client. Returns 0 or -errno; then all stays the caller's.
 */
int relays_new(struct front_relay **ret, struct front *front, struct channel *channel,
               const struct rule *rule, struct charge *charge, int *ret_client_fd);
/* For one that was never started. */
void relays_discard(struct front_relay *r);
/* From now on the client has it. */
void relays_start(struct front_relay *r, struct peer *peer, uint64_t id, uint8_t index);
void relays_forget_peer(struct peer *peer);
void relays_stop_all(struct front *front, enum relay_end end);
