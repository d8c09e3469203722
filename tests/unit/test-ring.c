/* The ring: operations, timers, tasks, cancellation, messages with credentials, fault injection;
 * and the kernel behaviour it relies on. */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "daemon/ring/internal.h"
#include "daemon/ring/ring.h"
#include "proto/cleanup.h"
#include "proto/wire.h"
#include "tests/lib/suite.h"

static struct ring *ring;

static void setup(void)
{
    const char *error = NULL;
    int r = ring_new(&ring, &(struct ring_options){0}, &error);

    ck_assert_msg(r == 0, "ring_new: %d %s", r, error);
}

static void teardown(void)
{
    ring = ring_free(ring);
}

struct probe {
    struct op op;
    int res;
    unsigned calls;
};

static void probe_done(struct op *op, int res, uint32_t flags)
{
    struct probe *p = container_of(op, struct probe, op);

    (void)flags;
    p->res = res;
    p->calls++;
}

static struct probe probe_make(void)
{
    return (struct probe){.op = {.fn = probe_done}};
}

static void run_until_done(struct probe *p)
{
    for (int i = 0; i < 1000 && p->op.is_pending; i++)
        ck_assert_int_eq(ring_turn(ring), 0);
    ck_assert(!p->op.is_pending);
}

START_TEST(test_socket_connect_setsockopt_close)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CLEANUP(fd_closep) int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t n = sizeof sa;
    struct probe p = probe_make();
    static const int one = 1;
    int fd, value = 0;

    ck_assert_int_eq(bind(listener, (struct sockaddr *)&sa, sizeof sa), 0);
    ck_assert_int_eq(listen(listener, 8), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&sa, &n), 0);

    ring_socket(ring, &p.op, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    run_until_done(&p);
    fd = p.res;
    ck_assert_int_ge(fd, 0);
    ring_setsockopt(ring, &p.op, fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    run_until_done(&p);
    ck_assert_int_eq(p.res, 0);
    n = sizeof value;
    ck_assert_int_eq(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &n), 0);
    ck_assert_int_eq(value, 1);
    ring_connect(ring, &p.op, fd, (struct sockaddr *)&sa, sizeof sa);
    run_until_done(&p);
    ck_assert_int_eq(p.res, 0);
    ring_close_consume_fd(ring, fd);
    ring_socket(ring, &p.op, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    run_until_done(&p);
    fd_close(p.res);
}
END_TEST

static int listen_on_loopback(struct sockaddr_in *ret_sa)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t n = sizeof *ret_sa;

    *ret_sa =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    ck_assert_int_eq(bind(fd, (struct sockaddr *)ret_sa, n), 0);
    ck_assert_int_eq(listen(fd, 8), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)ret_sa, &n), 0);
    return fd;
}

/* The caller's address may be gone, or another, when the turn submits. */
START_TEST(test_one_connection_an_accept)
{
    struct sockaddr_in sa;
    CLEANUP(fd_closep) int listener = listen_on_loopback(&sa);
    struct probe p = probe_make();
    int clients[4];

    for (size_t i = 0; i < ARRAY_SIZE(clients); i++) {
        clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ck_assert_int_eq(connect(clients[i], (struct sockaddr *)&sa, sizeof sa), 0);
    }
    for (size_t i = 0; i < ARRAY_SIZE(clients); i++) {
        ring_accept(ring, &p.op, listener);
        run_until_done(&p);
        ck_assert_int_ge(p.res, 0);
        fd_close(p.res);
    }
    ring_accept(ring, &p.op, listener);
    ring_cancel(ring, &p.op);
    run_until_done(&p);
    ck_assert_int_eq(p.res, -ECANCELED);
    for (size_t i = 0; i < ARRAY_SIZE(clients); i++)
        close(clients[i]);
}
END_TEST

START_TEST(test_connect_copies_the_address)
{
    struct sockaddr_in wanted[2], sa, peer;
    int listeners[2], fds[2];
    struct probe p[2] = {probe_make(), probe_make()};
    socklen_t n = sizeof peer;

    for (int i = 0; i < 2; i++) {
        listeners[i] = listen_on_loopback(&wanted[i]);
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sa = wanted[i];
        ring_connect(ring, &p[i].op, fds[i], (struct sockaddr *)&sa, sizeof sa);
    }
    memset(&sa, 0xff, sizeof sa);
    for (int i = 0; i < 2; i++) {
        run_until_done(&p[i]);
        ck_assert_int_eq(p[i].res, 0);
        ck_assert_int_eq(getpeername(fds[i], (struct sockaddr *)&peer, &n), 0);
        ck_assert_int_eq(peer.sin_port, wanted[i].sin_port);
        fd_close(fds[i]);
        fd_close(listeners[i]);
    }
}
END_TEST

