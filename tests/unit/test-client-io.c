/* fdial_recv with other sockets than those of kernel TLS, and fdial_send, fdial_shutdown and
 * fdial_strerror with all of them. (What fdial_recv makes of kernel TLS: test-client-ktls.c.)
 */
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/fdial.h"
#include "tests/lib/suite.h"
#include "tests/unit/fake-fd.h"
#include "tests/unit/ktls-talks.h"

/* A sealed socket without keys gives EBUSY, others do not know the option: there FIN is the end. */
START_TEST(test_plain_end)
{
    static const int answers[] = {EBUSY, ENOPROTOOPT, EOPNOTSUPP};
    char c;

    fake_fd_reset(0);
    fake_fd.getsockopt_errno = answers[_i];
    ck_assert_int_eq(fdial_recv(FAKE_FD, &c, 1, 0), 0);
    ck_assert_int_eq(fdial_shutdown(FAKE_FD, SHUT_WR), 0);
    ck_assert_uint_eq(fake_fd.n_sent, 0);
    ck_assert_uint_eq(fake_fd.n_shutdowns, 1);
}
END_TEST

START_TEST(test_unix_pair)
{
    int pair[2];
    char c;

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    ck_assert_int_eq(fdial_recv(pair[0], &c, 1, MSG_DONTWAIT), -EAGAIN);
    ck_assert_int_eq(fdial_send(pair[1], "xy", 2, 0), 2);
    ck_assert_int_eq(fdial_recv(pair[0], &c, 1, MSG_PEEK), 1);
    ck_assert_int_eq(fdial_recv(pair[0], &c, 1, 0), 1);
    ck_assert_int_eq(c, 'x');
    ck_assert_int_eq(fdial_shutdown(pair[1], SHUT_WR), 0);
    ck_assert_int_eq(fdial_recv(pair[0], &c, 1, 0), 1);
    ck_assert_int_eq(fdial_recv(pair[0], &c, 1, 0), 0);
    close(pair[1]);
    ck_assert_int_eq(fdial_send(pair[0], "x", 1, 0), -EPIPE);
    close(pair[0]);
}
END_TEST

/* The kernel waits, as long as it likes. */
START_TEST(test_plain_wait)
{
    char c[4];

    fake_fd_reset(0);
    fake_fd.is_blocking = true;
    fake_fd.limit_ms = 1000;
    fake_fd_add((struct fake_event){.kind = FAKE_PAUSE, .number = 900});
    fake_fd_add_record(DATA, "x", 1);
    fake_fd_add((struct fake_event){.kind = FAKE_PAUSE, .number = 600000});
    ck_assert_int_eq(fdial_recv(FAKE_FD, c, sizeof c, 0), 1);
    ck_assert_int_eq(fdial_recv(FAKE_FD, c, sizeof c, 0), -EAGAIN);
    ck_assert_int_eq(fake_fd.skew_us, 1900000);
    ck_assert_uint_eq(fake_fd.n_polls, 0);
    fake_fd.is_blocking = false;
    ck_assert_int_eq(fdial_recv(FAKE_FD, c, sizeof c, 0), -EAGAIN);
}
END_TEST

/* Sockets have other control messages, of which a part has room too. */
START_TEST(test_other_control_message)
{
    const int on = 1;
    int pair[2];
    char c;

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    ck_assert_int_eq(setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on), 0);
    ck_assert_int_eq(fdial_send(pair[1], "x", 1, 0), 1);
    close(pair[1]);
    ck_assert_int_eq(fdial_recv(pair[0], &c, 1, 0), 1);
    ck_assert_int_eq(fdial_recv(pair[0], &c, 1, 0), 0);
    close(pair[0]);
}
END_TEST

static unsigned count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned n = 0;

    ck_assert_ptr_nonnull(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

/* The other end of a Unix target is anybody: the room for a record's type must have none for fds.
 */
START_TEST(test_no_fds_taken)
{
    int pair[2], fds[3] = {0, 1, 2};
    char bytes[] = "x";
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof fds)];
    } control = {.head = {.cmsg_len = CMSG_LEN(sizeof fds),
                          .cmsg_level = SOL_SOCKET,
                          .cmsg_type = SCM_RIGHTS}};
    struct iovec iov = {bytes, 1};
    struct msghdr header = {.msg_iov = &iov,
                            .msg_iovlen = 1,
                            .msg_control = control.bytes,
                            .msg_controllen = sizeof control.bytes};
    unsigned before;

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    memcpy(CMSG_DATA(&control.head), fds, sizeof fds);
    ck_assert_int_eq(sendmsg(pair[1], &header, 0), 1);
    before = count_fds();
    ck_assert_int_eq(fdial_recv(pair[0], bytes, 1, 0), 1);
    ck_assert_uint_eq(count_fds(), before);
    close(pair[0]);
    close(pair[1]);
}
END_TEST

static void expect_close_sent(int how)
{
    ck_assert_uint_eq(fake_fd.n_sent, 1);
    ck_assert_uint_eq(fake_fd.sent[0].type, ALERT);
    ck_assert_uint_eq(fake_fd.sent[0].n, 2);
    ck_assert_int_eq(memcmp(fake_fd.sent[0].bytes, CLOSE, 2), 0);
    ck_assert_int_ne(fake_fd.sent[0].flags & MSG_NOSIGNAL, 0);
    ck_assert_uint_eq(fake_fd.n_shutdowns, 1);
    ck_assert_int_eq(fake_fd.shutdowns[0], how);
}

