/* The options of a request: which targets they go with, and a copy of them that outlives the
 * message, in one piece: headers may be secret, and are wiped. */
#include "daemon/front/request_options.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/front/request.h"
#include "proto/cleanup.h"

bool request_check_options(const struct message_connect *m, const struct target *target,
                           struct failure *failure)
{
    const struct websocket_options websocket = {m->headers, m->n_headers, m->subprotocols,
                                                m->n_subprotocols};
    const char *what = NULL;

    if (!scheme_is_tls(target->scheme) && m->n_alpn > 0)
        what = "alpn needs a TLS target";
    else if (!scheme_is_tls(target->scheme) && m->tls_name.data)
        what = "tls-name needs a TLS target";
    else if (!scheme_is_websocket(target->scheme) && (m->n_headers > 0 || m->n_subprotocols > 0))
        what = "header and subprotocol need a ws or wss target";
    else if (target->scheme == SCHEME_UNIX && m->family != 0)
        what = "a Unix socket has no address family";
    if (!what)
        return websocket_check_options(&websocket, failure);
    failure_format(failure, ERROR_BAD_OPTION, 0, "%s", what);
    return false;
}

bool request_check_tls_name(const struct message_connect *m, char name[TARGET_HOST_MAX + 1],
                            struct failure *failure)
{
    const char *error;

    if (!m->tls_name.data || host_parse_name(m->tls_name.data, m->tls_name.n, name, &error) == 0)
        return true;
    failure_format(failure, ERROR_BAD_OPTION, 0, "tls-name: %s", error);
    return false;
}

static size_t total_size(const struct text *texts, size_t n)
{
    size_t size = 0;

    for (size_t i = 0; i < n; i++)
        size += texts[i].n;
    return size;
}

static void copy(struct text *to, const struct text *from, size_t n, char **next)
{
    for (size_t i = 0; i < n; i++) {
        memcpy(*next, from[i].data, from[i].n);
        to[i] = (struct text){*next, from[i].n};
        *next += from[i].n;
    }
}

/* What is done for a target of this kind unless something else is asked for. */
static bool default_alpn(enum scheme scheme, struct text *ret)
{
    *ret = (struct text){"http/1.1", 8};
    return scheme == SCHEME_HTTPS || scheme == SCHEME_WSS;
}

int request_copy_options(struct request *request, const struct message_connect *m)
{
    struct conn_params *params = &request->params;
    size_t n_fields = m->n_headers + m->n_subprotocols;
    struct text *fields;
    char *next;

    if (m->n_alpn == 0 && default_alpn(params->target.scheme, &params->alpn[0]))
        params->n_alpn = 1;
    request->options_size = n_fields * sizeof *fields + total_size(m->alpn, m->n_alpn) +
                            total_size(m->headers, m->n_headers) +
                            total_size(m->subprotocols, m->n_subprotocols);
    if (request->options_size == 0)
        return 0;
    fields = request->options = malloc(request->options_size);
    if (!fields)
        return -1;
    next = (char *)(fields + n_fields);
    if (m->n_alpn > 0) {
        copy(params->alpn, m->alpn, m->n_alpn, &next);
        params->n_alpn = m->n_alpn;
    }
    copy(fields, m->headers, m->n_headers, &next);
    copy(fields + m->n_headers, m->subprotocols, m->n_subprotocols, &next);
    params->websocket =
        (struct websocket_options){fields, m->n_headers, fields + m->n_headers, m->n_subprotocols};
    return 0;
}

void request_free_options(struct request *request)
{
    if (request->options)
        explicit_bzero(request->options, request->options_size);
    free(TAKE_PTR(request->options));
}
