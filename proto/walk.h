/* Walks the attributes of a message: what all decoders have in common. Errors are -EBADMSG with one
 * sentence, static. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "proto/message.h"
#include "proto/wire.h"

struct walk {
    struct wire_reader reader;
    struct wire_attr attr;
    uint64_t seen; /* attribute types are below 64 */
    const char **error;
};

#define WALK_BIT(attr) (UINT64_C(1) << (attr))

/* Hands every attribute to take_attr, then checks that the required ones (of those that may be
 * there once) were among them. */
int walk_all(struct wire_reader r, int (*take_attr)(struct walk *w, void *message), void *message,
             uint64_t required, const char *missing, const char **ret_error);

int walk_fail(struct walk *w, const char *error);
/* The present attribute has not come before. */
int walk_once(struct walk *w);
int walk_unknown(struct walk *w);

/* The value of the present attribute, which may be there once but for walk_text and
 * walk_text_into. Sizes in bytes. */
int walk_u8(struct walk *w, uint8_t min, uint8_t max, uint8_t *ret);
int walk_u16(struct walk *w, uint16_t min, uint16_t max, uint16_t *ret);
int walk_u32(struct walk *w, uint32_t min, uint32_t max, uint32_t *ret);
int walk_u64(struct walk *w, uint64_t min, uint64_t max, uint64_t *ret);
int walk_text(struct walk *w, size_t min, size_t max, struct text *ret);
int walk_text_once(struct walk *w, size_t min, size_t max, struct text *ret);
/* Appends it. */
int walk_text_into(struct walk *w, size_t max, struct text *texts, size_t max_texts, size_t *n);
