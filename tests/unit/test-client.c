/* libfdial: requests, results, cancels, and everything a daemon could do wrong. */
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

#include "tests/lib/suite.h"
#include "tests/lib/valgrind.h"
#include "tests/unit/fake-daemon.h"

static struct fake fake;
static struct fdial_request *request;

static void set_up(void)
{
    fake_open(&fake, FAKE_PENDING_MAX);
    ck_assert_int_eq(fdial_request_new(&request, "tcp://host.test:7"), 0);
}

static void tear_down(void)
{
    request = fdial_request_free(request);
    fake_close(&fake);
}

static void submit(uint64_t id)
{
    ck_assert_int_eq(fdial_submit(fake.d, request, id), 0);
}

/* The next result must be there already. */
static struct fdial_result *next(void)
{
    struct fdial_result *result = NULL;

    ck_assert_int_eq(fdial_next(fake.d, &result, 0), 1);
    ck_assert_ptr_nonnull(result);
    return result;
}

static void expect_error(uint64_t id, int error)
{
    struct fdial_result *result = next();

    ck_assert_uint_eq(fdial_result_id(result), id);
    ck_assert_int_eq(fdial_result_error(result), error);
    ck_assert_uint_eq(fdial_result_count(result), 0);
    ck_assert_str_ne(fdial_result_message(result), "");
    ck_assert_str_eq(fdial_result_handoff_reason(result), "");
    fdial_result_free(result);
}

static void expect_none(int expected)
{
    struct fdial_result *result = NULL;

    ck_assert_int_eq(fdial_next(fake.d, &result, 0), expected);
    ck_assert_ptr_null(result);
}

START_TEST(test_request_is_sent_in_full)
{
    struct message_connect m;
    const char *sentence;

    ck_assert_int_eq(fdial_request_set_timeout_ms(request, 1234), 0);
    ck_assert_int_eq(fdial_request_set_family(request, AF_INET6), 0);
    ck_assert_int_eq(fdial_request_add_alpn(request, "http/1.1"), 0);
    ck_assert_int_eq(fdial_request_add_alpn(request, "h2"), 0);
    ck_assert_int_eq(fdial_request_set_tls_name(request, "other.test"), 0);
    ck_assert_int_eq(fdial_request_set_handoff(request, FDIAL_RELAY), 0);
    ck_assert_int_eq(fdial_request_add_header(request, "X-Trace: 1\t2"), 0);
    ck_assert_int_eq(fdial_request_add_subprotocol(request, "chat"), 0);
    ck_assert_int_eq(fdial_request_set_count(request, 3), 0);
    submit(77);
    fake_expect(&fake, WIRE_CONNECT, 77);
    ck_assert_int_eq(message_decode_connect(fake.reader, &m, &sentence), 0);
    ck_assert_int_eq((int)m.target.n, (int)strlen("tcp://host.test:7"));
    ck_assert_int_eq(memcmp(m.target.data, "tcp://host.test:7", m.target.n), 0);
    ck_assert_uint_eq(m.timeout_ms, 1234);
    ck_assert_uint_eq(m.family, 6);
    ck_assert_uint_eq(m.handoff, HANDOFF_RELAY);
    ck_assert_uint_eq(m.count, 3);
    ck_assert_uint_eq(m.n_alpn, 2);
    ck_assert_int_eq(memcmp(m.alpn[1].data, "h2", 2), 0);
    ck_assert_uint_eq(m.tls_name.n, 10);
    ck_assert_uint_eq(m.n_headers, 1);
    ck_assert_uint_eq(m.n_subprotocols, 1);
}
END_TEST

