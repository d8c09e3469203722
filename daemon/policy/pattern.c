/* Patterns are taken apart once, when the configuration is read; matching allocates nothing and
 * looks at the parsed target only. Both sides went through the same host parsers (proto/target), so
 * names are compared as bytes: folded to lower case, without trailing dot; addresses as numbers.
 *
 * `allow` is matched to the letter, `deny` generously: whoever denies 10.0.0.0/8 also means
 * [::ffff:10.0.0.1], which the kernel connects over IPv4, and the other ways to write it. */
#include "daemon/policy/pattern.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/address.h"
#include "proto/cleanup.h"

/* An error sentence and -EINVAL in one. */
static int refuse(const char **ret_error, const char *sentence)
{
    *ret_error = sentence;
    return -EINVAL;
}

static int parse_bits(const char *text, size_t n, unsigned max, unsigned *ret)
{
    unsigned bits = 0;

    if (n < 1 || n > 3 || (n > 1 && text[0] == '0'))
        return -EINVAL;
    for (size_t i = 0; i < n; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -EINVAL;
        bits = bits * 10 + (unsigned)(text[i] - '0');
    }
    if (bits > max)
        return -EINVAL;
    *ret = bits;
    return 0;
}

static bool is_bit_set(const uint8_t *bytes, unsigned bit)
{
    return bytes[bit / 8] & (0x80u >> (bit % 8));
}

/* `text` is what follows the address: nothing, or a slash and the length. */
static int parse_prefix(const char *text, size_t n, struct pattern *p, const char **ret_error)
{
    unsigned size = p->is_ipv6 ? 128 : 32;

    p->host_kind = PATTERN_PREFIX;
    p->prefix_bits = size;
    if (n == 0)
        return 0;
    if (text[0] != '/')
        return refuse(ret_error, "after an address comes a prefix length, '/8', or ports, ':443'");
    if (parse_bits(text + 1, n - 1, size, &p->prefix_bits) < 0)
        return refuse(ret_error, p->is_ipv6
                                     ? "write a prefix length of 0 to 128 after the slash; a "
                                       "pattern has no path"
                                     : "write a prefix length of 0 to 32 after the slash; a "
                                       "pattern has no path");
    for (unsigned bit = p->prefix_bits; bit < size; bit++)
        if (is_bit_set(p->prefix, bit))
            return refuse(ret_error, "the address has bits set behind its prefix; write the first "
                                     "address of the prefix, or a longer one");
    return 0;
}

static int copy_host(struct pattern *p, enum pattern_host kind, const char *host)
{
    p->host = strdup(host);
    if (!p->host)
        return -ENOMEM;
    p->host_kind = kind;
    return 0;
}

static int parse_wildcard(const char *text, size_t n, struct pattern *p, const char **ret_error)
{
    char name[TARGET_HOST_MAX + 1];
    struct in_addr ignored;
    int r;

    if (n == 1) {
        p->host_kind = PATTERN_ANY;
        return 0;
    }
    if (text[0] != '*' || text[1] != '.' || memchr(text + 1, '*', n - 1))
        return refuse(ret_error,
                      "'*' stands for a whole host, or as '*.name' for what is below it");
    if (host_parse_ipv4(text + 2, n - 2, &ignored) == 0)
        return refuse(ret_error, "nothing is below an address; write a prefix like 10.0.0.0/8");
    r = host_parse_name(text + 2, n - 2, name, ret_error);
    return r < 0 ? r : copy_host(p, PATTERN_BELOW, name);
}

static int parse_plain_host(const char *text, size_t n, struct pattern *p, const char **ret_error)
{
    const char *slash = memchr(text, '/', n);
    size_t n_host = slash ? (size_t)(slash - text) : n;
    char name[TARGET_HOST_MAX + 1];
    struct in_addr address;
    int r;

    if (n_host == 0)
        return refuse(ret_error, "the host is missing; write a name, an address, or '*'");
    if (host_parse_ipv4(text, n_host, &address) == 0) {
        memcpy(p->prefix, &address, 4);
        return parse_prefix(text + n_host, n - n_host, p, ret_error);
    }
    if (slash)
        return refuse(ret_error, "a pattern ends with the host or its ports; remove the slash");
    if (memchr(text, '*', n))
        return parse_wildcard(text, n, p, ret_error);
    r = host_parse_name(text, n, name, ret_error);
    return r < 0 ? r : copy_host(p, PATTERN_NAME, name);
}

/* "[…]" and what may follow it, up to the ports. *ret_rest is set to where they begin. */
static int parse_bracketed(const char *text, struct pattern *p, const char **ret_rest,
                           const char **ret_error)
{
    const char *end = strchr(text, ']');
    struct in6_addr address;
    size_t n;

    if (!end)
        return refuse(ret_error, "the closing bracket of the IPv6 address is missing");
    if (host_parse_ipv6(text + 1, (size_t)(end - text - 1), &address) < 0)
        return refuse(ret_error, "there is no IPv6 address between the brackets");
    p->is_ipv6 = true;
    memcpy(p->prefix, &address, 16);
    n = strcspn(end + 1, ":");
    *ret_rest = end + 1 + n;
    return parse_prefix(end + 1, n, p, ret_error);
}

