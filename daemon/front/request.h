/* A request of a session, from its decoded message to its result. Charged to the session and to the
 * rule's quota first; one absolute deadline covers everything up to the hand-over. */
#pragma once

#include "daemon/front/peer.h"
#include "proto/message.h"

struct request {
    struct list node;        /* in peer->requests */
    struct list bucket_node; /* in front->requests */
    struct peer *peer;
    uint64_t id;
    struct config *config; /* keeps the route valid */
    struct route route;
    struct charge charge; /* of QUOTA_RELAYS: not yet taken over by a relay */
    struct list relays;   /* made, but the result is not out yet */
    struct timer deadline;
    uint64_t start_us;
    struct conn_params params;
    char tls_name[TARGET_HOST_MAX + 1];
    void *options; /* what texts of params point into */
    size_t options_size;
    enum error_code aborted; /* cancelled, deadline; ERROR_NONE */
    enum handoff handoff;    /* of the fds in its result */
    bool is_handed_over;     /* the result is on its way */
    unsigned n_running;
    unsigned n_conns;
    struct conn conns[];
};

void request_connect(struct peer *peer, uint64_t id, const struct message_connect *message);
/* Unknown ids are ignored: the result may be on its way. */
void request_cancel(struct peer *peer, uint64_t id);
/* Ends it without an answer; it frees itself, perhaps at once. */
void request_abandon(struct request *request);
struct request *request_free(struct request *request);

/* Decides and plans, for connect and explain alike. narrowing: NULL for none. The target's text is
 * parsed into *ret_target. Returns false with a failure. */
bool request_route(const struct front *front, const struct identity *identity,
                   const struct narrowing *narrowing, struct text target, const char *tls_name,
                   unsigned handoff, struct target *ret_target, struct route *ret_route,
                   struct plan *ret_plan, struct failure *ret_failure);

/* handoff.c: all connections have ended; sends the result and frees the request when it is out. */
void request_hand_over(struct request *request);
/* The first of its connections that is there; NULL where none is. */
const struct conn *request_first_connected(const struct request *request);
/* A result that is only a failure, for a request that does not exist. */
void request_send_failure(struct peer *peer, uint64_t id, const struct message_connect *message,
                          const struct failure *failure);
