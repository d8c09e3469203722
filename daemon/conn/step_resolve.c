/* Names and literals to the addresses that the rule permits, in the order of attempts (RFC 8305, 4:
 * families interleaved, IPv6 first). What is not permitted is never connected to, and with nothing
 * left the request is denied. Proxies are where the operator has put them, at whatever address.
 */
#include "daemon/conn/conn.h"

#include <errno.h>
#include <stdlib.h>

static void lookup_done(struct lookup *lookup, const struct address_list *addresses,
                        const struct failure *failure);

static bool is_of_proxy(const struct conn *conn)
{
    return conn_step(conn)->hop > 0;
}

/* A target that proxies connect to. */
static bool is_behind(const struct conn *conn)
{
    return !is_of_proxy(conn) && conn->params->plan.n_via > 0;
}

/* AF_UNSPEC: of no family in particular. */
static sa_family_t source_family(const struct conn *conn)
{
    const struct source *source = is_behind(conn) ? NULL : conn->params->plan.source;

    return source ? source->address.family : AF_UNSPEC;
}

/* SOCKS 4 has no room for others. */
static bool is_for_ipv4_only(const struct conn *conn)
{
    const struct plan *plan = &conn->params->plan;
    enum proxy_kind kind =
        is_behind(conn) ? plan_proxy(plan, (unsigned)plan->n_via)->kind : PROXY_HTTP;

    return kind == PROXY_SOCKS4 || kind == PROXY_SOCKS4A;
}

static sa_family_t wanted_family(const struct conn *conn)
{
    switch (is_of_proxy(conn) ? 0 : conn->params->family) {
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

    return (address->family == AF_INET || !is_for_ipv4_only(conn)) &&
           (family == AF_UNSPEC || family == address->family) &&
           (source == AF_UNSPEC || source == address->family);
}

/* Takes alternately the next IPv6 and the next IPv4 address of `from`. */
static void interleave(const struct address_list *from, struct address *to)
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
                *to++ = from->items[next[f]++];
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
    else if (is_for_ipv4_only(conn))
        failure_format(&conn->failure, ERROR_NO_ADDRESS, 0,
                       "no IPv4 address, and the last proxy knows no other by socks4");
    else
        failure_format(&conn->failure, ERROR_NO_ADDRESS, 0, "no IPv%u address",
                       conn->params->family);
}

/* Returns 0 or -ENOMEM. */
static int keep(struct conn *conn, const struct address_list *permitted)
{
    if (is_behind(conn)) {
        conn->targets = malloc(sizeof *conn->targets);
        if (!conn->targets)
            return -ENOMEM;
        conn->targets->n = permitted->n;
        interleave(permitted, conn->targets->items);
    } else {
        conn->n_candidates = permitted->n;
        interleave(permitted, conn->candidates);
    }
    return 0;
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
        if (is_of_proxy(conn) || class & conn->params->addresses) {
            permitted.items[permitted.n++] = *a;
        } else if (!denied) {
            denied = a;
            denied_class = class;
        }
    }
    if (permitted.n > 0) {
        if (keep(conn, &permitted) == 0)
            return STEP_DONE;
        failure_set(&conn->failure, ERROR_NO_RESOURCES, ENOMEM);
    } else if (denied) {
        fail_denied(denied, denied_class, &conn->failure);
    } else {
        fail_without_address(conn);
    }
    return STEP_FAIL;
}

bool conn_may_reach(const struct conn_env *env, const struct target *target, unsigned addresses,
                    struct failure *ret_failure)
{
    struct address address;
    enum address_class class;

    if (!address_of_target(target, &address))
        return true;
    class = own_addresses_class(env->own, &address, ring_now_us(env->ring));
    if (class & addresses)
        return true;
    fail_denied(&address, class, ret_failure);
    return false;
}

static enum step_result start(struct conn *conn)
{
    const struct target *endpoint = conn_endpoint(conn);
    struct address_list literal = {.n = 1};

    if (address_of_target(endpoint, &literal.items[0]))
        return filter(conn, &literal);
    lookup_init(&conn->lookup, wanted_family(conn), conn->params->payer, lookup_done);
    resolver_lookup(conn->env->resolver, &conn->lookup, endpoint->host);
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
    if (conn_endpoint(conn)->host_kind == HOST_NAME)
        resolver_cancel(conn->env->resolver, &conn->lookup);
}

static bool is_idle(const struct conn *conn)
{
    (void)conn;
    return true;
}

const struct step step_resolve = {start, cancel, is_idle};
