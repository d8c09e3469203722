/* Grants: making one, and getting a session from one.
 *
 * An fd that somebody else has chosen ($FDIAL_FD, fdial_open_fd()) may be a session or a grant, so
 * the daemon is asked first: a session says that it is one, a grant gives a session.
 *
 * Others may read and write the same grant. An answer that they take is made up for by the one that
 * they had asked for, and an error can only be about something of theirs, so that we ask again.
 */
#include "client/session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "client/where.h"
#include "proto/cleanup.h"
#include "proto/error.h"
#include "proto/fdmsg.h"

#define AGAIN 1

/* The session that a grant gave takes the grant's place. */
static int move_to_consume_fd(struct fdial *d, int fd)
{
    int r = where_check_fd(fd) < 0 ? -EPROTO : session_check_peer(fd, NULL);

    if (r < 0) {
        fd_close(fd);
        return r;
    }
    fd_close(d->fd);
    d->fd = fd;
    return 0;
}

/* 0 when d->fd is a session now, AGAIN with an error in *refused, or what cannot be helped. */
static int take_answer_consume_fd(struct fdial *d, size_t n, int fd, int *refused)
{
    struct message_answer opened;
    struct message_error error;
    struct wire_reader reader;
    struct wire_head head;
    const char *sentence;
    int r = -EPROTO;

    if (wire_read_head(&reader, d->buf, n, &head) < 0) {
        r = -EPROTO;
    } else if (head.type == WIRE_ERROR && message_decode_error(reader, &error, &sentence) == 0) {
        *refused = -error_to_errno(error.code);
        r = AGAIN;
    } else if (head.type == WIRE_OPENED && message_decode_answer(reader, &opened, &sentence) == 0) {
        if (opened.code == 0)
            return fd < 0 ? 0 : move_to_consume_fd(d, fd);
        r = -error_to_errno(opened.code);
    }
    fd_close(fd);
    return r;
}

static int send_open(struct fdial *d)
{
    ssize_t n = message_encode_open(d->buf, sizeof d->buf);

    return n < 0 ? (int)n : session_send(d, (size_t)n);
}

int session_enter(struct fdial *d, int64_t deadline_ms)
{
    bool is_asked = false;
    int refused = 0;

    for (;;) {
        size_t n_fds = 0;
        int fd = -1, r;
        ssize_t n;

        /* When the socket is full of others' questions, there are answers to read. */
        r = is_asked ? 0 : send_open(d);
        is_asked = is_asked || r == 0;
        if (r < 0 && r != -EAGAIN && r != -ENOTCONN)
            return r;
        n = session_recv(d, &fd, 1, &n_fds);
        if (n == -EAGAIN) {
            r = session_wait(d->fd, is_asked ? POLLIN : POLLIN | POLLOUT, deadline_ms);
            if (r > 0)
                continue;
            return r < 0 ? r : refused < 0 ? refused : -ETIMEDOUT;
        }
        if (n == 0 || n == -ECONNRESET || n == -EPIPE)
            return refused < 0 ? refused : -ENOTCONN;
        if (n < 0)
            return n == -EBADMSG || n == -EMSGSIZE ? -EPROTO : (int)n;
        r = take_answer_consume_fd(d, (size_t)n, n_fds > 0 ? fd : -1, &refused);
        if (r != AGAIN)
            return r;
        if (session_now_ms() >= deadline_ms)
            return refused; /* whoever goes on provoking errors does not keep us */
        is_asked = false;
    }
}

static int check_patterns(const char *const *patterns, size_t n, struct message_grant *ret)
{
    if (n == 0)
        return -EINVAL;
    if (n > MESSAGE_PATTERNS_MAX)
        return -E2BIG;
    for (; ret->n_patterns < n; ret->n_patterns++) {
        struct text text = text_of(patterns[ret->n_patterns]);

        if (text.n == 0 || text.n > MESSAGE_PATTERN_MAX)
            return -EINVAL;
        ret->patterns[ret->n_patterns] = text;
    }
    return 0;
}

static int take_granted(struct fdial *d, const struct session_call *call)
{
    struct message_answer m;
    struct wire_reader reader;
    struct wire_head head;
    const char *sentence;

    if (wire_read_head(&reader, call->bytes, call->n_bytes, &head) < 0 ||
        message_decode_answer(reader, &m, &sentence) < 0)
        return -EPROTO;
    if (m.code == 0)
        return call->fd < 0 ? -EPROTO : 0;
    snprintf(d->message, sizeof d->message, "%s%s%.*s", error_text(m.code),
             m.detail.n > 0 ? ": " : "", (int)m.detail.n, m.detail.n > 0 ? m.detail.data : "");
    return -error_to_errno(m.code);
}

int fdial_grant(struct fdial *d, const char *const *patterns, size_t n)
{
    struct session_call call = {.id = session_free_id(d), .reply = WIRE_GRANTED, .fd = -1};
    struct message_grant m = {.n_patterns = 0};
    ssize_t size;
    int r;

    d->message[0] = '\0';
    if (d->is_lost)
        return -ENOTCONN;
    r = check_patterns(patterns, n, &m);
    if (r < 0)
        return r;
    size = message_encode_grant(d->buf, d->request_max, call.id, &m);
    if (size < 0)
        return (int)size;
    r = session_ask(d, (size_t)size, &call);
    if (r == 0)
        r = take_granted(d, &call);
    free(call.bytes);
    if (r < 0) {
        fd_close(call.fd);
        return r;
    }
    return call.fd;
}

const char *fdial_message(const struct fdial *d)
{
    return d->message;
}
