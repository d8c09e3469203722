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

#define KTLS_RECORDS_MAX     32     /* without data, one after the other in one call */
#define KTLS_MESSAGE_MAX     131333 /* the longest NewSessionTicket, RFC 8446, 4.6.1 */
#define KTLS_POLL_AGAIN_MS   10     /* when it was announced and was not there */
#define KTLS_MESSAGE_WAIT_MS 5000   /* for the rest of a message, where the fd does not block */

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

struct ktls_input {
    int fd;
    int flags;           /* of recvmsg() */
    uint8_t type;        /* of what came last: enum ktls_type, or any other number */
    bool is_whole;       /* … and the record ended with it */
    unsigned n_records;  /* that ended in this call */
    bool was_announced;  /* by poll(), since when nothing came */
    bool is_interrupted; /* by a signal, in the middle of a message: to be told behind it */
    int64_t deadline_ms; /* for the rest of what has begun; 0: not set yet */
};

/* 0x0303 or 0x0304 where the kernel has keys for this direction; else 0, as for a socket that is
 * sealed but plain. */
unsigned ktls_get_version(int fd, enum ktls_direction direction);

/* Up to n bytes, of one type: their number, 0 where there were none, or -errno. A record which the
 * kernel finds broken is -EPROTO. */
ssize_t ktls_receive(struct ktls_input *in, void *buf, size_t n);

/* What is to be done about a record that is not data, whose first n bytes are there: 1 to go on
 * behind it (what there was is read), 0 for a proper end, or the error to be told. */
int ktls_take_record(struct ktls_input *in, const uint8_t *data, size_t n);

/* Sends the proper end. 0 or -errno. */
int ktls_send_close(int fd);
