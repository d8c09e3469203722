/* What glibc does (malloc/arena.c, 2.36): a thread has heaps of its own. malloc_trim() gives back
 * the free pages inside them, but not those at the end of the last one. That is done only when a
 * free chunk of 64 KiB or more comes about, and when the end is larger than a threshold, which by
 * itself grows to twice the largest block that was ever freed: some MiB. A threshold that is set
 * counts as zero there, and M_TOP_PAD bytes stay. */
#include "daemon/base/heap.h"

#include <malloc.h>
#include <stdlib.h>

#define CONSOLIDATION_MIN ((size_t)64 * 1024) /* FASTBIN_CONSOLIDATION_THRESHOLD */

void heap_init(void)
{
    mallopt(M_TRIM_THRESHOLD, HEAP_TOP_KEPT_MAX);
    mallopt(M_TOP_PAD, HEAP_TOP_KEPT_MAX);
}

void heap_trim(void)
{
    void *volatile chunk;

    malloc_trim(0);
    chunk = malloc(CONSOLIDATION_MIN);
    free(chunk);
}
