/* Bytes and bounds of the wire format; nothing here knows what a message means. */
#include "proto/wire.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <string.h>

static void store(uint8_t *to, uint64_t value, size_t n)
{
    value = htole64(value);
    memcpy(to, &value, n);
}

static uint64_t load(const uint8_t *from, size_t n)
{
    uint64_t value = 0;

    memcpy(&value, from, n);
    return le64toh(value);
}

void wire_begin(struct wire_writer *w, void *buf, size_t size, enum wire_type type, uint64_t id)
{
    assert(size >= WIRE_HEAD_SIZE);
    *w = (struct wire_writer){.data = buf, .size = size, .length = WIRE_HEAD_SIZE};
    store(w->data, type, 2);
    store(w->data + 2, 0, 2);
    store(w->data + 8, id, 8);
}

bool wire_try_put_bytes(struct wire_writer *w, uint16_t attr, const void *value, size_t n)
{
    uint8_t *to = w->data + w->length;

    if (n > UINT16_MAX || w->size - w->length < WIRE_ATTR_HEAD_SIZE + n)
        return false;
    store(to, attr, 2);
    store(to + 2, n, 2);
    if (n > 0)
        memcpy(to + WIRE_ATTR_HEAD_SIZE, value, n);
    w->length += WIRE_ATTR_HEAD_SIZE + n;
    return true;
}

void wire_put_bytes(struct wire_writer *w, uint16_t attr, const void *value, size_t n)
{
    if (!wire_try_put_bytes(w, attr, value, n))
        w->has_overflowed = true;
}

static void put_number(struct wire_writer *w, uint16_t attr, uint64_t value, size_t n)
{
    uint8_t bytes[8];

    store(bytes, value, n);
    wire_put_bytes(w, attr, bytes, n);
}

void wire_put_u8(struct wire_writer *w, uint16_t attr, uint8_t value)
{
    put_number(w, attr, value, 1);
}

void wire_put_u16(struct wire_writer *w, uint16_t attr, uint16_t value)
{
    put_number(w, attr, value, 2);
}

void wire_put_u32(struct wire_writer *w, uint16_t attr, uint32_t value)
{
    put_number(w, attr, value, 4);
}

void wire_put_u64(struct wire_writer *w, uint16_t attr, uint64_t value)
{
    put_number(w, attr, value, 8);
}

int wire_end(struct wire_writer *w)
{
    if (w->has_overflowed)
        return -EMSGSIZE;
    store(w->data + 4, w->length, 4);
    return 0;
}

int wire_read_head(struct wire_reader *r, const void *data, size_t n, struct wire_head *ret)
{
    const uint8_t *bytes = data;
    struct wire_head head;

    if (n < WIRE_HEAD_SIZE)
        return -EBADMSG;
    head.type = (uint16_t)load(bytes, 2);
    head.flags = (uint16_t)load(bytes + 2, 2);
    head.length = (uint32_t)load(bytes + 4, 4);
    head.id = load(bytes + 8, 8);
    if (head.flags != 0 || head.length != n)
        return -EBADMSG;
    *r = (struct wire_reader){.next = bytes + WIRE_HEAD_SIZE, .left = n - WIRE_HEAD_SIZE};
    *ret = head;
    return 0;
}

int wire_next(struct wire_reader *r, struct wire_attr *ret)
{
    size_t length;

    if (r->left == 0)
        return 0;
    if (r->left < WIRE_ATTR_HEAD_SIZE)
        return -EBADMSG;
    length = load(r->next + 2, 2);
    if (r->left - WIRE_ATTR_HEAD_SIZE < length)
        return -EBADMSG;
    ret->type = (uint16_t)load(r->next, 2);
    ret->length = (uint16_t)length;
    ret->value = r->next + WIRE_ATTR_HEAD_SIZE;
    r->next += WIRE_ATTR_HEAD_SIZE + length;
    r->left -= WIRE_ATTR_HEAD_SIZE + length;
    return 1;
}

static int get_number(const struct wire_attr *attr, size_t n, uint64_t *ret)
{
    if (attr->length != n)
        return -EBADMSG;
    *ret = load(attr->value, n);
    return 0;
}

#define DEFINE_GET(bits)                                                                           \
    int wire_get_u##bits(const struct wire_attr *attr, uint##bits##_t *ret)                        \
    {                                                                                              \
        uint64_t value;                                                                            \
                                                                                                   \
        if (get_number(attr, (bits) / 8, &value) < 0)                                              \
            return -EBADMSG;                                                                       \
        *ret = (uint##bits##_t)value;                                                              \
        return 0;                                                                                  \
    }

DEFINE_GET(8)
DEFINE_GET(16)
DEFINE_GET(32)
DEFINE_GET(64)
