/* Decoders of what a client sends; a message's attributes are walked once. */
#include "proto/message.h"
#include "proto/walk.h"

#include <errno.h>

static int hello_attr(struct walk *w, void *message)
{
    struct message_hello *m = message;

    switch (w->attr.type) {
    case ATTR_VERSION:
        return walk_u16(w, 1, UINT16_MAX, &m->version);
    case ATTR_SOFTWARE:
        return walk_text_once(w, 1, MESSAGE_SOFTWARE_MAX, &m->software);
    }
    return walk_unknown(w);
}

int message_decode_hello(struct wire_reader r, struct message_hello *ret, const char **ret_error)
{
    memset(ret, 0, sizeof *ret);
    return walk_all(r, hello_attr, ret, WALK_BIT(ATTR_VERSION), "hello without a version",
                    ret_error);
}

static int connect_attr(struct walk *w, void *message)
{
    struct message_connect *m = message;

    switch (w->attr.type) {
    case ATTR_TARGET:
        return walk_text_once(w, 1, TARGET_MAX, &m->target);
    case ATTR_TIMEOUT_MS:
        return walk_u32(w, 1, MESSAGE_TIMEOUT_MS_MAX, &m->timeout_ms);
    case ATTR_FAMILY:
        if (walk_u8(w, 4, 6, &m->family) < 0)
            return -EBADMSG;
        return m->family == 5 ? walk_fail(w, "a number is out of range") : 0;
    case ATTR_HANDOFF:
        return walk_u8(w, 1, HANDOFF_ALL, &m->handoff);
    case ATTR_COUNT:
        return walk_u32(w, 1, MESSAGE_COUNT_MAX, &m->count);
    case ATTR_TLS_NAME:
        return walk_text_once(w, 1, TARGET_HOST_MAX + 1, &m->tls_name);
    case ATTR_ALPN:
        return walk_text_into(w, MESSAGE_ALPN_NAME_MAX, m->alpn, MESSAGE_ALPN_MAX, &m->n_alpn);
    case ATTR_HEADER:
        return walk_text_into(w, WIRE_REQUEST_MAX, m->headers, MESSAGE_HEADERS_MAX, &m->n_headers);
    case ATTR_SUBPROTOCOL:
        return walk_text_into(w, MESSAGE_SUBPROTOCOL_NAME_MAX, m->subprotocols,
                              MESSAGE_SUBPROTOCOL_MAX, &m->n_subprotocols);
    }
    return walk_unknown(w);
}

int message_decode_connect(struct wire_reader r, struct message_connect *ret,
                           const char **ret_error)
{
    memset(ret, 0, sizeof *ret);
    return walk_all(r, connect_attr, ret, WALK_BIT(ATTR_TARGET), "connect without a target",
                    ret_error);
}

static int explain_attr(struct walk *w, void *message)
{
    struct message_explain *m = message;

    switch (w->attr.type) {
    case ATTR_TARGET:
        return walk_text_once(w, 1, TARGET_MAX, &m->target);
    case ATTR_AS_USER:
        return walk_text_once(w, 1, MESSAGE_USER_MAX, &m->as_user);
    }
    return walk_unknown(w);
}

int message_decode_explain(struct wire_reader r, struct message_explain *ret,
                           const char **ret_error)
{
    memset(ret, 0, sizeof *ret);
    return walk_all(r, explain_attr, ret, WALK_BIT(ATTR_TARGET), "explain without a target",
                    ret_error);
}

static int grant_attr(struct walk *w, void *message)
{
    struct message_grant *m = message;

    if (w->attr.type != ATTR_PATTERN)
        return walk_unknown(w);
    return walk_text_into(w, MESSAGE_PATTERN_MAX, m->patterns, MESSAGE_PATTERNS_MAX,
                          &m->n_patterns);
}

int message_decode_grant(struct wire_reader r, struct message_grant *ret, const char **ret_error)
{
    memset(ret, 0, sizeof *ret);
    if (walk_all(r, grant_attr, ret, 0, "", ret_error) < 0)
        return -EBADMSG;
    if (ret->n_patterns == 0) {
        *ret_error = "grant without a pattern";
        return -EBADMSG;
    }
    return 0;
}

static int no_attr(struct walk *w, void *message)
{
    (void)message;
    return walk_unknown(w);
}

int message_decode_empty(struct wire_reader r, const char **ret_error)
{
    return walk_all(r, no_attr, NULL, 0, "", ret_error);
}

static int status_attr(struct walk *w, void *message)
{
    struct message_status *m = message;

    if (w->attr.type != ATTR_FORMAT)
        return walk_unknown(w);
    return walk_u8(w, STATUS_OPENMETRICS, STATUS_OPENMETRICS, &m->format);
}

int message_decode_status(struct wire_reader r, struct message_status *ret, const char **ret_error)
{
    memset(ret, 0, sizeof *ret);
    return walk_all(r, status_attr, ret, 0, "", ret_error);
}
