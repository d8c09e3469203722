/* explain: the decision and the plan, without connecting or asking DNS. What another user would get
 * is for root and the daemon's own user only. */
#include "daemon/front/report.h"

#include <string.h>
#include <unistd.h>

#include "daemon/front/identity.h"
#include "daemon/front/request.h"

static void send_explained(struct peer *peer, uint64_t id, const struct message_explained *m)
{
    struct front *front = peer->front;

    peer_send_bytes(peer, front->scratch,
                    message_encode_explained(front->scratch, sizeof front->scratch, id, m));
}

static void explain_failure(struct peer *peer, uint64_t id, struct text who,
                            const struct failure *failure)
{
    struct message_explained m = {.code = failure->code, .who = who};

    if (failure->detail[0])
        m.detail = text_of(failure->detail);
    send_explained(peer, id, &m);
}

/* Nobody is it through a grant, which is for targets. */
bool report_may_tell_all(const struct peer *peer)
{
    return !peer->narrowing && (peer->identity->uid == 0 || peer->identity->uid == getuid());
}

/* Whose rights are asked about: the peer's own, or as_user's. */
static bool find_identity(struct peer *peer, struct text as_user, struct identity **ret,
                          struct failure *failure)
{
    char user[MESSAGE_USER_MAX + 1] = "";
    int r;

    if (!report_may_tell_all(peer)) {
        failure_format(failure, ERROR_DENIED, 0,
                       "only root and the daemon's user may ask for others");
        return false;
    }
    memcpy(user, as_user.data, as_user.n);
    r = identity_new_user(ret, user, peer->identity->listener);
    if (r == 0)
        return true;
    failure_format(failure, ERROR_BAD_OPTION, -r, "no such user: %s", user);
    return false;
}

/* An address in the target, for which no rule after this one is tried. */
static bool check_address(const struct front *front, const struct target *target,
                          const struct route *route, struct failure *ret_failure)
{
    struct failure failure;

    if (conn_may_reach(&front->env, target, route->rule->addresses, &failure))
        return true;
    failure_format(ret_failure, failure.code, 0, "rule '%s': %s", route->rule->name,
                   failure.detail);
    return false;
}

static void explain_as(struct peer *peer, uint64_t id, const struct identity *identity,
                       struct text text)
{
    struct message_explained m = {0};
    char who[IDENTITY_TEXT_MAX + 1];
    char plan_text[PLAN_TEXT_MAX];
    struct failure failure;
    struct target target;
    struct route route;
    struct plan plan;

    identity_format(identity, who);
    if (!peer->narrowing) /* it says nothing about a grant's maker to its holders */
        m.who = text_of(who);
    if (!request_route(peer->front, identity, peer->narrowing, text, NULL, HANDOFF_ALL, &target,
                       &route, &plan, &failure) ||
        !check_address(peer->front, &target, &route, &failure)) {
        explain_failure(peer, id, m.who, &failure);
        return;
    }
    plan_format(&plan, &target, NULL, plan_text);
    m.rule = text_of(route.rule->name);
    m.plan = text_of(plan_text);
    if (route.is_reported)
        m.detail = text_of("no rule allows this: it would be denied, but the rule only reports");
    send_explained(peer, id, &m);
}

static void explain(struct peer *peer, uint64_t id, const struct message_explain *message)
{
    struct identity *other;
    struct failure failure;

    if (!message->as_user.data) {
        identity_read_cgroup(peer->identity, &peer->holder);
        explain_as(peer, id, peer->identity, message->target);
        return;
    }
    if (!find_identity(peer, message->as_user, &other, &failure)) {
        explain_failure(peer, id, (struct text){0}, &failure);
        return;
    }
    explain_as(peer, id, other, message->target);
    identity_unref(other);
}

void report_explain(struct peer *peer, const struct wire_head *head, struct wire_reader reader)
{
    struct message_explain message;
    const char *error;

    if (message_decode_explain(reader, &message, &error) < 0)
        peer_fail(peer, ERROR_BAD_MESSAGE, error);
    else
        explain(peer, head->id, &message);
}
