/* Target patterns: what `allow` and `deny` say.
 *
 *     scheme://host[:ports]      scheme: of a target, or "*" for all of them but unix
 *     unix:/path                 exactly this path
 *
 * host: a name; "*.name" for what is below it, not itself; "*" for any name or address; an address
 * (an IPv6 one in brackets); an address prefix (10.0.0.0/8, [2001:db8::]/32). Addresses and
 * prefixes match literals only, never a name that resolves to them. ports: a list of ports and
 * ranges "80,443,8000-8080", or "*"; absent: the scheme's own, an error where it has none.
 *
 * Unix paths are a permission of their own: no "*" matches them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/target.h"

#define PATTERN_MAX       1024 /* bytes of text */
#define PATTERN_PORTS_MAX 16   /* ranges in one pattern */

enum pattern_host {
    PATTERN_ANY,      /* "*" */
    PATTERN_NAME,     /* this name */
    PATTERN_BELOW,    /* "*.name" */
    PATTERN_WITHIN,   /* this name and what is below it; of no_proxy.h, has no text form here */
    PATTERN_PREFIX,   /* address or prefix */
    PATTERN_PATH,     /* unix: this path */
    PATTERN_ANY_PATH, /* unix: all of them; of the built-in rule, has no text form */
};

struct port_range {
    uint16_t first;
    uint16_t last;
};

struct pattern {
    bool is_any_scheme;
    enum scheme scheme;
    enum pattern_host host_kind;
    char *host; /* PATTERN_NAME, _BELOW (without "*."), _WITHIN, _PATH */
    bool is_ipv6;
    unsigned prefix_bits;
    uint8_t prefix[16];
    struct port_range ports[PATTERN_PORTS_MAX];
    size_t n_ports;
};

/* Returns 0; -EINVAL with a sentence in *ret_error; -ENOMEM. */
int pattern_parse(const char *text, struct pattern *ret, const char **ret_error);
/* Any scheme, host and port; and all Unix paths: what the built-in rule of --user allows. */
void pattern_init_any(struct pattern *pattern);
void pattern_init_any_path(struct pattern *pattern);
void pattern_deinit(struct pattern *pattern);

/* To the letter, for `allow`. */
bool pattern_matches(const struct pattern *pattern, const struct target *target);
/* For `deny`: an IPv6 literal which embeds an IPv4 address (mapped, compatible, NAT64, 6to4,
 * Teredo) is also looked at as that, and an IPv4 one as its mapped form. */
bool pattern_matches_any_form(const struct pattern *pattern, const struct target *target);

/* The target with its host replaced by a name or an address literal (without brackets), so that a
 * tls-name can be held against patterns. Returns 0, or -EINVAL. */
int pattern_rename_target(const struct target *target, const char *name, struct target *ret);
