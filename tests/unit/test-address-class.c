/* Every block of the table at its first and last address and at its neighbours; the forms that
 * carry IPv4; the host's own addresses. */
#include "daemon/resolve/class.h"

#include <arpa/inet.h>
#include <check.h>
#include <ifaddrs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "proto/cleanup.h"
#include "tests/lib/suite.h"

static struct address parse(const char *text)
{
    struct address address = {.family = AF_INET};

    if (inet_pton(AF_INET, text, &address.ipv4) == 1)
        return address;
    address.family = AF_INET6;
    ck_assert_msg(inet_pton(AF_INET6, text, &address.ipv6) == 1, "%s", text);
    return address;
}

struct row {
    const char *address, *class;
};

static const struct row rows[] = {
    /* IPv4 */
    {"0.0.0.0", "none"},
    {"0.255.255.255", "none"},
    {"1.0.0.0", "public"},
    {"9.255.255.255", "public"},
    {"10.0.0.0", "private"},
    {"10.255.255.255", "private"},
    {"11.0.0.0", "public"},
    {"100.63.255.255", "public"},
    {"100.64.0.0", "private"},
    {"100.127.255.255", "private"},
    {"100.128.0.0", "public"},
    {"126.255.255.255", "public"},
    {"127.0.0.0", "loopback"},
    {"127.255.255.255", "loopback"},
    {"128.0.0.0", "public"},
    {"169.253.255.255", "public"},
    {"169.254.0.0", "link-local"},
    {"169.254.169.254", "link-local"},
    {"169.254.255.255", "link-local"},
    {"169.255.0.0", "public"},
    {"172.15.255.255", "public"},
    {"172.16.0.0", "private"},
    {"172.31.255.255", "private"},
    {"172.32.0.0", "public"},
    {"191.255.255.255", "public"},
    {"192.0.0.0", "private"},
    {"192.0.0.255", "private"},
    {"192.0.1.0", "public"},
    {"192.0.2.0", "private"},
    {"192.0.2.255", "private"},
    {"192.0.3.0", "public"},
    {"192.88.98.255", "public"},
    {"192.88.99.0", "private"},
    {"192.88.99.255", "private"},
    {"192.88.100.0", "public"},
    {"192.167.255.255", "public"},
    {"192.168.0.0", "private"},
    {"192.168.255.255", "private"},
    {"192.169.0.0", "public"},
    {"198.17.255.255", "public"},
    {"198.18.0.0", "private"},
    {"198.19.255.255", "private"},
    {"198.20.0.0", "public"},
    {"198.51.99.255", "public"},
    {"198.51.100.0", "private"},
    {"198.51.100.255", "private"},
    {"198.51.101.0", "public"},
    {"203.0.112.255", "public"},
    {"203.0.113.0", "private"},
    {"203.0.113.255", "private"},
    {"203.0.114.0", "public"},
    {"223.255.255.255", "public"},
    {"224.0.0.0", "none"},
    {"239.255.255.255", "none"},
    {"240.0.0.0", "none"},
    {"255.255.255.255", "none"},
    /* IPv6 */
    {"::", "none"},
    {"::1", "loopback"},
    {"::2", "none"},
    {"100::", "none"},
    {"1fff:ffff::1", "none"},
    {"2000::", "public"},
    {"2001:1::1", "public"},
    {"2001:1:ffff:ffff::1", "public"},
    {"2001:2::", "private"},
    {"2001:2:0:ffff:ffff:ffff:ffff:ffff", "private"},
    {"2001:2:1::", "public"},
    {"2001:f:ffff::1", "public"},
    {"2001:10::", "none"},
    {"2001:1f:ffff::1", "none"},
    {"2001:20::1", "none"},
    {"2001:2f:ffff::1", "none"},
    {"2001:30::1", "public"},
    {"2001:db7:ffff::1", "public"},
    {"2001:db8::", "private"},
    {"2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "private"},
    {"2001:db9::", "public"},
    {"2606:4700::1111", "public"},
    {"3ffe:ffff::1", "public"},
    {"3fff::1", "private"},
    {"3fff:fff:ffff::1", "private"},
    {"3fff:1000::1", "public"},
    {"3fff:ffff:ffff:ffff::1", "public"},
    {"4000::", "none"},
    {"5f00::1", "none"},
    {"fbff::1", "none"},
    {"fc00::", "private"},
    {"fdff:ffff::1", "private"},
    {"fe00::1", "none"},
    {"fe7f::1", "none"},
    {"fe80::1", "link-local"},
    {"febf:ffff::1", "link-local"},
    {"fec0::1", "none"},
    {"ff00::", "none"},
    {"ff02::1", "none"},
    /* mapped */
    {"::ffff:8.8.8.8", "public"},
    {"::ffff:127.0.0.1", "loopback"},
    {"::ffff:10.1.2.3", "private"},
    {"::ffff:169.254.169.254", "link-local"},
    {"::ffff:0.0.0.0", "none"},
    {"::ffff:224.0.0.1", "none"},
    {"::ffff:0:127.0.0.1", "none"}, /* translated, RFC 2765: not ours to reach */
    /* compatible */
    {"::8.8.8.8", "public"},
    {"::127.0.0.1", "loopback"},
    {"::192.168.1.1", "private"},
    {"::0.1.0.0", "none"},
    /* NAT64 */
    {"64:ff9b::8.8.8.8", "public"},
    {"64:ff9b::127.0.0.1", "loopback"},
    {"64:ff9b::10.0.0.1", "private"},
    {"64:ff9b::169.254.0.1", "link-local"},
    {"64:ff9b::0:1:a00:1", "none"},
    {"64:ff9b:1::8.8.8.8", "public"},
    {"64:ff9b:1:fffe::10.0.0.1", "private"},
    {"64:ff9b:1:ffff::127.0.0.1", "loopback"},
    {"64:ff9b:1:ffff:ffff:0:8.8.8.8", "none"}, /* not a /96 with 64-bit networks */
    {"64:ff9b:1:7f00:0:100:808:808", "none"},  /* as a /48: 127.0.0.1 */
    {"64:ff9b:1:a00:1::", "none"},
    {"64:ff9b:2::8.8.8.8", "none"},
    /* 6to4 */
    {"2002:808:808::1", "public"},
    {"2002:7f00:1::1", "loopback"},
    {"2002:c0a8:101::1", "private"},
    {"2002:a9fe:a9fe::1", "link-local"},
    {"2002:e000:1::1", "none"},
    {"2002::1", "none"},
    /* Teredo: server, then the client inverted */
    {"2001:0:808:808::f7f7:f7f7", "public"},
    {"2001:0:808:808::80ff:fffe", "loopback"},
    {"2001:0:7f00:1::f7f7:f7f7", "loopback"},
    {"2001:0:808:808::3f57:fefe", "private"},
    {"2001:0:a00:1::5601:5601", "link-local"},
    {"2001:0:a9fe:1::80ff:fffe", "loopback"},
    {"2001:0:808:808::ffff:ffff", "none"},
    {"2001:0:7f00:1::ffff:ffff", "none"},
    {"2001::", "none"},
};

START_TEST(test_table)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct address address = parse(rows[i].address);

        ck_assert_msg(strcmp(address_class_name(address_class(&address)), rows[i].class) == 0,
                      "%s is %s, not %s", rows[i].address,
                      address_class_name(address_class(&address)), rows[i].class);
    }
}
END_TEST

