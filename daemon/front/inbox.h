/* Messages of a session that cost much, or follow a refusal: kept until it is their user's turn. */
#pragma once

#include "daemon/ring/ring.h"
#include "proto/wire.h"

#define INBOX_BYTES_PER_USER_MAX (UINT32_C(16) << 20) /* kept, in all workers */

struct peer;
typedef void message_fn(struct peer *peer, const struct wire_head *head, struct wire_reader reader);

struct inbox {
    struct list messages;
    struct task turn; /* for the first of them */
    bool is_pausing;  /* until that turn, also with none */
};

void inbox_init(struct peer *peer);
/* Whether messages wait, or are to: then all that come do. */
bool inbox_is_waiting(const struct peer *peer);
/* What follows is to wait for the user's next turn. Stops receiving. */
void inbox_pause(struct peer *peer);
/* A message of n bytes with a valid head, which fn is to be called for. Stops receiving. Drops the
 * session where it would be too much. */
void inbox_put(struct peer *peer, message_fn *fn, const uint8_t *data, size_t n);
void inbox_drop(struct peer *peer);
