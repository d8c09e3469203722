/* Paths of cgroups and the units in them, as the kernel and systemd show them and as somebody who
 * may name cgroups would like to have them read. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/cgroup.h"
#include "proto/cleanup.h"
#include "tests/lib/suite.h"

/* The file, the path (NULL: unknown), the unit (NULL: none). */
static const struct {
    const char *file;
    const char *path;
    const char *unit;
} files[] = {
    /* cgroup v2 */
    {"0::/system.slice/ci-runner.service\n", "/system.slice/ci-runner.service",
     "ci-runner.service"},
    {"0::/system.slice/ci-runner.service/sub/x.service\n",
     "/system.slice/ci-runner.service/sub/x.service", "ci-runner.service"},
    {"0::/ci.slice/ci-big.slice/ci@1.service\n", "/ci.slice/ci-big.slice/ci@1.service",
     "ci@1.service"},
    {"0::/init.scope\n", "/init.scope", "init.scope"},
    {"0::/user.slice/user-1000.slice/session-3.scope\n",
     "/user.slice/user-1000.slice/session-3.scope", "session-3.scope"},
    {"0::/system.slice/dev-hugepages.mount\n", "/system.slice/dev-hugepages.mount",
     "dev-hugepages.mount"},
    {"0::/ci-runner.service\n", "/ci-runner.service", "ci-runner.service"},
    {"0::/\n", "/", NULL},
    {"0::/system.slice\n", "/system.slice", NULL},
    {"0::/no-unit\n", "/no-unit", NULL},
    /* what a user names below his own */
    {"0::/user.slice/user-1000.slice/user@1000.service/app.slice/ci-runner.service\n",
     "/user.slice/user-1000.slice/user@1000.service/app.slice/ci-runner.service",
     "user@1000.service"},
    {"0::/user.slice/user-1000.slice/user@1000.service/system.slice/ci-runner.service\n",
     "/user.slice/user-1000.slice/user@1000.service/system.slice/ci-runner.service",
     "user@1000.service"},
    {"0::/user.slice/user-1000.slice/session-3.scope/ci.slice/ci-runner.service\n",
     "/user.slice/user-1000.slice/session-3.scope/ci.slice/ci-runner.service", "session-3.scope"},
    {"0::/machine.slice/systemd-nspawn@a.service/payload/system.slice/ci-runner.service\n",
     "/machine.slice/systemd-nspawn@a.service/payload/system.slice/ci-runner.service",
     "systemd-nspawn@a.service"},
    {"0::/docker/ci.slice/ci-runner.service\n", "/docker/ci.slice/ci-runner.service", NULL},
    {"0::/x y.slice/ci-runner.service\n", "/x y.slice/ci-runner.service", NULL},
    {"0::/.slice/ci-runner.service\n", "/.slice/ci-runner.service", NULL},
    {"0::/a@.slice/ci-runner.service\n", "/a@.slice/ci-runner.service", NULL},
    /* systemd's escape */
    {"0::/system.slice/_cpu.service\n", "/system.slice/_cpu.service", "cpu.service"},
    {"0::/system.slice/__a.service\n", "/system.slice/__a.service", "_a.service"},
    {"0::/_cgroup.slice/a.service\n", "/_cgroup.slice/a.service", "a.service"},
    {"0::/system.slice/_\n", "/system.slice/_", NULL},
    {"0::/system.slice/system-a\\x2db.slice/a\\x2db@c:d.service\n",
     "/system.slice/system-a\\x2db.slice/a\\x2db@c:d.service", "a\\x2db@c:d.service"},
    /* no units */
    {"0::/system.slice/a.timer\n", "/system.slice/a.timer", NULL},
    {"0::/system.slice/a@.service\n", "/system.slice/a@.service", NULL},
    {"0::/system.slice/@a.service\n", "/system.slice/@a.service", NULL},
    {"0::/system.slice/.service\n", "/system.slice/.service", NULL},
    {"0::/system.slice/a b.service\n", "/system.slice/a b.service", NULL},
    {"0::/system.slice/\xc3\xa4.service\n", "/system.slice/\xc3\xa4.service", NULL},
    /* with colons and blanks */
    {"0::/system.slice/a:b.service\n", "/system.slice/a:b.service", "a:b.service"},
    {"0::/a b/c\n", "/a b/c", NULL},
    {"0::/system.slice/a.service:name=systemd:/x\n", "/system.slice/a.service:name=systemd:/x",
     NULL},
    /* cgroup v1, and both */
    {"2:cpu,cpuacct:/a\n1:name=systemd:/system.slice/a.service\n", "/system.slice/a.service",
     "a.service"},
    {"1:name=systemd:/system.slice/a.service\n0::/\n", "/system.slice/a.service", "a.service"},
    {"1:name=systemd:/system.slice/b.service\n0::/system.slice/a.service\n",
     "/system.slice/a.service", "a.service"},
    {"9:name=systemd:/\n4:memory:/api\n0::/\n", "/", NULL},
    {"2:cpu:/system.slice/a.service\n0::/\n", "/", NULL},
    {"2:cpu:/system.slice/a.service\n1:name=other:/system.slice/a.service\n", NULL, NULL},
    /* not to be trusted */
    {"0::/../system.slice/a.service\n", NULL, NULL},
    {"0::/..\n", NULL, NULL},
    {"0::/system.slice/../a.service\n", NULL, NULL},
    {"0::/system.slice/a.service/..\n", NULL, NULL},
    {"0::/system.slice/./a.service\n", NULL, NULL},
    {"0::/system.slice/a.service (deleted)\n", NULL, NULL},
    {"1:name=systemd:/system.slice/a.service\n0::/x (deleted)\n", NULL, NULL},
    {"1:name=systemd:/system.slice/a.service\n0::/../x\n", NULL, NULL},
    {"1:name=systemd:/../system.slice/a.service\n0::/\n", NULL, NULL},
    {"0::system.slice/a.service\n", NULL, NULL},
    {"0::\n", NULL, NULL},
    {"0::/system.slice//a.service\n", NULL, NULL},
    {"0::/system.slice/a.service/\n", NULL, NULL},
    {"0::/system.slice/a.service", NULL, NULL}, /* cut */
    {"", NULL, NULL},
    {"\n", NULL, NULL},
    {":\n::\n0:\n", NULL, NULL},
};

