/* Decoders of what the daemon sends; a message's attributes are walked once. */
#include "proto/message.h"
#include "proto/walk.h"

#include <endian.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/un.h>

static int get_address(struct walk *w, struct sockaddr_storage *ret)
{
    const uint8_t *value = w->attr.value + MESSAGE_ADDRESS_HEAD;
    size_t n = w->attr.length;

    if (walk_once(w) < 0)
        return -EBADMSG;
    memset(ret, 0, sizeof *ret);
    if (n == MESSAGE_ADDRESS_HEAD + 4 && w->attr.value[0] == ADDRESS_IPV4) {
        struct sockaddr_in *in = (struct sockaddr_in *)ret;

        in->sin_family = AF_INET;
        memcpy(&in->sin_port, w->attr.value + 2, 2);
        memcpy(&in->sin_addr, value, 4);
        return 0;
    }
    if (n == MESSAGE_ADDRESS_HEAD + 16 && w->attr.value[0] == ADDRESS_IPV6) {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;

        in6->sin6_family = AF_INET6;
        memcpy(&in6->sin6_port, w->attr.value + 2, 2);
        memcpy(&in6->sin6_addr, value, 16);
        return 0;
    }
    if (n >= MESSAGE_ADDRESS_HEAD && n <= MESSAGE_ADDRESS_HEAD + TARGET_UNIX_MAX &&
        w->attr.value[0] == ADDRESS_UNIX) {
        struct sockaddr_un *un = (struct sockaddr_un *)ret;

        un->sun_family = AF_UNIX;
        memcpy(un->sun_path, value, n - MESSAGE_ADDRESS_HEAD);
        return 0;
    }
    return walk_fail(w, "an address has the wrong form");
}

static int get_time(struct walk *w, struct message_result *m)
{
    struct message_time *time = &m->times[m->n_times];
    uint32_t us;

    if (m->n_times == MESSAGE_TIMES_MAX)
        return walk_fail(w, "an attribute is repeated too often");
    if (w->attr.length != 6)
        return walk_fail(w, "a time has the wrong size");
    memcpy(&us, w->attr.value + 2, sizeof us);
    *time = (struct message_time){w->attr.value[0], w->attr.value[1], le32toh(us)};
    m->n_times++;
    return 0;
}

static int get_certificate(struct walk *w, struct message_result *m)
{
    if (m->n_chain == MESSAGE_CHAIN_MAX)
        return walk_fail(w, "an attribute is repeated too often");
    m->chain[m->n_chain++] = (struct text){(const char *)w->attr.value, w->attr.length};
    return 0;
}

static int get_bool(struct walk *w, bool *ret)
{
    uint8_t value;

    if (walk_u8(w, 0, 1, &value) < 0)
        return -EBADMSG;
    *ret = value;
    return 0;
}

static int get_response(struct walk *w, struct text *ret)
{
    if (walk_once(w) < 0)
        return -EBADMSG;
    if (w->attr.length > MESSAGE_RESPONSE_MAX)
        return walk_fail(w, "the response head is too long");
    *ret = (struct text){(const char *)w->attr.value, w->attr.length};
    return 0;
}

static int welcome_attr(struct walk *w, void *message)
{
    struct message_welcome *m = message;

    switch (w->attr.type) {
    case ATTR_VERSION:
        return walk_u16(w, 1, WIRE_VERSION, &m->version);
    case ATTR_SOFTWARE:
        return walk_text_once(w, 1, MESSAGE_SOFTWARE_MAX, &m->software);
    case ATTR_MESSAGE_MAX:
        return walk_u32(w, WIRE_HEAD_SIZE, UINT32_MAX, &m->message_max);
    case ATTR_PENDING_MAX:
        return walk_u32(w, 1, UINT32_MAX, &m->pending_max);
    case ATTR_COUNT_MAX:
        return walk_u32(w, 1, MESSAGE_COUNT_MAX, &m->count_max);
    }
    return walk_unknown(w);
}

int message_decode_welcome(struct wire_reader r, struct message_welcome *ret,
                           const char **ret_error)
{
    memset(ret, 0, sizeof *ret);
    return walk_all(r, welcome_attr, ret,
                    WALK_BIT(ATTR_VERSION) | WALK_BIT(ATTR_MESSAGE_MAX) |
                        WALK_BIT(ATTR_PENDING_MAX) | WALK_BIT(ATTR_COUNT_MAX),
                    "welcome without version or limits", ret_error);
}

static int result_attr(struct walk *w, void *message)
{
    struct message_result *m = message;

    switch (w->attr.type) {
    case ATTR_CODE:
        return walk_u32(w, 0, UINT32_MAX, &m->code);
    case ATTR_STAGE:
        return walk_u8(w, 1, UINT8_MAX, &m->stage);
    case ATTR_HOP:
        return walk_u8(w, 0, UINT8_MAX, &m->hop);
    case ATTR_ERRNO:
        return walk_u32(w, 0, UINT32_MAX, &m->sys_errno);
    case ATTR_DETAIL:
        return walk_text_once(w, 0, MESSAGE_DETAIL_MAX, &m->detail);
    case ATTR_HANDOFF:
        return walk_u8(w, HANDOFF_TCP, HANDOFF_RELAY, &m->handoff);
    case ATTR_HANDOFF_REASON:
        return walk_text_once(w, 1, MESSAGE_DETAIL_MAX, &m->handoff_reason);
    case ATTR_WARM:
        return get_bool(w, &m->is_warm);
    case ATTR_PEER:
        return get_address(w, &m->peer);
    case ATTR_LOCAL:
        return get_address(w, &m->local);
    case ATTR_ALPN:
        return walk_text_once(w, 1, MESSAGE_ALPN_NAME_MAX, &m->alpn);
    case ATTR_TLS_VERSION:
        return walk_u16(w, 0, UINT16_MAX, &m->tls_version);
    case ATTR_TLS_CIPHER:
        return walk_text_once(w, 1, MESSAGE_CIPHER_MAX, &m->tls_cipher);
    case ATTR_TLS_RESUMED:
        return get_bool(w, &m->is_resumed);
    case ATTR_CERT:
        return get_certificate(w, m);
    case ATTR_TIME:
        return get_time(w, m);
    case ATTR_RESPONSE:
        return get_response(w, &m->response);
    case ATTR_RESPONSE_CLEAR:
        return get_bool(w, &m->is_response_clear);
    }
    return walk_unknown(w);
}

