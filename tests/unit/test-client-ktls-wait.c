/* fdial_recv with kernel TLS: what it waits for and how long, and that poll() announces what is
 * left behind data. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "client/fdial.h"
#include "tests/lib/suite.h"
#include "tests/unit/fake-fd.h"
#include "tests/unit/ktls-drips.h"
#include "tests/unit/ktls-talks.h"

#define BUFFER_MAX 20000
#define WAIT_MS    5000

/* A peer that drips a ticket gets five seconds for all of it, and signals do not add to them. */
START_TEST(test_drip)
{
    char c;

    fake_fd_reset(TLS_1_3);
    for (size_t i = 0; i < sizeof TICKET - 1; i++) {
        fake_fd_add_record(HANDSHAKE, &(TICKET)[i], 1);
        fake_fd_add((struct fake_event){.kind = FAKE_SIGNAL});
        fake_fd_add((struct fake_event){.kind = FAKE_PAUSE, .number = 700});
    }
    ck_assert_int_eq(fdial_recv(FAKE_FD, &c, 1, MSG_DONTWAIT), -EPROTO);
    ck_assert_int_eq(fake_fd_waited_ms(), WAIT_MS);
}
END_TEST

/* What poll() announces all the time is not asked for all the time. */
START_TEST(test_announced_part)
{
    char c;

    fake_fd_reset(TLS_1_3);
    fake_fd.announces_parts = true;
    fake_fd_add_record(HANDSHAKE, TICKET, 3);
    fake_fd_add((struct fake_event){.kind = FAKE_PAUSE, .number = 600000});
    ck_assert_int_eq(fdial_recv(FAKE_FD, &c, 1, 0), -EPROTO);
    ck_assert_int_eq(fake_fd_waited_ms(), WAIT_MS);
    ck_assert_uint_lt(fake_fd.n_recvs, 200);
    ck_assert_uint_gt(fake_fd.n_recvs, WAIT_MS / 105);
}
END_TEST

/* … and for the next record anew it is asked for soon. */
START_TEST(test_announced_rest)
{
    char c;

    fake_fd_reset(TLS_1_3);
    fake_fd.is_blocking = true;
    fake_fd.announces_parts = true;
    fake_fd_add_record(HANDSHAKE, TICKET, 3);
    fake_fd_add((struct fake_event){.kind = FAKE_PAUSE, .number = 200});
    fake_fd_add_record(HANDSHAKE, &(TICKET)[3], sizeof TICKET - 1 - 3);
    fake_fd_add((struct fake_event){.kind = FAKE_PAUSE, .number = 1});
    fake_fd_add_record(DATA, "x", 1);
    ck_assert_int_eq(fdial_recv(FAKE_FD, &c, 1, 0), 1);
    ck_assert_int_lt(fake_fd_waited_ms(), 210);
}
END_TEST

/* Who waits for data is told of the signal that came in the middle of a ticket, when that is whole;
 * EAGAIN it would not expect. */
START_TEST(test_signal_in_a_message)
{
    char c;

    for (unsigned v = 0; v < 4; v++) {
        bool has_data = v & 1;
        int flags = v & 2 ? MSG_WAITALL : 0;

        fake_fd_reset(TLS_1_3);
        fake_fd.is_blocking = true;
        fake_fd_add_record(HANDSHAKE, TICKET, 3);
        fake_fd_add((struct fake_event){.kind = FAKE_SIGNAL});
        fake_fd_add((struct fake_event){.kind = FAKE_PAUSE, .number = 1000});
        fake_fd_add_record(HANDSHAKE, &(TICKET)[3], sizeof TICKET - 1 - 3);
        if (!has_data)
            fake_fd_add((struct fake_event){.kind = FAKE_PAUSE, .number = 1000});
        fake_fd_add_record(DATA, "x", 1);
        ck_assert_int_eq(fdial_recv(FAKE_FD, &c, 1, flags), -EINTR);
        ck_assert_int_eq(fdial_recv(FAKE_FD, &c, 1, flags), 1);
        ck_assert_int_eq(c, 'x');
    }
}
END_TEST

