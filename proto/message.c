/* Encoders of the messages, and the names that both sides use. */
#include "proto/message.h"

#include <endian.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/un.h>

const char *handoff_name(enum handoff kind)
{
    switch (kind) {
    case HANDOFF_TCP:
        return "tcp";
    case HANDOFF_KTLS:
        return "ktls";
    case HANDOFF_RELAY:
        return "relay";
    }
    return "none";
}

static void put_text(struct wire_writer *w, uint16_t attr, struct text text)
{
    if (text.data)
        wire_put_bytes(w, attr, text.data, text.n);
}

static void put_texts(struct wire_writer *w, uint16_t attr, const struct text *texts, size_t n)
{
    for (size_t i = 0; i < n; i++)
        put_text(w, attr, texts[i]);
}

static ssize_t finish(struct wire_writer *w)
{
    return wire_end(w) < 0 ? -EMSGSIZE : (ssize_t)w->length;
}

static void put_address(struct wire_writer *w, uint16_t attr, const struct sockaddr_storage *ss)
{
    uint8_t value[MESSAGE_ADDRESS_HEAD + TARGET_UNIX_MAX] = {0};
    size_t n = MESSAGE_ADDRESS_HEAD;

    if (ss->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)ss;

        value[0] = ADDRESS_IPV4;
        memcpy(value + 2, &in->sin_port, 2);
        memcpy(value + n, &in->sin_addr, 4);
        n += 4;
    } else if (ss->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)ss;

        value[0] = ADDRESS_IPV6;
        memcpy(value + 2, &in6->sin6_port, 2);
        memcpy(value + n, &in6->sin6_addr, 16);
        n += 16;
    } else if (ss->ss_family == AF_UNIX) {
        const struct sockaddr_un *un = (const struct sockaddr_un *)ss;
        size_t length = strnlen(un->sun_path, TARGET_UNIX_MAX);

        value[0] = ADDRESS_UNIX;
        memcpy(value + n, un->sun_path, length);
        n += length;
    } else {
        return;
    }
    wire_put_bytes(w, attr, value, n);
}

ssize_t message_encode_hello(void *buf, size_t size, const struct message_hello *m)
{
    struct wire_writer w;

    wire_begin(&w, buf, size, WIRE_HELLO, 0);
    wire_put_u16(&w, ATTR_VERSION, m->version);
    put_text(&w, ATTR_SOFTWARE, m->software);
    return finish(&w);
}

ssize_t message_encode_welcome(void *buf, size_t size, const struct message_welcome *m)
{
    struct wire_writer w;

    wire_begin(&w, buf, size, WIRE_WELCOME, 0);
    wire_put_u16(&w, ATTR_VERSION, m->version);
    put_text(&w, ATTR_SOFTWARE, m->software);
    wire_put_u32(&w, ATTR_MESSAGE_MAX, m->message_max);
    wire_put_u32(&w, ATTR_PENDING_MAX, m->pending_max);
    wire_put_u32(&w, ATTR_COUNT_MAX, m->count_max);
    return finish(&w);
}

ssize_t message_encode_connect(void *buf, size_t size, uint64_t id, const struct message_connect *m)
{
    struct wire_writer w;

    wire_begin(&w, buf, size, WIRE_CONNECT, id);
    put_text(&w, ATTR_TARGET, m->target);
    if (m->timeout_ms != 0)
        wire_put_u32(&w, ATTR_TIMEOUT_MS, m->timeout_ms);
    if (m->family != 0)
        wire_put_u8(&w, ATTR_FAMILY, m->family);
    if (m->handoff != 0)
        wire_put_u8(&w, ATTR_HANDOFF, m->handoff);
    if (m->count > 1)
        wire_put_u32(&w, ATTR_COUNT, m->count);
    put_text(&w, ATTR_TLS_NAME, m->tls_name);
    put_texts(&w, ATTR_ALPN, m->alpn, m->n_alpn);
    put_texts(&w, ATTR_HEADER, m->headers, m->n_headers);
    put_texts(&w, ATTR_SUBPROTOCOL, m->subprotocols, m->n_subprotocols);
    return finish(&w);
}

ssize_t message_encode_cancel(void *buf, size_t size, uint64_t id)
{
    struct wire_writer w;

    wire_begin(&w, buf, size, WIRE_CANCEL, id);
    return finish(&w);
}

ssize_t message_encode_status(void *buf, size_t size, uint64_t id, const struct message_status *m)
{
    struct wire_writer w;

    wire_begin(&w, buf, size, WIRE_STATUS, id);
    if (m->format != STATUS_LINES)
        wire_put_u8(&w, ATTR_FORMAT, m->format);
    return finish(&w);
}

static void put_failure(struct wire_writer *w, const struct message_result *m)
{
    wire_put_u32(w, ATTR_CODE, m->code);
    if (m->code == 0)
        return;
    wire_put_u8(w, ATTR_STAGE, m->stage);
    if (m->hop != 0)
        wire_put_u8(w, ATTR_HOP, m->hop);
    if (m->sys_errno != 0)
        wire_put_u32(w, ATTR_ERRNO, m->sys_errno);
    put_text(w, ATTR_DETAIL, m->detail);
}

