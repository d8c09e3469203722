/* libfdial: sessions from a grant, which others use too, and making a grant. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "tests/lib/suite.h"
#include "tests/lib/valgrind.h"
#include "tests/unit/fake-daemon.h"

#define CALL_ID UINT64_MAX /* the library's own questions use ids from the top */

static const char *const patterns[] = {"https://*.host.test", "tcp://host.test:22"};

/* A session to be given by a grant, which welcomes. Returns the client's end. */
static int make_session(struct fake *session)
{
    int client;

    fake_pair(session, &client);
    fake_welcome(session, WIRE_VERSION, 8);
    return client;
}

static void give(struct fake *grant, int fd)
{
    fake_opened(grant, 0, fd);
    fd_close(fd);
}

static void expect_asked(struct fake *grant, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        fake_expect(grant, WIRE_OPEN, 0);
        ck_assert_int_eq(message_decode_empty(grant->reader, &(const char *){NULL}), 0);
    }
    ck_assert(!fake_read(grant));
}

START_TEST(test_session_from_a_grant)
{
    int n_before = count_open_fds(), client;
    struct fake grant, session;
    char c;

    fake_pair(&grant, &client);
    give(&grant, make_session(&session));
    ck_assert_int_eq(fdial_open_fd(&session.d, client), 0);
    expect_asked(&grant, 1);
    ck_assert_int_eq(recv(grant.fd, &c, 1, MSG_DONTWAIT), 0); /* the grant is closed */
    fake_expect(&session, WIRE_HELLO, 0);
    ck_assert_int_eq(fcntl(fdial_fileno(session.d), F_GETFD), FD_CLOEXEC);
    fake_close(&session);
    close(grant.fd);
    ck_assert_int_eq(count_open_fds(), n_before);
}
END_TEST

