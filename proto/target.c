/* The target parser: strict, one pass from left to right, no backtracking into another meaning. */
#include "proto/target.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "proto/cleanup.h"

static const struct scheme_entry {
    const char *name;
    uint16_t port;
} schemes[] = {
#define X(name, text, port) [SCHEME_##name] = {text, port},
    SCHEME_LIST(X)
#undef X
};

const char *scheme_name(enum scheme scheme)
{
    return schemes[scheme].name;
}

uint16_t scheme_default_port(enum scheme scheme)
{
    return schemes[scheme].port;
}

bool scheme_is_tls(enum scheme scheme)
{
    switch (scheme) {
    case SCHEME_TCP:
    case SCHEME_HTTP:
    case SCHEME_WS:
    case SCHEME_UNIX:
        return false;
    case SCHEME_TLS:
    case SCHEME_HTTPS:
    case SCHEME_WSS:
    case SCHEME_SMTP:
    case SCHEME_IMAP:
    case SCHEME_POP3:
    case SCHEME_FTP:
    case SCHEME_LDAP:
    case SCHEME_XMPP:
    case SCHEME_POSTGRES:
    case SCHEME_MYSQL:
        return true;
    }
    return false;
}

static char to_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

int scheme_parse(const char *text, size_t n, enum scheme *ret)
{
    for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
        size_t k = 0;

        if (strlen(schemes[i].name) != n)
            continue;
        while (k < n && to_lower(text[k]) == schemes[i].name[k])
            k++;
        if (k == n) {
            *ret = (enum scheme)i;
            return 0;
        }
    }
    return -EINVAL;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_name_char(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || c == '-' || c == '_';
}

/* RFC 1035, 2.3.4 and RFC 1123, 2.1 */
static int check_label(const char *label, size_t n, const char **ret_error)
{
    if (n == 0) {
        *ret_error = "the host name has an empty label";
        return -EINVAL;
    }
    if (n > 63) {
        *ret_error = "a label of the host name is longer than 63 bytes";
        return -EINVAL;
    }
    if (label[0] == '-' || label[n - 1] == '-') {
        *ret_error = "a label of the host name begins or ends with a hyphen";
        return -EINVAL;
    }
    for (size_t i = 0; i < n; i++) {
        if (!is_name_char(label[i])) {
            *ret_error = "the host name may have letters, digits, '-', '_' and '.' only"
                         " (names in other scripts: their xn-- form)";
            return -EINVAL;
        }
    }
    return 0;
}

/* A last label that is a number is no name (WHATWG URL, "ends in a number"): such a text is an IPv4
 * address or nothing, however resolvers would read "127.1", "0x7f.1" or "2130706433". */
static bool label_is_number(const char *label, size_t n)
{
    if (n > 2 && label[0] == '0' && label[1] == 'x')
        return true;
    for (size_t i = 0; i < n; i++) {
        if (!is_digit(label[i]))
            return false;
    }
    return true;
}

int host_parse_name(const char *text, size_t n, char ret[TARGET_HOST_MAX + 1],
                    const char **ret_error)
{
    char name[TARGET_HOST_MAX + 1];
    size_t start = 0;

    if (n > 0 && text[n - 1] == '.')
        n--;
    if (n == 0) {
        *ret_error = "the host is missing (an IPv6 address needs brackets)";
        return -EINVAL;
    }
    if (n > TARGET_HOST_MAX) {
        *ret_error = "the host name is longer than 253 bytes";
        return -EINVAL;
    }
    for (size_t i = 0; i < n; i++)
        name[i] = to_lower(text[i]);
    name[n] = '\0';
    for (size_t i = 0; i <= n; i++) {
        if (i < n && name[i] != '.')
            continue;
        if (check_label(name + start, i - start, ret_error) < 0)
            return -EINVAL;
        if (i == n && label_is_number(name + start, i - start)) {
            *ret_error = "not an IPv4 address of four decimal parts without leading zeros";
            return -EINVAL;
        }
        start = i + 1;
    }
    memcpy(ret, name, n + 1);
    return 0;
}

