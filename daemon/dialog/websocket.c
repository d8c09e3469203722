/* The dialog: send the request, take heads until one is no interim answer, and judge that. */
#include "daemon/dialog/websocket.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/base/base64.h"
#include "daemon/dialog/http_head.h"

#define CODE_SWITCHING 101
#define SHA1_SIZE      20
#define KEY_GUID       "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" /* RFC 6455, 1.3 */

_Static_assert(BASE64_LENGTH(SHA1_SIZE) < sizeof(((struct websocket *)NULL)->accept),
               "what we expect fits");

static struct websocket *websocket_of(struct dialog *d)
{
    return (struct websocket *)d;
}

/* ---- the request ---- */

static void add_host(struct builder *b, const struct target *target)
{
    bool is_ipv6 = target->host_kind == HOST_IPV6;

    builder_format(b, "Host: %s%s%s", is_ipv6 ? "[" : "", target->host, is_ipv6 ? "]" : "");
    if (target->port != scheme_default_port(target->scheme))
        builder_format(b, ":%u", (unsigned)target->port);
    builder_add_string(b, "\r\n");
}

static void add_options(struct websocket *websocket, const struct websocket_options *options)
{
    struct builder *b = &websocket->request;
    size_t at;

    for (size_t i = 0; i < options->n_headers; i++) {
        builder_add(b, options->headers[i]);
        builder_add_string(b, "\r\n");
    }
    if (options->n_subprotocols == 0)
        return;
    builder_add_string(b, "Sec-WebSocket-Protocol: ");
    at = b->n;
    for (size_t i = 0; i < options->n_subprotocols; i++) {
        if (i > 0)
            builder_add_string(b, ", ");
        builder_add(b, options->subprotocols[i]);
    }
    websocket->asked_at = at;
    websocket->n_asked = b->n - at;
    builder_add_string(b, "\r\n");
}

static void make_request(struct websocket *websocket, const struct websocket_setup *setup,
                         const char *key)
{
    struct builder *b = &websocket->request;

    builder_format(b, "GET %s HTTP/1.1\r\n", setup->target->path);
    add_host(b, setup->target);
    builder_format(b,
                   "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                   "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n",
                   key);
    add_options(websocket, &setup->options);
    builder_add_string(b, "\r\n");
}

/* RFC 6455, 4.2.2, 5., /key/. */
static bool make_accept(struct websocket *websocket, hash_function *hash, const char *key)
{
    const struct text pieces[] = {text_of(key), text_of(KEY_GUID)};
    uint8_t digest[HASH_SIZE_MAX];

    if (hash(HASH_SHA1, pieces, 2, digest) != SHA1_SIZE)
        return false;
    base64_encode(websocket->accept, digest, SHA1_SIZE);
    return true;
}

/* ---- the answer ---- */

/* The field that must stand there once. */
static bool find_single(const struct http_head *head, const char *name, struct text *ret)
{
    const struct http_field *field = http_head_find(head, name, NULL);

    if (!field || http_head_find(head, name, field))
        return false;
    *ret = field->value;
    return true;
}

static bool is_same(struct text a, struct text b)
{
    return a.n == b.n && memcmp(a.data, b.data, a.n) == 0;
}

static bool was_asked(const struct websocket *websocket, struct text subprotocol)
{
    struct text list = {websocket->request.data + websocket->asked_at, websocket->n_asked};
    struct text member;

    while (http_list_next(&list, &member))
        if (is_same(member, subprotocol))
            return true;
    return false;
}

/* RFC 6455, 4.1, "Once the client's opening handshake has been sent". What is wrong with a 101, or
 * NULL. A Content-Length in it means nothing (RFC 9110, 8.6), and is not looked at. */
static const char *find_wrong(const struct websocket *websocket, const struct http_head *head)
{
    struct text value;

    if (head->minor < 1)
        return "it switches protocols in HTTP/1.0";
    if (!find_single(head, "Upgrade", &value) || !http_text_equals(value, "websocket"))
        return "it switches to another protocol: its Upgrade is not websocket";
    if (!http_head_has_member(head, "Connection", "upgrade"))
        return "its Connection does not say upgrade";
    if (!find_single(head, "Sec-WebSocket-Accept", &value) ||
        !is_same(value, text_of(websocket->accept)))
        return "its Sec-WebSocket-Accept does not answer the key";
    if (http_head_find(head, "Sec-WebSocket-Extensions", NULL))
        return "it uses an extension, and none was offered";
    if (http_head_find(head, "Sec-WebSocket-Protocol", NULL) &&
        (!find_single(head, "Sec-WebSocket-Protocol", &value) || !was_asked(websocket, value)))
        return "it speaks a subprotocol that was not offered";
    return NULL;
}

