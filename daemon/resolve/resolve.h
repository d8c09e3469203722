/* Names to addresses: /etc/hosts, then DNS by c-ares on ring polls, cached. One resolver per
 * worker.
 *
 * Both families are asked for at once. If one fails and the other has addresses, that is success.
 * Answers are cached for their TTL, negative ones as RFC 2308 says; servers that fail or are silent
 * are not cached. Lookups of one name at the same time share one question per family.
 *
 * No search lists, no NSS. `localhost` and what is below it is loopback without a question (RFC
 * 6761, 6.3), `.onion` does not exist (RFC 7686, 2). A change of hosts or resolv.conf counts within
 * a second. After a change of the servers nothing that the old ones say is given to later lookups.
 *
 * In an answer the IPv6 addresses come first, each family in the order it was received.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/base/address.h"
#include "daemon/base/failure.h"
#include "daemon/base/list.h"
#include "daemon/base/quota.h"
#include "daemon/ring/ring.h"
#include "proto/target.h"

#define RESOLVE_ADDRESSES_MAX 32   /* kept of one answer */
#define RESOLVE_CACHE_MAX     4096 /* names, per worker */
#define RESOLVE_QUESTIONS_MAX 4096 /* names asked for at the same time, per worker */
#define RESOLVE_QUESTIONS_USER_MAX                                                                 \
    1024 /* for one account, in all workers; they outlive a lookup that is cancelled */
#define RESOLVE_TTL_MAX_S          3600
#define RESOLVE_NEGATIVE_TTL_S     10   /* without SOA; and where one family could not be had */
#define RESOLVE_NEGATIVE_TTL_MAX_S 900  /* whatever the SOA says */
#define RESOLVE_TIMEOUT_MS         2000 /* first try of one server; doubled with each round */
#define RESOLVE_TRIES              3
/* Once a family has answered with addresses, the other one gets this long (RFC 8305, 3, has 50 ms,
 * but there the late family is still used; servers that swallow AAAA questions are rare). */
#define RESOLVE_PATIENCE_MS 500

struct address_list {
    struct address items[RESOLVE_ADDRESSES_MAX];
    size_t n;
};

/* All copied. NULL and 0 stand for the default. */
struct resolver_options {
    const char
        *servers; /* "192.0.2.1,192.0.2.2:5353,[2001:db8::1]:53"; NULL: those of resolv.conf */
    const char
        *resolv_conf_path;  /* NULL: /etc/resolv.conf; its timeout and attempts do not count */
    const char *hosts_path; /* NULL: /etc/hosts */
    uint16_t port;          /* of servers that come without one; 53 */
    unsigned timeout_ms;    /* RESOLVE_TIMEOUT_MS */
    unsigned tries;         /* RESOLVE_TRIES */
    size_t cache_max;       /* RESOLVE_CACHE_MAX */
};

struct resolver;
struct lookup;
/* failure->code is ERROR_NONE on success, else NO_NAME, NO_ADDRESS, RESOLVE_FAILED, OVER_LIMIT or
 * NO_RESOURCES, and the list is empty. Both pointers live until the call returns. The callback may
 * look up, cancel, and free its own lookup; it must not free the resolver. */
typedef void lookup_fn(struct lookup *lookup, const struct address_list *addresses,
                       const struct failure *failure);

struct lookup {
    lookup_fn *fn;
    sa_family_t family;
    struct quota *payer; /* NULL: nobody's account */
    struct list node;    /* among those who wait for the same answer */
};

/* Returns 0, -ENOMEM, or -EINVAL for servers that cannot be parsed. */
int resolver_new(struct resolver **ret, struct ring *ring, const struct resolver_options *options);
/* The servers to ask from now on, as in the options. Returns 0, or as resolver_new, with the old
 * ones in place. */
int resolver_set_servers(struct resolver *r, const char *servers);
/* No lookup may be waiting; questions may. Turns the ring until the polls on its sockets have
 * ended, so it must not be called from inside a callback of the ring, and ops of others may call
 * back. */
struct resolver *resolver_free(struct resolver *r);

/* family: the one that is wanted and so waited for, or AF_UNSPEC. */
void lookup_init(struct lookup *lookup, sa_family_t family, struct quota *payer, lookup_fn *fn);
/* `name` is a canonical host name (proto/target.h). Returns true when the answer was at hand and
 * the callback has already been called, from inside; false when it will be. */
bool resolver_lookup(struct resolver *r, struct lookup *lookup, const char *name);
/* No callback any more. Harmless when none is waiting. The question itself goes on, into the cache.
 */
void resolver_cancel(struct resolver *r, struct lookup *lookup);

struct resolver_stats {
    uint64_t lookups, cache_hits;
    uint64_t queries;  /* asked of DNS: one per name and family, without c-ares' retries */
    uint64_t failures; /* lookups told a failure */
    size_t cached;     /* names */
    size_t questions;  /* names under way */
};
void resolver_stats(const struct resolver *r, struct resolver_stats *ret);
