/* Address classes: what kind of place an address is, for the rules' `addresses`. An embedded
 * IPv4 address counts as what it embeds. IANA special-purpose registries (RFC 6890 and updates). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "daemon/resolve/resolve.h"

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

/* By the address alone: never HOST. */
enum address_class address_class(const struct address *address);
const char *address_class_name(enum address_class class);

/* The host's own addresses in this network namespace, loopback excepted, read again at most once a second. */
struct own_addresses;
int own_addresses_new(struct own_addresses **ret);
struct own_addresses *own_addresses_free(struct own_addresses *own);
/* The class with HOST taken into account: an own address is HOST and nothing else. */
enum address_class own_addresses_class(struct own_addresses *own, const struct address *address,
                                       uint64_t now_us);
