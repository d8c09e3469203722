/* A client in words. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/front/identity.h"
#include "proto/cleanup.h"
#include "tests/lib/suite.h"

static char *repeat(const char *text, size_t n)
{
    char *all = calloc(n, strlen(text) + 1);

    ck_assert_ptr_nonnull(all);
    for (size_t i = 0; i < n; i++)
        strcat(all, text);
    return all;
}

START_TEST(test_format)
{
    gid_t groups[IDENTITY_TEXT_GROUPS + 1] = {27, 100, 0, 4294967295};
    CLEANUP(freep) char *deep = repeat("/0123456", 500);
    char unit[] = "a\\x2db@1.service", cgroup[] = "/a.slice/a\\x2db@1.service";
    char odd[] = "/a\x01\n\x7f\xc3\xa4", text[IDENTITY_TEXT_MAX + 1];
    struct identity identity = {.uid = 1001, .gid = 7};

    identity_format(&identity, text);
    ck_assert_str_eq(text, "uid 1001 gid 7");

    identity.groups = groups;
    identity.n_groups = 4;
    identity.unit = unit;
    identity.cgroup = cgroup;
    identity.listener = "agents";
    identity_format(&identity, text);
    ck_assert_str_eq(text,
                     "uid 1001 gid 7 groups 27,100,0,4294967295 unit a\\x2db@1.service socket "
                     "agents cgroup /a.slice/a\\x2db@1.service");

    identity = (struct identity){.groups = groups, .n_groups = IDENTITY_TEXT_GROUPS};
    identity_format(&identity, text);
    ck_assert_str_eq(text, "uid 0 gid 0 groups 27,100,0,4294967295,0,0,0,0,0,0,0,0,0,0,0,0");
    identity.n_groups++;
    identity.cgroup = odd;
    identity_format(&identity, text);
    ck_assert_str_eq(text,
                     "uid 0 gid 0 groups 27,100,0,4294967295,0,0,0,0,0,0,0,0,0,0,0,0,... cgroup "
                     "/a?????");

    identity = (struct identity){.cgroup = deep};
    identity_format(&identity, text);
    ck_assert_uint_eq(strlen(text), IDENTITY_TEXT_MAX);
    ck_assert_int_eq(strncmp(text, "uid 0 gid 0 cgroup /0123456/0123456/", 36), 0);
    ck_assert_str_eq(text + IDENTITY_TEXT_MAX - 3, "...");
    /* To the last byte. */
    deep[IDENTITY_TEXT_MAX - strlen("uid 0 gid 0 cgroup ")] = '\0';
    identity_format(&identity, text);
    ck_assert_uint_eq(strlen(text), IDENTITY_TEXT_MAX);
    ck_assert_str_ne(text + IDENTITY_TEXT_MAX - 3, "...");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("identity");
    TCase *tcase = tcase_create("identity");

    tcase_add_test(tcase, test_format);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
