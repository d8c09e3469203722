/* Requests in flight: submit, cancel, and the next that has finished.
 *
 * Nothing is queued for sending: a request that the socket does not take is refused with -EAGAIN.
 * Only cancels may wait, as a mark on their entry, and go out with the next fdial_next(). A
 * cancelled request ends when the daemon answers, whatever it answers; its id is taken until then,
 * so that a late result cannot be mistaken for that of a new request.
 */
#include "client/session.h"

#include <errno.h>

#include "proto/error.h"

static void to_texts(struct text *to, size_t *ret_n, char *const *from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = text_of(from[i]);
    *ret_n = n;
}

static ssize_t encode_request(struct fdial *d, const struct fdial_request *r, uint64_t id)
{
    struct message_connect m = {
        .target = text_of(r->target),
        .timeout_ms = r->timeout_ms,
        .family = r->family,
        .handoff = r->handoff,
        .count = r->count,
        .tls_name = text_of(r->tls_name),
    };

    to_texts(m.alpn, &m.n_alpn, r->alpn, r->n_alpn);
    to_texts(m.headers, &m.n_headers, r->headers, r->n_headers);
    to_texts(m.subprotocols, &m.n_subprotocols, r->subprotocols, r->n_subprotocols);
    return message_encode_connect(d->buf, d->request_max, id, &m);
}

int fdial_submit(struct fdial *d, const struct fdial_request *r, uint64_t id)
{
    struct fdial_result *entry;
    ssize_t n;
    int e;

    if (d->is_lost)
        return -ENOTCONN;
    if (r->count > 1 && r->count > d->count_max)
        return -EINVAL;
    if (pending_find(&d->pending, id))
        return -EEXIST;
    if (d->pending.n >= d->pending_max)
        return -EAGAIN;
    n = encode_request(d, r, id);
    if (n < 0)
        return (int)n;
    e = pending_add(&d->pending, PENDING_CONNECT, id, &entry);
    if (e < 0)
        return e;
    entry->n_asked = r->count;
    entry->handoff_asked = r->handoff;
    e = session_send(d, (size_t)n);
    if (e < 0) {
        d->wants_write = e == -EAGAIN;
        pending_drop(&d->pending, entry);
    }
    return e;
}

/* What does not fit into the socket stays marked. Other errors show when the session is read. */
static void send_cancels(struct fdial *d)
{
    struct fdial_result *entry;

    while ((entry = pending_next_cancel(&d->pending))) {
        ssize_t n = message_encode_cancel(d->buf, sizeof d->buf, entry->id);

        if (n > 0 && session_send(d, (size_t)n) == -EAGAIN)
            return;
        pending_set_cancel_unsent(&d->pending, entry, false);
    }
}

int fdial_cancel(struct fdial *d, uint64_t id)
{
    struct fdial_result *entry = pending_find(&d->pending, id);

    if (!entry || entry->kind != PENDING_CONNECT)
        return -ENOENT;
    if (entry->is_cancelled)
        return 0;
    entry->is_cancelled = true;
    if (!entry->is_finished) {
        pending_set_cancel_unsent(&d->pending, entry, true);
        send_cancels(d);
    }
    return 0;
}

static struct fdial_result *fetch(struct fdial *d)
{
    struct fdial_result *entry = pending_fetch(&d->pending);

    if (entry && entry->is_cancelled)
        result_fail(entry, ERROR_CANCELLED, -ECANCELED, error_text(ERROR_CANCELLED));
    return entry;
}

/* A daemon that never stops talking about other things keeps nobody beyond his time. */
static bool is_time_over(const struct fdial *d, int timeout_ms, int64_t deadline_ms)
{
    if (timeout_ms == 0 || d->pending.n_connects == 0)
        return true;
    return deadline_ms >= 0 && session_now_ms() >= deadline_ms;
}

int fdial_next(struct fdial *d, struct fdial_result **ret, int timeout_ms)
{
    int64_t deadline_ms = timeout_ms > 0 ? session_now_ms() + timeout_ms : -1;
    struct fdial_result *entry;
    unsigned n_read = 0;
    int r;

    d->wants_write = false;
    for (;;) {
        entry = fetch(d);
        if (entry) {
            *ret = entry;
            return 1;
        }
        send_cancels(d);
        r = session_read(d);
        if (r == -ENOTCONN && d->pending.first)
            continue;
        if (r < 0)
            return r;
        if (r > 0) {
            if (!d->pending.first && ++n_read >= SESSION_READS_MAX &&
                is_time_over(d, timeout_ms, deadline_ms))
                return 0;
            continue;
        }
        if (timeout_ms == 0 || d->pending.n_connects == 0)
            return 0;
        r = session_wait(d->fd, fdial_events(d), deadline_ms);
        if (r <= 0)
            return r;
    }
}

int fdial_next_ended(struct fdial *d, uint64_t *ret_id, unsigned *ret_index, int *ret_end)
{
    const struct session_ended *ended = &d->ended[d->first_ended];

    if (d->n_ended == 0)
        return 0;
    *ret_id = ended->id;
    *ret_index = ended->index;
    *ret_end = ended->end;
    d->first_ended = (d->first_ended + 1) % SESSION_ENDED_MAX;
    d->n_ended--;
    return 1;
}
