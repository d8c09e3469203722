/* SOCKS 4 and 4a (the memos "SOCKS: A protocol for TCP proxy across firewalls", Ying-Da Lee, and
 * "SOCKS 4A: A Simple Extension to SOCKS 4 Protocol"; there is no RFC): CONNECT to an IPv4 address,
 * and with 4a to a name that the proxy resolves. There is no password; the user id is what the
 * proxy may ask an identd for. */
#pragma once

#include "daemon/dialog/socks.h"

#define SOCKS4_USER_MAX 255 /* bytes; ours: the memo names no limit */

struct socks4_setup {
    struct socks_destination to;
    struct text user; /* empty where there is none */
    bool is_4a;       /* the proxy takes names */
};

struct socks4 {
    struct dialog dialog;
    uint8_t request[8 + SOCKS4_USER_MAX + 1 + SOCKS_NAME_MAX + 1]; /* with the user: wiped */
};

/* Copies what it needs. What cannot be asked for in this protocol (BAD_TARGET) or is no user id
 * (PROXY_AUTH) makes a dialog that has failed. */
void socks4_init(struct socks4 *s, const struct socks4_setup *setup);
