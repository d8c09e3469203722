/* Layers are sans I/O, so stacking them is moving bytes: ciphertext that came in is fed to layer 0,
 * its plaintext to layer 1; output of layer 1 is written to layer 0, whose output goes to the
 * socket.
 *
 * What the kernel is sending is the output queue of layer 0 itself, which grows behind it but does
 * not move until tls_session_sent().
 */
#include "daemon/conn/channel.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "proto/cleanup.h"

static void fill_done(struct op *op, int res, uint32_t flags);
static void flush_done(struct op *op, int res, uint32_t flags);

void channel_init(struct channel *channel, struct ring *ring)
{
    *channel = (struct channel){.ring = ring, .fd = -1};
    op_init(&channel->fill_op, fill_done);
    op_init(&channel->flush_op, flush_done);
}

void channel_deinit(struct channel *channel)
{
    assert(channel_is_idle(channel));
    while (channel->n_layers > 0)
        tls_session_free(channel->layers[--channel->n_layers]);
    ring_close_consume_fd(channel->ring, TAKE_FD(channel->fd));
    free(TAKE_PTR(channel->in));
    free(TAKE_PTR(channel->plain));
}

void channel_move(struct channel *from, struct channel *to)
{
    assert(channel_is_idle(from));
    *to = *from;
    channel_init(from, from->ring);
}

void channel_push_consume_session(struct channel *channel, struct tls_session *session)
{
    assert(channel->n_layers < CHANNEL_LAYERS_MAX);
    channel->layers[channel->n_layers++] = session;
}

struct tls_session *channel_top(const struct channel *channel)
{
    return channel->n_layers > 0 ? channel->layers[channel->n_layers - 1] : NULL;
}

bool channel_is_idle(const struct channel *channel)
{
    return !op_is_pending(&channel->fill_op) && !op_is_pending(&channel->flush_op);
}

void channel_cancel(struct channel *channel)
{
    ring_cancel(channel->ring, &channel->fill_op);
    ring_cancel(channel->ring, &channel->flush_op);
}

static int allocate(uint8_t **buffer)
{
    if (!*buffer)
        *buffer = malloc(CHANNEL_BUFFER);
    return *buffer ? 0 : -ENOMEM;
}

int channel_fill(struct channel *channel)
{
    assert(channel->in_size == 0);
    if (allocate(&channel->in) < 0)
        return -ENOMEM;
    ring_recv(channel->ring, &channel->fill_op, channel->fd, channel->in, CHANNEL_BUFFER,
              channel->is_exact ? MSG_PEEK : 0);
    return 0;
}

int channel_settle(struct channel *channel)
{
    struct tls_session *session = channel->layers[0];
    size_t n = channel->in_size - tls_session_unread(session);

    assert(channel->is_exact && channel->n_layers == 1);
    channel->in_size = 0;
    tls_session_forget_unread(session);
    /* It is there: it was seen, and nobody else reads this socket. */
    if (n > 0 && recv(channel->fd, channel->in, n, MSG_DONTWAIT) != (ssize_t)n)
        return -EIO;
    return 0;
}

/* Gives n bytes to layer 0 and what each layer makes of them to the next. */
static int feed_layers(struct channel *channel, const uint8_t *data, size_t n)
{
    int r = tls_session_feed(channel->layers[0], data, n);

    for (size_t i = 1; r == 0 && i < channel->n_layers; i++) {
        ssize_t k;

        if (allocate(&channel->plain) < 0)
            return -ENOMEM;
        while ((k = tls_session_read(channel->layers[i - 1], channel->plain, CHANNEL_BUFFER)) > 0) {
            r = tls_session_feed(channel->layers[i], channel->plain, (size_t)k);
            if (r < 0)
                return r;
        }
        if (k != -EAGAIN && k != 0)
            return (int)k;
    }
    return r;
}

static void fill_done(struct op *op, int res, uint32_t flags)
{
    struct channel *channel = container_of(op, struct channel, fill_op);

    (void)flags;
    if (res > 0) {
        int r = 0;

        if (channel->n_layers > 0)
            r = feed_layers(channel, channel->in, (size_t)res);
        if (channel->n_layers == 0 || channel->is_exact)
            channel->in_size = (size_t)res;
        if (r < 0)
            res = r;
    }
    channel->filled(channel, res);
}

/* Output of the upper layers becomes input of those below. */
static int push_down(struct channel *channel)
{
    for (size_t i = channel->n_layers; i-- > 1;) {
        const uint8_t *data;
        size_t n;

        while ((n = tls_session_output(channel->layers[i], &data)) > 0) {
            ssize_t k;

            if (n > TLS_RECORD_MAX)
                n = TLS_RECORD_MAX;
            k = tls_session_write(channel->layers[i - 1], data, n);
            if (k == -EAGAIN)
                break; /* the rest with the next flush */
            if (k < 0)
                return (int)k;
            tls_session_sent(channel->layers[i], (size_t)k);
        }
    }
    return 0;
}

/* Points `sending` to what is to be sent. */
static int take_output(struct channel *channel)
{
    int r;

    if (channel->n_layers == 0)
        return 0;
    r = push_down(channel);
    if (r == 0)
        channel->sending_size = tls_session_output(channel->layers[0], &channel->sending);
    return r;
}

