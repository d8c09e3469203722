/* One accept at a time. When it ends on an error that may pass (EMFILE, ENFILE, ENOMEM), it is
 * armed again after a pause; the connections wait in the backlog meanwhile. */
#include "daemon/front/listener.h"

#include <errno.h>
#include <string.h>

#include "daemon/base/log.h"
#include "daemon/front/peer.h"

static void accepted(struct op *op, int res, uint32_t flags)
{
    struct listener *l = container_of(op, struct listener, accept_op);
    struct ring *ring = l->front->env.ring;

    (void)flags;
    if (res >= 0)
        peer_new_consume_fd(l->front, res, l->name);
    if (l->is_stopped)
        return;
    if (res >= 0 || res == -ECONNABORTED || res == -EAGAIN || res == -EINTR) {
        ring_accept(ring, &l->accept_op, l->fd);
        return;
    }
    log_warning("cannot accept a session: %s", strerror(-res));
    ring_timer_set(ring, &l->retry_timer, ring_now_us(ring) + ACCEPT_RETRY_US);
}

static void retry(struct timer *timer)
{
    struct listener *l = container_of(timer, struct listener, retry_timer);

    ring_accept(l->front->env.ring, &l->accept_op, l->fd);
}

void listener_start(struct listener *l, struct front *front, int fd, const char *name)
{
    *l = (struct listener){.front = front, .fd = fd, .name = name};
    op_init(&l->accept_op, accepted);
    timer_init(&l->retry_timer, retry);
    ring_accept(front->env.ring, &l->accept_op, fd);
}

void listener_stop(struct listener *l)
{
    l->is_stopped = true;
    ring_timer_clear(l->front->env.ring, &l->retry_timer);
    ring_cancel(l->front->env.ring, &l->accept_op);
}
