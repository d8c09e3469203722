/* The cache: expiry to the microsecond, replacement, the least recently used goes first. */
#include "daemon/resolve/cache.h"
#include "tests/lib/suite.h"

#include <arpa/inet.h>
#include <check.h>
#include <stdlib.h>
#include <stdio.h>

static struct cache *cache;

static void set_up(void)
{
    ck_assert_int_eq(cache_new(&cache, 3), 0);
}

static void tear_down(void)
{
    cache = cache_free(cache);
    ck_assert_ptr_null(cache);
}

static struct answer answer_of(size_t n)
{
    struct answer answer = {.code = ERROR_NONE, .addresses.n = n};

    for (size_t i = 0; i < n; i++)
        answer.addresses.items[i] =
            (struct address){.family = AF_INET, .ipv4.s_addr = htonl((uint32_t)(0x0a000000 + i))};
    return answer;
}

START_TEST(test_kept_and_expired)
{
    struct answer answer = answer_of(RESOLVE_ADDRESSES_MAX), got;

    cache_put(cache, "a.example", &answer, 1000);
    ck_assert(!cache_get(cache, "b.example", 0, &got));
    ck_assert(!cache_get(cache, "a.exampl", 0, &got));
    ck_assert(cache_get(cache, "a.example", 999, &got));
    ck_assert_int_eq(got.code, ERROR_NONE);
    ck_assert_uint_eq(got.addresses.n, RESOLVE_ADDRESSES_MAX);
    for (size_t i = 0; i < got.addresses.n; i++)
        ck_assert_uint_eq(ntohl(got.addresses.items[i].ipv4.s_addr), 0x0a000000 + i);
    ck_assert_uint_eq(cache_count(cache), 1);
    ck_assert(!cache_get(cache, "a.example", 1000, &got));
    ck_assert_uint_eq(cache_count(cache), 0);
}
END_TEST

START_TEST(test_replaced)
{
    struct answer first = answer_of(2), second = {.code = ERROR_NO_NAME, .reason = "x"}, got;

    cache_put(cache, "a.example", &first, 1000);
    cache_put(cache, "a.example", &second, 2000);
    ck_assert_uint_eq(cache_count(cache), 1);
    ck_assert(cache_get(cache, "a.example", 1500, &got));
    ck_assert_int_eq(got.code, ERROR_NO_NAME);
    ck_assert_str_eq(got.reason, "x");
    ck_assert_uint_eq(got.addresses.n, 0);
}
END_TEST

START_TEST(test_least_recently_used_goes)
{
    struct answer answer = answer_of(1), got;

    cache_put(cache, "a", &answer, 1000);
    cache_put(cache, "b", &answer, 1000);
    cache_put(cache, "c", &answer, 1000);
    ck_assert(cache_get(cache, "a", 0, &got)); /* now b is the oldest */
    cache_put(cache, "d", &answer, 1000);
    ck_assert_uint_eq(cache_count(cache), 3);
    ck_assert(!cache_get(cache, "b", 0, &got));
    ck_assert(cache_get(cache, "a", 0, &got));
    ck_assert(cache_get(cache, "c", 0, &got));
    ck_assert(cache_get(cache, "d", 0, &got));
}
END_TEST

START_TEST(test_bounded)
{
    struct answer answer = answer_of(1), got;
    char name[32];

    for (unsigned i = 0; i < 10000; i++) {
        snprintf(name, sizeof name, "n%u", i);
        cache_put(cache, name, &answer, 1000);
        ck_assert_uint_le(cache_count(cache), 3);
    }
    ck_assert(cache_get(cache, "n9999", 0, &got));
    ck_assert(!cache_get(cache, "n9996", 0, &got));
    cache_clear(cache);
    ck_assert_uint_eq(cache_count(cache), 0);
    ck_assert(!cache_get(cache, "n9999", 0, &got));
    cache_put(cache, "again", &answer, 1000);
    ck_assert(cache_get(cache, "again", 0, &got));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cache");
    TCase *tcase = tcase_create("cache");

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, test_kept_and_expired);
    tcase_add_test(tcase, test_replaced);
    tcase_add_test(tcase, test_least_recently_used_goes);
    tcase_add_test(tcase, test_bounded);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
