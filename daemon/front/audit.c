/* The budget is the bucket of the user's account (quota_take()), one for all workers, which
 * outlives his sessions. What a worker has left out it counts in its own record of the user, which
 * it holds until it has told; within a second, also when nothing follows. */
#include "daemon/front/audit.h"

#include <inttypes.h>

#include "daemon/base/clock.h"
#include "daemon/base/log_record.h"
#include "daemon/front/identity.h"
#include "daemon/front/peer.h"
#include "daemon/front/relays.h"
#include "daemon/front/request.h"
#include "daemon/front/user.h"

/* ---- the budget ---- */

static void leave_out(struct user *user, unsigned n)
{
    struct front *front = user->front;

    if (user->n_left_out == 0) {
        user_ref(user);
        list_append(&front->audit.users, &user->left_out_node);
    }
    user->n_left_out += n;
    if (!front->audit.timer.is_set)
        ring_timer_set(front->env.ring, &front->audit.timer,
                       ring_now_us(front->env.ring) + US_PER_S);
}

static void leave_one_out(struct user *user)
{
    counter_add(&user->front->counters->log_lines_left_out, 1);
    leave_out(user, 1);
}

/* Whether a line about this user may be written now. */
static bool may_log(struct user *user, enum log_level level)
{
    static const struct quota_rate rate = {AUDIT_LINES_PER_S, 1};

    if (!log_is_on(level))
        return false;
    if (quota_take(user->quota, &rate, 1, ring_now_us(user->front->env.ring)) == 0)
        return true;
    leave_one_out(user);
    return false;
}

/* A record that was allowed. */
static void write_record(struct user *user, const struct log_record *record)
{
    if (!log_record_write(record))
        leave_one_out(user);
}

/* Returns how many are still to be told. */
static unsigned tell(const struct user *user)
{
    struct log_record record;

    log_record_init(&record, LOG_LEVEL_WARNING);
    log_record_add(&record, "event", "left-out");
    log_record_add(&record, "uid", "%u", user->uid);
    log_record_add(&record, "count", "%u", user->n_left_out);
    log_record_say(&record, "%u lines about uid %u left out", user->n_left_out, user->uid);
    return log_record_write(&record) ? 0 : user->n_left_out;
}

static void tell_all(struct front *front, bool may_repeat)
{
    struct list users, *node;

    list_move(&front->audit.users, &users);
    while ((node = list_pop(&users))) {
        struct user *user = container_of(node, struct user, left_out_node);
        unsigned n = tell(user);

        user->n_left_out = 0;
        if (n > 0 && may_repeat)
            leave_out(user, n);
        user_put(user);
    }
}

static void second_passed(struct timer *timer)
{
    tell_all(container_of(timer, struct front, audit.timer), true);
}

void audit_init(struct audit *audit)
{
    list_init(&audit->users);
    timer_init(&audit->timer, second_passed);
}

void audit_deinit(struct front *front)
{
    ring_timer_clear(front->env.ring, &front->audit.timer);
    tell_all(front, false);
}

/* ---- the records ---- */

bool audit_is_by_grant(const struct peer *peer)
{
    return peer->narrowing && peer->holder.has_sender;
}

static void begin(struct log_record *record, enum log_level level, const char *event, pid_t pid,
                  const struct identity *who)
{
    log_record_init(record, level);
    log_record_add(record, "event", "%s", event);
    log_record_add(record, "uid", "%u", who->uid);
    log_record_add(record, "pid", "%d", pid);
    if (who->unit)
        log_record_add_bytes(record, "unit", text_of(who->unit));
    if (who->listener)
        log_record_add_bytes(record, "socket", text_of(who->listener));
}

static void begin_peer(struct log_record *record, enum log_level level, const char *event,
                       struct peer *peer)
{
    identity_read_cgroup(peer->identity, &peer->holder);
    begin(record, level, event, peer->holder.pid, peer->identity);
    if (audit_is_by_grant(peer))
        log_record_add(record, "holder_uid", "%u", peer->holder.sender.uid);
}

static const char *add_target(struct log_record *record, const struct target *target)
{
    char text[TARGET_TEXT_MAX];

    target_format(target, text);
    return log_record_add_bytes(record, "target", text_of(text));
}

static const char *add_rule(struct log_record *record, const struct rule *rule)
{
    return rule ? log_record_add(record, "rule", "%s", rule->name) : "";
}

static void add_plan(struct log_record *record, const struct request *request)
{
    char plan[PLAN_TEXT_MAX];

    plan_format(&request->params.plan, &request->params.target, request->params.tls_name, plan);
    log_record_add_bytes(record, "plan", text_of(plan));
}

static const char *add_address(struct log_record *record, const struct conn *conn)
{
    const struct address *address = &conn->candidates[conn->connected];
    const struct target *endpoint = conn_first_endpoint(conn);
    char text[ADDRESS_TEXT_MAX];

    if (endpoint->scheme == SCHEME_UNIX)
        return conn->params->plan.n_via > 0 ? endpoint->path : "its path";
    address_format(address, text);
    return log_record_add(record, "address", address->family == AF_INET6 ? "[%s]:%u" : "%s:%u",
                          text, endpoint->port);
}