/* A message of a silent peer on a blocking socket is waited for, as data is. */
START_TEST(test_blocking_waits)
{
    char c;

    fake_fd_reset(TLS_1_3);
    fake_fd.is_blocking = true;
    fake_fd_add_record(HANDSHAKE, TICKET, 3);
    fake_fd_add((struct fake_event){.kind = FAKE_PAUSE, .number = 600000});
    fake_fd_add_record(HANDSHAKE, &(TICKET)[3], sizeof TICKET - 1 - 3);
    fake_fd_add_record(DATA, "x", 1);
    ck_assert_int_eq(fdial_recv(FAKE_FD, &c, 1, 0), 1);
    ck_assert_int_eq(c, 'x');
    ck_assert_int_eq(fake_fd_waited_ms(), 600000);
}
END_TEST

/* … but not after a signal: whoever sets an alarm does not wait for ever. */
START_TEST(test_blocking_is_interrupted)
{
    char c;

    fake_fd_reset(TLS_1_3);
    fake_fd.is_blocking = true;
    fake_fd_add_record(HANDSHAKE, TICKET, 3);
    fake_fd_add((struct fake_event){.kind = FAKE_SIGNAL});
    fake_fd_add((struct fake_event){.kind = FAKE_PAUSE, .number = 1000});
    fake_fd_add_record(HANDSHAKE, &(TICKET)[3], 1);
    fake_fd_add((struct fake_event){.kind = FAKE_PAUSE, .number = 600000});
    ck_assert_int_eq(fdial_recv(FAKE_FD, &c, 1, _i ? MSG_WAITALL : 0), -EPROTO);
    ck_assert_int_le(fake_fd_waited_ms(), WAIT_MS);
}
END_TEST

/* The time limit of a socket that blocks is one for the call, whatever comes without being data. */
START_TEST(test_time_limit)
{
    char c;

    fake_fd_reset(TLS_1_3);
    fake_fd.is_blocking = true;
    fake_fd.limit_ms = 2500;
    add_drips(&drips[_i], 10, 1000);
    ck_assert_int_eq(fdial_recv(FAKE_FD, &c, 1, 0), -EAGAIN);
    ck_assert_int_eq(fake_fd_waited_ms(), 2500);
    fake_fd_reset(TLS_1_3);
    fake_fd.is_blocking = true;
    fake_fd.limit_ms = 1;
    ck_assert_int_eq(fdial_recv(FAKE_FD, &c, 1, 0), -ECONNABORTED);
    ck_assert_int_eq(fake_fd_waited_ms(), 0);
}
END_TEST

/* A limit of thousands of years is none. */
START_TEST(test_endless_time_limit)
{
    static const int64_t limits[] = {INT64_MAX, INT64_MAX / 2, INT64_MAX / 1000};
    char c;

    fake_fd_reset(TLS_1_3);
    fake_fd.is_blocking = true;
    fake_fd.limit_ms = limits[_i];
    add_drips(&drips[0], 1, 1000);
    fake_fd_add_record(DATA, "x", 1);
    ck_assert_int_eq(fdial_recv(FAKE_FD, &c, 1, 0), 1);
    ck_assert_int_eq(fake_fd_waited_ms(), 2000);
}
END_TEST

/* In the middle of a message it is over only when the rest does not come either. */
START_TEST(test_time_limit_in_a_message)
{
    static const int pauses[] = {3000, 7000};
    static const int ends[] = {-EAGAIN, -EPROTO};
    char c;

    fake_fd_reset(TLS_1_3);
    fake_fd.is_blocking = true;
    fake_fd.limit_ms = 1000;
    fake_fd_add_record(HANDSHAKE, TICKET, 3);
    fake_fd_add((struct fake_event){.kind = FAKE_PAUSE, .number = pauses[_i]});
    fake_fd_add_record(HANDSHAKE, &(TICKET)[3], sizeof TICKET - 1 - 3);
    fake_fd_add((struct fake_event){.kind = FAKE_PAUSE, .number = 600000});
    ck_assert_int_eq(fdial_recv(FAKE_FD, &c, 1, 0), ends[_i]);
}
END_TEST

