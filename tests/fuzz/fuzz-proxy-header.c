/* A setup made of any bytes: a header that a receiver reads as what was to be told, or, where it
 * cannot be told, a failure before a byte is sent.
 *
 * u8 bits · source · destination (16 bytes and u16 port each) · ALPN, authority and unique id (u16
 * length each, that of the last being the rest) */
#include "tests/fuzz/fuzz.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/dialog/proxy_header.h"
#include "tests/dialog/proxy_reader.h"

enum {
    IS_V1 = 1,
    HAS_CHECKSUM = 2,
    IS_SOURCE_IPV4 = 4,
    IS_DESTINATION_IPV4 = 8,
    NO_SOURCE = 16,
    NO_DESTINATION = 32,
};

struct input {
    const uint8_t *data;
    size_t n;
};

static const uint8_t *take(struct input *input, size_t n)
{
    const uint8_t *at = input->data;

    if (n > input->n)
        return NULL;
    input->data += n;
    input->n -= n;
    return at;
}

static void take_address(struct input *input, bool is_ipv4, bool is_missing,
                         struct sockaddr_storage *ret)
{
    static const uint8_t none[18];
    const uint8_t *bytes = take(input, sizeof none);
    struct sockaddr_in6 *ipv6 = (struct sockaddr_in6 *)ret;
    struct sockaddr_in *ipv4 = (struct sockaddr_in *)ret;

    if (!bytes)
        bytes = none;
    if (is_missing)
        return;
    ret->ss_family = is_ipv4 ? AF_INET : AF_INET6;
    if (is_ipv4)
        memcpy(&ipv4->sin_addr, bytes, sizeof ipv4->sin_addr);
    else
        memcpy(&ipv6->sin6_addr, bytes, sizeof ipv6->sin6_addr);
    memcpy(is_ipv4 ? &ipv4->sin_port : &ipv6->sin6_port, bytes + 16, 2);
}

static struct text take_text(struct input *input)
{
    const uint8_t *length = take(input, 2);
    size_t n = length ? (size_t)length[0] << 8 | length[1] : 0;

    if (n > input->n)
        n = input->n;
    return (struct text){(const char *)take(input, n), n};
}

/* The told address as IPv6, IPv4 being mapped. */
static void map(const struct sockaddr_storage *told, uint8_t ret[16], unsigned *ret_port)
{
    const struct sockaddr_in6 *ipv6 = (const struct sockaddr_in6 *)told;
    const struct sockaddr_in *ipv4 = (const struct sockaddr_in *)told;

    if (told->ss_family == AF_INET6) {
        memcpy(ret, &ipv6->sin6_addr, 16);
        *ret_port = ntohs(ipv6->sin6_port);
        return;
    }
    memcpy(ret, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
    memcpy(ret + 12, &ipv4->sin_addr, 4);
    *ret_port = ntohs(ipv4->sin_port);
}

static void check_address(const struct sockaddr_storage *told, unsigned family,
                          const uint8_t *address, unsigned port)
{
    size_t n = family == 4 ? 4 : 16;
    unsigned told_port;
    uint8_t mapped[16];

    map(told, mapped, &told_port);
    if (told_port != port || memcmp(mapped + 16 - n, address, n) != 0 ||
        (family == 4 && memcmp(mapped, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12) != 0))
        abort();
}

static void check_tlv(struct text told, const struct proxy_reading *reading, uint8_t type)
{
    if (reading->n_tlv[type] != told.n || (reading->tlv[type] != NULL) != (told.n > 0) ||
        (told.n > 0 && memcmp(reading->tlv[type], told.data, told.n) != 0))
        abort();
}

static void check_read(const struct proxy_header_setup *setup, const struct proxy_reading *reading)
{
    bool has_both = setup->source.ss_family && setup->destination.ss_family;

    if (reading->version != setup->version || (reading->family != 0) != has_both)
        abort();
    if (has_both) {
        check_address(&setup->source, reading->family, reading->source, reading->source_port);
        check_address(&setup->destination, reading->family, reading->destination,
                      reading->destination_port);
    }
    check_tlv(setup->alpn, reading, 1);
    check_tlv(setup->authority, reading, 2);
    check_tlv(setup->unique_id, reading, 5);
    if ((reading->tlv[3] != NULL) != setup->has_checksum)
        abort();
}

static bool can_be_told(const struct proxy_header_setup *setup)
{
    if (setup->version == PROXY_HEADER_V1)
        return setup->alpn.n + setup->authority.n + setup->unique_id.n == 0 && !setup->has_checksum;
    return setup->alpn.n <= 255 && setup->authority.n <= 255 && setup->unique_id.n <= 128;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct proxy_header_setup setup = {.version = PROXY_HEADER_V2};
    struct input input = {data, n};
    const uint8_t *bits = take(&input, 1);
    struct proxy_reading reading;
    struct proxy_header header;
    const char *why;

    if (!bits)
        return 0;
    if (*bits & IS_V1)
        setup.version = PROXY_HEADER_V1;
    setup.has_checksum = *bits & HAS_CHECKSUM;
    take_address(&input, *bits & IS_SOURCE_IPV4, *bits & NO_SOURCE, &setup.source);
    take_address(&input, *bits & IS_DESTINATION_IPV4, *bits & NO_DESTINATION, &setup.destination);
    setup.alpn = take_text(&input);
    setup.authority = take_text(&input);
    setup.unique_id = (struct text){(const char *)input.data, input.n};
    proxy_header_init(&header, &setup);
    if (header.dialog.want == DIALOG_FAILED) {
        if (can_be_told(&setup) || header.dialog.failure.code != ERROR_BAD_OPTION)
            abort();
    } else {
        if (!can_be_told(&setup) || header.dialog.want != DIALOG_SEND ||
            proxy_reader_read(header.dialog.out, header.dialog.n_out, &reading, &why) !=
                header.dialog.n_out)
            abort();
        check_read(&setup, &reading);
        dialog_sent(&header.dialog);
        if (header.dialog.want != DIALOG_DONE)
            abort();
    }
    dialog_deinit(&header.dialog);
    return 0;
}
