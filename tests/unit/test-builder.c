/* Texts put together: growth, the limit, and that failure stays. */
#include "daemon/base/builder.h"

#include <string.h>

#include "tests/lib/suite.h"

static void check_text(const struct builder *b, const char *expected)
{
    ck_assert(!b->has_failed);
    ck_assert_uint_eq(b->n, strlen(expected));
    ck_assert_mem_eq(b->data, expected, b->n);
}

START_TEST(test_pieces)
{
    struct builder b;

    builder_init(&b, 100);
    builder_add(&b, (struct text){NULL, 0});
    ck_assert_uint_eq(b.n, 0);
    builder_add_string(&b, "one");
    builder_format(&b, ", %d", 2);
    builder_format(&b, "%s", "");
    builder_add(&b, (struct text){", three", 4});
    check_text(&b, "one, 2, th");
    builder_deinit(&b);
    builder_add_string(&b, "anew");
    check_text(&b, "anew");
    builder_deinit(&b);
}
END_TEST

START_TEST(test_growth_and_limit)
{
    struct builder b;

    builder_init(&b, 5000);
    for (unsigned i = 0; i < 500; i++)
        builder_format(&b, "%10u", i);
    ck_assert(!b.has_failed);
    ck_assert_uint_eq(b.n, 5000);
    ck_assert_mem_eq(b.data + 4990, "       499", 10);
    builder_add_string(&b, "");
    ck_assert(!b.has_failed);
    builder_add_string(&b, "x");
    ck_assert(b.has_failed);
    ck_assert_uint_eq(b.n, 5000);
    builder_deinit(&b);
    builder_add(&b, (struct text){"x", 5001});
    ck_assert(b.has_failed);
    builder_add_string(&b, "x");
    ck_assert(b.has_failed);
    ck_assert_uint_eq(b.n, 0);
    builder_deinit(&b);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("builder");
    TCase *tests = tcase_create("builder");

    tcase_add_test(tests, test_pieces);
    tcase_add_test(tests, test_growth_and_limit);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
