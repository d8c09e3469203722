/* The header is made as a whole when the dialog begins; then it is sent, and that is all. Both
 * versions know TCP over IPv4 and over IPv6, so addresses are kept as IPv6 ones here, and are IPv4
 * where both are mapped ones. */
#include "daemon/dialog/proxy_header.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define V2_FIXED          16 /* bytes before the addresses */
#define V2_LENGTH_AT      14 /* u16: bytes behind the fixed part */
#define V2_VERSION        0x20
#define V2_COMMAND_LOCAL  0x00
#define V2_COMMAND_PROXY  0x01
#define V2_UNSPECIFIED    0x00
#define V2_TCP_OVER_IPV4  0x11
#define V2_TCP_OVER_IPV6  0x21
#define TYPE_ALPN         0x01
#define TYPE_AUTHORITY    0x02
#define TYPE_CRC32C       0x03
#define TYPE_UNIQUE_ID    0x05
#define CRC32C_POLYNOMIAL 0x82f63b78 /* Castagnoli's, lowest bit first: RFC 4960, appendix B */
#define IPV4_IN_MAPPED    12         /* where the IPv4 address begins in a mapped one */

_Static_assert(PROXY_HEADER_MAX - V2_FIXED <= UINT16_MAX, "its length is told in 16 bits");
_Static_assert(PROXY_HEADER_MAX >= PROXY_HEADER_V1_MAX + 1, "a line and its NUL fit too");

static const uint8_t v2_signature[] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d,
                                       0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};

struct endpoint {
    struct in6_addr address;
    in_port_t port; /* network byte order */
};

enum told {
    TOLD_NOTHING,
    TOLD_IPV4,
    TOLD_IPV6,
};

static bool endpoint_read(const struct sockaddr_storage *address, struct endpoint *ret)
{
    if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *ipv6 = (const struct sockaddr_in6 *)address;

        *ret = (struct endpoint){ipv6->sin6_addr, ipv6->sin6_port};
        return true;
    }
    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *ipv4 = (const struct sockaddr_in *)address;

        *ret = (struct endpoint){.port = ipv4->sin_port};
        memset(ret->address.s6_addr + IPV4_IN_MAPPED - 2, 0xff, 2);
        memcpy(ret->address.s6_addr + IPV4_IN_MAPPED, &ipv4->sin_addr, sizeof ipv4->sin_addr);
        return true;
    }
    return false;
}

static enum told choose(const struct proxy_header_setup *setup, struct endpoint ends[2])
{
    if (!endpoint_read(&setup->source, &ends[0]) || !endpoint_read(&setup->destination, &ends[1]))
        return TOLD_NOTHING;
    return IN6_IS_ADDR_V4MAPPED(&ends[0].address) && IN6_IS_ADDR_V4MAPPED(&ends[1].address)
               ? TOLD_IPV4
               : TOLD_IPV6;
}

/* ---- version 1 ---- */

/* Version 1 wants hexadecimal groups only, where inet_ntop() writes an embedded IPv4 address as
 * such. */
static void write_ipv6(const struct in6_addr *address, char to[INET6_ADDRSTRLEN])
{
    const uint8_t *bytes = address->s6_addr;

    if (!inet_ntop(AF_INET6, address, to, INET6_ADDRSTRLEN))
        assert(false);
    if (strchr(to, '.'))
        snprintf(to, INET6_ADDRSTRLEN, "::%s%x:%x", IN6_IS_ADDR_V4MAPPED(address) ? "ffff:" : "",
                 bytes[12] << 8 | bytes[13], bytes[14] << 8 | bytes[15]);
}

static void write_address(enum told told, const struct endpoint *end, char to[INET6_ADDRSTRLEN])
{
    if (told == TOLD_IPV6)
        write_ipv6(&end->address, to);
    else if (!inet_ntop(AF_INET, end->address.s6_addr + IPV4_IN_MAPPED, to, INET6_ADDRSTRLEN))
        assert(false);
}

static void make_v1(struct proxy_header *header, enum told told, const struct endpoint ends[2])
{
    char source[INET6_ADDRSTRLEN], destination[INET6_ADDRSTRLEN];
    char *line = (char *)header->bytes;
    int n;

    if (told == TOLD_NOTHING) {
        n = snprintf(line, sizeof header->bytes, "PROXY UNKNOWN\r\n");
    } else {
        write_address(told, &ends[0], source);
        write_address(told, &ends[1], destination);
        n = snprintf(line, sizeof header->bytes, "PROXY %s %s %s %u %u\r\n",
                     told == TOLD_IPV4 ? "TCP4" : "TCP6", source, destination,
                     (unsigned)ntohs(ends[0].port), (unsigned)ntohs(ends[1].port));
    }
    assert(n > 0 && n <= PROXY_HEADER_V1_MAX);
    header->n = (size_t)n;
}

