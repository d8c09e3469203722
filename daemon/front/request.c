/* Policy, plan, options and quota are checked in this order; only then is the request allocated, or
 * anything asked of the network. Who may not have a target is told that and nothing about options.
 */
#include "daemon/front/request.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/front/identity.h"
#include "daemon/front/request_options.h"
#include "daemon/front/user.h"
#include "proto/cleanup.h"

/* The rules speak of "this client", which is not the one who asks. */
static void name_maker(struct failure *failure)
{
    char detail[sizeof failure->detail];

    memcpy(detail, failure->detail, sizeof detail);
    failure_format(failure, failure->code, failure->sys_errno, "as the grant's maker: %s", detail);
}

bool request_route(const struct front *front, const struct identity *identity,
                   const struct narrowing *narrowing, struct text target, const char *tls_name,
                   unsigned handoff, struct target *ret_target, struct route *ret_route,
                   struct plan *ret_plan, struct failure *ret_failure)
{
    const char *error;

    if (target_parse(target.data, target.n, ret_target, &error) < 0) {
        failure_format(ret_failure, ERROR_BAD_TARGET, 0, "%s", error);
        return false;
    }
    if (!narrowing_covers(narrowing, ret_target, tls_name, ret_failure))
        return false;
    if (!policy_decide(front->config, identity, ret_target, tls_name, handoff, ret_route,
                       ret_failure)) {
        if (narrowing && !ret_failure->rule)
            name_maker(ret_failure);
        return false;
    }
    if (plan_make(ret_target, ret_route, front->env.caps, ret_plan, ret_failure))
        return true;
    ret_failure->rule = ret_route->rule;
    return false;
}

/* Fibonacci hashing. Ids that collide on purpose cost their session the walk that a plain list
 * would cost it: SESSION_PENDING_MAX entries. */
static struct list *bucket_of(struct peer *peer, uint64_t id)
{
    uint64_t hash = (id ^ (uintptr_t)peer) * UINT64_C(0x9e3779b97f4a7c15);

    return &peer->front->requests[(hash >> 32) % REQUEST_BUCKETS];
}

static struct request *find(struct peer *peer, uint64_t id)
{
    list_for_each (bucket_of(peer, id), node) {
        struct request *request = container_of(node, struct request, bucket_node);

        if (request->peer == peer && request->id == id)
            return request;
    }
    return NULL;
}

/* For `count` connections. Tokens of the rate, which cannot be given back, are the last to be
 * taken. */
static bool charge_rule(struct charge *charge, const struct rule *rule, const struct plan *plan,
                        unsigned count, uint64_t now_us, struct failure *failure)
{
    uint64_t wait_us;

    if (!charge->quota) {
        failure_set(failure, ERROR_NO_RESOURCES, 0);
        return false;
    }
    if (!charge_add(charge, QUOTA_PENDING, count, rule->max_pending)) {
        failure_format(failure, ERROR_OVER_LIMIT, 0,
                       "max-pending of rule '%s' is %u: wait for results", rule->name,
                       rule->max_pending);
        return false;
    }
    if (plan->handoff == HANDOFF_RELAY &&
        !charge_add(charge, QUOTA_RELAYS, count, rule->max_relays)) {
        failure_format(failure, ERROR_OVER_LIMIT, 0,
                       "max-relays of rule '%s' is %u: close connections first", rule->name,
                       rule->max_relays);
        return false;
    }
    wait_us = quota_take(charge->quota, &rule->max_rate, count, now_us);
    if (wait_us == 0)
        return true;
    failure_format(failure, ERROR_OVER_LIMIT, 0, "max-rate of rule '%s': try again in %llu ms",
                   rule->name, (unsigned long long)(wait_us / US_PER_MS + 1));
    return false;
}

/* Charged for `count` connections, it exists, with nothing in flight. */
static struct request *request_new(struct peer *peer, uint64_t id, const struct route *route,
                                   const struct plan *plan, unsigned count, struct failure *failure)
{
    struct front *front = peer->front;
    const struct rule *rule = route->rule;
    CLEANUP(charge_deinit)
    struct charge charge = {.quota = quota_get(front->quotas, peer->identity->uid, rule->name)};
    struct request *request;

    if (!charge_rule(&charge, rule, plan, count, ring_now_us(front->env.ring), failure))
        return NULL;
    request = calloc(1, sizeof *request + count * sizeof request->conns[0]);
    if (!request) {
        failure_set(failure, ERROR_NO_RESOURCES, 0);
        return NULL;
    }
    request->peer = peer;
    request->id = id;
    request->config = config_ref(front->config);
    request->route = *route;
    request->charge = charge_take(&charge);
    request->n_conns = count;
    list_init(&request->relays);
    list_append(&peer->requests, &request->node);
    list_append(bucket_of(peer, id), &request->bucket_node);
    peer->n_requests++;
    counter_add(&front->counters->requests_now, 1);
    return request;
}

struct request *request_free(struct request *request)
{
    struct peer *peer = request->peer;

    ring_timer_clear(peer->front->env.ring, &request->deadline);
    for (unsigned i = 0; i < request->n_conns; i++)
        conn_deinit(&request->conns[i]);
    charge_deinit(&request->charge);
    config_unref(request->config);
    request_free_options(request);
    list_remove(&request->node);
    list_remove(&request->bucket_node);
    free(request);
    peer->n_requests--;
    counter_sub(&peer->front->counters->requests_now, 1);
    peer_free_if_idle(peer);
    return NULL;
}

