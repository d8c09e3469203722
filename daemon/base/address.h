/* An IP address, and the words for what kind of place one is. What belongs to which class, resolve/
 * judges; policy/ only reads the words. */
#pragma once

#include <netinet/in.h>

struct address {
    sa_family_t family; /* AF_INET or AF_INET6 */
    union {
        struct in_addr ipv4;
        struct in6_addr ipv6;
    };
};

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
