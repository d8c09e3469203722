/* The holders of a grant are anybody, several at a time, and share one socket. So nothing that is
 * received may end it: an open is answered with a session, all else with an error, whoever sent it.
 * Which holder reads which answer does not matter, for all sessions are alike until their first
 * message.
 *
 * One answer is with the kernel at a time, in a place of the grant's own; opens that come meanwhile
 * are only counted, and receiving never stops. So holders who ask and never read cost nothing but
 * the answers that fill their socket and their maker's turns (inbox.c), and what they send cannot
 * stay in ours: an fd of the grant itself that waited there would keep it open for ever.
 */
#include "daemon/front/grant.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "daemon/front/audit.h"
#include "daemon/front/identity.h"
#include "daemon/front/user.h"
#include "proto/cleanup.h"

static void received(struct op *op, int res, uint32_t flags);
static void answered(struct op *op, int res, uint32_t flags);

static struct grant *grant_free(struct grant *grant)
{
    struct front *front = grant->front;

    list_remove(&grant->node);
    untaken_deinit(&grant->untaken);
    ring_close_consume_fd(front->env.ring, grant->fd);
    identity_unref(grant->identity);
    narrowing_unref(grant->narrowing);
    charge_deinit(&grant->charge);
    user_put(grant->user);
    free(grant);
    counter_sub(&front->counters->grants_now, 1);
    return NULL;
}

static void free_if_idle(struct grant *grant)
{
    if (grant->is_closing && !op_is_pending(&grant->recv_op) && !op_is_pending(&grant->send_op) &&
        !untaken_lingers(&grant->untaken))
        grant_free(grant);
}

static void all_taken(struct untaken *untaken)
{
    free_if_idle(container_of(untaken, struct grant, untaken));
}

void grant_close(struct grant *grant)
{
    if (grant->is_closing)
        return;
    grant->is_closing = true;
    task_clear(&grant->turn);
    ring_cancel(grant->front->env.ring, &grant->recv_op);
    ring_cancel(grant->front->env.ring, &grant->send_op);
    free_if_idle(grant);
}

/* As a listener's connections are. */
static int make_pair(int *ret_fd, int *ret_client_fd)
{
    int pair[2], on = 1;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    if (setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on) < 0) {
        fd_close(pair[0]);
        fd_close(pair[1]);
        return -EIO;
    }
    *ret_fd = pair[0];
    *ret_client_fd = pair[1];
    return 0;
}

/* Half of the user's sessions stay for those that he opens himself. */
static const char *charge_session(struct grant *grant, struct charge *charge)
{
    if (!user_has_room(grant->user) ||
        !charge_add(charge, QUOTA_SESSIONS, 1, SESSIONS_PER_USER_MAX / 2))
        return "too many sessions from this user's grants";
    return narrowing_add_session(grant->narrowing) ? NULL : "too many sessions from this grant";
}

/* *ret_client_fd is the end for whoever sends its first message. Or the reason why there is none,
 * perhaps with a detail. */
static enum error_code open_session(struct grant *grant, const char **ret_detail,
                                    int *ret_client_fd)
{
    CLEANUP(charge_deinit) struct charge charge = {.quota = quota_ref(grant->user->quota)};
    enum error_code code = peer_check_room(grant->front);
    struct peer *peer;
    int fd;

    if (code != ERROR_NONE)
        return code;
    *ret_detail = charge_session(grant, &charge);
    if (!*ret_detail && !untaken_add(&grant->untaken, 1)) {
        narrowing_remove_session(grant->narrowing);
        *ret_detail = "too many sessions and connections of this user wait to be taken";
    }
    if (*ret_detail)
        return ERROR_OVER_LIMIT;
    peer = calloc(1, sizeof *peer);
    if (!peer || make_pair(&fd, ret_client_fd) < 0) {
        free(peer);
        untaken_sub(&grant->untaken, 1);
        narrowing_remove_session(grant->narrowing);
        return ERROR_NO_RESOURCES;
    }
    peer->identity = identity_ref(grant->identity);
    peer->narrowing = narrowing_ref(grant->narrowing);
    peer->user = user_ref(grant->user);
    peer->charge = charge_take(&charge);
    peer_start(peer, grant->front, fd);
    return ERROR_NONE;
}

