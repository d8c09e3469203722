/* A chain of levels, from the last grant made to the first. A level is immutable but for its count
 * of sessions; its patterns are what `allow` takes and are matched as there, to the letter.
 *
 * The memory is charged to the user of the grant before it is there: by the size of the structure
 * and of the texts, which is what parsing at most keeps of them. Levels below the first may take
 * only one half of what there is, so that who is given a grant cannot use up its maker's. */
#include "daemon/policy/narrowing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/cleanup.h"

static unsigned size_of(const struct message_grant *m)
{
    size_t n = sizeof(struct narrowing) + m->n_patterns * sizeof(struct pattern);

    for (size_t i = 0; i < m->n_patterns; i++)
        n += m->patterns[i].n + 1;
    return (unsigned)n;
}

static struct narrowing *allocate(struct narrowing *parent, struct quota *quota,
                                  const struct message_grant *m, struct failure *failure)
{
    unsigned max = parent ? NARROWING_BYTES_PER_USER_MAX / 2 : NARROWING_BYTES_PER_USER_MAX;
    CLEANUP(charge_deinit) struct charge charge = {.quota = quota_ref(quota)};
    struct narrowing *n;

    if (parent && parent->depth == NARROWING_DEPTH_MAX) {
        failure_format(failure, ERROR_OVER_LIMIT, 0, "a grant can be narrowed %u times",
                       NARROWING_DEPTH_MAX - 1);
        return NULL;
    }
    if (!charge_add(&charge, QUOTA_GRANT_BYTES, size_of(m), max)) {
        failure_format(failure, ERROR_OVER_LIMIT, 0, "the patterns of this user's grants");
        return NULL;
    }
    n = calloc(1, sizeof *n + m->n_patterns * sizeof n->patterns[0]);
    if (!n) {
        failure_set(failure, ERROR_NO_RESOURCES, 0);
        return NULL;
    }
    n->n_references = 1;
    n->parent = parent ? narrowing_ref(parent) : NULL;
    n->depth = parent ? parent->depth + 1 : 1;
    n->charge = charge_take(&charge);
    return n;
}

static bool parse_pattern(struct text text, struct pattern *ret, struct failure *failure)
{
    char copy[MESSAGE_PATTERN_MAX + 1] = "";
    const char *error;
    int r;

    memcpy(copy, text.data, text.n);
    r = pattern_parse(copy, ret, &error);
    if (r == -ENOMEM)
        failure_set(failure, ERROR_NO_RESOURCES, 0);
    else if (r < 0)
        failure_format(failure, ERROR_BAD_OPTION, 0, "%.*s: %s", MESSAGE_DETAIL_MAX / 2, copy,
                       error);
    return r == 0;
}

static void note_text(struct narrowing *n, struct text pattern)
{
    size_t used = strlen(n->text);

    snprintf(n->text + used, sizeof n->text - used, "%s%.*s", used > 0 ? " " : "", (int)pattern.n,
             pattern.data);
}

bool narrowing_new(struct narrowing **ret, struct narrowing *parent, struct quota *quota,
                   const struct message_grant *m, struct failure *failure)
{
    struct narrowing *n = allocate(parent, quota, m, failure);

    if (!n)
        return false;
    for (; n->n_patterns < m->n_patterns; n->n_patterns++) {
        note_text(n, m->patterns[n->n_patterns]);
        if (!parse_pattern(m->patterns[n->n_patterns], &n->patterns[n->n_patterns], failure)) {
            narrowing_unref(n);
            return false;
        }
    }
    *ret = n;
    return true;
}

struct narrowing *narrowing_ref(struct narrowing *narrowing)
{
    narrowing->n_references++;
    return narrowing;
}

struct narrowing *narrowing_unref(struct narrowing *n)
{
    while (n && --n->n_references == 0) {
        struct narrowing *parent = n->parent;

        for (size_t i = 0; i < n->n_patterns; i++)
            pattern_deinit(&n->patterns[i]);
        charge_deinit(&n->charge);
        free(n);
        n = parent;
    }
    return NULL;
}

static bool is_matched(const struct narrowing *n, const struct target *target)
{
    for (size_t i = 0; i < n->n_patterns; i++)
        if (pattern_matches(&n->patterns[i], target))
            return true;
    return false;
}

static bool deny(struct failure *failure, const struct narrowing *n, const char *detail)
{
    failure_format(failure, ERROR_DENIED, 0, "%s", detail);
    failure->narrowing = n;
    return false;
}

bool narrowing_covers(const struct narrowing *narrowing, const struct target *target,
                      const char *tls_name, struct failure *failure)
{
    struct target named;

    if (narrowing && tls_name && pattern_rename_target(target, tls_name, &named) < 0)
        return deny(failure, NULL, "the TLS name is no host name");
    for (const struct narrowing *n = narrowing; n; n = n->parent) {
        if (!is_matched(n, target))
            return deny(failure, n, "the grant does not cover this target");
        if (tls_name && !is_matched(n, &named))
            return deny(failure, n, "the grant covers the target, but not this TLS name");
    }
    return true;
}

bool narrowing_add_session(struct narrowing *narrowing)
{
    for (const struct narrowing *n = narrowing; n; n = n->parent)
        if (n->n_sessions == NARROWING_SESSIONS_MAX)
            return false;
    for (struct narrowing *n = narrowing; n; n = n->parent)
        n->n_sessions++;
    return true;
}

void narrowing_remove_session(struct narrowing *narrowing)
{
    for (struct narrowing *n = narrowing; n; n = n->parent)
        n->n_sessions--;
}
