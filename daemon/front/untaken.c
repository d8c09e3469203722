/* What was taken is not announced, and asking costs a system call. So it is asked for once in a
 * number of fds, in a slow timer as long as any are charged, and when the user is at the limit.
 *
 * The answer (SIOCOUTQ, unix(7)) is the memory of all messages that were not received yet, 0 when
 * the client has closed. Each takes at least UNTAKEN_MESSAGE_MIN and its bytes, and they are
 * received in the order they were sent in: the untaken ones are among the last that fit into the
 * answer. They are counted one by one as long as there are few; beyond, in batches, each of which
 * counts as untaken as long as one message of it may be.
 *
 * Closing our end would not free what waits in the client's. So a socket with untaken fds is shut
 * down and kept, with its place among the user's sessions, until the client has taken them or
 * closed. What it sent and nobody received is dropped: that could be its own end, which would keep
 * itself open for ever, being reachable from a socket of ours.
 */
#include "daemon/front/untaken.h"

#include <linux/sockios.h>
#include <stdalign.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "daemon/front/user.h"
#include "proto/cleanup.h"

unsigned untaken_max(void)
{
    struct rlimit limit;
    rlim_t max = UNTAKEN_PER_USER_MAX;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur / UNTAKEN_PART_OF_NOFILE < max)
        max = limit.rlim_cur / UNTAKEN_PART_OF_NOFILE;
    return max < UNTAKEN_PER_USER_MIN ? UNTAKEN_PER_USER_MIN : (unsigned)max;
}

static unsigned count(const struct untaken *untaken)
{
    return untaken->charge->n[QUOTA_UNTAKEN];
}

void untaken_init(struct untaken *untaken, struct user *user, struct charge *charge, int fd,
                  bool is_by_grant, untaken_fn *taken)
{
    unsigned max = user->front->untaken_max;

    if (is_by_grant)
        max = max / 2 < UNTAKEN_PER_USER_MIN ? UNTAKEN_PER_USER_MIN : max / 2;
    *untaken = (struct untaken){.user = user,
                                .charge = charge,
                                .max = max,
                                .own_max = max,
                                .fd = fd,
                                .taken = taken,
                                .look_at = UNTAKEN_STEP};
    list_init(&untaken->node);
}

/* From the list of those that the timer looks at. */
static void leave(struct untaken *untaken)
{
    struct user *user = untaken->user;

    list_remove(&untaken->node);
    if (list_is_empty(&user->untaken))
        ring_timer_clear(user->front->env.ring, &user->untaken_timer);
}

static void enter(struct untaken *untaken)
{
    struct user *user = untaken->user;
    struct ring *ring = user->front->env.ring;

    if (!list_is_empty(&untaken->node))
        return;
    list_append(&user->untaken, &untaken->node);
    if (!user->untaken_timer.is_set)
        ring_timer_set(ring, &user->untaken_timer, ring_now_us(ring) + UNTAKEN_LOOK_EVERY_US);
}

void untaken_deinit(struct untaken *untaken)
{
    untaken_sub(untaken, count(untaken));
    leave(untaken);
}

/* The first n batches were taken. */
static void forget(struct untaken *untaken, size_t n)
{
    for (size_t i = 0; i < n; i++)
        untaken_sub(untaken, untaken->batches[i].n_fds);
    untaken->n_batches -= n;
    for (size_t i = 0; i < untaken->n_batches; i++)
        untaken->batches[i] = untaken->batches[i + n];
}

static void look(struct untaken *untaken)
{
    size_t first = untaken->n_batches, n_bytes = 0;
    int n_unread;

    if (ioctl(untaken->fd, SIOCOUTQ, &n_unread) == 0) {
        while (first > 0 && n_bytes < (size_t)n_unread)
            n_bytes += untaken->batches[--first].n_bytes;
        forget(untaken, first);
    }
    untaken->look_at = count(untaken) + UNTAKEN_STEP;
}

