/* The last step of a kTLS hand-over: the keys of the finished handshake go to the kernel. Nothing
 * is in flight, our Finished is with the socket, and the peer's first record behind the handshake
 * is still in it (channel.h, "exact").
 *
 * Receiving comes first: while the kernel has taken nothing the session can go on as a relay.
 * Between the two there is no way back. */
#include "daemon/conn/conn.h"
#include "daemon/conn/ktls.h"

#include <string.h>

static enum step_result install(struct conn *conn, const struct tls_kernel_keys *tx,
                                const struct tls_kernel_keys *rx)
{
    int fd = conn->channel.fd;
    int r = ktls_set_keys(fd, KTLS_RX, rx);

    if (r < 0)
        return conn_fall_back(conn, HANDOFF_KEYS_FAILED, -r);
    r = ktls_set_keys(fd, KTLS_TX, tx);
    if (r == 0)
        return STEP_DONE;
    failure_format(&conn->failure, ERROR_HANDOFF_FAILED, -r,
                   "the kernel took the keys for receiving, but not those for sending");
    return STEP_FAIL;
}

static enum step_result start(struct conn *conn)
{
    struct tls_session *session = channel_top(&conn->channel);
    struct tls_kernel_keys tx, rx;
    enum step_result result;
    int r;

    if (conn->handoff != HANDOFF_KTLS)
        return STEP_DONE; /* the socket could not be sealed */
    if (!tls_kernel_has(capabilities_ciphers(conn->env->caps), tls_session_kernel_cipher(session)))
        return conn_fall_back(conn, HANDOFF_NO_CIPHER, 0);
    r = tls_session_export(session, &tx, &rx);
    if (r < 0)
        return conn_fall_back(conn, HANDOFF_KEYS_FAILED, -r);
    result = install(conn, &tx, &rx);
    explicit_bzero(&tx, sizeof tx);
    explicit_bzero(&rx, sizeof rx);
    return result;
}

static void cancel(struct conn *conn)
{
    (void)conn;
}

static bool is_idle(const struct conn *conn)
{
    (void)conn;
    return true;
}

const struct step step_ktls = {start, cancel, is_idle};