/* By hop and stage. */
#define STAGE_KEYS(prefix)                                                                         \
    {                                                                                              \
        STAGE_KEY_LIST(prefix)                                                                     \
    }
#define STAGE_KEY_LIST(prefix)                                                                     \
    [STAGE_RESOLVE] = prefix "resolve_us", [STAGE_CONNECT] = prefix "connect_us",                  \
    [STAGE_PROXY] = prefix "proxy_us", [STAGE_TLS] = prefix "tls_us",                              \
    [STAGE_UPGRADE] = prefix "upgrade_us", [STAGE_STARTTLS] = prefix "starttls_us",                \
    [STAGE_HANDOFF] = prefix "handoff_us"
_Static_assert(PROXY_HOPS_MAX == 4, "a row for each, and one for the target");
static const char *const time_keys[PROXY_HOPS_MAX + 1][STAGE_HANDOFF + 1] = {
    STAGE_KEYS(""),        STAGE_KEYS("proxy1_"), STAGE_KEYS("proxy2_"),
    STAGE_KEYS("proxy3_"), STAGE_KEYS("proxy4_"),
};

static void add_times(struct log_record *record, const struct conn *conn)
{
    const struct plan *plan = &conn->params->plan;
    uint32_t us[PROXY_HOPS_MAX + 1][STAGE_HANDOFF + 1] = {0};
    bool is_written[PROXY_HOPS_MAX + 1][STAGE_HANDOFF + 1] = {0};

    /* A proxy's header and its own protocol are of one stage, so are the seal and the keys. */
    for (size_t i = 0; i < plan->n_steps && i < conn->step; i++)
        us[plan->steps[i].hop][step_stage(plan->steps[i].kind)] += conn->times_us[i];
    for (size_t i = 0; i < plan->n_steps && i < conn->step; i++) {
        enum stage stage = step_stage(plan->steps[i].kind);
        unsigned hop = plan->steps[i].hop;

        if (!is_written[hop][stage])
            log_record_add(record, time_keys[hop][stage], "%u", us[hop][stage]);
        is_written[hop][stage] = true;
    }
}

/* How far it came: the address, the time of each stage passed. */
static const char *add_progress(struct log_record *record, const struct conn *conn)
{
    const struct plan *plan = &conn->params->plan;
    const char *address = "";

    for (size_t i = 0; i < plan->n_steps && i < conn->step; i++) {
        if (plan->steps[i].kind == STEP_CONNECT)
            address = add_address(record, conn);
    }
    add_times(record, conn);
    return address;
}

static void add_time(struct log_record *record, const struct front *front, uint64_t start_us)
{
    log_record_add(record, "time_us", "%" PRIu64, ring_now_us(front->env.ring) - start_us);
}

void audit_allowed(const struct request *request)
{
    struct peer *peer = request->peer;
    bool is_reported = request->route.is_reported;
    enum log_level level = is_reported ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO;
    struct log_record record;
    const char *target, *rule;

    if (!may_log(peer->user, level))
        return;
    begin_peer(&record, level, is_reported ? "reported" : "allowed", peer);
    log_record_add(&record, "request", "%" PRIu64, request->id);
    target = add_target(&record, &request->params.target);
    rule = add_rule(&record, request->route.rule);
    add_plan(&record, request);
    log_record_say(&record,
                   is_reported ? "uid %u pid %d: %s: would be denied, let through by rule '%s',"
                                 " which only reports"
                               : "uid %u pid %d: %s: allowed by rule '%s'",
                   peer->identity->uid, peer->holder.pid, target, rule);
    write_record(peer->user, &record);
}

static void add_failure(struct log_record *record, const struct failure *failure)
{
    log_record_add(record, "stage", "%s", stage_name(failure->stage));
    if (failure->hop > 0)
        log_record_add(record, "hop", "%u", failure->hop);
    log_record_add(record, "code", "%s", error_name(failure->code));
    if (failure->sys_errno > 0)
        log_record_add(record, "errno", "%d", failure->sys_errno);
    if (failure->detail[0])
        log_record_add(record, "detail", "%s", failure->detail);
}

static void add_narrowing(struct log_record *record, const struct narrowing *narrowing)
{
    log_record_add(record, "level", "%u", narrowing->depth);
    log_record_add_bytes(record, "patterns", text_of(narrowing->text));
}

