/* What the account of untaken fds relies on in the kernel, and the account itself on real sockets.
 */
#include <check.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "daemon/front/front.h"
#include "daemon/front/user.h"
#include "proto/cleanup.h"
#include "proto/fdmsg.h"
#include "tests/lib/suite.h"

#define RESULT_BYTES 100

struct end {
    int fd, client_fd;
    struct charge charge;
    struct untaken untaken;
    unsigned n_taken_calls;
};

static struct front front;
static struct user *user;

static void setup(void)
{
    const char *error = "";

    memset(&front, 0, sizeof front);
    front_init(&front);
    ck_assert_msg(ring_new(&front.env.ring, &(struct ring_options){0}, &error) == 0, "%s", error);
    ck_assert_int_eq(quota_table_new(&front.quotas), 0);
    user = user_get(&front, 1000);
    ck_assert_ptr_nonnull(user);
}

static void teardown(void)
{
    user_put(user);
    ck_assert_uint_eq(quota_table_count(front.quotas), 0);
    quota_table_free(front.quotas);
    ring_free(front.env.ring);
}

static void all_taken(struct untaken *untaken)
{
    container_of(untaken, struct end, untaken)->n_taken_calls++;
}

static void end_init(struct end *end)
{
    int pair[2], on = 1;

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    ck_assert_int_eq(setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on), 0);
    *end =
        (struct end){.fd = pair[0], .client_fd = pair[1], .charge.quota = quota_ref(user->quota)};
    untaken_init(&end->untaken, user, &end->charge, end->fd, false, all_taken);
}

static void end_deinit(struct end *end)
{
    untaken_deinit(&end->untaken);
    ck_assert_uint_eq(end->charge.n[QUOTA_UNTAKEN], 0);
    charge_deinit(&end->charge);
    fd_close(end->fd);
    fd_close(end->client_fd);
}

static unsigned charged(const struct end *end)
{
    return end->charge.n[QUOTA_UNTAKEN];
}

static int queued(int fd)
{
    int n;

    ck_assert_int_eq(ioctl(fd, SIOCOUTQ, &n), 0);
    return n;
}

static void send_fds(struct end *end, int fd, unsigned n_fds, size_t n_bytes)
{
    static const char data[UINT16_MAX];
    int fds[FDMSG_FDS_MAX];

    for (unsigned i = 0; i < n_fds; i++)
        fds[i] = fd;
    ck_assert_int_eq(fdmsg_send(end->fd, data, n_bytes, fds, n_fds, MSG_DONTWAIT), 0);
}

/* Charged, then sent. Returns whether it was allowed. */
static bool give(struct end *end, unsigned n_fds)
{
    if (!untaken_add(&end->untaken, n_fds))
        return false;
    send_fds(end, STDIN_FILENO, n_fds, RESULT_BYTES);
    untaken_sent(&end->untaken, n_fds, RESULT_BYTES);
    return true;
}

static void take(struct end *end)
{
    static char data[UINT16_MAX];
    int fds[FDMSG_FDS_MAX];
    size_t n_fds;

    ck_assert_int_gt(fdmsg_recv(end->client_fd, data, sizeof data, fds, FDMSG_FDS_MAX, &n_fds, 0),
                     0);
    for (size_t i = 0; i < n_fds; i++)
        fd_close(fds[i]);
}

static void await_timer(struct end *end)
{
    uint64_t until = clock_now_us() + 10 * US_PER_S;

    while (charged(end) > 0 && clock_now_us() < until)
        ck_assert_int_eq(ring_turn(front.env.ring), 0);
    ck_assert_uint_eq(charged(end), 0);
}

/* No message is charged less by the kernel than is reckoned with, and it is when it is received or
 * the other end is closed. */
START_TEST(test_kernel)
{
    struct end end;

    end_init(&end);
    for (size_t n = 1; n < WIRE_MESSAGE_MAX; n += n < 5000 ? 1 : 997) {
        send_fds(&end, STDIN_FILENO, n % 3, n);
        ck_assert_int_ge(queued(end.fd), (int)(UNTAKEN_MESSAGE_MIN + n));
        take(&end);
        ck_assert_int_eq(queued(end.fd), 0);
    }
    send_fds(&end, STDIN_FILENO, 1, 1);
    close(end.client_fd);
    end.client_fd = -1;
    ck_assert_int_eq(queued(end.fd), 0);
    end_deinit(&end);
}
END_TEST

