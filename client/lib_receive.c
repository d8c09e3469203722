/* What comes from the daemon: one message at a time is read, checked and dispatched.
 *
 * The daemon was judged when the session was opened; its messages are checked all the same. The
 * first that is not right ends the session: what was in flight is finished with -ENOTCONN, and the
 * socket is shut down, so that the daemon gives up on us too.
 */
#include "client/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/cleanup.h"
#include "proto/error.h"

int session_send(struct fdial *d, size_t n)
{
    int r;

    do
        r = fdmsg_send(d->fd, d->buf, n, NULL, 0, MSG_DONTWAIT);
    while (r == -EINTR);
    if (r == -ENOBUFS || r == -ENOMEM)
        return -EAGAIN;
    /* Answers that came before the daemon went can still be read, so the session is not lost yet.
     */
    if (r == -EPIPE || r == -ECONNRESET)
        return -ENOTCONN;
    return r;
}

void session_lose(struct fdial *d, const char *message)
{
    if (d->is_lost)
        return;
    d->is_lost = true;
    shutdown(d->fd, SHUT_RDWR);
    pending_fail_all(&d->pending, -ENOTCONN, message);
}

static int protocol_error(struct fdial *d)
{
    session_lose(d, "the daemon broke the protocol");
    return -ENOTCONN;
}

static int handle_result_consume_fds(struct fdial *d, const struct wire_head *head, const int *fds,
                                     size_t n_fds)
{
    struct fdial_result *entry = pending_find(&d->pending, head->id);
    int r;

    if (!entry || entry->kind != PENDING_CONNECT || entry->is_finished) {
        for (size_t i = 0; i < n_fds; i++)
            fd_close(fds[i]);
        return protocol_error(d);
    }
    r = result_accept_consume_fds(entry, d->buf, head->length, fds, n_fds);
    if (r < 0)
        return protocol_error(d);
    pending_finish(&d->pending, entry);
    return 1;
}

static int handle_ended(struct fdial *d, const struct wire_head *head, struct wire_reader reader)
{
    struct message_ended m;
    const char *sentence;

    if (message_decode_ended(reader, &m, &sentence) < 0)
        return protocol_error(d);
    if (d->n_ended == SESSION_ENDED_MAX) {
        d->first_ended = (d->first_ended + 1) % SESSION_ENDED_MAX;
        d->n_ended--;
    }
    d->ended[(d->first_ended + d->n_ended++) % SESSION_ENDED_MAX] =
        (struct session_ended){.id = head->id, .index = m.index, .end = m.end};
    return 1;
}

/* Appends the message in d->buf. */
static int keep_reply(const struct fdial *d, struct session_call *call, size_t n)
{
    size_t needed = call->n_bytes + n;

    if (n > SESSION_REPLY_MAX - call->n_bytes)
        return -EMSGSIZE;
    if (needed > call->size) {
        size_t size = needed > 2 * call->size ? needed : 2 * call->size;
        uint8_t *bytes = realloc(call->bytes, size);

        if (!bytes)
            return -ENOMEM;
        call->bytes = bytes;
        call->size = size;
    }
    memcpy(call->bytes + call->n_bytes, d->buf, n);
    call->n_bytes = needed;
    return 0;
}

static void skip_stat(void *data, struct text key, struct text value)
{
    (void)data;
    (void)key;
    (void)value;
}

/* Whether the message in d->buf is not the last of its reply. One that is not right is. */
static bool reply_goes_on(const struct fdial *d, size_t n)
{
    struct wire_reader reader;
    struct wire_head head;
    const char *sentence;
    bool has_more = false;

    return wire_read_head(&reader, d->buf, n, &head) == 0 &&
           message_decode_status_reply(reader, skip_stat, NULL, &has_more, &sentence) == 0 &&
           has_more;
}

/* The answer to a call. One that was given up after SESSION_CALL_MS still holds its id until now.
 * fd: -1, or the one that came with it. */
static int handle_reply_consume_fd(struct fdial *d, const struct wire_head *head, int fd)
{
    struct fdial_result *entry = pending_find(&d->pending, head->id);
    struct session_call *call = d->call;
    bool is_awaited = call && call->id == head->id;
    bool goes_on;

    if (!entry || entry->kind != PENDING_CALL || (is_awaited && call->reply != head->type)) {
        fd_close(fd);
        return protocol_error(d);
    }
    goes_on = head->type == WIRE_STATUS_REPLY && reply_goes_on(d, head->length);
    if (!is_awaited) {
        fd_close(fd);
    } else {
        call->fd = fd;
        if (call->error == 0)
            call->error = keep_reply(d, call, head->length);
        call->is_done = !goes_on;
    }
    if (!goes_on)
        pending_drop(&d->pending, entry);
    return 1;
}

