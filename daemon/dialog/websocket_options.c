/* What a client may put into the request. It could otherwise end the head early and send a second
 * request in the connection's name, or make the server take frames for a body: so the form is
 * strict, and the fields that say where messages begin and end are ours. */
#include <string.h>
#include <strings.h>

#include "daemon/dialog/http_head.h"
#include "daemon/dialog/websocket.h"
#include "proto/cleanup.h"

#define OUR_PREFIX "Sec-WebSocket-"

/* Ours; about this one connection (RFC 9110, 7.6.1); for a proxy, which has them from its own
 * settings; or about a body, which the request does not have. */
static const char *const refused_names[] = {
    "Host",
    "Upgrade",
    "Connection",
    "Keep-Alive",
    "Proxy-Connection",
    "Proxy-Authenticate",
    "Proxy-Authentication-Info",
    "Proxy-Authorization",
    "HTTP2-Settings",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Content-Length",
    "Expect",
};

static bool is_refused(struct text name)
{
    size_t n = strlen(OUR_PREFIX);

    for (size_t i = 0; i < ARRAY_SIZE(refused_names); i++)
        if (http_text_equals(name, refused_names[i]))
            return true;
    return name.n >= n && strncasecmp(name.data, OUR_PREFIX, n) == 0;
}

static bool check_header(struct text header, size_t number, struct failure *ret)
{
    const char *colon = header.n > 0 ? memchr(header.data, ':', header.n) : NULL;
    struct text name = {header.data, colon ? (size_t)(colon - header.data) : 0};

    if (!http_is_token(name))
        failure_format(ret, ERROR_BAD_OPTION, 0,
                       "header %zu does not start with a name and a colon, as in Name: value",
                       number);
    else if (is_refused(name))
        failure_format(ret, ERROR_BAD_OPTION, 0,
                       "header %.*s is not for the client to set: leave it out",
                       (int)(name.n < 64 ? name.n : 64), name.data);
    else if (!http_is_content(header))
        failure_format(ret, ERROR_BAD_OPTION, 0,
                       "header %.*s has a control character (a line break or NUL?) in its value",
                       (int)(name.n < 64 ? name.n : 64), name.data);
    else
        return true;
    return false;
}

/* RFC 6455, 4.1, 10. */
static bool check_subprotocol(const struct text *subprotocols, size_t i, struct failure *ret)
{
    if (!http_is_token(subprotocols[i])) {
        failure_format(ret, ERROR_BAD_OPTION, 0,
                       "subprotocol %zu is no token: letters, digits and !#$%%&'*+-.^_`|~ only",
                       i + 1);
        return false;
    }
    for (size_t j = 0; j < i; j++) {
        if (subprotocols[j].n == subprotocols[i].n &&
            memcmp(subprotocols[j].data, subprotocols[i].data, subprotocols[i].n) == 0) {
            failure_format(ret, ERROR_BAD_OPTION, 0, "subprotocols %zu and %zu are the same", j + 1,
                           i + 1);
            return false;
        }
    }
    return true;
}

bool websocket_check_options(const struct websocket_options *options, struct failure *ret_failure)
{
    if (options->n_headers > MESSAGE_HEADERS_MAX ||
        options->n_subprotocols > MESSAGE_SUBPROTOCOL_MAX) {
        failure_format(ret_failure, ERROR_BAD_OPTION, 0, "more than %d headers or %d subprotocols",
                       MESSAGE_HEADERS_MAX, MESSAGE_SUBPROTOCOL_MAX);
        return false;
    }
    for (size_t i = 0; i < options->n_headers; i++)
        if (!check_header(options->headers[i], i + 1, ret_failure))
            return false;
    for (size_t i = 0; i < options->n_subprotocols; i++)
        if (!check_subprotocol(options->subprotocols, i, ret_failure))
            return false;
    return true;
}
