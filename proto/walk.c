/* The state of a walk is the same for all messages: which attributes were seen (those that may not
 * repeat), and the sentence that says what is wrong. */
#include "proto/walk.h"

#include <assert.h>
#include <errno.h>

int walk_fail(struct walk *w, const char *error)
{
    *w->error = error;
    return -EBADMSG;
}

/* The next attribute that is not optional-and-unknown: 1, 0 at the end, -EBADMSG. */
static int walk_next(struct walk *w)
{
    int r;

    do {
        r = wire_next(&w->reader, &w->attr);
    } while (r > 0 && w->attr.type & WIRE_ATTR_OPTIONAL);
    if (r < 0)
        return walk_fail(w, "an attribute does not end inside the message");
    return r;
}

int walk_once(struct walk *w)
{
    uint64_t bit = WALK_BIT(w->attr.type);

    assert(w->attr.type < 64);
    if (w->seen & bit)
        return walk_fail(w, "an attribute is there twice");
    w->seen |= bit;
    return 0;
}

int walk_unknown(struct walk *w)
{
    return walk_fail(w, "an attribute is unknown or not allowed in this message");
}

int walk_all(struct wire_reader r, int (*take_attr)(struct walk *w, void *message), void *message,
             uint64_t required, const char *missing, const char **ret_error)
{
    struct walk w = {.reader = r, .error = ret_error};
    int n;

    while ((n = walk_next(&w)) > 0) {
        if (take_attr(&w, message) < 0)
            return -EBADMSG;
    }
    if (n == 0 && (w.seen & required) != required)
        return walk_fail(&w, missing);
    return n;
}

int walk_text(struct walk *w, size_t min, size_t max, struct text *ret)
{
    if (w->attr.length < min || w->attr.length > max)
        return walk_fail(w, "a string is empty or too long");
    if (memchr(w->attr.value, '\0', w->attr.length))
        return walk_fail(w, "a string has a NUL byte");
    *ret = (struct text){(const char *)w->attr.value, w->attr.length};
    return 0;
}

int walk_text_once(struct walk *w, size_t min, size_t max, struct text *ret)
{
    return walk_once(w) < 0 ? -EBADMSG : walk_text(w, min, max, ret);
}

int walk_text_into(struct walk *w, size_t max, struct text *texts, size_t max_texts, size_t *n)
{
    if (*n == max_texts)
        return walk_fail(w, "an attribute is repeated too often");
    if (walk_text(w, 1, max, &texts[*n]) < 0)
        return -EBADMSG;
    (*n)++;
    return 0;
}

#define DEFINE_WALK_NUMBER(bits)                                                                   \
    int walk_u##bits(struct walk *w, uint##bits##_t min, uint##bits##_t max, uint##bits##_t *ret)  \
    {                                                                                              \
        uint##bits##_t value;                                                                      \
                                                                                                   \
        if (walk_once(w) < 0)                                                                      \
            return -EBADMSG;                                                                       \
        if (wire_get_u##bits(&w->attr, &value) < 0)                                                \
            return walk_fail(w, "a number has the wrong size");                                    \
        if (value < min || value > max)                                                            \
            return walk_fail(w, "a number is out of range");                                       \
        *ret = value;                                                                              \
        return 0;                                                                                  \
    }

DEFINE_WALK_NUMBER(8)
DEFINE_WALK_NUMBER(16)
DEFINE_WALK_NUMBER(32)
DEFINE_WALK_NUMBER(64)
