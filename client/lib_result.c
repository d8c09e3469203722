/* Results: filled in from the daemon's message, or with an error of our own; and the accessors.
 *
 * The message's bytes are copied once; certificates and response are views into the copy, what the
 * caller gets as a string is copied behind one another into `text`, with its NUL.
 */
#include "client/session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/cleanup.h"
#include "proto/error.h"

#define RESULT_MESSAGE_MAX 1536 /* error text, every byte of the detail as \xNN, errno text */
#define RESULT_REASON_MAX  (MESSAGE_DETAIL_MAX * 4 + 1)

static void close_fds(struct fdial_result *r)
{
    for (size_t i = 0; i < r->n_fds; i++)
        r->fds[i] = fd_close(r->fds[i]);
    r->n_fds = 0;
}

static void forget(struct fdial_result *r)
{
    close_fds(r);
    free(r->text);
    free(r->bytes);
    r->text = NULL;
    r->bytes = NULL;
    r->alpn = r->cipher = r->message = r->handoff_reason = "";
    r->m = (struct message_result){0};
}

void result_fail(struct fdial_result *r, unsigned code, int error, const char *message)
{
    forget(r);
    r->m.code = code;
    r->m.stage = code ? (uint8_t)error_stage(code) : STAGE_REQUEST;
    r->error = error;
    r->message = message;
}

struct fdial_result *fdial_result_free(struct fdial_result *r)
{
    if (!r)
        return NULL;
    forget(r);
    free(r);
    return NULL;
}

/* The daemon escapes what it quotes; a second look costs nothing, and the promise "printable" is
 * ours. */
static size_t escape(char *to, struct text from)
{
    size_t n = 0;

    for (size_t i = 0; i < from.n; i++) {
        unsigned char c = (unsigned char)from.data[i];

        if (c >= 0x20 && c < 0x7f)
            to[n++] = (char)c;
        else
            n += (size_t)sprintf(to + n, "\\x%02x", c);
    }
    to[n] = '\0';
    return n;
}

/* "certificate has expired: CN=host, 2020-01-01", with the system's own words where they add
 * something. */
static size_t compose_message(const struct message_result *m, char *buf)
{
    size_t n = (size_t)sprintf(buf, "%s", error_text(m->code));
    int sys_errno = m->sys_errno <= 4095 ? (int)m->sys_errno : 0;

    if (m->detail.n > 0) {
        n += (size_t)sprintf(buf + n, ": ");
        n += escape(buf + n, m->detail);
    }
    if (sys_errno != 0 && sys_errno != error_to_errno(m->code))
        n += (size_t)snprintf(buf + n, RESULT_MESSAGE_MAX - n, " (%s)", errno_text(sys_errno));
    return n;
}

static const char *append(char **end, const char *data, size_t n)
{
    char *start = *end;

    if (n > 0)
        memcpy(start, data, n);
    start[n] = '\0';
    *end = start + n + 1;
    return start;
}

static int set_texts(struct fdial_result *r)
{
    char message[RESULT_MESSAGE_MAX] = "", reason[RESULT_REASON_MAX];
    size_t n_message = r->m.code ? compose_message(&r->m, message) : 0;
    size_t n_reason = escape(reason, r->m.handoff_reason);
    char *end;

    if (n_message >= sizeof message)
        n_message = sizeof message - 1;
    end = malloc(n_message + r->m.alpn.n + r->m.tls_cipher.n + n_reason + 4);
    if (!end)
        return -ENOMEM;
    r->text = end;
    r->message = append(&end, message, n_message);
    r->alpn = append(&end, r->m.alpn.data, r->m.alpn.n);
    r->cipher = append(&end, r->m.tls_cipher.data, r->m.tls_cipher.n);
    r->handoff_reason = append(&end, reason, n_reason);
    return 0;
}

/* Is it an answer to what was asked? An error comes without fds; else there are 1 to n_asked of one
 * kind that was acceptable. */
static bool is_fitting(const struct fdial_result *r)
{
    const struct message_result *m = &r->m;

    if (m->code != ERROR_NONE)
        return r->n_fds == 0;
    return r->n_fds >= 1 && r->n_fds <= r->n_asked &&
           (m->handoff == HANDOFF_TCP || m->handoff == HANDOFF_KTLS ||
            m->handoff == HANDOFF_RELAY) &&
           (m->handoff & r->handoff_asked) != 0;
}

