/* A queue with a lane for each of those who put something in. The lanes are served in turn, one
 * item each: who puts in much waits behind himself. Nothing is allocated; a lane outlives its
 * items. */
#pragma once

#include "daemon/base/list.h"

struct fair_queue {
    struct list lanes; /* those with items, the next one first */
};

struct fair_lane {
    struct list node;
    struct list items;
};

static inline void fair_queue_init(struct fair_queue *queue)
{
    list_init(&queue->lanes);
}

static inline void fair_lane_init(struct fair_lane *lane)
{
    list_init(&lane->node);
    list_init(&lane->items);
}

static inline bool fair_is_empty(const struct fair_queue *queue)
{
    return list_is_empty(&queue->lanes);
}

static inline void fair_push(struct fair_queue *queue, struct fair_lane *lane, struct list *item)
{
    list_append(&lane->items, item);
    if (list_is_empty(&lane->node))
        list_append(&queue->lanes, &lane->node);
}

/* Harmless for an item that is in no lane. */
static inline void fair_remove(struct fair_lane *lane, struct list *item)
{
    list_remove(item);
    if (list_is_empty(&lane->items))
        list_remove(&lane->node);
}

/* NULL when it is empty. */
static inline struct list *fair_pop(struct fair_queue *queue)
{
    struct list *node = list_pop(&queue->lanes);
    struct fair_lane *lane = container_of(node, struct fair_lane, node);
    struct list *item;

    if (!node)
        return NULL;
    item = list_pop(&lane->items);
    if (!list_is_empty(&lane->items))
        list_append(&queue->lanes, &lane->node);
    return item;
}
