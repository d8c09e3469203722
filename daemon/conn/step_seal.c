/* Attaches the ULP right after connect. Where that fails for this one connection (the peer has
 * closed already: ENOTCONN) a relay does, if the request allows it; a bare socket never goes out.
 */
#include "daemon/conn/conn.h"
#include "daemon/conn/seal.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

static void seal_done(struct op *op, int res, uint32_t flags)
{
    struct conn *conn = container_of(op, struct conn, seal_op);

    (void)flags;
    conn_continue(conn, res == 0 ? STEP_DONE : conn_fall_back(conn, HANDOFF_SEAL_FAILED, -res));
}

static enum step_result start(struct conn *conn)
{
    op_init(&conn->seal_op, seal_done);
    ring_setsockopt(conn->env->ring, &conn->seal_op, conn->channel.fd, IPPROTO_TCP, TCP_ULP,
                    SEAL_ULP, sizeof SEAL_ULP);
    return STEP_WAIT;
}

static void cancel(struct conn *conn)
{
    ring_cancel(conn->env->ring, &conn->seal_op);
}

static bool is_idle(const struct conn *conn)
{
    return !op_is_pending(&conn->seal_op);
}

const struct step step_seal = {start, cancel, is_idle};
