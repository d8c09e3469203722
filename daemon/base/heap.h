/* The C library's heap, which is slow to give memory back to the system. */
#pragma once

#include <stddef.h>

#define HEAP_TOP_KEPT_MAX ((size_t)128 * 1024) /* bytes free at a heap's end that stay */

/* Once, before there are threads. */
void heap_init(void);
/* Gives back what is free, in all heaps, and at the end of the calling thread's. Takes
 * milliseconds. */
void heap_trim(void);