/* Takes the fd. */
static void send_answer(struct grant *grant, ssize_t n, int fd)
{
    assert(n > 0 && !op_is_pending(&grant->send_op));
    grant->sending_fd = fd;
    fdmsg_build(&grant->msg, grant->data, (size_t)n, &grant->sending_fd, fd >= 0);
    ring_sendmsg(grant->front->env.ring, &grant->send_op, grant->fd, &grant->msg.header, 0);
}

static void send_opened(struct grant *grant, enum error_code code, const char *detail, int fd)
{
    struct message_answer m = {.code = code, .detail = text_of(detail)};

    send_answer(grant, message_encode_opened(grant->data, sizeof grant->data, &m), fd);
}

/* Somebody's mistake: he is told, unless others are being answered. */
static void send_error(struct grant *grant, uint64_t id, const char *detail)
{
    struct message_error m = {.code = ERROR_BAD_MESSAGE, .detail = text_of(detail)};

    counter_add(&grant->front->counters->protocol_errors, 1);
    if (!op_is_pending(&grant->send_op))
        send_answer(grant, message_encode_error(grant->data, sizeof grant->data, id, &m), -1);
}

static void answer_one(struct task *task)
{
    struct grant *grant = container_of(task, struct grant, turn);
    const char *detail = NULL;
    enum error_code code;
    int fd = -1;

    if (op_is_pending(&grant->send_op)) /* an error; answered() comes back to this */
        return;
    grant->n_owed--;
    code = open_session(grant, &detail, &fd);
    send_opened(grant, code, detail, fd);
}

static void answer_next(struct grant *grant)
{
    if (!grant->is_closing && grant->n_owed > 0 && !op_is_pending(&grant->send_op))
        ring_post(grant->front->env.ring, &grant->turn);
}

static void answered(struct op *op, int res, uint32_t flags)
{
    struct grant *grant = container_of(op, struct grant, send_op);
    bool had_fd = grant->sending_fd >= 0;
    bool is_gone = res == -EPIPE || res == -ECONNRESET;

    (void)flags;
    ring_close_consume_fd(grant->front->env.ring, grant->sending_fd);
    grant->sending_fd = -1;
    if (had_fd && res >= 0)
        untaken_sent(&grant->untaken, 1, grant->msg.iov.iov_len);
    else if (had_fd)
        untaken_sub(&grant->untaken, 1);
    if (grant->is_closing) {
        free_if_idle(grant);
        return;
    }
    /* ETOOMANYREFS, ENOMEM: the session cannot be passed on; that at least can be said. */
    if (res < 0 && had_fd && !is_gone) {
        send_opened(grant, ERROR_NO_RESOURCES, NULL, -1);
        return;
    }
    if (res < 0) {
        grant_close(grant);
        return;
    }
    answer_next(grant);
}

static void take(struct grant *grant, const struct ring_message *m)
{
    struct wire_reader reader;
    struct wire_head head;
    const char *error;

    if (m->is_truncated || m->n > WIRE_REQUEST_MAX ||
        wire_read_head(&reader, m->data, m->n, &head) < 0)
        send_error(grant, 0, "the head is short, has flags, or a wrong length");
    else if (head.type != WIRE_OPEN)
        send_error(grant, head.id, "this is a grant: send open, and use the session that comes");
    else if (message_decode_empty(reader, &error) < 0)
        send_error(grant, head.id, error);
    else if (grant->n_owed < GRANT_OWED_MAX)
        grant->n_owed++;
    answer_next(grant);
}

static void received(struct op *op, int res, uint32_t flags)
{
    struct grant *grant = container_of(op, struct grant, recv_op);
    struct ring *ring = grant->front->env.ring;
    struct ring_message message;
    bool is_over = res < 0 && res != -ENOBUFS;

    if (res >= 0) {
        is_over = ring_message_get(ring, res, flags, &message) < 0;
        if (!is_over && !grant->is_closing)
            take(grant, &message);
    }
    if (grant->is_closing)
        free_if_idle(grant);
    else if (is_over)
        grant_close(grant);
    else if (!op_is_pending(op))
        ring_recv_messages(ring, op, grant->fd);
}

