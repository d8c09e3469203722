/* Strict where the protocol's text is: a line of at most 107 bytes, one space between its words, no
 * leading zeros, exact lengths, each TLV within the header and, here, at most once. */
#include "tests/dialog/proxy_reader.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_V1 107

/* ---- version 1 ---- */

static bool read_port(const char *word, unsigned *ret)
{
    if (strlen(word) == 0 || strlen(word) > 5 || strspn(word, "0123456789") != strlen(word) ||
        (word[0] == '0' && word[1]) || strtoul(word, NULL, 10) > 65535)
        return false;
    *ret = (unsigned)strtoul(word, NULL, 10);
    return true;
}

static bool read_address(const char *word, unsigned family, uint8_t ret[16])
{
    if (family == 6 && strspn(word, "0123456789abcdefABCDEF:") != strlen(word))
        return false;
    return inet_pton(family == 4 ? AF_INET : AF_INET6, word, ret) == 1;
}

static const char *read_words(char *words[6], size_t n_words, struct proxy_reading *ret)
{
    if (n_words >= 2 && strcmp(words[1], "UNKNOWN") == 0)
        return NULL;
    if (n_words != 6)
        return "not six words";
    ret->family = strcmp(words[1], "TCP4") == 0 ? 4 : strcmp(words[1], "TCP6") == 0 ? 6 : 0;
    if (ret->family == 0)
        return "no known family";
    if (!read_address(words[2], ret->family, ret->source) ||
        !read_address(words[3], ret->family, ret->destination))
        return "a bad address";
    if (!read_port(words[4], &ret->source_port) || !read_port(words[5], &ret->destination_port))
        return "a bad port";
    return NULL;
}

static size_t read_v1(const uint8_t *data, size_t n, struct proxy_reading *ret,
                      const char **ret_why)
{
    const uint8_t *end = memchr(data, '\n', n < LINE_MAX_V1 ? n : LINE_MAX_V1);
    char line[LINE_MAX_V1 + 1], *words[6], *rest = line;
    size_t n_line, n_words = 0;

    *ret_why = "no CRLF where it should be";
    if (!end || end == data || end[-1] != '\r')
        return 0;
    n_line = (size_t)(end - data) - 1;
    memcpy(line, data, n_line);
    line[n_line] = '\0';
    if (strlen(line) != n_line || strchr(line, '\r'))
        return 0;
    while (rest && n_words < 6)
        words[n_words++] = strsep(&rest, " ");
    *ret_why = rest ? "more than six words" : read_words(words, n_words, ret);
    return *ret_why ? 0 : n_line + 2;
}

/* ---- version 2 ---- */

/* Without a table and without the low bit first: the message's bits, each byte's lowest first, with
 * the first 32 and the end inverted, divided by the polynomial as the RFC writes it. */
uint32_t proxy_reader_crc32c(const uint8_t *data, size_t n)
{
    uint32_t remainder = 0xffffffff, mirrored = 0;

    for (size_t bit = 0; bit < n * 8; bit++) {
        unsigned next = data[bit / 8] >> bit % 8 & 1;
        bool is_out = (remainder >> 31) != next;

        remainder = remainder << 1 ^ (is_out ? 0x1edc6f41 : 0);
    }
    for (int bit = 0; bit < 32; bit++)
        mirrored |= (remainder >> bit & 1) << (31 - bit);
    return ~mirrored;
}

static bool is_checksum_right(const uint8_t *data, size_t n, const uint8_t *checksum)
{
    uint8_t *copy = malloc(n);
    uint32_t crc;

    if (!copy)
        abort();
    memcpy(copy, data, n);
    memset(copy + (checksum - data), 0, 4);
    crc = proxy_reader_crc32c(copy, n);
    free(copy);
    return checksum[0] == crc >> 24 && checksum[1] == (crc >> 16 & 0xff) &&
           checksum[2] == (crc >> 8 & 0xff) && checksum[3] == (crc & 0xff);
}

static const char *read_tlvs(const uint8_t *data, size_t at, size_t n, struct proxy_reading *ret)
{
    while (at < n) {
        uint8_t type = data[at];
        size_t length;

        if (n - at < 3)
            return "a TLV without a length";
        length = (size_t)data[at + 1] << 8 | data[at + 2];
        at += 3;
        if (length > n - at)
            return "a TLV behind the end";
        if (ret->tlv[type])
            return "a TLV twice";
        ret->tlv[type] = data + at;
        ret->n_tlv[type] = length;
        at += length;
    }
    if (ret->tlv[3] && (ret->n_tlv[3] != 4 || !is_checksum_right(data, n, ret->tlv[3])))
        return "a wrong checksum";
    return NULL;
}

static size_t read_v2(const uint8_t *data, size_t n, struct proxy_reading *ret,
                      const char **ret_why)
{
    size_t whole = 16 + ((size_t)data[14] << 8 | data[15]), at = 16, size;

    *ret_why = "a length behind the end";
    if (whole > n)
        return 0;
    *ret_why = "not LOCAL without, or PROXY over TCP with addresses";
    if (data[12] == 0x21 && (data[13] == 0x11 || data[13] == 0x21)) {
        ret->family = data[13] == 0x11 ? 4 : 6;
        size = ret->family == 4 ? 4 : 16;
        if (whole < at + 2 * size + 4)
            return 0;
        memcpy(ret->source, data + at, size);
        memcpy(ret->destination, data + at + size, size);
        at += 2 * size;
        ret->source_port = data[at] * 256u + data[at + 1];
        ret->destination_port = data[at + 2] * 256u + data[at + 3];
        at += 4;
    } else if (data[12] != 0x20 || data[13] != 0x00) {
        return 0;
    }
    *ret_why = read_tlvs(data, at, whole, ret);
    return *ret_why ? 0 : whole;
}

size_t proxy_reader_read(const uint8_t *data, size_t n, struct proxy_reading *ret,
                         const char **ret_why)
{
    *ret = (struct proxy_reading){.version = 2};
    if (n >= 16 && memcmp(data, "\r\n\r\n\0\r\nQUIT\n", 12) == 0)
        return read_v2(data, n, ret, ret_why);
    ret->version = 1;
    if (n >= 8 && memcmp(data, "PROXY ", 6) == 0)
        return read_v1(data, n, ret, ret_why);
    *ret_why = "no PROXY header";
    return 0;
}
