/* The receiver's side of the PROXY protocol, written from its text and not from our sender: for the
 * test of the sender and its fuzzer. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct proxy_reading {
    unsigned version;
    unsigned family; /* 4, 6, or 0: LOCAL or UNKNOWN */
    uint8_t source[16];
    uint8_t destination[16]; /* as many bytes as the family has */
    unsigned source_port;
    unsigned destination_port;
    const uint8_t *tlv[256]; /* by type: NULL, or its value */
    size_t n_tlv[256];
};

/* The CRC-32C of RFC 4960, appendix B, by division of the whole. */
uint32_t proxy_reader_crc32c(const uint8_t *data, size_t n);

/* Returns how many bytes the header takes, or 0 with what is wrong with it. */
size_t proxy_reader_read(const uint8_t *data, size_t n, struct proxy_reading *ret,
                         const char **ret_why);
