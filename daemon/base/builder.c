#include "daemon/base/builder.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIZE_MIN 256

void builder_init(struct builder *b, size_t max)
{
    *b = (struct builder){.max = max};
}

void builder_deinit(struct builder *b)
{
    if (b->data)
        explicit_bzero(b->data, b->size);
    free(b->data);
    *b = (struct builder){.max = b->max};
}

/* realloc() would leave the old text behind. */
static bool grow(struct builder *b, size_t size)
{
    char *data = malloc(size);

    if (!data)
        return false;
    if (b->data) {
        memcpy(data, b->data, b->n);
        explicit_bzero(b->data, b->size);
        free(b->data);
    }
    b->data = data;
    b->size = size;
    return true;
}

/* Makes room for n more, and a NUL of vsnprintf()'s. */
static bool reserve(struct builder *b, size_t n)
{
    size_t size = b->size > 0 ? b->size : SIZE_MIN;

    if (b->has_failed || n > b->max - b->n) {
        b->has_failed = true;
        return false;
    }
    while (size <= b->n + n)
        size *= 2;
    if (size > b->size && !grow(b, size))
        b->has_failed = true;
    return !b->has_failed;
}

void builder_add(struct builder *b, struct text text)
{
    if (text.n == 0 || !reserve(b, text.n))
        return;
    memcpy(b->data + b->n, text.data, text.n);
    b->n += text.n;
}

void builder_add_string(struct builder *b, const char *string)
{
    builder_add(b, text_of(string));
}

void builder_format(struct builder *b, const char *format, ...)
{
    va_list args, again;
    int n;

    va_start(args, format);
    va_copy(again, args);
    n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0)
        b->has_failed = true;
    else if (reserve(b, (size_t)n))
        b->n += (size_t)vsnprintf(b->data + b->n, (size_t)n + 1, format, again);
    va_end(again);
}