/* The kernel waits, once for as long as the limit says, and puts together what comes. */
START_TEST(test_wait_all)
{
    char buf[4];

    fake_fd_reset(TLS_1_3);
    fake_fd.is_blocking = true;
    fake_fd.limit_ms = 1000;
    fake_fd_add_record(DATA, "ab", 2);
    fake_fd_add((struct fake_event){.kind = FAKE_PAUSE, .number = 900});
    fake_fd_add_record(DATA, "cd", 2);
    fake_fd_add((struct fake_event){.kind = FAKE_PAUSE, .number = 600000});
    ck_assert_int_eq(fdial_recv(FAKE_FD, buf, 4, MSG_WAITALL), 4);
    ck_assert_int_eq(fdial_recv(FAKE_FD, buf, 4, MSG_WAITALL), -EAGAIN);
    ck_assert_int_eq(fake_fd_waited_ms(), 1900);
}
END_TEST

static int poll_now(void)
{
    const struct timespec at_once = {0};
    struct pollfd polled = {.fd = FAKE_FD, .events = POLLIN};

    return ppoll(&polled, 1, &at_once, NULL);
}

/* Where poll() is silent about a KeyUpdate behind data, or cannot tell, reading is shut down;
 * nowhere else. */
START_TEST(test_announced_update)
{
    char buf[100];

    for (unsigned v = 0; v < 16; v++) {
        size_t room = v & 1 ? sizeof buf : 1;
        bool has_signal = v & 8;

        fake_fd_reset(TLS_1_3);
        fake_fd.is_blocking = v & 2;
        fake_fd.expires_keys = v & 4;
        fake_fd.is_signalled = has_signal;
        fake_fd_add_record(DATA, "x", 1);
        fake_fd_add_record(HANDSHAKE, "\x18\0\0\1\0", 5);
        fake_fd_add_record(DATA, "junk", 4);
        ck_assert_int_eq(fdial_recv(FAKE_FD, buf, room, 0), 1);
        ck_assert_uint_eq(fake_fd.n_renewals, room > 1 && (fake_fd.expires_keys || has_signal));
        ck_assert_uint_eq(fake_fd.n_shutdowns, 0);
        fake_fd.is_signalled = false;
        ck_assert_int_eq(poll_now(), 1);
        ck_assert_int_eq(fdial_recv(FAKE_FD, buf, room, 0), -EKEYEXPIRED);
    }
}
END_TEST

/* Data that fills the buffer costs one system call. */
START_TEST(test_calls)
{
    char buf[4];

    fake_fd_reset(TLS_1_3);
    fake_fd_add_record(DATA, "abcd", 4);
    ck_assert_int_eq(fdial_recv(FAKE_FD, buf, sizeof buf, 0), 4);
    ck_assert_uint_eq(fake_fd.n_recvs, 1);
    ck_assert_uint_eq(fake_fd.n_polls + fake_fd.n_getsockopts, 0);
}
END_TEST

/* A look at what is next changes nothing else. */
START_TEST(test_look_ahead)
{
    static const struct part nexts[] = {PART(DATA, "y"), PART(HANDSHAKE, TICKET),
                                        PART(ALERT, CLOSE)};
    static const int ends[] = {1, -ECONNABORTED, 0};
    char buf[100];

    for (unsigned has_pause = 0; has_pause < 2; has_pause++) {
        fake_fd_reset(TLS_1_3);
        fake_fd.is_blocking = true;
        fake_fd_add_record(DATA, "x", 1);
        if (has_pause)
            fake_fd_add((struct fake_event){.kind = FAKE_SIGNAL});
        fake_fd_add_record(nexts[_i].type, nexts[_i].bytes, nexts[_i].n);
        if (has_pause) {
            ck_assert_int_eq(fdial_recv(FAKE_FD, buf, sizeof buf, 0), 1);
            ck_assert_int_eq(fdial_recv(FAKE_FD, buf, sizeof buf, 0), -EINTR);
        } else {
            ck_assert_int_eq(fdial_recv(FAKE_FD, buf, 1, 0), 1);
        }
        ck_assert_int_eq(fdial_recv(FAKE_FD, buf, sizeof buf, 0), ends[_i]);
        ck_assert_uint_eq(fake_fd.n_renewals, 0);
    }
}
END_TEST

