/* The dispatcher. While a connection is ending no step is started; each completion that still comes
 * asks again whether all is over.
 */
#include "daemon/conn/conn.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "proto/cleanup.h"

_Static_assert(CHANNEL_LAYERS_MAX > PROXY_HOPS_MAX, "TLS to each proxy, and to the target");

static const struct step *const steps[] = {
    [STEP_RESOLVE] = &step_resolve, [STEP_CONNECT] = &step_connect,     [STEP_SEAL] = &step_seal,
    [STEP_TLS] = &step_tls,         [STEP_PROXY_HEADER] = &step_dialog, [STEP_PROXY] = &step_dialog,
    [STEP_STARTTLS] = &step_dialog, [STEP_WEBSOCKET] = &step_dialog,    [STEP_KTLS] = &step_ktls,
};

enum stage step_stage(enum step_kind kind)
{
    switch (kind) {
    case STEP_RESOLVE:
        return STAGE_RESOLVE;
    case STEP_CONNECT:
        return STAGE_CONNECT;
    case STEP_SEAL:
    case STEP_KTLS:
        return STAGE_HANDOFF;
    case STEP_TLS:
        return STAGE_TLS;
    case STEP_PROXY_HEADER:
    case STEP_PROXY:
        return STAGE_PROXY;
    case STEP_STARTTLS:
        return STAGE_STARTTLS;
    case STEP_WEBSOCKET:
        return STAGE_UPGRADE;
    }
    return STAGE_REQUEST;
}

const struct plan_step *conn_step(const struct conn *conn)
{
    return &conn->params->plan.steps[conn->step];
}

static const struct step *current_step(const struct conn *conn)
{
    return steps[conn_step(conn)->kind];
}

const struct target *conn_endpoint(const struct conn *conn)
{
    return plan_endpoint(&conn->params->plan, &conn->params->target, conn_step(conn)->hop);
}

/* What each new connection begins with. */
static void set_off(struct conn *conn)
{
    channel_init(&conn->channel, conn->env->ring);
    conn->handoff = conn->params->plan.handoff;
    conn->handoff_reason = conn->params->plan.reason;
    conn->handoff_cipher = "";
}

void conn_init(struct conn *conn, const struct conn_env *env, const struct conn_params *params,
               conn_fn *fn)
{
    memset(conn, 0, sizeof *conn);
    conn->env = env;
    conn->params = params;
    conn->fn = fn;
    set_off(conn);
}

void conn_deinit(struct conn *conn)
{
    channel_deinit(&conn->channel);
    while (conn->dialogs)
        conn->dialogs = step_dialog_free(conn->dialogs);
    free(TAKE_PTR(conn->targets));
}

static void finish(struct conn *conn)
{
    conn->is_ending = true;
    if (conn->step < conn->params->plan.n_steps && !current_step(conn)->is_idle(conn))
        return;
    conn->fn(conn);
}

/* Says whose failure it is. The detail is escaped already, and a title of the configuration. */
static void name_hop(struct conn *conn)
{
    struct failure *failure = &conn->failure;
    char named[CONFIG_TITLE_MAX + sizeof ": " + FAILURE_DETAIL_MAX];

    failure->hop = conn_step(conn)->hop;
    if (failure->hop == 0)
        return;
    snprintf(named, sizeof named, "%s%s%s", plan_proxy(&conn->params->plan, failure->hop)->name,
             failure->detail[0] ? ": " : "", failure->detail);
    memcpy(failure->detail, named, FAILURE_DETAIL_MAX);
}

/* A step that is done more than once takes as long as all together. */
static void note_time(struct conn *conn)
{
    conn->times_us[conn->step] += (uint32_t)(ring_now_us(conn->env->ring) - conn->step_start_us);
}

/* All that is behind the address is done again. */
static void start_again(struct conn *conn)
{
    channel_deinit(&conn->channel);
    set_off(conn);
    conn->step = 0;
    while (conn_step(conn)->kind != STEP_CONNECT)
        conn->step++;
}

static void run(struct conn *conn, enum step_result result)
{
    for (;;) {
        switch (result) {
        case STEP_WAIT:
            return;
        case STEP_FAIL:
            assert(conn->failure.code != ERROR_NONE);
            name_hop(conn);
            conn->is_ending = true;
            current_step(conn)->cancel(conn);
            finish(conn);
            return;
        case STEP_AGAIN:
            note_time(conn);
            start_again(conn);
            break;
        case STEP_DONE:
            note_time(conn);
            conn->step++;
            break;
        }
        if (conn->step == conn->params->plan.n_steps) {
            finish(conn);
            return;
        }
        conn->step_start_us = ring_now_us(conn->env->ring);
        result = current_step(conn)->start(conn);
    }
}

/* The cipher negotiated, for the reason; static. */
static const char *cipher_of(const struct conn *conn)
{
    const struct tls_session *session = conn_tls_of_target(conn);
    struct tls_info info;

    if (!session)
        return "";
    tls_session_info(session, &info);
    return info.cipher;
}