START_TEST(test_cancel_of_a_pending_recv)
{
    int pair[2];
    char buf[8];
    struct probe p = probe_make();

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    ring_recv(ring, &p.op, pair[0], buf, sizeof buf, 0);
    ring_cancel(ring, &p.op);
    run_until_done(&p);
    ck_assert_int_eq(p.res, -ECANCELED);
    ck_assert_uint_eq(p.calls, 1);
    ring_cancel(ring, &p.op); /* harmless */
    close(pair[0]);
    close(pair[1]);
}
END_TEST

struct message_probe {
    struct op op;
    int r;
    unsigned calls;
    struct ring_message last;
    char copy[64];
};

static void message_done(struct op *op, int res, uint32_t flags)
{
    struct message_probe *p = container_of(op, struct message_probe, op);

    p->calls++;
    p->r = res < 0 ? res : ring_message_get(ring, res, flags, &p->last);
    if (p->r == 0)
        memcpy(p->copy, p->last.data, p->last.n < sizeof p->copy ? p->last.n : sizeof p->copy);
}

START_TEST(test_messages_bring_credentials_and_no_fds)
{
    int pair[2], on = 1;
    struct message_probe p = {.op = {.fn = message_done}};
    alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
    char hello[] = "hello";
    struct iovec iov = {hello, 5};
    struct msghdr m = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    int before, after;

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    ck_assert_int_eq(setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on), 0);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &pair[1], sizeof(int));
    before = dup(0);
    close(before);
    ck_assert_int_eq(sendmsg(pair[1], &m, 0), 5);
    ring_recv_messages(ring, &p.op, pair[0]);
    while (p.calls == 0)
        ck_assert_int_eq(ring_turn(ring), 0);
    after = dup(0);
    close(after);
    ck_assert_int_eq(before, after); /* the fd that was sent is nowhere */
    ck_assert_int_eq(p.r, 0);
    ck_assert_uint_eq(p.last.n, 5);
    ck_assert_mem_eq(p.copy, "hello", 5);
    ck_assert(p.last.has_creds);
    ck_assert_int_eq(p.last.creds.pid, getpid());
    ck_assert(p.op.is_pending);
    close(pair[1]);
    while (p.op.is_pending)
        ck_assert_int_eq(ring_turn(ring), 0);
    ck_assert_int_eq(p.r, -ENODATA);
    close(pair[0]);
}
END_TEST

START_TEST(test_oversized_message_is_marked)
{
    int pair[2];
    struct message_probe p = {.op = {.fn = message_done}};
    static char big[WIRE_REQUEST_MAX + 1], huge[RING_BUFFER_SIZE];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    ring_recv_messages(ring, &p.op, pair[0]);
    ck_assert_int_eq(send(pair[1], big, sizeof big, 0), sizeof big);
    while (p.calls == 0)
        ck_assert_int_eq(ring_turn(ring), 0);
    ck_assert_uint_eq(p.last.n, sizeof big);
    ck_assert(!p.last.is_truncated);
    ck_assert_int_eq(send(pair[1], huge, sizeof huge, 0), sizeof huge);
    while (p.calls == 1)
        ck_assert_int_eq(ring_turn(ring), 0);
    ck_assert(p.last.is_truncated);
    close(pair[1]);
    while (p.op.is_pending)
        ck_assert_int_eq(ring_turn(ring), 0);
    close(pair[0]);
}
END_TEST

START_TEST(test_more_messages_than_buffers)
{
    enum { N = RING_BUFFERS * 2 };
    int pair[2];
    struct message_probe p = {.op = {.fn = message_done}};
    unsigned sent = 0;

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    while (sent < N && send(pair[1], "x", 1, MSG_DONTWAIT) == 1)
        sent++;
    ck_assert_uint_gt(sent, RING_BUFFERS);
    for (unsigned got = 0; got < sent;) {
        if (!p.op.is_pending)
            ring_recv_messages(ring, &p.op, pair[0]);
        p.calls = 0;
        ck_assert_int_eq(ring_turn(ring), 0);
        got += p.calls - (p.calls > 0 && p.r == -ENOBUFS ? 1 : 0);
        ck_assert(p.calls == 0 || p.r == 0 || p.r == -ENOBUFS);
    }
    ring_cancel(ring, &p.op);
    while (p.op.is_pending)
        ck_assert_int_eq(ring_turn(ring), 0);
    close(pair[0]);
    close(pair[1]);
}
END_TEST

