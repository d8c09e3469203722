/* From connections that are set up to a result with fds on its way to the client.
 *
 * The kernel reads the fds while it sends, so they stay ours until the send is over and are closed
 * then: a copy kept longer would keep the connection open when the client closes. Relays start then
 * too.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "daemon/front/audit.h"
#include "daemon/front/relays.h"
#include "daemon/front/request.h"
#include "proto/cleanup.h"

/* In the counters and in the log. request NULL: there was none. */
static void note_failure(struct peer *peer, uint64_t id, const struct asked *asked,
                         const struct failure *failure, const struct request *request)
{
    const struct rule *rule = request ? request->route.rule : failure->rule;

    stats_add_failure(rule ? rule->stats : peer->front->undecided, failure->stage, failure->code);
    audit_failed(peer, id, asked, failure, request);
}

static void fill_failure(struct message_result *result, const struct failure *failure)
{
    result->code = failure->code;
    result->stage = (uint8_t)failure->stage;
    result->hop = failure->hop;
    result->sys_errno = (uint32_t)failure->sys_errno;
    if (failure->detail[0])
        result->detail = text_of(failure->detail);
}

/* The certificates are owned by the caller until the message is encoded. */
static void fill_chain(struct message_result *result, const struct conn *conn)
{
    const struct tls_session *session = conn_tls_of_target(conn);

    while (session && result->n_chain < MESSAGE_CHAIN_MAX) {
        uint8_t *der;
        ssize_t n = tls_session_chain(session, result->n_chain, &der);

        if (n < 0)
            return;
        result->chain[result->n_chain++] = (struct text){(char *)der, (size_t)n};
    }
}

static void free_chain(struct message_result *result)
{
    for (size_t i = 0; i < result->n_chain; i++)
        free((char *)(uintptr_t)result->chain[i].data);
}

static void fill_response(struct message_result *result, const struct conn *conn)
{
    const struct dialog *dialog = conn_response(conn);

    if (!dialog)
        return;
    result->response = dialog->response;
    result->is_response_clear = dialog->is_response_clear || !conn_tls_of_target(conn);
}

_Static_assert(PLAN_STEPS_MAX <= MESSAGE_TIMES_MAX, "a time for each step");

/* How far a connection came: the stages passed, and what they have found. */
static void fill_progress(struct message_result *result, const struct conn *conn)
{
    const struct plan *plan = &conn->params->plan;

    for (size_t i = 0; i < plan->n_steps && i < conn->step; i++) {
        result->times[result->n_times++] =
            (struct message_time){.stage = (uint8_t)step_stage(plan->steps[i].kind),
                                  .hop = plan->steps[i].hop,
                                  .us = conn->times_us[i]};
        if (plan->steps[i].kind == STEP_CONNECT)
            conn_peer(conn, &result->peer);
    }
    fill_chain(result, conn);
    fill_response(result, conn);
}

/* request NULL: there was none. */
static void send_failure(struct peer *peer, uint64_t id, const struct failure *failure,
                         const struct asked *asked, const struct request *request)
{
    struct message_result result = {0};
    struct front *front = peer->front;

    note_failure(peer, id, asked, failure, request);
    fill_failure(&result, failure);
    if (request)
        fill_progress(&result, &request->conns[0]);
    peer_send_bytes(peer, front->scratch,
                    message_encode_result(front->scratch, sizeof front->scratch, id, &result));
    free_chain(&result);
}

void request_send_failure(struct peer *peer, uint64_t id, const struct message_connect *m,
                          const struct failure *failure)
{
    const struct asked asked = {m->target, m->tls_name};

    send_failure(peer, id, failure, &asked, NULL);
}

/* What the request is for; text: where the target is written. */
static struct asked asked_by(const struct request *request, char text[TARGET_TEXT_MAX])
{
    target_format(&request->params.target, text);
    return (struct asked){text_of(text), request->params.tls_name
                                             ? text_of(request->params.tls_name)
                                             : (struct text){0}};
}

static void fill_success(struct message_result *result, const struct conn *conn,
                         struct tls_info *info, char reason[HANDOFF_REASON_MAX + 1])
{
    result->handoff = (uint8_t)conn->handoff;
    conn_explain_handoff(conn, reason);
    if (reason[0])
        result->handoff_reason = text_of(reason);
    fill_progress(result, conn);
    /* Of a socket it gets itself the client can ask the kernel. */
    if (conn->handoff == HANDOFF_RELAY)
        channel_get_local(&conn->channel, &result->local);
    if (conn_tls_of_target(conn)) {
        tls_session_info(conn_tls_of_target(conn), info);
        result->tls_version = info->version;
        result->tls_cipher = text_of(info->cipher);
        result->is_resumed = info->is_resumed;
        if (info->alpn[0])
            result->alpn = text_of(info->alpn);
    }
}

const struct conn *request_first_connected(const struct request *request)
{
    for (unsigned i = 0; i < request->n_conns; i++) {
        if (request->conns[i].failure.code == ERROR_NONE)
            return &request->conns[i];
    }
    return NULL;
}

/* Turns one connection into an fd for the client. */
static int take_fd(struct request *request, struct conn *conn, int *ret_fd)
{
    CLEANUP(charge_deinit) struct charge charge = {0};
    struct front_relay *relay;
    int r;

    if (conn->handoff != HANDOFF_RELAY) {
        *ret_fd = channel_take_fd(&conn->channel);
        return 0;
    }
    if (request->charge.n[QUOTA_RELAYS] == 0 &&
        !charge_add(&request->charge, QUOTA_RELAYS, 1, request->route.rule->max_relays))
        return -EDQUOT;
    charge_move(&request->charge, &charge, QUOTA_RELAYS, 1);
    r = relays_new(&relay, request, &conn->channel, &charge, ret_fd);
    if (r < 0)
        return r;
    list_append(&request->relays, &relay->node);
    return 0;
}

