/* Hostile text in logs and errors: a table of what comes out, also where the room is short. */
#include <check.h>
#include <string.h>

#include "daemon/base/escape.h"
#include "daemon/base/failure.h"
#include "proto/cleanup.h"
#include "tests/lib/suite.h"

static const struct sample {
    const char *from;
    size_t n;
    size_t size;
    const char *to;
} samples[] = {
    {"", 0, 16, ""},
    {"plain text", 10, 16, "plain text"},
    {"a\nb", 3, 16, "a\\x0ab"},
    {"\\x0a", 4, 16, "\\x5cx0a"},
    {"\x1b[2J", 4, 16, "\\x1b[2J"},
    {"\0\x7f\xff", 3, 16, "\\x00\\x7f\\xff"},
    {"abcd", 4, 4, "abc"},
    {"ab\ncd", 5, 6, "ab"},
    {"ab\ncd", 5, 7, "ab\\x0a"},
    {"abc", 3, 1, ""},
};

START_TEST(test_escape)
{
    const struct sample *s = &samples[_i];
    char to[16];

    memset(to, '!', sizeof to);
    escape(to, s->size, s->from, s->n);
    ck_assert_str_eq(to, s->to);
    for (size_t i = s->size; i < sizeof to; i++)
        ck_assert_int_eq(to[i], '!');
}
END_TEST

START_TEST(test_failure_detail)
{
    struct failure failure;
    char hostile[2 * FAILURE_DETAIL_MAX];

    memset(hostile, '\r', sizeof hostile);
    hostile[sizeof hostile - 1] = '\0';
    failure_format(&failure, ERROR_TLS_ALERT, 0, "%s", hostile);
    ck_assert_int_eq(failure.stage, STAGE_TLS);
    ck_assert_uint_eq(strlen(failure.detail), FAILURE_DETAIL_MAX / 4 * 4);
    ck_assert_ptr_null(strchr(failure.detail, '\r'));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("escape");
    TCase *tcase = tcase_create("escape");

    tcase_add_loop_test(tcase, test_escape, 0, ARRAY_SIZE(samples));
    tcase_add_test(tcase, test_failure_detail);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
