/* The decision walks the rules from the first to the last. A rule counts when the client is one of
 * its clients and came in on its socket; then its `deny` goes before its `allow`, and the first of
 * either that matches ends the walk. Nothing here allocates, blocks, or looks outside its
 * arguments.
 *
 * A tls-name is a second name for the target, and so has to pass like the target itself: no `deny`
 * on the way may match it, and an `allow` of the deciding rule must.
 *
 * A rule that only reports decides what its patterns match like any other. Besides, it stands in
 * for an `allow` that is missing: of the TLS name in what it decides, and of the target where the
 * walk has come to its end. So it never takes a request from another rule, nor passes a `deny`. A
 * Unix socket, which no address class guards, always needs a pattern. */
#include "daemon/policy/policy.h"

#include <string.h>

#include "daemon/base/cgroup.h"

#define KINDS_SIZE sizeof "tcp, ktls, relay"

/* The failure's texts go to the client itself, whose own decisions are no secret to it. */
static bool deny(struct failure *ret_failure, const struct rule *rule, const char *what)
{
    if (rule)
        failure_format(ret_failure, ERROR_DENIED, 0, "rule '%s' %s", rule->name, what);
    else
        failure_format(ret_failure, ERROR_DENIED, 0, "%s", what);
    ret_failure->rule = rule;
    return false;
}

/* 65534 is what the kernel shows for an id that has no mapping in this user namespace, and -1 what
 * it shows for none at all: somebody, so nobody. */
static bool is_known(uint32_t id)
{
    return id != IDENTITY_OVERFLOW_ID && id != UINT32_MAX;
}

static bool is_in_group(const struct identity *identity, uint32_t gid)
{
    if (!is_known(gid))
        return false;
    if (identity->gid == gid)
        return true;
    for (size_t i = 0; i < identity->n_groups; i++)
        if (identity->groups[i] == gid)
            return true;
    return false;
}

static bool is_client_matched(const struct client_match *client, const struct identity *identity)
{
    switch (client->kind) {
    case CLIENT_UID:
        return is_known(client->id) && identity->uid == client->id;
    case CLIENT_GID:
        return is_in_group(identity, client->id);
    case CLIENT_UNIT:
        return identity->unit && strcmp(identity->unit, client->name) == 0;
    case CLIENT_CGROUP:
        return identity->cgroup && cgroup_is_within(identity->cgroup, client->name);
    }
    return false;
}

static bool is_listener_matched(const char *socket, const char *listener)
{
    if (!socket || !listener)
        return socket == listener;
    return strcmp(socket, listener) == 0;
}

static bool is_rule_for(const struct rule *rule, const struct identity *identity)
{
    if (!is_listener_matched(rule->socket, identity->listener))
        return false;
    for (size_t i = 0; i < rule->n_clients; i++)
        if (is_client_matched(&rule->clients[i], identity))
            return true;
    return false;
}

static bool is_allowed(const struct rule *rule, const struct target *target)
{
    for (size_t i = 0; i < rule->n_allow; i++)
        if (pattern_matches(&rule->allow[i], target))
            return true;
    return false;
}

static bool is_denied(const struct rule *rule, const struct target *target)
{
    for (size_t i = 0; i < rule->n_deny; i++)
        if (pattern_matches_any_form(&rule->deny[i], target))
            return true;
    return false;
}

bool rule_is_direct(const struct rule *rule, const struct target *target)
{
    if (rule->n_via == 0 || target->host_kind == HOST_PATH)
        return true;
    for (size_t i = 0; i < rule->n_no_proxy; i++)
        if (pattern_matches(&rule->no_proxy[i], target))
            return true;
    return false;
}

static void list_kinds(unsigned mask, char text[KINDS_SIZE])
{
    text[0] = '\0';
    for (unsigned kind = HANDOFF_TCP; kind <= HANDOFF_RELAY; kind <<= 1) {
        if (!(mask & kind))
            continue;
        if (text[0])
            strcat(text, ", ");
        strcat(text, handoff_name((enum handoff)kind));
    }
}

static void refuse_kinds(const struct rule *rule, unsigned accepted, struct failure *failure)
{
    char theirs[KINDS_SIZE], ours[KINDS_SIZE];

    list_kinds(accepted, theirs);
    list_kinds(rule->handoff, ours);
    failure_format(failure, ERROR_HANDOFF_KIND, 0,
                   "the client accepts only %s, and rule '%s' allows only %s", theirs, rule->name,
                   ours);
    failure->rule = rule;
}

static bool give_route(const struct config *config, const struct rule *rule, unsigned accepted,
                       bool is_reported, struct route *ret_route, struct failure *ret_failure)
{
    unsigned handoff = accepted & rule->handoff;

    if (handoff == 0) {
        refuse_kinds(rule, accepted, ret_failure);
        return false;
    }
    *ret_route = (struct route){.rule = rule,
                                .accepted = accepted,
                                .handoff = handoff,
                                .is_ktls_off = !config->ktls,
                                .is_reported = is_reported};
    return true;
}

/* The rule allows the target. named: NULL, or the target under its TLS name. */
static bool decide_by(const struct config *config, const struct rule *rule,
                      const struct target *named, unsigned accepted, struct route *ret_route,
                      struct failure *ret_failure)
{
    bool is_reported = named && !is_allowed(rule, named);

    if (is_reported && rule->mode != MODE_REPORT)
        return deny(ret_failure, rule, "allows the target, but not this TLS name");
    return give_route(config, rule, accepted, is_reported, ret_route, ret_failure);
}

bool policy_decide(const struct config *config, const struct identity *identity,
                   const struct target *target, const char *tls_name, unsigned handoff,
                   struct route *ret_route, struct failure *ret_failure)
{
    const struct rule *reporting = NULL; /* the first */
    bool has_rule = false;
    struct target named;

    if (!is_known(identity->uid))
        return deny(ret_failure, NULL,
                    "the client's user is unknown in the daemon's user namespace");
    if (tls_name && pattern_rename_target(target, tls_name, &named) < 0)
        return deny(ret_failure, NULL, "the TLS name is no host name");

    for (size_t i = 0; i < config->n_rules; i++) {
        const struct rule *rule = &config->rules[i];

        if (!is_rule_for(rule, identity))
            continue;
        has_rule = true;
        if (is_denied(rule, target))
            return deny(ret_failure, rule, "denies this target");
        if (tls_name && is_denied(rule, &named))
            return deny(ret_failure, rule, "denies this TLS name");
        if (!is_allowed(rule, target)) {
            if (!reporting && rule->mode == MODE_REPORT)
                reporting = rule;
            continue;
        }
        return decide_by(config, rule, tls_name ? &named : NULL, handoff, ret_route, ret_failure);
    }
    if (reporting && target->host_kind != HOST_PATH)
        return give_route(config, reporting, handoff, true, ret_route, ret_failure);
    return deny(ret_failure, NULL,
                has_rule ? "no rule allows this target to this client"
                         : "no rule is for this client on this socket");
}
