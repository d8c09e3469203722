/* The hosts file: what counts as an entry, and that changes are seen, at most once a second. */
#include "daemon/resolve/hosts.h"

#include <arpa/inet.h>
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "tests/lib/suite.h"

static char directory[] = "/tmp/test-hosts-XXXXXX";
static char path[64], other[64];
static struct hosts *hosts;
static uint64_t now_us;

static void write_file(const char *to, const char *text)
{
    FILE *file = fopen(to, "we");

    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

static void set_up(void)
{
    strcpy(directory + sizeof directory - 7, "XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/hosts", directory);
    snprintf(other, sizeof other, "%s/other", directory);
    ck_assert_int_eq(hosts_new(&hosts, path), 0);
    now_us = 5 * US_PER_S;
}

static void tear_down(void)
{
    hosts = hosts_free(hosts);
    unlink(path);
    unlink(other);
    rmdir(directory);
}

/* "addr addr" of a name, "-" when it is not there. */
static const char *find(const char *name)
{
    static char text[RESOLVE_ADDRESSES_MAX * (INET6_ADDRSTRLEN + 1)];
    struct address_list list;
    size_t n = 0;

    if (!hosts_find(hosts, name, now_us, &list))
        return "-";
    for (size_t i = 0; i < list.n; i++) {
        char buf[INET6_ADDRSTRLEN];

        inet_ntop(list.items[i].family, &list.items[i].ipv6, buf, sizeof buf);
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", i > 0 ? " " : "", buf);
    }
    return text;
}

START_TEST(test_entries)
{
    write_file(path, "# comment\n"
                     "192.0.2.1 one.example one  uno # eins\n"
                     "\t 2001:db8::1\tone.example\r\n"
                     "192.0.2.2 UPPER.Example dot.example.\n"
                     "fe80::1%eth0 zone.example\n"
                     "192.0.2.300 bad.example\n"
                     "192.0.2.3\n"
                     "\n"
                     "192.0.2.4 one.example\n"
                     "#192.0.2.5 hidden.example\n"
                     "192.0.2.6 last.example");
    ck_assert_str_eq(find("one.example"), "192.0.2.1 2001:db8::1 192.0.2.4");
    ck_assert_str_eq(find("one"), "192.0.2.1");
    ck_assert_str_eq(find("uno"), "192.0.2.1");
    ck_assert_str_eq(find("eins"), "-");
    ck_assert_str_eq(find("upper.example"), "192.0.2.2");
    ck_assert_str_eq(find("dot.example"), "192.0.2.2");
    ck_assert_str_eq(find("zone.example"), "-");
    ck_assert_str_eq(find("bad.example"), "-");
    ck_assert_str_eq(find("hidden.example"), "-");
    ck_assert_str_eq(find("last.example"), "192.0.2.6");
    ck_assert_str_eq(find("example"), "-");
    ck_assert_str_eq(find(""), "-");
    ck_assert_str_eq(find("zzz"), "-");
}
END_TEST

START_TEST(test_many)
{
    FILE *file = fopen(path, "we");
    char name[32];

    for (unsigned i = 0; i < 5000; i++)
        fprintf(file, "10.0.%u.%u host%u many\n", i / 256, i % 256, i);
    fclose(file);
    ck_assert_str_eq(find("host0"), "10.0.0.0");
    ck_assert_str_eq(find("host4999"), "10.0.19.135");
    for (unsigned i = 0; i < 5000; i += 97) {
        snprintf(name, sizeof name, "host%u", i);
        ck_assert_str_ne(find(name), "-");
    }
    ck_assert_str_eq(find("host5000"), "-");
    struct address_list list;
    ck_assert(hosts_find(hosts, "many", now_us, &list));
    ck_assert_uint_eq(list.n, RESOLVE_ADDRESSES_MAX);
}
END_TEST

START_TEST(test_changes)
{
    ck_assert_str_eq(find("a"), "-"); /* no file */
    write_file(path, "192.0.2.1 a\n");
    ck_assert_str_eq(find("a"), "-"); /* not looked at again so soon */
    now_us += US_PER_S;
    ck_assert_str_eq(find("a"), "192.0.2.1");
    /* The same size, at once: the time stamps may be equal. */
    write_file(path, "192.0.2.2 a\n");
    now_us += US_PER_S - 1;
    ck_assert_str_eq(find("a"), "192.0.2.1");
    now_us += 1;
    ck_assert_str_eq(find("a"), "192.0.2.2");
    /* Replaced by rename, as editors do. */
    write_file(other, "192.0.2.3 a\n");
    ck_assert_int_eq(rename(other, path), 0);
    now_us += US_PER_S;
    ck_assert_str_eq(find("a"), "192.0.2.3");
    unlink(path);
    now_us += US_PER_S;
    ck_assert_str_eq(find("a"), "-");
}
END_TEST

START_TEST(test_unreadable_keeps_the_old)
{
    write_file(path, "192.0.2.1 a\n");
    ck_assert_str_eq(find("a"), "192.0.2.1");
    unlink(path);
    ck_assert_int_eq(symlink("/", path), 0); /* a directory cannot be read, even by root */
    now_us += US_PER_S;
    ck_assert_str_eq(find("a"), "192.0.2.1");
}
END_TEST

/* The file is not touched on each lookup: within the second its going away is not even noticed. */
START_TEST(test_not_read_on_each_lookup)
{
    write_file(path, "192.0.2.1 a\n");
    for (unsigned i = 0; i < 100; i++)
        ck_assert_str_eq(find("a"), "192.0.2.1");
    unlink(path);
    for (unsigned i = 0; i < 100; i++)
        ck_assert_str_eq(find("a"), "192.0.2.1");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hosts");
    TCase *tcase = tcase_create("hosts");

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, test_entries);
    tcase_add_test(tcase, test_many);
    tcase_add_test(tcase, test_changes);
    tcase_add_test(tcase, test_unreadable_keeps_the_old);
    tcase_add_test(tcase, test_not_read_on_each_lookup);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
