/* Where the connections of a rule come from: a local address, or an interface. Name servers and
 * Unix sockets are not its concern. */
#pragma once

#include <netinet/in.h>

#include "daemon/policy/config.h"

#define SOURCE_TEXT_MAX ADDRESS_TEXT_MAX /* more than an interface's name */

/* For a TCP socket that is not connected yet. Two system calls at most, none of which waits; the
 * ring of the oldest kernels we run on has no bind. Returns 0 or -errno: EADDRNOTAVAIL where the
 * host has no such address, ENODEV where it has no such interface. */
int source_bind(const struct source *source, int fd);
void source_format(const struct source *source, char text[SOURCE_TEXT_MAX]);
