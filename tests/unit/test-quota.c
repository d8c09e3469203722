/* Accounts and charges: what is counted where, that nothing is over a maximum also with threads,
 * and what a bucket gives out over time. */
#include <check.h>
#include <pthread.h>

#include "daemon/base/clock.h"
#include "daemon/base/quota.h"
#include "proto/cleanup.h"
#include "tests/lib/suite.h"

#define THREADS  4
#define ROUNDS   20000
#define THREADED 5 /* maximum, not a multiple of what is charged */

static struct quota_table *table;

static void set_up(void)
{
    ck_assert_int_eq(quota_table_new(&table), 0);
}

static void tear_down(void)
{
    ck_assert_uint_eq(quota_table_count(table), 0);
    quota_table_free(table);
}

START_TEST(test_charges)
{
    struct charge a = {.quota = quota_get(table, 1, "r")}, b = {.quota = quota_get(table, 1, "r")};
    struct charge other = {.quota = quota_get(table, 2, "r")};
    struct charge other_rule = {.quota = quota_get(table, 1, "s")};
    struct charge moved = {0};

    ck_assert_ptr_eq(a.quota, b.quota);
    ck_assert_ptr_ne(a.quota, other.quota);
    ck_assert_ptr_ne(a.quota, other_rule.quota);
    ck_assert_uint_eq(quota_table_count(table), 3);
    ck_assert(charge_add(&a, QUOTA_PENDING, 3, 5));
    ck_assert(!charge_add(&b, QUOTA_PENDING, 3, 5));
    ck_assert(charge_add(&b, QUOTA_PENDING, 2, 5));
    ck_assert(charge_add(&b, QUOTA_RELAYS, 5, 5));
    ck_assert(charge_add(&other, QUOTA_PENDING, 5, 5));
    ck_assert(charge_add(&other_rule, QUOTA_PENDING, 5, 5));
    ck_assert(!charge_add(&b, QUOTA_PENDING, UINT32_MAX, 5));
    ck_assert(!charge_add(&b, QUOTA_PENDING, 1, 2)); /* a lower maximum, after a reload */

    charge_move(&b, &moved, QUOTA_RELAYS, 2);
    charge_deinit(&b);
    ck_assert(!charge_add(&a, QUOTA_RELAYS, 4, 5));
    ck_assert(charge_add(&a, QUOTA_RELAYS, 3, 5));
    charge_sub(&a, QUOTA_RELAYS, 1);
    ck_assert(charge_add(&a, QUOTA_RELAYS, 1, 5));
    b = charge_take(&moved);
    ck_assert_ptr_null(moved.quota);
    charge_deinit(&moved);
    charge_deinit(&a);
    ck_assert(!charge_add(&b, QUOTA_RELAYS, 4, 5));
    charge_deinit(&b);
    charge_deinit(&b);
    charge_deinit(&other);
    charge_deinit(&other_rule);
}
END_TEST

static void *charge_often(void *data)
{
    unsigned *n_failed = data;

    for (unsigned i = 0; i < ROUNDS; i++) {
        CLEANUP(charge_deinit) struct charge charge = {.quota = quota_get(table, 1, "r")};

        if (!charge_add(&charge, QUOTA_PENDING, 2, THREADED))
            (*n_failed)++;
        ck_assert(charge_add(&charge, QUOTA_RELAYS, 1, THREADS));
    }
    return NULL;
}

START_TEST(test_threads)
{
    pthread_t threads[THREADS];
    unsigned n_failed[THREADS] = {0}, n_failed_of_all = 0;

    for (size_t i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, charge_often, &n_failed[i]), 0);
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        n_failed_of_all += n_failed[i];
    }
    ck_assert_uint_lt(n_failed_of_all, THREADS * ROUNDS);
}
END_TEST

#define WAIT(s) ((s)*US_PER_S)

/* At a time, n tokens of a rate; how long to wait, 0: taken. One account for all lines of a case.
 */
static const struct rate_case {
    struct quota_rate rate;
    struct {
        uint64_t at_us;
        unsigned n;
        uint64_t wait_us;
    } lines[8];
} rate_cases[] = {
    {{0, 1}, {{0, 64, 0}, {0, 64, 0}, {0, 64, 0}}},
    /* a second's worth at once, then one each tenth of a second */
    {{10, 1},
     {{0, 10, 0},
      {0, 1, WAIT(1) / 10},
      {WAIT(1) / 20, 1, WAIT(1) / 20},
      {WAIT(1) / 10, 1, 0},
      {WAIT(1) / 10, 1, WAIT(1) / 10},
      {WAIT(9), 10, 0},
      {WAIT(9), 5, WAIT(1) / 2}}},
    /* more than the bucket holds: when it is full, and then they have to be made up for */
    {{10, 1}, {{0, 64, 0}, {WAIT(5), 1, WAIT(5) / 10}, {WAIT(5) + WAIT(5) / 10, 1, 0}}},
    {{10, 1}, {{0, 1, 0}, {0, 64, WAIT(1) / 10}, {WAIT(1) / 10, 64, 0}}},
    {{30, 60}, {{0, 1, 0}, {0, 1, WAIT(2)}, {WAIT(2) - 1, 1, 1}, {WAIT(2), 1, 0}}},
    {{1, 3600}, {{0, 64, 0}, {0, 1, 64 * WAIT(3600)}}},
    {{1000000, 1}, {{0, 64, 0}, {0, 64, 0}, {0, 64, 0}}},
};

START_TEST(test_rate)
{
    const struct rate_case *c = &rate_cases[_i];
    uint64_t begin_us = clock_now_us();
    struct quota *quota = quota_get(table, 1, "r");

    for (size_t i = 0; i < ARRAY_SIZE(c->lines) && c->lines[i].n > 0; i++) {
        uint64_t wait_us = quota_take(quota, &c->rate, c->lines[i].n, begin_us + c->lines[i].at_us);

        /* rounded up, so that a client that waits so long is served */
        ck_assert_msg(wait_us == c->lines[i].wait_us || wait_us == c->lines[i].wait_us + 1,
                      "line %zu: %llu us", i, (unsigned long long)wait_us);
        ck_assert_int_eq(wait_us == 0, c->lines[i].wait_us == 0);
    }
    quota_put(quota);
}
END_TEST

START_TEST(test_rate_of_who_comes_back)
{
    const struct quota_rate rate = {1, 3600};
    struct quota *quota = quota_get(table, 1, "r");

    ck_assert_uint_eq(quota_take(quota, &rate, 1, clock_now_us()), 0);
    quota_put(quota);
    ck_assert_uint_eq(quota_table_count(table), 0);
    quota = quota_get(table, 1, "r");
    ck_assert_uint_eq(quota_table_count(table), 1);
    ck_assert_uint_gt(quota_take(quota, &rate, 1, clock_now_us()), 0);
    quota_put(quota);
}
END_TEST

START_TEST(test_rate_is_raised)
{
    const struct quota_rate low = {1, 3600}, high = {100, 1};
    struct quota *quota = quota_get(table, 1, "r");
    uint64_t now_us = clock_now_us();

    ck_assert_uint_eq(quota_take(quota, &low, 64, now_us), 0);
    ck_assert_uint_lt(quota_take(quota, &high, 1, now_us), WAIT(1));
    quota_put(quota);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("quota");
    TCase *tcase = tcase_create("quota");

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, test_charges);
    tcase_add_test(tcase, test_threads);
    tcase_add_loop_test(tcase, test_rate, 0, ARRAY_SIZE(rate_cases));
    tcase_add_test(tcase, test_rate_of_who_comes_back);
    tcase_add_test(tcase, test_rate_is_raised);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
