/* The sockets of a DNS library that opens and closes them when it likes, on ring polls. An fd whose
 * poll is pending is not closed but kept until the poll has ended: its number cannot be used again
 * meanwhile. */
#pragma once

#include <stdbool.h>

#include "daemon/base/list.h"
#include "daemon/ring/ring.h"

struct dns_channel;
/* The fd is readable (POLLIN) or writable (POLLOUT), as it was wanted; or it is none (-1) and a
 * poll was cancelled: then only dns_sockets_arm() is due. */
typedef void dns_ready_fn(struct dns_channel *channel, int fd, int events);

struct dns_sockets {
    struct ring *ring;
    dns_ready_fn *on_ready;
    struct list all;
};

void dns_sockets_init(struct dns_sockets *sockets, struct ring *ring, dns_ready_fn *on_ready);
/* A non-blocking socket that belongs to the channel. Returns its fd, or -1 with errno set. */
int dns_sockets_open(struct dns_sockets *sockets, struct dns_channel *channel, int family, int type,
                     int protocol);
/* The channel is done with the fd and never called for it again. */
void dns_sockets_close(struct dns_sockets *sockets, struct dns_channel *channel, int fd);
/* What to wait for: POLLIN, POLLOUT, both or 0. Takes effect with the next dns_sockets_arm(). */
void dns_sockets_want(struct dns_sockets *sockets, struct dns_channel *channel, int fd,
                      short events);
void dns_sockets_arm(struct dns_sockets *sockets);
/* All must have been closed. Turns the ring until the last poll has ended. */
void dns_sockets_deinit(struct dns_sockets *sockets);