START_TEST(test_request_refuses_bad_values)
{
    struct fdial_request *none = NULL;

    ck_assert_int_eq(fdial_request_new(&none, "gopher://x"), -EINVAL);
    ck_assert_int_eq(fdial_request_new(&none, "tcp://b\xc3\xbc"
                                              "cher.test:1"),
                     -EINVAL);
    ck_assert_ptr_null(none);
    ck_assert_int_eq(fdial_request_set_timeout_ms(request, 0), -EINVAL);
    ck_assert_int_eq(fdial_request_set_timeout_ms(request, FDIAL_TIMEOUT_MS_MAX + 1), -EINVAL);
    ck_assert_int_eq(fdial_request_set_family(request, AF_UNIX), -EINVAL);
    ck_assert_int_eq(fdial_request_add_alpn(request, ""), -EINVAL);
    ck_assert_int_eq(fdial_request_set_tls_name(request, "a b"), -EINVAL);
    ck_assert_int_eq(fdial_request_set_handoff(request, 0), -EINVAL);
    ck_assert_int_eq(fdial_request_set_handoff(request, 8), -EINVAL);
    ck_assert_int_eq(fdial_request_add_header(request, "no colon"), -EINVAL);
    ck_assert_int_eq(fdial_request_add_header(request, "a: b\r\nc: d"), -EINVAL);
    ck_assert_int_eq(fdial_request_add_header(request, "a b: c"), -EINVAL);
    ck_assert_int_eq(fdial_request_add_subprotocol(request, "a,b"), -EINVAL);
    ck_assert_int_eq(fdial_request_set_count(request, 0), -EINVAL);
    ck_assert_int_eq(fdial_request_set_count(request, 65), -EINVAL);
    for (int i = 0; i < MESSAGE_ALPN_MAX; i++)
        ck_assert_int_eq(fdial_request_add_alpn(request, "x"), 0);
    ck_assert_int_eq(fdial_request_add_alpn(request, "x"), -E2BIG);
}
END_TEST

START_TEST(test_submit_keeps_to_limits)
{
    static char header[2000];

    submit(1);
    ck_assert_int_eq(fdial_submit(fake.d, request, 1), -EEXIST);
    ck_assert_int_eq(fdial_request_set_count(request, FAKE_COUNT_MAX + 1), 0);
    ck_assert_int_eq(fdial_submit(fake.d, request, 2), -EINVAL);
    ck_assert_int_eq(fdial_request_set_count(request, 1), 0);
    memset(header, 'x', sizeof header - 1);
    header[1] = ':';
    for (int i = 0; i < 16; i++)
        ck_assert_int_eq(fdial_request_add_header(request, header), 0);
    ck_assert_int_eq(fdial_submit(fake.d, request, 3), -EMSGSIZE);
    ck_assert_int_eq(fdial_cancel(fake.d, 3), -ENOENT);
    fake_expect(&fake, WIRE_CONNECT, 1);
    ck_assert(!fake_read(&fake));
}
END_TEST

START_TEST(test_submit_is_refused_when_pending_is_full)
{
    struct fake small;

    fake_open(&small, 2);
    ck_assert_int_eq(fdial_submit(small.d, request, 1), 0);
    ck_assert_int_eq(fdial_submit(small.d, request, 2), 0);
    ck_assert_int_eq(fdial_submit(small.d, request, 3), -EAGAIN);
    fake_close(&small);
}
END_TEST

static struct message_result full_result(void)
{
    struct message_result m = {.handoff = HANDOFF_TCP, .is_warm = true};
    struct sockaddr_in *peer = (struct sockaddr_in *)&m.peer;

    peer->sin_family = AF_INET;
    peer->sin_port = htons(443);
    peer->sin_addr.s_addr = htonl(0xc0000207);
    m.alpn = text_of("http/1.1");
    m.tls_version = 0x0304;
    m.tls_cipher = text_of("TLS_AES_128_GCM_SHA256");
    m.is_resumed = true;
    m.handoff_reason = text_of("no\n");
    m.chain[0] = text_of("DER0");
    m.chain[1] = text_of("DER-1");
    m.n_chain = 2;
    m.response = text_of("HTTP/1.1 101 x\r\n\r\n");
    m.times[0] = (struct message_time){STAGE_RESOLVE, 0, 100};
    m.times[1] = (struct message_time){STAGE_TLS, 1, 70000};
    m.n_times = 2;
    return m;
}

