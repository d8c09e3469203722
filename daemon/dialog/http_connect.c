/* The states are functions, `received`, each of which takes what the one before has wanted:
 *
 *     send ─▶ take_start ─▶ take_head ─▶ 1xx: take_start
 *      ▲                        ├─▶ 2xx: done
 *      │                        ├─▶ other: take_page ─▶ failed
 *      └── (reconnect) ◀── skip_body ◀─┴─▶ 407
 *
 * Where auth.h has to ask (before the first request, after a 407, after a 2xx with a token), the
 * head is kept until there is an answer; `decided` then goes on as without the question.
 *
 * The first five bytes are asked for on their own: a peer that speaks something else than HTTP may
 * never come to the end of a head. */
#include "daemon/dialog/http_connect.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/dialog/auth/leak.h"
#include "proto/cleanup.h"

#define START   "HTTP/"
#define N_START (sizeof START - 1)

static struct http_connect *of_dialog(struct dialog *d)
{
    return (struct http_connect *)d;
}

static void fail_for_memory(struct http_connect *c)
{
    dialog_fail(&c->dialog, ERROR_NO_RESOURCES, "no memory");
}

/* ---- the request ---- */

/* `value` is for Proxy-Authorization; empty: without. False where it has failed. */
static bool make_request(struct http_connect *c, const struct builder *value)
{
    struct builder *request = &c->request;

    builder_deinit(request);
    builder_format(request, "CONNECT %s HTTP/1.%d\r\nHost: %s\r\n", c->authority,
                   c->settings->is_http_1_0 ? 0 : 1, c->authority);
    if (value->n > 0) {
        builder_add_string(request, "Proxy-Authorization: ");
        builder_add(request, (struct text){value->data, value->n});
        builder_add_string(request, "\r\n");
    }
    for (size_t i = 0; i < c->settings->n_headers; i++) {
        builder_add(request, c->settings->headers[i]);
        builder_add_string(request, "\r\n");
    }
    builder_add_string(request, "\r\n");
    if (!request->has_failed && !value->has_failed)
        return true;
    fail_for_memory(c);
    return false;
}

static void send_request(struct http_connect *c)
{
    dialog_want_send(&c->dialog, c->request.data, c->request.n);
}

static struct auth_request describe_request(const struct http_connect *c)
{
    return (struct auth_request){"CONNECT", c->authority};
}

/* ---- failures ---- */

/* With words of the peer's in it. */
static void fail(struct http_connect *c, enum error_code code, const char *detail)
{
    if (leak_is_in(text_of(detail), &c->auth))
        detail = "it repeats the credentials, so its words are not told";
    dialog_fail(&c->dialog, code, "%s", detail);
}

static void fail_head(struct http_connect *c, const char *what)
{
    dialog_fail(&c->dialog, ERROR_PROXY_PROTOCOL, "its answer %s", what);
}

/* To wrong credentials some proxies (tinyproxy) answer as if they were an origin. */
static enum error_code refusal_code(const struct http_connect *c)
{
    return c->refusal->code == 401 && c->auth.has_answered ? ERROR_PROXY_AUTH : ERROR_PROXY_REFUSED;
}

static void take_page(struct http_connect *c, const uint8_t *data, size_t n)
{
    http_refusal_take(c->refusal, &c->dialog, refusal_code(c), data, n);
}

static void take_refusal(struct http_connect *c, const struct http_head *head)
{
    c->refusal = http_refusal_new(head, &c->auth);
    c->received = take_page;
    if (c->refusal)
        http_refusal_want(c->refusal, &c->dialog, refusal_code(c));
    else
        fail_for_memory(c);
}

/* ---- a challenge ---- */

static void want_skip(struct http_connect *c)
{
    switch (http_body_want(&c->body, &c->dialog)) {
    case HTTP_BODY_MORE:
        return;
    case HTTP_BODY_END:
        send_request(c);
        return;
    case HTTP_BODY_OVER:
        dialog_want_reconnect(&c->dialog);
        return;
    }
}

static void skip_body(struct http_connect *c, const uint8_t *data, size_t n)
{
    struct text piece;
    const char *error;

    if (http_body_take(&c->body, data, n, &piece, &error) < 0)
        fail_head(c, error);
    else
        want_skip(c);
}

