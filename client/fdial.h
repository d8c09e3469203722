/* libfdial: connections set up by fdiald(8). See fdial(3).
 *
 * Every function that returns int gives 0 or a positive value, or a negative errno. One session
 * (struct fdial) is used by one thread at a time; sessions are independent. No threads, no signal
 * handlers, nothing is printed.
 *
 * A session belongs to the process that opened it: after fork() the child opens its own.
 */
#ifndef FDIAL_H
#define FDIAL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

#define FDIAL_COUNT_MAX      64   /* connections in one result */
#define FDIAL_TARGET_MAX     2048 /* bytes of a target */
#define FDIAL_TIMEOUT_MS_MAX 3600000
#define FDIAL_PATTERNS_MAX   256 /* of a grant */
#define FDIAL_PATTERN_MAX    512 /* bytes of one */
/* An alert that the peer sent over kernel TLS is the error -(FDIAL_ALERT + its number). */
#define FDIAL_ALERT 0x1000

/* Kinds of hand-over; a mask in requests, one bit in results. */
enum fdial_handoff {
    FDIAL_TCP = 1,  /* the connected socket itself, sealed */
    FDIAL_KTLS = 2, /* the TCP socket with kernel TLS, for fdial_recv, fdial_send, fdial_shutdown */
    FDIAL_RELAY = 4, /* a stream socket; the daemon carries the bytes */
};

/* Stages, as fdial_result_stage() gives them, in order. */
enum fdial_stage {
    FDIAL_STAGE_NONE = 0,
    FDIAL_STAGE_REQUEST = 1,
    FDIAL_STAGE_POLICY = 2,
    FDIAL_STAGE_RESOLVE = 3,
    FDIAL_STAGE_CONNECT = 4,
    FDIAL_STAGE_PROXY = 5,
    FDIAL_STAGE_TLS = 6,
    FDIAL_STAGE_UPGRADE = 7,
    FDIAL_STAGE_STARTTLS = 8,
    FDIAL_STAGE_HANDOFF = 9,
};

struct fdial;
struct fdial_request;
struct fdial_result;

/* One connection, blocking until it is there or has failed (30 s): a blocking CLOEXEC fd for plain
 * read and write, or a negative errno: those of fdial_open(), of fdial_result_error(), or -EINVAL.
 */
int fdial(const char *target);

/* socket_path NULL: $FDIAL_FD, $FDIAL_SOCKET, the user's socket if it exists, the system's socket.
 * What is set is used or is an error, never a fallback. Blocks up to 5 s. -ENOTCONN no daemon
 * there, or it hung up · -EACCES the socket is not for this user · -EBADF $FDIAL_FD is unusable ·
 * -EINVAL, -ENAMETOOLONG a bad path · -EPERM the daemon is neither root, this uid, the fdiald user
 * nor outside of this user namespace · -EPROTO it does not speak this protocol · -EAGAIN it is at a
 * limit · -ETIMEDOUT it accepted and said nothing */
int fdial_open(struct fdial **ret, const char *socket_path);
/* Takes the fd, also on failure: a connected socket of the daemon that nobody has spoken on, or a
 * grant, from which it opens a session. -EBADF it is neither; else as fdial_open(). */
int fdial_open_fd(struct fdial **ret, int fd);
struct fdial *fdial_close(struct fdial *d); /* returns NULL; ends what is in flight */
/* A grant: the rights of this session, narrowed to targets that match one of the patterns (as
 * `allow` in fdiald.conf(5)), as an fd (CLOEXEC) to inherit or send to anybody. It outlives the
 * session. Blocks up to 5 s. -EINVAL no pattern, or a bad one (fdial_message()) · -E2BIG, -EMSGSIZE
 * too many, or too long together · -EAGAIN over a limit, or the daemon is ending · -EMFILE */
int fdial_grant(struct fdial *d, const char *const *patterns, size_t n);
/* What the daemon said about the last fdial_grant() that it refused; "" otherwise. Printable, valid
 * until the next call. */
const char *fdial_message(const struct fdial *d);