static void check_full_result(const struct fdial_result *result)
{
    int stage, hop;
    uint32_t us;
    size_t n = 0;

    ck_assert_uint_eq(fdial_result_handoff(result), FDIAL_TCP);
    ck_assert_int_eq(fdial_result_is_warm(result), 1);
    ck_assert_int_eq(fdial_result_peer(result)->ss_family, AF_INET);
    ck_assert_int_eq(fdial_result_local(result)->ss_family, AF_UNSPEC);
    ck_assert_str_eq(fdial_result_alpn(result), "http/1.1");
    ck_assert_uint_eq(fdial_result_tls_version(result), 0x0304);
    ck_assert_str_eq(fdial_result_tls_cipher(result), "TLS_AES_128_GCM_SHA256");
    ck_assert_int_eq(fdial_result_is_resumed(result), 1);
    ck_assert_str_eq(fdial_result_handoff_reason(result), "no\\x0a");
    ck_assert_int_eq(memcmp(fdial_result_certificate(result, 1, &n), "DER-1", 5), 0);
    ck_assert_uint_eq(n, 5);
    ck_assert_ptr_null(fdial_result_certificate(result, 2, &n));
    ck_assert_ptr_nonnull(fdial_result_response(result, &n));
    ck_assert_uint_eq(n, 18);
    ck_assert_int_eq(fdial_result_response_is_clear(result), 0);
    ck_assert_int_eq(fdial_result_time_us(result, 1, &stage, &hop, &us), 0);
    ck_assert_int_eq(stage, FDIAL_STAGE_TLS);
    ck_assert_int_eq(hop, 1);
    ck_assert_uint_eq(us, 70000);
    ck_assert_int_eq(fdial_result_time_us(result, 2, &stage, &hop, &us), -ENOENT);
}

START_TEST(test_result_carries_everything)
{
    struct message_result m = full_result();
    struct fdial_result *result;
    int fds[2], kept[2], taken;

    fake_connection(&fds[0], &kept[0]);
    fake_connection(&fds[1], &kept[1]);
    ck_assert_int_eq(fdial_request_set_count(request, 2), 0);
    submit(5);
    fake_result(&fake, 5, &m, fds, 2);
    fd_close(fds[0]);
    fd_close(fds[1]);
    result = next();
    ck_assert_uint_eq(fdial_result_id(result), 5);
    ck_assert_int_eq(fdial_result_error(result), 0);
    ck_assert_int_eq(fdial_result_stage(result), FDIAL_STAGE_NONE);
    ck_assert_str_eq(fdial_result_message(result), "");
    ck_assert_uint_eq(fdial_result_count(result), 2);
    check_full_result(result);
    taken = fdial_result_take_fd(result, 0);
    ck_assert_int_ge(taken, 0);
    ck_assert_int_eq(fcntl(taken, F_GETFD), FD_CLOEXEC);
    ck_assert_int_eq(fcntl(taken, F_GETFL) & O_NONBLOCK, 0);
    ck_assert_int_eq(fdial_result_take_fd(result, 0), -ENOENT);
    ck_assert_int_eq(fdial_result_take_fd(result, 2), -ENOENT);
    fdial_result_free(result);
    ck_assert(is_other_end_closed(kept[1]));
    ck_assert_int_eq(fdial_send(taken, "x", 1, 0), 1);
    close(taken);
    close(kept[0]);
    close(kept[1]);
    expect_none(0);
}
END_TEST

START_TEST(test_errors_become_errnos_and_sentences)
{
    struct message_result m = {.code = ERROR_CERT_EXPIRED,
                               .stage = STAGE_TLS,
                               .hop = 2,
                               .sys_errno = ENETDOWN,
                               .detail = text_of("CN=host")};
    struct fdial_result *result;

    submit(1);
    fake_result(&fake, 1, &m, NULL, 0);
    result = next();
    ck_assert_int_eq(fdial_result_error(result), -EKEYREJECTED);
    ck_assert_uint_eq(fdial_result_code(result), ERROR_CERT_EXPIRED);
    ck_assert_int_eq(fdial_result_stage(result), FDIAL_STAGE_TLS);
    ck_assert_int_eq(fdial_result_hop(result), 2);
    ck_assert_str_eq(fdial_result_message(result),
                     "certificate has expired: CN=host (Network is down)");
    fdial_result_free(result);
    submit(1);
    fake_fail(&fake, 1, ERROR_DENIED);
    expect_error(1, -EACCES);
}
END_TEST

