/* What the STARTTLS dialogs share among themselves. Each file of a protocol gives its first want.
 */
#pragma once

#include <sys/types.h>

#include "daemon/dialog/starttls.h"

#define STARTTLS_TYPE(text, sent_, received_)                                                      \
    {                                                                                              \
        .name = text, .stage = STAGE_STARTTLS, .unclear = ERROR_STARTTLS_PROTOCOL,                 \
        .is_last_word_ours = true, .sent = sent_, .received = received_, .deinit = starttls_deinit \
    }

void starttls_init_ftp(struct starttls *s);
void starttls_init_imap(struct starttls *s);
void starttls_init_ldap(struct starttls *s);
void starttls_init_mysql(struct starttls *s);
void starttls_init_pop3(struct starttls *s);
void starttls_init_postgres(struct starttls *s);
void starttls_init_smtp(struct starttls *s, const char *our_name);
void starttls_init_xmpp(struct starttls *s, const char *their_name);

static inline struct starttls *starttls_of(struct dialog *dialog)
{
    return (struct starttls *)dialog;
}

/* For their types. */
void starttls_deinit(struct dialog *dialog);

/* Counts what the server said. Returns false when that was too much, and the dialog has failed. */
bool starttls_hear(struct starttls *s, size_t n);
/* Adds to the response; what is beyond MESSAGE_RESPONSE_MAX is left out. Returns false when there
 * is no memory, and the dialog has failed. */
bool starttls_tell(struct starttls *s, const void *data, size_t n);
/* The server has agreed: the first n bytes of `told` are the response. */
void starttls_agree(struct starttls *s, size_t n);

/* ---- protocols of lines: starttls_lines.c ---- */

enum line_verdict {
    LINE_MORE,   /* the answer goes on */
    LINE_NEXT,   /* it is at its end, and good */
    LINE_FAILED, /* and the dialog has */
};

/* One question and its answer; a table of them, ended by one without `judge`, is a protocol. */
struct line_phase {
    const char *command; /* with its CRLF; NULL: what is in `out` */
    /* Looks at one line of the answer, which has lost its end and has no control characters. */
    enum line_verdict (*judge)(struct starttls *s, struct text line);
    bool is_question; /* left out when it is known already that STARTTLS is offered */
    bool is_request;  /* not said unless STARTTLS is offered */
};

/* The server speaks first, so the first phase's command is not sent. */
void starttls_init_lines(struct starttls *s, const struct dialog_type *type,
                         const struct line_phase *phases);
void starttls_lines_sent(struct dialog *dialog);
void starttls_lines_received(struct dialog *dialog, const uint8_t *data, size_t n);

/* Takes the word, and a space behind it, from the front of the line; not if it is only a part of a
 * longer word. Case does not matter. */
bool line_take_word(struct text *line, const char *word);
/* Whether it is among those that spaces separate. */
bool line_has_word(struct text line, const char *word);
/* The code of a reply line, `250-…`, `250 …` or `250` (RFC 5321, 4.2; RFC 959, 4.2); 0 when it is
 * none. */
unsigned line_reply_code(struct text line, bool *ret_is_last);
enum line_verdict line_refuse(struct starttls *s, struct text line);
enum line_verdict line_break(struct starttls *s, struct text line);
