/* The timers of one ring: a pairing heap, so that setting a timer cannot fail. Private to ring/. */
#pragma once

#include "daemon/ring/ring.h"

struct timer_heap {
    struct timer *root; /* the earliest */
};

void timer_heap_add(struct timer_heap *heap, struct timer *timer);
void timer_heap_remove(struct timer_heap *heap, struct timer *timer);
