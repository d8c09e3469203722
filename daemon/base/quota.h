/* What one user has under way by one rule, over all workers. Charged before anything is allocated,
 * given back on every path. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum quota_kind {
    QUOTA_PENDING, /* connections being set up or not yet delivered */
    QUOTA_RELAYS,
    QUOTA_SESSIONS, /* of the user, whatever the rules: on the account of the rule "" */
    QUOTA_OUTGOING, /* bytes of messages to him that are not yet sent, likewise */
};

#define QUOTA_KINDS 4

struct quota_table;
struct quota;

int quota_table_new(struct quota_table **ret);
struct quota_table *quota_table_free(struct quota_table *table);

/* The account of uid and rule, made where there is none; each get needs a put. NULL without memory.
 */
struct quota *quota_get(struct quota_table *table, uid_t uid, const char *rule);
struct quota *quota_ref(struct quota *quota);
struct quota *quota_put(struct quota *quota); /* NULL is fine; returns NULL */

/* Adds n unless that would be more than max; returns whether it did. */
bool quota_charge(struct quota *quota, enum quota_kind kind, unsigned n, unsigned max);
void quota_release(struct quota *quota, enum quota_kind kind, unsigned n);
