/* Names and literals to the addresses that the rule permits, in the order of attempts (RFC 8305, 4:
 * families interleaved, IPv6 first). What is not permitted is never connected to, and with nothing
 * left the request is denied.
 */
#include "daemon/conn/conn.h"

static void lookup_done(struct lookup *lookup, const struct address_list *addresses,
                        const struct failure *failure);

/* AF_UNSPEC: of no family in particular. */
static sa_family_t source_family(const struct conn *conn)
{
    const struct source *source = conn->params->plan.source;

    return source ? source->address.family : AF_UNSPEC;
}

static sa_family_t wanted_family(const struct conn *conn)
{
    switch (conn->params->family) {
    case 4:
        return AF_INET;
    case 6:
        return AF_INET6;
    default:
        return source_family(conn);
    }
}

static bool is_wanted(const struct conn *conn, const struct address *address)
{
    sa_family_t family = wanted_family(conn);
    sa_family_t source = source_family(conn);

    return (family == AF_UNSPEC || family == address->family) &&
           (source == AF_UNSPEC || source == address->family);
}

/* Takes alternately the next IPv6 and the next IPv4 address of `from`. */
static void interleave(struct conn *conn, const struct address_list *from)
{
    size_t next[2] = {0, 0};
    const sa_family_t families[2] = {AF_INET6, AF_INET};
    bool is_left = true;

    while (is_left) {
        is_left = false;
        for (int f = 0; f < 2; f++) {
            while (next[f] < from->n && from->items[next[f]].family != families[f])
                next[f]++;
            if (next[f] < from->n) {
                conn->candidates[conn->n_candidates++] = from->items[next[f]++];
                is_left = true;
            }
        }
    }
}

static void fail_denied(const struct address *address, enum address_class class,
                        struct failure *failure)
{
    char text[ADDRESS_TEXT_MAX];

    address_format(address, text);
    failure_format(failure, ERROR_DENIED_ADDRESS, 0, "%s is %s, which the rule does not permit",
                   text,
                   class == ADDRESS_CLASS_NONE ? "no unicast address" : address_class_name(class));
}

/* There are addresses, but of the other family. */
static void fail_without_address(struct conn *conn)
{
    sa_family_t source = source_family(conn);

    if (source != AF_UNSPEC)
        failure_format(&conn->failure, ERROR_NO_ADDRESS, 0,
                       "no address of the source's family: the rule connects from an IPv%u address",
                       source == AF_INET ? 4 : 6);
    else
        failure_format(&conn->failure, ERROR_NO_ADDRESS, 0, "no IPv%u address",
                       conn->params->family);
}

static enum step_result filter(struct conn *conn, const struct address_list *addresses)
{
    struct address_list permitted = {.n = 0};
    const struct address *denied = NULL;
    enum address_class denied_class = ADDRESS_CLASS_NONE;

    for (size_t i = 0; i < addresses->n; i++) {
        const struct address *a = &addresses->items[i];
        enum address_class class;

        if (!is_wanted(conn, a))
            continue;
        class = own_addresses_class(conn->env->own, a, ring_now_us(conn->env->ring));
        if (class & conn->params->addresses) {
            permitted.items[permitted.n++] = *a;
        } else if (!denied) {
            denied = a;
            denied_class = class;
        }
    }
    interleave(conn, &permitted);
    if (conn->n_candidates > 0)
        return STEP_DONE;
    if (denied)
        fail_denied(denied, denied_class, &conn->failure);
    else
        fail_without_address(conn);
    return STEP_FAIL;
}

/* Whether the target is written with an address. */
static bool has_literal(const struct target *target, struct address *ret)
{
    switch (target->host_kind) {
    case HOST_IPV4:
        *ret = (struct address){.family = AF_INET, .ipv4 = target->ipv4};
        return true;
    case HOST_IPV6:
        *ret = (struct address){.family = AF_INET6, .ipv6 = target->ipv6};
        return true;
    case HOST_NAME:
    case HOST_PATH:
        break;
    }
    return false;
}

bool conn_may_reach(const struct conn_env *env, const struct target *target, unsigned addresses,
                    struct failure *ret_failure)
{
    struct address address;
    enum address_class class;

    if (!has_literal(target, &address))
        return true;
    class = own_addresses_class(env->own, &address, ring_now_us(env->ring));
    if (class & addresses)
        return true;
    fail_denied(&address, class, ret_failure);
    return false;
}

static enum step_result start(struct conn *conn)
{
    const struct target *target = &conn->params->target;
    struct address_list literal = {.n = 1};

    if (has_literal(target, &literal.items[0]))
        return filter(conn, &literal);
    lookup_init(&conn->lookup, wanted_family(conn), conn->params->payer, lookup_done);
    resolver_lookup(conn->env->resolver, &conn->lookup, target->host);
    return STEP_WAIT;
}

/* Also called from inside resolver_lookup(), so the step always waits. */
static void lookup_done(struct lookup *lookup, const struct address_list *addresses,
                        const struct failure *failure)
{
    struct conn *conn = container_of(lookup, struct conn, lookup);

    if (failure->code == ERROR_NONE) {
        conn_continue(conn, filter(conn, addresses));
        return;
    }
    conn->failure = *failure;
    conn_continue(conn, STEP_FAIL);
}

static void cancel(struct conn *conn)
{
    if (conn->params->target.host_kind == HOST_NAME)
        resolver_cancel(conn->env->resolver, &conn->lookup);
}

static bool is_idle(const struct conn *conn)
{
    (void)conn;
    return true;
}

const struct step step_resolve = {start, cancel, is_idle};
