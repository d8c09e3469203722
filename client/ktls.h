/* Inside libfdial: records of kernel TLS that are not data, on one fd and for one call.
 *
 * The numbers are the kernel's (linux/tls.h, since Linux 4.17 as they are here); the header of an
 * old system may lack some.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define KTLS_ROW_MAX         32     /* records without data in a row */
#define KTLS_ROW_PAUSE_MS    10000  /* after this long without one a new row begins */
#define KTLS_MESSAGE_MAX     131333 /* the longest NewSessionTicket, RFC 8446, 4.6.1 */
#define KTLS_MESSAGE_WAIT_MS 5000   /* for the rest of a message, where the fd does not block */
#define KTLS_PAUSE_MIN_US    50     /* when it was announced and was not there … */
#define KTLS_PAUSE_MAX_US    100000 /* … each time twice as long, until it is there */

/* RFC 8446, 5.1. */
enum ktls_type {
    KTLS_NONE = 0, /* no record: another kind of socket, or the end of the stream */
    KTLS_ALERT = 21,
    KTLS_HANDSHAKE = 22,
    KTLS_DATA = 23,
};

/* For getsockopt(). */
enum ktls_direction {
    KTLS_TX = 1,
    KTLS_RX = 2,
};

/* Records without data, one after the other. */
struct ktls_row {
    unsigned n;
    int64_t last_ms; /* when the last of them came, as session_now_ms() */
};

struct ktls_input {
    int fd;
    int flags;           /* of recvmsg(): with MSG_DONTWAIT where waiting is done here */
    uint8_t type;        /* of what came last: enum ktls_type, or any other number */
    bool is_whole;       /* … and the record ended with it */
    bool is_interrupted; /* by a signal, in the middle of a message: to be told behind it */

    bool may_wait;            /* the caller wants it, and the kernel does not do it */
    bool knows_deadline;      /* that is, how the caller wants to wait was asked for */
    bool was_announced;       /* by poll(), since when nothing came */
    int64_t deadline_ms;      /* of the caller's time limit */
    int64_t rest_deadline_ms; /* for the rest of what has begun; 0: not set yet */
    unsigned pause_us;

    struct ktls_row row;
    bool has_row;    /* in this call, so that it has to be kept for the next one */
    uint64_t cookie; /* the socket's, then */
};

/* 0x0303 or 0x0304 where the kernel has keys for this direction; else 0, as for a socket that is
 * sealed but plain. */
unsigned ktls_get_version(int fd, enum ktls_direction direction);

/* Up to n bytes, of one type: their number, 0 where there were none, or -errno. A record which the
 * kernel finds broken is -EPROTO, as is the row of those without data when it gets too long. */
ssize_t ktls_receive(struct ktls_input *in, void *buf, size_t n);

/* What is to be done about a record that is not data, whose first n bytes are there: 1 to go on
 * behind it (what there was is read), 0 for a proper end, or the error to be told. */
int ktls_take_record(struct ktls_input *in, const uint8_t *data, size_t n);

/* Behind data that did not fill the buffer: sees to it that poll() announces what is next. */
void ktls_announce_next(int fd);

/* Sends the proper end. 0 or -errno. */
int ktls_send_close(int fd);

/* ---- lib_ktls_wait.c ---- */

/* Nothing was there: 1 when recvmsg() is to be called again, with the flags as they are then, or
 * what is to be told: -EAGAIN, -EINTR or another error. */
int ktls_await(struct ktls_input *in);

/* The same in the middle of a message: neither EAGAIN nor EINTR, but -EPROTO. */
int ktls_await_rest(struct ktls_input *in);

/* ---- lib_ktls_row.c ---- */

/* A record without data has come. */
void ktls_row_count(struct ktls_input *in);

/* The call ends, and the row does not. */
void ktls_row_keep(const struct ktls_input *in);

/* Data has come. */
void ktls_row_forget(int fd);
