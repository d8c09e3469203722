/* A ring with a link to a helper of GSSAPI's, and the other side of a context: an acceptor. */
#pragma once

#include <gssapi/gssapi.h>

#include "daemon/gss/gss.h"

#define GSS_RIG_WAIT_S 40 /* for an answer, on a slow machine; then the test fails */

struct gss_rig {
    struct gss_keeper *keeper;
    struct ring *ring;
    struct gss_link *link;
};

void gss_rig_init(struct gss_rig *rig);
void gss_rig_deinit(struct gss_rig *rig);

/* Who asks, and what came of it. */
struct gss_asker {
    struct gss_context context;
    unsigned n_answers;
    bool is_answered; /* the last time: with an answer */
    bool is_complete;
    char *token;
    size_t n;
    char why[QUESTION_WHY_MAX];
};

void gss_asker_init(struct gss_asker *asker, struct gss_rig *rig);
void gss_asker_deinit(struct gss_asker *asker);
/* Returns what gss_context_ask() does. */
int gss_asker_ask(struct gss_asker *asker, enum gss_question_kind kind,
                  enum gss_mechanism mechanism, const struct gss_settings *settings,
                  const void *token, size_t n);
/* Turns the ring until there were so many answers. */
void gss_asker_wait(struct gss_rig *rig, struct gss_asker *asker, unsigned n_answers);
/* Asks and waits; fails the test where there is no answer. */
void gss_asker_get(struct gss_rig *rig, struct gss_asker *asker, enum gss_question_kind kind,
                   enum gss_mechanism mechanism, const struct gss_settings *settings,
                   const void *token, size_t n);

/* Lets the acceptor and the asker talk until both are through. Returns the acceptor's context, and
 * who came to it in *ret_name, on the heap. */
gss_ctx_id_t gss_rig_establish(struct gss_rig *rig, struct gss_asker *asker,
                               enum gss_mechanism mechanism, const struct gss_settings *settings,
                               char **ret_name);

/* A child of this process, or 0: the keeper of this one, the helper of that one. */
pid_t gss_rig_child(pid_t parent);
