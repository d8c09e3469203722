/* Carries out a dialog on the top of the channel: a proxy, a PROXY header, STARTTLS, the WebSocket
 * upgrade.
 *
 *     look at `want`: send ─▶ flush;  hear ─▶ look, measure, take;  done, failed, or anew
 *
 * What is heard up to an end that has to be found is looked at first, and then exactly that much is
 * taken (all of it while the end is not there): what follows is the client's, and stays in the
 * socket. For a new connection the step starts the plan's connect step again, and goes on where it
 * was when the plan has come back to it; dialogs that wait for this stay in conn->dialogs.
 */
#include "daemon/conn/step_dialog.h"

#include <errno.h>
#include <string.h>

#include "daemon/conn/conn.h"

static enum step_result carry_on(struct conn *conn, struct step_dialog *d);

static struct conn *conn_of(struct channel *channel)
{
    return container_of(channel, struct conn, channel);
}

static struct step_dialog *find(const struct conn *conn)
{
    struct step_dialog *d = conn->dialogs;

    while (d && d->step != conn->step)
        d = d->next;
    return d;
}

static void end(struct conn *conn, struct step_dialog *d)
{
    struct step_dialog **link = &conn->dialogs;

    while (*link != d)
        link = &(*link)->next;
    *link = step_dialog_free(d);
}

static void fail(struct conn *conn, enum error_code code, int error)
{
    failure_set(&conn->failure, code, error);
    conn->failure.stage = step_stage(conn_step(conn)->kind);
}

/* What the kernel or a TLS layer below says. The dialog may know what to make of it. */
static enum step_result io_failed(struct conn *conn, struct step_dialog *d, int error)
{
    switch (error) {
    case 0:
        dialog_broken(&d->dialog, DIALOG_CLOSED);
        return carry_on(conn, d);
    case ECONNRESET:
    case EPIPE:
        dialog_broken(&d->dialog, DIALOG_RESET);
        return carry_on(conn, d);
    case ENOMEM:
    case ENOBUFS:
        fail(conn, ERROR_NO_RESOURCES, error);
        return STEP_FAIL;
    case ETIMEDOUT:
        fail(conn, ERROR_CONNECT_TIMEOUT, error);
        return STEP_FAIL;
    default:
        fail(conn, d->dialog.type->unclear, error);
        return STEP_FAIL;
    }
}

/* ---- sending ---- */

static enum step_result send_more(struct conn *conn, struct step_dialog *d)
{
    struct dialog *dialog = &d->dialog;

    while (d->n_sent < dialog->n_out) {
        size_t n = dialog->n_out - d->n_sent;
        int r;

        if (n > CHANNEL_BUFFER)
            n = CHANNEL_BUFFER;
        r = channel_write(&conn->channel, dialog->out + d->n_sent, n);
        d->n_sent += n;
        if (r == 0)
            r = channel_flush(&conn->channel);
        if (r > 0)
            return STEP_WAIT;
        if (r < 0)
            return io_failed(conn, d, -r);
    }
    d->n_sent = 0;
    dialog_sent(dialog);
    return STEP_DONE;
}

static void flushed(struct channel *channel, int res)
{
    struct conn *conn = conn_of(channel);
    struct step_dialog *d = find(conn);

    if (conn->is_ending)
        conn_continue(conn, STEP_FAIL);
    else
        conn_continue(conn, res < 0 ? io_failed(conn, d, -res) : carry_on(conn, d));
}

/* ---- hearing ---- */

static void deliver(struct step_dialog *d)
{
    struct builder heard = d->heard;

    builder_init(&d->heard, DIALOG_HEAD_MAX);
    dialog_received(&d->dialog, (const uint8_t *)heard.data, heard.n);
    builder_deinit(&heard);
}

static void keep(struct step_dialog *d, const uint8_t *data, size_t n)
{
    builder_add(&d->heard, (struct text){(const char *)data, n});
}

/* n bytes more are seen: how many of them are the dialog's. */
static void measure(struct step_dialog *d, const uint8_t *data, size_t n)
{
    size_t before = d->heard.n, end;

    keep(d, data, n);
    d->n_left = n;
    if (d->heard.has_failed)
        return;
    end = dialog_measure(&d->dialog, (const uint8_t *)d->heard.data, d->heard.n, before);
    d->has_end = end > 0;
    if (d->has_end) {
        d->n_left = end - before;
        d->heard.n = end;
    }
}

/* What has been seen is taken, or what needs no look. Returns what channel_take() does. */
static ssize_t take(struct conn *conn, struct step_dialog *d)
{
    bool is_exact = d->dialog.want == DIALOG_RECV_EXACT;
    size_t n = is_exact ? d->dialog.n - d->heard.n : d->n_left;
    const uint8_t *data;
    ssize_t r = channel_take(&conn->channel, n, &data);

    if (r <= 0)
        return r;
    if (is_exact) {
        keep(d, data, (size_t)r);
        d->has_end = d->heard.n == d->dialog.n;
    } else {
        d->n_left -= (size_t)r;
    }
    return r;
}

static ssize_t look(struct conn *conn, struct step_dialog *d)
{
    const uint8_t *data;
    ssize_t r = channel_look(&conn->channel, d->dialog.n - d->heard.n, &data);

    if (r > 0)
        measure(d, data, (size_t)r);
    return r;
}

