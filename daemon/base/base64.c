#include "daemon/base/base64.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(char *to, const void *data, size_t n)
{
    const uint8_t *bytes = data;

    for (size_t i = 0; i < n; i += 3) {
        uint32_t b1 = i + 1 < n ? bytes[i + 1] : 0, b2 = i + 2 < n ? bytes[i + 2] : 0;
        uint32_t group = (uint32_t)bytes[i] << 16 | b1 << 8 | b2;

        *to++ = digits[group >> 18];
        *to++ = digits[group >> 12 & 63];
        *to++ = i + 1 < n ? digits[group >> 6 & 63] : '=';
        *to++ = i + 2 < n ? digits[group & 63] : '=';
    }
    *to = '\0';
}

static int value_of(char c)
{
    const char *digit = c ? strchr(digits, c) : NULL;

    return digit ? (int)(digit - digits) : -1;
}

int base64_decode(void *to, const char *text, size_t n, size_t *ret_n)
{
    size_t n_padding = 0, length = 0;
    uint8_t *bytes = to;
    uint32_t bits = 0;

    while (n_padding < 2 && n_padding < n && text[n - 1 - n_padding] == '=')
        n_padding++;
    if (n % 4 != 0)
        return -EINVAL;
    for (size_t i = 0; i < n - n_padding; i++) {
        int value = value_of(text[i]);

        if (value < 0)
            return -EINVAL;
        bits = bits << 6 | (uint32_t)value;
        if (i % 4 > 0)
            bytes[length++] = (uint8_t)(bits >> (6 - 2 * (i % 4)));
    }
    /* What does not fill a byte is zero: one text for each data. */
    if (n_padding > 0 && bits & ((1u << 2 * n_padding) - 1))
        return -EINVAL;
    *ret_n = length;
    return 0;
}
