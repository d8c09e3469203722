/* A message, as it comes from a socket, through every decoder: what a client sends, and what the
 * library gets. What is accepted keeps within the limits of PROTOCOL.md, and a connect comes out of
 * the encoder and back as it went in. */
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/message.h"

static void check_text(struct text text, size_t min, size_t max)
{
    if (text.data && (text.n < min || text.n > max || memchr(text.data, '\0', text.n)))
        abort();
}

static void check_texts_equal(struct text a, struct text b)
{
    if (!a.data != !b.data || a.n != b.n || (a.n > 0 && memcmp(a.data, b.data, a.n) != 0))
        abort();
}

static void check_connect(const struct message_connect *m)
{
    check_text(m->target, 1, TARGET_MAX);
    if (!m->target.data || m->count > MESSAGE_COUNT_MAX || m->timeout_ms > MESSAGE_TIMEOUT_MS_MAX ||
        (m->family != 0 && m->family != 4 && m->family != 6) || m->handoff & ~HANDOFF_ALL ||
        m->n_alpn > MESSAGE_ALPN_MAX || m->n_headers > MESSAGE_HEADERS_MAX ||
        m->n_subprotocols > MESSAGE_SUBPROTOCOL_MAX)
        abort();
    for (size_t i = 0; i < m->n_alpn; i++)
        check_text(m->alpn[i], 1, MESSAGE_ALPN_NAME_MAX);
}

static void check_grant(const struct message_grant *m)
{
    if (m->n_patterns == 0 || m->n_patterns > MESSAGE_PATTERNS_MAX)
        abort();
    for (size_t i = 0; i < m->n_patterns; i++)
        check_text(m->patterns[i], 1, MESSAGE_PATTERN_MAX);
}

static void check_round_trip(const struct message_connect *m, uint64_t id)
{
    static uint8_t buf[WIRE_MESSAGE_MAX];
    ssize_t n = message_encode_connect(buf, sizeof buf, id, m);
    struct message_connect again;
    struct wire_reader reader;
    struct wire_head head;
    const char *error;

    if (n < 0 || wire_read_head(&reader, buf, (size_t)n, &head) < 0 || head.id != id ||
        head.type != WIRE_CONNECT || message_decode_connect(reader, &again, &error) < 0)
        abort();
    check_texts_equal(m->target, again.target);
    check_texts_equal(m->tls_name, again.tls_name);
    if (m->n_alpn != again.n_alpn || m->n_headers != again.n_headers ||
        m->n_subprotocols != again.n_subprotocols || m->family != again.family ||
        m->handoff != again.handoff || m->count != again.count || m->timeout_ms != again.timeout_ms)
        abort();
    for (size_t i = 0; i < m->n_alpn; i++)
        check_texts_equal(m->alpn[i], again.alpn[i]);
}

static void stat(void *data, struct text key, struct text value)
{
    (void)data;
    if (!value.data || (key.data && memchr(key.data, '=', key.n)))
        abort();
}

/* Every refusal has its sentence. */
static void check_refusal(int r, const char *error)
{
    if (r != 0 && (r != -EBADMSG || !error || !*error))
        abort();
}

static void decode_requests(struct wire_reader reader, const struct wire_head *head)
{
    struct message_connect connect;
    struct message_explain explain;
    struct message_status status;
    struct message_hello hello;
    struct message_grant grant;
    const char *error = NULL;
    int r = message_decode_connect(reader, &connect, &error);

    check_refusal(r, error);
    if (r == 0) {
        check_connect(&connect);
        check_round_trip(&connect, head->id);
    }
    error = NULL;
    r = message_decode_hello(reader, &hello, &error);
    check_refusal(r, error);
    if (r == 0 && hello.version == 0)
        abort();
    error = NULL;
    r = message_decode_explain(reader, &explain, &error);
    check_refusal(r, error);
    if (r == 0)
        check_text(explain.as_user, 1, 64);
    error = NULL;
    r = message_decode_grant(reader, &grant, &error);
    check_refusal(r, error);
    if (r == 0)
        check_grant(&grant);
    error = NULL;
    r = message_decode_status(reader, &status, &error);
    check_refusal(r, error);
    if (r == 0 && status.format > STATUS_OPENMETRICS)
        abort();
    error = NULL;
    r = message_decode_empty(reader, &error);
    check_refusal(r, error);
}

static void decode_answers(struct wire_reader reader)
{
    struct message_explained explained;
    struct message_welcome welcome;
    struct message_result result;
    struct message_answer answer;
    struct message_ended ended;
    struct message_error failed;
    bool has_more;
    const char *error = NULL;
    int r = message_decode_result(reader, &result, &error);

    check_refusal(r, error);
    if (r == 0 && (result.n_chain > MESSAGE_CHAIN_MAX || result.n_times > MESSAGE_TIMES_MAX))
        abort();
    error = NULL;
    r = message_decode_welcome(reader, &welcome, &error);
    check_refusal(r, error);
    error = NULL;
    r = message_decode_ended(reader, &ended, &error);
    check_refusal(r, error);
    error = NULL;
    r = message_decode_explained(reader, &explained, &error);
    check_refusal(r, error);
    error = NULL;
    r = message_decode_answer(reader, &answer, &error);
    check_refusal(r, error);
    error = NULL;
    r = message_decode_error(reader, &failed, &error);
    check_refusal(r, error);
    error = NULL;
    r = message_decode_status_reply(reader, stat, NULL, &has_more, &error);
    check_refusal(r, error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct wire_reader reader;
    struct wire_head head;
    int r = wire_read_head(&reader, data, n, &head);

    if (r == 0) {
        if (head.length != n || head.flags != 0 || n < WIRE_HEAD_SIZE)
            abort();
    } else if (r != -EBADMSG) {
        abort();
    } else {
        /* The attributes all the same: a mutation seldom keeps the length right. */
        if (n < WIRE_HEAD_SIZE)
            return 0;
        reader = (struct wire_reader){data + WIRE_HEAD_SIZE, n - WIRE_HEAD_SIZE};
        head = (struct wire_head){.id = 1};
    }
    decode_requests(reader, &head);
    decode_answers(reader);
    return 0;
}