static int parse_range(const char *text, size_t n, struct port_range *ret, const char **ret_error)
{
    const char *dash = memchr(text, '-', n);
    size_t n_first = dash ? (size_t)(dash - text) : n;

    if (n == 1 && text[0] == '*')
        return refuse(ret_error, "'*' for all ports stands alone");
    if (port_parse(text, n_first, &ret->first) < 0)
        return refuse(ret_error, "write ports as numbers of 1 to 65535, '443' or '80,8000-8080'");
    ret->last = ret->first;
    if (dash && port_parse(dash + 1, n - n_first - 1, &ret->last) < 0)
        return refuse(ret_error,
                      "write a range of ports as two numbers of 1 to 65535, '8000-8080'");
    if (ret->last < ret->first)
        return refuse(ret_error, "the range of ports is empty; write the lower port first");
    return 0;
}

/* `text` is empty, or begins with the colon. */
static int parse_ports(const char *text, struct pattern *p, const char **ret_error)
{
    uint16_t own = p->is_any_scheme ? 0 : scheme_default_port(p->scheme);

    if (text[0] == '\0') {
        if (own == 0)
            return refuse(ret_error,
                          "this scheme has no port of its own; write ':443', or ':*' for "
                          "all ports");
        p->ports[p->n_ports++] = (struct port_range){own, own};
        return 0;
    }
    if (strcmp(text, ":*") == 0) {
        p->ports[p->n_ports++] = (struct port_range){1, UINT16_MAX};
        return 0;
    }
    for (;;) {
        size_t n = strcspn(++text, ",");
        int r;

        if (p->n_ports == PATTERN_PORTS_MAX)
            return refuse(ret_error, "too many ports in one pattern; write a second pattern");
        r = parse_range(text, n, &p->ports[p->n_ports], ret_error);
        if (r < 0)
            return r;
        p->n_ports++;
        text += n;
        if (*text == '\0')
            return 0;
    }
}

/* What follows "unix:". The target parser knows which paths there are. */
static int parse_path(const char *text, struct pattern *p, const char **ret_error)
{
    struct target target;
    int r = target_parse(text, strlen(text), &target, ret_error);

    return r < 0 ? r : copy_host(p, PATTERN_PATH, target.path);
}

static int parse(const char *text, struct pattern *p, const char **ret_error)
{
    size_t n = strcspn(text, ":");
    const char *host;
    int r;

    if (strlen(text) > PATTERN_MAX)
        return refuse(ret_error, "the pattern is too long");
    if (n == 1 && text[0] == '*')
        p->is_any_scheme = true;
    else if (scheme_parse(text, n, &p->scheme) < 0)
        return refuse(ret_error,
                      n > 0 && strncmp(text + n, "://", 3) == 0
                          ? "this scheme is unknown; fdial(1) lists them, '*://' is all of them"
                          : "write a scheme first, like https://host, or '*://' for all of them");
    if (!p->is_any_scheme && p->scheme == SCHEME_UNIX)
        return parse_path(text, p, ret_error);
    if (strncmp(text + n, "://", 3) != 0)
        return refuse(ret_error, "write '://' between scheme and host");

    host = text + n + 3;
    if (host[0] == '[') {
        r = parse_bracketed(host, p, &host, ret_error);
    } else if (strchr(host, ':') != strrchr(host, ':')) {
        return refuse(ret_error, "an IPv6 address needs brackets, '[2001:db8::1]:443'");
    } else {
        n = strcspn(host, ":");
        r = parse_plain_host(host, n, p, ret_error);
        host += n;
    }
    return r < 0 ? r : parse_ports(host, p, ret_error);
}

int pattern_parse(const char *text, struct pattern *ret, const char **ret_error)
{
    struct pattern p = {0};
    const char *error = "";
    int r = parse(text, &p, &error);

    if (r < 0) {
        if (r == -EINVAL)
            *ret_error = error;
        pattern_deinit(&p);
        return r;
    }
    *ret = p;
    return 0;
}

void pattern_init_any(struct pattern *pattern)
{
    *pattern = (struct pattern){
        .is_any_scheme = true,
        .host_kind = PATTERN_ANY,
        .ports = {{1, UINT16_MAX}},
        .n_ports = 1,
    };
}

void pattern_init_any_path(struct pattern *pattern)
{
    *pattern = (struct pattern){.scheme = SCHEME_UNIX, .host_kind = PATTERN_ANY_PATH};
}