ssize_t message_encode_result(void *buf, size_t size, uint64_t id, const struct message_result *m)
{
    struct wire_writer w;

    wire_begin(&w, buf, size, WIRE_RESULT, id);
    put_failure(&w, m);
    if (m->handoff != 0)
        wire_put_u8(&w, ATTR_HANDOFF, m->handoff);
    put_text(&w, ATTR_HANDOFF_REASON, m->handoff_reason);
    if (m->is_warm)
        wire_put_u8(&w, ATTR_WARM, 1);
    put_address(&w, ATTR_PEER, &m->peer);
    put_address(&w, ATTR_LOCAL, &m->local);
    put_text(&w, ATTR_ALPN, m->alpn);
    if (m->tls_version != 0)
        wire_put_u16(&w, ATTR_TLS_VERSION, m->tls_version);
    put_text(&w, ATTR_TLS_CIPHER, m->tls_cipher);
    if (m->is_resumed)
        wire_put_u8(&w, ATTR_TLS_RESUMED, 1);
    for (size_t i = 0; i < m->n_times; i++) {
        uint32_t us = htole32(m->times[i].us);
        uint8_t value[6] = {m->times[i].stage, m->times[i].hop};

        memcpy(value + 2, &us, sizeof us);
        wire_put_bytes(&w, ATTR_TIME, value, sizeof value);
    }
    put_text(&w, ATTR_RESPONSE, m->response);
    if (m->is_response_clear)
        wire_put_u8(&w, ATTR_RESPONSE_CLEAR, 1);
    for (size_t i = 0; i < m->n_chain; i++) {
        if (!wire_try_put_bytes(&w, ATTR_CERT, m->chain[i].data, m->chain[i].n))
            break;
    }
    return finish(&w);
}

ssize_t message_encode_ended(void *buf, size_t size, uint64_t id, const struct message_ended *m)
{
    struct wire_writer w;

    wire_begin(&w, buf, size, WIRE_ENDED, id);
    wire_put_u8(&w, ATTR_END, m->end);
    wire_put_u8(&w, ATTR_INDEX, m->index);
    wire_put_u64(&w, ATTR_BYTES_SENT, m->bytes_sent);
    wire_put_u64(&w, ATTR_BYTES_RECEIVED, m->bytes_received);
    return finish(&w);
}

ssize_t message_encode_explain(void *buf, size_t size, uint64_t id, const struct message_explain *m)
{
    struct wire_writer w;

    wire_begin(&w, buf, size, WIRE_EXPLAIN, id);
    put_text(&w, ATTR_TARGET, m->target);
    put_text(&w, ATTR_AS_USER, m->as_user);
    return finish(&w);
}

ssize_t message_encode_explained(void *buf, size_t size, uint64_t id,
                                 const struct message_explained *m)
{
    struct wire_writer w;

    wire_begin(&w, buf, size, WIRE_EXPLAINED, id);
    wire_put_u32(&w, ATTR_CODE, m->code);
    put_text(&w, ATTR_WHO, m->who);
    put_text(&w, ATTR_RULE, m->rule);
    put_text(&w, ATTR_PLAN, m->plan);
    put_text(&w, ATTR_DETAIL, m->detail);
    return finish(&w);
}

ssize_t message_encode_grant(void *buf, size_t size, uint64_t id, const struct message_grant *m)
{
    struct wire_writer w;

    wire_begin(&w, buf, size, WIRE_GRANT, id);
    put_texts(&w, ATTR_PATTERN, m->patterns, m->n_patterns);
    return finish(&w);
}

static ssize_t encode_answer(void *buf, size_t size, enum wire_type type, uint64_t id,
                             const struct message_answer *m)
{
    struct wire_writer w;

    wire_begin(&w, buf, size, type, id);
    wire_put_u32(&w, ATTR_CODE, m->code);
    put_text(&w, ATTR_DETAIL, m->detail);
    return finish(&w);
}

ssize_t message_encode_granted(void *buf, size_t size, uint64_t id, const struct message_answer *m)
{
    return encode_answer(buf, size, WIRE_GRANTED, id, m);
}

ssize_t message_encode_open(void *buf, size_t size)
{
    struct wire_writer w;

    wire_begin(&w, buf, size, WIRE_OPEN, 0);
    return finish(&w);
}

ssize_t message_encode_opened(void *buf, size_t size, const struct message_answer *m)
{
    return encode_answer(buf, size, WIRE_OPENED, 0, m);
}

ssize_t message_encode_error(void *buf, size_t size, uint64_t id, const struct message_error *m)
{
    struct wire_writer w;

    wire_begin(&w, buf, size, WIRE_ERROR, id);
    wire_put_u32(&w, ATTR_CODE, m->code);
    put_text(&w, ATTR_DETAIL, m->detail);
    return finish(&w);
}
