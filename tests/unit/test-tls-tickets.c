/* The cache of sessions by itself: one use of each, order, expiry, bounds, who makes room for whom,
 * and threads. */
#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/tls/tickets.h"
#include "tests/lib/suite.h"

#define NOW   INT64_C(1000)
#define UNTIL INT64_C(2000)

static struct tls_tickets tickets;

static void set_up(void)
{
    tls_tickets_init(&tickets);
}

static void tear_down(void)
{
    tls_tickets_deinit(&tickets);
}

static const uint8_t *key(unsigned number)
{
    static _Thread_local uint8_t id[TLS_TICKETS_KEY_SIZE];

    memcpy(id, &number, sizeof number);
    return id;
}

/* The session's time tells which one it is. */
static void add_sized(unsigned number, long mark, size_t size, int64_t until_s)
{
    SSL_SESSION *session = SSL_SESSION_new();

    SSL_SESSION_set_time(session, mark);
    tls_tickets_add_consume(&tickets, key(number), session, size, until_s, NOW);
}

static void add(unsigned number, long mark)
{
    add_sized(number, mark, 1, UNTIL);
}

/* 0: none. */
static long take_at(unsigned number, int64_t now_s)
{
    int64_t until_s = 0;
    SSL_SESSION *session = tls_tickets_take(&tickets, key(number), 0, now_s, &until_s);
    long mark = session ? SSL_SESSION_get_time(session) : 0;

    ck_assert(!session || until_s > now_s);
    SSL_SESSION_free(session);
    return mark;
}

static long take(unsigned number)
{
    return take_at(number, NOW);
}

static size_t count(unsigned number)
{
    size_t n = 0;

    while (take(number) != 0)
        n++;
    return n;
}

START_TEST(each_is_taken_once_the_newest_first)
{
    add(1, 11);
    add(1, 12);
    add(2, 21);
    ck_assert_int_eq(take(1), 12);
    ck_assert_int_eq(take(1), 11);
    ck_assert_int_eq(take(1), 0);
    ck_assert_int_eq(take(3), 0);
    ck_assert_int_eq(take(2), 21);
    ck_assert_uint_eq(tickets.n, 0);
    ck_assert_uint_eq(tickets.bytes, 0);
}
END_TEST

START_TEST(expired_ones_are_not_given)
{
    add_sized(1, 11, 1, NOW + 50);
    add_sized(1, 12, 1, NOW + 10);
    ck_assert_int_eq(take_at(1, NOW + 10), 11);
    ck_assert_uint_eq(tickets.n, 0);
    add_sized(1, 13, 1, NOW + 10);
    ck_assert_int_eq(take_at(1, NOW + 9), 13);
    add_sized(1, 14, 1, NOW);
    ck_assert_uint_eq(tickets.n, 0);
}
END_TEST

/* Those that nobody asks for any more do not stay until there is no room. */
START_TEST(expired_ones_leave_by_themselves)
{
    for (unsigned i = 0; i < 100; i++)
        add_sized(i, 1, 1, NOW + 10);
    for (unsigned i = 0; i < 100; i++) {
        SSL_SESSION *session = SSL_SESSION_new();

        tls_tickets_add_consume(&tickets, key(1000), session, 1, UNTIL, NOW + 10);
    }
    ck_assert_uint_eq(tickets.n, TLS_TICKETS_KEY_MAX);
}
END_TEST

START_TEST(a_key_is_bounded)
{
    add(2, 21);
    for (long i = 1; i <= 3 * TLS_TICKETS_KEY_MAX; i++)
        add(1, i);
    ck_assert_uint_eq(tickets.n, TLS_TICKETS_KEY_MAX + 1);
    ck_assert_int_eq(take(1), 3 * TLS_TICKETS_KEY_MAX);
    ck_assert_uint_eq(count(1), TLS_TICKETS_KEY_MAX - 1);

    add_sized(1, 11, TLS_TICKETS_KEY_BYTES_MAX / 2, UNTIL);
    add_sized(1, 12, TLS_TICKETS_KEY_BYTES_MAX / 2, UNTIL);
    add_sized(1, 13, TLS_TICKETS_KEY_BYTES_MAX / 2, UNTIL);
    ck_assert_uint_eq(count(1), 2);
    add_sized(1, 14, TLS_TICKETS_KEY_BYTES_MAX + 1, UNTIL);
    ck_assert_uint_eq(count(1), 0);
    ck_assert_int_eq(take(2), 21);
}
END_TEST

