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
    unsigned layers;
} schemes[] = {
#define X(name, text, port, layers) [SCHEME_##name] = {text, port, layers},
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
    return schemes[scheme].layers & LAYER_TLS;
}

bool scheme_is_starttls(enum scheme scheme)
{
    return schemes[scheme].layers & LAYER_STARTTLS;
}

bool scheme_is_websocket(enum scheme scheme)
{
    return schemes[scheme].layers & LAYER_WEBSOCKET;
}

int scheme_parse(const char *text, size_t n, enum scheme *ret)
{
    for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
        size_t k = 0;

        if (strlen(schemes[i].name) != n)
            continue;
        while (k < n && ascii_to_lower(text[k]) == schemes[i].name[k])
            k++;
        if (k == n) {
            *ret = (enum scheme)i;
            return 0;
        }
    }
    return -EINVAL;
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
    bool is_kept = scheme_is_websocket(t->scheme);

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
