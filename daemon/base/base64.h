/* Base 64 (RFC 4648, 4), with padding. */
#pragma once

#include <stddef.h>

#define BASE64_LENGTH(n) (((n) + 2) / 3 * 4) /* of n bytes, without a final NUL */

/* Writes BASE64_LENGTH(n) characters and a NUL. */
void base64_encode(char *to, const void *data, size_t n);
/* Writes at most n / 4 * 3 bytes. Returns 0, or -EINVAL for anything but whole groups with their
 * padding. */
int base64_decode(void *to, const char *text, size_t n, size_t *ret_n);
