/* The wire format: a fixed head and typed attributes, little-endian. PROTOCOL.md is the norm.
 *
 *     head       u16 type · u16 flags (0) · u32 length of the whole message · u64 id
 *     attribute  u16 type · u16 length of the value · value, not padded
 *
 * An attribute type with the top bit set is optional: who does not know it skips it.
 * Writer and reader know bytes and bounds; message.h knows what the messages mean.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_VERSION        1
#define WIRE_HEAD_SIZE      16
#define WIRE_ATTR_HEAD_SIZE 4
#define WIRE_MESSAGE_MAX    65536 /* daemon to client */
#define WIRE_REQUEST_MAX    16384 /* client to daemon */
#define WIRE_ATTR_OPTIONAL  0x8000

#define WIRE_FOLDER_SYSTEM "/run/fdial"
#define WIRE_SOCKET_SYSTEM WIRE_FOLDER_SYSTEM "/fdial.sock"
#define WIRE_SOCKET_USER   "/fdial/fdial.sock" /* below $XDG_RUNTIME_DIR */

enum wire_type {
    WIRE_HELLO = 1,
    WIRE_CONNECT = 2,
    WIRE_CANCEL = 3,
    WIRE_EXPLAIN = 4,
    WIRE_STATUS = 5,
    WIRE_GRANT = 6,
    WIRE_OPEN = 7,

    WIRE_WELCOME = 129,
    WIRE_RESULT = 130,
    WIRE_ENDED = 131,
    WIRE_EXPLAINED = 132,
    WIRE_STATUS_REPLY = 133,
    WIRE_GRANTED = 134,
    WIRE_OPENED = 135,
    WIRE_ERROR = 255,
};

struct wire_head {
    uint16_t type;
    uint16_t flags;
    uint32_t length;
    uint64_t id;
};

struct wire_attr {
    uint16_t type;
    uint16_t length;
    const uint8_t *value;
};

struct wire_writer {
    uint8_t *data;
    size_t size;
    size_t length;
    bool has_overflowed;
};

struct wire_reader {
    const uint8_t *next;
    size_t left;
};

/* Starts a message in buf. Overflow is remembered and reported once, by wire_end(). */
void wire_begin(struct wire_writer *w, void *buf, size_t size, enum wire_type type, uint64_t id);
void wire_put_u8(struct wire_writer *w, uint16_t attr, uint8_t value);
void wire_put_u16(struct wire_writer *w, uint16_t attr, uint16_t value);
void wire_put_u32(struct wire_writer *w, uint16_t attr, uint32_t value);
void wire_put_u64(struct wire_writer *w, uint16_t attr, uint64_t value);
void wire_put_bytes(struct wire_writer *w, uint16_t attr, const void *value, size_t n);
/* Like wire_put_bytes, but leaves the attribute out where it would not fit; returns whether it is
 * in. */
bool wire_try_put_bytes(struct wire_writer *w, uint16_t attr, const void *value, size_t n);
/* Fills in the length. Returns 0, or -EMSGSIZE when something did not fit. */
int wire_end(struct wire_writer *w);

/* Takes a message of n bytes apart. Returns 0, or -EBADMSG where the head is short, flags are set,
 * or the length is not n. */
int wire_read_head(struct wire_reader *r, const void *data, size_t n, struct wire_head *ret);
/* Returns 1 with an attribute, 0 at the end, -EBADMSG where the rest is not one. */
int wire_next(struct wire_reader *r, struct wire_attr *ret);

/* Values; 0 or -EBADMSG where the length is wrong. */
int wire_get_u8(const struct wire_attr *attr, uint8_t *ret);
int wire_get_u16(const struct wire_attr *attr, uint16_t *ret);
int wire_get_u32(const struct wire_attr *attr, uint32_t *ret);
int wire_get_u64(const struct wire_attr *attr, uint64_t *ret);
