/* libfdial: finding the daemon, judging it, the blocking questions, and the promise about seccomp.
 */
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stddef.h>
#include <sched.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "tests/lib/suite.h"
#include "tests/lib/valgrind.h"
#include "tests/unit/fake-daemon.h"

#define OTHER_UID 12345

static char directory[64];
static char path[96];

static void set_up(void)
{
    snprintf(directory, sizeof directory, "/tmp/fdial-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/fdial.sock", directory);
    unsetenv("FDIAL_FD");
    unsetenv("FDIAL_SOCKET");
    unsetenv("XDG_RUNTIME_DIR");
}

static void tear_down(void)
{
    char user[96];

    unlink(path);
    snprintf(user, sizeof user, "%s/fdial/fdial.sock", directory);
    unlink(user);
    snprintf(user, sizeof user, "%s/fdial", directory);
    rmdir(user);
    rmdir(directory);
}

static int listen_at(const char *where, int type)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

    ck_assert_int_ge(fd, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", where);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(fd, 8), 0);
    return fd;
}

/* In a child: welcomes `n` sessions and answers the first request of each with a connection that
 * says "hello", non-blocking on purpose. */
static pid_t serve(int listener, int n)
{
    pid_t pid = fork();

    ck_assert_int_ge(pid, 0);
    if (pid > 0)
        return pid;
    for (int i = 0; i < n; i++) {
        struct message_result m = {.handoff = HANDOFF_RELAY};
        struct pollfd p = {.events = POLLIN};
        struct fake f;
        int fd, kept;

        f.fd = p.fd = accept(listener, NULL, NULL);
        fake_welcome(&f, WIRE_VERSION, 8);
        poll(&p, 1, 5000);
        if (!fake_read(&f) || f.head.type != WIRE_HELLO)
            _exit(1);
        poll(&p, 1, 5000);
        if (!fake_read(&f) || f.head.type != WIRE_CONNECT)
            continue;
        fake_connection(&fd, &kept);
        fcntl(fd, F_SETFL, O_NONBLOCK);
        if (write(kept, "hello", 5) != 5)
            _exit(2);
        fake_result(&f, f.head.id, &m, &fd, 1);
        close(fd);
        poll(&p, 1, 5000);
    }
    _exit(0);
}

static void reap(pid_t pid)
{
    int status = -1;

    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
}

