/* What `no-proxy` of a rule says: targets that are reached directly all the same.
 *
 *     host[:ports]       this name, this address, or the addresses of this prefix
 *     .name[:ports]      this name and all below it
 *
 * Written as in patterns; IPv6 addresses in brackets. Absent ports: all of them. A name is never
 * looked up for it, so addresses and prefixes match literals only. It becomes a pattern for any
 * scheme, which no Unix path matches. */
#pragma once

#include "daemon/policy/pattern.h"

/* Returns 0; -EINVAL with a sentence in *ret_error; -ENOMEM. */
int no_proxy_parse(const char *text, struct pattern *ret, const char **ret_error);