START_TEST(test_results_come_in_any_order)
{
    static bool is_seen[3000];
    uint64_t n = ARRAY_SIZE(is_seen);

    for (uint64_t i = 0; i < n; i++) {
        submit(i * 4096);
        ck_assert(fake_read(&fake));
    }
    for (uint64_t i = 0; i < n; i++) {
        uint64_t k = (i * 1009 + 500) % n;

        fake_fail(&fake, k * 4096, ERROR_REFUSED);
        expect_error(k * 4096, -ECONNREFUSED);
        ck_assert(!is_seen[k]);
        is_seen[k] = true;
        ck_assert_int_eq(fdial_cancel(fake.d, k * 4096), -ENOENT);
    }
    expect_none(0);
}
END_TEST

START_TEST(test_cancel_wins_over_a_late_result)
{
    int kept;

    submit(1);
    ck_assert_int_eq(fdial_cancel(fake.d, 1), 0);
    ck_assert_int_eq(fdial_cancel(fake.d, 1), 0);
    ck_assert_int_eq(fdial_cancel(fake.d, 2), -ENOENT);
    fake_expect(&fake, WIRE_CONNECT, 1);
    fake_expect(&fake, WIRE_CANCEL, 1);
    ck_assert(!fake_read(&fake));
    ck_assert_int_eq(fdial_submit(fake.d, request, 1), -EEXIST);
    expect_none(0);
    kept = fake_succeed(&fake, 1);
    expect_error(1, -ECANCELED);
    ck_assert(is_other_end_closed(kept));
    close(kept);
    submit(1);
    ck_assert_int_eq(fdial_cancel(fake.d, 1), 0);
    fake_fail(&fake, 1, ERROR_CANCELLED);
    expect_error(1, -ECANCELED);
}
END_TEST

START_TEST(test_cancel_waits_for_room_in_the_socket)
{
    uint64_t n = 0, n_cancels = 0;
    int r;

    while ((r = fdial_submit(fake.d, request, n)) == 0)
        n++;
    ck_assert_int_eq(r, -EAGAIN);
    ck_assert_int_eq(fdial_events(fake.d), POLLIN | POLLOUT);
    expect_none(0);
    ck_assert_int_eq(fdial_events(fake.d), POLLIN);
    for (uint64_t i = 0; i < n; i++)
        ck_assert_int_eq(fdial_cancel(fake.d, i), 0);
    ck_assert_int_eq(fdial_events(fake.d), POLLIN | POLLOUT);
    for (int turn = 0; turn < 100 && n_cancels < n; turn++) {
        while (fake_read(&fake))
            n_cancels += fake.head.type == WIRE_CANCEL;
        expect_none(0);
    }
    ck_assert_uint_eq(n_cancels, n);
    ck_assert_int_eq(fdial_events(fake.d), POLLIN);
}
END_TEST

START_TEST(test_a_dead_daemon_fails_what_is_in_flight)
{
    bool is_seen[4] = {false};
    int kept;

    for (uint64_t i = 0; i < 4; i++)
        submit(i);
    kept = fake_succeed(&fake, 2);
    ck_assert_int_eq(fdial_cancel(fake.d, 3), 0);
    fake.fd = fd_close(fake.fd);
    fdial_result_free(next());
    is_seen[2] = true;
    for (int i = 0; i < 3; i++) {
        struct fdial_result *result = next();
        uint64_t id = fdial_result_id(result);

        ck_assert(id < 4 && !is_seen[id]);
        is_seen[id] = true;
        ck_assert_int_eq(fdial_result_error(result), id == 3 ? -ECANCELED : -ENOTCONN);
        fdial_result_free(result);
    }
    expect_none(-ENOTCONN);
    ck_assert_int_eq(fdial_submit(fake.d, request, 9), -ENOTCONN);
    ck_assert_int_eq(fdial_cancel(fake.d, 0), -ENOENT);
    close(kept);
}
END_TEST

/* After the wrong message: every id fails once, the session is over, no fd stays. */
static void expect_protocol_error(int n_fds_before)
{
    expect_error(1, -ENOTCONN);
    expect_none(-ENOTCONN);
    ck_assert_int_eq(count_open_fds(), n_fds_before);
    ck_assert(!fake_read(&fake)); /* the library hung up */
}

