/* Between the files of this folder. */
#pragma once

#include <stdbool.h>

#include "daemon/gss/gss.h"
#include "daemon/gss/message.h"

/* keeper.c: gives the other end to the keeper. Returns an fd, or -errno. */
int gss_keeper_connect(struct gss_keeper *keeper);

/* The exit status of a helper that has lost nothing and leaves its place to another. */
#define GSS_EXIT_RETIRED 3

/* helper.c: the process of one link. Ends it when there is no other end any more. */
_Noreturn void gss_helper_run(int fd);

/* mechanism.c: a context of GSSAPI's. */
struct gss_state;

struct gss_reply {
    char *token; /* on the heap; NULL: n is 0 */
    size_t n;
    bool is_complete;
    char why[QUESTION_WHY_MAX];
};

/* Answers; the state is made by the first question, *state NULL before. Blocks for as long as it
 * takes. `lane` says who asks: what has the same never asks at the same time. Returns 0, or
 * -ENOENT with the reason in ret->why. */
int gss_state_answer(struct gss_state **state, const struct gss_message *ask, unsigned lane,
                     struct gss_reply *ret);
struct gss_state *gss_state_free(struct gss_state *state);
