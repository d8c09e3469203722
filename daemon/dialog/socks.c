/* Nobody's state: the rules for names, and what can be guessed of a peer that is no SOCKS proxy. */
#include "daemon/dialog/socks.h"

#include <string.h>

#define TLS_ALERT     21 /* RFC 8446, 5.1: the content type of a record */
#define TLS_HANDSHAKE 22

/* A NUL would end the name in SOCKS 4a, and in SOCKS 5 in proxies that are written in C: they would
 * connect to another name than was allowed. */
bool socks_check_name(struct dialog *d, struct text name)
{
    if (name.n == 0 || name.n > SOCKS_NAME_MAX) {
        dialog_fail(d, ERROR_BAD_TARGET, "a name has 1 to %u bytes, not %zu", SOCKS_NAME_MAX,
                    name.n);
        return false;
    }
    if (memchr(name.data, '\0', name.n)) {
        dialog_fail(d, ERROR_BAD_TARGET, "a name has no NUL in it");
        return false;
    }
    return true;
}

size_t socks_put_port(uint8_t *out, uint16_t port)
{
    out[0] = (uint8_t)(port >> 8);
    out[1] = (uint8_t)port;
    return sizeof port;
}

static const char *guess_protocol(uint8_t first)
{
    switch (first) {
    case 0:
    case 4:
        return ": it may be a SOCKS 4 proxy";
    case 5:
        return ": it may be a SOCKS 5 proxy";
    case 'H':
        return ": it may be an HTTP proxy";
    case TLS_ALERT:
    case TLS_HANDSHAKE:
        return ": it may speak TLS on this port";
    }
    return "";
}

void socks_fail_version(struct dialog *d, uint8_t version, uint8_t expected)
{
    dialog_fail(d, ERROR_PROXY_PROTOCOL, "its answer starts with byte %u instead of %u%s", version,
                expected, guess_protocol(version));
}
