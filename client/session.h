/* Inside libfdial: one session with the daemon. */
#pragma once

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "client/fdial.h"
#include "client/pending.h"
#include "proto/wire.h"

#define SESSION_HELLO_MS  5000       /* connect and hello together */
#define SESSION_CALL_MS   5000       /* explain, status, grant */
#define SESSION_ENDED_MAX 64         /* notices kept */
#define SESSION_REPLY_MAX (32 << 20) /* bytes of a reply in all its messages */
#define SESSION_READS_MAX 4096       /* messages in one call, when there is no time left */
#define SESSION_TEXT_MAX  (MESSAGE_DETAIL_MAX + 128)

#define FDIAL_DAEMON_USER "fdiald"
/* What fdial() adds to the request's own time before it gives up on a daemon that says nothing. */
#define ONESHOT_GRACE_MS 2000

struct session_ended {
    uint64_t id;
    uint8_t index;
    uint8_t end;
};

/* A blocking question (explain, status, grant); lives on the stack of who asks. */
struct session_call {
    uint64_t id;
    enum wire_type reply;
    bool is_done;
    int error;      /* negative errno, set when the daemon answered with an error */
    uint8_t *bytes; /* the reply, in one message or several; malloc'd */
    size_t n_bytes;
    size_t size; /* that `bytes` has room for */
    int fd;      /* that came with it; -1: none */
};

struct fdial {
    int fd;
    bool is_lost;     /* nothing more can be sent or comes */
    bool wants_write; /* a submit met a full socket since the last fdial_next() */
    uint32_t request_max;
    uint32_t pending_max;
    uint32_t count_max;
    struct pending pending;
    struct session_call *call; /* NULL: none is being waited for */
    struct session_ended ended[SESSION_ENDED_MAX];
    unsigned first_ended, n_ended;
    char message[SESSION_TEXT_MAX]; /* of the last call that the daemon refused */
    uint8_t buf[WIRE_MESSAGE_MAX];  /* of the message being read or written */
};

static inline int64_t session_now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* deadline_ms as session_now_ms(), negative: none. 1 when something happened, 0 at the deadline, or
 * -errno. A signal does not end the wait. */
int session_wait(int fd, short events, int64_t deadline_ms);

/* 0 where the peer of the socket is a daemon to be believed, -EPERM, or -errno. path: where it was
 * connected to, or NULL. */
int session_check_peer(int fd, const char *path);

/* Sends d->buf without waiting: 0, -EAGAIN, -EMSGSIZE, -ENOTCONN. */
int session_send(struct fdial *d, size_t n);

/* Receives one message into d->buf without waiting; as fdmsg_recv(). When the daemon has gone with
 * something unread, the kernel says ECONNRESET once, before what it had sent can be read: that is
 * passed over. */
ssize_t session_recv(struct fdial *d, int *fds, size_t max_fds, size_t *ret_n_fds);

/* Reads one message and does what it says: 1, 0 when there is none, -ENOTCONN when the session is
 * (or was) lost, another -errno when it could not be read just then. */
int session_read(struct fdial *d);

/* Where d->fd is a grant, puts a session from it in its place; where it is a session, finds that
 * out. Nobody has said hello on it. 0 or -errno. */
int session_enter(struct fdial *d, int64_t deadline_ms);

/* Sends the n bytes in d->buf as a question with the id, and waits for its answer: 0, -ETIMEDOUT or
 * another -errno. On success call->bytes and call->fd are the caller's. */
int session_ask(struct fdial *d, size_t n, struct session_call *call);
/* For a question: the callers' ids may be any number, this one is not in use. */
uint64_t session_free_id(const struct fdial *d);

/* Ends the session: everything in flight is finished with -ENOTCONN. The message is static. */
void session_lose(struct fdial *d, const char *message);

/* The system's words for an errno, without what strerror() may do: it looks for translations in
 * files, which a caller under seccomp would not survive. Static. */
const char *errno_text(int number);

/* Fills in a result in place from the message in `bytes` (copied): 0, or -EBADMSG where it cannot
 * be the answer to what was asked. The fds are taken in any case. */
int result_accept_consume_fds(struct fdial_result *r, const uint8_t *bytes, size_t n,
                              const int *fds, size_t n_fds);
/* Ends it in an error of our own; the fds are closed. The message is static. */
void result_fail(struct fdial_result *r, unsigned code, int error, const char *message);

struct fdial_request {
    char *target;
    unsigned timeout_ms;
    uint8_t family; /* 0, 4, 6 */
    uint8_t handoff;
    unsigned count;
    char *tls_name;
    char *alpn[MESSAGE_ALPN_MAX];
    size_t n_alpn;
    char *headers[MESSAGE_HEADERS_MAX];
    size_t n_headers;
    char *subprotocols[MESSAGE_SUBPROTOCOL_MAX];
    size_t n_subprotocols;
};
