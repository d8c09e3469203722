/* IPv4 inside IPv6: whoever translates such an address connects to what is inside. */
#include "daemon/base/address.h"

#include <arpa/inet.h>
#include <string.h>

static struct in_addr ipv4_at(const struct in6_addr *ipv6, size_t offset, uint8_t mask)
{
    struct in_addr ipv4;
    uint8_t bytes[sizeof ipv4];

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = ipv6->s6_addr[offset + i] ^ mask;
    memcpy(&ipv4, bytes, sizeof ipv4);
    return ipv4;
}

static bool has_prefix(const struct in6_addr *ipv6, const char *prefix, size_t n)
{
    return memcmp(ipv6->s6_addr, prefix, n) == 0;
}

/* The local-use NAT64 prefix is cut into networks by its operator, at 48, 56, 64 or 96 bits, which
 * the address does not tell (RFC 8215, RFC 6052, 2.2). With zeros in bits 64 to 95 it is a /96 or
 * it embeds nothing connectable; anything else could be read in two ways, and gets 0.0.0.0 as the
 * second. */
static size_t local_nat64_ipv4(const struct in6_addr *ipv6, struct in_addr ret[EMBEDDED_IPV4_MAX])
{
    static const uint8_t zeros[4];

    ret[0] = ipv4_at(ipv6, 12, 0);
    if (memcmp(ipv6->s6_addr + 8, zeros, sizeof zeros) == 0)
        return 1;
    ret[1] = (struct in_addr){0};
    return 2;
}

size_t address_embedded_ipv4(const struct address *address, struct in_addr ret[EMBEDDED_IPV4_MAX])
{
    const struct in6_addr *ipv6 = &address->ipv6;

    if (address->family != AF_INET6 || IN6_IS_ADDR_LOOPBACK(ipv6))
        return 0;
    if (IN6_IS_ADDR_V4MAPPED(ipv6) || has_prefix(ipv6, "\0\0\0\0\0\0\0\0\0\0\0", 12) ||
        has_prefix(ipv6, "\0\x64\xff\x9b\0\0\0\0\0\0\0", 12)) {
        ret[0] = ipv4_at(ipv6, 12, 0);
        return 1;
    }
    if (has_prefix(ipv6, "\0\x64\xff\x9b\0\1", 6))
        return local_nat64_ipv4(ipv6, ret);
    if (has_prefix(ipv6, "\x20\x02", 2)) {
        ret[0] = ipv4_at(ipv6, 2, 0);
        return 1;
    }
    if (has_prefix(ipv6, "\x20\x01\0\0", 4)) {
        ret[0] = ipv4_at(ipv6, 4, 0);
        ret[1] = ipv4_at(ipv6, 12, 0xff); /* the client's, inverted: RFC 4380, 4 */
        return 2;
    }
    return 0;
}

bool address_of_target(const struct target *target, struct address *ret)
{
    switch (target->host_kind) {
    case HOST_IPV4:
        *ret = (struct address){.family = AF_INET, .ipv4 = target->ipv4};
        return true;
    case HOST_IPV6:
        *ret = (struct address){.family = AF_INET6, .ipv6 = target->ipv6};
        return true;
    case HOST_NAME:
    case HOST_PATH:
        break;
    }
    return false;
}

void address_format(const struct address *address, char ret_text[ADDRESS_TEXT_MAX])
{
    const void *bytes =
        address->family == AF_INET ? (const void *)&address->ipv4 : (const void *)&address->ipv6;

    if (!inet_ntop(address->family, bytes, ret_text, ADDRESS_TEXT_MAX))
        ret_text[0] = '\0';
}

socklen_t address_to_sockaddr(const struct address *address, uint16_t port,
                              struct sockaddr_storage *ret)
{
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;
    struct sockaddr_in *in = (struct sockaddr_in *)ret;

    memset(ret, 0, sizeof *ret);
    ret->ss_family = address->family;
    if (address->family == AF_INET) {
        in->sin_port = htons(port);
        in->sin_addr = address->ipv4;
        return sizeof *in;
    }
    in6->sin6_port = htons(port);
    in6->sin6_addr = address->ipv6;
    return sizeof *in6;
}
