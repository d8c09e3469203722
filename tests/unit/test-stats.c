/* Counters by rule: they stay with a name, and go into the sum when it leaves. */
#include <check.h>
#include <pthread.h>
#include <string.h>

#include "daemon/base/stats.h"
#include "tests/lib/suite.h"

static struct stats_table *table;

/* The sum; *ret_n is how many names there are. */
static struct stats total(size_t *ret_n)
{
    struct stats **list, sum;
    ssize_t n = stats_table_list(table, &list, &sum);

    ck_assert_int_ge(n, 0);
    stats_list_free(list, (size_t)n);
    *ret_n = (size_t)n;
    return sum;
}

START_TEST(test_names)
{
    struct stats *a, *again, *b, sum;
    size_t n;

    ck_assert_int_eq(stats_table_new(&table), 0);
    a = stats_get(table, "a");
    b = stats_get(table, "b");
    again = stats_get(table, "a");
    ck_assert_ptr_eq(a, again);
    ck_assert_ptr_ne(a, b);
    stats_add(a, STAT_ALLOWED, 3);
    stats_add(b, STAT_ALLOWED, 4);
    stats_add_failure(b, STAGE_TLS, ERROR_DEADLINE);
    stats_put(a);
    ck_assert_uint_eq(stats_value(again, STAT_ALLOWED), 3);

    /* Gone, and back: from 0, while the sum stays. */
    stats_put(again);
    sum = total(&n);
    ck_assert_uint_eq(n, 1);
    ck_assert_uint_eq(stats_value(&sum, STAT_ALLOWED), 7);
    a = stats_get(table, "a");
    ck_assert_uint_eq(stats_value(a, STAT_ALLOWED), 0);
    stats_put(a);
    stats_put(b);
    sum = total(&n);
    ck_assert_uint_eq(n, 0);
    ck_assert_uint_eq(stats_value(&sum, STAT_ALLOWED), 7);
    stats_table_free(table);
}
END_TEST

START_TEST(test_failures)
{
    struct stats *a;

    ck_assert_int_eq(stats_table_new(&table), 0);
    a = stats_get(table, "");
#define X(name, number, usual, error, text)                                                        \
    for (enum stage stage = 1; stage <= STATS_STAGES; stage++) {                                   \
        stats_add_failure(a, stage, ERROR_##name);                                                 \
        ck_assert_uint_eq(stats_failed(a, stage, STATS_INDEX_##name), 1);                          \
    }                                                                                              \
    ck_assert_uint_eq(stats_code(STATS_INDEX_##name), number);
    ERROR_LIST(X)
#undef X
#define X(name, number, text)                                                                      \
    ck_assert_str_eq(stats_key_name(stats_of_relay_end(RELAY_END_##name)), "relays_" text);
    RELAY_END_LIST(X)
#undef X
    stats_put(a);
    stats_table_free(table);
}
END_TEST

#define ROUNDS 20000

static void *come_and_go(void *name)
{
    for (int i = 0; i < ROUNDS; i++) {
        struct stats *stats = stats_get(table, name);

        stats_add(stats, STAT_DENIED, 1);
        stats_put(stats);
    }
    return NULL;
}

/* Last references are put while the name is asked for: nothing is lost, nothing used after it is
 * freed (which a sanitizer would say). */
START_TEST(test_threads)
{
    const char *const names[] = {"a", "a", "b", "a"};
    pthread_t threads[4];
    struct stats sum;
    size_t n;

    ck_assert_int_eq(stats_table_new(&table), 0);
    for (size_t i = 0; i < 4; i++)
        ck_assert_int_eq(
            pthread_create(&threads[i], NULL, come_and_go, (void *)(uintptr_t)names[i]), 0);
    for (size_t i = 0; i < 100; i++)
        sum = total(&n);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    sum = total(&n);
    ck_assert_uint_eq(n, 0);
    ck_assert_uint_eq(stats_value(&sum, STAT_DENIED), 4 * ROUNDS);
    stats_table_free(table);
}
END_TEST

/* For times of all lengths, so that each moment of a listing sees one go. */
static void *hold(void *name)
{
    for (int i = 0; i < ROUNDS; i++) {
        struct stats *stats = stats_get(table, name);

        stats_add(stats, STAT_DENIED, 1);
        for (volatile int spin = 0; spin < i % 2000 * 10; spin++)
            ;
        stats_put(stats);
    }
    return NULL;
}

/* What is about to be freed, and waits for the list to be read, counts in the sum. */
START_TEST(test_sum_never_falls)
{
    uint64_t before = 0, now;
    pthread_t thread;
    struct stats sum;
    size_t n;

    ck_assert_int_eq(stats_table_new(&table), 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, hold, (void *)(uintptr_t) "a"), 0);
    while (before < ROUNDS) {
        sum = total(&n);
        now = stats_value(&sum, STAT_DENIED);
        ck_assert_uint_ge(now, before);
        before = now;
    }
    pthread_join(thread, NULL);
    stats_table_free(table);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stats");
    TCase *tcase = tcase_create("stats");

    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, test_names);
    tcase_add_test(tcase, test_failures);
    tcase_add_test(tcase, test_threads);
    tcase_add_test(tcase, test_sum_never_falls);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
