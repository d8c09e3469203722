/* Targets: `scheme://host[:port][/path]` and `unix:/path`. One strict parser for library and
 * daemon.
 *
 * Hosts are LDH names (RFC 1123, 2.1; letters, digits, hyphen; also the underscore, which DNS names
 * of services carry), IPv4 addresses of four decimal parts without leading zeros, or IPv6
 * addresses in brackets (RFC 3986, 3.2.2, without zone). There is no userinfo, query only in a
 * WebSocket path, no fragment, no percent-decoding. Names are folded to lower case and lose one
 * trailing dot. A path is allowed for `http`, `https`, `ws` and `wss`, and kept for the last two.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/host.h"

#define TARGET_MAX      2048 /* bytes of a target's text, without the final NUL */
#define TARGET_PATH_MAX 1024
#define TARGET_UNIX_MAX 107 /* sun_path, less the NUL */

/* What a scheme means between the socket and what the client gets. */
enum scheme_layer {
    LAYER_STARTTLS = 1, /* what is said in the clear before TLS */
    LAYER_TLS = 2,
    LAYER_WEBSOCKET = 4, /* the upgrade */
};

/* X(NAME, "scheme", default port or 0, layers) */
#define SCHEME_LIST(X)                                                                             \
    X(TCP, "tcp", 0, 0)                                                                            \
    X(TLS, "tls", 0, LAYER_TLS)                                                                    \
    X(HTTP, "http", 80, 0)                                                                         \
    X(HTTPS, "https", 443, LAYER_TLS)                                                              \
    X(WS, "ws", 80, LAYER_WEBSOCKET)                                                               \
    X(WSS, "wss", 443, LAYER_TLS | LAYER_WEBSOCKET)                                                \
    X(SMTP, "smtp+starttls", 25, LAYER_STARTTLS | LAYER_TLS)                                       \
    X(IMAP, "imap+starttls", 143, LAYER_STARTTLS | LAYER_TLS)                                      \
    X(POP3, "pop3+starttls", 110, LAYER_STARTTLS | LAYER_TLS)                                      \
    X(FTP, "ftp+starttls", 21, LAYER_STARTTLS | LAYER_TLS)                                         \
    X(LDAP, "ldap+starttls", 389, LAYER_STARTTLS | LAYER_TLS)                                      \
    X(XMPP, "xmpp+starttls", 5222, LAYER_STARTTLS | LAYER_TLS)                                     \
    X(POSTGRES, "postgres+starttls", 5432, LAYER_STARTTLS | LAYER_TLS)                             \
    X(MYSQL, "mysql+starttls", 3306, LAYER_STARTTLS | LAYER_TLS)                                   \
    X(UNIX, "unix", 0, 0)

enum scheme {
#define X(name, text, port, layers) SCHEME_##name,
    SCHEME_LIST(X)
#undef X
};

enum host_kind {
    HOST_NAME,
    HOST_IPV4,
    HOST_IPV6,
    HOST_PATH, /* unix: `path` is the socket's */
};

struct target {
    enum scheme scheme;
    enum host_kind host_kind;
    uint16_t port;                  /* host byte order; 0 for unix */
    char host[TARGET_HOST_MAX + 1]; /* name or address, canonical, without brackets; "" for unix */
    struct in_addr ipv4;            /* for HOST_IPV4 */
    struct in6_addr ipv6;           /* for HOST_IPV6 */
    /* ws, wss: the request target, "/" when absent; unix: the path */
    char path[TARGET_PATH_MAX + 1];
};

/* Longest canonical text: scheme, "://", brackets, host, port, path, NUL. */
#define TARGET_TEXT_MAX (32 + TARGET_HOST_MAX + 8 + TARGET_PATH_MAX + 1)

/* Parses n bytes of text (a NUL inside is an error). Returns 0, or -EINVAL with one sentence for
 * people in *ret_error. */
int target_parse(const char *text, size_t n, struct target *ret, const char **ret_error);

/* Writes the canonical text (default ports left out) to buf of TARGET_TEXT_MAX bytes. */
void target_format(const struct target *target, char *buf);

const char *scheme_name(enum scheme scheme);
/* True where the layer handed to the client is TLS. */
bool scheme_is_tls(enum scheme scheme);
bool scheme_is_starttls(enum scheme scheme); /* TLS comes behind a dialog in the clear */
bool scheme_is_websocket(enum scheme scheme);
uint16_t scheme_default_port(enum scheme scheme);
/* Looks up n bytes; returns 0 or -EINVAL. */
int scheme_parse(const char *text, size_t n, enum scheme *ret);