/* Keys 1 … n with one each, of a size that fills the cache. */
static unsigned fill(void)
{
    const size_t size = TLS_TICKETS_BYTES_MAX / 64;

    for (unsigned i = 1; i <= 64; i++)
        add_sized(i, i, size, UNTIL);
    ck_assert_uint_eq(tickets.bytes, TLS_TICKETS_BYTES_MAX);
    return 64;
}

START_TEST(the_key_not_used_for_longest_goes)
{
    unsigned n = fill();

    ck_assert_int_eq(take(1), 1); /* used, and gives room for one */
    add_sized(1, 1, TLS_TICKETS_BYTES_MAX / 64, UNTIL);
    add(n + 1, n + 1);
    ck_assert_int_eq(take(2), 0);
    ck_assert_int_eq(take(1), 1);
    for (unsigned i = 3; i <= n + 1; i++)
        ck_assert_int_eq(take(i), i);
}
END_TEST

/* Whoever has some already makes room by himself. */
START_TEST(a_flood_drives_out_nothing_of_others)
{
    unsigned n = fill();

    for (long i = 0; i < 1000; i++)
        add_sized(5, 1000 + i, TLS_TICKETS_BYTES_MAX / 64, UNTIL);
    ck_assert_int_eq(take(5), 1999);
    ck_assert_int_eq(take(5), 0);
    for (unsigned i = 1; i <= n; i++)
        ck_assert_int_eq(take(i), i == 5 ? 0 : i);
}
END_TEST

START_TEST(the_number_is_bounded)
{
    for (unsigned i = 0; i < TLS_TICKETS_MAX + 100; i++)
        add(i, 1);
    ck_assert_uint_eq(tickets.n, TLS_TICKETS_MAX);
    for (unsigned i = 0; i < TLS_TICKETS_MAX + 100; i++)
        ck_assert_int_eq(take(i), i < 100 ? 0 : 1);
}
END_TEST

START_TEST(a_key_is_forgotten_or_all)
{
    add(1, 11);
    add(1, 12);
    add(2, 21);
    tls_tickets_forget(&tickets, key(1));
    tls_tickets_forget(&tickets, key(3));
    ck_assert_int_eq(take(1), 0);
    ck_assert_int_eq(take(2), 21);
    add(2, 22);
    tls_tickets_close(&tickets);
    ck_assert_int_eq(take(2), 0);
    add(2, 23);
    ck_assert_int_eq(take(2), 0);
    ck_assert_uint_eq(tickets.n, 0);
}
END_TEST

#define THREADS 4
#define TURNS   20000

static void *stress(void *arg)
{
    unsigned seed = (unsigned)(uintptr_t)arg;

    for (unsigned i = 0; i < TURNS; i++) {
        unsigned number = (unsigned)rand_r(&seed) % 100;

        switch (rand_r(&seed) % 8) {
        case 0:
            tls_tickets_forget(&tickets, key(number));
            break;
        case 1:
        case 2:
        case 3:
            take(number);
            break;
        default:
            add_sized(number, 1, (size_t)rand_r(&seed) % TLS_TICKETS_KEY_BYTES_MAX, UNTIL);
        }
    }
    return NULL;
}

START_TEST(threads_share_it)
{
    pthread_t threads[THREADS];
    size_t n = 0;

    for (uintptr_t i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, stress, (void *)(i + 1)), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_uint_le(tickets.bytes, TLS_TICKETS_BYTES_MAX);
    for (unsigned i = 0; i < 100; i++)
        n += count(i);
    ck_assert_uint_gt(n, 0);
    ck_assert_uint_eq(tickets.n, 0);
    ck_assert_uint_eq(tickets.bytes, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tls-tickets");
    TCase *tcase = tcase_create("all");

    tcase_set_timeout(tcase, 120);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, each_is_taken_once_the_newest_first);
    tcase_add_test(tcase, expired_ones_are_not_given);
    tcase_add_test(tcase, expired_ones_leave_by_themselves);
    tcase_add_test(tcase, a_key_is_bounded);
    tcase_add_test(tcase, the_key_not_used_for_longest_goes);
    tcase_add_test(tcase, a_flood_drives_out_nothing_of_others);
    tcase_add_test(tcase, the_number_is_bounded);
    tcase_add_test(tcase, a_key_is_forgotten_or_all);
    tcase_add_test(tcase, threads_share_it);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
