/* The decision: who asks for what → a route, or a refusal. Pure; asks nothing of the network.
 *
 * The first rule whose client and target match decides. A `deny` of any rule that matches the
 * client and comes before it is final. Nothing matches: denied, or let through by the first rule
 * for this client that only reports. */
#pragma once

#include <sys/types.h>

#include "daemon/base/failure.h"
#include "daemon/policy/config.h"
#include "proto/message.h"

#define IDENTITY_GROUPS_MAX  65536 /* NGROUPS_MAX */
#define IDENTITY_OVERFLOW_ID 65534 /* somebody unmapped: matches nothing */

struct identity {
    unsigned n_references; /* front/identity.h */
    uid_t uid;
    gid_t gid;
    gid_t *groups; /* supplementary */
    size_t n_groups;
    char *cgroup;         /* path from the root; NULL: unknown, or not asked for yet */
    char *unit;           /* the system unit; NULL: none, or likewise */
    bool has_cgroup;      /* it was asked for */
    const char *listener; /* name of the socket it came in on; NULL: the default one */
};

/* What the decided rule makes of the request; valid as long as the config is. */
struct route {
    const struct rule *rule;
    unsigned accepted; /* mask: the client's */
    unsigned handoff;  /* of these, the rule's */
    bool is_ktls_off;  /* by the configuration */
    /* Let through by `mode = report` alone: nothing that proves who we are (credentials, client
     * certificates) may be presented. */
    bool is_reported;
};

/* Whether the target is reached without the rule's proxies: it has none, `no-proxy` names the
 * target, or it is a Unix socket. No name is looked up for this. */
bool rule_is_direct(const struct rule *rule, const struct target *target);

/* tls_name: NULL, or the request's, canonical. handoff: the client's mask.
 * Returns true with a route, false with a failure (DENIED, HANDOFF_KIND) and the rule, if one
 * decided. */
bool policy_decide(const struct config *config, const struct identity *identity,
                   const struct target *target, const char *tls_name, unsigned handoff,
                   struct route *ret_route, struct failure *ret_failure);
