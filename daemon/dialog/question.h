/* What a dialog cannot know by itself, as it takes files, a network and time to find out: the
 * tokens of a GSSAPI context (RFC 2743). It describes the question and wants DIALOG_ASK; whoever
 * carries it out brings the answer. A dialog has one context at a time, which lives where the
 * answers are made.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/message.h"

#define QUESTION_TOKEN_MAX 49152 /* bytes of one token: what Windows allows (MaxTokenSize) */
#define QUESTION_TEXT_MAX  1024  /* bytes of each text of the settings */
#define QUESTION_WHY_MAX   160   /* bytes of the reason why there is no answer */

enum gss_mechanism {
    GSS_NEGOTIATE, /* SPNEGO (RFC 4178) with Kerberos in it and nothing else */
    GSS_KERBEROS,  /* RFC 4121 */
    GSS_NTLM,
};

/* Of one proxy, from the configuration. Outlives all that use it. */
struct gss_settings {
    const char *service; /* "HTTP@proxy.example"; NULL: it cannot be asked for */
    const char *keytab;  /* for Kerberos: its path; NULL: none */
    const char *ccache;  /* likewise, "FILE:/…" or a path; neither: what the environment names */
    const char *principal;      /* whose of these; NULL: the first */
    struct text user, password; /* for NTLM: user, DOMAIN\user or user@DOMAIN */
};

enum gss_question_kind {
    QUESTION_FIRST,  /* a new context, which takes the place of an old one: its first token */
    QUESTION_NEXT,   /* the next token, now that the peer has said this one */
    QUESTION_WRAP,   /* these bytes protected, but for all to read */
    QUESTION_UNWRAP, /* what is in this token */
};

struct gss_question {
    enum gss_question_kind kind;
    enum gss_mechanism mechanism;
    const struct gss_settings *settings;
    struct text token; /* the dialog's own; data NULL: none */
};

struct gss_answer {
    struct text token; /* valid during the call; n 0: there is nothing to say */
    bool is_complete;  /* the context needs no more of the peer's */
};
