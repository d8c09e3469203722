/* Questions to name servers, over UDP and TCP, with retries: c-ares on ring polls. dns.c is the
 * only file that knows c-ares. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "daemon/base/list.h"
#include "daemon/resolve/dns_message.h"
#include "daemon/ring/ring.h"

#define DNS_UDP_SIZE 1232 /* the EDNS buffer size that avoids fragments (DNS Flag Day 2020) */

struct dns;
struct dns_channel;
struct dns_query;
typedef void dns_fn(struct dns_query *query);

/* A question under way, embedded in its owner, who must keep it until the callback or dns_free().
 */
struct dns_query {
    dns_fn *fn;
    const char *name; /* canonical, without trailing dot; the owner's */
    int family;       /* AF_INET or AF_INET6 */
    struct dns_answer answer;
    struct dns_channel *channel;
    struct list node; /* answered, callback not called yet */
};

/* The options hosts_path and cache_max are not looked at. Returns 0, -ENOMEM, or -EINVAL for
 * servers that cannot be parsed. */
int dns_new(struct dns **ret, struct ring *ring, const struct resolver_options *options);
/* Forgets all queries without callback. Closes all sockets, for which it turns the ring until their
 * polls have ended; so never from inside a callback of the ring. */
struct dns *dns_free(struct dns *dns);

/* Notices a change of resolv.conf (at most one stat a second): from then on questions go to its
 * servers; those under way stay with the old ones. Returns true if the servers are new ones. */
bool dns_refresh(struct dns *dns);
/* The same for the configuration's servers; NULL: those of resolv.conf. Returns 1 if they are new
 * ones, 0 if not, or as dns_new, with the old ones in place. */
int dns_set_servers(struct dns *dns, const char *servers);
/* Fills query->answer and calls back, always from a later ring turn. */
void dns_ask(struct dns *dns, struct dns_query *query, dns_fn *fn, const char *name, int family);