struct wrong_result {
    uint64_t id;
    uint32_t code;
    uint8_t handoff;
    size_t n_fds;
};

static const struct wrong_result wrong_results[] = {
    {2, 0, HANDOFF_TCP, 1},                 /* unknown id */
    {1, 0, HANDOFF_TCP, 0},                 /* success without a connection */
    {1, 0, HANDOFF_TCP, 2},                 /* more than asked for */
    {1, 0, HANDOFF_TCP, 64},                /* … by far */
    {1, 0, HANDOFF_KTLS, 1},                /* a kind that was not accepted */
    {1, 0, HANDOFF_TCP | HANDOFF_RELAY, 1}, /* two kinds */
    {1, 0, 0, 1},                           /* none */
    {1, ERROR_REFUSED, 0, 1},               /* an error with a connection */
};

START_TEST(test_wrong_results_end_the_session)
{
    const struct wrong_result *wrong = &wrong_results[_i];
    struct message_result m = {
        .code = wrong->code, .stage = STAGE_CONNECT, .handoff = wrong->handoff};
    int fds[FDMSG_FDS_MAX], n_before;

    submit(1);
    fake_expect(&fake, WIRE_CONNECT, 1);
    n_before = count_open_fds();
    for (size_t i = 0; i < wrong->n_fds; i++)
        fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    fake_result(&fake, wrong->id, &m, fds, wrong->n_fds);
    for (size_t i = 0; i < wrong->n_fds; i++)
        close(fds[i]);
    expect_protocol_error(n_before);
}
END_TEST

START_TEST(test_wrong_messages_end_the_session)
{
    struct message_ended ended = {.end = RELAY_END_CLEAN};
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), n_before;
    struct wire_writer w;

    submit(1);
    fake_expect(&fake, WIRE_CONNECT, 1);
    n_before = count_open_fds();
    switch (_i) {
    case 0: /* not a message */
        ck_assert_int_eq(send(fake.fd, "garbage", 7, 0), 7);
        break;
    case 1: /* a client's message */
        fake_send(&fake, message_encode_cancel(fake.buf, sizeof fake.buf, 1), NULL, 0);
        break;
    case 2: /* fds where none belong */
        fake_send(&fake, message_encode_ended(fake.buf, sizeof fake.buf, 1, &ended), &fd, 1);
        break;
    case 3: /* an answer to nothing */
        wire_begin(&w, fake.buf, sizeof fake.buf, WIRE_STATUS_REPLY, 1);
        ck_assert_int_eq(wire_end(&w), 0);
        fake_send(&fake, (ssize_t)w.length, NULL, 0);
        break;
    case 4: /* a result without a code */
        wire_begin(&w, fake.buf, sizeof fake.buf, WIRE_RESULT, 1);
        ck_assert_int_eq(wire_end(&w), 0);
        fake_send(&fake, (ssize_t)w.length, &fd, 1);
        break;
    }
    expect_protocol_error(n_before);
    close(fd);
}
END_TEST

START_TEST(test_a_result_twice_ends_the_session)
{
    int kept, n_before;

    submit(1);
    submit(2);
    fake_fail(&fake, 2, ERROR_REFUSED);
    expect_error(2, -ECONNREFUSED);
    n_before = count_open_fds();
    kept = fake_succeed(&fake, 2);
    expect_error(1, -ENOTCONN);
    ck_assert(is_other_end_closed(kept));
    close(kept);
    ck_assert_int_eq(count_open_fds(), n_before);
}
END_TEST

START_TEST(test_daemon_errors)
{
    struct message_error m = {.code = ERROR_BAD_TARGET};

    submit(1);
    submit(2);
    fake_send(&fake, message_encode_error(fake.buf, sizeof fake.buf, 1, &m), NULL, 0);
    expect_error(1, -EINVAL);
    expect_none(0);
    m.code = ERROR_DRAINING;
    fake_send(&fake, message_encode_error(fake.buf, sizeof fake.buf, 0, &m), NULL, 0);
    expect_error(2, -ENOTCONN);
    expect_none(-ENOTCONN);
}
END_TEST

