/* Records by name in a balanced tree (tsearch(3)). Clients choose the names, so a hash table would
 * need a secret; a tree stays at log n whatever they choose. The record's first member is
 * `const char *name`. */
#pragma once

#include <search.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static inline int names_compare(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

static inline void *names_find(void *const *tree, const char *name)
{
    void *node = tfind(&name, tree, names_compare);

    return node ? *(void **)node : NULL;
}

/* The name must not be there yet. False: out of memory. */
static inline bool names_insert(void **tree, void *record)
{
    return tsearch(record, tree, names_compare) != NULL;
}

static inline void names_remove(void **tree, const void *record)
{
    tdelete(record, tree, names_compare);
}
