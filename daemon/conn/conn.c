/* The dispatcher. While a connection is ending no step is started; each completion that still comes
 * asks again whether all is over.
 */
#include "daemon/conn/conn.h"

#include <arpa/inet.h>
#include <assert.h>
#include <string.h>
#include <sys/un.h>

static const struct step *const steps[] = {
    [STEP_RESOLVE] = &step_resolve,
    [STEP_CONNECT] = &step_connect,
    [STEP_SEAL] = &step_seal,
    [STEP_TLS] = &step_tls,
};

enum stage step_stage(enum step_kind kind)
{
    switch (kind) {
    case STEP_RESOLVE:
        return STAGE_RESOLVE;
    case STEP_CONNECT:
        return STAGE_CONNECT;
    case STEP_SEAL:
        return STAGE_HANDOFF;
    case STEP_TLS:
        return STAGE_TLS;
    }
    return STAGE_REQUEST;
}

static const struct step *current_step(const struct conn *conn)
{
    return steps[conn->params->plan.steps[conn->step]];
}

void conn_init(struct conn *conn, const struct conn_env *env, const struct conn_params *params,
               conn_fn *fn)
{
    memset(conn, 0, sizeof *conn);
    conn->env = env;
    conn->params = params;
    conn->fn = fn;
    conn->handoff = params->plan.handoff;
    channel_init(&conn->channel, env->ring);
}

void conn_deinit(struct conn *conn)
{
    channel_deinit(&conn->channel);
}

static void finish(struct conn *conn)
{
    conn->is_ending = true;
    if (conn->step < conn->params->plan.n_steps && !current_step(conn)->is_idle(conn))
        return;
    conn->fn(conn);
}

static void run(struct conn *conn, enum step_result result)
{
    for (;;) {
        switch (result) {
        case STEP_WAIT:
            return;
        case STEP_FAIL:
            assert(conn->failure.code != ERROR_NONE);
            conn->is_ending = true;
            current_step(conn)->cancel(conn);
            finish(conn);
            return;
        case STEP_DONE:
            break;
        }
        conn->times_us[conn->step] = (uint32_t)(ring_now_us(conn->env->ring) - conn->step_start_us);
        conn->step++;
        if (conn->step == conn->params->plan.n_steps) {
            finish(conn);
            return;
        }
        conn->step_start_us = ring_now_us(conn->env->ring);
        result = current_step(conn)->start(conn);
    }
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
    const struct target *target = &conn->params->target;
    char address[ADDRESS_TEXT_MAX];

    switch (kind) {
    case STEP_RESOLVE:
        failure_format(&conn->failure, ERROR_DEADLINE, 0, "no answer about the name %s",
                       target->host);
        break;
    case STEP_CONNECT:
        if (target->scheme == SCHEME_UNIX) {
            failure_format(&conn->failure, ERROR_DEADLINE, 0, "nobody accepts on %s", target->path);
            break;
        }
        address_format(&conn->candidates[0], address);
        failure_format(&conn->failure, ERROR_DEADLINE, 0,
                       "no answer from %s port %u, %zu of %zu addresses tried", address,
                       target->port, conn->connect.next, conn->n_candidates);
        break;
    case STEP_TLS:
        failure_format(&conn->failure, ERROR_DEADLINE, 0,
                       "connected, but the peer has not finished the TLS handshake");
        break;
    case STEP_SEAL:
        failure_set(&conn->failure, ERROR_DEADLINE, 0);
        break;
    }
}

void conn_abort(struct conn *conn, enum error_code code)
{
    enum step_kind kind;

    if (conn->is_ending)
        return;
    kind = conn->params->plan.steps[conn->step];
    if (code == ERROR_DEADLINE)
        explain_deadline(conn, kind);
    else
        failure_set(&conn->failure, code, 0);
    conn->failure.stage = step_stage(kind);
    conn->is_ending = true;
    current_step(conn)->cancel(conn);
    finish(conn);
}

static socklen_t unix_sockaddr(const struct target *target, struct sockaddr_storage *ret)
{
    struct sockaddr_un *un = (struct sockaddr_un *)ret;

    memset(un, 0, sizeof *un);
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, target->path, strlen(target->path));
    return sizeof *un;
}

socklen_t conn_candidate_sockaddr(const struct conn *conn, size_t i, struct sockaddr_storage *ret)
{
    const struct target *target = &conn->params->target;
    const struct address *a = &conn->candidates[i];

    memset(ret, 0, sizeof *ret);
    if (target->scheme == SCHEME_UNIX)
        return unix_sockaddr(target, ret);
    if (a->family == AF_INET) {
        struct sockaddr_in *in = (struct sockaddr_in *)ret;

        in->sin_family = AF_INET;
        in->sin_port = htons(target->port);
        in->sin_addr = a->ipv4;
        return sizeof *in;
    } else {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;

        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(target->port);
        in6->sin6_addr = a->ipv6;
        return sizeof *in6;
    }
}

void conn_peer(const struct conn *conn, struct sockaddr_storage *ret)
{
    conn_candidate_sockaddr(conn, conn->connected, ret);
}