START_TEST(test_file)
{
    char path[CGROUP_PATH_MAX + 1] = "untouched", unit[UNIT_NAME_MAX + 1] = "untouched";
    size_t n = strlen(files[_i].file);
    /* Without a NUL behind, so that a sanitizer sees a byte too many. */
    CLEANUP(freep) char *exact = malloc(n ? n : 1);
    bool has_path, has_unit;

    ck_assert_ptr_nonnull(exact);
    memcpy(exact, files[_i].file, n);
    has_path = cgroup_parse_file(exact, n, path);
    ck_assert_msg(has_path == (files[_i].path != NULL), "%s: %s", files[_i].file, path);
    ck_assert_str_eq(path, has_path ? files[_i].path : "untouched");
    has_unit = has_path && cgroup_find_unit(path, unit);
    ck_assert_msg(has_unit == (files[_i].unit != NULL), "%s: %s", files[_i].file, unit);
    ck_assert_str_eq(unit, has_unit ? files[_i].unit : "untouched");
}
END_TEST

/* As long as may be, and one byte longer. */
START_TEST(test_long)
{
    static char file[CGROUP_PATH_MAX + 16], path[CGROUP_PATH_MAX + 1];
    char unit[UNIT_NAME_MAX + 1], name[UNIT_NAME_MAX + 2];

    strcpy(file, "0::/");
    memset(file + 4, 'a', CGROUP_PATH_MAX - 1);
    file[3 + CGROUP_PATH_MAX] = '\n';
    ck_assert(cgroup_parse_file(file, 4 + CGROUP_PATH_MAX, path));
    ck_assert_uint_eq(strlen(path), CGROUP_PATH_MAX);
    ck_assert(!cgroup_find_unit(path, unit));
    memcpy(file + 3 + CGROUP_PATH_MAX, "a\n", 2);
    ck_assert(!cgroup_parse_file(file, 5 + CGROUP_PATH_MAX, path));
    ck_assert(!cgroup_parse_file("0::/a\0b.service\n", 16, path));

    memset(name, 'u', sizeof name);
    strcpy(name + UNIT_NAME_MAX - 8, ".service");
    ck_assert_ptr_null(unit_check_name(name));
    strcpy(path, "/");
    strcat(path, name);
    ck_assert(cgroup_find_unit(path, unit));
    ck_assert_str_eq(unit, name);
    strcpy(name + UNIT_NAME_MAX - 7, ".service");
    ck_assert_ptr_nonnull(unit_check_name(name));
    strcpy(path + 1, name);
    ck_assert(!cgroup_find_unit(path, unit));
}
END_TEST

START_TEST(test_within)
{
    static const struct {
        const char *path, *top;
        bool is_within;
    } rows[] = {
        {"/a", "/a", true},
        {"/a/b", "/a", true},
        {"/ab", "/a", false},
        {"/a", "/a/b", false},
        {"/b/a", "/a", false},
        {"/a", "/", true},
        {"/", "/", true},
        {"/", "/a", false},
        {"/a/b/c", "/a/b", true},
        {"/A", "/a", false},
        {"/a b/c", "/a b", true},
        {"/a/b", "/a/bc", false},
        {"/x/a.slice", "/a.slice", false},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        ck_assert_msg(cgroup_is_within(rows[i].path, rows[i].top) == rows[i].is_within, "%s %s",
                      rows[i].path, rows[i].top);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cgroup");
    TCase *tcase = tcase_create("cgroup");

    tcase_add_loop_test(tcase, test_file, 0, ARRAY_SIZE(files));
    tcase_add_test(tcase, test_long);
    tcase_add_test(tcase, test_within);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
