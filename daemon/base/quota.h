/* What one user has under way by one rule, over all workers. Charged before anything is allocated,
 * given back on every path: an account that is left by its last holder must be empty.
 *
 * Whoever causes something holds a `struct charge`, adds to it, and deinitialises it with itself.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum quota_kind {
    QUOTA_PENDING, /* connections being set up or not yet delivered */
    QUOTA_RELAYS,
    QUOTA_SESSIONS,    /* of the user, whatever the rules: on the account of the rule "" */
    QUOTA_OUTGOING,    /* bytes of messages to him that are not yet sent, likewise */
    QUOTA_QUESTIONS,   /* names being looked up for him, likewise */
    QUOTA_GRANTS,      /* likewise, */
    QUOTA_GRANT_BYTES, /* and what they keep in memory */
    QUOTA_INBOX,       /* bytes of messages from him that wait for his turn, likewise */
    QUOTA_UNTAKEN,     /* fds sent to him that wait in his sockets, likewise */
    QUOTA_KINDS,       /* their number */
};

#define QUOTA_TOKENS_MAX 64 /* taken at once from a rate */

struct quota_table;
struct quota;

int quota_table_new(struct quota_table **ret);
/* Nobody holds an account any more. */
struct quota_table *quota_table_free(struct quota_table *table);
/* Accounts that somebody holds. */
unsigned quota_table_count(struct quota_table *table);

/* The account of uid and rule, made where there is none; each get needs a put. NULL without memory.
 */
struct quota *quota_get(struct quota_table *table, uid_t uid, const char *rule);
struct quota *quota_ref(struct quota *quota);
struct quota *quota_put(struct quota *quota); /* NULL is fine; returns NULL */

/* What one holder has charged to one account. */
struct charge {
    struct quota *quota; /* owned; NULL: nothing is charged */
    unsigned n[QUOTA_KINDS];
};

/* Adds n unless the account would then have more than max; returns whether it did. */
bool charge_add(struct charge *charge, enum quota_kind kind, unsigned n, unsigned max);
void charge_sub(struct charge *charge, enum quota_kind kind, unsigned n);
/* Hands n of it over to another holder, who may be new (all zero). */
void charge_move(struct charge *from, struct charge *to, enum quota_kind kind, unsigned n);
/* Gives all of it back. */
void charge_deinit(struct charge *charge);

/* Hands all of it over: `from` is empty then. */
static inline struct charge charge_take(struct charge *from)
{
    struct charge taken = *from;

    *from = (struct charge){0};
    return taken;
}

/* So many in such a time. The account has a bucket of them for each second, or for as long as one
 * takes. */
struct quota_rate {
    uint32_t n; /* 0: no limit */
    uint32_t period_s;
};

/* Takes n tokens (at most QUOTA_TOKENS_MAX). Returns 0, or in how many microseconds they will be
 * there; then none is taken. More than the bucket holds are given when it is full, and have to be
 * made up for. */
uint64_t quota_take(struct quota *quota, const struct quota_rate *rate, unsigned n,
                    uint64_t now_us);