static void conn_ended(struct conn *conn);
static void deadline_passed(struct timer *timer);

static void start(struct request *request, uint32_t timeout_ms)
{
    const struct conn_env *env = &request->peer->front->env;

    timer_init(&request->deadline, deadline_passed);
    request->start_us = ring_now_us(env->ring);
    ring_timer_set(env->ring, &request->deadline,
                   request->start_us +
                       (timeout_ms ? timeout_ms : MESSAGE_TIMEOUT_MS_DEFAULT) * US_PER_MS);
    /* One more than there are, so that the last to end from inside is not the last of all. */
    request->n_running = request->n_conns + 1;
    for (unsigned i = 0; i < request->n_conns; i++)
        conn_start(&request->conns[i]);
    if (--request->n_running == 0)
        request_hand_over(request);
}

static void count_decision(const struct front *front, const struct rule *rule,
                           enum stats_key decision)
{
    stats_add(rule ? rule->stats : front->undecided, decision, 1);
}

/* A rule that does not deny has allowed it, and what it allows cannot be done. */
static void count_refusal(const struct front *front, const struct failure *failure)
{
    if (failure->code == ERROR_DENIED)
        count_decision(front, failure->rule, STAT_DENIED);
    else
        count_decision(front, failure->rule, failure->rule ? STAT_ALLOWED : STAT_UNDECIDED);
}

static bool prepare(struct peer *peer, uint64_t id, const struct message_connect *m,
                    struct request **ret, struct failure *failure)
{
    struct front *front = peer->front;
    char tls_name[TARGET_HOST_MAX + 1] = "";
    unsigned handoff = m->handoff ? m->handoff : HANDOFF_TCP | HANDOFF_RELAY;
    struct request *request;
    struct target target;
    struct route route;
    struct plan plan;

    if (front->config->needs_cgroup)
        identity_read_cgroup(peer->identity, &peer->holder);
    if (!request_check_tls_name(m, tls_name, failure) ||
        !request_route(front, peer->identity, peer->narrowing, m->target,
                       m->tls_name.data ? tls_name : NULL, handoff, &target, &route, &plan,
                       failure)) {
        count_refusal(front, failure);
        return false;
    }
    count_decision(front, route.rule, STAT_ALLOWED);
    request = request_check_options(m, &target, failure)
                  ? request_new(peer, id, &route, &plan, m->count ? m->count : 1, failure)
                  : NULL;
    if (!request) {
        failure->rule = route.rule;
        return false;
    }
    memcpy(request->tls_name, tls_name, sizeof tls_name);
    request->params.payer = peer->user->quota;
    request->params.lane = &peer->user->handshakes;
    request->params.rule = route.rule->name;
    request->params.target = target;
    request->params.plan = plan;
    request->params.addresses = route.rule->addresses;
    request->params.family = m->family;
    request->params.tls = route.rule->tls;
    request->params.tls_name = m->tls_name.data ? request->tls_name : NULL;
    for (unsigned i = 0; i < request->n_conns; i++)
        conn_init(&request->conns[i], &front->env, &request->params, conn_ended);
    *ret = request;
    return true;
}

/* What goes before any decision. */
static bool may_ask(const struct peer *peer, struct failure *failure)
{
    if (peer->front->is_draining)
        failure_set(failure, ERROR_DRAINING, 0);
    else if (peer->n_requests >= SESSION_PENDING_MAX)
        failure_format(failure, ERROR_OVER_LIMIT, 0, "%u requests in flight in this session",
                       SESSION_PENDING_MAX);
    else
        return true;
    count_decision(peer->front, NULL, STAT_UNDECIDED);
    return false;
}

void request_connect(struct peer *peer, uint64_t id, const struct message_connect *m)
{
    struct request *request;
    struct failure failure;

    if (find(peer, id)) {
        peer_fail(peer, ERROR_DUPLICATE_ID, "an id may be used again after its result");
        return;
    }
    if (!may_ask(peer, &failure) || !prepare(peer, id, m, &request, &failure)) {
        request_send_failure(peer, id, m, &failure);
        inbox_pause(peer);
        return;
    }
    if (request_copy_options(request, m) < 0) {
        failure_set(&failure, ERROR_NO_RESOURCES, 0);
        failure.rule = request->route.rule;
        request_free(request);
        request_send_failure(peer, id, m, &failure);
        return;
    }
    audit_allowed(request);
    start(request, m->timeout_ms);
}

static void conn_ended(struct conn *conn)
{
    struct request *request = container_of(conn->params, struct request, params);

    if (--request->n_running == 0)
        request_hand_over(request);
}

static void request_abort(struct request *request, enum error_code code)
{
    if (request->aborted != ERROR_NONE || request->is_handed_over)
        return;
    request->aborted = code;
    request->n_running++;
    for (unsigned i = 0; i < request->n_conns; i++)
        conn_abort(&request->conns[i], code);
    if (--request->n_running == 0)
        request_hand_over(request);
}

static void deadline_passed(struct timer *timer)
{
    struct request *request = container_of(timer, struct request, deadline);

    if (request->is_handed_over)
        peer_close(request->peer); /* it does not read */
    else
        request_abort(request, ERROR_DEADLINE);
}

void request_cancel(struct peer *peer, uint64_t id)
{
    struct request *request = find(peer, id);

    if (request)
        request_abort(request, ERROR_CANCELLED);
}

void request_abandon(struct request *request)
{
    request_abort(request, ERROR_CANCELLED);
}
