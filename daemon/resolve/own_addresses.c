/* The host's own addresses, from getifaddrs(3), as a sorted array. It is read again when it is
 * older than a second, by the first who asks. The kernel's local routes (`ip route add local`) that
 * no interface carries are not seen. */
#include "daemon/resolve/class.h"

#include <errno.h>
#include <ifaddrs.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "proto/cleanup.h"

struct own_addresses {
    struct address *items; /* sorted */
    size_t n;
    uint64_t read_at_us;
};

static void freeifaddrsp(struct ifaddrs **list)
{
    freeifaddrs(*list);
}

static int address_compare(const void *left, const void *right)
{
    const struct address *a = left, *b = right;

    if (a->family != b->family)
        return a->family < b->family ? -1 : 1;
    if (a->family == AF_INET)
        return memcmp(&a->ipv4, &b->ipv4, sizeof a->ipv4);
    return memcmp(&a->ipv6, &b->ipv6, sizeof a->ipv6);
}

static bool address_from_sockaddr(const struct sockaddr *sa, struct address *ret)
{
    struct sockaddr_in sin;
    struct sockaddr_in6 sin6;

    if (!sa)
        return false;
    if (sa->sa_family == AF_INET) {
        memcpy(&sin, sa, sizeof sin);
        *ret = (struct address){.family = AF_INET, .ipv4 = sin.sin_addr};
        return true;
    }
    if (sa->sa_family == AF_INET6) {
        memcpy(&sin6, sa, sizeof sin6);
        *ret = (struct address){.family = AF_INET6, .ipv6 = sin6.sin6_addr};
        return true;
    }
    return false;
}

static int own_addresses_read(struct own_addresses *own, uint64_t now_us)
{
    CLEANUP(freeifaddrsp) struct ifaddrs *list = NULL;
    CLEANUP(freep) struct address *items = NULL;
    size_t max = 0, n = 0;

    own->read_at_us = now_us;
    if (getifaddrs(&list) < 0)
        return -errno;
    for (struct ifaddrs *i = list; i; i = i->ifa_next)
        max++;
    items = calloc(max + 1, sizeof *items);
    if (!items)
        return -ENOMEM;
    for (struct ifaddrs *i = list; i; i = i->ifa_next) {
        if (address_from_sockaddr(i->ifa_addr, &items[n]))
            n++;
    }
    qsort(items, n, sizeof *items, address_compare);
    free(own->items);
    own->items = TAKE_PTR(items);
    own->n = n;
    return 0;
}

static void own_addresses_freep(struct own_addresses **own)
{
    own_addresses_free(*own);
}

int own_addresses_new(struct own_addresses **ret)
{
    CLEANUP(own_addresses_freep) struct own_addresses *own = calloc(1, sizeof *own);
    int r;

    if (!own)
        return -ENOMEM;
    r = own_addresses_read(own, clock_now_us());
    if (r < 0)
        return r;
    *ret = TAKE_PTR(own);
    return 0;
}

struct own_addresses *own_addresses_free(struct own_addresses *own)
{
    if (own) {
        free(own->items);
        free(own);
    }
    return NULL;
}

static bool own_addresses_contain(const struct own_addresses *own, const struct address *address)
{
    return own->n > 0 &&
           bsearch(address, own->items, own->n, sizeof *own->items, address_compare) != NULL;
}

enum address_class own_addresses_class(struct own_addresses *own, const struct address *address,
                                       uint64_t now_us)
{
    enum address_class class = address_class(address);
    struct in_addr inner[EMBEDDED_IPV4_MAX];
    size_t n = address_embedded_ipv4(address, inner);

    if (class == ADDRESS_CLASS_NONE || class == ADDRESS_CLASS_LOOPBACK)
        return class;
    if (now_us >= own->read_at_us + OWN_ADDRESSES_AGE_MAX_US)
        (void)own_addresses_read(own, now_us); /* without memory or fds the old ones still hold */
    if (own_addresses_contain(own, address))
        return ADDRESS_CLASS_HOST;
    for (size_t i = 0; i < n; i++) {
        struct address ipv4 = {.family = AF_INET, .ipv4 = inner[i]};

        if (own_addresses_contain(own, &ipv4))
            return ADDRESS_CLASS_HOST;
    }
    return class;
}