/* Whatever is taken of however much: never less is charged than is untaken, nor much more. */
START_TEST(test_parts)
{
    struct end end;
    unsigned n_fds = _i % 2 ? 8 : 1;

    for (unsigned n = 0; n <= 150; n += 10) {
        end_init(&end);
        for (unsigned i = 0; i < 150; i++)
            ck_assert(give(&end, n_fds));
        ck_assert_uint_eq(charged(&end), 150 * n_fds);
        for (unsigned i = 0; i < n; i++)
            take(&end);
        end.untaken.look_at = 0;
        ck_assert(untaken_add(&end.untaken, 1));
        untaken_sub(&end.untaken, 1);
        ck_assert_uint_ge(charged(&end), (150 - n) * n_fds);
        ck_assert_uint_le(charged(&end), n == 150 ? 0 : ((150 - n) * 3 / 2 + 8) * n_fds);
        end_deinit(&end);
    }
}
END_TEST

START_TEST(test_limit)
{
    struct end a, b;

    front.untaken_max = 100;
    end_init(&a);
    end_init(&b);
    for (unsigned i = 0; i < 50; i++)
        ck_assert(give(&a, 1) && give(&b, 1));
    ck_assert(!give(&a, 1));
    ck_assert(!give(&b, 1));
    take(&a);
    ck_assert(!give(&b, 20));
    for (unsigned i = 1; i < 50; i++)
        take(&a);
    /* Nobody has looked there since. */
    ck_assert(give(&b, 50));
    ck_assert(!give(&a, 1));
    end_deinit(&b);
    ck_assert(give(&a, 64));
    end_deinit(&a);
}
END_TEST

/* The timer gives back what was taken, and then rests. */
START_TEST(test_timer)
{
    struct end end;

    end_init(&end);
    ck_assert(give(&end, 3));
    ck_assert(user->untaken_timer.is_set);
    for (unsigned i = 0; i < 2; i++)
        ck_assert_int_eq(ring_turn(front.env.ring), 0);
    ck_assert_uint_eq(charged(&end), 3);
    take(&end);
    await_timer(&end);
    ck_assert(!user->untaken_timer.is_set);
    ck_assert_uint_eq(end.n_taken_calls, 0);
    end_deinit(&end);
}
END_TEST

/* _i: the client takes all, closes, or has sent its own end, with messages of all sorts. */
START_TEST(test_linger)
{
    struct end end;
    char byte;

    end_init(&end);
    ck_assert(!untaken_lingers(&end.untaken));
    ck_assert(give(&end, 5));
    if (_i == 2) {
        ck_assert_int_eq(send(end.client_fd, "", 0, 0), 0);
        for (unsigned i = 0; i < 20; i++)
            ck_assert_int_eq(fdmsg_send(end.client_fd, "x", 1, &end.client_fd, 1, 0), 0);
    }
    ck_assert(untaken_lingers(&end.untaken));
    ck_assert(untaken_lingers(&end.untaken));
    ck_assert_int_lt(send(end.client_fd, "x", 1, MSG_NOSIGNAL), 0);
    if (_i == 0) {
        take(&end);
        ck_assert_int_eq(recv(end.client_fd, &byte, 1, 0), 0);
    } else {
        close(end.client_fd);
        end.client_fd = -1;
    }
    await_timer(&end);
    ck_assert_uint_eq(end.n_taken_calls, 1);
    ck_assert(!untaken_lingers(&end.untaken));
    end_deinit(&end);
}
END_TEST

START_TEST(test_max)
{
    static const struct {
        rlim_t nofile;
        unsigned max;
    } cases[] = {{20000, 2500}, {1024, 128}, {256, UNTAKEN_PER_USER_MIN}};
    struct rlimit limit;

    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        limit.rlim_cur = cases[i].nofile;
        if (limit.rlim_cur > limit.rlim_max)
            continue;
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
        ck_assert_uint_eq(untaken_max(), cases[i].max);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("untaken");
    TCase *tcase = tcase_create("untaken");

    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, test_kernel);
    tcase_add_loop_test(tcase, test_parts, 0, 2);
    tcase_add_test(tcase, test_limit);
    tcase_add_test(tcase, test_timer);
    tcase_add_loop_test(tcase, test_linger, 0, 3);
    tcase_add_test(tcase, test_max);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