/* $FDIAL_FD goes on being a grant, for the next program as well. */
START_TEST(test_inherited_grant)
{
    struct fake grant, session;
    char text[16];
    int client;

    fake_pair(&grant, &client);
    snprintf(text, sizeof text, "%d", client);
    setenv("FDIAL_FD", text, 1);
    for (int i = 0; i < 3; i++) {
        give(&grant, make_session(&session));
        ck_assert_int_eq(fdial_open(&session.d, NULL), 0);
        expect_asked(&grant, 1);
        fake_expect(&session, WIRE_HELLO, 0);
        fake_close(&session);
    }
    ck_assert_int_eq(fcntl(client, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    unsetenv("FDIAL_FD");
    close(client);
    close(grant.fd);
}
END_TEST

static int open_after(struct fake *grant, int client)
{
    struct fdial *d = NULL;
    int r = fdial_open_fd(&d, client);

    ck_assert_ptr_null(d);
    fd_close(grant->fd);
    return r;
}

START_TEST(test_refusals)
{
    struct message_error m = {.code = ERROR_WRONG_SENDER};
    int n_before = count_open_fds(), client, fds[2];
    struct message_answer answer = {0};
    struct fake grant;

    fake_pair(&grant, &client);
    fake_opened(&grant, ERROR_DRAINING, -1);
    ck_assert_int_eq(open_after(&grant, client), -EAGAIN);
    /* what is no session */
    fake_pair(&grant, &client);
    fake_connection(&fds[0], &fds[1]);
    fake_opened(&grant, 0, fds[0]);
    ck_assert_int_eq(open_after(&grant, client), -EPROTO);
    /* a refusal with an fd, and two fds */
    fake_pair(&grant, &client);
    fake_opened(&grant, ERROR_OVER_LIMIT, fds[0]);
    ck_assert_int_eq(open_after(&grant, client), -EAGAIN);
    fake_pair(&grant, &client);
    fake_send(&grant, message_encode_opened(grant.buf, sizeof grant.buf, &answer), fds, 2);
    ck_assert_int_eq(open_after(&grant, client), -EPROTO);
    close(fds[0]);
    close(fds[1]);
    /* a session that is not ours: it says so and ends */
    fake_pair(&grant, &client);
    fake_send(&grant, message_encode_error(grant.buf, sizeof grant.buf, 0, &m), NULL, 0);
    ck_assert_int_eq(shutdown(grant.fd, SHUT_RDWR), 0);
    ck_assert_int_eq(open_after(&grant, client), -EACCES);
    fake_pair(&grant, &client);
    grant.fd = fd_close(grant.fd);
    ck_assert_int_eq(open_after(&grant, client), -ENOTCONN);
    ck_assert_int_eq(count_open_fds(), n_before);
}
END_TEST

/* Errors about what others have sent: they may have taken our answer, so we ask again. */
START_TEST(test_errors_of_others)
{
    struct message_error m = {.code = ERROR_BAD_MESSAGE};
    struct fake grant, session;
    int client;

    fake_pair(&grant, &client);
    for (int i = 0; i < 3; i++)
        fake_send(&grant, message_encode_error(grant.buf, sizeof grant.buf, 5, &m), NULL, 0);
    give(&grant, make_session(&session));
    ck_assert_int_eq(fdial_open_fd(&session.d, client), 0);
    expect_asked(&grant, 4);
    fake_close(&session);
    close(grant.fd);
}
END_TEST

/* In a child, until it is killed: whenever it is asked there are more errors than can be read. */
static pid_t start_refusing(struct fake *grant)
{
    struct message_error m = {.code = ERROR_BAD_MESSAGE};
    pid_t pid = fork();

    ck_assert_int_ge(pid, 0);
    if (pid > 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        ssize_t n = message_encode_error(grant->buf, sizeof grant->buf, 5, &m);

        if (fdmsg_send(grant->fd, grant->buf, (size_t)n, NULL, 0, 0) < 0)
            _exit(0);
        fake_read(grant);
    }
}

START_TEST(test_endless_errors)
{
    struct fdial *d = NULL;
    struct timespec begin, end;
    struct fake grant;
    pid_t pids[4];
    int client;

    fake_pair(&grant, &client);
    for (size_t i = 0; i < ARRAY_SIZE(pids); i++)
        pids[i] = start_refusing(&grant);
    clock_gettime(CLOCK_MONOTONIC, &begin);
    ck_assert_int_lt(fdial_open_fd(&d, client), 0);
    clock_gettime(CLOCK_MONOTONIC, &end);
    ck_assert_int_ge(end.tv_sec - begin.tv_sec, 3); /* it was worth a try */
    ck_assert_int_lt(end.tv_sec - begin.tv_sec, 30);
    ck_assert_ptr_null(d);
    for (size_t i = 0; i < ARRAY_SIZE(pids); i++) {
        kill(pids[i], SIGKILL);
        ck_assert_int_eq(waitpid(pids[i], NULL, 0), pids[i]);
    }
    close(grant.fd);
}
END_TEST

/* The socket is full of questions of somebody who reads nothing: then there are answers. */
START_TEST(test_grant_full_of_questions)
{
    struct fake grant, session;
    int client, n = 0;

    fake_pair(&grant, &client);
    while (send(client, "x", 1, MSG_DONTWAIT) == 1)
        n++;
    give(&grant, make_session(&session));
    ck_assert_int_eq(fdial_open_fd(&session.d, client), 0);
    while (recv(grant.fd, grant.buf, 1, MSG_DONTWAIT) == 1)
        n--;
    ck_assert_int_eq(n, 0);
    fake_close(&session);
    close(grant.fd);
}
END_TEST

static void fake_granted(struct fake *f, uint32_t code, const char *detail, int fd)
{
    struct message_answer m = {.code = code, .detail = text_of(detail)};

    fake_send(f, message_encode_granted(f->buf, sizeof f->buf, CALL_ID, &m), &fd, fd >= 0);
}

START_TEST(test_make_a_grant)
{
    struct message_grant m;
    struct fake f, grant;
    const char *error;
    int client, fd;

    fake_open(&f, 8);
    fake_pair(&grant, &client);
    fake_granted(&f, 0, NULL, client);
    close(client);
    fd = fdial_grant(f.d, patterns, ARRAY_SIZE(patterns));
    ck_assert_int_ge(fd, 0);
    ck_assert_str_eq(fdial_message(f.d), "");
    ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
    fake_expect(&f, WIRE_GRANT, CALL_ID);
    ck_assert_int_eq(message_decode_grant(f.reader, &m, &error), 0);
    ck_assert_uint_eq(m.n_patterns, 2);
    ck_assert_uint_eq(m.patterns[1].n, strlen(patterns[1]));
    ck_assert_int_eq(memcmp(m.patterns[1].data, patterns[1], m.patterns[1].n), 0);
    close(fd);
    ck_assert(!fake_read(&grant));
    close(grant.fd);
    fake_close(&f);
}
END_TEST

START_TEST(test_grants_that_are_refused)
{
    static const char *many[MESSAGE_PATTERNS_MAX + 1];
    static char longest[MESSAGE_PATTERN_MAX + 2];
    const char *pattern = "";
    struct fake f;

    memset(longest, 'x', sizeof longest - 1);
    for (size_t i = 0; i < ARRAY_SIZE(many); i++)
        many[i] = longest + 1;
    fake_open(&f, 8);
    fake_granted(&f, ERROR_BAD_OPTION, "tcp://*: a port is needed", -1);
    ck_assert_int_eq(fdial_grant(f.d, patterns, 1), -EINVAL);
    ck_assert_str_eq(fdial_message(f.d), "bad option: tcp://*: a port is needed");
    fake_expect(&f, WIRE_GRANT, CALL_ID);
    ck_assert_int_eq(fdial_grant(f.d, patterns, 0), -EINVAL);
    ck_assert_str_eq(fdial_message(f.d), "");
    ck_assert_int_eq(fdial_grant(f.d, &pattern, 1), -EINVAL);
    pattern = longest;
    ck_assert_int_eq(fdial_grant(f.d, &pattern, 1), -EINVAL);
    ck_assert_int_eq(fdial_grant(f.d, many, ARRAY_SIZE(many)), -E2BIG);
    ck_assert_int_eq(fdial_grant(f.d, many, ARRAY_SIZE(many) - 1), -EMSGSIZE);
    ck_assert(!fake_read(&f));
    fake_granted(&f, ERROR_OVER_LIMIT, NULL, -1);
    ck_assert_int_eq(fdial_grant(f.d, patterns, 1), -EAGAIN);
    ck_assert_str_eq(fdial_message(f.d), "over a limit");
    fake_granted(&f, 0, NULL, -1);
    ck_assert_int_eq(fdial_grant(f.d, patterns, 1), -EPROTO);
    fake_close(&f);
}
END_TEST

/* One that comes after it was given up is closed, and so is one that nobody asked for. */
START_TEST(test_late_grants_are_closed)
{
    struct fdial_result *result = NULL;
    struct fake f;
    int fd, kept;

    fake_open(&f, 8);
    ck_assert_int_eq(fdial_grant(f.d, patterns, 1), -ETIMEDOUT);
    fake_connection(&fd, &kept);
    fake_granted(&f, 0, NULL, fd);
    close(fd);
    ck_assert_int_eq(fdial_next(f.d, &result, 0), 0);
    ck_assert(is_other_end_closed(kept));
    close(kept);
    fake_connection(&fd, &kept);
    fake_granted(&f, 0, NULL, fd);
    close(fd);
    ck_assert_int_eq(fdial_next(f.d, &result, 0), -ENOTCONN);
    ck_assert(is_other_end_closed(kept));
    close(kept);
    ck_assert_int_eq(fdial_grant(f.d, patterns, 1), -ENOTCONN);
    fake_close(&f);
}
END_TEST

START_TEST(test_grant_lost_at_the_limit)
{
    struct rlimit old, low;
    struct fake f;
    int fd, kept, r;

    if (is_under_valgrind()) /* it keeps the limit to itself */
        return;
    fake_open(&f, 8);
    fake_connection(&fd, &kept);
    fake_granted(&f, 0, NULL, fd);
    close(fd);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
    low = old;
    low.rlim_cur = (rlim_t)dup(0);
    close((int)low.rlim_cur);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
    r = fdial_grant(f.d, patterns, 1);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
    ck_assert_int_eq(r, -EMFILE);
    ck_assert(is_other_end_closed(kept));
    close(kept);
    fake_granted(&f, ERROR_OVER_LIMIT, NULL, -1); /* the session goes on */
    ck_assert_int_eq(fdial_grant(f.d, patterns, 1), -EAGAIN);
    fake_close(&f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("client-grant");
    TCase *tcase = tcase_create("client-grant");

    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, test_session_from_a_grant);
    tcase_add_test(tcase, test_inherited_grant);
    tcase_add_test(tcase, test_refusals);
    tcase_add_test(tcase, test_errors_of_others);
    tcase_add_test(tcase, test_endless_errors);
    tcase_add_test(tcase, test_grant_full_of_questions);
    tcase_add_test(tcase, test_make_a_grant);
    tcase_add_test(tcase, test_grants_that_are_refused);
    tcase_add_test(tcase, test_late_grants_are_closed);
    tcase_add_test(tcase, test_grant_lost_at_the_limit);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
