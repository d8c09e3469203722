/* Pairing heap (Fredman, Sedgewick, Sleator, Tarjan 1986): no allocation, constant-time insert,
 * amortised logarithmic removal of any element. */
#include "daemon/ring/timer.h"

#include <assert.h>
#include <stddef.h>

/* Both are roots without siblings, or NULL. */
static struct timer *merge(struct timer *a, struct timer *b)
{
    if (!a || !b)
        return a ? a : b;
    if (b->at_us < a->at_us) {
        struct timer *swap = a;

        a = b;
        b = swap;
    }
    b->prev = a;
    b->sibling = a->child;
    if (a->child)
        a->child->prev = b;
    a->child = b;
    return a;
}

static struct timer *detach(struct timer *t)
{
    struct timer *next = t->sibling;

    t->sibling = NULL;
    t->prev = NULL;
    return next;
}

/* Merges a list of siblings: pairs from left to right, then the pairs into one. */
static struct timer *merge_siblings(struct timer *first)
{
    struct timer *pairs = NULL, *root = NULL;

    while (first) {
        struct timer *a = first, *b = detach(a), *pair;

        first = b ? detach(b) : NULL;
        pair = merge(a, b);
        pair->sibling = pairs;
        pairs = pair;
    }
    while (pairs) {
        struct timer *next = detach(pairs);

        root = merge(root, pairs);
        pairs = next;
    }
    return root;
}

void timer_heap_add(struct timer_heap *heap, struct timer *timer)
{
    assert(!timer->is_set);
    timer->is_set = true;
    timer->child = NULL;
    detach(timer);
    heap->root = merge(heap->root, timer);
}

void timer_heap_remove(struct timer_heap *heap, struct timer *timer)
{
    struct timer *children = merge_siblings(timer->child);

    assert(timer->is_set);
    timer->is_set = false;
    timer->child = NULL;
    if (timer == heap->root) {
        heap->root = children;
        return;
    }
    if (timer->prev->child == timer)
        timer->prev->child = timer->sibling;
    else
        timer->prev->sibling = timer->sibling;
    if (timer->sibling)
        timer->sibling->prev = timer->prev;
    detach(timer);
    heap->root = merge(heap->root, children);
}
