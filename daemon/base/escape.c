#include "daemon/base/escape.h"

#include <stdbool.h>
#include <stdio.h>

void escape(char *to, size_t size, const char *from, size_t n)
{
    size_t length = 0;

    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)from[i];
        bool is_plain = c >= 0x20 && c < 0x7f && c != '\\';

        if (length + (is_plain ? 1 : 4) >= size)
            break;
        if (is_plain)
            to[length++] = (char)c;
        else
            length += (size_t)snprintf(to + length, size - length, "\\x%02x", c);
    }
    to[length] = '\0';
}
