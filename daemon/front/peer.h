/* One session: receives messages, checks their sender, dispatches them; sends what others have to
 * say.
 *
 * A peer that breaks the protocol gets one error and is dropped. A dropped peer is freed when none
 * of its requests and messages is in flight any more. */
#pragma once

#include "daemon/front/front.h"
#include "daemon/front/holder.h"
#include "daemon/front/inbox.h"
#include "daemon/front/untaken.h"
#include "daemon/policy/narrowing.h"
#include "daemon/policy/policy.h"
#include "proto/fdmsg.h"

struct peer {
    struct list node; /* in front->peers */
    struct front *front;
    int fd;
    struct op recv_op;
    struct op end_op;            /* of the holder */
    struct identity *identity;   /* whose rights it has */
    struct narrowing *narrowing; /* of the grant it comes from; NULL: it does not */
    struct holder holder;        /* which process may use it */
    struct user *user;
    struct charge charge; /* this session, and what is sent to it */
    struct untaken untaken;
    struct timer hello_timer; /* until it has said hello */
    bool has_hello;
    bool is_failing; /* an error message is on its way, then it is dropped */
    bool is_closing;
    struct inbox inbox;
    struct list requests;
    unsigned n_requests;
    unsigned n_holds;    /* by functions that go on using it after something that may end it */
    struct list relays;  /* whose end is to be told */
    struct list sending; /* outgoing messages with the kernel */
    struct list queued;  /* and those that wait for a place there */
    unsigned n_sending;
    unsigned n_queued;
};

/* An outgoing message. The kernel reads all of it, fds included, until `sent` is called (res: 0 or
 * -errno); after that it is freed and its fds are closed. */
struct outgoing;
typedef void outgoing_fn(struct outgoing *out, int res);

struct outgoing {
    struct list node;
    struct peer *peer;
    struct op op;
    outgoing_fn *sent; /* may be NULL */
    void *owner;
    unsigned n_untaken; /* fds charged, until they are in the socket */
    struct fdmsg msg;
    int *fds; /* owned */
    size_t n_fds;
    size_t n;
    uint8_t data[];
};

/* Takes a freshly accepted socket; on failure it is closed. */
void peer_new_consume_fd(struct front *front, int fd, const char *listener);
/* Whether one more session is possible here, or why not. */
enum error_code peer_check_room(const struct front *front);
/* Begins a session that is filled in but for its holder: then whoever sends its first message. */
void peer_start(struct peer *peer, struct front *front, int fd);
/* Drops the session; frees at once or later. */
void peer_close(struct peer *peer);
/* Whether the process it belongs to is alive: to be asked before it is given anything. */
bool peer_is_held(struct peer *peer);
/* Receives, unless messages wait; to be called when none does any more. Frees a closing peer that
 * is idle. */
void peer_go_on(struct peer *peer);
/* To be called when a request or relay of a closing peer is gone. */
void peer_free_if_idle(struct peer *peer);

/* Makes a message of n encoded bytes with room for n_fds (set to -1). NULL without memory. Each fd
 * is charged as untaken, and counted in n_untaken, before it is put there. */
struct outgoing *outgoing_new(struct peer *peer, const void *data, size_t n, size_t n_fds);
struct outgoing *outgoing_free(struct outgoing *out);
/* Sends it, now or when there is room; `sent` may be called from inside when the peer is closing.
 */
void peer_send(struct outgoing *out);
/* Whether the session goes on after a message was sent with this result. */
bool outgoing_can_go_on(int res);
/* Whether one more may wait, besides results; if not, the peer does not read. */
bool peer_has_room(const struct peer *peer);
/* The same for messages without fds and owner; without memory, or for a peer that does not read,
 * the peer is dropped. Negative n: it did not fit, a bug. */
void peer_send_bytes(struct peer *peer, const void *data, ssize_t n);
/* For a session that ends: messages that wait will never go, those with the kernel are hurried. */
void peer_drop_outgoing(struct peer *peer);
/* One error message, then the end. */
void peer_fail(struct peer *peer, enum error_code code, const char *detail);