START_TEST(test_one_call)
{
    int listener = listen_at(path, SOCK_SEQPACKET), n_before = count_open_fds(), fd;
    pid_t pid = serve(listener, 1);
    char buf[8];

    setenv("FDIAL_SOCKET", path, 1);
    fd = fdial("tcp://host.test:7");
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
    ck_assert_int_eq(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    ck_assert_int_eq(read(fd, buf, sizeof buf), 5);
    reap(pid);
    ck_assert_int_eq(fdial_recv(fd, buf, sizeof buf, 0), 0);
    ck_assert_int_eq(fdial_send(fd, "x", 1, 0), -EPIPE);
    close(fd);
    ck_assert_int_eq(count_open_fds(), n_before);
    ck_assert_int_eq(fdial("tcp://host.test"), -EINVAL);
    close(listener);
    ck_assert_int_eq(fdial("tcp://host.test:7"), -ENOTCONN);
}
END_TEST

START_TEST(test_bad_paths)
{
    char too_long[200];
    struct fdial *d = NULL;
    int fd;

    ck_assert_int_eq(fdial_open(&d, path), -ENOTCONN);
    ck_assert_int_eq(fdial_open(&d, ""), -EINVAL);
    memset(too_long, 'x', sizeof too_long);
    too_long[sizeof too_long - 1] = '\0';
    ck_assert_int_eq(fdial_open(&d, too_long), -ENAMETOOLONG);
    setenv("FDIAL_SOCKET", "", 1);
    ck_assert_int_eq(fdial_open(&d, NULL), -EINVAL);
    setenv("FDIAL_SOCKET", path, 1);
    ck_assert_int_eq(fdial_open(&d, NULL), -ENOTCONN);
    fd = listen_at(path, SOCK_STREAM);
    ck_assert_int_eq(fdial_open(&d, NULL), -EPROTO);
    close(fd);
    ck_assert_int_eq(fdial_open(&d, NULL), -ENOTCONN);
    ck_assert_ptr_null(d);
}
END_TEST

START_TEST(test_users_socket_is_found)
{
    struct fdial *d = NULL;
    char user[96];
    int listener;
    pid_t pid;

    setenv("XDG_RUNTIME_DIR", directory, 1);
    snprintf(user, sizeof user, "%s/fdial", directory);
    ck_assert_int_eq(mkdir(user, 0700), 0);
    snprintf(user, sizeof user, "%s/fdial/fdial.sock", directory);
    listener = listen_at(user, SOCK_SEQPACKET);
    pid = serve(listener, 1);
    ck_assert_int_eq(fdial_open(&d, NULL), 0);
    ck_assert_int_ge(fdial_fileno(d), 0);
    d = fdial_close(d);
    reap(pid);
    /* What is set goes before it, and there is no way back. */
    setenv("FDIAL_SOCKET", path, 1);
    ck_assert_int_eq(fdial_open(&d, NULL), -ENOTCONN);
    setenv("FDIAL_FD", "999", 1);
    ck_assert_int_eq(fdial_open(&d, NULL), -EBADF);
    close(listener);
}
END_TEST

START_TEST(test_inherited_fd)
{
    static const char *const bad[] = {"", "x", "-1", "3x", " 3", "99999999999", "+1", "1"};
    struct fdial *d = NULL;
    struct fake f;
    int client, stream[2];
    char text[16];

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        setenv("FDIAL_FD", bad[i], 1);
        ck_assert_int_eq(fdial_open(&d, NULL), -EBADF);
    }
    fake_connection(&stream[0], &stream[1]);
    snprintf(text, sizeof text, "%d", stream[0]);
    setenv("FDIAL_FD", text, 1);
    ck_assert_int_eq(fdial_open(&d, NULL), -EBADF);
    close(stream[0]);
    close(stream[1]);
    fake_pair(&f, &client);
    fake_opened(&f, 0, -1);
    fake_welcome(&f, WIRE_VERSION, 8);
    snprintf(text, sizeof text, "%d", client);
    setenv("FDIAL_FD", text, 1);
    ck_assert_int_eq(fdial_open(&d, NULL), 0);
    ck_assert_int_ne(fdial_fileno(d), client);
    ck_assert_int_eq(fcntl(fdial_fileno(d), F_GETFD), FD_CLOEXEC);
    d = fdial_close(d);
    ck_assert_int_ge(fcntl(client, F_GETFD), 0);
    close(client);
    close(f.fd);
}
END_TEST

START_TEST(test_open_fd_takes_the_fd)
{
    int n_before = count_open_fds();
    struct fdial *d = NULL;
    int pair[2];

    ck_assert_int_eq(fdial_open_fd(&d, open("/dev/null", O_RDONLY)), -EBADF);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    ck_assert_int_eq(fdial_open_fd(&d, pair[0]), -EBADF);
    close(pair[1]);
    ck_assert_int_eq(fdial_open_fd(&d, -1), -EBADF);
    ck_assert_int_eq(count_open_fds(), n_before);
}
END_TEST

static int open_after(struct fake *f, int client)
{
    struct fdial *d = NULL;
    int r = fdial_open_fd(&d, client);

    ck_assert_ptr_null(d);
    fd_close(f->fd);
    return r;
}

START_TEST(test_bad_welcomes)
{
    struct message_error m = {.code = ERROR_OVER_LIMIT};
    struct fake f;
    int client;

    fake_pair(&f, &client);
    f.fd = fd_close(f.fd);
    ck_assert_int_eq(open_after(&f, client), -ENOTCONN);
    fake_pair(&f, &client);
    fake_opened(&f, 0, -1);
    fake_welcome(&f, WIRE_VERSION + 1, 8);
    ck_assert_int_eq(open_after(&f, client), -EPROTO);
    fake_pair(&f, &client);
    ck_assert_int_eq(send(f.fd, "HTTP/1.1 400", 12, 0), 12);
    ck_assert_int_eq(open_after(&f, client), -EPROTO);
    fake_pair(&f, &client);
    fake_opened(&f, 0, -1);
    fake_send(&f, message_encode_error(f.buf, sizeof f.buf, 0, &m), NULL, 0);
    ck_assert_int_eq(open_after(&f, client), -EAGAIN);
    fake_pair(&f, &client);
    fake_send(&f, message_encode_error(f.buf, sizeof f.buf, 0, &m), NULL, 0);
    f.fd = fd_close(f.fd); /* gone before the hello */
    ck_assert_int_eq(open_after(&f, client), -EAGAIN);
    fake_pair(&f, &client);
    fake_send(&f, message_encode_cancel(f.buf, sizeof f.buf, 0), NULL, 0);
    ck_assert_int_eq(open_after(&f, client), -EPROTO);
    fake_pair(&f, &client);
    fake_opened(&f, 0, -1);
    fake_send(&f, message_encode_cancel(f.buf, sizeof f.buf, 0), NULL, 0);
    ck_assert_int_eq(open_after(&f, client), -EPROTO);
}
END_TEST

