/* The pump between a channel and the daemon's end of a socket pair, whose other end the client has.
 *
 * Half-close goes both ways; back-pressure comes from having one bounded buffer each way, which is
 * filled again only when it is empty; close_notify becomes EOF. Relays are independent of the
 * session that asked for them and of the configuration. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "daemon/conn/channel.h"
#include "daemon/ring/ring.h"
#include "proto/error.h"

#define RELAY_BUFFER     CHANNEL_BUFFER          /* bytes each way */
#define RELAY_STALL_US   (5 * UINT64_C(1000000)) /* how often a flush under way is looked at */
#define RELAY_STALLS_MAX 6 /* without progress, for a client that has closed */

struct relay;
/* Called once, when nothing of the relay is in flight; the owner frees it. */
typedef void relay_fn(struct relay *relay);

struct relay_limits {
    uint64_t idle_timeout_us; /* without a byte in either direction; 0: none */
    uint64_t max_lifetime_us; /* 0: none */
};

struct relay {
    void *owner; /* the owner's */
    struct channel channel;
    int client_fd;
    struct relay_limits limits;
    relay_fn *fn;
    enum relay_end end;
    uint64_t bytes_sent;     /* client to target */
    uint64_t bytes_received; /* target to client */
    struct op up_op;         /* receives from the client, later waits for it to hang up */
    struct op down_op;       /* sends to the client */
    struct timer idle_timer;
    struct timer lifetime_timer;
    struct timer stall_timer; /* set while something is being flushed */
    uint64_t stalled_sent;    /* where the flush was when it was last looked at */
    size_t stalled_left;
    unsigned n_stalls;   /* how often in a row it was still there */
    const uint8_t *down; /* still to be sent to the client */
    size_t down_size;
    bool is_up_done;      /* the client's bytes and their end are with the target */
    bool is_down_done;    /* the target's bytes and their end are with the client */
    bool is_up_ending;    /* the client has finished; the end is on its way */
    size_t up_size;       /* bytes of `up` that the channel has not taken yet */
    bool has_up_data;     /* it has; they are being flushed */
    bool is_client_reset; /* closed with bytes unread */
    bool is_truncated;    /* TLS ended without close_notify */
    bool is_ending;
    uint8_t up[RELAY_BUFFER];
};

/* Takes the channel (nothing may be pending on it) and the fd. Returns NULL without memory, the
 * channel and fd then stay the caller's. */
struct relay *relay_new_consume(struct channel *channel, int client_fd,
                                const struct relay_limits *limits, relay_fn *fn);
struct relay *relay_free(struct relay *relay); /* before the start or after the callback */
void relay_start(struct relay *relay);         /* the callback may come from inside */
/* Ends it early; the callback may come from inside. */
void relay_stop(struct relay *relay, enum relay_end end);
