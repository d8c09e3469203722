/* Address classes: what kind of place an address is, for the rules' `addresses`. An embedded
 * IPv4 address counts as what it embeds. IANA special-purpose registries (RFC 6890 and updates). */
#pragma once

#include <stdint.h>

#include "daemon/base/address.h"

#define OWN_ADDRESSES_AGE_MAX_US UINT64_C(1000000) /* then the interfaces are asked again */

/* By the address alone: never HOST. Of several embedded addresses (Teredo) the most restricted
 * counts, in the order NONE, LOOPBACK, LINK_LOCAL, PRIVATE, PUBLIC. */
enum address_class address_class(const struct address *address);
/* "none" for ADDRESS_CLASS_NONE. */
const char *address_class_name(enum address_class class);

/* The host's own addresses in this network namespace, loopback excepted, read again at most once a
 * second. When they cannot be read again, the last ones stay. */
struct own_addresses;
int own_addresses_new(struct own_addresses **ret);
struct own_addresses *own_addresses_free(struct own_addresses *own);
/* The class with HOST taken into account: an own address is HOST and nothing else, also where it is
 * embedded. Loopback stays LOOPBACK. */
enum address_class own_addresses_class(struct own_addresses *own, const struct address *address,
                                       uint64_t now_us);