void audit_failed(struct peer *peer, uint64_t id, const struct asked *asked,
                  const struct failure *failure, const struct request *request)
{
    struct log_record record;
    const char *shown;

    if (!may_log(peer->user, LOG_LEVEL_INFO))
        return;
    begin_peer(&record, LOG_LEVEL_INFO, failure->stage == STAGE_POLICY ? "denied" : "failed", peer);
    log_record_add(&record, "request", "%" PRIu64, id);
    shown = log_record_add_bytes(&record, "target", asked->target);
    if (asked->tls_name.data)
        log_record_add_bytes(&record, "tls_name", asked->tls_name);
    add_rule(&record, request ? request->route.rule : failure->rule);
    add_failure(&record, failure);
    if (failure->narrowing)
        add_narrowing(&record, failure->narrowing);
    if (request) {
        add_plan(&record, request);
        add_progress(&record, &request->conns[0]);
        add_time(&record, peer->front, request->start_us);
    }
    log_record_say(&record, "uid %u pid %d: %s: %s: %s%s%s", peer->identity->uid, peer->holder.pid,
                   shown, stage_name(failure->stage), error_text(failure->code),
                   failure->detail[0] ? ": " : "", failure->detail);
    write_record(peer->user, &record);
}

void audit_connected(const struct request *request, size_t n)
{
    struct peer *peer = request->peer;
    const struct conn *conn = request_first_connected(request);
    char reason[HANDOFF_REASON_MAX + 1];
    struct log_record record;
    const char *target, *address;

    if (!may_log(peer->user, LOG_LEVEL_INFO))
        return;
    begin_peer(&record, LOG_LEVEL_INFO, "connected", peer);
    log_record_add(&record, "request", "%" PRIu64, request->id);
    target = add_target(&record, &request->params.target);
    add_rule(&record, request->route.rule);
    add_plan(&record, request);
    log_record_add(&record, "handoff", "%s", handoff_name(conn->handoff));
    conn_explain_handoff(conn, reason);
    if (reason[0])
        log_record_add(&record, "handoff_reason", "%s", reason);
    log_record_add(&record, "count", "%zu", n);
    address = add_progress(&record, conn);
    add_time(&record, peer->front, request->start_us);
    log_record_say(&record, "uid %u pid %d: %s: connected %s %s, %s", peer->identity->uid,
                   peer->holder.pid, target,
                   conn->params->plan.n_via > 0 ? "by the proxy at" : "to", address,
                   handoff_name(conn->handoff));
    write_record(peer->user, &record);
}

/* What TLS had to complain of is known here alone: the client is told `reset`. */
void audit_relay_ended(const struct front_relay *r)
{
    const struct relay *relay = r->relay;
    const struct tls_session *session = channel_top(&relay->channel);
    const struct failure *failure = session ? tls_session_failure(session) : NULL;
    struct log_record record;

    if (!may_log(r->user, LOG_LEVEL_INFO))
        return;
    begin(&record, LOG_LEVEL_INFO, "relay-ended", r->pid, r->identity);
    if (r->is_by_grant)
        log_record_add(&record, "holder_uid", "%u", r->holder_uid);
    log_record_add(&record, "request", "%" PRIu64, r->id);
    log_record_add(&record, "index", "%u", r->index);
    log_record_add(&record, "target", "%s", r->target);
    log_record_add(&record, "rule", "%s", r->stats->rule);
    log_record_add(&record, "end", "%s", relay_end_name(relay->end));
    if (failure && failure->code != ERROR_NONE)
        add_failure(&record, failure);
    log_record_add(&record, "bytes_sent", "%" PRIu64, relay->bytes_sent);
    log_record_add(&record, "bytes_received", "%" PRIu64, relay->bytes_received);
    add_time(&record, r->front, r->start_us);
    log_record_say(
        &record, "uid %u pid %d: %s: relay ended: %s, %" PRIu64 " bytes sent, %" PRIu64 " received",
        r->identity->uid, r->pid, r->target, relay_end_name(relay->end), relay->bytes_sent,
        relay->bytes_received);
    write_record(r->user, &record);
}

void audit_granted(struct peer *peer, const struct narrowing *narrowing)
{
    struct log_record record;

    if (!may_log(peer->user, LOG_LEVEL_INFO))
        return;
    begin_peer(&record, LOG_LEVEL_INFO, "granted", peer);
    log_record_add(&record, "count", "%zu", narrowing->n_patterns);
    add_narrowing(&record, narrowing);
    log_record_say(&record, "uid %u pid %d: made a grant of %zu pattern%s", peer->identity->uid,
                   peer->holder.pid, narrowing->n_patterns, narrowing->n_patterns == 1 ? "" : "s");
    write_record(peer->user, &record);
}

void audit_dropped(struct peer *peer, enum error_code code, const char *detail)
{
    struct log_record record;

    if (!may_log(peer->user, LOG_LEVEL_INFO))
        return;
    begin_peer(&record, LOG_LEVEL_INFO, "dropped", peer);
    log_record_add(&record, "code", "%s", error_name(code));
    log_record_add(&record, "detail", "%s", detail);
    log_record_say(&record, "uid %u pid %d: session dropped: %s: %s", peer->identity->uid,
                   peer->holder.pid, error_text(code), detail);
    write_record(peer->user, &record);
}
