/* Making a ring: flags, queue sizes that RLIMIT_MEMLOCK allows, the shared receive buffers, a probe
 * of what the kernel can do, and last the restriction to the opcodes used: seccomp does not see
 * what a ring does, so this list is the filter.
 */
#include "daemon/ring/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proto/cleanup.h"

#define ENTRIES_MIN 64

static const uint8_t opcodes[] = {
    IORING_OP_ACCEPT, IORING_OP_ASYNC_CANCEL, IORING_OP_CLOSE,  IORING_OP_CONNECT,
    IORING_OP_READ,   IORING_OP_POLL_ADD,     IORING_OP_RECV,   IORING_OP_RECVMSG,
    IORING_OP_SEND,   IORING_OP_SENDMSG,      IORING_OP_SOCKET, IORING_OP_URING_CMD,
};

static const uint8_t sqe_flags = IOSQE_BUFFER_SELECT | IOSQE_CQE_SKIP_SUCCESS;

static int sys_register(int fd, unsigned op, const void *arg, unsigned n)
{
    return syscall(__NR_io_uring_register, fd, op, arg, n) < 0 ? -errno : 0;
}

static const char *setup_error(int r)
{
    switch (-r) {
    case EPERM:
        return "io_uring is forbidden here: check `sysctl kernel.io_uring_disabled` (must be 0, or "
               "1"
               " with CAP_SYS_ADMIN or kernel.io_uring_group) and the container's seccomp profile";
    case ENOSYS:
        return "the kernel has no io_uring, or a seccomp profile hides it: it needs Linux 6.1,"
               " CONFIG_IO_URING, and a profile that allows io_uring_setup, io_uring_enter and"
               " io_uring_register";
    case EINVAL:
        return "the kernel's io_uring is too old: it needs Linux 6.1";
    case ENOMEM:
        return "not enough locked memory for io_uring: raise RLIMIT_MEMLOCK (in a unit:"
               " LimitMEMLOCK=infinity)";
    case EMFILE:
    case ENFILE:
        return "out of file descriptors: raise RLIMIT_NOFILE (in a unit: LimitNOFILE=)";
    }
    return "cannot set up io_uring";
}

static int init_queues(struct ring *ring, const struct ring_options *options)
{
    unsigned entries = RING_ENTRIES;
    int r;

    for (;;) {
        struct io_uring_params params = {
            .flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_SUBMIT_ALL |
                     IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER,
            .cq_entries = entries * (RING_COMPLETIONS / RING_ENTRIES),
        };

        /* The kernel's thread submits for us; deferring its work to ours contradicts that. */
        if (options->sqpoll) {
            params.flags |= IORING_SETUP_SQPOLL;
            params.sq_thread_idle = 100;
        } else {
            params.flags |= IORING_SETUP_DEFER_TASKRUN;
        }
        r = io_uring_queue_init_params(entries, &ring->uring, &params);
        if (r != -ENOMEM || entries <= ENTRIES_MIN)
            break;
        entries /= 2;
    }
    if (r < 0)
        return r;
    ring->has_uring = true;
    ring->is_sqpoll = options->sqpoll;
    ring->features.entries = entries;
    return 0;
}

static int check_opcodes(struct ring *ring, const char **ret_error)
{
    struct io_uring_probe *probe = io_uring_get_probe_ring(&ring->uring);
    int r = 0;

    if (!probe) {
        *ret_error = "cannot ask the kernel which io_uring operations it has";
        return -EOPNOTSUPP;
    }
    for (size_t i = 0; i < ARRAY_SIZE(opcodes); i++) {
        if (!io_uring_opcode_supported(probe, opcodes[i])) {
            *ret_error = "the kernel lacks an io_uring operation that is needed: use Linux 6.1 or"
                         " newer";
            r = -EOPNOTSUPP;
        }
    }
    io_uring_free_probe(probe);
    return r;
}

static int init_buffers(struct ring *ring)
{
    struct io_uring_buf_reg reg = {.ring_entries = RING_BUFFERS, .bgid = RING_BUFFER_GROUP};
    size_t size = RING_BUFFERS * sizeof(struct io_uring_buf);
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int r;

    if (memory == MAP_FAILED)
        return -errno;
    ring->buffer_ring = memory;
    ring->buffers = malloc((size_t)RING_BUFFERS * RING_BUFFER_SIZE);
    ring->addresses = calloc(ring->uring.sq.ring_entries, sizeof *ring->addresses);
    if (!ring->buffers || !ring->addresses)
        return -ENOMEM;
    reg.ring_addr = (uint64_t)(uintptr_t)memory;
    r = io_uring_register_buf_ring(&ring->uring, &reg, 0);
    if (r < 0)
        return r;
    io_uring_buf_ring_init(ring->buffer_ring);
    for (unsigned i = 0; i < RING_BUFFERS; i++)
        ring_recycle_buffer(ring, i);
    ring->message_header.msg_controllen = CMSG_SPACE(sizeof(struct ucred));
    return 0;
}

static int restrict_and_enable(struct ring *ring)
{
    struct io_uring_restriction list[ARRAY_SIZE(opcodes) + 1] = {0};
    size_t n = 0;
    int r;

    for (size_t i = 0; i < ARRAY_SIZE(opcodes); i++) {
        list[n].opcode = IORING_RESTRICTION_SQE_OP;
        list[n++].sqe_op = opcodes[i];
    }
    list[n].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
    list[n++].sqe_flags = sqe_flags;
    r = sys_register(ring->uring.ring_fd, IORING_REGISTER_RESTRICTIONS, list, (unsigned)n);
    if (r < 0)
        return r;
    return sys_register(ring->uring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}

/* Tries setsockopt in the ring (Linux 6.7) on a socket of its own. */
static bool probe_setsockopt(struct ring *ring)
{
    CLEANUP(fd_closep) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct io_uring_cqe *cqe;
    int one = 1;
    bool has_it;

    if (fd < 0)
        return false;
    ring_prepare_setsockopt(ring_get_sqe(ring), fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    if (io_uring_submit_and_wait(&ring->uring, 1) < 0 || io_uring_peek_cqe(&ring->uring, &cqe) < 0)
        return false;
    has_it = cqe->res == 0;
    io_uring_cqe_seen(&ring->uring, cqe);
    return has_it;
}

int ring_setup(struct ring *ring, const struct ring_options *options, const char **ret_error)
{
    int r = init_queues(ring, options);

    if (r < 0) {
        *ret_error = setup_error(r);
        return r;
    }
    r = check_opcodes(ring, ret_error);
    if (r < 0)
        return r;
    r = init_buffers(ring);
    if (r < 0) {
        *ret_error = "cannot register io_uring receive buffers (locked memory: raise"
                     " RLIMIT_MEMLOCK, in a unit LimitMEMLOCK=infinity)";
        return r;
    }
    /* Saves an fd look-up at each enter; works without. */
    io_uring_register_ring_fd(&ring->uring);
    r = restrict_and_enable(ring);
    if (r < 0) {
        *ret_error = "cannot restrict and enable io_uring: use Linux 6.1 or newer";
        return r;
    }
    ring->features.has_setsockopt = probe_setsockopt(ring);
    return 0;
}

void ring_teardown(struct ring *ring)
{
    if (ring->has_uring)
        io_uring_queue_exit(&ring->uring);
    if (ring->buffer_ring)
        munmap(ring->buffer_ring, RING_BUFFERS * sizeof(struct io_uring_buf));
    free(ring->buffers);
    free(ring->addresses);
}
