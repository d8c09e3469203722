/* The requests in flight of one session: a table of results-to-be by id, and the queue of those
 * that are finished. A result is allocated when its request is submitted, so that telling how it
 * ended never needs memory. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/fdial.h"
#include "proto/fdmsg.h"
#include "proto/message.h"

#define PENDING_MAX 65536 /* in flight in one session, whatever the daemon would allow */

enum pending_kind {
    PENDING_CONNECT, /* ends in a result */
    PENDING_CALL,    /* explain or status, being waited for or given up: its answer is dropped */
};

struct fdial_result {
    uint64_t id;
    enum pending_kind kind;
    bool is_finished;       /* in the queue of finished ones */
    bool is_cancelled;      /* fdial_cancel() was called */
    bool is_cancel_unsent;  /* … and the socket was full */
    unsigned n_asked;       /* connections asked for */
    unsigned handoff_asked; /* mask */
    struct fdial_result *next;

    int error; /* negative errno, 0 */
    const char *message;
    char *text;     /* backs the strings below; NULL where there is none */
    uint8_t *bytes; /* backs the views in m */
    const char *alpn;
    const char *cipher;
    const char *handoff_reason;
    struct message_result m;
    int fds[FDMSG_FDS_MAX]; /* -1 when taken */
    size_t n_fds;
};

struct pending {
    struct fdial_result **slots; /* open addressing, a power of two, at most half full */
    size_t n_slots;
    size_t n;          /* in the table, finished ones included */
    size_t n_connects; /* of these, what ends in a result */
    size_t n_cancels_unsent;
    size_t cursor;                      /* slot where the search for unsent cancels goes on */
    struct fdial_result *first, **last; /* finished, not yet fetched */
};

void pending_init(struct pending *p);
/* Frees everything that is in it, and closes the fds. */
void pending_deinit(struct pending *p);

/* Adds an entry. -EEXIST, -ENOMEM, -EAGAIN at PENDING_MAX. */
int pending_add(struct pending *p, enum pending_kind kind, uint64_t id, struct fdial_result **ret);
/* NULL: not in flight. */
struct fdial_result *pending_find(const struct pending *p, uint64_t id);
/* Takes an unfinished entry out of the table and frees it. */
void pending_drop(struct pending *p, struct fdial_result *entry);
/* Puts an entry into the queue of finished ones; it stays in the table. */
void pending_finish(struct pending *p, struct fdial_result *entry);
/* Takes the oldest finished entry out of queue and table: the caller's. NULL: none. */
struct fdial_result *pending_fetch(struct pending *p);
/* Finishes every unfinished connect with the error, and drops the calls. The message is static. */
void pending_fail_all(struct pending *p, int error, const char *message);
/* Some entry whose cancel still has to be sent, NULL: none. */
struct fdial_result *pending_next_cancel(struct pending *p);
/* Notes whether the cancel of an unfinished entry has to be sent. */
void pending_set_cancel_unsent(struct pending *p, struct fdial_result *entry, bool is_unsent);
