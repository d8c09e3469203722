/* Decoders of the messages.
 *
 * A decoder walks the attributes once. `struct walk` carries what is the same for all: which
 * attributes were seen (those that may not repeat), and the sentence that says what is wrong.
 */
#include "proto/message.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/un.h>

struct walk {
    struct wire_reader reader;
    struct wire_attr attr;
    uint64_t seen; /* attribute types are below 64 */
    const char **error;
};

static int walk_fail(struct walk *w, const char *error)
{
    *w->error = error;
    return -EBADMSG;
}

/* The next attribute that is not optional-and-unknown: 1, 0 at the end, -EBADMSG. */
static int walk_next(struct walk *w)
{
    int r;

    do {
        r = wire_next(&w->reader, &w->attr);
    } while (r > 0 && w->attr.type & WIRE_ATTR_OPTIONAL);
    if (r < 0)
        return walk_fail(w, "an attribute does not end inside the message");
    return r;
}

static int walk_once(struct walk *w)
{
    uint64_t bit = UINT64_C(1) << w->attr.type;

    assert(w->attr.type < 64);
    if (w->seen & bit)
        return walk_fail(w, "an attribute is there twice");
    w->seen |= bit;
    return 0;
}

static int walk_unknown(struct walk *w)
{
    return walk_fail(w, "an attribute is unknown or not allowed in this message");
}

#define BIT(attr) (UINT64_C(1) << (attr))

/* Hands every attribute to take_attr, then checks that the required ones (of those that may be
 * there once) were among them. */
static int decode(struct wire_reader r, int (*take_attr)(struct walk *w, void *message),
                  void *message, uint64_t required, const char *missing, const char **ret_error)
{
    struct walk w = {.reader = r, .error = ret_error};
    int n;

    while ((n = walk_next(&w)) > 0) {
        if (take_attr(&w, message) < 0)
            return -EBADMSG;
    }
    if (n == 0 && (w.seen & required) != required)
        return walk_fail(&w, missing);
    return n;
}

static int get_text(struct walk *w, size_t min, size_t max, struct text *ret)
{
    if (w->attr.length < min || w->attr.length > max)
        return walk_fail(w, "a string is empty or too long");
    if (memchr(w->attr.value, '\0', w->attr.length))
        return walk_fail(w, "a string has a NUL byte");
    *ret = (struct text){(const char *)w->attr.value, w->attr.length};
    return 0;
}

static int get_text_once(struct walk *w, size_t min, size_t max, struct text *ret)
{
    return walk_once(w) < 0 ? -EBADMSG : get_text(w, min, max, ret);
}

static int get_text_into(struct walk *w, size_t max, struct text *texts, size_t max_texts,
                         size_t *n)
{
    if (*n == max_texts)
        return walk_fail(w, "an attribute is repeated too often");
    if (get_text(w, 1, max, &texts[*n]) < 0)
        return -EBADMSG;
    (*n)++;
    return 0;
}