int message_decode_result(struct wire_reader r, struct message_result *ret, const char **ret_error)
{
    memset(ret, 0, sizeof *ret);
    return walk_all(r, result_attr, ret, WALK_BIT(ATTR_CODE), "result without a code", ret_error);
}

static int ended_attr(struct walk *w, void *message)
{
    struct message_ended *m = message;

    switch (w->attr.type) {
    case ATTR_END:
        return walk_u8(w, 1, UINT8_MAX, &m->end);
    case ATTR_INDEX:
        return walk_u8(w, 0, MESSAGE_COUNT_MAX - 1, &m->index);
    case ATTR_BYTES_SENT:
        return walk_u64(w, 0, UINT64_MAX, &m->bytes_sent);
    case ATTR_BYTES_RECEIVED:
        return walk_u64(w, 0, UINT64_MAX, &m->bytes_received);
    }
    return walk_unknown(w);
}

int message_decode_ended(struct wire_reader r, struct message_ended *ret, const char **ret_error)
{
    memset(ret, 0, sizeof *ret);
    return walk_all(r, ended_attr, ret, WALK_BIT(ATTR_END), "ended without how", ret_error);
}

static int explained_attr(struct walk *w, void *message)
{
    struct message_explained *m = message;

    switch (w->attr.type) {
    case ATTR_CODE:
        return walk_u32(w, 0, UINT32_MAX, &m->code);
    case ATTR_WHO:
        return walk_text_once(w, 1, MESSAGE_WHO_MAX, &m->who);
    case ATTR_RULE:
        return walk_text_once(w, 1, UINT16_MAX, &m->rule);
    case ATTR_PLAN:
        return walk_text_once(w, 1, UINT16_MAX, &m->plan);
    case ATTR_DETAIL:
        return walk_text_once(w, 0, MESSAGE_DETAIL_MAX, &m->detail);
    }
    return walk_unknown(w);
}

int message_decode_explained(struct wire_reader r, struct message_explained *ret,
                             const char **ret_error)
{
    memset(ret, 0, sizeof *ret);
    return walk_all(r, explained_attr, ret, WALK_BIT(ATTR_CODE), "explained without a code",
                    ret_error);
}

static int answer_attr(struct walk *w, void *message)
{
    struct message_answer *m = message;

    switch (w->attr.type) {
    case ATTR_CODE:
        return walk_u32(w, 0, UINT32_MAX, &m->code);
    case ATTR_DETAIL:
        return walk_text_once(w, 0, MESSAGE_DETAIL_MAX, &m->detail);
    }
    return walk_unknown(w);
}

int message_decode_answer(struct wire_reader r, struct message_answer *ret, const char **ret_error)
{
    memset(ret, 0, sizeof *ret);
    return walk_all(r, answer_attr, ret, WALK_BIT(ATTR_CODE), "answer without a code", ret_error);
}

static int error_attr(struct walk *w, void *message)
{
    struct message_error *m = message;

    switch (w->attr.type) {
    case ATTR_CODE:
        return walk_u32(w, 1, UINT32_MAX, &m->code);
    case ATTR_DETAIL:
        return walk_text_once(w, 0, MESSAGE_DETAIL_MAX, &m->detail);
    }
    return walk_unknown(w);
}

int message_decode_error(struct wire_reader r, struct message_error *ret, const char **ret_error)
{
    memset(ret, 0, sizeof *ret);
    return walk_all(r, error_attr, ret, WALK_BIT(ATTR_CODE), "error without a code", ret_error);
}

struct status_reply {
    void (*stat)(void *data, struct text key, struct text value);
    void *data;
    uint8_t more;
};

static int take_stat(struct walk *w, const struct status_reply *m)
{
    struct text line;
    const char *equals;

    if (walk_text(w, 1, UINT16_MAX, &line) < 0)
        return -EBADMSG;
    equals = memchr(line.data, '=', line.n);
    if (!equals)
        return walk_fail(w, "a stat without '='");
    m->stat(m->data, (struct text){line.data, (size_t)(equals - line.data)},
            (struct text){equals + 1, line.n - (size_t)(equals - line.data) - 1});
    return 0;
}

static int status_reply_attr(struct walk *w, void *message)
{
    struct status_reply *m = message;

    switch (w->attr.type) {
    case ATTR_STAT:
        return take_stat(w, m);
    case ATTR_TEXT:
        m->stat(m->data, (struct text){0},
                (struct text){(const char *)w->attr.value, w->attr.length});
        return 0;
    case ATTR_MORE:
        return walk_u8(w, 1, 1, &m->more);
    }
    return walk_unknown(w);
}

int message_decode_status_reply(struct wire_reader r,
                                void (*stat)(void *data, struct text key, struct text value),
                                void *data, bool *ret_has_more, const char **ret_error)
{
    struct status_reply m = {.stat = stat, .data = data};
    int result = walk_all(r, status_reply_attr, &m, 0, "", ret_error);

    *ret_has_more = m.more;
    return result;
}
