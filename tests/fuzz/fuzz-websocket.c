/* The upgrade to WebSocket, from both sides. By the first byte:
 *
 * 0  the rest are a server's words to a client that asked for no subprotocol
 * 1  to one that asked for two
 * 2  the rest is what a client wants in the request: pieces of u8 length, where a length of 255 is
 *    that of no piece, and ends the headers; the others behind it are subprotocols
 *
 * Whatever passes the check of options, the request has the lines that it should have and one
 * field of each that is ours. */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "daemon/dialog/websocket.h"
#include "daemon/tls/hash.h"
#include "proto/cleanup.h"
#include "tests/dialog/conversation.h"

#define KEY         "the sample nonce"
#define PIECES_MAX  40
#define NOT_A_PIECE 255
#define OUR_LINES   6 /* and the empty one */

static void init(struct websocket *websocket, const struct websocket_options *options)
{
    struct websocket_setup setup = {.options = *options, .hash = tls_hash};
    struct target target;
    const char *error;

    if (target_parse("ws://example.org/chat", 21, &target, &error) < 0)
        abort();
    setup.target = &target;
    memcpy(setup.key, KEY, sizeof setup.key);
    websocket_init(websocket, &setup);
}

/* ---- the server's words ---- */

static bool contains(struct text text, const char *word)
{
    return memmem(text.data, text.n, word, strlen(word)) != NULL;
}

static void check_done(const struct dialog *d)
{
    if (!contains(d->response, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") ||
        memcmp(d->response.data, "HTTP/1.1 101", 12) != 0 || d->response.n > MESSAGE_RESPONSE_MAX)
        abort();
}

static void hear(const struct websocket_options *options, const uint8_t *data, size_t n)
{
    struct websocket websocket;
    struct dialog *d = &websocket.dialog;

    init(&websocket, options);
    conversation_fuzz(d, data, n);
    if (d->want == DIALOG_DONE)
        check_done(d);
    else if ((d->response.data != NULL) != (d->failure.code == ERROR_UPGRADE_REFUSED))
        abort();
    dialog_deinit(d);
}

/* ---- the client's wishes ---- */

static size_t count_lines(struct text request, const char *start)
{
    size_t n = 0;

    for (const char *line = request.data; line < request.data + request.n; n++) {
        const char *end = memmem(line, (size_t)(request.data + request.n - line), "\r\n", 2);

        if (!end || memchr(line, '\r', (size_t)(end - line)) ||
            memchr(line, '\n', (size_t)(end - line)))
            abort();
        if (start && strncasecmp(line, start, strlen(start)) != 0)
            n--;
        line = end + 2;
    }
    return n;
}

static void check_request(const struct dialog *d, const struct websocket_options *options)
{
    static const char *const ours[] = {"Host:",
                                       "Upgrade:",
                                       "Connection:",
                                       "Sec-WebSocket-Key:",
                                       "Sec-WebSocket-Version:",
                                       "GET /chat HTTP/1.1"};
    struct text request = {(const char *)d->out, d->n_out};
    bool has_list = options->n_subprotocols > 0;

    if (memchr(request.data, '\0', request.n) ||
        memcmp(request.data + request.n - 4, "\r\n\r\n", 4) != 0 ||
        memmem(request.data, request.n - 2, "\r\n\r\n", 4) ||
        count_lines(request, NULL) != OUR_LINES + 1u + has_list + options->n_headers ||
        count_lines(request, "Sec-WebSocket-Protocol:") != has_list ||
        count_lines(request, "Sec-WebSocket-") != 2u + has_list ||
        count_lines(request, "Content-Length:") + count_lines(request, "Transfer-Encoding:") > 0)
        abort();
    for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
        if (count_lines(request, ours[i]) != 1)
            abort();
}

static void ask(const struct websocket_options *options)
{
    struct websocket websocket;
    struct dialog *d = &websocket.dialog;
    struct failure failure = {0};
    bool is_good = websocket_check_options(options, &failure);

    init(&websocket, options);
    if (is_good && d->want == DIALOG_SEND)
        check_request(d, options);
    else if (is_good || failure.code != ERROR_BAD_OPTION || failure.detail[0] == '\0' ||
             d->want != DIALOG_FAILED || d->failure.code != ERROR_BAD_OPTION)
        abort();
    dialog_deinit(d);
}

static void wish(const uint8_t *data, size_t n)
{
    struct text headers[PIECES_MAX], subprotocols[PIECES_MAX];
    struct websocket_options options = {headers, 0, subprotocols, 0};
    bool is_header = true;

    while (n > 0 && options.n_headers + options.n_subprotocols < PIECES_MAX) {
        size_t length = data[0] < n - 1 ? data[0] : n - 1;
        struct text piece = {(const char *)data + 1, length};

        if (data[0] == NOT_A_PIECE) {
            is_header = false;
            length = 0;
        } else if (is_header) {
            headers[options.n_headers++] = piece;
        } else {
            subprotocols[options.n_subprotocols++] = piece;
        }
        data += 1 + length;
        n -= 1 + length;
    }
    ask(&options);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct text subprotocols[] = {text_of("chat"), text_of("superchat")};
    struct websocket_options options = {NULL, 0, subprotocols, 0};

    if (n == 0)
        return 0;
    switch (data[0]) {
    case 1:
        options.n_subprotocols = ARRAY_SIZE(subprotocols);
        hear(&options, data + 1, n - 1);
        return 0;
    case 2:
        wish(data + 1, n - 1);
        return 0;
    }
    hear(&options, data + 1, n - 1);
    return 0;
}
