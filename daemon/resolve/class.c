/* Address classes by table: the first prefix that contains an address decides. IPv6 addresses that
 * carry IPv4 are unwrapped first, since whatever translates them will connect to what is inside.
 *
 * IPv4 is public unless listed. IPv6 is NONE unless listed: only 2000::/3 has ever been given out.
 */
#include "daemon/resolve/class.h"

#include <arpa/inet.h>
#include <stdbool.h>

#include "proto/cleanup.h"

struct ipv4_block {
    uint32_t prefix;
    unsigned bits;
    enum address_class class;
};

#define IPV4(a, b, c, d) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (d))

static const struct ipv4_block ipv4_blocks[] = {
    {IPV4(0, 0, 0, 0), 8, ADDRESS_CLASS_NONE},            /* this network, RFC 1122, 3.2.1.3 */
    {IPV4(10, 0, 0, 0), 8, ADDRESS_CLASS_PRIVATE},        /* RFC 1918 */
    {IPV4(100, 64, 0, 0), 10, ADDRESS_CLASS_PRIVATE},     /* carrier NAT, RFC 6598 */
    {IPV4(127, 0, 0, 0), 8, ADDRESS_CLASS_LOOPBACK},      /* RFC 1122, 3.2.1.3 */
    {IPV4(169, 254, 0, 0), 16, ADDRESS_CLASS_LINK_LOCAL}, /* RFC 3927 */
    {IPV4(172, 16, 0, 0), 12, ADDRESS_CLASS_PRIVATE},     /* RFC 1918 */
    {IPV4(192, 0, 0, 0), 24, ADDRESS_CLASS_PRIVATE},      /* protocol assignments, RFC 6890 */
    {IPV4(192, 0, 2, 0), 24, ADDRESS_CLASS_PRIVATE},      /* documentation, RFC 5737 */
    {IPV4(192, 88, 99, 0), 24, ADDRESS_CLASS_PRIVATE},    /* old 6to4 relays, RFC 7526 */
    {IPV4(192, 168, 0, 0), 16, ADDRESS_CLASS_PRIVATE},    /* RFC 1918 */
    {IPV4(198, 18, 0, 0), 15, ADDRESS_CLASS_PRIVATE},     /* benchmarks, RFC 2544 */
    {IPV4(198, 51, 100, 0), 24, ADDRESS_CLASS_PRIVATE},   /* documentation, RFC 5737 */
    {IPV4(203, 0, 113, 0), 24, ADDRESS_CLASS_PRIVATE},    /* documentation, RFC 5737 */
    {IPV4(224, 0, 0, 0), 3, ADDRESS_CLASS_NONE},          /* multicast, reserved, broadcast */
};

struct ipv6_block {
    uint16_t prefix[4]; /* the first 64 bits, in groups as they are written */
    unsigned bits;
    enum address_class class;
};

/* ::1 is not here, as its prefix is longer than 64 bits. */
static const struct ipv6_block ipv6_blocks[] = {
    {{0xfc00}, 7, ADDRESS_CLASS_PRIVATE},          /* unique local, RFC 4193 */
    {{0xfe80}, 10, ADDRESS_CLASS_LINK_LOCAL},      /* RFC 4291, 2.5.6 */
    {{0x2001, 0x0002}, 48, ADDRESS_CLASS_PRIVATE}, /* benchmarks, RFC 5180 */
    {{0x2001, 0x0010}, 28, ADDRESS_CLASS_NONE},    /* ORCHID, RFC 4843: no locators */
    {{0x2001, 0x0020}, 28, ADDRESS_CLASS_NONE},    /* ORCHIDv2, RFC 7343 */
    {{0x2001, 0x0db8}, 32, ADDRESS_CLASS_PRIVATE}, /* documentation, RFC 3849 */
    {{0x3fff}, 20, ADDRESS_CLASS_PRIVATE},         /* documentation, RFC 9637 */
    {{0x2000}, 3, ADDRESS_CLASS_PUBLIC},           /* RFC 4291, 2.4 */
};

static enum address_class class_of_ipv4(struct in_addr ipv4)
{
    uint32_t host = ntohl(ipv4.s_addr);

    for (size_t i = 0; i < ARRAY_SIZE(ipv4_blocks); i++) {
        const struct ipv4_block *block = &ipv4_blocks[i];

        if ((host ^ block->prefix) >> (32 - block->bits) == 0)
            return block->class;
    }
    return ADDRESS_CLASS_PUBLIC;
}

static enum address_class class_of_ipv6(const struct in6_addr *ipv6)
{
    uint64_t high = 0;

    if (IN6_IS_ADDR_LOOPBACK(ipv6))
        return ADDRESS_CLASS_LOOPBACK;
    for (size_t i = 0; i < 8; i++)
        high = high << 8 | ipv6->s6_addr[i];
    for (size_t i = 0; i < ARRAY_SIZE(ipv6_blocks); i++) {
        const struct ipv6_block *block = &ipv6_blocks[i];
        uint64_t prefix = (uint64_t)block->prefix[0] << 48 | (uint64_t)block->prefix[1] << 32 |
                          (uint64_t)block->prefix[2] << 16 | block->prefix[3];

        if ((high ^ prefix) >> (64 - block->bits) == 0)
            return block->class;
    }
    return ADDRESS_CLASS_NONE;
}

static unsigned class_rank(enum address_class class)
{
    switch (class) {
    case ADDRESS_CLASS_NONE:
        return 0;
    case ADDRESS_CLASS_LOOPBACK:
        return 1;
    case ADDRESS_CLASS_HOST:
        return 2;
    case ADDRESS_CLASS_LINK_LOCAL:
        return 3;
    case ADDRESS_CLASS_PRIVATE:
        return 4;
    case ADDRESS_CLASS_PUBLIC:
        return 5;
    }
    return 0;
}

enum address_class address_class(const struct address *address)
{
    struct in_addr inner[EMBEDDED_IPV4_MAX];
    size_t n = address_embedded_ipv4(address, inner);
    enum address_class class;

    if (address->family == AF_INET)
        return class_of_ipv4(address->ipv4);
    if (address->family != AF_INET6)
        return ADDRESS_CLASS_NONE;
    if (n == 0)
        return class_of_ipv6(&address->ipv6);

    class = class_of_ipv4(inner[0]);
    for (size_t i = 1; i < n; i++) {
        enum address_class other = class_of_ipv4(inner[i]);

        if (class_rank(other) < class_rank(class))
            class = other;
    }
    return class;
}

const char *address_class_name(enum address_class class)
{
    switch (class) {
    case ADDRESS_CLASS_NONE:
        return "none";
#define X(name, bit, text)                                                                         \
    case ADDRESS_CLASS_##name:                                                                     \
        return text;
        ADDRESS_CLASS_LIST(X)
#undef X
    }
    return "none";
}