/* Old proxies say it in a field of their own. */
static bool can_be_used_again(const struct http_head *head)
{
    if (http_head_has_member(head, "Proxy-Connection", "close"))
        return false;
    return http_head_is_persistent(head) ||
           (http_head_has_member(head, "Proxy-Connection", "keep-alive") &&
            !http_head_has_member(head, "Connection", "close"));
}

/* The request is made again, which says what is wanted; but the answer has a body first. */
static void repeat_request(struct http_connect *c, const struct http_head *head,
                           const struct builder *value)
{
    enum http_body kind;
    uint64_t length = 0;
    const char *error;

    if (http_head_measure_body(head, &kind, &length, &error) < 0) {
        fail_head(c, error);
        return;
    }
    if (!make_request(c, value))
        return;
    c->received = skip_body;
    c->may_reconnect = true;
    http_body_init(&c->body, kind, length, HTTP_CONNECT_SKIP_MAX);
    if (!can_be_used_again(head) || kind == HTTP_BODY_CLOSE || length > HTTP_CONNECT_SKIP_MAX)
        dialog_want_reconnect(&c->dialog);
    else
        want_skip(c);
}

/* ---- authentication ---- */

static void drop_head(struct http_connect *c)
{
    if (c->head)
        http_head_deinit(c->head);
    free(c->head);
    c->head = NULL;
}

static void decide(struct http_connect *c, enum auth_verdict verdict, const struct builder *value)
{
    if (verdict == AUTH_LATER) {
        dialog_want_answer(&c->dialog, &c->auth.question);
        return;
    }
    c->decided(c, verdict, value);
    drop_head(c);
}

static void begun(struct http_connect *c, enum auth_verdict verdict, const struct builder *value)
{
    if (verdict == AUTH_FAILED)
        fail(c, ERROR_PROXY_AUTH, c->auth.reason);
    else if (make_request(c, value))
        send_request(c);
}

static void challenged(struct http_connect *c, enum auth_verdict verdict,
                       const struct builder *value)
{
    if (verdict == AUTH_FAILED)
        fail(c, ERROR_PROXY_AUTH, c->auth.reason);
    else
        repeat_request(c, c->head, value);
}

static void accepted(struct http_connect *c, enum auth_verdict verdict, const struct builder *value)
{
    (void)value;
    builder_deinit(&c->request);
    if (verdict == AUTH_FAILED)
        fail(c, ERROR_PROXY_AUTH, c->auth.reason);
    else
        dialog_done(&c->dialog);
}

static void begin(struct http_connect *c)
{
    struct auth_request request = describe_request(c);
    struct builder value;

    builder_init(&value, AUTH_VALUE_MAX);
    c->decided = begun;
    decide(c, auth_begin(&c->auth, &request, &value), &value);
    builder_deinit(&value);
}

static void start_over(struct http_connect *c)
{
    struct builder none = {0};

    c->decided = begun;
    decide(c, auth_start_over(&c->auth), &none);
}

static void take_challenge(struct http_connect *c, const struct http_head *head)
{
    struct auth_request request = describe_request(c);
    struct builder value;

    builder_init(&value, AUTH_VALUE_MAX);
    c->decided = challenged;
    decide(c, auth_answer(&c->auth, head, &request, &value), &value);
    builder_deinit(&value);
}

static void take_acceptance(struct http_connect *c, const struct http_head *head)
{
    struct builder none = {0};

    c->decided = accepted;
    decide(c, auth_accept(&c->auth, head), &none);
}

static void http_connect_answered(struct dialog *d, const struct gss_answer *answer,
                                  const char *why)
{
    struct http_connect *c = of_dialog(d);
    struct auth_request request = describe_request(c);
    struct builder value;

    builder_init(&value, AUTH_VALUE_MAX);
    decide(c, auth_take_answer(&c->auth, answer, why, c->head, &request, &value), &value);
    builder_deinit(&value);
}

/* ---- the answer ---- */

static void take_start(struct http_connect *c, const uint8_t *data, size_t n);

static void want_answer(struct http_connect *c)
{
    c->received = take_start;
    dialog_want_exact(&c->dialog, N_START);
}

static void take_interim(struct http_connect *c, const struct http_head *head)
{
    if (head->code == 101)
        fail_head(c, "switches to another protocol, which nobody wanted");
    else if (++c->n_interim > HTTP_CONNECT_INTERIM_MAX)
        fail_head(c, "never comes: too many 1xx");
    else
        want_answer(c);
}

