/* Names to addresses: /etc/hosts, then DNS by c-ares on ring polls, cached. One resolver per worker.
 *
 * Answers of both families are asked for at once and cached for their TTL; negative answers too.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/base/failure.h"
#include "daemon/base/list.h"
#include "daemon/ring/ring.h"
#include "proto/target.h"

#define RESOLVE_ADDRESSES_MAX   32   /* kept of one answer */
#define RESOLVE_CACHE_MAX       4096 /* names, per worker */
#define RESOLVE_TTL_MAX_S       3600
#define RESOLVE_NEGATIVE_TTL_S  10
#define RESOLVE_TIMEOUT_MS      5000 /* first try of one server */
#define RESOLVE_TRIES           3

struct address {
    sa_family_t family; /* AF_INET or AF_INET6 */
    union {
        struct in_addr ipv4;
        struct in6_addr ipv6;
    };
};

struct address_list {
    struct address items[RESOLVE_ADDRESSES_MAX];
    size_t n;
};

struct resolver_options {
    const char *servers;    /* "192.0.2.1,192.0.2.2:5353,[2001:db8::1]:53"; NULL: resolv.conf */
    const char *hosts_path; /* NULL: /etc/hosts */
};

struct resolver;
struct lookup;
/* failure->code is ERROR_NONE on success; both pointers live until the call returns. */
typedef void lookup_fn(struct lookup *lookup, const struct address_list *addresses,
                       const struct failure *failure);

struct lookup {
    lookup_fn *fn;
    struct list node; /* among those who wait for the same answer */
};

int resolver_new(struct resolver **ret, struct ring *ring, const struct resolver_options *options);
struct resolver *resolver_free(struct resolver *r); /* no lookup may be waiting */

void lookup_init(struct lookup *lookup, lookup_fn *fn);
/* `name` is a canonical host name (proto/target.h). Returns true when the answer was at hand and the
 * callback has already been called, from inside; false when it will be. */
bool resolver_lookup(struct resolver *r, struct lookup *lookup, const char *name);
/* No callback any more. Harmless when none is waiting. */
void resolver_cancel(struct resolver *r, struct lookup *lookup);

struct resolver_stats {
    uint64_t lookups, cache_hits, queries, failures;
    size_t cached;
};
void resolver_stats(const struct resolver *r, struct resolver_stats *ret);
