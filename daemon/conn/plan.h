/* A request as an ordered list of steps, made before the first packet by a pure function. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/base/failure.h"
#include "daemon/policy/policy.h"
#include "proto/target.h"

#define PLAN_STEPS_MAX 8
#define PLAN_TEXT_MAX  1024 /* as plan_format writes it, with the NUL */

enum step_kind {
    STEP_RESOLVE, /* name or literal to permitted addresses */
    STEP_CONNECT, /* TCP, or a Unix socket */
    STEP_SEAL,    /* the TCP socket becomes useless for anything but this connection */
    STEP_TLS,     /* a TLS layer on top of what is there */
};

struct plan {
    enum step_kind steps[PLAN_STEPS_MAX];
    size_t n_steps;
    enum handoff handoff;        /* the kind to be handed over, known before the start */
    bool may_relay;              /* fall back to a relay where sealing fails */
    const struct source *source; /* of the rule; NULL: the system chooses, or a Unix socket */
};

/* What this kernel can do, found out at start. */
struct capabilities {
    bool can_seal;
    const char *seal_reason; /* why not, for people; NULL when it can */
};

/* Returns true with a plan, false with a failure (UNSUPPORTED, HANDOFF_KIND). */
bool plan_make(const struct target *target, const struct route *route,
               const struct capabilities *caps, struct plan *ret, struct failure *ret_failure);
/* tls_name: NULL, or the one to be verified instead of the target's host.
 * One line: "resolve(localhost) connect(443) tls(localhost) handoff(relay)"; with a source
 * "connect(443 from eth0)". */
void plan_format(const struct plan *plan, const struct target *target, const char *tls_name,
                 char text[PLAN_TEXT_MAX]);