static void judge(struct http_connect *c, const struct http_head *head)
{
    if (head->code < 200) {
        take_interim(c, head);
    } else if (head->code < 300) {
        take_acceptance(c, head);
    } else if (head->code == 407) {
        take_challenge(c, head);
    } else {
        take_refusal(c, head);
    }
}

static void take_head(struct http_connect *c, const uint8_t *data, size_t n)
{
    CLEANUP(freep) char *whole = malloc(N_START + n);
    const char *error;
    int r = -ENOMEM;

    c->head = calloc(1, sizeof *c->head);
    if (whole && c->head) {
        memcpy(whole, START, N_START);
        memcpy(whole + N_START, data, n);
        r = http_head_parse(whole, N_START + n, c->head, &error);
    }
    if (r == -ENOMEM) {
        fail_for_memory(c);
    } else if (r < 0) {
        fail_head(c, error);
    } else {
        judge(c, c->head);
    }
    if (c->dialog.want != DIALOG_ASK)
        drop_head(c);
}

/* The record types of an alert and a handshake; then the version. */
static bool is_tls(const uint8_t *data)
{
    return (data[0] == 0x15 || data[0] == 0x16) && data[1] == 0x03;
}

static void take_start(struct http_connect *c, const uint8_t *data, size_t n)
{
    char detail[64];

    c->may_reconnect = false;
    if (memcmp(data, START, N_START) == 0) {
        c->received = take_head;
        dialog_want_head(&c->dialog, HTTP_HEAD_MAX - N_START);
    } else if (is_tls(data)) {
        fail_head(c, "is TLS: its url should begin with https://");
    } else {
        snprintf(detail, sizeof detail, "its answer is not HTTP: it starts with %.*s", (int)n,
                 (const char *)data);
        fail(c, ERROR_PROXY_PROTOCOL, detail);
    }
}

/* ---- the dialog ---- */

static void http_connect_sent(struct dialog *d)
{
    want_answer(of_dialog(d));
}

static void http_connect_received(struct dialog *d, const uint8_t *data, size_t n)
{
    struct http_connect *c = of_dialog(d);

    c->received(c, data, n);
}

static void http_connect_reconnected(struct dialog *d)
{
    struct http_connect *c = of_dialog(d);

    c->may_reconnect = false;
    if (auth_is_bound(&c->auth))
        start_over(c);
    else
        send_request(c);
}

/* A refusal stays one without the end of its page. A connection that ends between a 407 and the
 * next answer only had no more use (RFC 9112, 9.3.1). */
static bool http_connect_broken(struct dialog *d, enum dialog_break how)
{
    struct http_connect *c = of_dialog(d);

    if (c->refusal) {
        http_refusal_fail(c->refusal, d, refusal_code(c));
        return true;
    }
    if (!c->may_reconnect || how == DIALOG_TOO_LONG)
        return false;
    dialog_want_reconnect(d);
    return true;
}

static void http_connect_deinit(struct dialog *d)
{
    struct http_connect *c = of_dialog(d);

    builder_deinit(&c->request);
    c->refusal = http_refusal_free(c->refusal);
    drop_head(c);
    auth_deinit(&c->auth);
}

static const struct dialog_type http_connect_type = {.name = "http-connect",
                                                     .stage = STAGE_PROXY,
                                                     .unclear = ERROR_PROXY_PROTOCOL,
                                                     .is_last_word_ours = false,
                                                     .sent = http_connect_sent,
                                                     .received = http_connect_received,
                                                     .reconnected = http_connect_reconnected,
                                                     .answered = http_connect_answered,
                                                     .broken = http_connect_broken,
                                                     .deinit = http_connect_deinit};

void http_connect_init(struct http_connect *c, const struct http_connect_settings *settings,
                       struct auth_memory *memory, const char *host, uint16_t port,
                       const char *cnonce)
{
    bool is_ipv6 = strchr(host, ':') != NULL;

    *c = (struct http_connect){.settings = settings};
    dialog_init(&c->dialog, &http_connect_type);
    snprintf(c->authority, sizeof c->authority, is_ipv6 ? "[%s]:%u" : "%s:%u", host, port);
    builder_init(&c->request, HTTP_CONNECT_REQUEST_MAX);
    auth_init(&c->auth, &settings->auth, memory, cnonce);
    begin(c);
}
