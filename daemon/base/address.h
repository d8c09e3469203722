/* An IP address, what is embedded in it, and the words for what kind of place one is. What belongs
 * to which class, resolve/ judges; policy/ only reads the words. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

#include "proto/target.h"

struct address {
    sa_family_t family; /* AF_INET or AF_INET6 */
    union {
        struct in_addr ipv4;
        struct in6_addr ipv6;
    };
};

#define ADDRESS_TEXT_MAX INET6_ADDRSTRLEN /* with the NUL */

/* X(NAME, bit, "name in the configuration") */
#define ADDRESS_CLASS_LIST(X)                                                                      \
    X(PUBLIC, 1, "public")                                                                         \
    X(PRIVATE, 2, "private")                                                                       \
    X(LOOPBACK, 4, "loopback")                                                                     \
    X(LINK_LOCAL, 8, "link-local")                                                                 \
    X(HOST, 16, "host")

enum address_class {
    ADDRESS_CLASS_NONE = 0, /* multicast, reserved, unspecified: never connected to */
#define X(name, bit, text) ADDRESS_CLASS_##name = bit,
    ADDRESS_CLASS_LIST(X)
#undef X
};

#define EMBEDDED_IPV4_MAX 2

/* The IPv4 addresses inside an IPv6 one: mapped and compatible (RFC 4291, 2.5.5), NAT64 (RFC 6052,
 * RFC 8215), 6to4 (RFC 3056), Teredo server and client (RFC 4380). Returns how many readings
 * there are, 0 to 2. */
size_t address_embedded_ipv4(const struct address *address, struct in_addr ret[EMBEDDED_IPV4_MAX]);

/* Whether the target is written with an address, and which. */
bool address_of_target(const struct target *target, struct address *ret);

void address_format(const struct address *address, char ret_text[ADDRESS_TEXT_MAX]);

/* The port is in host byte order. Returns the size. */
socklen_t address_to_sockaddr(const struct address *address, uint16_t port,
                              struct sockaddr_storage *ret);
