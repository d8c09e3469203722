/* The one list of stages and errors: wire codes, texts, and the errno the library returns.
 *
 * A number, once released, keeps its meaning. New codes go to the end of their block.
 */
#pragma once

#include <stdint.h>

/* X(NAME, number, "text") in the order in which a request passes through them */
#define STAGE_LIST(X)                                                                              \
    X(REQUEST, 1, "request")                                                                       \
    X(POLICY, 2, "policy")                                                                         \
    X(RESOLVE, 3, "resolve")                                                                       \
    X(CONNECT, 4, "connect")                                                                       \
    X(PROXY, 5, "proxy")                                                                           \
    X(TLS, 6, "tls")                                                                               \
    X(UPGRADE, 7, "upgrade")                                                                       \
    X(STARTTLS, 8, "starttls")                                                                     \
    X(HANDOFF, 9, "handoff")

enum stage {
#define X(name, number, text) STAGE_##name = number,
    STAGE_LIST(X)
#undef X
};

/* X(NAME, number, usual stage, errno, "text") */
#define ERROR_LIST(X)                                                                              \
    X(BAD_MESSAGE, 1, REQUEST, EPROTO, "malformed message")                                        \
    X(BAD_VERSION, 2, REQUEST, EPROTO, "no protocol version in common")                            \
    X(BAD_TARGET, 3, REQUEST, EINVAL, "bad target")                                                \
    X(BAD_OPTION, 4, REQUEST, EINVAL, "bad option")                                                \
    X(DUPLICATE_ID, 6, REQUEST, EINVAL, "request id already in use")                               \
    X(OVER_LIMIT, 7, REQUEST, EAGAIN, "over a limit")                                              \
    X(NO_RESOURCES, 8, REQUEST, EAGAIN, "the daemon is out of memory or file descriptors")         \
    X(DRAINING, 9, REQUEST, EAGAIN, "the daemon is shutting down")                                 \
    X(CANCELLED, 10, REQUEST, ECANCELED, "cancelled")                                              \
    X(DEADLINE, 11, REQUEST, ETIMEDOUT, "deadline passed")                                         \
    X(INTERNAL, 12, REQUEST, EIO, "unexpected system error")                                       \
    X(WRONG_SENDER, 13, REQUEST, EACCES,                                                           \
      "message sent by another process than opened the session")                                   \
    X(DENIED, 20, POLICY, EACCES, "denied by policy")                                              \
    X(DENIED_ADDRESS, 21, POLICY, EACCES, "address denied by policy")                              \
    X(NO_NAME, 30, RESOLVE, EHOSTUNREACH, "no such name")                                          \
    X(NO_ADDRESS, 31, RESOLVE, EHOSTUNREACH, "name has no usable address")                         \
    X(RESOLVE_FAILED, 32, RESOLVE, EHOSTUNREACH, "name server failed or did not answer")           \
    X(REFUSED, 40, CONNECT, ECONNREFUSED, "connection refused")                                    \
    X(UNREACHABLE, 41, CONNECT, ENETUNREACH, "host or network unreachable")                        \
    X(RESET, 42, CONNECT, ECONNRESET, "connection reset")                                          \
    X(CONNECT_TIMEOUT, 43, CONNECT, ETIMEDOUT, "no answer to connection attempt")                  \
    X(NO_UNIX_SOCKET, 44, CONNECT, ENOENT, "no such Unix socket")                                  \
    X(CONNECT_FAILED, 45, CONNECT, EIO, "cannot connect")                                          \
    X(PROXY_AUTH, 50, PROXY, EPERM, "proxy refused the credentials")                               \
    X(PROXY_REFUSED, 51, PROXY, ECONNREFUSED, "proxy refused the connection")                      \
    X(PROXY_PROTOCOL, 52, PROXY, EPROTO, "proxy broke the protocol")                               \
    X(TLS_NOT_TLS, 60, TLS, EPROTO, "peer does not speak TLS")                                     \
    X(TLS_PROTOCOL, 61, TLS, EPROTO, "TLS protocol error")                                         \
    X(TLS_ALERT, 62, TLS, EPROTO, "peer sent a TLS alert")                                         \
    X(TLS_CLOSED, 63, TLS, EPROTO, "peer closed the connection during the TLS handshake")          \
    X(TLS_VERSION, 64, TLS, EPROTO, "no TLS version in common")                                    \
    X(TLS_RESET, 65, TLS, ECONNRESET, "peer reset the connection during the TLS handshake")        \
    X(CERT_NOT_PINNED, 66, TLS, EKEYREJECTED, "certificate key is not a pinned one")               \
    X(CERT_STATUS_UNKNOWN, 67, TLS, EKEYREJECTED,                                                  \
      "certificate may have been revoked, its status is unknown")                                  \
    X(CERT_EXPIRED, 70, TLS, EKEYREJECTED, "certificate has expired")                              \
    X(CERT_NOT_YET_VALID, 71, TLS, EKEYREJECTED, "certificate is not yet valid")                   \
    X(CERT_WRONG_NAME, 72, TLS, EKEYREJECTED, "certificate is for another name")                   \
    X(CERT_UNKNOWN_ISSUER, 73, TLS, EKEYREJECTED, "certificate issuer is unknown")                 \
    X(CERT_SELF_SIGNED, 74, TLS, EKEYREJECTED, "certificate is self-signed")                       \
    X(CERT_BAD_PURPOSE, 75, TLS, EKEYREJECTED, "certificate is not for this purpose")              \
    X(CERT_WEAK_KEY, 76, TLS, EKEYREJECTED, "certificate key or signature is too weak")            \
    X(CERT_BAD_SIGNATURE, 77, TLS, EKEYREJECTED, "certificate signature is wrong")                 \
    X(CERT_REVOKED, 78, TLS, EKEYREJECTED, "certificate was revoked")                              \
    X(CERT_NOT_TRUSTED, 79, TLS, EKEYREJECTED, "certificate is not trusted")                       \
    X(UPGRADE_REFUSED, 80, UPGRADE, ECONNREFUSED, "server refused the upgrade")                    \
    X(UPGRADE_PROTOCOL, 81, UPGRADE, EPROTO, "server broke the protocol of the upgrade")           \
    X(STARTTLS_REFUSED, 85, STARTTLS, ECONNREFUSED, "server refused STARTTLS")                     \
    X(STARTTLS_PROTOCOL, 86, STARTTLS, EPROTO, "server broke the protocol before TLS")             \
    X(STARTTLS_INJECTION, 87, STARTTLS, EPROTO, "data in the clear behind STARTTLS")               \
    X(HANDOFF_KIND, 90, HANDOFF, EOPNOTSUPP, "cannot hand over as asked")                          \
    X(HANDOFF_FAILED, 91, HANDOFF, EIO, "cannot hand over")