static int decode(struct fdial_result *r, size_t n)
{
    struct wire_reader reader;
    struct wire_head head;
    const char *sentence;

    if (wire_read_head(&reader, r->bytes, n, &head) < 0)
        return -EBADMSG;
    return message_decode_result(reader, &r->m, &sentence);
}

int result_accept_consume_fds(struct fdial_result *r, const uint8_t *bytes, size_t n,
                              const int *fds, size_t n_fds)
{
    memcpy(r->fds, fds, n_fds * sizeof *fds);
    r->n_fds = n_fds;
    r->bytes = malloc(n);
    if (!r->bytes) {
        result_fail(r, 0, -ENOMEM, "out of memory");
        return 0;
    }
    memcpy(r->bytes, bytes, n);
    if (decode(r, n) < 0 || !is_fitting(r)) {
        forget(r);
        return -EBADMSG;
    }
    if (set_texts(r) < 0) {
        result_fail(r, 0, -ENOMEM, "out of memory");
        return 0;
    }
    r->error = r->m.code ? -error_to_errno(r->m.code) : 0;
    if (r->m.code && r->m.stage == 0)
        r->m.stage = (uint8_t)error_stage(r->m.code);
    return 0;
}

uint64_t fdial_result_id(const struct fdial_result *r)
{
    return r->id;
}

int fdial_result_error(const struct fdial_result *r)
{
    return r->error;
}

unsigned fdial_result_code(const struct fdial_result *r)
{
    return r->m.code;
}

int fdial_result_stage(const struct fdial_result *r)
{
    return r->error ? r->m.stage : FDIAL_STAGE_NONE;
}

int fdial_result_hop(const struct fdial_result *r)
{
    return r->m.hop;
}

const char *fdial_result_message(const struct fdial_result *r)
{
    return r->message;
}

unsigned fdial_result_count(const struct fdial_result *r)
{
    return (unsigned)r->n_fds;
}

int fdial_result_take_fd(struct fdial_result *r, unsigned i)
{
    if (i >= r->n_fds || r->fds[i] < 0)
        return -ENOENT;
    return TAKE_FD(r->fds[i]);
}

unsigned fdial_result_handoff(const struct fdial_result *r)
{
    return r->m.handoff;
}

const char *fdial_result_handoff_reason(const struct fdial_result *r)
{
    return r->handoff_reason;
}

int fdial_result_is_warm(const struct fdial_result *r)
{
    return r->m.is_warm;
}

const struct sockaddr_storage *fdial_result_peer(const struct fdial_result *r)
{
    return &r->m.peer;
}

const struct sockaddr_storage *fdial_result_local(const struct fdial_result *r)
{
    return &r->m.local;
}

const char *fdial_result_alpn(const struct fdial_result *r)
{
    return r->alpn;
}

unsigned fdial_result_tls_version(const struct fdial_result *r)
{
    return r->m.tls_version;
}

const char *fdial_result_tls_cipher(const struct fdial_result *r)
{
    return r->cipher;
}

int fdial_result_is_resumed(const struct fdial_result *r)
{
    return r->m.is_resumed;
}

const void *fdial_result_certificate(const struct fdial_result *r, unsigned i, size_t *ret_size)
{
    if (i >= r->m.n_chain)
        return NULL;
    *ret_size = r->m.chain[i].n;
    return r->m.chain[i].data;
}

const void *fdial_result_response(const struct fdial_result *r, size_t *ret_size)
{
    if (!r->m.response.data)
        return NULL;
    *ret_size = r->m.response.n;
    return r->m.response.data;
}

int fdial_result_response_is_clear(const struct fdial_result *r)
{
    return r->m.is_response_clear;
}

int fdial_result_time_us(const struct fdial_result *r, unsigned i, int *ret_stage, int *ret_hop,
                         uint32_t *ret_us)
{
    if (i >= r->m.n_times)
        return -ENOENT;
    *ret_stage = r->m.times[i].stage;
    *ret_hop = r->m.times[i].hop;
    *ret_us = r->m.times[i].us;
    return 0;
}
