/* A request as an ordered list of steps, made before the first packet by a pure function. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/base/failure.h"
#include "daemon/policy/handoff.h"
#include "daemon/policy/policy.h"
#include "proto/target.h"

/* For a target: resolve, header, STARTTLS, TLS, WebSocket, keys; once: connect, seal; for the first
 * hop: resolve; for each: header, TLS, proxy. */
#define PLAN_STEPS_MAX (9 + 3 * PROXY_HOPS_MAX)
#define PLAN_TEXT_MAX  1024 /* as plan_format writes it, with the NUL */

enum step_kind {
    STEP_RESOLVE,      /* name or literal to permitted addresses */
    STEP_CONNECT,      /* TCP, or a Unix socket */
    STEP_SEAL,         /* the TCP socket becomes useless for anything but this connection */
    STEP_PROXY_HEADER, /* the PROXY protocol's, to whom the step's hop is */
    STEP_TLS,          /* a TLS layer on top of what is there */
    STEP_PROXY,        /* the hop is asked for a connection to the next one */
    STEP_STARTTLS,     /* what is said in the clear before TLS */
    STEP_WEBSOCKET,    /* the upgrade */
    STEP_KTLS,         /* the TLS layer's keys go to the kernel */
};

struct plan_step {
    enum step_kind kind;
    uint8_t hop; /* whom it is about: 0 the target, 1… the proxy in `via` order */
};

struct plan {
    struct plan_step steps[PLAN_STEPS_MAX];
    size_t n_steps;
    const struct proxy *const *via;      /* of the rule */
    size_t n_via;                        /* 0: direct */
    const struct send_proxy *send_proxy; /* to the target; of the rule */
    enum handoff handoff;                /* the kind to be handed over, known before the start */
    enum handoff_reason reason;          /* where it is a relay: why not a better one */
    bool may_relay;                      /* fall back to a relay where that fails */
    const char *advice;                  /* where it may not: how it might */
    bool is_anonymous;                   /* nothing is presented that proves who we are */
    const struct source *source; /* of the rule; NULL: the system chooses, or a Unix socket */
};

/* Returns true with a plan, false with a failure (HANDOFF_KIND). */
bool plan_make(const struct target *target, const struct route *route,
               const struct capabilities *caps, struct plan *ret, struct failure *ret_failure);
/* The proxy of hop 1…n_via. */
const struct proxy *plan_proxy(const struct plan *plan, unsigned hop);
/* Where the hop is: the target itself for 0. */
const struct target *plan_endpoint(const struct plan *plan, const struct target *target,
                                   unsigned hop);
/* Writes one line: "resolve(localhost) connect(443) tls(localhost) handoff(relay)"; with a source
 * "connect(443 from eth0)"; with a proxy "resolve(origin.example) resolve(proxy.example)
 * connect(3128) http-connect(corp) tls(origin.example) handoff(relay)". tls_name: NULL, or the one
 * to be verified instead of the target's host. */
void plan_format(const struct plan *plan, const struct target *target, const char *tls_name,
                 char text[PLAN_TEXT_MAX]);
