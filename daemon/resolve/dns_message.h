/* Takes a DNS answer apart (RFC 1035, 4; RFC 2181; RFC 2308): the addresses of one family at the
 * end of the CNAME chain, or that there are none, and for how long that holds. Sans I/O; the
 * message is whatever some server sent, so nothing in it is believed. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "daemon/resolve/resolve.h"

#define DNS_CHAIN_MAX 16 /* CNAMEs followed */

enum dns_verdict {
    DNS_ADDRESSES,
    DNS_NO_NAME, /* NXDOMAIN, of the name or of what it is an alias for */
    DNS_NO_DATA, /* the name has no address of this family */
    DNS_FAILED,  /* no answer, or none that is worth anything */
};

struct dns_answer {
    enum dns_verdict verdict;
    const char *reason; /* of a DNS_FAILED, lives as long as the resolver; else NULL */
    uint32_t ttl_s;     /* the shortest of the chain; of a negative answer: as its SOA says */
    size_t n;
    struct address items[RESOLVE_ADDRESSES_MAX];
};

/* The answer to a question for `name` (text, without trailing dot) and AF_INET or AF_INET6. Never
 * fails: what cannot be read is a DNS_FAILED. */
void dns_message_parse(const uint8_t *data, size_t n, const char *name, int family,
                       struct dns_answer *ret);
/* A name for a response code (RFC 1035, 4.1.1; RFC 2136, 2.2). */
const char *dns_rcode_name(unsigned rcode);