struct timer_probe {
    struct timer timer;
    unsigned order;
};

static unsigned fired;

static void timer_fired(struct timer *timer)
{
    container_of(timer, struct timer_probe, timer)->order = ++fired;
}

START_TEST(test_timers_fire_in_order)
{
    enum { N = 500 };
    static struct timer_probe probes[N];
    uint64_t base = clock_now_us(), last_at = 0;
    unsigned seed = 7, removed = 0;

    fired = 0;
    for (unsigned i = 0; i < N; i++) {
        timer_init(&probes[i].timer, timer_fired);
        probes[i].order = 0;
        seed = seed * 1103515245 + 12345;
        ring_timer_set(ring, &probes[i].timer, base + seed / 65536 % 20000);
    }
    for (unsigned i = 0; i < N; i += 3, removed++)
        ring_timer_clear(ring, &probes[i].timer);
    for (unsigned i = 1; i < N; i += 7)
        ring_timer_set(ring, &probes[i].timer,
                       probes[i].timer.at_us + (probes[i].timer.is_set ? 5000 : 0));
    for (unsigned i = 0; i < N; i += 3)
        ring_timer_clear(ring, &probes[i].timer);
    while (fired < N - removed)
        ck_assert_int_eq(ring_turn(ring), 0);
    for (unsigned order = 1; order <= fired; order++) {
        for (unsigned i = 0; i < N; i++) {
            if (probes[i].order == order) {
                ck_assert_uint_ge(probes[i].timer.at_us, last_at);
                last_at = probes[i].timer.at_us;
            }
        }
    }
    for (unsigned i = 0; i < N; i += 3)
        ck_assert_uint_eq(probes[i].order, 0);
}
END_TEST

struct task_probe {
    struct task task;
    unsigned runs;
};

static void task_run(struct task *task)
{
    container_of(task, struct task_probe, task)->runs++;
}

START_TEST(test_one_heavy_task_a_turn)
{
    struct task_probe probes[8];
    struct fair_lane lane;
    unsigned runs = 0;

    fair_lane_init(&lane);
    for (size_t i = 0; i < ARRAY_SIZE(probes); i++) {
        probes[i].runs = 0;
        task_init(&probes[i].task, &lane, task_run);
        ring_post(ring, &probes[i].task);
        ring_post(ring, &probes[i].task); /* once is enough */
    }
    ck_assert_int_eq(ring_turn(ring), 0);
    for (size_t i = 0; i < ARRAY_SIZE(probes); i++)
        runs += probes[i].runs;
    ck_assert_uint_eq(runs, 1);
    task_clear(&probes[7].task);
    while (probes[6].runs == 0)
        ck_assert_int_eq(ring_turn(ring), 0);
    for (size_t i = 0; i < 7; i++)
        ck_assert_uint_eq(probes[i].runs, 1);
    ck_assert_uint_eq(probes[7].runs, 0);
}
END_TEST