/* ---- version 2 ---- */

static void put(struct proxy_header *header, const void *data, size_t n)
{
    assert(n <= sizeof header->bytes - header->n);
    memcpy(header->bytes + header->n, data, n);
    header->n += n;
}

static void put_byte(struct proxy_header *header, uint8_t byte)
{
    put(header, &byte, 1);
}

static void put_addresses(struct proxy_header *header, enum told told,
                          const struct endpoint ends[2])
{
    size_t from = told == TOLD_IPV4 ? IPV4_IN_MAPPED : 0;

    for (int i = 0; i < 2; i++)
        put(header, ends[i].address.s6_addr + from, sizeof ends[i].address - from);
    for (int i = 0; i < 2; i++)
        put(header, &ends[i].port, sizeof ends[i].port);
}

static void put_tlv(struct proxy_header *header, uint8_t type, const void *data, size_t n)
{
    uint8_t head[PROXY_HEADER_TLV_HEAD] = {type, (uint8_t)(n >> 8), (uint8_t)n};

    if (n == 0)
        return;
    put(header, head, sizeof head);
    put(header, data, n);
}

static uint32_t crc32c(const uint8_t *data, size_t n)
{
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < n; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? CRC32C_POLYNOMIAL : 0);
    }
    return ~crc;
}

static void make_v2(struct proxy_header *header, const struct proxy_header_setup *setup,
                    enum told told, const struct endpoint ends[2])
{
    static const uint8_t family[] = {[TOLD_NOTHING] = V2_UNSPECIFIED,
                                     [TOLD_IPV4] = V2_TCP_OVER_IPV4,
                                     [TOLD_IPV6] = V2_TCP_OVER_IPV6};
    uint32_t checksum = 0;
    uint16_t length = 0;

    put(header, v2_signature, sizeof v2_signature);
    put_byte(header, V2_VERSION | (told == TOLD_NOTHING ? V2_COMMAND_LOCAL : V2_COMMAND_PROXY));
    put_byte(header, family[told]);
    put(header, &length, sizeof length);
    if (told != TOLD_NOTHING)
        put_addresses(header, told, ends);
    put_tlv(header, TYPE_ALPN, setup->alpn.data, setup->alpn.n);
    put_tlv(header, TYPE_AUTHORITY, setup->authority.data, setup->authority.n);
    put_tlv(header, TYPE_UNIQUE_ID, setup->unique_id.data, setup->unique_id.n);
    if (setup->has_checksum)
        put_tlv(header, TYPE_CRC32C, &checksum, sizeof checksum);
    length = htons((uint16_t)(header->n - V2_FIXED));
    memcpy(header->bytes + V2_LENGTH_AT, &length, sizeof length);
    if (!setup->has_checksum)
        return;
    /* Over the whole header, its own place being zero; big-endian, as receivers take it. */
    checksum = htonl(crc32c(header->bytes, header->n));
    memcpy(header->bytes + header->n - sizeof checksum, &checksum, sizeof checksum);
}

/* ---- the dialog ---- */

static void proxy_header_sent(struct dialog *d)
{
    dialog_done(d);
}

static const struct dialog_type proxy_header_type = {
    .name = "proxy-header",
    .stage = STAGE_PROXY,
    .unclear = ERROR_PROXY_PROTOCOL,
    .sent = proxy_header_sent,
};

/* What is wrong with the setup, or NULL. */
static const char *find_wrong(const struct proxy_header_setup *setup)
{
    bool has_more =
        setup->alpn.n || setup->authority.n || setup->unique_id.n || setup->has_checksum;

    if (setup->version == PROXY_HEADER_V1 && has_more)
        return "only version 2 has ALPN, authority, unique id and checksum";
    if (setup->alpn.n > PROXY_HEADER_ALPN_MAX)
        return "the ALPN name is longer than 255 bytes";
    if (setup->authority.n > PROXY_HEADER_AUTHORITY_MAX)
        return "the authority is longer than 255 bytes";
    if (setup->unique_id.n > PROXY_HEADER_UNIQUE_ID_MAX)
        return "the unique id is longer than 128 bytes";
    return NULL;
}

void proxy_header_init(struct proxy_header *header, const struct proxy_header_setup *setup)
{
    const char *wrong = find_wrong(setup);
    struct endpoint ends[2];
    enum told told = choose(setup, ends);

    dialog_init(&header->dialog, &proxy_header_type);
    header->n = 0;
    if (wrong) {
        dialog_fail(&header->dialog, ERROR_BAD_OPTION, "%s", wrong);
        return;
    }
    if (setup->version == PROXY_HEADER_V1)
        make_v1(header, told, ends);
    else
        make_v2(header, setup, told, ends);
    dialog_want_send(&header->dialog, header->bytes, header->n);
}
