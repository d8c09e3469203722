/* What a grant was narrowed to: patterns that a target has to match besides all rules. A grant made
 * through another one adds a level, and every level has to match: it never widens.
 *
 * Levels are shared by grants and sessions of one worker, which alone may touch them. */
#pragma once

#include "daemon/base/failure.h"
#include "daemon/base/quota.h"
#include "daemon/policy/pattern.h"
#include "proto/message.h"

#define NARROWING_DEPTH_MAX          8
#define NARROWING_TEXT_MAX           255 /* bytes of the patterns that are kept for the log */
#define NARROWING_SESSIONS_MAX       256 /* of a level and of those below it */
#define NARROWING_BYTES_PER_USER_MAX (16 * 1024 * 1024) /* in all workers */

struct narrowing {
    unsigned n_references;
    struct narrowing *parent;          /* NULL: the widest */
    unsigned depth;                    /* from 1 */
    unsigned n_sessions;               /* that have this level */
    struct charge charge;              /* its bytes */
    char text[NARROWING_TEXT_MAX + 1]; /* the patterns as they were given, cut */
    size_t n_patterns;
    struct pattern patterns[];
};

/* One level more than `parent` (NULL: the first), charged to `quota`. Returns true, or false with a
 * failure: BAD_OPTION with the first bad pattern and what is wrong with it, OVER_LIMIT,
 * NO_RESOURCES. */
bool narrowing_new(struct narrowing **ret, struct narrowing *parent, struct quota *quota,
                   const struct message_grant *message, struct failure *ret_failure);
struct narrowing *narrowing_ref(struct narrowing *narrowing);
struct narrowing *narrowing_unref(struct narrowing *narrowing); /* NULL is fine; returns NULL */

/* Whether every level covers the target, and the name that TLS is to ask for (canonical; NULL:
 * none); else false with a failure and the level that does not. NULL covers everything. */
bool narrowing_covers(const struct narrowing *narrowing, const struct target *target,
                      const char *tls_name, struct failure *ret_failure);

/* Counts a session on every level, unless one has NARROWING_SESSIONS_MAX; returns whether it did.
 */
bool narrowing_add_session(struct narrowing *narrowing);
void narrowing_remove_session(struct narrowing *narrowing);