START_TEST(test_silent_daemon)
{
    struct fake f;
    int client;

    fake_pair(&f, &client);
    ck_assert_int_eq(open_after(&f, client), -ETIMEDOUT);
}
END_TEST

/* Needs root to be somebody else: the daemon as another user, and ourselves as one. */
START_TEST(test_strangers_are_not_believed)
{
    struct fdial *d = NULL;
    int listener, status = -1;
    pid_t pid;

    if (geteuid() != 0)
        return;
    ck_assert_int_eq(chmod(directory, 0777), 0);
    ck_assert_int_eq(seteuid(OTHER_UID), 0);
    listener = listen_at(path, SOCK_SEQPACKET);
    ck_assert_int_eq(seteuid(0), 0);
    ck_assert_int_eq(fdial_open(&d, path), -EPERM);
    pid = fork();
    if (pid == 0) {
        if (setuid(OTHER_UID + 1) < 0)
            _exit(2);
        ck_assert_int_eq(chmod(path, 0777), -1);
        _exit(fdial_open(&d, path) == -EACCES ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    close(listener);
}
END_TEST

/* As uid OTHER_UID + 1 in a user namespace of its own: the listener's uid shows as the overflow
 * uid. */
static int open_in_user_namespace(void)
{
    struct fdial *d = NULL;
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        if (setuid(OTHER_UID + 1) < 0 || unshare(CLONE_NEWUSER) < 0)
            _exit(99);
        _exit(-fdial_open(&d, path));
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFEXITED(status));
    return -WEXITSTATUS(status);
}

START_TEST(test_a_daemon_outside_the_user_namespace)
{
    int listener, r;

    if (geteuid() != 0)
        return;
    listener = listen_at(path, SOCK_SEQPACKET);
    ck_assert_int_eq(chmod(path, 0777), 0);
    ck_assert_int_eq(chmod(directory, 0755), 0);
    r = open_in_user_namespace();
    if (r != -99) {
        /* believed, but nobody accepts and answers */
        ck_assert_int_eq(r, -ETIMEDOUT);
        /* where others may put sockets it is not */
        ck_assert_int_eq(chmod(directory, 0777), 0);
        ck_assert_int_eq(open_in_user_namespace(), -EPERM);
    }
    close(listener);
}
END_TEST

/* The library's own questions use ids from the top. */
#define CALL_ID UINT64_MAX

START_TEST(test_explain)
{
    struct message_explained m = {
        .who = text_of("uid 7"), .rule = text_of("ci"), .plan = text_of("resolve > connect")};
    char *who = NULL, *rule = NULL, *plan = NULL;
    struct fake f;
    int error = 99;

    fake_open(&f, 8);
    fake_send(&f, message_encode_explained(f.buf, sizeof f.buf, CALL_ID, &m), NULL, 0);
    ck_assert_int_eq(fdial_explain(f.d, "https://host.test", "bob", &error, &who, &rule, &plan), 0);
    ck_assert_int_eq(error, 0);
    ck_assert_str_eq(who, "uid 7");
    ck_assert_str_eq(rule, "ci");
    free(who);
    ck_assert_str_eq(plan, "resolve > connect");
    free(rule);
    free(plan);
    fake_expect(&f, WIRE_EXPLAIN, CALL_ID);
    m.detail = text_of("would be denied");
    fake_send(&f, message_encode_explained(f.buf, sizeof f.buf, CALL_ID, &m), NULL, 0);
    ck_assert_int_eq(fdial_explain(f.d, "https://host.test", NULL, &error, &who, &rule, &plan), 0);
    ck_assert_int_eq(error, 0);
    ck_assert_str_eq(plan, "resolve > connect (would be denied)");
    free(who);
    free(rule);
    free(plan);
    m = (struct message_explained){.code = ERROR_DENIED, .detail = text_of("no rule")};
    fake_send(&f, message_encode_explained(f.buf, sizeof f.buf, CALL_ID, &m), NULL, 0);
    ck_assert_int_eq(fdial_explain(f.d, "https://host.test", NULL, &error, &who, &rule, &plan), 0);
    ck_assert_int_eq(error, -EACCES);
    ck_assert_str_eq(who, "");
    ck_assert_str_eq(rule, "");
    free(who);
    ck_assert_str_eq(plan, "denied by policy: no rule");
    free(rule);
    free(plan);
    ck_assert_int_eq(fdial_explain(f.d, "nonsense", NULL, &error, &who, &rule, &plan), -EINVAL);
    fake_close(&f);
}
END_TEST

static void send_status(struct fake *f)
{
    struct wire_writer w;

    wire_begin(&w, f->buf, sizeof f->buf, WIRE_STATUS_REPLY, CALL_ID);
    wire_put_bytes(&w, ATTR_STAT, "version=0.1", 11);
    wire_put_bytes(&w, ATTR_STAT, "workers=2", 9);
    ck_assert_int_eq(wire_end(&w), 0);
    fake_send(f, (ssize_t)w.length, NULL, 0);
}

/* While one waits for the answer, results of requests are kept for fdial_next(). */
START_TEST(test_status_between_results)
{
    struct fdial_request *request = NULL;
    struct fdial_result *result = NULL;
    char *lines = NULL;
    struct fake f;

    fake_open(&f, 8);
    ck_assert_int_eq(fdial_request_new(&request, "tcp://host.test:7"), 0);
    ck_assert_int_eq(fdial_submit(f.d, request, 7), 0);
    ck_assert_int_eq(fdial_submit(f.d, request, 8), 0);
    fake_fail(&f, 7, ERROR_REFUSED);
    fake_fail(&f, 8, ERROR_REFUSED);
    send_status(&f);
    ck_assert_int_eq(fdial_status(f.d, &lines), 0);
    ck_assert_str_eq(lines, "version=0.1\nworkers=2\n");
    free(lines);
    ck_assert_int_eq(fdial_cancel(f.d, 8), 0);
    ck_assert_int_eq(fdial_next(f.d, &result, 0), 1);
    ck_assert_int_eq(fdial_result_error(result), -ECONNREFUSED);
    fdial_result_free(result);
    ck_assert_int_eq(fdial_next(f.d, &result, 0), 1);
    ck_assert_int_eq(fdial_result_error(result), -ECANCELED);
    fdial_result_free(result);
    fdial_request_free(request);
    fake_close(&f);
}
END_TEST

START_TEST(test_late_answers_are_dropped)
{
    struct fdial_result *result = NULL;
    char *lines = NULL;
    struct fake f;

    fake_open(&f, 8);
    ck_assert_int_eq(fdial_status(f.d, &lines), -ETIMEDOUT);
    send_status(&f);
    ck_assert_int_eq(fdial_next(f.d, &result, 0), 0);
    send_status(&f);
    ck_assert_int_eq(fdial_status(f.d, &lines), 0);
    free(lines);
    f.fd = fd_close(f.fd);
    ck_assert_int_eq(fdial_status(f.d, &lines), -ENOTCONN);
    f.d = fdial_close(f.d);
}
END_TEST

#define ALLOW(name)                                                                                \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##name, 0, 1),                                         \
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static void send_granted(struct fake *f, uint32_t code, int fd)
{
    struct message_answer m = {.code = code};

    fake_send(f, message_encode_granted(f->buf, sizeof f->buf, CALL_ID, &m), &fd, fd >= 0);
}

static void confine(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        ALLOW(sendmsg),
        ALLOW(recvmsg),
#ifdef SYS_poll
        ALLOW(poll),
#else
        ALLOW(ppoll),
#endif
        ALLOW(close),
        ALLOW(getsockopt),
        ALLOW(shutdown),
        ALLOW(brk), /* malloc's */
        ALLOW(mmap),
        ALLOW(munmap),
        ALLOW(mremap),
        ALLOW(madvise),
        ALLOW(exit_group),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_fprog program = {.len = ARRAY_SIZE(filter), .filter = filter};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
        _exit(100);
}

/* Runs in a child, under the filter: no check macro, which would make other calls. */
static int use_session(struct fdial *d, const struct fdial_request *request)
{
    const char *pattern = "tcp://host.test:7";
    struct fdial_result *result = NULL;
    char *lines = NULL;
    char c;
    int fd;

    for (uint64_t id = 1; id <= 40; id++)
        if (fdial_submit(d, request, id) < 0)
            return 1;
    if (fdial_cancel(d, 2) < 0 || fdial_cancel(d, 40) < 0)
        return 2;
    if (fdial_next(d, &result, 1000) != 1 || fdial_result_id(result) != 1)
        return 3;
    fd = fdial_result_take_fd(result, 0);
    fdial_result_free(result);
    if (fdial_recv(fd, &c, 1, 0) != 1 || fdial_send(fd, &c, 1, 0) != 1 ||
        fdial_shutdown(fd, SHUT_WR) != 0)
        return 4;
    close(fd);
    if (fdial_next(d, &result, 1000) != 1 || fdial_result_error(result) != -ECANCELED)
        return 5;
    fdial_result_free(result);
    if (fdial_next(d, &result, 1000) != 1 || fdial_result_error(result) != -EIO)
        return 6;
    fdial_result_free(result);
    if (fdial_status(d, &lines) != 0)
        return 7;
    free(lines);
    fd = fdial_grant(d, &pattern, 1);
    if (fd < 0 || close(fd) < 0)
        return 8;
    if (fdial_grant(d, &pattern, 1) != -EAGAIN || strcmp(fdial_message(d), "over a limit") != 0)
        return 9;
    if (fdial_next(d, &result, 50) != 0)
        return 10;
    fdial_close(d);
    return 0;
}

START_TEST(test_works_under_seccomp)
{
    struct message_result m = {.code = ERROR_CONNECT_FAILED,
                               .stage = STAGE_CONNECT,
                               .sys_errno = ENETDOWN,
                               .detail = text_of("x")};
    struct fdial_request *request = NULL;
    int status = -1, kept[2];
    struct fake f;
    pid_t pid;

    if (is_under_valgrind()) /* which makes calls of its own */
        return;
    fake_open(&f, 64);
    ck_assert_int_eq(fdial_request_new(&request, "tcp://host.test:7"), 0);
    kept[0] = fake_succeed(&f, 1);
    kept[1] = fake_succeed(&f, 2);
    fake_result(&f, 3, &m, NULL, 0);
    send_status(&f);
    ck_assert_int_eq(write(kept[0], "x", 1), 1);
    send_granted(&f, 0, kept[0]);
    send_granted(&f, ERROR_OVER_LIMIT, -1);
    pid = fork();
    if (pid == 0) {
        confine();
        syscall(SYS_exit_group, use_session(f.d, request));
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(status == 0, "wait status 0x%x", (unsigned)status);
    close(kept[0]);
    close(kept[1]);
    fdial_request_free(request);
    fake_close(&f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("client-open");
    TCase *tcase = tcase_create("open");

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, test_one_call);
    tcase_add_test(tcase, test_bad_paths);
    tcase_add_test(tcase, test_users_socket_is_found);
    tcase_add_test(tcase, test_inherited_fd);
    tcase_add_test(tcase, test_open_fd_takes_the_fd);
    tcase_add_test(tcase, test_bad_welcomes);
    tcase_add_test(tcase, test_silent_daemon);
    tcase_add_test(tcase, test_strangers_are_not_believed);
    tcase_add_test(tcase, test_a_daemon_outside_the_user_namespace);
    tcase_add_test(tcase, test_explain);
    tcase_add_test(tcase, test_status_between_results);
    tcase_add_test(tcase, test_late_answers_are_dropped);
    tcase_add_test(tcase, test_works_under_seccomp);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