/* Each in its turn. Those that come to nothing are left to the timer. */
static void look_at_some(struct user *user)
{
    for (unsigned i = 0; i < UNTAKEN_LOOKS_MAX && !list_is_empty(&user->untaken); i++) {
        struct list *node = list_pop(&user->untaken);

        list_append(&user->untaken, node);
        look(container_of(node, struct untaken, node));
    }
}

void untaken_timer_rang(struct timer *timer)
{
    struct user *user = user_ref(container_of(timer, struct user, untaken_timer));
    struct front *front = user->front;

    list_for_each (&user->untaken, node) {
        struct untaken *untaken = container_of(node, struct untaken, node);

        look(untaken);
        if (count(untaken) == 0)
            leave(untaken);
        if (untaken->is_lingering && (count(untaken) == 0 || front->is_draining))
            untaken->taken(untaken); /* and it is gone */
    }
    if (!list_is_empty(&user->untaken))
        ring_timer_set(front->env.ring, &user->untaken_timer,
                       ring_now_us(front->env.ring) + UNTAKEN_LOOK_EVERY_US);
    user_put(user);
}

bool untaken_add(struct untaken *untaken, unsigned n)
{
    if (count(untaken) + n > untaken->look_at || count(untaken) + n > untaken->own_max)
        look(untaken);
    if (count(untaken) + n > untaken->own_max)
        return false;
    if (!charge_add(untaken->charge, QUOTA_UNTAKEN, n, untaken->max)) {
        look(untaken);
        look_at_some(untaken->user);
        if (!charge_add(untaken->charge, QUOTA_UNTAKEN, n, untaken->max))
            return false;
    }
    enter(untaken);
    return true;
}

void untaken_explain(const struct untaken *untaken, struct failure *ret)
{
    failure_format(ret, ERROR_OVER_LIMIT, 0,
                   "%u connections wait to be taken: receive the results that wait in this session"
                   " and others",
                   untaken->max);
}

void untaken_sub(struct untaken *untaken, unsigned n)
{
    charge_sub(untaken->charge, QUOTA_UNTAKEN, n);
}

static void add_up_neighbours(struct untaken *untaken)
{
    struct untaken_batch *batches = untaken->batches;

    for (size_t i = 0; i < UNTAKEN_BATCHES / 2; i++) {
        batches[i].n_fds = batches[2 * i].n_fds + batches[2 * i + 1].n_fds;
        batches[i].n_bytes = batches[2 * i].n_bytes + batches[2 * i + 1].n_bytes;
    }
    untaken->n_batches = UNTAKEN_BATCHES / 2;
    untaken->batch_size *= 2;
}

void untaken_sent(struct untaken *untaken, unsigned n, size_t n_bytes)
{
    struct untaken_batch *last;

    if (untaken->n_batches == 0)
        untaken->batch_size = untaken->n_in_last = 1;
    if (untaken->n_in_last == untaken->batch_size) {
        if (untaken->n_batches == UNTAKEN_BATCHES)
            add_up_neighbours(untaken);
        untaken->batches[untaken->n_batches++] = (struct untaken_batch){0};
        untaken->n_in_last = 0;
    }
    last = &untaken->batches[untaken->n_batches - 1];
    last->n_fds += n;
    last->n_bytes += UNTAKEN_MESSAGE_MIN + (unsigned)n_bytes;
    untaken->n_in_last++;
}

/* The sender's credentials, which come with each message (SO_PASSCRED), tell an empty one from the
 * end; there is no room for fds. */
static void drop_received(int fd)
{
    alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(struct ucred))];
    struct msghdr header;

    do {
        header = (struct msghdr){.msg_control = control, .msg_controllen = sizeof control};
    } while (recvmsg(fd, &header, MSG_DONTWAIT) >= 0 && header.msg_controllen > 0);
}

bool untaken_lingers(struct untaken *untaken)
{
    if (count(untaken) > 0)
        look(untaken);
    if (count(untaken) == 0 || untaken->user->front->is_draining)
        return false;
    if (!untaken->is_lingering) {
        untaken->is_lingering = true;
        shutdown(untaken->fd, SHUT_RDWR);
        drop_received(untaken->fd);
    }
    return true;
}
