/* Relays of this worker: who is told how one ended, and whose quota it is charged to. One outlives
 * the session and the configuration, so it keeps what its end has to be told with. */
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
    struct user *user;
    struct identity *identity;
    pid_t pid; /* who asked for it */
    bool is_by_grant;
    uid_t holder_uid; /* by a grant: who that is */
    struct stats *stats;
    uint64_t start_us;
    uint64_t id;
    uint8_t index;
    char target[AUDIT_TARGET_MAX]; /* escaped */
};

struct request;

/* Makes a relay of the channel and a socket pair, not started yet. The charge is taken over.
 * *ret_client_fd is the end for the client. Returns 0 or -errno; then all stays the caller's.
 */
int relays_new(struct front_relay **ret, const struct request *request, struct channel *channel,
               struct charge *charge, int *ret_client_fd);
/* For one that was never started: the others free themselves when they have ended. */
void relays_free(struct front_relay *r);
/* From now on the client has it. */
void relays_start(struct front_relay *r, struct peer *peer, uint8_t index);
void relays_forget_peer(struct peer *peer);
void relays_stop_all(struct front *front, enum relay_end end);