START_TEST(test_other_family)
{
    struct address address = {.family = AF_UNIX};

    ck_assert_int_eq(address_class(&address), ADDRESS_CLASS_NONE);
}
END_TEST

START_TEST(test_names)
{
    ck_assert_str_eq(address_class_name(ADDRESS_CLASS_HOST), "host");
    ck_assert_str_eq(address_class_name(ADDRESS_CLASS_PUBLIC), "public");
    ck_assert_str_eq(address_class_name((enum address_class)99), "none");
}
END_TEST

START_TEST(test_own_loopback_stays_loopback)
{
    static const char *const texts[] = {"127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"};
    struct own_addresses *own;

    ck_assert_int_eq(own_addresses_new(&own), 0);
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct address address = parse(texts[i]);

        ck_assert_int_eq(own_addresses_class(own, &address, clock_now_us()),
                         ADDRESS_CLASS_LOOPBACK);
    }
    own = own_addresses_free(own);
    ck_assert_ptr_null(own);
}
END_TEST

/* Whatever addresses this machine has are HOST, also wrapped; their neighbours are not. */
START_TEST(test_own_addresses)
{
    struct own_addresses *own;
    struct ifaddrs *list;
    unsigned n = 0;

    ck_assert_int_eq(own_addresses_new(&own), 0);
    ck_assert_int_eq(getifaddrs(&list), 0);
    for (struct ifaddrs *i = list; i; i = i->ifa_next) {
        struct address address = {.family = AF_INET}, mapped = parse("::ffff:0.0.0.0");

        if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET)
            continue;
        memcpy(&address.ipv4, &((struct sockaddr_in *)(void *)i->ifa_addr)->sin_addr, 4);
        if (address_class(&address) == ADDRESS_CLASS_LOOPBACK)
            continue;
        memcpy(mapped.ipv6.s6_addr + 12, &address.ipv4, 4);
        ck_assert_int_eq(own_addresses_class(own, &address, clock_now_us()), ADDRESS_CLASS_HOST);
        ck_assert_int_eq(own_addresses_class(own, &mapped, clock_now_us()), ADDRESS_CLASS_HOST);
        n++;
    }
    freeifaddrs(list);
    if (n == 0)
        fputs("# this machine has loopback only\n", stderr);
    struct address foreign = parse("198.51.100.77");
    ck_assert_int_eq(own_addresses_class(own, &foreign, UINT64_MAX), ADDRESS_CLASS_PRIVATE);
    own_addresses_free(own);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("address-class");
    TCase *tcase = tcase_create("class");

    tcase_add_test(tcase, test_table);
    tcase_add_test(tcase, test_other_family);
    tcase_add_test(tcase, test_names);
    tcase_add_test(tcase, test_own_loopback_stays_loopback);
    tcase_add_test(tcase, test_own_addresses);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
