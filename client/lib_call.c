/* The blocking questions: how they are asked; explain and status. While the answer is awaited,
 * results of requests go to the queue of finished ones. A question that got no answer in time keeps
 * its id in the table, and the late answer is dropped. */
#include "client/session.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/cleanup.h"
#include "proto/error.h"
#include "proto/target.h"

/* Found from the top, where few callers have theirs. */
uint64_t session_free_id(const struct fdial *d)
{
    uint64_t id = UINT64_MAX;

    while (pending_find(&d->pending, id))
        id--;
    return id;
}

static int send_call(struct fdial *d, size_t n, int64_t deadline_ms)
{
    for (;;) {
        int r = session_send(d, n);

        if (r != -EAGAIN)
            return r;
        r = session_wait(d->fd, POLLOUT, deadline_ms);
        if (r < 0)
            return r;
        if (r == 0)
            return -ETIMEDOUT;
    }
}

static int await_reply(struct fdial *d, struct session_call *call, int64_t deadline_ms)
{
    while (!call->is_done) {
        int r = session_read(d);

        if (r < 0)
            return r;
        /* A daemon that goes on talking about other things does not keep us. */
        if (r > 0 && !call->is_done && session_now_ms() >= deadline_ms)
            return -ETIMEDOUT;
        if (r > 0)
            continue;
        r = session_wait(d->fd, POLLIN, deadline_ms);
        if (r < 0)
            return r;
        if (r == 0)
            return -ETIMEDOUT;
    }
    return call->error;
}

int session_ask(struct fdial *d, size_t n, struct session_call *call)
{
    int64_t deadline_ms = session_now_ms() + SESSION_CALL_MS;
    struct fdial_result *entry;
    int r;

    r = pending_add(&d->pending, PENDING_CALL, call->id, &entry);
    if (r < 0)
        return r;
    r = send_call(d, n, deadline_ms);
    if (r < 0) {
        pending_drop(&d->pending, entry);
        return r;
    }
    d->call = call;
    r = await_reply(d, call, deadline_ms);
    d->call = NULL;
    /* Of what has come so far of a longer reply, too. */
    if (r < 0) {
        free(TAKE_PTR(call->bytes));
        fd_close(TAKE_FD(call->fd));
    }
    return r;
}

static char *copy_text(struct text text)
{
    char *copy = malloc(text.n + 1);

    if (!copy)
        return NULL;
    if (text.n > 0)
        memcpy(copy, text.data, text.n);
    copy[text.n] = '\0';
    return copy;
}

/* Worded as in a result. */
static char *copy_reason(uint32_t code, struct text detail)
{
    char *reason;

    return asprintf(&reason, "%s%s%.*s", error_text(code), detail.n > 0 ? ": " : "", (int)detail.n,
                    detail.n > 0 ? detail.data : "") < 0
               ? NULL
               : reason;
}

/* With what there is to say about it. */
static char *copy_plan(struct text plan, struct text detail)
{
    char *copy;

    if (detail.n == 0)
        return copy_text(plan);
    return asprintf(&copy, "%.*s (%.*s)", (int)plan.n, plan.n > 0 ? plan.data : "", (int)detail.n,
                    detail.data) < 0
               ? NULL
               : copy;
}

static int take_explained(const struct session_call *call, int *ret_error, char **ret_who,
                          char **ret_rule, char **ret_plan)
{
    CLEANUP(freep) char *who = NULL, *rule = NULL, *plan = NULL;
    struct message_explained m;
    struct wire_reader reader;
    struct wire_head head;
    const char *sentence;

    if (wire_read_head(&reader, call->bytes, call->n_bytes, &head) < 0 ||
        message_decode_explained(reader, &m, &sentence) < 0)
        return -EPROTO;
    who = copy_text(m.who);
    rule = copy_text(m.rule);
    plan = m.code ? copy_reason(m.code, m.detail) : copy_plan(m.plan, m.detail);
    if (!who || !rule || !plan)
        return -ENOMEM;
    *ret_error = m.code ? -error_to_errno(m.code) : 0;
    *ret_who = TAKE_PTR(who);
    *ret_rule = TAKE_PTR(rule);
    *ret_plan = TAKE_PTR(plan);
    return 0;
}

