/* A proxy, as its section of the configuration says: how one hop is reached and gone through.
 * Immutable, and shared by all workers, but for the memories. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "daemon/dialog/http_connect.h"
#include "daemon/dialog/proxy_header.h"
#include "daemon/policy/credential.h"
#include "daemon/tls/tls.h"
#include "proto/target.h"

#define PROXY_HOPS_MAX 4 /* in one `via` */

enum proxy_kind {
    PROXY_HTTP, /* CONNECT */
    PROXY_SOCKS4,
    PROXY_SOCKS4A,
    PROXY_SOCKS5,
};

/* The PROXY header that is sent at the beginning of a connection. */
struct send_proxy {
    enum proxy_header_version version; /* 0: none is sent */
    bool has_alpn;                     /* of version 2; what is not known is left out */
    bool has_authority;
    bool has_unique_id;
    bool has_checksum;
};

struct proxy {
    char *name;
    enum proxy_kind kind;
    struct target endpoint;  /* scheme tcp, or unix: then with the path of the socket */
    char *tls_name;          /* to be verified, as the url has it, also over a Unix socket */
    struct tls_context *tls; /* NULL: it is spoken to in the clear */
    struct send_proxy send_proxy;
    struct http_connect_settings http;
    struct text user, password;   /* data NULL: there is none; also http.auth's */
    bool may_be_anonymous;        /* SOCKS 5: although there are credentials */
    bool has_gssapi;              /* SOCKS 5: with http.auth.gss */
    char *service, *keytab;       /* http.auth.gss's; NULL: none */
    struct credential credential; /* what they and http.auth's texts point into; wiped at the end */
    struct auth_memory *memories; /* one for each worker, its own; NULL before config_prepare() */
};
