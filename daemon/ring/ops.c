/* Preparing operations. Each takes a submission entry, or, where fault injection strikes or the
 * kernel lacks the operation, puts the op on the ring's list of those that are done already.
 */
#include "daemon/ring/internal.h"
#include "daemon/ring/memcheck.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define SUBMIT_TRIES_MAX 100000

/* linux/io_uring.h of 6.7: struct io_uring_sqe as a socket command uses it */
#define SOCKET_CMD_SETSOCKOPT 3
#define SQE_LEVEL(sqe)        ((uint32_t *)&(sqe)->addr)[0]
#define SQE_OPTNAME(sqe)      ((uint32_t *)&(sqe)->addr)[1]

/* Submitting makes room. It may fail for lack of memory for a moment, but not for ever. */
struct io_uring_sqe *ring_get_sqe(struct ring *ring)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);

    for (unsigned tries = 0; !sqe; tries++) {
        if (tries == SUBMIT_TRIES_MAX)
            abort();
        ring->n_enters++;
        io_uring_submit(&ring->uring);
        if (ring->is_sqpoll)
            io_uring_sqring_wait(&ring->uring);
        sqe = io_uring_get_sqe(&ring->uring);
    }
    return sqe;
}

static void complete_without_kernel(struct ring *ring, struct op *op, int result)
{
    op->is_pending = true;
    op->is_ready = true;
    op->result = result;
    list_append(&ring->ready, &op->node);
}

/* Counts the op. True when it is to fail on purpose, and then has. */
static bool op_is_failed(struct ring *ring, struct op *op)
{
    assert(!op->is_pending);
    ring->n_ops++;
#ifdef FDIAL_FAULT_INJECTION
    if (ring->n_ops == ring->fail_at) {
        complete_without_kernel(ring, op, -ring->fail_error);
        return true;
    }
#else
    (void)op;
#endif
    return false;
}

#ifdef FDIAL_FAULT_INJECTION
void ring_fail_nth(struct ring *ring, uint64_t nth, int error)
{
    ring->fail_at = nth ? ring->n_ops + nth : 0;
    ring->fail_error = error;
}

void ring_forget_setsockopt(struct ring *ring)
{
    ring->features.has_setsockopt = false;
}
#endif

static struct io_uring_sqe *op_begin(struct ring *ring, struct op *op)
{
    if (op_is_failed(ring, op))
        return NULL;
    op->is_pending = true;
    return ring_get_sqe(ring);
}

void ring_socket(struct ring *ring, struct op *op, int family, int type, int protocol)
{
    struct io_uring_sqe *sqe = op_begin(ring, op);

    if (!sqe)
        return;
    io_uring_prep_socket(sqe, family, type, protocol, 0);
    io_uring_sqe_set_data(sqe, op);
}

void ring_connect(struct ring *ring, struct op *op, int fd, const struct sockaddr *sa, socklen_t n)
{
    struct io_uring_sqe *sqe = op_begin(ring, op);
    struct sockaddr_storage *copy;

    if (!sqe)
        return;
    /* The kernel reads the address when it takes the entry, which is later; then the entry, and
     * with it the place of the copy, may be used again. */
    assert(n <= sizeof *copy);
    copy = &ring->addresses[sqe - ring->uring.sq.sqes];
    memcpy(copy, sa, n);
    io_uring_prep_connect(sqe, fd, (struct sockaddr *)copy, n);
    io_uring_sqe_set_data(sqe, op);
}

void ring_accept(struct ring *ring, struct op *op, int fd)
{
    struct io_uring_sqe *sqe = op_begin(ring, op);

    if (!sqe)
        return;
    io_uring_prep_accept(sqe, fd, NULL, NULL, SOCK_CLOEXEC);
    io_uring_sqe_set_data(sqe, op);
}

void ring_recv(struct ring *ring, struct op *op, int fd, void *buf, size_t n, int flags)
{
    struct io_uring_sqe *sqe = op_begin(ring, op);

    if (!sqe)
        return;
    memcheck_expect_data(buf, n);
    io_uring_prep_recv(sqe, fd, buf, n, flags);
    io_uring_sqe_set_data(sqe, op);
}

void ring_send(struct ring *ring, struct op *op, int fd, const void *buf, size_t n, int flags)
{
    struct io_uring_sqe *sqe = op_begin(ring, op);

    if (!sqe)
        return;
    io_uring_prep_send(sqe, fd, buf, n, flags | MSG_NOSIGNAL);
    io_uring_sqe_set_data(sqe, op);
}

void ring_sendmsg(struct ring *ring, struct op *op, int fd, const struct msghdr *msg, int flags)
{
    struct io_uring_sqe *sqe = op_begin(ring, op);

    if (!sqe)
        return;
    io_uring_prep_sendmsg(sqe, fd, msg, (unsigned)(flags | MSG_NOSIGNAL));
    io_uring_sqe_set_data(sqe, op);
}

void ring_poll(struct ring *ring, struct op *op, int fd, short events)
{
    struct io_uring_sqe *sqe = op_begin(ring, op);

    if (!sqe)
        return;
    io_uring_prep_poll_add(sqe, fd, (unsigned)events);
    io_uring_sqe_set_data(sqe, op);
}

