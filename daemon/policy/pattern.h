/* Target patterns: what `allow` and `deny` say.
 *
 *     scheme://host[:ports]      scheme: of a target, or "*"
 *     unix:/path                 exactly this path
 *
 * host: a name; "*.name" for what is below it, not itself; "*" for anything; an address; an address
 * prefix (10.0.0.0/8, [2001:db8::]/32), which matches literals only. ports: a list of ports and
 * ranges "80,443,8000-8080", or "*"; absent: the scheme's own, an error where it has none.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/target.h"

#define PATTERN_MAX       1024 /* bytes of text */
#define PATTERN_PORTS_MAX 16   /* ranges in one pattern */

enum pattern_host {
    PATTERN_ANY,       /* "*": also unix: paths when the scheme is "*" */
    PATTERN_NAME,
    PATTERN_BELOW,     /* "*.name" */
    PATTERN_PREFIX,    /* address or prefix */
    PATTERN_PATH,
};

struct port_range {
    uint16_t first;
    uint16_t last;
};

struct pattern {
    bool is_any_scheme;
    enum scheme scheme;
    enum pattern_host host_kind;
    char *host; /* PATTERN_NAME, PATTERN_BELOW (without "*."), PATTERN_PATH */
    bool is_ipv6;
    unsigned prefix_bits;
    uint8_t prefix[16];
    struct port_range ports[PATTERN_PORTS_MAX];
    size_t n_ports;
};

/* Returns 0; -EINVAL with a sentence in *ret_error; -ENOMEM. */
int pattern_parse(const char *text, struct pattern *ret, const char **ret_error);
void pattern_deinit(struct pattern *pattern);
bool pattern_matches(const struct pattern *pattern, const struct target *target);
/* The same with the target's host replaced by `name`, for tls-name. */
bool pattern_matches_name(const struct pattern *pattern, const struct target *target,
                          const char *name);