/* -EINVAL: the target does not parse. A request can be submitted many times. */
int fdial_request_new(struct fdial_request **ret, const char *target);
struct fdial_request *fdial_request_free(struct fdial_request *r); /* returns NULL */
/* Setters: 0, -EINVAL out of range, -E2BIG too many, -ENOMEM. */
int fdial_request_set_timeout_ms(struct fdial_request *r, unsigned timeout_ms); /* 30000 */
int fdial_request_set_family(struct fdial_request *r,
                             int family); /* AF_UNSPEC, AF_INET, AF_INET6 */
int fdial_request_add_alpn(struct fdial_request *r,
                           const char *protocol); /* in order of preference */
int fdial_request_set_tls_name(struct fdial_request *r, const char *name);
int fdial_request_set_handoff(struct fdial_request *r, unsigned mask);     /* default TCP | RELAY */
int fdial_request_add_header(struct fdial_request *r, const char *header); /* "Name: value" */
int fdial_request_add_subprotocol(struct fdial_request *r, const char *subprotocol);
int fdial_request_set_count(struct fdial_request *r, unsigned count); /* 1 to 64 in one result */

/* Never blocks. The id is the caller's, any number that is not in flight. -EAGAIN: too many in
 * flight (fetch results) or the socket is full (wait for fdial_events()) · -EEXIST the id is in
 * flight · -EINVAL more connections in one result than the daemon gives · -EMSGSIZE headers and
 * names are too long together · -ENOMEM · -ENOTCONN. On any error nothing is in flight under this
 * id. */
int fdial_submit(struct fdial *d, const struct fdial_request *r, uint64_t id);
/* The next finished request, in any order: 1 with a result, 0 after timeout_ms (-1: never, 0: do
 * not wait) or with nothing in flight, -ENOTCONN when the daemon is gone and every result was
 * delivered. When the daemon goes, all that is in flight ends in results of -ENOTCONN. Signals do
 * not end it. */
int fdial_next(struct fdial *d, struct fdial_result **ret, int timeout_ms);
/* Never blocks. Every submitted id ends in exactly one result; a cancelled one in -ECANCELED, when
 * the daemon has answered (fds that came all the same are closed). Until that result was fetched
 * the id is in flight. -ENOENT: it is not. */
int fdial_cancel(struct fdial *d, uint64_t id);

/* For the caller's own poll loop: wait for these events on this fd, then call fdial_next(…, 0)
 * until it returns 0. Ask for the events before each wait: POLLOUT is among them while a cancel
 * waits to be sent, and after a submit met a full socket. */
int fdial_fileno(const struct fdial *d);
short fdial_events(const struct fdial *d);

struct fdial_result *
fdial_result_free(struct fdial_result *r); /* closes fds not taken; returns NULL */
uint64_t fdial_result_id(const struct fdial_result *r);
int fdial_result_error(const struct fdial_result *r);     /* 0 or a negative errno */
unsigned fdial_result_code(const struct fdial_result *r); /* PROTOCOL.md, "Errors"; 0 */
int fdial_result_stage(const struct fdial_result *r);     /* where it failed; enum fdial_stage */
int fdial_result_hop(const struct fdial_result *r);       /* 0, or the proxy's number from 1 */
const char *fdial_result_message(const struct fdial_result *r); /* "" without error; printable */
unsigned fdial_result_count(const struct fdial_result *r);      /* fds in it */
int fdial_result_take_fd(struct fdial_result *r, unsigned i); /* the caller's; -ENOENT when taken */
unsigned fdial_result_handoff(const struct fdial_result *r);  /* one of enum fdial_handoff */
/* Why it is a relay where the request accepts better: printable, "" when there is no reason. */
const char *fdial_result_handoff_reason(const struct fdial_result *r);
int fdial_result_is_warm(const struct fdial_result *r);
/* ss_family is AF_UNSPEC where there is none. */
const struct sockaddr_storage *fdial_result_peer(const struct fdial_result *r);
const struct sockaddr_storage *fdial_result_local(const struct fdial_result *r);
const char *fdial_result_alpn(const struct fdial_result *r);       /* "" when none */
unsigned fdial_result_tls_version(const struct fdial_result *r);   /* 0x0303, 0x0304, 0 */
const char *fdial_result_tls_cipher(const struct fdial_result *r); /* IANA name, "" without TLS */
int fdial_result_is_resumed(const struct fdial_result *r);         /* TLS, an earlier session */
/* The peer's certificate chain in DER, own first; NULL behind the last. */
const void *fdial_result_certificate(const struct fdial_result *r, unsigned i, size_t *ret_size);
/* Response head of an upgrade, what was said before STARTTLS, or the page of a proxy that refused;
 * NULL when none. */
