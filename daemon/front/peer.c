/* Receiving is one multishot receive with the sender's credentials; every message must come from
 * the process that holds the session, and that must be alive (holder.c).
 */
#include "daemon/front/peer.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "config.h"
#include "daemon/base/log.h"
#include "daemon/front/audit.h"
#include "daemon/front/grant.h"
#include "daemon/front/identity.h"
#include "daemon/front/relays.h"
#include "daemon/front/report.h"
#include "daemon/front/request.h"
#include "daemon/front/user.h"
#include "proto/cleanup.h"

static void received(struct op *op, int res, uint32_t flags);
static void no_hello(struct timer *timer);
static void holder_ended(struct op *op, int res, uint32_t flags);
static void all_taken(struct untaken *untaken);

/* There is no session to send it in the proper way; the socket is new, so it takes it at once. */
static void refuse_consume_fd(struct front *front, int fd, enum error_code code, const char *detail)
{
    struct message_error error = {.code = code, .detail = text_of(detail)};
    ssize_t n = message_encode_error(front->scratch, sizeof front->scratch, 0, &error);

    assert(n > 0);
    counter_add(&front->counters->sessions_refused, 1);
    if (send(fd, front->scratch, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        log_debug("a refused session is gone already");
    ring_close_consume_fd(front->env.ring, fd);
}

/* Finds out who it is and charges the session to him. A socket that was connected before the
 * listener was ours (systemd's) may lack SO_PASSCRED; the kernel has noted the sender of what was
 * sent until it was accepted all the same. */
static enum error_code admit(struct peer *peer, struct front *front, int fd, const char *listener)
{
    int on = 1, r;

    r = setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) < 0 ? -errno : 0;
    if (r == 0)
        r = identity_new(&peer->identity, fd, listener);
    if (r == 0)
        r = holder_init(&peer->holder, fd);
    if (r == 0 && peer->holder.is_by_id && !identity_is_of(peer->identity, &peer->holder))
        r = -ESRCH;
    if (r == -ESRCH)
        return ERROR_WRONG_SENDER;
    if (r < 0)
        return r == -ENOMEM || r == -EMFILE || r == -ENFILE ? ERROR_NO_RESOURCES : ERROR_INTERNAL;
    peer->user = user_get(front, peer->identity->uid);
    if (!peer->user)
        return ERROR_NO_RESOURCES;
    peer->charge.quota = quota_ref(peer->user->quota);
    if (!user_has_room(peer->user) ||
        !charge_add(&peer->charge, QUOTA_SESSIONS, 1, SESSIONS_PER_USER_MAX))
        return ERROR_OVER_LIMIT;
    return ERROR_NONE;
}

static struct peer *free_unadmitted(struct peer *peer, struct ring *ring)
{
    if (peer) {
        identity_unref(peer->identity);
        holder_deinit(&peer->holder, ring);
        charge_deinit(&peer->charge);
        user_put(peer->user);
    }
    free(peer);
    return NULL;
}

static const char *refusal_detail(enum error_code code)
{
    if (code == ERROR_OVER_LIMIT)
        return "too many sessions";
    return code == ERROR_WRONG_SENDER ? "the process that connected has ended, or /proc hides it"
                                      : "";
}

enum error_code peer_check_room(const struct front *front)
{
    if (front->is_draining)
        return ERROR_DRAINING;
    return counter_get(&front->counters->sessions_now) >= SESSIONS_MAX ? ERROR_OVER_LIMIT
                                                                       : ERROR_NONE;
}

void peer_start(struct peer *peer, struct front *front, int fd)
{
    peer->front = front;
    peer->fd = fd;
    list_init(&peer->requests);
    list_init(&peer->relays);
    list_init(&peer->sending);
    list_init(&peer->queued);
    inbox_init(peer);
    untaken_init(&peer->untaken, peer->user, &peer->charge, fd, peer->narrowing, all_taken);
    list_append(&front->peers, &peer->node);
    counter_add(&front->counters->sessions, 1);
    user_add_session(peer->user);
    op_init(&peer->recv_op, received);
    ring_recv_messages(front->env.ring, &peer->recv_op, fd);
    op_init(&peer->end_op, holder_ended);
    timer_init(&peer->hello_timer, no_hello);
}

/* A session from a grant has a holder with its first message; before, it may wait in the grant's
 * socket for as long as nobody fetches it. */
static void watch_holder(struct peer *peer)
{
    struct ring *ring = peer->front->env.ring;

    ring_poll(ring, &peer->end_op, peer->holder.pidfd, POLLIN);
    ring_timer_set(ring, &peer->hello_timer, ring_now_us(ring) + HELLO_TIMEOUT_US);
}

bool peer_is_held(struct peer *peer)
{
    return holder_is_alive(&peer->holder, ring_now_us(peer->front->env.ring));
}

void peer_new_consume_fd(struct front *front, int fd, const char *listener)
{
    enum error_code code = peer_check_room(front);
    struct peer *peer;

    peer = code == ERROR_NONE ? calloc(1, sizeof *peer) : NULL;
    if (peer)
        code = admit(peer, front, fd, listener);
    else if (code == ERROR_NONE)
        code = ERROR_NO_RESOURCES;
    if (code != ERROR_NONE) {
        free_unadmitted(peer, front->env.ring);
        refuse_consume_fd(front, fd, code, refusal_detail(code));
        return;
    }
    peer_start(peer, front, fd);
    watch_holder(peer);
}

void peer_free_if_idle(struct peer *peer)
{
    if (!peer->is_closing || peer->n_holds > 0 || peer->n_requests > 0 || peer->n_sending > 0 ||
        op_is_pending(&peer->recv_op) || op_is_pending(&peer->end_op))
        return;
    assert(peer->n_queued == 0);
    if (untaken_lingers(&peer->untaken))
        return;
    untaken_deinit(&peer->untaken);
    list_remove(&peer->node);
    user_remove_session(peer->user);
    ring_close_consume_fd(peer->front->env.ring, peer->fd);
    holder_deinit(&peer->holder, peer->front->env.ring);
    identity_unref(peer->identity);
    if (peer->narrowing)
        narrowing_remove_session(peer->narrowing);
    narrowing_unref(peer->narrowing);
    assert(peer->charge.n[QUOTA_OUTGOING] == 0);
    charge_deinit(&peer->charge);
    user_put(peer->user);
    free(peer);
}

static void all_taken(struct untaken *untaken)
{
    peer_free_if_idle(container_of(untaken, struct peer, untaken));
}

void peer_close(struct peer *peer)
{
    if (peer->is_closing)
        return;
    peer->is_closing = true;
    ring_timer_clear(peer->front->env.ring, &peer->hello_timer);
    ring_cancel(peer->front->env.ring, &peer->recv_op);
    ring_cancel(peer->front->env.ring, &peer->end_op);
    relays_forget_peer(peer);
    peer->n_holds++;
    list_for_each (&peer->requests, node)
        request_abandon(container_of(node, struct request, node));
    peer_drop_outgoing(peer);
    inbox_drop(peer);
    peer->n_holds--;
    peer_free_if_idle(peer);
}

void peer_fail(struct peer *peer, enum error_code code, const char *detail)
{
    struct message_error error = {.code = code, .detail = text_of(detail)};
    struct front *front = peer->front;

    if (peer->is_failing || peer->is_closing)
        return;
    counter_add(&front->counters->protocol_errors, 1);
    audit_dropped(peer, code, detail);
    peer->is_failing = true;
    list_for_each (&peer->requests, node)
        request_abandon(container_of(node, struct request, node));
    peer_send_bytes(peer, front->scratch,
                    message_encode_error(front->scratch, sizeof front->scratch, 0, &error));
}

/* Messages */

/* Whoever holds sessions for nothing holds places in a worker that others could use. */
static void no_hello(struct timer *timer)
{
    peer_fail(container_of(timer, struct peer, hello_timer), ERROR_BAD_MESSAGE,
              "no hello within 30 seconds");
}

static void on_hello(struct peer *peer, const struct wire_head *head, struct wire_reader reader)
{
    struct front *front = peer->front;
    struct message_welcome welcome = {.version = WIRE_VERSION,
                                      .software = text_of("fdiald/" PACKAGE_VERSION),
                                      .message_max = WIRE_REQUEST_MAX,
                                      .pending_max = SESSION_PENDING_MAX,
                                      .count_max = MESSAGE_COUNT_MAX};
    struct message_hello hello;
    const char *error;

    (void)head;
    if (message_decode_hello(reader, &hello, &error) < 0) {
        peer_fail(peer, ERROR_BAD_MESSAGE, error);
        return;
    }
    if (peer->has_hello) {
        peer_fail(peer, ERROR_BAD_MESSAGE, "a second hello");
        return;
    }
    peer->has_hello = true;
    ring_timer_clear(front->env.ring, &peer->hello_timer);
    peer_send_bytes(peer, front->scratch,
                    message_encode_welcome(front->scratch, sizeof front->scratch, &welcome));
}

/* Who was given this socket and does not know what it is: a grant would answer with a session. */
static void on_open(struct peer *peer, const struct wire_head *head, struct wire_reader reader)
{
    struct front *front = peer->front;
    struct message_answer answer = {0};
    const char *error;

    (void)head;
    if (message_decode_empty(reader, &error) < 0)
        peer_fail(peer, ERROR_BAD_MESSAGE, error);
    else if (peer->has_hello)
        peer_fail(peer, ERROR_BAD_MESSAGE, "this is a session, and open comes before hello");
    else
        peer_send_bytes(peer, front->scratch,
                        message_encode_opened(front->scratch, sizeof front->scratch, &answer));
}

static void on_grant(struct peer *peer, const struct wire_head *head, struct wire_reader reader)
{
    struct message_grant grant;
    const char *error;

    if (message_decode_grant(reader, &grant, &error) < 0)
        peer_fail(peer, ERROR_BAD_MESSAGE, error);
    else
        grant_make(peer, head->id, &grant);
}

static void on_connect(struct peer *peer, const struct wire_head *head, struct wire_reader reader)
{
    struct message_connect connect;
    const char *error;

    if (message_decode_connect(reader, &connect, &error) < 0)
        peer_fail(peer, ERROR_BAD_MESSAGE, error);
    else
        request_connect(peer, head->id, &connect);
}

static void on_cancel(struct peer *peer, const struct wire_head *head, struct wire_reader reader)
{
    const char *error;

    if (message_decode_empty(reader, &error) < 0)
        peer_fail(peer, ERROR_BAD_MESSAGE, error);
    else
        request_cancel(peer, head->id);
}

static const struct handler {
    enum wire_type type;
    message_fn *fn;
    bool takes_turns; /* costs much */
} handlers[] = {
    {WIRE_HELLO, on_hello, false},      {WIRE_CONNECT, on_connect, false},
    {WIRE_CANCEL, on_cancel, false},    {WIRE_EXPLAIN, report_explain, true},
    {WIRE_STATUS, report_status, true}, {WIRE_GRANT, on_grant, true},
    {WIRE_OPEN, on_open, false},
};

/* A session from a grant is for whoever speaks first. */
static bool is_from_holder(struct peer *peer, const struct ring_message *m)
{
    if (!m->has_creds)
        return false;
    if (peer->narrowing && !peer->holder.has_sender) {
        if (holder_init_sender(&peer->holder, &m->creds) < 0)
            return false;
        watch_holder(peer);
    }
    return holder_is_sender(&peer->holder, &m->creds);
}

static void dispatch(struct peer *peer, const struct ring_message *m)
{
    struct wire_reader reader;
    struct wire_head head;

    if (!is_from_holder(peer, m)) {
        peer_fail(peer, ERROR_WRONG_SENDER, "open a session of your own (after fork too)");
        return;
    }
    if (!peer_is_held(peer)) {
        peer_close(peer);
        return;
    }
    if (m->is_truncated || m->n > WIRE_REQUEST_MAX) {
        peer_fail(peer, ERROR_BAD_MESSAGE, "a message is longer than 16384 bytes");
        return;
    }
    if (wire_read_head(&reader, m->data, m->n, &head) < 0) {
        peer_fail(peer, ERROR_BAD_MESSAGE, "the head is short, has flags, or a wrong length");
        return;
    }
    if (!peer->has_hello && head.type != WIRE_HELLO && head.type != WIRE_OPEN) {
        peer_fail(peer, ERROR_BAD_MESSAGE, "the first message must be hello");
        return;
    }
    if (holder_takes_early(&peer->holder, m->n) && head.type != WIRE_HELLO) {
        peer_fail(peer, ERROR_WRONG_SENDER,
                  "wait for the welcome (the daemon's Linux is before 6.5)");
        return;
    }
    for (size_t i = 0; i < ARRAY_SIZE(handlers); i++) {
        if (handlers[i].type != head.type)
            continue;
        if (handlers[i].takes_turns || inbox_is_waiting(peer))
            inbox_put(peer, handlers[i].fn, m->data, m->n);
        else
            handlers[i].fn(peer, &head, reader);
        return;
    }
    peer_fail(peer, ERROR_BAD_MESSAGE, "unknown message type");
}

static void holder_ended(struct op *op, int res, uint32_t flags)
{
    struct peer *peer = container_of(op, struct peer, end_op);

    (void)res;
    (void)flags;
    if (peer->is_closing)
        peer_free_if_idle(peer);
    else
        peer_close(peer);
}

void peer_go_on(struct peer *peer)
{
    if (peer->is_closing)
        peer_free_if_idle(peer);
    else if (!op_is_pending(&peer->recv_op) && !inbox_is_waiting(peer))
        ring_recv_messages(peer->front->env.ring, &peer->recv_op, peer->fd);
}

static void received(struct op *op, int res, uint32_t flags)
{
    struct peer *peer = container_of(op, struct peer, recv_op);
    struct ring *ring = peer->front->env.ring;
    struct ring_message message;
    bool is_over = res < 0 && res != -ENOBUFS && res != -ECANCELED;

    if (res >= 0) {
        is_over = ring_message_get(ring, res, flags, &message) < 0;
        peer->n_holds++;
        if (!is_over && !peer->is_failing && !peer->is_closing)
            dispatch(peer, &message);
        peer->n_holds--;
    }
    if (is_over && !peer->is_closing)
        peer_close(peer);
    else
        peer_go_on(peer);
}
