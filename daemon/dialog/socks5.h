/* SOCKS 5 (RFC 1928): CONNECT to an address, or to a name that the proxy resolves; without
 * authentication or with user and password (RFC 1929). */
#pragma once

#include "daemon/dialog/socks.h"

#define SOCKS5_CREDENTIAL_MAX 255 /* bytes of user and of password, 1 at least: RFC 1929, 2 */
#define SOCKS5_METHODS_MAX    2 /* that can be offered at once: the rows of the table in socks5.c */

struct socks5_setup {
    struct socks_destination to;
    struct text user; /* data NULL: neither user nor password */
    struct text password;
    bool may_be_anonymous; /* although there are user and password: the proxy need not ask */
};

struct socks5 {
    struct dialog dialog;
    /* Who takes the answer to what is being sent, and how long that is. */
    void (*hear)(struct socks5 *s, const uint8_t *data);
    size_t n_answer;
    uint8_t greeting[2 + SOCKS5_METHODS_MAX];
    uint8_t login[3 + 2 * SOCKS5_CREDENTIAL_MAX]; /* wiped as soon as it is not needed */
    uint8_t request[4 + 1 + SOCKS_NAME_MAX + 2];
    size_t n_login;
    size_t n_request;
};

/* Copies what it needs. A name (BAD_TARGET) or credentials (PROXY_AUTH) of a length that the
 * protocol does not have make a dialog that has failed. */
void socks5_init(struct socks5 *s, const struct socks5_setup *setup);
