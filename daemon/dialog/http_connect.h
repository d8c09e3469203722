/* A tunnel through an HTTP proxy: CONNECT (RFC 9110, 9.3.6), with what authentication it takes.
 *
 * Any 2xx opens the tunnel, and all behind its head is the client's, whatever lengths the head
 * speaks of. After a 407 the request is made again, with an answer to the challenge, on the same
 * connection where that is possible, else on a new one; how often is bounded by what auth.h has to
 * say. Everything else is a refusal, reported with the status and, where its length is announced,
 * the beginning of the page that came with it (http_refusal.h). */
#pragma once

#include "daemon/dialog/auth/auth.h"
#include "daemon/dialog/dialog.h"
#include "daemon/dialog/http_body.h"
#include "daemon/dialog/http_refusal.h"
#include "proto/target.h"

#define HTTP_CONNECT_INTERIM_MAX 10           /* 1xx before the answer */
#define HTTP_CONNECT_SKIP_MAX    (256 * 1024) /* of a 407's; beyond, a new connection is made */
#define HTTP_CONNECT_HEADERS_MAX 16
#define HTTP_CONNECT_HEADER_MAX  1024  /* bytes of one, without the line's end */
#define HTTP_CONNECT_REQUEST_MAX 98304 /* bytes of a request: more than the above can make */

/* Of one proxy, from the configuration. Outlives the dialogs, and so do the texts. */
struct http_connect_settings {
    bool is_http_1_0;           /* the request is of HTTP/1.0 */
    const struct text *headers; /* "Name: value", which http_connect_check_header() let pass */
    size_t n_headers;
    struct auth_settings auth;
};

/* NULL, or a sentence about why this cannot be sent. */
const char *http_connect_check_header(struct text header);

struct http_connect {
    struct dialog dialog;
    const struct http_connect_settings *settings;
    struct auth auth;
    char authority[TARGET_HOST_MAX + sizeof "[]:65535"];
    struct builder request;
    void (*received)(struct http_connect *c, const uint8_t *data, size_t n);
    /* Takes what auth.h made of a question. */
    void (*decided)(struct http_connect *c, enum auth_verdict verdict, const struct builder *value);
    struct http_head *head; /* of the response that is being looked at; NULL: none */
    unsigned n_interim;
    bool may_reconnect; /* from a 407 on: the proxy may close before it answers again */
    struct http_body_reader body;
    struct http_refusal *refusal; /* NULL: none so far */
};

/* Host: a name, or an address without brackets, as in struct target; it is copied. The memory may
 * be NULL. The cnonce is as in auth_init(), and copied. */
void http_connect_init(struct http_connect *c, const struct http_connect_settings *settings,
                       struct auth_memory *memory, const char *host, uint16_t port,
                       const char *cnonce);
