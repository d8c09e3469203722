/* GSSAPI as a method of SOCKS 5 (RFC 1961), for authentication only: what goes through the proxy
 * afterwards is as it is without. The proxy is told so with a level of protection 0, which the RFC
 * does not have and proxies do; one that insists on another is refused. A part of socks5.c. */
#pragma once

#include "daemon/dialog/socks5.h"

void socks5_gssapi_start(struct socks5 *s);
void socks5_gssapi_deinit(struct socks5 *s);

/* socks5.c: sends, and then wants n_answer bytes for `hear`; with 0 of them, calls it with NULL. */
void socks5_say(struct socks5 *s, const uint8_t *data, size_t n, size_t n_answer,
                void (*hear)(struct socks5 *s, const uint8_t *data));
/* Wants n bytes for `hear`. */
void socks5_listen(struct socks5 *s, size_t n, void (*hear)(struct socks5 *s, const uint8_t *data));
/* The method is through. */
void socks5_say_request(struct socks5 *s);
/* Begins again on a new connection, without the method; false where there is no other. */
bool socks5_try_others(struct socks5 *s, uint8_t method);

#define SOCKS5_METHOD_GSSAPI 0x01