START_TEST(test_fds_lost_at_the_limit)
{
    struct rlimit limit, low;
    int kept;

    /* It keeps the limit to itself, and received descriptors are not counted there. */
    if (is_under_valgrind())
        return;
    submit(1);
    submit(2);
    kept = fake_succeed(&fake, 1);
    fake_fail(&fake, 2, ERROR_REFUSED);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    low = (struct rlimit){.rlim_cur = 3, .rlim_max = limit.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
    expect_error(1, -EMFILE);
    expect_error(2, -ECONNREFUSED);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    ck_assert(is_other_end_closed(kept));
    close(kept);
}
END_TEST

/* Descriptors with a message that says nothing: which reads like the end of the session. */
START_TEST(test_fds_with_nothing)
{
    int fds[FDMSG_FDS_MAX], n_before;

    submit(1);
    fake_expect(&fake, WIRE_CONNECT, 1);
    n_before = count_open_fds();
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    ck_assert_int_eq(fdmsg_send(fake.fd, "", 0, fds, ARRAY_SIZE(fds), 0), 0);
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        close(fds[i]);
    expect_protocol_error(n_before);
}
END_TEST

/* More than the library has room for: the kernel gives it some of them. */
START_TEST(test_more_fds_than_there_is_room_for)
{
    union {
        char data[CMSG_SPACE(sizeof(int) * 200)];
        struct cmsghdr head;
    } control = {.head = {.cmsg_len = CMSG_LEN(sizeof(int) * 200),
                          .cmsg_level = SOL_SOCKET,
                          .cmsg_type = SCM_RIGHTS}};
    struct message_result m = {.handoff = HANDOFF_TCP};
    struct iovec iov = {.iov_base = fake.buf};
    struct msghdr header = {.msg_iov = &iov,
                            .msg_iovlen = 1,
                            .msg_control = control.data,
                            .msg_controllen = sizeof control.data};
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), n_before;

    submit(1);
    fake_expect(&fake, WIRE_CONNECT, 1);
    n_before = count_open_fds();
    for (size_t i = 0; i < 200; i++)
        memcpy(CMSG_DATA(&control.head) + i * sizeof fd, &fd, sizeof fd);
    iov.iov_len = (size_t)message_encode_result(fake.buf, sizeof fake.buf, 1, &m);
    ck_assert_int_gt(sendmsg(fake.fd, &header, 0), 0);
    expect_error(1, -EMFILE);
    ck_assert_int_eq(count_open_fds(), n_before);
    close(fd);
}
END_TEST

#define CHATTERS 8 /* together they write faster than one reads */

/* In a child, until it is killed: notices about relays, one after the other. */
static pid_t start_chatter(void)
{
    struct message_ended m = {.end = RELAY_END_CLEAN};
    ssize_t n = message_encode_ended(fake.buf, sizeof fake.buf, 7, &m);
    pid_t pid = fork();

    ck_assert_int_ge(pid, 0);
    if (pid > 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (fdmsg_send(fake.fd, fake.buf, (size_t)n, NULL, 0, 0) == 0)
        ;
    _exit(0);
}

static int64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

START_TEST(test_endless_talk_does_not_extend_the_time)
{
    struct fdial_result *result = NULL;
    int64_t begin_ms = now_ms();
    char *lines = NULL;
    pid_t pids[CHATTERS];

    for (size_t i = 0; i < CHATTERS; i++)
        pids[i] = start_chatter();
    ck_assert_int_eq(fdial_next(fake.d, &result, 0), 0); /* with nothing to wait for */
    submit(1);
    ck_assert_int_eq(fdial_next(fake.d, &result, 0), 0);
    ck_assert_int_eq(fdial_next(fake.d, &result, 300), 0);
    ck_assert_int_ge(now_ms() - begin_ms, 299);
    ck_assert_int_eq(fdial_status(fake.d, &lines), -ETIMEDOUT);
    ck_assert_int_lt(now_ms() - begin_ms, 30000);
    ck_assert_ptr_null(result);
    for (size_t i = 0; i < CHATTERS; i++) {
        kill(pids[i], SIGKILL);
        ck_assert_int_eq(waitpid(pids[i], NULL, 0), pids[i]);
    }
}
END_TEST

static volatile sig_atomic_t n_alarms;

static void on_alarm(int number)
{
    (void)number;
    n_alarms++;
}

START_TEST(test_signals_do_not_change_the_wait)
{
    struct itimerval timer = {{0, 7000}, {0, 7000}}, off = {{0, 0}, {0, 0}};
    struct sigaction action = {.sa_handler = on_alarm};
    struct fdial_result *result = NULL;
    struct timespec start, end;
    int64_t ms;

    submit(1);
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &timer, NULL);
    clock_gettime(CLOCK_MONOTONIC, &start);
    ck_assert_int_eq(fdial_next(fake.d, &result, 200), 0);
    clock_gettime(CLOCK_MONOTONIC, &end);
    setitimer(ITIMER_REAL, &off, NULL);
    ms = (end.tv_sec - start.tv_sec) * 1000 + (end.tv_nsec - start.tv_nsec) / 1000000;
    ck_assert_int_ge(n_alarms, 3);
    ck_assert_int_ge(ms, 199);
    ck_assert_int_lt(ms, 10000);
}
END_TEST