void pattern_deinit(struct pattern *pattern)
{
    free(TAKE_PTR(pattern->host));
}

static bool is_below(const char *host, const char *name)
{
    size_t n_host = strlen(host);
    size_t n_name = strlen(name);

    return n_host > n_name + 1 && host[n_host - n_name - 1] == '.' &&
           strcmp(host + n_host - n_name, name) == 0;
}

static bool has_prefix(const uint8_t *address, const uint8_t *prefix, unsigned bits)
{
    unsigned mask = 0xff00u >> (bits % 8) & 0xff;

    if (memcmp(address, prefix, bits / 8) != 0)
        return false;
    return bits % 8 == 0 || (address[bits / 8] & mask) == prefix[bits / 8];
}

static bool is_address_inside(const struct pattern *p, const struct target *t)
{
    if (t->host_kind == HOST_IPV4)
        return !p->is_ipv6 && has_prefix((const uint8_t *)&t->ipv4, p->prefix, p->prefix_bits);
    if (t->host_kind == HOST_IPV6)
        return p->is_ipv6 && has_prefix(t->ipv6.s6_addr, p->prefix, p->prefix_bits);
    return false;
}

static bool is_host_matched(const struct pattern *p, const struct target *t)
{
    switch (p->host_kind) {
    case PATTERN_ANY:
        return t->host_kind != HOST_PATH;
    case PATTERN_NAME:
        return t->host_kind == HOST_NAME && strcmp(t->host, p->host) == 0;
    case PATTERN_BELOW:
        return t->host_kind == HOST_NAME && is_below(t->host, p->host);
    case PATTERN_WITHIN:
        return t->host_kind == HOST_NAME &&
               (strcmp(t->host, p->host) == 0 || is_below(t->host, p->host));
    case PATTERN_PREFIX:
        return is_address_inside(p, t);
    case PATTERN_PATH:
        return t->host_kind == HOST_PATH && strcmp(t->path, p->host) == 0;
    case PATTERN_ANY_PATH:
        return t->host_kind == HOST_PATH;
    }
    return false;
}

static bool is_service_matched(const struct pattern *p, const struct target *t)
{
    if (t->scheme == SCHEME_UNIX)
        return !p->is_any_scheme && p->scheme == SCHEME_UNIX;
    if (!p->is_any_scheme && p->scheme != t->scheme)
        return false;
    for (size_t i = 0; i < p->n_ports; i++)
        if (p->ports[i].first <= t->port && t->port <= p->ports[i].last)
            return true;
    return false;
}

bool pattern_matches(const struct pattern *pattern, const struct target *target)
{
    return is_service_matched(pattern, target) && is_host_matched(pattern, target);
}

static bool is_embedded_matched(const struct pattern *p, const struct in6_addr *ipv6)
{
    const struct address address = {.family = AF_INET6, .ipv6 = *ipv6};
    struct in_addr inner[EMBEDDED_IPV4_MAX];
    size_t n = address_embedded_ipv4(&address, inner);

    for (size_t i = 0; i < n; i++) {
        if (has_prefix((const uint8_t *)&inner[i], p->prefix, p->prefix_bits))
            return true;
    }
    return false;
}

/* A prefix that is wider than the mapped range speaks of IPv6: [::]/0 does not mean IPv4 targets.
 */
static bool is_mapped_form_matched(const struct pattern *p, const struct in_addr *ipv4)
{
    uint8_t mapped[16] = {[10] = 0xff, 0xff};

    memcpy(mapped + 12, ipv4, 4);
    return p->prefix_bits >= 96 && has_prefix(mapped, p->prefix, p->prefix_bits);
}

bool pattern_matches_any_form(const struct pattern *pattern, const struct target *target)
{
    if (pattern_matches(pattern, target))
        return true;
    if (pattern->host_kind != PATTERN_PREFIX || !is_service_matched(pattern, target))
        return false;
    if (target->host_kind == HOST_IPV6 && !pattern->is_ipv6)
        return is_embedded_matched(pattern, &target->ipv6);
    if (target->host_kind == HOST_IPV4 && pattern->is_ipv6)
        return is_mapped_form_matched(pattern, &target->ipv4);
    return false;
}

int pattern_rename_target(const struct target *target, const char *name, struct target *ret)
{
    struct target renamed = *target;
    const char *ignored;
    size_t n = strlen(name);

    if (target->host_kind == HOST_PATH)
        return -EINVAL;
    if (host_parse_ipv4(name, n, &renamed.ipv4) == 0)
        renamed.host_kind = HOST_IPV4;
    else if (host_parse_ipv6(name, n, &renamed.ipv6) == 0)
        renamed.host_kind = HOST_IPV6;
    else if (host_parse_name(name, n, renamed.host, &ignored) == 0)
        renamed.host_kind = HOST_NAME;
    else
        return -EINVAL;
    *ret = renamed;
    return 0;
}
