/* Happy eyeballs (RFC 8305, 5): attempts are started one after the other, CONNECT_STAGGER_US apart
 * or as soon as one fails, at most CONNECT_ATTEMPTS_MAX at once. The first to connect wins; the
 * others are cancelled and closed. An attempt is one op that first makes the socket, then connects
 * it. Where the rule has a source, the socket is bound to it in between.
 */
#include "daemon/conn/conn.h"
#include "daemon/conn/source.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>

#include "proto/cleanup.h"

static void attempt_done(struct op *op, int res, uint32_t flags);
static void stagger_over(struct timer *timer);

static bool is_unix(const struct conn *conn)
{
    return conn_endpoint(conn)->scheme == SCHEME_UNIX;
}

static void attempt_start(struct conn *conn)
{
    struct step_connect *c = &conn->connect;
    struct connect_attempt *a = c->attempts;
    int family = is_unix(conn) ? AF_UNIX : conn->candidates[c->next].family;

    while (a->is_active)
        a++;
    *a = (struct connect_attempt){
        .conn = conn, .fd = -1, .is_active = true, .candidate = (uint8_t)c->next++};
    op_init(&a->op, attempt_done);
    c->n_active++;
    ring_socket(conn->env->ring, &a->op, family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->next < conn->n_candidates && c->n_active < CONNECT_ATTEMPTS_MAX)
        ring_timer_set(conn->env->ring, &c->stagger,
                       ring_now_us(conn->env->ring) + CONNECT_STAGGER_US);
}

static enum step_result start(struct conn *conn)
{
    struct step_connect *c = &conn->connect;

    memset(c, 0, sizeof *c);
    timer_init(&c->stagger, stagger_over);
    if (is_unix(conn))
        conn->n_candidates = 1;
    attempt_start(conn);
    return STEP_WAIT;
}

static void stagger_over(struct timer *timer)
{
    attempt_start(container_of(timer, struct conn, connect.stagger));
}

/* TCP_NODELAY and keep-alive are a service to the client; a kernel that refuses them is no error.
 */
static void set_options(struct ring *ring, int fd)
{
    static const int one = 1, idle_s = KEEPALIVE_IDLE_S;

    ring_setsockopt_quietly(ring, fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    ring_setsockopt_quietly(ring, fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    ring_setsockopt_quietly(ring, fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
}

/* Returns 0, or -errno when the source cannot be used. */
static int attempt_connect(struct connect_attempt *a)
{
    struct conn *conn = a->conn;
    const struct source *source = conn->params->plan.source;
    struct sockaddr_storage ss;
    socklen_t n = conn_candidate_sockaddr(conn, a->candidate, &ss);
    int r = source ? source_bind(source, a->fd) : 0;

    if (r < 0) {
        conn->connect.source_error = -r;
        return r;
    }
    if (!is_unix(conn))
        set_options(conn->env->ring, a->fd);
    ring_connect(conn->env->ring, &a->op, a->fd, (struct sockaddr *)&ss, n);
    return 0;
}

/* How much an error says about the target: an answer from there beats no answer, beats local
 * trouble. */
static int error_rank(int error)
{
    switch (error) {
    case 0:
        return 0;
    case ECONNREFUSED:
    case ECONNRESET:
        return 4;
    case ETIMEDOUT:
        return 3;
    case EHOSTUNREACH:
        return 2;
    default:
        return 1;
    }
}

static enum error_code error_code_of(const struct conn *conn, int error)
{
    switch (error) {
    case ECONNREFUSED:
        return ERROR_REFUSED;
    case ECONNRESET:
        return ERROR_RESET;
    case ETIMEDOUT:
        return ERROR_CONNECT_TIMEOUT;
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT:
        return ERROR_UNREACHABLE;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOBUFS:
        return ERROR_NO_RESOURCES;
    case ENOENT:
        return is_unix(conn) ? ERROR_NO_UNIX_SOCKET : ERROR_CONNECT_FAILED;
    default:
        return ERROR_CONNECT_FAILED;
    }
}

static void fail_at_source(struct conn *conn)
{
    char text[SOURCE_TEXT_MAX];

    source_format(conn->params->plan.source, text);
    failure_format(&conn->failure, ERROR_CONNECT_FAILED, conn->connect.source_error,
                   "this host cannot connect from %s, the rule's source", text);
}

static void fail(struct conn *conn)
{
    struct step_connect *c = &conn->connect;
    const struct address *address = &conn->candidates[c->error_candidate];
    enum error_code code = error_code_of(conn, c->error);
    char text[ADDRESS_TEXT_MAX];

    if (is_unix(conn)) {
        failure_format(&conn->failure, code, c->error, "%s", conn_endpoint(conn)->path);
    } else if (c->source_error != 0 && c->error == c->source_error) {
        fail_at_source(conn);
    } else {
        address_format(address, text);
        failure_format(&conn->failure, code, c->error, "%s port %u, %zu of %zu addresses tried",
                       text, conn_endpoint(conn)->port, c->next, conn->n_candidates);
    }
    conn->failure.stage = STAGE_CONNECT;
}

static void cancel(struct conn *conn)
{
    struct step_connect *c = &conn->connect;

    ring_timer_clear(conn->env->ring, &c->stagger);
    for (size_t i = 0; i < CONNECT_ATTEMPTS_MAX; i++) {
        if (c->attempts[i].is_active)
            ring_cancel(conn->env->ring, &c->attempts[i].op);
    }
}

static void win(struct connect_attempt *a)
{
    struct conn *conn = a->conn;

    conn->connect.has_winner = true;
    conn->connected = a->candidate;
    conn->channel.fd = TAKE_FD(a->fd);
    cancel(conn);
}

static void lose(struct connect_attempt *a, int error)
{
    struct step_connect *c = &a->conn->connect;

    ring_close_consume_fd(a->conn->env->ring, TAKE_FD(a->fd));
    if (error_rank(error) > error_rank(c->error)) {
        c->error = error;
        c->error_candidate = a->candidate;
    }
}

static void attempt_over(struct conn *conn)
{
    struct step_connect *c = &conn->connect;

    c->n_active--;
    if (!c->has_winner && !conn->is_ending && c->next < conn->n_candidates) {
        ring_timer_clear(conn->env->ring, &c->stagger);
        attempt_start(conn);
    }
    if (c->n_active > 0)
        return;
    if (!c->has_winner && !conn->is_ending)
        fail(conn);
    conn_continue(conn, c->has_winner ? STEP_DONE : STEP_FAIL);
}

static void attempt_done(struct op *op, int res, uint32_t flags)
{
    struct connect_attempt *a = container_of(op, struct connect_attempt, op);
    struct conn *conn = a->conn;
    bool is_late = conn->connect.has_winner || conn->is_ending;

    (void)flags;
    if (a->fd < 0 && res >= 0) {
        a->fd = res;
        if (!is_late) {
            res = attempt_connect(a);
            if (res == 0)
                return;
        }
    }
    a->is_active = false;
    if (res == 0 && !is_late)
        win(a);
    else
        lose(a, res < 0 ? -res : 0);
    attempt_over(conn);
}

static bool is_idle(const struct conn *conn)
{
    return conn->connect.n_active == 0;
}

const struct step step_connect = {start, cancel, is_idle};