/* An error that comes between poll() and the look is not told by its name, but it is one. */
START_TEST(test_late_error)
{
    char buf[100];

    fake_fd_reset(TLS_1_3);
    fake_fd_add_record(DATA, "x", 1);
    fake_fd_add((struct fake_event){.kind = FAKE_LATE});
    fake_fd_add((struct fake_event){.kind = FAKE_ERROR, .number = EBADMSG});
    fake_fd_add((struct fake_event){.kind = FAKE_PAUSE, .number = 600000});
    ck_assert_int_eq(fdial_recv(FAKE_FD, buf, sizeof buf, 0), 1);
    ck_assert_int_eq(poll_now(), 1);
    ck_assert_int_eq(fdial_recv(FAKE_FD, buf, sizeof buf, 0), -ECONNABORTED);
}
END_TEST

/* What comes between poll() and the look. */
START_TEST(test_late)
{
    static const struct part nexts[] = {PART(DATA, "\x18"), PART(HANDSHAKE, TICKET),
                                        PART(DATA, "")};
    static const int ends[] = {1, -ECONNABORTED, -ECONNABORTED};
    char buf[100];

    fake_fd_reset(TLS_1_3);
    fake_fd_add_record(DATA, "x", 1);
    fake_fd_add((struct fake_event){.kind = FAKE_LATE});
    fake_fd_add_record(nexts[_i].type, nexts[_i].bytes, nexts[_i].n);
    ck_assert_int_eq(fdial_recv(FAKE_FD, buf, sizeof buf, 0), 1);
    /* A KeyUpdate may be behind what is empty. */
    ck_assert_uint_eq(fake_fd.n_renewals, nexts[_i].n == 0);
    ck_assert_uint_eq(fake_fd.n_shutdowns, 0);
    ck_assert_int_eq(fdial_recv(FAKE_FD, buf, sizeof buf, 0), ends[_i]);
}
END_TEST

/* An error is told once by the kernel: it is for the next call. */
START_TEST(test_error_behind_data)
{
    char buf[100];

    fake_fd_reset(TLS_1_3);
    fake_fd_add_record(DATA, "x", 1);
    fake_fd_add((struct fake_event){.kind = FAKE_ERROR, .number = ECONNRESET});
    ck_assert_int_eq(fdial_recv(FAKE_FD, buf, sizeof buf, 0), 1);
    ck_assert_int_eq(fdial_recv(FAKE_FD, buf, sizeof buf, 0), -ECONNRESET);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("client-ktls-wait");
    TCase *tcase = tcase_create("client-ktls-wait");

    tcase_add_test(tcase, test_drip);
    tcase_add_test(tcase, test_announced_part);
    tcase_add_test(tcase, test_announced_rest);
    tcase_add_test(tcase, test_signal_in_a_message);
    tcase_add_test(tcase, test_blocking_waits);
    tcase_add_loop_test(tcase, test_blocking_is_interrupted, 0, 2);
    tcase_add_loop_test(tcase, test_time_limit, 0, 3);
    tcase_add_loop_test(tcase, test_endless_time_limit, 0, 3);
    tcase_add_loop_test(tcase, test_time_limit_in_a_message, 0, 2);
    tcase_add_test(tcase, test_wait_all);
    tcase_add_loop_test(tcase, test_announced_update, 0, 1);
    tcase_add_test(tcase, test_calls);
    tcase_add_loop_test(tcase, test_look_ahead, 0, 3);
    tcase_add_test(tcase, test_late_error);
    tcase_add_loop_test(tcase, test_late, 0, 3);
    tcase_add_test(tcase, test_error_behind_data);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