void ring_poll_changes(struct ring *ring, struct op *op, int fd)
{
    struct io_uring_sqe *sqe = op_begin(ring, op);

    if (!sqe)
        return;
    io_uring_prep_poll_multishot(sqe, fd, 0);
    io_uring_sqe_set_data(sqe, op);
}

void ring_read(struct ring *ring, struct op *op, int fd, void *buf, size_t n)
{
    struct io_uring_sqe *sqe = op_begin(ring, op);

    if (!sqe)
        return;
    memcheck_expect_data(buf, n);
    io_uring_prep_read(sqe, fd, buf, (unsigned)n, 0);
    io_uring_sqe_set_data(sqe, op);
}

void ring_recv_messages(struct ring *ring, struct op *op, int fd)
{
    struct io_uring_sqe *sqe = op_begin(ring, op);

    if (!sqe)
        return;
    io_uring_prep_recvmsg_multishot(sqe, fd, &ring->message_header, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = RING_BUFFER_GROUP;
    io_uring_sqe_set_data(sqe, op);
}

static void find_creds(struct io_uring_recvmsg_out *out, struct msghdr *header,
                       struct ring_message *m)
{
    struct cmsghdr *c = io_uring_recvmsg_cmsg_firsthdr(out, header);

    for (; c; c = io_uring_recvmsg_cmsg_nexthdr(out, header, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS &&
            c->cmsg_len == CMSG_LEN(sizeof m->creds)) {
            memcpy(&m->creds, CMSG_DATA(c), sizeof m->creds);
            m->has_creds = true;
        }
    }
}

int ring_message_get(struct ring *ring, int res, uint32_t flags, struct ring_message *ret)
{
    struct io_uring_recvmsg_out *out;
    uint8_t *buffer;

    if (!(flags & IORING_CQE_F_BUFFER))
        return -ENODATA;
    buffer = ring->buffers + (size_t)(flags >> IORING_CQE_BUFFER_SHIFT) * RING_BUFFER_SIZE;
    out = io_uring_recvmsg_validate(buffer, res, &ring->message_header);
    if (!out)
        return -ENODATA;
    *ret = (struct ring_message){
        .data = io_uring_recvmsg_payload(out, &ring->message_header),
        .n = io_uring_recvmsg_payload_length(out, res, &ring->message_header),
        .is_truncated = out->flags & MSG_TRUNC,
    };
    find_creds(out, &ring->message_header, ret);
    /* An empty message has a sender, the end of the stream has none. */
    return ret->n == 0 && !ret->has_creds ? -ENODATA : 0;
}

void ring_recycle_buffer(struct ring *ring, unsigned id)
{
    memcheck_expect_data(ring->buffers + (size_t)id * RING_BUFFER_SIZE, RING_BUFFER_SIZE);
    io_uring_buf_ring_add(ring->buffer_ring, ring->buffers + (size_t)id * RING_BUFFER_SIZE,
                          RING_BUFFER_SIZE, (unsigned short)id,
                          io_uring_buf_ring_mask(RING_BUFFERS), 0);
    io_uring_buf_ring_advance(ring->buffer_ring, 1);
}

/* The value must stay in place until the entry is submitted; callers pass what does. */
void ring_prepare_setsockopt(struct io_uring_sqe *sqe, int fd, int level, int name,
                             const void *value, socklen_t n)
{
    io_uring_prep_rw(IORING_OP_URING_CMD, sqe, fd, NULL, 0, SOCKET_CMD_SETSOCKOPT);
    SQE_LEVEL(sqe) = (uint32_t)level;
    SQE_OPTNAME(sqe) = (uint32_t)name;
    sqe->file_index = n;
    sqe->addr3 = (uint64_t)(uintptr_t)value;
}

void ring_setsockopt(struct ring *ring, struct op *op, int fd, int level, int name,
                     const void *value, socklen_t n)
{
    struct io_uring_sqe *sqe;

    if (op_is_failed(ring, op))
        return;
    if (!ring->features.has_setsockopt) {
        complete_without_kernel(ring, op, setsockopt(fd, level, name, value, n) < 0 ? -errno : 0);
        return;
    }
    op->is_pending = true;
    sqe = ring_get_sqe(ring);
    ring_prepare_setsockopt(sqe, fd, level, name, value, n);
    io_uring_sqe_set_data(sqe, op);
}

void ring_setsockopt_quietly(struct ring *ring, int fd, int level, int name, const void *value,
                             socklen_t n)
{
    struct io_uring_sqe *sqe;

    if (!ring->features.has_setsockopt) {
        setsockopt(fd, level, name, value, n);
        return;
    }
    sqe = ring_get_sqe(ring);
    ring_prepare_setsockopt(sqe, fd, level, name, value, n);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data(sqe, NULL);
}

void ring_close_consume_fd(struct ring *ring, int fd)
{
    struct io_uring_sqe *sqe;

    if (fd < 0)
        return;
    sqe = ring_get_sqe(ring);
    io_uring_prep_close(sqe, fd);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data(sqe, NULL);
}

void ring_cancel(struct ring *ring, struct op *op)
{
    struct io_uring_sqe *sqe;

    if (!op->is_pending || op->is_ready)
        return;
    sqe = ring_get_sqe(ring);
    io_uring_prep_cancel(sqe, op, 0);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data(sqe, NULL);
}