#define DEFINE_GET_ONCE(bits)                                                                      \
    static int get_u##bits(struct walk *w, uint##bits##_t min, uint##bits##_t max,                 \
                           uint##bits##_t *ret)                                                    \
    {                                                                                              \
        uint##bits##_t value;                                                                      \
                                                                                                   \
        if (walk_once(w) < 0)                                                                      \
            return -EBADMSG;                                                                       \
        if (wire_get_u##bits(&w->attr, &value) < 0)                                                \
            return walk_fail(w, "a number has the wrong size");                                    \
        if (value < min || value > max)                                                            \
            return walk_fail(w, "a number is out of range");                                       \
        *ret = value;                                                                              \
        return 0;                                                                                  \
    }

DEFINE_GET_ONCE(8)
DEFINE_GET_ONCE(16)
DEFINE_GET_ONCE(32)
DEFINE_GET_ONCE(64)

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

    if (get_u8(w, 0, 1, &value) < 0)
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

static int hello_attr(struct walk *w, void *message)
{
    struct message_hello *m = message;

    switch (w->attr.type) {
    case ATTR_VERSION:
        return get_u16(w, 1, UINT16_MAX, &m->version);
    case ATTR_SOFTWARE:
        return get_text_once(w, 1, MESSAGE_SOFTWARE_MAX, &m->software);
    }
    return walk_unknown(w);
}

int message_decode_hello(struct wire_reader r, struct message_hello *ret, const char **ret_error)
{
    memset(ret, 0, sizeof *ret);
    return decode(r, hello_attr, ret, BIT(ATTR_VERSION), "hello without a version", ret_error);
}

static int welcome_attr(struct walk *w, void *message)
{
    struct message_welcome *m = message;

    switch (w->attr.type) {
    case ATTR_VERSION:
        return get_u16(w, 1, WIRE_VERSION, &m->version);
    case ATTR_SOFTWARE:
        return get_text_once(w, 1, MESSAGE_SOFTWARE_MAX, &m->software);
    case ATTR_MESSAGE_MAX:
        return get_u32(w, WIRE_HEAD_SIZE, UINT32_MAX, &m->message_max);
    case ATTR_PENDING_MAX:
        return get_u32(w, 1, UINT32_MAX, &m->pending_max);
    case ATTR_COUNT_MAX:
        return get_u32(w, 1, MESSAGE_COUNT_MAX, &m->count_max);
    }
    return walk_unknown(w);
}

int message_decode_welcome(struct wire_reader r, struct message_welcome *ret,
                           const char **ret_error)
{
    memset(ret, 0, sizeof *ret);
    return decode(r, welcome_attr, ret,
                  BIT(ATTR_VERSION) | BIT(ATTR_MESSAGE_MAX) | BIT(ATTR_PENDING_MAX) |
                      BIT(ATTR_COUNT_MAX),
                  "welcome without version or limits", ret_error);
}

static int connect_attr(struct walk *w, void *message)
{
    struct message_connect *m = message;

    switch (w->attr.type) {
    case ATTR_TARGET:
        return get_text_once(w, 1, TARGET_MAX, &m->target);
    case ATTR_TIMEOUT_MS:
        return get_u32(w, 1, MESSAGE_TIMEOUT_MS_MAX, &m->timeout_ms);
    case ATTR_FAMILY:
        if (get_u8(w, 4, 6, &m->family) < 0)
            return -EBADMSG;
        return m->family == 5 ? walk_fail(w, "a number is out of range") : 0;
    case ATTR_HANDOFF:
        return get_u8(w, 1, HANDOFF_ALL, &m->handoff);
    case ATTR_COUNT:
        return get_u32(w, 1, MESSAGE_COUNT_MAX, &m->count);
    case ATTR_TLS_NAME:
        return get_text_once(w, 1, TARGET_HOST_MAX + 1, &m->tls_name);
    case ATTR_ALPN:
        return get_text_into(w, MESSAGE_ALPN_NAME_MAX, m->alpn, MESSAGE_ALPN_MAX, &m->n_alpn);
    case ATTR_HEADER:
        return get_text_into(w, WIRE_REQUEST_MAX, m->headers, MESSAGE_HEADERS_MAX, &m->n_headers);
    case ATTR_SUBPROTOCOL:
        return get_text_into(w, MESSAGE_SUBPROTOCOL_NAME_MAX, m->subprotocols,
                             MESSAGE_SUBPROTOCOL_MAX, &m->n_subprotocols);
    }
    return walk_unknown(w);
}

int message_decode_connect(struct wire_reader r, struct message_connect *ret,
                           const char **ret_error)
{
    memset(ret, 0, sizeof *ret);
    return decode(r, connect_attr, ret, BIT(ATTR_TARGET), "connect without a target", ret_error);
}

static int result_attr(struct walk *w, void *message)
{
    struct message_result *m = message;

    switch (w->attr.type) {
    case ATTR_CODE:
        return get_u32(w, 0, UINT32_MAX, &m->code);
    case ATTR_STAGE:
        return get_u8(w, 1, UINT8_MAX, &m->stage);
    case ATTR_HOP:
        return get_u8(w, 0, UINT8_MAX, &m->hop);
    case ATTR_ERRNO:
        return get_u32(w, 0, UINT32_MAX, &m->sys_errno);
    case ATTR_DETAIL:
        return get_text_once(w, 0, MESSAGE_DETAIL_MAX, &m->detail);
    case ATTR_HANDOFF:
        return get_u8(w, HANDOFF_TCP, HANDOFF_RELAY, &m->handoff);
    case ATTR_WARM:
        return get_bool(w, &m->is_warm);
    case ATTR_PEER:
        return get_address(w, &m->peer);
    case ATTR_LOCAL:
        return get_address(w, &m->local);
    case ATTR_ALPN:
        return get_text_once(w, 1, MESSAGE_ALPN_NAME_MAX, &m->alpn);
    case ATTR_TLS_VERSION:
        return get_u16(w, 0, UINT16_MAX, &m->tls_version);
    case ATTR_TLS_CIPHER:
        return get_text_once(w, 1, MESSAGE_CIPHER_MAX, &m->tls_cipher);
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
    return decode(r, result_attr, ret, BIT(ATTR_CODE), "result without a code", ret_error);
}

static int ended_attr(struct walk *w, void *message)
{
    struct message_ended *m = message;

    switch (w->attr.type) {
    case ATTR_END:
        return get_u8(w, 1, UINT8_MAX, &m->end);
    case ATTR_INDEX:
        return get_u8(w, 0, MESSAGE_COUNT_MAX - 1, &m->index);
    case ATTR_BYTES_SENT:
        return get_u64(w, 0, UINT64_MAX, &m->bytes_sent);
    case ATTR_BYTES_RECEIVED:
        return get_u64(w, 0, UINT64_MAX, &m->bytes_received);
    }
    return walk_unknown(w);
}

int message_decode_ended(struct wire_reader r, struct message_ended *ret, const char **ret_error)
{
    memset(ret, 0, sizeof *ret);
    return decode(r, ended_attr, ret, BIT(ATTR_END), "ended without how", ret_error);
}

static int explain_attr(struct walk *w, void *message)
{
    struct message_explain *m = message;

    switch (w->attr.type) {
    case ATTR_TARGET:
        return get_text_once(w, 1, TARGET_MAX, &m->target);
    case ATTR_AS_USER:
        return get_text_once(w, 1, MESSAGE_USER_MAX, &m->as_user);
    }
    return walk_unknown(w);
}

int message_decode_explain(struct wire_reader r, struct message_explain *ret,
                           const char **ret_error)
{
    memset(ret, 0, sizeof *ret);
    return decode(r, explain_attr, ret, BIT(ATTR_TARGET), "explain without a target", ret_error);
}

static int explained_attr(struct walk *w, void *message)
{
    struct message_explained *m = message;

    switch (w->attr.type) {
    case ATTR_CODE:
        return get_u32(w, 0, UINT32_MAX, &m->code);
    case ATTR_WHO:
        return get_text_once(w, 1, MESSAGE_WHO_MAX, &m->who);
    case ATTR_RULE:
        return get_text_once(w, 1, UINT16_MAX, &m->rule);
    case ATTR_PLAN:
        return get_text_once(w, 1, UINT16_MAX, &m->plan);
    case ATTR_DETAIL:
        return get_text_once(w, 0, MESSAGE_DETAIL_MAX, &m->detail);
    }
    return walk_unknown(w);
}

int message_decode_explained(struct wire_reader r, struct message_explained *ret,
                             const char **ret_error)
{
    memset(ret, 0, sizeof *ret);
    return decode(r, explained_attr, ret, BIT(ATTR_CODE), "explained without a code", ret_error);
}

static int grant_attr(struct walk *w, void *message)
{
    struct message_grant *m = message;

    if (w->attr.type != ATTR_PATTERN)
        return walk_unknown(w);
    return get_text_into(w, MESSAGE_PATTERN_MAX, m->patterns, MESSAGE_PATTERNS_MAX, &m->n_patterns);
}

int message_decode_grant(struct wire_reader r, struct message_grant *ret, const char **ret_error)
{
    memset(ret, 0, sizeof *ret);
    if (decode(r, grant_attr, ret, 0, "", ret_error) < 0)
        return -EBADMSG;
    if (ret->n_patterns == 0) {
        *ret_error = "grant without a pattern";
        return -EBADMSG;
    }
    return 0;
}

static int answer_attr(struct walk *w, void *message)
{
    struct message_answer *m = message;

    switch (w->attr.type) {
    case ATTR_CODE:
        return get_u32(w, 0, UINT32_MAX, &m->code);
    case ATTR_DETAIL:
        return get_text_once(w, 0, MESSAGE_DETAIL_MAX, &m->detail);
    }
    return walk_unknown(w);
}

int message_decode_answer(struct wire_reader r, struct message_answer *ret, const char **ret_error)
{
    memset(ret, 0, sizeof *ret);
    return decode(r, answer_attr, ret, BIT(ATTR_CODE), "answer without a code", ret_error);
}

static int error_attr(struct walk *w, void *message)
{
    struct message_error *m = message;

    switch (w->attr.type) {
    case ATTR_CODE:
        return get_u32(w, 1, UINT32_MAX, &m->code);
    case ATTR_DETAIL:
        return get_text_once(w, 0, MESSAGE_DETAIL_MAX, &m->detail);
    }
    return walk_unknown(w);
}

int message_decode_error(struct wire_reader r, struct message_error *ret, const char **ret_error)
{
    memset(ret, 0, sizeof *ret);
    return decode(r, error_attr, ret, BIT(ATTR_CODE), "error without a code", ret_error);
}

int message_decode_empty(struct wire_reader r, const char **ret_error)
{
    struct walk w = {.reader = r, .error = ret_error};
    int n = walk_next(&w);

    return n > 0 ? walk_unknown(&w) : n;
}

static int take_status_attr(struct walk *w, void *message)
{
    struct message_status *m = message;

    if (w->attr.type != ATTR_FORMAT)
        return walk_unknown(w);
    return get_u8(w, STATUS_OPENMETRICS, STATUS_OPENMETRICS, &m->format);
}

int message_decode_status(struct wire_reader r, struct message_status *ret, const char **ret_error)
{
    memset(ret, 0, sizeof *ret);
    return decode(r, take_status_attr, ret, 0, "", ret_error);
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

    if (get_text(w, 1, UINT16_MAX, &line) < 0)
        return -EBADMSG;
    equals = memchr(line.data, '=', line.n);
    if (!equals)
        return walk_fail(w, "a stat without '='");
    m->stat(m->data, (struct text){line.data, (size_t)(equals - line.data)},
            (struct text){equals + 1, line.n - (size_t)(equals - line.data) - 1});
    return 0;
}

static int take_status_reply_attr(struct walk *w, void *message)
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
        return get_u8(w, 1, 1, &m->more);
    }
    return walk_unknown(w);
}

int message_decode_status_reply(struct wire_reader r,
                                void (*stat)(void *data, struct text key, struct text value),
                                void *data, bool *ret_has_more, const char **ret_error)
{
    struct status_reply m = {.stat = stat, .data = data};
    int result = decode(r, take_status_reply_attr, &m, 0, "", ret_error);

    *ret_has_more = m.more;
    return result;
}