static void discard_relays(struct request *request)
{
    struct list *node;

    while ((node = list_pop(&request->relays)))
        relays_free(container_of(node, struct front_relay, node));
}

static void start_relays(struct request *request)
{
    struct list *node;
    uint8_t index = 0;

    while ((node = list_pop(&request->relays)))
        relays_start(container_of(node, struct front_relay, node), request->peer, index++);
}

/* Nobody is there to be told. */
static void end_unheard(struct request *request, const struct failure *failure)
{
    char target[TARGET_TEXT_MAX];
    const struct asked asked = asked_by(request, target);

    note_failure(request->peer, request->id, &asked, failure, request);
    request_free(request);
}

static void end_with_failure(struct request *request, const struct failure *failure)
{
    char target[TARGET_TEXT_MAX];
    const struct asked asked = asked_by(request, target);

    send_failure(request->peer, request->id, failure, &asked, request);
    request_free(request);
}

/* The connections are lost; that at least can be said where only the fds could not be sent. */
static void result_lost(struct request *request, int error)
{
    struct failure failure;

    discard_relays(request);
    if (!outgoing_can_go_on(-error)) {
        failure_set(&failure, ERROR_HANDOFF_FAILED, error);
        end_unheard(request, &failure);
        return;
    }
    failure_format(&failure, ERROR_NO_RESOURCES, error, "too many connections wait to be taken");
    failure.stage = STAGE_HANDOFF;
    end_with_failure(request, &failure);
}

static void result_sent(struct outgoing *out, int res)
{
    struct request *request = out->owner;

    if (res < 0) {
        result_lost(request, -res);
        return;
    }
    stats_add(request->route.rule->stats, stats_of_handoff(request->handoff), out->n_fds);
    audit_connected(request, out->n_fds);
    start_relays(request);
    request_free(request);
}

static void count_resumed(const struct request *request, const struct conn *conn)
{
    struct tls_info info = {0};

    if (conn_tls_of_target(conn))
        tls_session_info(conn_tls_of_target(conn), &info);
    if (info.is_resumed)
        stats_add(request->route.rule->stats, STAT_TLS_RESUMED, 1);
}

/* All that are of the result's kind. Returns 0, or why they are fewer or none. */
static int take_fds(struct request *request, struct outgoing *out)
{
    struct untaken *untaken = &request->peer->untaken;

    for (unsigned i = 0; i < request->n_conns; i++) {
        struct conn *conn = &request->conns[i];
        int r;

        if (conn->failure.code != ERROR_NONE || conn->handoff != request->handoff)
            continue;
        if (!untaken_add(untaken, 1))
            return -ETOOMANYREFS;
        count_resumed(request, conn);
        r = take_fd(request, conn, &out->fds[out->n_untaken]);
        if (r < 0) {
            untaken_sub(untaken, 1);
            return r;
        }
        out->n_untaken++;
    }
    return 0;
}

/* Takes the fds of all connections that are of the same kind as `first`. Returns the message, or
 * NULL with a failure. */
static struct outgoing *make_result(struct request *request, const struct conn *first,
                                    struct failure *failure)
{
    struct front *front = request->peer->front;
    struct message_result result = {0};
    struct outgoing *out;
    char reason[HANDOFF_REASON_MAX + 1];
    struct tls_info info;
    ssize_t n;
    int r = 0;

    request->handoff = first->handoff;
    fill_success(&result, first, &info, reason);
    n = message_encode_result(front->scratch, sizeof front->scratch, request->id, &result);
    free_chain(&result);
    assert(n > 0);
    out = outgoing_new(request->peer, front->scratch, (size_t)n, request->n_conns);
    if (out)
        r = take_fds(request, out);
    if (out && out->n_untaken > 0) {
        out->n_fds = out->n_untaken;
        return out;
    }
    if (r == -ETOOMANYREFS)
        untaken_explain(&request->peer->untaken, failure);
    else
        failure_set(failure, r == -EDQUOT ? ERROR_OVER_LIMIT : ERROR_NO_RESOURCES, -r);
    failure->stage = STAGE_HANDOFF;
    outgoing_free(out);
    return NULL;
}

void request_hand_over(struct request *request)
{
    struct peer *peer = request->peer;
    const struct conn *first = request_first_connected(request);
    struct failure failure = {.code = ERROR_CANCELLED, .stage = STAGE_REQUEST};
    struct outgoing *out = NULL;

    request->is_handed_over = true;
    ring_timer_set(peer->front->env.ring, &request->deadline,
                   ring_now_us(peer->front->env.ring) + DELIVERY_TIMEOUT_US);
    /* Not while it fails: peer_fail() is going through its requests. */
    if (!peer->is_closing && !peer->is_failing && !peer_is_held(peer))
        peer_close(peer);
    if (peer->is_closing || peer->is_failing) {
        end_unheard(request, &failure);
        return;
    }
    if (request->aborted == ERROR_CANCELLED)
        first = NULL;
    else if (first)
        out = make_result(request, first, &failure);
    else
        failure = request->conns[0].failure;
    if (out) {
        out->owner = request;
        out->sent = result_sent;
        peer_send(out);
        return;
    }
    end_with_failure(request, &failure);
}