/* A heavy task waits while there are completions, but not for ever. */
START_TEST(test_cheap_before_heavy)
{
    struct task_probe heavy = {.runs = 0};
    struct fair_lane lane;
    uint64_t begin_us;
    unsigned n_cheap = 0;

    fair_lane_init(&lane);
    task_init(&heavy.task, &lane, task_run);
    ring_post(ring, &heavy.task);
    while (heavy.runs == 0)
        ck_assert_int_eq(ring_turn(ring), 0);
    begin_us = clock_now_us();
    heavy.runs = 0;
    ring_post(ring, &heavy.task);
    while (heavy.runs == 0) {
        struct probe cheap = probe_make();

        ring_socket(ring, &cheap.op, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        run_until_done(&cheap);
        close(cheap.res);
        n_cheap++;
    }
    ck_assert_uint_ge(n_cheap, 1);
    ck_assert_uint_ge(clock_now_us() - begin_us, RING_HEAVY_PAUSE_US / 2);
}
END_TEST

struct fair_probe {
    struct task task;
    char name;
};

static char fair_order[16];

static void fair_run(struct task *task)
{
    const struct fair_probe *probe = container_of(task, struct fair_probe, task);

    strncat(fair_order, &probe->name, 1);
}

/* Lanes are served in turn, whoever came first and however much is in each; what is taken out
 * leaves nothing behind. */
START_TEST(test_heavy_tasks_take_turns)
{
    struct fair_lane lanes[3];
    struct fair_probe probes[] = {{.name = 'a'}, {.name = 'b'}, {.name = 'c'}, {.name = 'd'},
                                  {.name = 'E'}, {.name = 'F'}, {.name = '1'}};
    const size_t lane_of[] = {0, 0, 0, 0, 1, 1, 2};

    fair_order[0] = '\0';
    for (size_t i = 0; i < ARRAY_SIZE(lanes); i++)
        fair_lane_init(&lanes[i]);
    for (size_t i = 0; i < ARRAY_SIZE(probes); i++) {
        task_init(&probes[i].task, &lanes[lane_of[i]], fair_run);
        task_clear(&probes[i].task);
        ring_post(ring, &probes[i].task);
    }
    task_clear(&probes[6].task);
    task_clear(&probes[1].task);
    ring_post(ring, &probes[6].task);
    while (strlen(fair_order) < ARRAY_SIZE(probes) - 1)
        ck_assert_int_eq(ring_turn(ring), 0);
    ck_assert_str_eq(fair_order, "aE1cFd");
    for (size_t i = 0; i < ARRAY_SIZE(lanes); i++)
        ck_assert(list_is_empty(&lanes[i].node) && list_is_empty(&lanes[i].items));
}
END_TEST

START_TEST(test_fault_injection)
{
    struct probe a = probe_make(), b = probe_make();

    ring_fail_nth(ring, 2, ECONNRESET);
    ring_socket(ring, &a.op, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ring_socket(ring, &b.op, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ring_cancel(ring, &b.op); /* too late, harmless */
    run_until_done(&a);
    run_until_done(&b);
    ck_assert_int_ge(a.res, 0);
    ck_assert_int_eq(b.res, -ECONNRESET);
    close(a.res);
}
END_TEST

START_TEST(test_more_ops_than_the_queue_holds)
{
    enum { N = RING_ENTRIES * 3 };
    int pair[2];
    struct probe *p = calloc(N, sizeof *p);
    unsigned done = 0;

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    for (unsigned i = 0; i < N; i++) {
        p[i] = probe_make();
        ring_poll(ring, &p[i].op, pair[0], POLLOUT);
    }
    for (int turns = 0; done < N && turns < N; turns++) {
        ck_assert_int_eq(ring_turn(ring), 0);
        done = 0;
        for (unsigned i = 0; i < N; i++)
            done += p[i].calls;
    }
    ck_assert_uint_eq(done, N);
    free(p);
    close(pair[0]);
    close(pair[1]);
}
END_TEST

/* seccomp does not see what a ring does: the list of opcodes is the filter. */
START_TEST(test_other_opcodes_are_refused)
{
    static const uint8_t others[] = {IORING_OP_NOP, IORING_OP_OPENAT, IORING_OP_WRITE,
                                     IORING_OP_LINKAT, IORING_OP_TIMEOUT};

    for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
        struct io_uring_sqe *sqe = ring_get_sqe(ring);
        struct probe p = probe_make();

        io_uring_prep_rw(others[i], sqe, -1, NULL, 0, 0);
        io_uring_sqe_set_data(sqe, &p.op);
        p.op.is_pending = true;
        run_until_done(&p);
        ck_assert_int_eq(p.res, -EACCES);
    }
    ck_assert_int_lt(io_uring_register_files(&ring->uring, (int[]){0}, 1), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ring");
    TCase *tcase = tcase_create("ring");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, test_socket_connect_setsockopt_close);
    tcase_add_test(tcase, test_connect_copies_the_address);
    tcase_add_test(tcase, test_cancel_of_a_pending_recv);
    tcase_add_test(tcase, test_messages_bring_credentials_and_no_fds);
    tcase_add_test(tcase, test_oversized_message_is_marked);
    tcase_add_test(tcase, test_more_messages_than_buffers);
    tcase_add_test(tcase, test_timers_fire_in_order);
    tcase_add_test(tcase, test_one_connection_an_accept);
    tcase_add_test(tcase, test_one_heavy_task_a_turn);
    tcase_add_test(tcase, test_cheap_before_heavy);
    tcase_add_test(tcase, test_heavy_tasks_take_turns);
    tcase_add_test(tcase, test_fault_injection);
    tcase_add_test(tcase, test_more_ops_than_the_queue_holds);
    tcase_add_test(tcase, test_other_opcodes_are_refused);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
