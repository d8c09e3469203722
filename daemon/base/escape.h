/* Text that came from remote, made fit for a log line or an error: every byte outside printable
 * ASCII, and the backslash, becomes \xNN. */
#pragma once

#include <stddef.h>

/* Writes at most size - 1 bytes (size >= 1) and a NUL; what does not fit is cut, never in the
 * middle of an escape. */
void escape(char *to, size_t size, const char *from, size_t n);