/* The kernel has sent the first n bytes. */
static void advance(struct channel *channel, size_t n)
{
    channel->sending += n;
    channel->sending_size -= n;
    if (channel->n_layers > 0)
        tls_session_sent(channel->layers[0], n);
}

int channel_flush(struct channel *channel)
{
    int r = take_output(channel);

    if (r < 0)
        return r;
    if (channel->sending_size == 0)
        return 0;
    ring_send(channel->ring, &channel->flush_op, channel->fd, channel->sending,
              channel->sending_size, 0);
    return 1;
}

static void flush_done(struct op *op, int res, uint32_t flags)
{
    struct channel *channel = container_of(op, struct channel, flush_op);

    (void)flags;
    if (res > 0) {
        advance(channel, (size_t)res);
        if (channel->sending_size > 0) {
            ring_send(channel->ring, &channel->flush_op, channel->fd, channel->sending,
                      channel->sending_size, 0);
            return;
        }
        res = channel_flush(channel);
        if (res > 0)
            return;
    }
    channel->sending_size = 0;
    channel->flushed(channel, res);
}

/* Up to n bytes from the socket, or a look at them. */
static ssize_t receive(struct channel *channel, size_t n, bool is_looking, const uint8_t **ret_data)
{
    size_t size = channel->in_size;

    channel->in_size = 0;
    if (size > 0 && channel->is_looking == is_looking) {
        *ret_data = channel->in;
        return (ssize_t)size;
    }
    channel->is_looking = is_looking;
    if (allocate(&channel->in) < 0)
        return -ENOMEM;
    ring_recv(channel->ring, &channel->fill_op, channel->fd, channel->in,
              n < CHANNEL_BUFFER ? n : CHANNEL_BUFFER, is_looking ? MSG_PEEK : 0);
    return -EAGAIN;
}

static ssize_t decrypt(struct channel *channel, size_t n, bool is_looking, const uint8_t **ret_data)
{
    struct tls_session *top = channel_top(channel);
    ssize_t r;
    int error;

    if (allocate(&channel->plain) < 0)
        return -ENOMEM;
    if (n > CHANNEL_BUFFER)
        n = CHANNEL_BUFFER;
    *ret_data = channel->plain;
    r = is_looking ? tls_session_peek(top, channel->plain, n)
                   : tls_session_read(top, channel->plain, n);
    if (r != -EAGAIN)
        return r;
    error = channel_fill(channel);
    return error < 0 ? error : -EAGAIN;
}

ssize_t channel_take(struct channel *channel, size_t n, const uint8_t **ret_data)
{
    return channel->n_layers > 0 ? decrypt(channel, n, false, ret_data)
                                 : receive(channel, n, false, ret_data);
}

ssize_t channel_look(struct channel *channel, size_t n, const uint8_t **ret_data)
{
    return channel->n_layers > 0 ? decrypt(channel, n, true, ret_data)
                                 : receive(channel, n, true, ret_data);
}

bool channel_has_unread(struct channel *channel)
{
    uint8_t byte;

    if (channel->n_layers > 0)
        return tls_session_peek(channel_top(channel), &byte, 1) > 0;
    return recv(channel->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

ssize_t channel_read(struct channel *channel, const uint8_t **ret_data)
{
    ssize_t n;

    if (channel->n_layers == 0) {
        n = (ssize_t)channel->in_size;
        channel->in_size = 0;
        *ret_data = channel->in;
        return n > 0 ? n : -EAGAIN;
    }
    if (allocate(&channel->plain) < 0)
        return -ENOMEM;
    n = tls_session_read(channel_top(channel), channel->plain, CHANNEL_BUFFER);
    *ret_data = channel->plain;
    return n;
}

int channel_write(struct channel *channel, const void *data, size_t n)
{
    ssize_t k;

    assert(n <= CHANNEL_BUFFER);
    if (channel->n_layers == 0) {
        assert(channel->sending_size == 0);
        channel->sending = data;
        channel->sending_size = n;
        return 0;
    }
    k = tls_session_write(channel_top(channel), data, n);
    return k < 0 ? (int)k : 0;
}

void channel_close_write(struct channel *channel)
{
    if (channel->n_layers > 0)
        tls_session_close(channel_top(channel));
}

void channel_shutdown_write(struct channel *channel)
{
    if (!channel->is_tunnel || channel->n_layers == 0)
        shutdown(channel->fd, SHUT_WR);
}

void channel_get_local(const struct channel *channel, struct sockaddr_storage *ret)
{
    socklen_t n = sizeof *ret;

    if (getsockname(channel->fd, (struct sockaddr *)ret, &n) < 0)
        ret->ss_family = AF_UNSPEC;
}

int channel_take_fd(struct channel *channel)
{
    assert(channel_is_idle(channel) && channel->n_layers <= 1 && channel->in_size == 0);
    return TAKE_FD(channel->fd);
}

bool channel_is_flushing(const struct channel *channel)
{
    return op_is_pending(&channel->flush_op);
}