enum error_code {
    ERROR_NONE = 0,
#define X(name, number, stage, error, text) ERROR_##name = number,
    ERROR_LIST(X)
#undef X
};

/* Names for people; an unknown number gives "unknown". */
const char *stage_name(uint32_t stage);
const char *error_text(uint32_t code);
/* The symbolic name ("CERT_EXPIRED"), for logs and counters. */
const char *error_name(uint32_t code);
/* The positive errno the library reports; an unknown code gives EPROTO. */
int error_to_errno(uint32_t code);
/* The stage an error belongs to when nothing more precise is known. */
enum stage error_stage(enum error_code code);

/* How a relay ended, as told in an `ended` message.
 * X(NAME, number, "text") */
#define RELAY_END_LIST(X)                                                                          \
    X(CLEAN, 1, "clean")                                                                           \
    X(TRUNCATED, 2, "truncated")                                                                   \
    X(RESET, 3, "reset")                                                                           \
    X(IDLE, 4, "idle")                                                                             \
    X(DRAINED, 5, "drained")                                                                       \
    X(LIFETIME, 6, "lifetime")

enum relay_end {
#define X(name, number, text) RELAY_END_##name = number,
    RELAY_END_LIST(X)
#undef X
};

const char *relay_end_name(uint32_t end);
