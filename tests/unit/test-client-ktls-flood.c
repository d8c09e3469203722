/* fdial_recv with kernel TLS: peers that send records without data, fast or slowly. */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>

#include "client/fdial.h"
#include "tests/lib/suite.h"
#include "tests/unit/fake-fd.h"
#include "tests/unit/ktls-drips.h"
#include "tests/unit/ktls-talks.h"

#define FLOOD_LIMIT 32

static const struct part floods[] = {PART(HANDSHAKE, TICKET), PART(ALERT, "\1\x5a"),
                                     PART(HANDSHAKE, "\4\0\0\0")};

/* As many records without data as are allowed, and one more. */
START_TEST(test_flood)
{
    const struct part *flood = &floods[_i];
    char buf[100];

    for (unsigned n = FLOOD_LIMIT; n <= FLOOD_LIMIT + 1; n++) {
        for (size_t size = 1; size <= sizeof buf; size += sizeof buf - 1) {
            fake_fd_reset(TLS_1_3);
            for (unsigned i = 0; i < n; i++)
                fake_fd_add_record(flood->type, flood->bytes, flood->n);
            fake_fd_add_record(DATA, "x", 1);
            ck_assert_int_eq(fdial_recv(FAKE_FD, buf, size, 0), n == FLOOD_LIMIT ? 1 : -EPROTO);
        }
    }
}
END_TEST

/* What a call before has counted is counted once. */
START_TEST(test_flood_behind_a_drip)
{
    char c;

    fake_fd_reset(TLS_1_3);
    fake_fd_add_record(HANDSHAKE, TICKET, sizeof TICKET - 1);
    fake_fd_add((struct fake_event){.kind = FAKE_PAUSE, .number = 1});
    for (unsigned i = 0; i < FLOOD_LIMIT - 1 + (unsigned)_i; i++)
        fake_fd_add_record(HANDSHAKE, TICKET, sizeof TICKET - 1);
    fake_fd_add_record(DATA, "x", 1);
    ck_assert_int_eq(fdial_recv(FAKE_FD, &c, 1, 0), -EAGAIN);
    fake_fd_wait();
    ck_assert_int_eq(fdial_recv(FAKE_FD, &c, 1, 0), _i == 0 ? 1 : -EPROTO);
}
END_TEST

/* Empty records between tickets, of which the kernel tells only that there were some. */
START_TEST(test_flood_of_empty_records)
{
    char c;

    fake_fd_reset(TLS_1_3);
    fake_fd.hides_ends = _i;
    for (unsigned i = 0; i <= FLOOD_LIMIT; i++) {
        fake_fd_add_record(DATA, "", 0);
        fake_fd_add_record(HANDSHAKE, TICKET, sizeof TICKET - 1);
    }
    ck_assert_int_eq(fdial_recv(FAKE_FD, &c, 1, 0), -EPROTO);
}
END_TEST

START_TEST(test_flood_inside_message)
{
    static uint8_t bytes[65536] = {4, 0, 0xff, 0xfc};
    char c;

    fake_fd_reset(TLS_1_3);
    for (unsigned i = 0; i <= FLOOD_LIMIT; i++)
        fake_fd_add_record(HANDSHAKE, bytes + i, 1);
    ck_assert_int_eq(fdial_recv(FAKE_FD, &c, 1, 0), -EPROTO);
    ck_assert_uint_eq(fake_fd.next, FLOOD_LIMIT + 1);
}
END_TEST

/* Calls until there is something else than EAGAIN, and each time once more than is needed. */
static ssize_t receive_polled(unsigned *n_calls)
{
    char buf[100];
    ssize_t r;

    while ((r = fdial_recv(FAKE_FD, buf, sizeof buf, 0)) == -EAGAIN) {
        (*n_calls)++;
        ck_assert_int_eq(fdial_recv(FAKE_FD, buf, sizeof buf, 0), -EAGAIN);
        fake_fd_wait();
    }
    return r;
}

