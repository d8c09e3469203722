/* What SOCKS 4 and 5 have in common. */
#pragma once

#include "daemon/base/address.h"
#include "daemon/dialog/dialog.h"

#define SOCKS_NAME_MAX 255 /* bytes: RFC 1928, 5; SOCKS 4a names no limit */

/* Where the proxy is asked to connect to. */
struct socks_destination {
    struct text name;       /* the proxy resolves it; data NULL: it is the address */
    struct address address; /* without a name */
    uint16_t port;          /* host byte order */
};

/* Whether the name can be said to a proxy. If not, the dialog has failed. */
bool socks_check_name(struct dialog *dialog, struct text name);
/* Writes the port as it goes over the wire. Returns its length. */
size_t socks_put_port(uint8_t *out, uint16_t port);
/* Fails because an answer does not start with the byte it should. */
void socks_fail_version(struct dialog *dialog, uint8_t version, uint8_t expected);
