/* The PROXY protocol (HAProxy's doc/proxy-protocol.txt), versions 1 and 2: who speaks on this
 * connection, told before the first byte of its own protocol. We only send it, and nothing answers.
 *
 * Which addresses are told is the caller's choice. Where one is missing or no IP address, version 1
 * says UNKNOWN, which some receivers refuse, and version 2 LOCAL: "take the connection's own". An
 * IPv4-mapped address is an IPv4 address; one of each kind are told as two IPv6 addresses. */
#pragma once

#include "daemon/dialog/dialog.h"

#define PROXY_HEADER_V1_MAX        107 /* bytes of the line with its CRLF, section 2.1 */
#define PROXY_HEADER_ALPN_MAX      255 /* bytes, RFC 7301, 3.1 */
#define PROXY_HEADER_AUTHORITY_MAX 255 /* what receivers take; names end at 253 */
#define PROXY_HEADER_UNIQUE_ID_MAX 128 /* section 2.2.5 */

#define PROXY_HEADER_TLV_HEAD 3
/* The fixed part, two IPv6 addresses with ports, the checksum, and the others' texts. */
#define PROXY_HEADER_MAX                                                                           \
    (16 + 36 + 4 * PROXY_HEADER_TLV_HEAD + 4 + PROXY_HEADER_ALPN_MAX +                             \
     PROXY_HEADER_AUTHORITY_MAX + PROXY_HEADER_UNIQUE_ID_MAX)

enum proxy_header_version {
    PROXY_HEADER_V1 = 1,
    PROXY_HEADER_V2 = 2,
};

struct proxy_header_setup {
    enum proxy_header_version version;
    struct sockaddr_storage source; /* ss_family 0: not known */
    struct sockaddr_storage destination;
    /* Version 2 only; empty: not sent. */
    struct text alpn;      /* PP2_TYPE_ALPN: one protocol's name, without a length before it */
    struct text authority; /* PP2_TYPE_AUTHORITY: the name the client asked for, as in SNI */
    struct text unique_id; /* PP2_TYPE_UNIQUE_ID: any bytes */
    bool has_checksum;     /* PP2_TYPE_CRC32C */
};

struct proxy_header {
    struct dialog dialog;
    size_t n;
    uint8_t bytes[PROXY_HEADER_MAX];
};

/* All of the setup is copied. A text over its limit, or one that version 1 has no place for, fails
 * the dialog at once with BAD_OPTION. */
void proxy_header_init(struct proxy_header *header, const struct proxy_header_setup *setup);