START_TEST(test_next_does_not_wait_for_nothing)
{
    struct fdial_result *result = NULL;

    ck_assert_int_eq(fdial_next(fake.d, &result, -1), 0);
}
END_TEST

START_TEST(test_ended_notices_are_bounded)
{
    struct message_ended m = {.end = RELAY_END_RESET};
    unsigned index = 99;
    uint64_t id = 0;
    int end = 0;

    ck_assert_int_eq(fdial_next_ended(fake.d, &id, &index, &end), 0);
    for (uint64_t i = 0; i < 70; i++) {
        m.index = (uint8_t)(i % 3);
        fake_send(&fake, message_encode_ended(fake.buf, sizeof fake.buf, i, &m), NULL, 0);
    }
    expect_none(0);
    for (uint64_t i = 6; i < 70; i++) {
        ck_assert_int_eq(fdial_next_ended(fake.d, &id, &index, &end), 1);
        ck_assert_uint_eq(id, i);
        ck_assert_uint_eq(index, i % 3);
        ck_assert_int_eq(end, FDIAL_END_RESET);
    }
    ck_assert_int_eq(fdial_next_ended(fake.d, &id, &index, &end), 0);
}
END_TEST

static void add_tests(TCase *tcase)
{
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, test_request_is_sent_in_full);
    tcase_add_test(tcase, test_request_refuses_bad_values);
    tcase_add_test(tcase, test_submit_keeps_to_limits);
    tcase_add_test(tcase, test_submit_is_refused_when_pending_is_full);
    tcase_add_test(tcase, test_result_carries_everything);
    tcase_add_test(tcase, test_errors_become_errnos_and_sentences);
    tcase_add_test(tcase, test_results_come_in_any_order);
    tcase_add_test(tcase, test_cancel_wins_over_a_late_result);
    tcase_add_test(tcase, test_cancel_waits_for_room_in_the_socket);
    tcase_add_test(tcase, test_a_dead_daemon_fails_what_is_in_flight);
    tcase_add_loop_test(tcase, test_wrong_results_end_the_session, 0, ARRAY_SIZE(wrong_results));
    tcase_add_loop_test(tcase, test_wrong_messages_end_the_session, 0, 5);
    tcase_add_test(tcase, test_a_result_twice_ends_the_session);
    tcase_add_test(tcase, test_fds_with_nothing);
    tcase_add_test(tcase, test_more_fds_than_there_is_room_for);
    tcase_add_test(tcase, test_endless_talk_does_not_extend_the_time);
    tcase_add_test(tcase, test_daemon_errors);
    tcase_add_test(tcase, test_fds_lost_at_the_limit);
    tcase_add_test(tcase, test_signals_do_not_change_the_wait);
    tcase_add_test(tcase, test_next_does_not_wait_for_nothing);
    tcase_add_test(tcase, test_ended_notices_are_bounded);
}

int main(void)
{
    Suite *suite = suite_create("client");
    TCase *tcase = tcase_create("requests");

    add_tests(tcase);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
