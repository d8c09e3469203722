/* A text that is put together piece by piece, with a limit. It may be secret: nothing of it stays
 * in memory that was given back. What failed once stays failed, so that only the end has to be
 * looked at. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "proto/message.h"

struct builder {
    char *data; /* n characters, no NUL; moves while it grows */
    size_t n;
    size_t size;
    size_t max;
    bool has_failed; /* over the limit, or no memory */
};

void builder_init(struct builder *b, size_t max);
void builder_deinit(struct builder *b); /* as fresh as after init */

void builder_add(struct builder *b, struct text text);
void builder_add_string(struct builder *b, const char *string);
void builder_format(struct builder *b, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