/* A peer that keeps a caller busy: in one call or over many, but not too fast and not too slow. */
START_TEST(test_drips)
{
    const struct part *drip = &drips[_i / 2];
    unsigned n_calls;

    for (unsigned n = FLOOD_LIMIT; n <= FLOOD_LIMIT + 1; n++) {
        fake_fd_reset(TLS_1_3);
        fake_fd.is_blocking = _i & 1;
        fake_fd.cookie = n;
        add_drips(drip, n, 9999);
        fake_fd_add_record(DATA, "x", 1);
        n_calls = 0;
        ck_assert_int_eq(receive_polled(&n_calls), n == FLOOD_LIMIT ? 1 : -EPROTO);
        ck_assert_uint_eq(n_calls, fake_fd.is_blocking ? 0 : FLOOD_LIMIT + 1);
    }
    fake_fd_reset(TLS_1_3);
    fake_fd.is_blocking = _i & 1;
    add_drips(drip, 3 * FLOOD_LIMIT, 10000);
    fake_fd_add_record(DATA, "x", 1);
    ck_assert_int_eq(receive_polled(&n_calls), 1);
}
END_TEST

static void *receive_and_tell(void *ret)
{
    unsigned n_calls = 0;

    *(ssize_t *)ret = receive_polled(&n_calls);
    return NULL;
}

static ssize_t receive_in_a_thread(void)
{
    pthread_t thread;
    ssize_t r = 0;

    ck_assert_int_eq(pthread_create(&thread, NULL, receive_and_tell, &r), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    return r;
}

/* Data ends a row, whichever thread it was told to. */
START_TEST(test_drips_and_data)
{
    fake_fd_reset(TLS_1_3);
    for (unsigned i = 0; i < 3; i++) {
        add_drips(&drips[_i], FLOOD_LIMIT, 1);
        fake_fd_add_record(DATA, "x", 1);
    }
    add_drips(&drips[_i], FLOOD_LIMIT + 1, 1);
    for (unsigned i = 0; i < 3; i++)
        ck_assert_int_eq(receive_in_a_thread(), 1);
    ck_assert_int_eq(receive_in_a_thread(), -EPROTO);
}
END_TEST

/* One that many threads take turns in is one row. */
START_TEST(test_drips_to_threads)
{
    char c;

    fake_fd_reset(TLS_1_3);
    add_drips(&drips[_i], FLOOD_LIMIT + 1, 1);
    for (unsigned i = 0; i < FLOOD_LIMIT; i++) {
        fake_fd_wait();
        ck_assert_int_eq(fdial_recv(FAKE_FD, &c, 1, 0), -EAGAIN);
    }
    ck_assert_int_eq(receive_in_a_thread(), -EPROTO);
}
END_TEST

/* … and a signal does not. */
START_TEST(test_drips_and_signals)
{
    unsigned n_calls = 0;
    char c;

    fake_fd_reset(TLS_1_3);
    fake_fd.is_blocking = true;
    for (unsigned i = 0; i <= FLOOD_LIMIT; i++) {
        fake_fd_add_record(drips[_i].type, drips[_i].bytes, drips[_i].n);
        fake_fd_add((struct fake_event){.kind = FAKE_SIGNAL});
    }
    while (fdial_recv(FAKE_FD, &c, 1, 0) == -EINTR)
        n_calls++;
    ck_assert_uint_eq(n_calls, FLOOD_LIMIT);
}
END_TEST

/* What one connection has counted is not the next one's, which may have its number. */
START_TEST(test_drips_of_another)
{
    unsigned n_calls = 0;

    for (unsigned i = 1; i < 5; i++) {
        fake_fd_reset(TLS_1_3);
        fake_fd.cookie = i;
        add_drips(&drips[0], FLOOD_LIMIT, 1);
        ck_assert_int_eq(receive_polled(&n_calls), -ECONNABORTED);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("client-ktls-flood");
    TCase *tcase = tcase_create("client-ktls-flood");

    tcase_add_loop_test(tcase, test_flood, 0, 3);
    tcase_add_loop_test(tcase, test_flood_behind_a_drip, 0, 2);
    tcase_add_loop_test(tcase, test_flood_of_empty_records, 0, 2);
    tcase_add_test(tcase, test_flood_inside_message);
    tcase_add_loop_test(tcase, test_drips, 0, 6);
    tcase_add_loop_test(tcase, test_drips_and_data, 0, 3);
    tcase_add_loop_test(tcase, test_drips_to_threads, 0, 3);
    tcase_add_loop_test(tcase, test_drips_and_signals, 0, 3);
    tcase_add_test(tcase, test_drips_of_another);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