static enum step_result hear(struct conn *conn, struct step_dialog *d)
{
    for (;;) {
        bool is_exact = d->dialog.want == DIALOG_RECV_EXACT;
        ssize_t r = is_exact || d->n_left > 0 ? take(conn, d) : look(conn, d);

        if (r == -EAGAIN)
            return STEP_WAIT;
        if (r <= 0)
            return io_failed(conn, d, (int)-r);
        if (d->heard.has_failed)
            return io_failed(conn, d, ENOMEM);
        if (!is_exact && d->n_left > 0)
            continue;
        if (d->has_end) {
            d->has_end = false;
            deliver(d);
            return STEP_DONE;
        }
        if (d->heard.n >= d->dialog.n) {
            dialog_broken(&d->dialog, DIALOG_TOO_LONG);
            return STEP_DONE;
        }
    }
}

static void filled(struct channel *channel, int res)
{
    struct conn *conn = conn_of(channel);
    struct step_dialog *d = find(conn);

    if (conn->is_ending)
        conn_continue(conn, STEP_FAIL);
    else
        conn_continue(conn, res <= 0 ? io_failed(conn, d, -res) : carry_on(conn, d));
}

/* ---- asking ---- */

static enum step_result ask(struct step_dialog *d)
{
    int r = gss_context_ask(&d->gss, d->dialog.question);

    if (r == 0)
        return STEP_WAIT;
    dialog_unanswered(&d->dialog, r == -EAGAIN ? "too many questions to GSSAPI at once"
                                               : "the GSSAPI helper cannot be asked");
    return STEP_DONE;
}

static void answered(struct gss_context *context, const struct gss_answer *answer, const char *why)
{
    struct step_dialog *d = container_of(context, struct step_dialog, gss);
    struct conn *conn = d->conn;

    if (answer)
        dialog_answered(&d->dialog, answer);
    else
        dialog_unanswered(&d->dialog, why);
    conn_continue(conn, carry_on(conn, d));
}

/* ---- the end ---- */

/* A proxy that cannot reach one of the target's addresses may reach the next. */
static bool try_next_address(struct conn *conn, const struct dialog *dialog)
{
    struct address_list *targets = conn->targets;

    if (conn_step(conn)->kind != STEP_PROXY || conn_step(conn)->hop != conn->params->plan.n_via ||
        dialog->failure.code != ERROR_PROXY_REFUSED || !targets || targets->n < 2)
        return false;
    targets->n--;
    memmove(targets->items, targets->items + 1, targets->n * sizeof targets->items[0]);
    return true;
}

static enum step_result finish(struct conn *conn, struct step_dialog *d)
{
    struct dialog *dialog = &d->dialog;

    if (dialog->want == DIALOG_DONE && dialog->type->is_last_word_ours &&
        channel_has_unread(&conn->channel))
        dialog_broken(dialog, DIALOG_INJECTED);
    if (dialog->want == DIALOG_DONE) {
        if (conn_step(conn)->kind == STEP_PROXY)
            conn->channel.is_tunnel = true;
        if (!dialog->response.data)
            end(conn, d);
        return STEP_DONE;
    }
    if (try_next_address(conn, dialog)) {
        end(conn, d);
        return STEP_AGAIN;
    }
    conn->failure = dialog->failure;
    return STEP_FAIL;
}

static enum step_result carry_on(struct conn *conn, struct step_dialog *d)
{
    enum step_result result = STEP_DONE;

    while (result == STEP_DONE) {
        switch (d->dialog.want) {
        case DIALOG_SEND:
            result = send_more(conn, d);
            break;
        case DIALOG_RECV_EXACT:
        case DIALOG_RECV_LINE:
        case DIALOG_RECV_UNTIL:
        case DIALOG_RECV_HEAD:
            result = hear(conn, d);
            break;
        case DIALOG_ASK:
            result = ask(d);
            break;
        case DIALOG_RECONNECT:
            return STEP_AGAIN;
        case DIALOG_DONE:
        case DIALOG_FAILED:
            return finish(conn, d);
        }
    }
    return result;
}

static enum step_result start(struct conn *conn)
{
    struct step_dialog *d = find(conn);

    if (d) {
        builder_deinit(&d->heard);
        d->n_left = d->n_sent = 0;
        d->has_end = false;
        dialog_reconnected(&d->dialog);
    } else {
        d = step_dialog_new(conn, answered);
    }
    if (!d) {
        fail(conn, ERROR_NO_RESOURCES, 0);
        return STEP_FAIL;
    }
    conn->channel.filled = filled;
    conn->channel.flushed = flushed;
    return carry_on(conn, d);
}

static void cancel(struct conn *conn)
{
    for (struct step_dialog *d = conn->dialogs; d; d = d->next)
        gss_context_deinit(&d->gss);
    channel_cancel(&conn->channel);
}

static bool is_idle(const struct conn *conn)
{
    return channel_is_idle(&conn->channel);
}

const struct step step_dialog = {start, cancel, is_idle};

const struct dialog *conn_response(const struct conn *conn)
{
    for (const struct step_dialog *d = conn->dialogs; d; d = d->next) {
        if (d->dialog.response.data)
            return &d->dialog;
    }
    return NULL;
}
