/* The byte stream of one outgoing connection: a socket, and the TLS layers stacked on it.
 *
 * Two operations at a time, one each way: channel_fill() receives and feeds what came up through
 * the layers; channel_flush() sends all that the layers want sent. Around them reading and writing
 * are synchronous, on the topmost layer. Who uses a channel does not know what it is made of.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/ring/ring.h"
#include "daemon/tls/tls.h"

#define CHANNEL_LAYERS_MAX 5 /* TLS to each proxy, and TLS to the origin inside */
#define CHANNEL_BUFFER     16384

struct channel;
/* filled: bytes received (> 0), 0 at the end of the TCP stream, or -errno.
 * flushed: 0 or -errno. */
typedef void channel_fn(struct channel *channel, int res);

struct channel {
    struct ring *ring;
    int fd;
    struct tls_session *layers[CHANNEL_LAYERS_MAX]; /* [0] is next to the socket */
    size_t n_layers;
    channel_fn *filled;
    channel_fn *flushed;
    struct op fill_op;
    struct op flush_op;
    uint8_t *in;     /* CHANNEL_BUFFER bytes as received, from the first fill on */
    size_t in_size;  /* of them unread; without layers, or exact: fed, and still in the socket */
    bool is_looking; /* they are only seen: the socket still has them */
    uint8_t *plain;  /* CHANNEL_BUFFER decrypted bytes, from the first read on; with layers only */
    const uint8_t *sending; /* with layers: output of layer 0, which stays in place until sent */
    size_t sending_size;
    /* What comes is only looked at until the session says how much of it it has used, so that
     * nothing behind its handshake leaves the socket. With one layer only. */
    bool is_exact;
    bool is_tunnel; /* through a proxy, which may take the end of our bytes for the end of all */
};

void channel_init(struct channel *channel, struct ring *ring);
/* Both ops must be over. Closes the socket. */
void channel_deinit(struct channel *channel);
/* Moves fd, layers and unread bytes to an uninitialised channel; nothing may be pending. */
void channel_move(struct channel *from, struct channel *to);

void channel_push_consume_session(struct channel *channel, struct tls_session *session);
struct tls_session *channel_top(const struct channel *channel); /* NULL without layers */

/* Returns 0 or -ENOMEM; `filled` is called later. Everything read before must have been taken. */
int channel_fill(struct channel *channel);
/* For an exact channel, after the session has used what it could: takes that from the socket, and
 * leaves the rest there. 0 or -errno. */
int channel_settle(struct channel *channel);
/* Returns 1 when there is something to send: `flushed` is called later, when all of it is out or it
 * failed; 0 when there is nothing; -ENOMEM, -EPROTO. */
int channel_flush(struct channel *channel);

/* What can be read now: a view valid until the next fill, read or deinit. > 0; -EAGAIN: fill first;
 * 0: ended by close_notify; -EPROTO, -ENOMEM. */
ssize_t channel_read(struct channel *channel, const uint8_t **ret_data);
/* For those who may take nothing behind what is theirs: at most n of the bytes that come next, as
 * channel_read(), but on -EAGAIN they have begun to fill already. channel_look() leaves them where
 * they are. Data is for one of the three ways of reading at a time. */
ssize_t channel_take(struct channel *channel, size_t n, const uint8_t **ret_data);
ssize_t channel_look(struct channel *channel, size_t n, const uint8_t **ret_data);
/* Whether something has come that nobody has read: of which it can be known at once. */
bool channel_has_unread(struct channel *channel);
/* Takes n <= CHANNEL_BUFFER bytes to be flushed before the next write. Without layers the bytes
 * stay the caller's and must live until flushed. 0, -EPROTO, -ENOMEM. */
int channel_write(struct channel *channel, const void *data, size_t n);
/* The end of our bytes: a close_notify on the top layer, to be flushed. */
void channel_close_write(struct channel *channel);

/* The end of our bytes on the socket itself, after everything was flushed. Not of a tunnel with
 * layers: their own end has gone out, and proxies that know no half-close would end the rest too.
 */
void channel_shutdown_write(struct channel *channel);
/* Where the kernel says our end of the socket is; ss_family AF_UNSPEC when it does not. */
void channel_get_local(const struct channel *channel, struct sockaddr_storage *ret);
/* Takes the socket out of a channel with nothing pending, and without layers or with one whose work
 * the kernel does now. */
int channel_take_fd(struct channel *channel);

bool channel_is_flushing(const struct channel *channel);
void channel_cancel(struct channel *channel);
bool channel_is_idle(const struct channel *channel);
