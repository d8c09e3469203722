/* What all dialogs share. A dialog that has ended stays as it is, whatever it is told. */
#include "daemon/dialog/dialog.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void dialog_init(struct dialog *d, const struct dialog_type *type)
{
    *d = (struct dialog){.type = type, .want = DIALOG_FAILED};
}

void dialog_deinit(struct dialog *d)
{
    if (d->type && d->type->deinit)
        d->type->deinit(d);
    d->type = NULL;
}

static bool has_ended(const struct dialog *d)
{
    return d->want == DIALOG_DONE || d->want == DIALOG_FAILED;
}

void dialog_sent(struct dialog *d)
{
    assert(d->want == DIALOG_SEND);
    d->type->sent(d);
}

void dialog_received(struct dialog *d, const uint8_t *data, size_t n)
{
    assert(d->want == DIALOG_RECV_EXACT || d->want == DIALOG_RECV_LINE ||
           d->want == DIALOG_RECV_UNTIL || d->want == DIALOG_RECV_HEAD);
    assert(n > 0 && n <= d->n);
    d->type->received(d, data, n);
}

/* Whether the line whose end is data[i] is empty. */
static bool is_empty_line(const uint8_t *data, size_t i)
{
    if (i > 0 && data[i - 1] == '\r')
        i--;
    return i == 0 || data[i - 1] == '\n';
}

size_t dialog_measure(const struct dialog *d, const uint8_t *data, size_t n, size_t n_measured)
{
    bool is_head = d->want == DIALOG_RECV_HEAD;
    const uint8_t *at = data + n_measured;

    if (d->want == DIALOG_RECV_EXACT)
        return n >= d->n ? d->n : 0;
    if (n > d->n)
        n = d->n;
    while (at < data + n && (at = memchr(at, is_head ? '\n' : d->until, (size_t)(data + n - at)))) {
        size_t i = (size_t)(at++ - data);

        if (!is_head || is_empty_line(data, i))
            return i + 1;
    }
    return 0;
}

void dialog_reconnected(struct dialog *d)
{
    assert(d->want == DIALOG_RECONNECT);
    d->type->reconnected(d);
}

void dialog_answered(struct dialog *d, const struct gss_answer *answer)
{
    assert(d->want == DIALOG_ASK);
    d->type->answered(d, answer, NULL);
}

void dialog_unanswered(struct dialog *d, const char *why)
{
    assert(d->want == DIALOG_ASK);
    d->type->answered(d, NULL, why);
}

void dialog_broken(struct dialog *d, enum dialog_break how)
{
    if (has_ended(d) && how != DIALOG_INJECTED)
        return;
    if (how != DIALOG_INJECTED && d->type->broken && d->type->broken(d, how))
        return;
    switch (how) {
    case DIALOG_CLOSED:
        dialog_fail(d, d->type->unclear, "it closed the connection");
        return;
    case DIALOG_RESET:
        dialog_fail(d, d->type->unclear, "it reset the connection");
        return;
    case DIALOG_TOO_LONG:
        dialog_fail(d, d->type->unclear, "it said more than %zu bytes without an end", d->n);
        return;
    case DIALOG_INJECTED:
        dialog_fail(d, ERROR_STARTTLS_INJECTION, "somebody speaks for the server in the clear");
        return;
    }
}

void dialog_want_send(struct dialog *d, const void *data, size_t n)
{
    assert(n > 0);
    d->want = DIALOG_SEND;
    d->out = data;
    d->n_out = n;
}

static void want_receive(struct dialog *d, enum dialog_want want, size_t n)
{
    assert(n > 0 && n <= DIALOG_HEAD_MAX);
    d->want = want;
    d->n = n;
}

void dialog_want_exact(struct dialog *d, size_t n)
{
    want_receive(d, DIALOG_RECV_EXACT, n);
}

void dialog_want_line(struct dialog *d, size_t max)
{
    d->until = '\n';
    want_receive(d, DIALOG_RECV_LINE, max);
}

void dialog_want_until(struct dialog *d, uint8_t until, size_t max)
{
    d->until = until;
    want_receive(d, DIALOG_RECV_UNTIL, max);
}

void dialog_want_head(struct dialog *d, size_t max)
{
    want_receive(d, DIALOG_RECV_HEAD, max);
}

void dialog_want_reconnect(struct dialog *d)
{
    d->want = DIALOG_RECONNECT;
}

void dialog_want_answer(struct dialog *d, const struct gss_question *question)
{
    d->want = DIALOG_ASK;
    d->question = question;
}

void dialog_done(struct dialog *d)
{
    d->want = DIALOG_DONE;
}

void dialog_fail(struct dialog *d, enum error_code code, const char *format, ...)
{
    char detail[FAILURE_DETAIL_MAX + 1];
    va_list args;

    va_start(args, format);
    vsnprintf(detail, sizeof detail, format, args);
    va_end(args);
    d->want = DIALOG_FAILED;
    failure_format(&d->failure, code, 0, "%s: %s", d->type->name, detail);
    d->failure.stage = d->type->stage;
}
