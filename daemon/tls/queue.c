/* Bytes are appended at the end and dropped from the start; what is left is moved down only when an
 * append needs the room. An empty queue keeps at most TLS_QUEUE_KEEP bytes, so that a thousand idle
 * connections do not hold the memory of their busiest moment. The owner checks the limits. */
#include "daemon/tls/queue.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void tls_queue_deinit(struct tls_queue *q)
{
    free(q->data);
    *q = (struct tls_queue){0};
}

static int make_room(struct tls_queue *q, size_t n)
{
    size_t length = tls_queue_length(q);
    size_t size = q->size > 0 ? q->size : 1024;
    uint8_t *data;

    if (q->size - q->end >= n)
        return 0;
    if (length > 0)
        memmove(q->data, q->data + q->start, length);
    q->start = 0;
    q->end = length;
    while (size - length < n)
        size *= 2;
    if (size == q->size)
        return 0;
    data = realloc(q->data, size);
    if (!data)
        return -ENOMEM;
    q->data = data;
    q->size = size;
    return 0;
}

int tls_queue_append(struct tls_queue *q, const void *data, size_t n)
{
    int r;

    if (n == 0)
        return 0;
    r = make_room(q, n);
    if (r < 0)
        return r;
    memcpy(q->data + q->end, data, n);
    q->end += n;
    return 0;
}

void tls_queue_drop(struct tls_queue *q, size_t n)
{
    assert(n <= tls_queue_length(q));
    q->start += n;
    if (q->start < q->end)
        return;
    q->start = 0;
    q->end = 0;
    if (q->size > TLS_QUEUE_KEEP)
        tls_queue_deinit(q);
}