/* An error about one request or call ends that; one about nothing in particular ends the session.
 */
static int handle_error(struct fdial *d, const struct wire_head *head, struct wire_reader reader)
{
    struct fdial_result *entry = pending_find(&d->pending, head->id);
    struct message_error m;
    const char *sentence;

    if (message_decode_error(reader, &m, &sentence) < 0)
        return protocol_error(d);
    if (entry && entry->kind == PENDING_CONNECT && !entry->is_finished) {
        result_fail(entry, m.code, -error_to_errno(m.code), error_text(m.code));
        pending_finish(&d->pending, entry);
        return 1;
    }
    if (entry && entry->kind == PENDING_CALL) {
        if (d->call && d->call->id == head->id) {
            d->call->error = -error_to_errno(m.code);
            d->call->is_done = true;
        }
        pending_drop(&d->pending, entry);
        return 1;
    }
    session_lose(d, error_text(m.code));
    return -ENOTCONN;
}

static int handle_message_consume_fds(struct fdial *d, size_t n, const int *fds, size_t n_fds)
{
    struct wire_reader reader;
    struct wire_head head;
    bool is_message = wire_read_head(&reader, d->buf, n, &head) == 0;

    if (is_message && head.type == WIRE_RESULT)
        return handle_result_consume_fds(d, &head, fds, n_fds);
    if (is_message && head.type == WIRE_GRANTED && n_fds <= 1)
        return handle_reply_consume_fd(d, &head, n_fds > 0 ? fds[0] : -1);
    for (size_t i = 0; i < n_fds; i++)
        fd_close(fds[i]);
    if (!is_message || n_fds > 0)
        return protocol_error(d);
    switch (head.type) {
    case WIRE_ENDED:
        return handle_ended(d, &head, reader);
    case WIRE_EXPLAINED:
    case WIRE_STATUS_REPLY:
        return handle_reply_consume_fd(d, &head, -1);
    case WIRE_ERROR:
        return handle_error(d, &head, reader);
    }
    return protocol_error(d);
}

/* The fd of a grant was lost: the call ends in an error. */
static int handle_lost_grant(struct fdial *d, const struct wire_head *head)
{
    struct session_call *call = d->call;

    if (!call || call->id != head->id)
        return handle_reply_consume_fd(d, head, -1);
    call->error = -EMFILE;
    call->is_done = true;
    pending_drop(&d->pending, pending_find(&d->pending, head->id));
    return 1;
}

/* The fds of a message were lost at RLIMIT_NOFILE, the rest of it is in the buffer: only its head
 * is used, to know whose they were. */
static int handle_lost_fds(struct fdial *d)
{
    struct fdial_result *entry;
    struct wire_reader reader;
    struct wire_head head;

    if (wire_read_head(&reader, d->buf,
                       d->buf[4] | (size_t)d->buf[5] << 8 | (size_t)d->buf[6] << 16, &head) < 0)
        return protocol_error(d);
    if (head.type == WIRE_GRANTED)
        return handle_lost_grant(d, &head);
    if (head.type != WIRE_RESULT)
        return protocol_error(d);
    entry = pending_find(&d->pending, head.id);
    if (!entry || entry->kind != PENDING_CONNECT || entry->is_finished)
        return protocol_error(d);
    result_fail(entry, 0, -EMFILE, "too many open files in this process");
    pending_finish(&d->pending, entry);
    return 1;
}

ssize_t session_recv(struct fdial *d, int *fds, size_t max_fds, size_t *ret_n_fds)
{
    bool was_reset = false;
    ssize_t n;

    for (;;) {
        n = fdmsg_recv(d->fd, d->buf, sizeof d->buf, fds, max_fds, ret_n_fds, MSG_DONTWAIT);
        if (n == -ECONNRESET && !was_reset)
            was_reset = true;
        else if (n != -EINTR)
            return n;
    }
}

int session_read(struct fdial *d)
{
    int fds[FDMSG_FDS_MAX];
    size_t n_fds = 0;
    ssize_t n;

    if (d->is_lost)
        return -ENOTCONN;
    memset(d->buf, 0, WIRE_HEAD_SIZE);
    n = session_recv(d, fds, FDMSG_FDS_MAX, &n_fds);
    if (n > 0)
        return handle_message_consume_fds(d, (size_t)n, fds, n_fds);
    switch (n) {
    case 0:
    case -ECONNRESET:
    case -EPIPE:
    case -ENOTCONN:
        session_lose(d, "the daemon ended the session");
        return -ENOTCONN;
    case -EAGAIN:
        return 0;
    case -EMFILE:
        return handle_lost_fds(d);
    case -EMSGSIZE:
    case -EBADMSG:
        return protocol_error(d);
    }
    return (int)n;
}
