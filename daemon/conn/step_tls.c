/* A TLS handshake on top of the channel. Each piece of it is a heavy task of the ring, so that a
 * burst of handshakes does not delay what is cheap.
 *
 *     task: handshake ─▶ flush what it wants sent ─▶ done, failed, or fill ─▶ task
 */
#include "daemon/conn/conn.h"

#include <errno.h>

#include "daemon/conn/session_key.h"

static struct conn *conn_of(struct channel *channel)
{
    return container_of(channel, struct conn, channel);
}

static void fail_io(struct conn *conn, int error)
{
    if (conn->is_ending || conn->failure.code != ERROR_NONE)
        return;
    switch (error) {
    case ENOMEM:
    case ENOBUFS:
        failure_set(&conn->failure, ERROR_NO_RESOURCES, error);
        break;
    case ETIMEDOUT:
        failure_set(&conn->failure, ERROR_CONNECT_TIMEOUT, error);
        break;
    case EPROTO:
        failure_set(&conn->failure, ERROR_TLS_PROTOCOL, error);
        break;
    default:
        failure_set(&conn->failure, ERROR_TLS_RESET, error);
        break;
    }
    conn->failure.stage = STAGE_TLS;
}

/* Goes on after the output is out. */
static enum step_result after_flush(struct conn *conn)
{
    int r;

    if (conn->failure.code != ERROR_NONE)
        return STEP_FAIL;
    if (conn->tls.is_finished)
        return STEP_DONE;
    r = channel_fill(&conn->channel);
    if (r < 0) {
        fail_io(conn, -r);
        return STEP_FAIL;
    }
    return STEP_WAIT;
}

static enum step_result flush(struct conn *conn)
{
    int r = channel_flush(&conn->channel);

    if (r > 0)
        return STEP_WAIT;
    if (r < 0)
        fail_io(conn, -r);
    return after_flush(conn);
}

static void flushed(struct channel *channel, int res)
{
    struct conn *conn = conn_of(channel);

    if (res < 0)
        fail_io(conn, -res);
    conn_continue(conn, conn->is_ending ? STEP_FAIL : after_flush(conn));
}

static void filled(struct channel *channel, int res)
{
    struct conn *conn = conn_of(channel);

    if (!conn->is_ending && res > 0) {
        ring_post(conn->env->ring, &conn->tls.task);
        return;
    }
    if (!conn->is_ending && res == 0)
        tls_session_handshake_eof(channel_top(channel), &conn->failure);
    else if (res < 0)
        fail_io(conn, -res);
    conn_continue(conn, STEP_FAIL);
}

/* What the peer sends behind the handshake is the client's, through the kernel. */
static bool settle(struct conn *conn)
{
    int r;

    if (!conn->channel.is_exact)
        return true;
    r = channel_settle(&conn->channel);
    if (conn->tls.is_finished)
        conn->channel.is_exact = false;
    if (r == 0)
        return true;
    if (conn->failure.code == ERROR_NONE)
        fail_io(conn, -r);
    return false;
}

static void handshake(struct task *task)
{
    struct conn *conn = container_of(task, struct conn, tls.task);

    switch (tls_session_handshake(channel_top(&conn->channel), &conn->failure)) {
    case TLS_DONE:
        conn->tls.is_finished = true;
        break;
    case TLS_WANT_INPUT:
    case TLS_FAILED: /* the alert has to go out */
        break;
    }
    conn_continue(conn, settle(conn) ? flush(conn) : STEP_FAIL);
}

static int new_session(const struct conn *conn, struct tls_session **ret)
{
    const struct target *target = &conn->params->target;
    char key[SESSION_KEY_MAX];
    struct tls_params params = {.session_key = session_key_make(conn, key),
                                .alpn = conn->params->alpn,
                                .n_alpn = conn->params->n_alpn,
                                .is_anonymous = conn->params->plan.is_anonymous};

    if (conn->handoff == HANDOFF_KTLS) {
        params.kernel_ciphers = capabilities_ciphers(conn->env->caps);
        params.needs_kernel = !conn->params->plan.may_relay;
    }
    if (conn->params->tls_name || target->host_kind == HOST_NAME) {
        params.name = conn->params->tls_name ? conn->params->tls_name : target->host;
    } else if (target->host_kind == HOST_IPV4) {
        params.address = &target->ipv4;
        params.address_size = sizeof target->ipv4;
    } else {
        params.address = &target->ipv6;
        params.address_size = sizeof target->ipv6;
    }
    return tls_session_new(ret, conn->params->tls, &params);
}

static int new_proxy_session(const struct conn *conn, struct tls_session **ret)
{
    const struct proxy *proxy = plan_proxy(&conn->params->plan, conn_step(conn)->hop);
    static const struct text http = {"http/1.1", 8};
    char key[SESSION_KEY_MAX];
    struct tls_params params = {.session_key = session_key_make(conn, key),
                                .name = proxy->tls_name,
                                .alpn = &http,
                                .n_alpn = 1,
                                .is_anonymous = conn->params->plan.is_anonymous};

    if (proxy->kind != PROXY_HTTP)
        params.n_alpn = 0;
    return tls_session_new(ret, proxy->tls, &params);
}

static void fail_session(struct conn *conn, int error)
{
    switch (error) {
    case EINVAL:
        failure_format(&conn->failure, ERROR_BAD_OPTION, 0, "the TLS name or ALPN cannot be");
        break;
    case EOPNOTSUPP:
        failure_format(&conn->failure, ERROR_HANDOFF_KIND, 0,
                       "this kernel's TLS can do none of the ciphers that the rule allows; %s",
                       conn->params->plan.advice);
        break;
    default: /* errno */
        fail_io(conn, error);
    }
}

static enum step_result start(struct conn *conn)
{
    struct tls_session *session;
    int r;

    task_init(&conn->tls.task, conn->params->lane, handshake);
    conn->tls.is_finished = false;
    r = conn_step(conn)->hop > 0 ? new_proxy_session(conn, &session) : new_session(conn, &session);
    if (r < 0) {
        fail_session(conn, -r);
        return STEP_FAIL;
    }
    channel_push_consume_session(&conn->channel, session);
    conn->channel.is_exact = conn->handoff == HANDOFF_KTLS;
    conn->channel.filled = filled;
    conn->channel.flushed = flushed;
    ring_post(conn->env->ring, &conn->tls.task);
    return STEP_WAIT;
}

static void cancel(struct conn *conn)
{
    task_clear(&conn->tls.task);
    channel_cancel(&conn->channel);
}

static bool is_idle(const struct conn *conn)
{
    return channel_is_idle(&conn->channel);
}

const struct step step_tls = {start, cancel, is_idle};
