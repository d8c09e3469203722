/* A queue of bytes in one piece of memory, with a limit. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define TLS_QUEUE_KEEP 1024 /* bytes of memory an empty queue may keep */

struct tls_queue {
    uint8_t *data;
    size_t size;
    size_t start;
    size_t end;
};

void tls_queue_deinit(struct tls_queue *q);

static inline size_t tls_queue_length(const struct tls_queue *q)
{
    return q->end - q->start;
}

/* Returns 0 or -ENOMEM. */
int tls_queue_append(struct tls_queue *q, const void *data, size_t n);
/* n must not be more than there is. Gives memory back when the queue becomes empty. */
void tls_queue_drop(struct tls_queue *q, size_t n);