int fdial_explain(struct fdial *d, const char *target, const char *as_user, int *ret_error,
                  char **ret_who, char **ret_rule, char **ret_plan)
{
    struct message_explain m = {.target = text_of(target), .as_user = text_of(as_user)};
    struct session_call call = {.id = session_free_id(d), .reply = WIRE_EXPLAINED, .fd = -1};
    struct target parsed;
    const char *sentence;
    ssize_t n;
    int r;

    if (d->is_lost)
        return -ENOTCONN;
    if (as_user && (m.as_user.n == 0 || m.as_user.n > MESSAGE_USER_MAX))
        return -EINVAL;
    if (m.target.n > TARGET_MAX || target_parse(target, m.target.n, &parsed, &sentence) < 0)
        return -EINVAL;
    n = message_encode_explain(d->buf, d->request_max, call.id, &m);
    if (n < 0)
        return (int)n;
    r = session_ask(d, (size_t)n, &call);
    if (r < 0)
        return r;
    r = take_explained(&call, ret_error, ret_who, ret_rule, ret_plan);
    free(call.bytes);
    return r;
}

/* What the messages of a status reply say, as one text: the pieces of a text, or lines. */
struct status_text {
    char *text;
    size_t n;
    bool is_metrics;
};

/* A line break in a value would make two lines of it. */
static void put(struct status_text *to, struct text text, char end)
{
    for (size_t i = 0; i < text.n; i++) {
        char c = text.data[i];

        to->text[to->n++] = (unsigned char)c < 0x20 || c == 0x7f ? '?' : c;
    }
    to->text[to->n++] = end;
}

static void put_stat(void *data, struct text key, struct text value)
{
    struct status_text *to = data;

    if (to->is_metrics && !key.data) {
        memcpy(to->text + to->n, value.data, value.n);
        to->n += value.n;
    } else if (!to->is_metrics && key.data) {
        put(to, key, '=');
        put(to, value, '\n');
    }
}

/* One message after the other. */
static int read_status(const struct session_call *call, struct status_text *to)
{
    const uint8_t *message = call->bytes;
    size_t left = call->n_bytes;

    while (left > 0) {
        struct wire_reader reader;
        struct wire_head head;
        const char *sentence;
        bool has_more;
        uint32_t length;

        if (left < WIRE_HEAD_SIZE)
            return -EPROTO;
        memcpy(&length, message + 4, sizeof length);
        length = le32toh(length);
        if (length > left || wire_read_head(&reader, message, length, &head) < 0 ||
            message_decode_status_reply(reader, put_stat, to, &has_more, &sentence) < 0)
            return -EPROTO;
        message += length;
        left -= length;
    }
    return 0;
}

static int ask_status(struct fdial *d, enum status_format format, char **ret_text)
{
    struct session_call call = {.id = session_free_id(d), .reply = WIRE_STATUS_REPLY, .fd = -1};
    struct status_text to = {.is_metrics = format == STATUS_OPENMETRICS};
    const struct message_status m = {.format = (uint8_t)format};
    CLEANUP(freep) uint8_t *bytes = NULL;
    ssize_t n;
    int r;

    if (d->is_lost)
        return -ENOTCONN;
    n = message_encode_status(d->buf, d->request_max, call.id, &m);
    if (n < 0)
        return (int)n;
    r = session_ask(d, (size_t)n, &call);
    if (r < 0)
        return r;
    bytes = call.bytes;
    /* The head of an attribute is longer than the line break that replaces it. */
    to.text = malloc(call.n_bytes + 1);
    if (!to.text)
        return -ENOMEM;
    r = read_status(&call, &to);
    if (r < 0) {
        free(to.text);
        return r;
    }
    to.text[to.n] = '\0';
    *ret_text = to.text;
    return 0;
}

int fdial_status(struct fdial *d, char **ret_lines)
{
    return ask_status(d, STATUS_LINES, ret_lines);
}

int fdial_metrics(struct fdial *d, char **ret_text)
{
    return ask_status(d, STATUS_OPENMETRICS, ret_text);
}