START_TEST(test_shutdown)
{
    fake_fd_reset(TLS_1_3);
    ck_assert_int_eq(fdial_shutdown(FAKE_FD, SHUT_WR), 0);
    expect_close_sent(SHUT_WR);
    fake_fd_reset(TLS_1_2);
    ck_assert_int_eq(fdial_shutdown(FAKE_FD, SHUT_RDWR), 0);
    expect_close_sent(SHUT_RDWR);
    fake_fd_reset(TLS_1_3);
    ck_assert_int_eq(fdial_shutdown(FAKE_FD, SHUT_RD), 0);
    ck_assert_uint_eq(fake_fd.n_send_calls, 0);
    ck_assert_uint_eq(fake_fd.n_shutdowns, 1);
}
END_TEST

/* Nothing is shut down before the end of TLS is on its way. */
START_TEST(test_shutdown_again)
{
    static const int again[] = {EAGAIN, EINTR};

    fake_fd_reset(TLS_1_3);
    fake_fd.send_errnos[0] = again[_i];
    ck_assert_int_eq(fdial_shutdown(FAKE_FD, SHUT_WR), -again[_i]);
    ck_assert_uint_eq(fake_fd.n_shutdowns, 0);
    ck_assert_int_eq(fdial_shutdown(FAKE_FD, SHUT_WR), 0);
    expect_close_sent(SHUT_WR);
}
END_TEST

static const struct {
    int send_errno, shutdown_errno, expected;
} dead[] = {{EPIPE, 0, 0},
            {EPIPE, ENOTCONN, -ENOTCONN},
            {ECONNRESET, ENOTCONN, -ENOTCONN},
            {ECONNRESET, 0, -ECONNRESET}};

START_TEST(test_shutdown_dead)
{
    fake_fd_reset(TLS_1_3);
    fake_fd.send_errnos[0] = dead[_i].send_errno;
    fake_fd.shutdown_errno = dead[_i].shutdown_errno;
    ck_assert_int_eq(fdial_shutdown(FAKE_FD, SHUT_RDWR), dead[_i].expected);
    ck_assert_uint_eq(fake_fd.n_shutdowns, 1);
}
END_TEST

START_TEST(test_send)
{
    fake_fd_reset(TLS_1_3);
    ck_assert_int_eq(fdial_send(FAKE_FD, "abc", 3, MSG_DONTWAIT), 3);
    ck_assert_uint_eq(fake_fd.sent[0].type, 0);
    ck_assert_int_eq(fake_fd.sent[0].flags, MSG_DONTWAIT | MSG_NOSIGNAL);
    ck_assert_int_eq(memcmp(fake_fd.sent[0].bytes, "abc", 3), 0);
    fake_fd.send_errnos[1] = EAGAIN;
    ck_assert_int_eq(fdial_send(FAKE_FD, "abc", 3, 0), -EAGAIN);
}
END_TEST

START_TEST(test_strerror)
{
    ck_assert_str_eq(fdial_strerror(-(FDIAL_ALERT + 40)), "TLS alert: handshake_failure");
    ck_assert_str_eq(fdial_strerror(-(FDIAL_ALERT + 0)), "TLS alert: close_notify");
    ck_assert_str_eq(fdial_strerror(-(FDIAL_ALERT + 116)), "TLS alert: certificate_required");
    ck_assert_str_eq(fdial_strerror(-(FDIAL_ALERT + 255)), "TLS alert without a name");
    ck_assert_str_eq(fdial_strerror(-(FDIAL_ALERT + 256)), "unknown error");
    ck_assert_str_eq(fdial_strerror(-ECONNREFUSED), strerror(ECONNREFUSED));
    ck_assert_str_eq(fdial_strerror(0), strerror(0));
    ck_assert_str_eq(fdial_strerror(12), strerror(0));
    ck_assert_ptr_nonnull(strstr(fdial_strerror(-EKEYEXPIRED), "KeyUpdate"));
    ck_assert_ptr_nonnull(strstr(fdial_strerror(-ECONNABORTED), "end of TLS"));
    for (int i = -0x2000; i < 0x2000; i++)
        ck_assert_str_ne(fdial_strerror(i), "");
    ck_assert_str_eq(fdial_strerror(INT32_MIN), strerror(0));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("client-io");
    TCase *tcase = tcase_create("client-io");

    tcase_add_loop_test(tcase, test_plain_end, 0, 3);
    tcase_add_test(tcase, test_plain_wait);
    tcase_add_test(tcase, test_unix_pair);
    tcase_add_test(tcase, test_other_control_message);
    tcase_add_test(tcase, test_no_fds_taken);
    tcase_add_test(tcase, test_shutdown);
    tcase_add_loop_test(tcase, test_shutdown_again, 0, 2);
    tcase_add_loop_test(tcase, test_shutdown_dead, 0, sizeof dead / sizeof *dead);
    tcase_add_test(tcase, test_send);
    tcase_add_test(tcase, test_strerror);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
