/* Narrowing: what levels of patterns cover, what they refuse, and that all they charge is given
 * back. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/policy/narrowing.h"
#include "proto/cleanup.h"
#include "tests/lib/suite.h"

static struct quota_table *table;
static struct quota *quota;
static struct failure failure;

static void set_up(void)
{
    ck_assert_int_eq(quota_table_new(&table), 0);
    quota = quota_get(table, 1001, "");
    ck_assert_ptr_nonnull(quota);
    failure = (struct failure){0};
}

/* Asserts that nothing is charged, and nobody holds the account. */
static void tear_down(void)
{
    quota_put(quota);
    quota_table_free(table);
}

static bool make(struct narrowing **ret, struct narrowing *parent, const char *first,
                 const char *second)
{
    struct message_grant m = {.patterns = {text_of(first), text_of(second)},
                              .n_patterns = second ? 2 : 1};

    return narrowing_new(ret, parent, quota, &m, &failure);
}

static bool covers(const struct narrowing *n, const char *text, const char *tls_name)
{
    struct target target;
    const char *error;

    ck_assert_int_eq(target_parse(text, strlen(text), &target, &error), 0);
    failure = (struct failure){0};
    return narrowing_covers(n, &target, tls_name, &failure);
}

static const struct {
    const char *target;
    const char *tls_name;
    bool by_first, by_second;
} rows[] = {
    {"https://a.example.org", NULL, true, true},
    {"https://A.Example.ORG.", NULL, true, true},
    {"https://b.example.org", NULL, true, false},
    {"https://example.org", NULL, false, false},
    {"https://a.example.org:8443", NULL, false, false},
    {"http://a.example.org", NULL, false, false},
    {"tls://10.1.2.3:5432", NULL, true, true},
    {"tls://10.1.2.3:5433", NULL, true, false},
    {"tls://[::ffff:10.1.2.3]:5432", NULL, false, false}, /* to the letter */
    {"tls://other.example:5432", NULL, false, false},
    {"unix:/run/a.sock", NULL, false, false},
    {"https://a.example.org", "b.example.org", true, false},
    {"https://a.example.org", "a.example.org", true, true},
    {"https://a.example.org", "a.example.com", false, false},
    {"https://a.example.org", "not a name", false, false},
};

START_TEST(test_levels)
{
    struct narrowing *first = NULL, *second = NULL;

    ck_assert(make(&first, NULL, "https://*.example.org", "tls://10.0.0.0/8:*"));
    /* Wider than the first: that does not widen anything. */
    ck_assert(make(&second, first, "https://a.*", NULL) == false);
    ck_assert(make(&second, first, "https://a.example.org", "*://*:5432"));
    ck_assert_uint_eq(second->depth, 2);
    narrowing_unref(first); /* `second` keeps it */
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        ck_assert_msg(covers(first, rows[i].target, rows[i].tls_name) == rows[i].by_first,
                      "%s by the first", rows[i].target);
        ck_assert_msg(covers(second, rows[i].target, rows[i].tls_name) == rows[i].by_second,
                      "%s by the second", rows[i].target);
        ck_assert_int_eq(failure.code, rows[i].by_second ? ERROR_NONE : ERROR_DENIED);
    }
    ck_assert(covers(NULL, "unix:/run/a.sock", NULL));
    narrowing_unref(second);
}
END_TEST

START_TEST(test_unix_paths_are_a_permission_of_their_own)
{
    struct narrowing *n = NULL;

    ck_assert(make(&n, NULL, "*://*:*", "unix:/run/a.sock"));
    ck_assert(covers(n, "unix:/run/a.sock", NULL));
    ck_assert(!covers(n, "unix:/run/b.sock", NULL));
    narrowing_unref(n);
}
END_TEST

START_TEST(test_a_bad_pattern_is_named)
{
    struct narrowing *n = NULL;

    ck_assert(!make(&n, NULL, "https://good.example", "bad\x1b.example"));
    ck_assert_int_eq(failure.code, ERROR_BAD_OPTION);
    ck_assert_ptr_nonnull(strstr(failure.detail, "bad\\x1b.example: "));
    ck_assert_ptr_null(n);
}
END_TEST

START_TEST(test_depth)
{
    struct narrowing *n = NULL, *next = NULL;

    ck_assert(make(&n, NULL, "*://*:*", NULL));
    for (unsigned depth = 2; depth <= NARROWING_DEPTH_MAX; depth++) {
        ck_assert(make(&next, n, "*://*:*", NULL));
        narrowing_unref(n);
        n = next;
    }
    ck_assert(covers(n, "tcp://h:1", NULL));
    ck_assert(!make(&next, n, "*://*:*", NULL));
    ck_assert_int_eq(failure.code, ERROR_OVER_LIMIT);
    narrowing_unref(n);
}
END_TEST

/* The widest possible grants, until there is no more; those made from grants end at half of it. */
START_TEST(test_memory_is_charged)
{
    static struct narrowing *made[4096];
    static struct message_grant m;
    struct narrowing *first = NULL;
    size_t n = 0, n_levels = 0;

    for (; m.n_patterns < MESSAGE_PATTERNS_MAX; m.n_patterns++)
        m.patterns[m.n_patterns] = text_of("https://*.a-name-as-they-often-are.example.org");
    ck_assert(narrowing_new(&first, NULL, quota, &m, &failure));
    while (n < ARRAY_SIZE(made) && narrowing_new(&made[n], first, quota, &m, &failure))
        n++;
    ck_assert_int_eq(failure.code, ERROR_OVER_LIMIT);
    n_levels = n;
    while (n < ARRAY_SIZE(made) && narrowing_new(&made[n], NULL, quota, &m, &failure))
        n++;
    ck_assert_int_eq(failure.code, ERROR_OVER_LIMIT);
    ck_assert_uint_gt(n_levels, 10);
    ck_assert_uint_lt(n, ARRAY_SIZE(made));
    ck_assert_uint_gt(n - n_levels, n_levels / 2);
    while (n > 0)
        narrowing_unref(made[--n]);
    narrowing_unref(first);
}
END_TEST

START_TEST(test_sessions_are_counted_on_every_level)
{
    struct narrowing *first = NULL, *left = NULL, *right = NULL;

    ck_assert(make(&first, NULL, "*://*:*", NULL));
    ck_assert(make(&left, first, "*://*:*", NULL));
    ck_assert(make(&right, first, "*://*:*", NULL));
    for (unsigned i = 1; i < NARROWING_SESSIONS_MAX; i++)
        ck_assert(narrowing_add_session(left));
    ck_assert(narrowing_add_session(right));
    ck_assert(!narrowing_add_session(left));
    ck_assert(!narrowing_add_session(right));
    ck_assert(!narrowing_add_session(first));
    ck_assert_uint_eq(right->n_sessions, 1);
    narrowing_remove_session(left);
    ck_assert(narrowing_add_session(first));
    narrowing_unref(left);
    narrowing_unref(right);
    narrowing_unref(first);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("narrowing");
    TCase *tcase = tcase_create("narrowing");

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, test_levels);
    tcase_add_test(tcase, test_unix_paths_are_a_permission_of_their_own);
    tcase_add_test(tcase, test_a_bad_pattern_is_named);
    tcase_add_test(tcase, test_depth);
    tcase_add_test(tcase, test_memory_is_charged);
    tcase_add_test(tcase, test_sessions_are_counted_on_every_level);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