/* False: it has failed. */
static bool keep_response(struct websocket *websocket, const uint8_t *data, size_t n)
{
    char *copy = malloc(n);

    if (!copy) {
        dialog_fail(&websocket->dialog, ERROR_NO_RESOURCES, "no memory for the answer");
        return false;
    }
    memcpy(copy, data, n);
    websocket->dialog.response = (struct text){copy, n};
    return true;
}

/* Of where it wants to send us, the query stays out of the error: what is in there is often
 * secret. The client has it in the response. */
static void refuse(struct websocket *websocket, const struct http_head *head)
{
    const struct http_field *location = http_head_find(head, "Location", NULL);
    struct text to = location ? location->value : (struct text){"", 0};
    size_t n = 0;

    while (n < to.n && to.data[n] != '?' && to.data[n] != '#')
        n++;
    dialog_fail(&websocket->dialog, ERROR_UPGRADE_REFUSED, "it answers %u%s%.*s%s%.*s", head->code,
                head->reason.n > 0 ? " " : "", (int)head->reason.n, head->reason.data,
                location ? ", Location: " : "", (int)n, to.data);
}

static void judge(struct websocket *websocket, const struct http_head *head, const uint8_t *data,
                  size_t n)
{
    struct dialog *d = &websocket->dialog;
    const char *wrong;

    if (head->code < 200 && head->code != CODE_SWITCHING) {
        if (++websocket->n_interim > WEBSOCKET_INTERIM_MAX)
            dialog_fail(d, ERROR_UPGRADE_PROTOCOL, "more than %d interim answers",
                        WEBSOCKET_INTERIM_MAX);
        else
            dialog_want_head(d, WEBSOCKET_HEAD_MAX);
        return;
    }
    wrong = head->code == CODE_SWITCHING ? find_wrong(websocket, head) : NULL;
    if (wrong)
        dialog_fail(d, ERROR_UPGRADE_PROTOCOL, "%s", wrong);
    else if (!keep_response(websocket, data, n))
        return;
    else if (head->code == CODE_SWITCHING)
        dialog_done(d);
    else
        refuse(websocket, head);
}

/* ---- the dialog ---- */

static void websocket_sent(struct dialog *d)
{
    dialog_want_head(d, WEBSOCKET_HEAD_MAX);
}

static void websocket_received(struct dialog *d, const uint8_t *data, size_t n)
{
    struct http_head head;
    const char *error;

    if (http_head_parse(data, n, &head, &error) < 0) {
        dialog_fail(d, ERROR_UPGRADE_PROTOCOL, "the head of its answer %s", error);
        return;
    }
    judge(websocket_of(d), &head, data, n);
    http_head_deinit(&head);
}

static void websocket_deinit(struct dialog *d)
{
    struct websocket *websocket = websocket_of(d);

    builder_deinit(&websocket->request);
    free((char *)d->response.data);
    d->response = (struct text){NULL, 0};
}

static const struct dialog_type websocket_type = {
    .name = "websocket",
    .stage = STAGE_UPGRADE,
    .unclear = ERROR_UPGRADE_PROTOCOL,
    .sent = websocket_sent,
    .received = websocket_received,
    .deinit = websocket_deinit,
};

void websocket_init(struct websocket *websocket, const struct websocket_setup *setup)
{
    char key[BASE64_LENGTH(WEBSOCKET_KEY_SIZE) + 1];
    struct dialog *d = &websocket->dialog;
    struct failure failure;

    *websocket = (struct websocket){.n_interim = 0};
    dialog_init(d, &websocket_type);
    builder_init(&websocket->request, WEBSOCKET_REQUEST_MAX);
    if (!websocket_check_options(&setup->options, &failure)) {
        dialog_fail(d, failure.code, "%s", failure.detail);
        return;
    }
    base64_encode(key, setup->key, sizeof setup->key);
    make_request(websocket, setup, key);
    if (websocket->request.has_failed)
        dialog_fail(d, ERROR_NO_RESOURCES, "the request is too long, or there is no memory");
    else if (!make_accept(websocket, setup->hash, key))
        dialog_fail(d, ERROR_INTERNAL, "SHA-1 cannot be had");
    else
        dialog_want_send(d, websocket->request.data, websocket->request.n);
}