const void *fdial_result_response(const struct fdial_result *r, size_t *ret_size);
int fdial_result_response_is_clear(const struct fdial_result *r); /* 1: unauthenticated */
/* The i-th stage passed: its number, hop and duration; -ENOENT behind the last. */
int fdial_result_time_us(const struct fdial_result *r, unsigned i, int *ret_stage, int *ret_hop,
                         uint32_t *ret_us);

/* How a relay of this session ended, after its fd was taken: 1 with the next such notice, 0 none.
 * Notices come in with fdial_next(); at most 64 are kept, the oldest is dropped. */
enum fdial_end {
    FDIAL_END_CLEAN = 1,
    FDIAL_END_TRUNCATED = 2, /* TLS: closed without close_notify */
    FDIAL_END_RESET = 3,
    FDIAL_END_IDLE = 4,
    FDIAL_END_DRAINED = 5,
    FDIAL_END_LIFETIME = 6,
};
int fdial_next_ended(struct fdial *d, uint64_t *ret_id, unsigned *ret_index, int *ret_end);

/* Which rule and plan a target would get; connects nothing. as_user: NULL, or another user's name
 * or uid (root and the daemon's user only). who: whom the daemon takes the client for, for people;
 * empty if it did not get that far. Blocks up to 5 s. The texts are malloc'd and the caller's. 0,
 * or as fdial_open. *ret_error is 0 when allowed (if only because the rule reports instead of
 * denying, the plan says so at its end, in parentheses), else a negative errno with the reason in
 * plan. */
int fdial_explain(struct fdial *d, const char *target, const char *as_user, int *ret_error,
                  char **ret_who, char **ret_rule, char **ret_plan);
/* The daemon's state as "key=value\n" lines, malloc'd. Blocks up to 5 s. */
int fdial_status(struct fdial *d, char **ret_lines);
/* The daemon's counters as an OpenMetrics text, likewise. */
int fdial_metrics(struct fdial *d, char **ret_text);

/* For every kind of connection: recv(2), send(2) (without SIGPIPE) and shutdown(2) with a negative
 * errno, and with kernel TLS what TLS needs besides. recvmsg, sendmsg, ppoll, getsockopt,
 * setsockopt, fcntl, shutdown and clock_gettime are the only system calls. See fdial-ktls(7).
 *
 * fdial_recv: data, 0 at a clean end (or n is 0), or with kernel TLS also -ECONNABORTED the stream
 * ended without TLS's own end · -EKEYEXPIRED KeyUpdate · -EPROTO the peer broke TLS, or sent more
 * than 32 records in a row without data · -(FDIAL_ALERT + n) alert · -EINVAL flags other than
 * MSG_DONTWAIT, MSG_NOSIGNAL and MSG_WAITALL. Not to be called again after an end or an error other
 * than -EINTR and -EAGAIN.
 * fdial_shutdown: with kernel TLS and SHUT_WR or SHUT_RDWR, the end of TLS first. -EAGAIN, -EINTR:
 * nothing has happened yet. */
ssize_t fdial_recv(int fd, void *buf, size_t n, int flags);
ssize_t fdial_send(int fd, const void *buf, size_t n, int flags);
int fdial_shutdown(int fd, int how);
/* A sentence for what any function here returned, static and in English. */
const char *fdial_strerror(int error);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