int host_parse_ipv4(const char *text, size_t n, struct in_addr *ret)
{
    uint32_t address = 0;
    size_t i = 0;

    for (int part = 0; part < 4; part++) {
        unsigned value = 0;
        size_t start = i;

        if (part > 0 && (i >= n || text[i++] != '.'))
            return -EINVAL;
        start = i;
        while (i < n && is_digit(text[i]) && i - start < 3)
            value = value * 10 + (unsigned)(text[i++] - '0');
        if (i == start || value > 255 || (text[start] == '0' && i - start > 1))
            return -EINVAL;
        address = address << 8 | value;
    }
    if (i != n)
        return -EINVAL;
    ret->s_addr = htonl(address);
    return 0;
}

int host_parse_ipv6(const char *text, size_t n, struct in6_addr *ret)
{
    char copy[INET6_ADDRSTRLEN];

    if (n == 0 || n >= sizeof copy || memchr(text, '\0', n))
        return -EINVAL;
    memcpy(copy, text, n);
    copy[n] = '\0';
    return inet_pton(AF_INET6, copy, ret) == 1 ? 0 : -EINVAL;
}

int port_parse(const char *text, size_t n, uint16_t *ret)
{
    unsigned value = 0;

    if (n == 0 || n > 5 || text[0] == '0')
        return -EINVAL;
    for (size_t i = 0; i < n; i++) {
        if (!is_digit(text[i]))
            return -EINVAL;
        value = value * 10 + (unsigned)(text[i] - '0');
    }
    if (value > UINT16_MAX)
        return -EINVAL;
    *ret = (uint16_t)value;
    return 0;
}

static int parse_host(const char *text, size_t n, struct target *t, const char **ret_error)
{
    if (n > 0 && text[0] == '[') {
        if (host_parse_ipv6(text + 1, n - 2, &t->ipv6) < 0) {
            *ret_error = "not an IPv6 address in the brackets (zones are not supported)";
            return -EINVAL;
        }
        t->host_kind = HOST_IPV6;
        inet_ntop(AF_INET6, &t->ipv6, t->host, sizeof t->host);
        return 0;
    }
    if (host_parse_ipv4(text, n, &t->ipv4) == 0) {
        t->host_kind = HOST_IPV4;
        inet_ntop(AF_INET, &t->ipv4, t->host, sizeof t->host);
        return 0;
    }
    t->host_kind = HOST_NAME;
    return host_parse_name(text, n, t->host, ret_error);
}

static int parse_port(const char *text, size_t n, bool is_given, struct target *t,
                      const char **ret_error)
{
    if (!is_given) {
        t->port = schemes[t->scheme].port;
        if (t->port != 0)
            return 0;
        *ret_error = "this scheme needs a port, as in tcp://host:22";
        return -EINVAL;
    }
    if (port_parse(text, n, &t->port) == 0)
        return 0;
    *ret_error = "the port is not a number from 1 to 65535 without leading zeros";
    return -EINVAL;
}

/* RFC 3986, 3.3 and 3.4, as far as a request line needs it: printable, no space, no fragment. */
static int parse_path(const char *text, size_t n, struct target *t, const char **ret_error)
{
    bool is_kept = t->scheme == SCHEME_WS || t->scheme == SCHEME_WSS;

    if (n > 0 && !is_kept && t->scheme != SCHEME_HTTP && t->scheme != SCHEME_HTTPS) {
        *ret_error = "this scheme has no path";
        return -EINVAL;
    }
    if (n > TARGET_PATH_MAX) {
        *ret_error = "the path is longer than 1024 bytes";
        return -EINVAL;
    }
    for (size_t i = 0; i < n; i++) {
        if (text[i] <= ' ' || text[i] > '~' || text[i] == '#' || text[i] == '\\') {
            *ret_error = "the path has a character that must be percent-encoded";
            return -EINVAL;
        }
    }
    if (!is_kept)
        return 0;
    if (n == 0) {
        strcpy(t->path, "/");
        return 0;
    }
    memcpy(t->path, text, n);
    t->path[n] = '\0';
    return 0;
}

