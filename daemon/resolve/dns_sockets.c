/* One one-shot poll per socket. If what is wanted grows while it is pending, it is cancelled and
 * armed anew from its callback; if it shrinks, the pending one may fire once in vain. A socket
 * without channel has been closed by its owner and waits for the end of its poll. */
#include "daemon/resolve/dns_sockets.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "proto/cleanup.h"

struct dns_socket {
    struct op poll;
    struct list node;
    struct dns_sockets *sockets;
    struct dns_channel *channel; /* NULL: closed */
    int fd;
    short wanted, armed;
    bool is_cancelling;
};

void dns_sockets_init(struct dns_sockets *sockets, struct ring *ring, dns_ready_fn *on_ready)
{
    sockets->ring = ring;
    sockets->on_ready = on_ready;
    list_init(&sockets->all);
}

static struct dns_socket *find(struct dns_sockets *sockets, struct dns_channel *channel, int fd)
{
    list_for_each (&sockets->all, node) {
        struct dns_socket *s = container_of(node, struct dns_socket, node);

        if (s->channel == channel && s->fd == fd)
            return s;
    }
    return NULL;
}

static void dns_socket_free(struct dns_socket *s)
{
    assert(!op_is_pending(&s->poll));
    list_remove(&s->node);
    fd_close(s->fd);
    free(s);
}

static void dns_socket_cancel(struct dns_socket *s)
{
    if (s->is_cancelling)
        return;
    s->is_cancelling = true;
    ring_cancel(s->sockets->ring, &s->poll);
}

static void on_poll(struct op *op, int res, uint32_t flags)
{
    struct dns_socket *s = container_of(op, struct dns_socket, poll);
    int events;

    (void)flags;
    s->is_cancelling = false;
    if (!s->channel) {
        dns_socket_free(s);
        return;
    }
    /* After an error other than our own cancel its owner finds out by itself what is wrong. */
    events = res >= 0 ? res : res == -ECANCELED ? 0 : POLLERR;
    if (events & (POLLERR | POLLHUP))
        events |= POLLIN | POLLOUT;
    events &= s->wanted;
    s->sockets->on_ready(s->channel, events ? s->fd : -1, events); /* may free `s` */
}

int dns_sockets_open(struct dns_sockets *sockets, struct dns_channel *channel, int family, int type,
                     int protocol)
{
    struct dns_socket *s = calloc(1, sizeof *s);
    int on = 1;

    if (!s) {
        errno = ENOMEM;
        return -1;
    }
    s->fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
    if (s->fd < 0) {
        free(s);
        return -1;
    }
    if (type == SOCK_STREAM)
        (void)setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    op_init(&s->poll, on_poll);
    s->sockets = sockets;
    s->channel = channel;
    list_append(&sockets->all, &s->node);
    return s->fd;
}

void dns_sockets_close(struct dns_sockets *sockets, struct dns_channel *channel, int fd)
{
    struct dns_socket *s = find(sockets, channel, fd);

    assert(s);
    s->channel = NULL;
    s->wanted = 0;
    if (op_is_pending(&s->poll))
        dns_socket_cancel(s);
    else
        dns_socket_free(s);
}

void dns_sockets_want(struct dns_sockets *sockets, struct dns_channel *channel, int fd,
                      short events)
{
    struct dns_socket *s = find(sockets, channel, fd);

    if (s)
        s->wanted = events;
}

static void dns_socket_arm(struct dns_socket *s)
{
    if (op_is_pending(&s->poll)) {
        if (s->wanted & ~s->armed)
            dns_socket_cancel(s);
    } else if (s->wanted) {
        s->armed = s->wanted;
        ring_poll(s->sockets->ring, &s->poll, s->fd, s->wanted);
    }
}

void dns_sockets_arm(struct dns_sockets *sockets)
{
    list_for_each (&sockets->all, node)
        dns_socket_arm(container_of(node, struct dns_socket, node));
}

void dns_sockets_deinit(struct dns_sockets *sockets)
{
    while (!list_is_empty(&sockets->all)) {
        if (ring_turn(sockets->ring) < 0)
            break; /* the ring is dead: nothing of it will touch us again */
    }
    list_for_each (&sockets->all, node) {
        struct dns_socket *s = container_of(node, struct dns_socket, node);

        op_init(&s->poll, on_poll);
        dns_socket_free(s);
    }
}
