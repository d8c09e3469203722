/* Which steps a target takes. Everything is decided here; the steps only do. */
#include "daemon/conn/plan.h"

#include <assert.h>

static void add(struct plan *plan, enum step_kind kind, unsigned hop)
{
    assert(plan->n_steps < PLAN_STEPS_MAX);
    plan->steps[plan->n_steps++] = (struct plan_step){.kind = kind, .hop = (uint8_t)hop};
}

const struct proxy *plan_proxy(const struct plan *plan, unsigned hop)
{
    assert(hop > 0 && hop <= plan->n_via);
    return plan->via[hop - 1];
}

const struct target *plan_endpoint(const struct plan *plan, const struct target *target,
                                   unsigned hop)
{
    return hop == 0 ? target : &plan_proxy(plan, hop)->endpoint;
}

/* Whether a connection to it is TLS at any layer, so that its socket alone is worth nothing. */
static bool is_encrypted(const struct plan *plan, const struct target *target)
{
    for (unsigned hop = 1; hop <= plan->n_via; hop++) {
        if (plan_proxy(plan, hop)->tls)
            return true;
    }
    return scheme_is_tls(target->scheme);
}

/* Decides the kind. The socket itself may go out when all its layers are plain and it is sealed,
 * needs no seal (a Unix socket cannot be disconnected), or the rule waives it. */
static bool choose_plain(bool is_unix, const struct route *route, const struct capabilities *caps,
                         struct plan *plan, bool *ret_is_sealed, struct failure *failure)
{
    bool needs_seal = !is_unix && route->rule->seal == SEAL_REQUIRED;

    plan->may_relay = route->handoff & HANDOFF_RELAY;
    *ret_is_sealed = false;
    if (route->handoff & HANDOFF_TCP && (!needs_seal || caps->can_seal)) {
        *ret_is_sealed = needs_seal;
        plan->handoff = HANDOFF_TCP;
        return true;
    }
    if (plan->may_relay) {
        plan->handoff = HANDOFF_RELAY;
        return true;
    }
    if (route->handoff & HANDOFF_TCP)
        failure_format(failure, ERROR_HANDOFF_KIND, 0,
                       "the socket must be sealed and this kernel cannot (%s); accept relay, or"
                       " set seal = \"off\" in the rule",
                       caps->seal_reason);
    else
        failure_format(failure, ERROR_HANDOFF_KIND, 0,
                       "a plain connection is handed over as tcp or relay");
    return false;
}

static bool choose_encrypted(const struct target *target, const struct route *route,
                             struct plan *plan, struct failure *failure)
{
    plan->handoff = HANDOFF_RELAY;
    if (route->handoff & HANDOFF_RELAY)
        return true;
    failure_format(failure, ERROR_HANDOFF_KIND, 0, "a %s is handed over as relay",
                   scheme_is_tls(target->scheme) ? "TLS connection"
                                                 : "connection through a proxy with TLS");
    return false;
}

/* The first socket: to the target, or to the first proxy. */
static void add_connection(struct plan *plan, const struct target *endpoint, unsigned hop,
                           bool is_sealed)
{
    if (endpoint->scheme != SCHEME_UNIX)
        add(plan, STEP_RESOLVE, hop);
    add(plan, STEP_CONNECT, hop);
    if (is_sealed)
        add(plan, STEP_SEAL, hop);
}

static void add_hops(struct plan *plan)
{
    for (unsigned hop = 1; hop <= plan->n_via; hop++) {
        const struct proxy *proxy = plan_proxy(plan, hop);

        if (proxy->send_proxy.version)
            add(plan, STEP_PROXY_HEADER, hop);
        if (proxy->tls)
            add(plan, STEP_TLS, hop);
        add(plan, STEP_PROXY, hop);
    }
}

/* What is done on a connection that reaches it. */
static void add_target(struct plan *plan, const struct target *target)
{
    if (plan->send_proxy->version && target->scheme != SCHEME_UNIX)
        add(plan, STEP_PROXY_HEADER, 0);
    if (scheme_is_starttls(target->scheme))
        add(plan, STEP_STARTTLS, 0);
    if (scheme_is_tls(target->scheme))
        add(plan, STEP_TLS, 0);
    if (scheme_is_websocket(target->scheme))
        add(plan, STEP_WEBSOCKET, 0);
}

bool plan_make(const struct target *target, const struct route *route,
               const struct capabilities *caps, struct plan *ret, struct failure *ret_failure)
{
    const struct rule *rule = route->rule;
    struct plan plan = {.via = rule->via,
                        .n_via = rule_is_direct(rule, target) ? 0 : rule->n_via,
                        .send_proxy = &rule->send_proxy,
                        .is_anonymous = route->is_reported};
    unsigned first = plan.n_via > 0 ? 1 : 0;
    const struct target *endpoint = plan_endpoint(&plan, target, first);
    bool is_unix = endpoint->scheme == SCHEME_UNIX, is_sealed = false;

    if (!(is_encrypted(&plan, target)
              ? choose_encrypted(target, route, &plan, ret_failure)
              : choose_plain(is_unix, route, caps, &plan, &is_sealed, ret_failure)))
        return false;
    if (!is_unix)
        plan.source = rule->source;
    /* Before anything is asked of a proxy. A literal is only looked at. */
    if (plan.n_via > 0 && (rule->resolve == RESOLVE_LOCAL || target->host_kind != HOST_NAME))
        add(&plan, STEP_RESOLVE, 0);
    add_connection(&plan, endpoint, first, is_sealed);
    add_hops(&plan);
    add_target(&plan, target);
    *ret = plan;
    return true;
}
