/* Conversations: what a dialog must say, and what it is told. Each is played whole; cut at every
 * byte of the peer's; and with every byte of the peer's changed in several ways. Never may a dialog
 * take a byte more than its own, succeed on half an answer, go on for ever, or tell a secret. */
#pragma once

#include "daemon/dialog/dialog.h"

#define CONVERSATION_TURNS_MAX 24
#define CONVERSATION_STEPS_MAX 10000 /* wants of one dialog until it has to have ended */

struct turn {
    enum {
        TURN_END,
        TURN_SAYS,     /* the dialog must send exactly this */
        TURN_HEARS,    /* the peer sends this */
        TURN_AGAIN,    /* the dialog must want a new connection */
        TURN_ASKS,     /* the dialog must ask this, of the mechanism in a letter: see ASKS_FOR */
        TURN_TOLD,     /* and is answered this; the context is complete or not */
        TURN_NOT_TOLD, /* or that there is no answer, for this reason */
    } kind;
    const char *data;
    size_t n;
    bool is_complete; /* for TURN_TOLD */
    char mechanism;   /* for TURN_ASKS */
};

#define SAYS(text)                                                                                 \
    {                                                                                              \
        TURN_SAYS, text, sizeof(text) - 1                                                          \
    }
#define HEARS(text)                                                                                \
    {                                                                                              \
        TURN_HEARS, text, sizeof(text) - 1                                                         \
    }
#define AGAIN                                                                                      \
    {                                                                                              \
        TURN_AGAIN, NULL, 0                                                                        \
    }

/* A question: the mechanism, `n` for Negotiate, `k` for Kerberos, `N` for NTLM; and what it is
 * about with the kind before it: `1` the first, `+` the next, `w` to wrap, `u` to unwrap. */
#define ASKS_FOR(mechanism, text)                                                                  \
    {                                                                                              \
        TURN_ASKS, text, sizeof(text) - 1, false, mechanism                                        \
    }
#define TOLD(text)                                                                                 \
    {                                                                                              \
        TURN_TOLD, text, sizeof(text) - 1, false                                                   \
    }
#define TOLD_ALL(text)                                                                             \
    {                                                                                              \
        TURN_TOLD, text, sizeof(text) - 1, true                                                    \
    }
#define NOT_TOLD(text)                                                                             \
    {                                                                                              \
        TURN_NOT_TOLD, text, sizeof(text) - 1                                                      \
    }

struct conversation {
    const char *name;
    const void *setup; /* for `make` */
    struct turn turns[CONVERSATION_TURNS_MAX];
    const char *rest;     /* what of the peer's last words is not the dialog's; NULL: nothing */
    enum error_code code; /* how it ends; ERROR_NONE: done */
    const char *detail;   /* a part of the failure's detail; NULL: any */
    const char *response; /* what is told to the client; NULL: nothing, or any after a failure */
    size_t n_response;    /* 0: up to its NUL */
};

struct conversation_kind {
    /* Makes the dialog of this setup on the heap; free_ frees it after dialog_deinit(). */
    struct dialog *(*make)(const void *setup);
    void (*free_)(struct dialog *dialog);
    const char *const *secrets; /* until NULL; may be NULL */
};

/* Fails the running libcheck test where it does not go as written. */
void conversation_check(const struct conversation_kind *kind, const struct conversation *c);

/* Any bytes as the peer's: for fuzzers. Aborts on a breach; frees nothing. Questions are answered
 * by what is in them: as often as not the context is complete, or there is no answer. */
void conversation_fuzz(struct dialog *dialog, const uint8_t *data, size_t n);