void conn_explain_handoff(const struct conn *conn, char text[HANDOFF_REASON_MAX + 1])
{
    handoff_explain(conn->handoff_reason, conn->env->caps, conn->handoff_cipher, text);
}

enum step_result conn_fall_back(struct conn *conn, enum handoff_reason reason, int error)
{
    char text[HANDOFF_REASON_MAX + 1];

    conn->handoff_reason = reason;
    conn->handoff_cipher = cipher_of(conn);
    if (conn->params->plan.may_relay) {
        conn->handoff = HANDOFF_RELAY;
        return STEP_DONE;
    }
    if (!conn->is_ending) {
        conn_explain_handoff(conn, text);
        failure_format(&conn->failure, ERROR_HANDOFF_KIND, error, "%s; %s", text,
                       conn->params->plan.advice);
    }
    return STEP_FAIL;
}

void conn_start(struct conn *conn)
{
    conn->step_start_us = ring_now_us(conn->env->ring);
    run(conn, current_step(conn)->start(conn));
}

void conn_continue(struct conn *conn, enum step_result result)
{
    if (conn->is_ending)
        finish(conn);
    else
        run(conn, result);
}

/* What was waited for when the time was over. */
static void explain_deadline(struct conn *conn, enum step_kind kind)
{
    const struct target *endpoint = conn_endpoint(conn);
    char address[ADDRESS_TEXT_MAX];

    switch (kind) {
    case STEP_RESOLVE:
        failure_format(&conn->failure, ERROR_DEADLINE, 0, "no answer about the name %s",
                       endpoint->host);
        break;
    case STEP_CONNECT:
        if (endpoint->scheme == SCHEME_UNIX) {
            failure_format(&conn->failure, ERROR_DEADLINE, 0, "nobody accepts on %s",
                           endpoint->path);
            break;
        }
        address_format(&conn->candidates[0], address);
        failure_format(&conn->failure, ERROR_DEADLINE, 0,
                       "no answer from %s port %u, %zu of %zu addresses tried", address,
                       endpoint->port, conn->connect.next, conn->n_candidates);
        break;
    case STEP_TLS:
        failure_format(&conn->failure, ERROR_DEADLINE, 0,
                       "connected, but the peer has not finished the TLS handshake");
        break;
    case STEP_PROXY:
        failure_format(&conn->failure, ERROR_DEADLINE, 0,
                       "connected, but the proxy has not said whether it reaches the next hop");
        break;
    case STEP_STARTTLS:
        failure_format(&conn->failure, ERROR_DEADLINE, 0,
                       "connected, but the server has not agreed to TLS");
        break;
    case STEP_WEBSOCKET:
        failure_format(&conn->failure, ERROR_DEADLINE, 0,
                       "connected, but the server has not answered the upgrade request");
        break;
    case STEP_PROXY_HEADER:
    case STEP_SEAL:
    case STEP_KTLS:
        failure_set(&conn->failure, ERROR_DEADLINE, 0);
        break;
    }
}

void conn_abort(struct conn *conn, enum error_code code)
{
    enum step_kind kind;

    if (conn->is_ending)
        return;
    kind = conn_step(conn)->kind;
    if (code == ERROR_DEADLINE)
        explain_deadline(conn, kind);
    else
        failure_set(&conn->failure, code, 0);
    conn->failure.stage = step_stage(kind);
    name_hop(conn);
    conn->is_ending = true;
    current_step(conn)->cancel(conn);
    finish(conn);
}

static socklen_t unix_sockaddr(const struct target *target, struct sockaddr_storage *ret)
{
    struct sockaddr_un *un = (struct sockaddr_un *)ret;

    memset(ret, 0, sizeof *ret);
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, target->path, strlen(target->path));
    return sizeof *un;
}

const struct target *conn_first_endpoint(const struct conn *conn)
{
    const struct plan *plan = &conn->params->plan;

    return plan_endpoint(plan, &conn->params->target, plan->n_via > 0 ? 1 : 0);
}

socklen_t conn_candidate_sockaddr(const struct conn *conn, size_t i, struct sockaddr_storage *ret)
{
    const struct target *target = conn_first_endpoint(conn);

    if (target->scheme == SCHEME_UNIX)
        return unix_sockaddr(target, ret);
    return address_to_sockaddr(&conn->candidates[i], target->port, ret);
}

struct tls_session *conn_tls_of_target(const struct conn *conn)
{
    const struct plan *plan = &conn->params->plan;
    size_t n_below = 0;

    for (unsigned hop = 1; hop <= plan->n_via; hop++)
        n_below += plan_proxy(plan, hop)->tls != NULL;
    return conn->channel.n_layers > n_below ? channel_top(&conn->channel) : NULL;
}

void conn_peer(const struct conn *conn, struct sockaddr_storage *ret)
{
    conn_candidate_sockaddr(conn, conn->connected, ret);
}
