/* A protocol that is spoken on a connection before it is handed over: with a proxy, for STARTTLS,
 * for the WebSocket upgrade, or a PROXY header. Sans I/O: a dialog says what it wants next, and is
 * told what came of it. It sees no socket, ring, clock or log, and it never wants a byte behind the
 * last one of its protocol, because that is the client's.
 *
 * Whoever carries it out (conn/step_dialog.c, and the tests' conversations) looks at `want` and
 *     DIALOG_SEND        sends all of `out`, then calls dialog_sent()
 *     DIALOG_RECV_EXACT  takes exactly `n` bytes (1…) from the connection, then dialog_received()
 *     DIALOG_RECV_LINE   takes all to the first LF, `n` bytes at most, likewise
 *     DIALOG_RECV_UNTIL  takes all to the first byte `until`, `n` bytes at most, likewise
 *     DIALOG_RECV_HEAD   takes all to the first empty line, ended by LF or CRLF, likewise
 *     DIALOG_RECONNECT   connects anew to the same peer, then calls dialog_reconnected()
 *     DIALOG_ASK         asks `question`, then calls dialog_answered() or dialog_unanswered()
 *     DIALOG_DONE        goes on with the next step
 *     DIALOG_FAILED      reports `failure`; the connection is closed
 * or, where that is not possible, calls dialog_broken(). All these calls are made with nothing else
 * of the dialog on the stack, and `want` has changed, or is to be looked at again, after each. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "daemon/base/failure.h"
#include "daemon/dialog/question.h"
#include "proto/message.h"

#define DIALOG_HEAD_MAX 65536 /* bytes of a head or of what is received at once */

enum dialog_want {
    DIALOG_SEND,
    DIALOG_RECV_EXACT,
    DIALOG_RECV_LINE,
    DIALOG_RECV_UNTIL,
    DIALOG_RECV_HEAD,
    DIALOG_RECONNECT,
    DIALOG_ASK,
    DIALOG_DONE,
    DIALOG_FAILED,
};

enum dialog_break {
    DIALOG_CLOSED,   /* the peer closed before it said all that was wanted */
    DIALOG_RESET,    /* or it did so with a reset */
    DIALOG_TOO_LONG, /* no end of what was wanted within `n` bytes */
    DIALOG_INJECTED, /* there is more behind the end of a dialog whose type forbids it */
};

struct dialog;

struct dialog_type {
    const char *name;        /* the protocol's, for people: "socks5" */
    enum stage stage;        /* where its failures belong */
    enum error_code unclear; /* the code for a peer that breaks the protocol */
    bool is_last_word_ours;  /* when it is done, nothing more may have come: TLS starts with us */
    void (*sent)(struct dialog *dialog); /* NULL: never sends */
    void (*received)(struct dialog *dialog, const uint8_t *data,
                     size_t n);                 /* NULL: never receives */
    void (*reconnected)(struct dialog *dialog); /* NULL: never wants it */
    /* The answer, or NULL and why there is none. NULL: it never asks. */
    void (*answered)(struct dialog *dialog, const struct gss_answer *answer, const char *why);
    /* Told first that it is broken (but not DIALOG_INJECTED): true when it made something of it, a
     * want or a failure of its own. NULL: it never does. */
    bool (*broken)(struct dialog *dialog, enum dialog_break how);
    void (*deinit)(struct dialog *dialog); /* NULL: nothing to free */
};

/* Embedded first in each protocol's own structure, whose …_init() calls dialog_init() and sets the
 * first want. */
struct dialog {
    const struct dialog_type *type;
    enum dialog_want want;
    size_t n;           /* for DIALOG_RECV_… */
    uint8_t until;      /* for DIALOG_RECV_UNTIL; LF for DIALOG_RECV_LINE */
    const uint8_t *out; /* for DIALOG_SEND: n_out bytes, the dialog's own */
    size_t n_out;
    const struct gss_question *question; /* for DIALOG_ASK: the dialog's own */
    struct failure failure;              /* for DIALOG_FAILED */
    struct text response;   /* what the client is told of the peer's words; data NULL: nothing. The
                             * dialog's own. */
    bool is_response_clear; /* it came before TLS, so anybody may have said it */
};

void dialog_deinit(struct dialog *dialog);

/* For the one who carries it out. */
void dialog_sent(struct dialog *dialog);
void dialog_received(struct dialog *dialog, const uint8_t *data, size_t n);
void dialog_reconnected(struct dialog *dialog);
void dialog_answered(struct dialog *dialog, const struct gss_answer *answer);
/* Why: for people, and without secrets; may have a stranger's words in it. */
void dialog_unanswered(struct dialog *dialog, const char *why);
void dialog_broken(struct dialog *dialog, enum dialog_break how);

/* How many of the n bytes that come next the want takes; 0: not all of it is there. That was the
 * answer for the first n_measured of them already, so that many small pieces do not cost more. */
size_t dialog_measure(const struct dialog *dialog, const uint8_t *data, size_t n,
                      size_t n_measured);

/* For the protocols. */
void dialog_init(struct dialog *dialog, const struct dialog_type *type);
void dialog_want_send(struct dialog *dialog, const void *data, size_t n);
void dialog_want_exact(struct dialog *dialog, size_t n);
void dialog_want_line(struct dialog *dialog, size_t max);
void dialog_want_until(struct dialog *dialog, uint8_t until, size_t max);
void dialog_want_head(struct dialog *dialog, size_t max);
void dialog_want_reconnect(struct dialog *dialog);
void dialog_want_answer(struct dialog *dialog, const struct gss_question *question);
void dialog_done(struct dialog *dialog);
/* What the peer said goes into the detail escaped (failure_format() does it) and never with a
 * secret. */
void dialog_fail(struct dialog *dialog, enum error_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
