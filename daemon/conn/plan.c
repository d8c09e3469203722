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

static struct handoff_shape shape_of(const struct plan *plan, const struct target *target)
{
    struct handoff_shape shape = {.is_unix = target->scheme == SCHEME_UNIX,
                                  .n_tls = scheme_is_tls(target->scheme),
                                  .is_upgraded = scheme_is_websocket(target->scheme)};

    handoff_shape_add_proxies(&shape, plan->via, plan->n_via);
    return shape;
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
    struct handoff_shape shape = shape_of(&plan, target);
    struct handoff_choice choice;

    if (!handoff_choose(&shape, route, caps, &choice, ret_failure))
        return false;
    plan.handoff = choice.kind;
    plan.reason = choice.reason;
    plan.may_relay = choice.may_relay;
    plan.advice = choice.advice;
    if (!shape.is_unix)
        plan.source = rule->source;
    /* Before anything is asked of a proxy. A literal is only looked at. */
    if (plan.n_via > 0 && (rule->resolve == RESOLVE_LOCAL || target->host_kind != HOST_NAME))
        add(&plan, STEP_RESOLVE, 0);
    add_connection(&plan, endpoint, first, choice.is_sealed);
    add_hops(&plan);
    add_target(&plan, target);
    if (plan.handoff == HANDOFF_KTLS)
        add(&plan, STEP_KTLS, 0);
    *ret = plan;
    return true;
}
