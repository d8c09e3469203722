/* SOCKS 5 (RFC 1928): CONNECT to an address, or to a name that the proxy resolves; without
 * authentication, with user and password (RFC 1929), or with GSSAPI (socks5_gssapi.h). Where one
 * method comes to nothing because there is no ticket, or the proxy does not take it, the others are
 * offered on a new connection. */
#pragma once

#include "daemon/dialog/socks.h"

#define SOCKS5_CREDENTIAL_MAX 255 /* bytes of user and of password, 1 at least: RFC 1929, 2 */
#define SOCKS5_METHODS_MAX    3 /* that can be offered at once: the rows of the table in socks5.c */
#define SOCKS5_ROUNDS_MAX     8 /* tokens of GSSAPI */

struct socks5;

struct socks5_setup {
    struct socks_destination to;
    struct text user; /* data NULL: neither user nor password */
    struct text password;
    bool may_be_anonymous;          /* although there are credentials: the proxy need not ask */
    const struct gss_settings *gss; /* outlives the dialog; NULL: no GSSAPI */
};

struct socks5_gssapi {
    const struct gss_settings *settings;
    struct gss_question question;
    void (*answered)(struct socks5 *s, const struct gss_answer *answer, const char *why);
    bool is_complete; /* the context; then it is about the level of protection */
    unsigned n_rounds;
    char *heard;
    uint8_t *said; /* wiped */
    size_t n_said;
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
    struct socks5_gssapi gssapi;
};

/* Copies what it needs. A name (BAD_TARGET) or credentials (PROXY_AUTH) of a length that the
 * protocol does not have make a dialog that has failed. */
void socks5_init(struct socks5 *s, const struct socks5_setup *setup);