static int parse_unix(const char *text, size_t n, struct target *t, const char **ret_error)
{
    if (n == 0 || text[0] != '/') {
        *ret_error = "unix: needs an absolute path, as in unix:/run/app.sock";
        return -EINVAL;
    }
    if (n > TARGET_UNIX_MAX) {
        *ret_error = "the socket's path is longer than 107 bytes";
        return -EINVAL;
    }
    for (size_t i = 0; i < n; i++) {
        if (text[i] < ' ' || text[i] > '~') {
            *ret_error = "the socket's path has a character that is not printable ASCII";
            return -EINVAL;
        }
    }
    for (size_t i = 0; i < n; i++) {
        size_t k = i + 1;

        if (text[i] != '/')
            continue;
        while (k < n && text[k] != '/')
            k++;
        if (k == i + 1 || (k == i + 2 && text[i + 1] == '.') ||
            (k == i + 3 && text[i + 1] == '.' && text[i + 2] == '.')) {
            *ret_error = "the socket's path must be in its shortest form, without //, . and ..";
            return -EINVAL;
        }
    }
    memcpy(t->path, text, n);
    t->path[n] = '\0';
    t->host_kind = HOST_PATH;
    return 0;
}

/* What is behind "://": splits it into host, port and path. */
static int parse_authority(const char *text, size_t n, struct target *t, const char **ret_error)
{
    size_t host_end = 0, port_end;
    bool has_port;

    if (n > 0 && text[0] == '[') {
        while (host_end < n && text[host_end] != ']' && text[host_end] != '/')
            host_end++;
        if (host_end >= n || text[host_end] != ']') {
            *ret_error = "the ']' of the IPv6 address is missing";
            return -EINVAL;
        }
        host_end++;
    } else {
        while (host_end < n && !strchr(":/?#", text[host_end]))
            host_end++;
    }
    has_port = host_end < n && text[host_end] == ':';
    port_end = host_end;
    while (port_end < n && !strchr("/?#", text[port_end]))
        port_end++;
    if (memchr(text, '@', port_end)) {
        *ret_error = "a user or password in a target is not supported";
        return -EINVAL;
    }
    if (!has_port && port_end != host_end) {
        *ret_error = "something other than :port follows the address";
        return -EINVAL;
    }
    if (port_end < n && text[port_end] != '/') {
        *ret_error = "a '?' or '#' needs a path before it";
        return -EINVAL;
    }
    if (parse_host(text, host_end, t, ret_error) < 0)
        return -EINVAL;
    if (parse_port(text + host_end + 1, has_port ? port_end - host_end - 1 : 0, has_port, t,
                   ret_error) < 0)
        return -EINVAL;
    return parse_path(text + port_end, n - port_end, t, ret_error);
}

int target_parse(const char *text, size_t n, struct target *ret, const char **ret_error)
{
    struct target t = {.scheme = SCHEME_TCP};
    size_t colon = 0;
    bool is_unknown;
    int r;

    if (n > TARGET_MAX) {
        *ret_error = "the target is longer than 2048 bytes";
        return -EINVAL;
    }
    if (memchr(text, '\0', n)) {
        *ret_error = "the target has a NUL byte";
        return -EINVAL;
    }
    while (colon < n && text[colon] != ':')
        colon++;
    is_unknown = scheme_parse(text, colon, &t.scheme) < 0;
    if (colon == n || (is_unknown && (n - colon < 3 || memcmp(text + colon, "://", 3) != 0))) {
        *ret_error = "the scheme is missing, as in https://host or tcp://host:22";
        return -EINVAL;
    }
    if (is_unknown) {
        *ret_error = "unknown scheme (tcp tls http https ws wss unix, or smtp imap pop3 ftp ldap"
                     " xmpp postgres mysql with +starttls)";
        return -EINVAL;
    }
    text += colon + 1;
    n -= colon + 1;
    if (t.scheme == SCHEME_UNIX) {
        r = parse_unix(text, n, &t, ret_error);
    } else if (n < 2 || text[0] != '/' || text[1] != '/') {
        *ret_error = "the scheme must be followed by ://host";
        r = -EINVAL;
    } else {
        r = parse_authority(text + 2, n - 2, &t, ret_error);
    }
    if (r < 0)
        return r;
    *ret = t;
    return 0;
}

void target_format(const struct target *t, char *buf)
{
    const char *open = t->host_kind == HOST_IPV6 ? "[" : "";
    const char *close = t->host_kind == HOST_IPV6 ? "]" : "";
    char port[8] = "";

    if (t->scheme == SCHEME_UNIX) {
        snprintf(buf, TARGET_TEXT_MAX, "unix:%s", t->path);
        return;
    }
    if (t->port != schemes[t->scheme].port)
        snprintf(port, sizeof port, ":%u", t->port);
    snprintf(buf, TARGET_TEXT_MAX, "%s://%s%s%s%s%s", schemes[t->scheme].name, open, t->host, close,
             port, t->path);
}