/* Charged before anything is allocated. */
static enum error_code charge_grant(struct peer *peer, struct charge *charge,
                                    struct failure *failure)
{
    unsigned max = peer->narrowing ? GRANTS_PER_USER_MAX / 2 : GRANTS_PER_USER_MAX;

    if (peer->front->is_draining)
        failure_set(failure, ERROR_DRAINING, 0);
    else if (!charge_add(charge, QUOTA_GRANTS, 1, max))
        failure_format(failure, ERROR_OVER_LIMIT, 0, "%u grants of this user", max);
    else
        return ERROR_NONE;
    return failure->code;
}

/* On success the charge and the narrowing are the grant's. */
static struct grant *start(struct peer *peer, struct narrowing *narrowing, struct charge *charge,
                           int *ret_client_fd)
{
    struct grant *grant = calloc(1, sizeof *grant);

    if (!grant || make_pair(&grant->fd, ret_client_fd) < 0) {
        free(grant);
        return NULL;
    }
    grant->front = peer->front;
    grant->sending_fd = -1;
    /* Now or never: those who use the grant are others, in other cgroups. */
    identity_read_cgroup(peer->identity, &peer->holder);
    grant->identity = identity_ref(peer->identity);
    grant->narrowing = narrowing;
    grant->user = user_ref(peer->user);
    grant->charge = charge_take(charge);
    untaken_init(&grant->untaken, grant->user, &grant->charge, grant->fd, true, all_taken);
    /* So that those who do not fetch what they ask for leave room to the user's other grants. */
    grant->untaken.own_max /= 2;
    list_append(&grant->front->grants, &grant->node);
    counter_add(&grant->front->counters->grants, 1);
    counter_add(&grant->front->counters->grants_now, 1);
    op_init(&grant->recv_op, received);
    op_init(&grant->send_op, answered);
    task_init(&grant->turn, &grant->user->questions, answer_one);
    ring_recv_messages(grant->front->env.ring, &grant->recv_op, grant->fd);
    return grant;
}

static enum error_code make(struct peer *peer, const struct message_grant *m, int *ret_client_fd,
                            struct failure *failure)
{
    CLEANUP(charge_deinit) struct charge charge = {.quota = quota_ref(peer->user->quota)};
    struct narrowing *narrowing;

    if (charge_grant(peer, &charge, failure) != ERROR_NONE)
        return failure->code;
    if (!narrowing_new(&narrowing, peer->narrowing, peer->user->quota, m, failure))
        return failure->code;
    if (start(peer, narrowing, &charge, ret_client_fd)) {
        audit_granted(peer, narrowing);
        return ERROR_NONE;
    }
    narrowing_unref(narrowing);
    failure_set(failure, ERROR_NO_RESOURCES, 0);
    return failure->code;
}

/* Its socket is charged as untaken on success. */
static enum error_code make_to_send(struct peer *peer, const struct message_grant *m,
                                    int *ret_client_fd, struct failure *failure)
{
    enum error_code code;

    if (!untaken_add(&peer->untaken, 1)) {
        untaken_explain(&peer->untaken, failure);
        return failure->code;
    }
    code = make(peer, m, ret_client_fd, failure);
    if (code != ERROR_NONE)
        untaken_sub(&peer->untaken, 1);
    return code;
}

void grant_make(struct peer *peer, uint64_t id, const struct message_grant *m)
{
    struct front *front = peer->front;
    struct message_answer answer = {0};
    struct failure failure = {0};
    struct outgoing *out;
    int client_fd = -1;
    ssize_t n;

    answer.code = make_to_send(peer, m, &client_fd, &failure);
    if (failure.detail[0])
        answer.detail = text_of(failure.detail);
    n = message_encode_granted(front->scratch, sizeof front->scratch, id, &answer);
    assert(n > 0);
    if (client_fd < 0) {
        peer_send_bytes(peer, front->scratch, n);
        return;
    }
    out = outgoing_new(peer, front->scratch, (size_t)n, 1);
    if (!out) {
        fd_close(client_fd); /* and so the grant ends */
        untaken_sub(&peer->untaken, 1);
        peer_close(peer);
        return;
    }
    out->fds[0] = client_fd;
    out->n_untaken = 1;
    peer_send(out);
}
