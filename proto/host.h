/* Hosts and ports as they may stand in a target, a pattern or the configuration. One form each:
 * what resolvers and inet_aton(3) would read besides is refused. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TARGET_HOST_MAX 253 /* RFC 1035, 2.3.4, as text without the trailing dot */

/* Of ASCII, whatever the locale. */
static inline char ascii_to_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

/* Checks n bytes and gives the canonical form. Brackets are not part of it. Returns 0 or -EINVAL,
 * for a name with a sentence. */
int host_parse_name(const char *text, size_t n, char ret[TARGET_HOST_MAX + 1],
                    const char **ret_error);
int host_parse_ipv4(const char *text, size_t n, struct in_addr *ret);
int host_parse_ipv6(const char *text, size_t n, struct in6_addr *ret);
/* Whether something follows a host, or IPv6 in brackets, behind a colon; neither is checked. */
bool host_has_port(const char *text);
/* Decimal, 1 to 65535, no leading zero. */
int port_parse(const char *text, size_t n, uint16_t *ret);
