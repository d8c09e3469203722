#include "daemon/base/base64.h"

#include <stdint.h>

void base64_encode(char *to, const void *data, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
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
