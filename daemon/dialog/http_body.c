/* A chunked body is a line with a size in hex, so many bytes, and a line's end, again and again;
 * the one of size 0 is followed by fields and an empty line. */
#include "daemon/dialog/http_body.h"

#include <errno.h>

void http_body_init(struct http_body_reader *body, enum http_body kind, uint64_t length,
                    uint64_t max)
{
    *body = (struct http_body_reader){.kind = kind, .part = HTTP_PART_NONE, .budget = max};
    if (kind == HTTP_BODY_CHUNKED) {
        body->part = HTTP_PART_CHUNK_SIZE;
    } else if (kind == HTTP_BODY_LENGTH && length > 0) {
        body->part = HTTP_PART_CONTENT;
        body->left = length;
    }
}

static size_t smallest(uint64_t a, uint64_t b, size_t c)
{
    uint64_t smaller = a < b ? a : b;

    return smaller < c ? (size_t)smaller : c;
}

enum http_body_progress http_body_want(struct http_body_reader *body, struct dialog *dialog)
{
    if (body->part == HTTP_PART_NONE)
        return HTTP_BODY_END;
    if (body->budget == 0)
        return HTTP_BODY_OVER;
    switch (body->part) {
    case HTTP_PART_CONTENT:
        dialog_want_exact(dialog, smallest(body->left, body->budget, HTTP_BODY_PIECE));
        break;
    case HTTP_PART_CHUNK_SIZE:
        dialog_want_line(dialog, HTTP_CHUNK_LINE_MAX);
        break;
    case HTTP_PART_CHUNK_END:
        dialog_want_line(dialog, 2);
        break;
    case HTTP_PART_TRAILER:
        dialog_want_head(dialog, HTTP_HEAD_MAX);
        break;
    case HTTP_PART_NONE:
        break;
    }
    return HTTP_BODY_MORE;
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Extensions behind a semicolon are ignored (RFC 9112, 7.1.1). */
static bool parse_chunk_size(struct text line, uint64_t *ret)
{
    uint64_t size = 0;
    size_t i;

    for (i = 0; i < line.n && digit_of(line.data[i]) >= 0; i++) {
        if (size >> 60)
            return false;
        size = size << 4 | (unsigned)digit_of(line.data[i]);
    }
    if (i == 0)
        return false;
    line = http_trim((struct text){line.data + i, line.n - i});
    if (line.n > 0 && line.data[0] != ';')
        return false;
    *ret = size;
    return true;
}

static int take_content(struct http_body_reader *body, struct text data, struct text *ret)
{
    body->left -= data.n;
    if (body->left == 0)
        body->part = body->kind == HTTP_BODY_CHUNKED ? HTTP_PART_CHUNK_END : HTTP_PART_NONE;
    *ret = data;
    return 0;
}

static int take_line(struct http_body_reader *body, struct text line, const char **ret_error)
{
    line.n--;
    if (line.n > 0 && line.data[line.n - 1] == '\r')
        line.n--;
    if (body->part == HTTP_PART_CHUNK_END) {
        if (line.n > 0) {
            *ret_error = "has a chunk that is longer than its size";
            return -EBADMSG;
        }
        body->part = HTTP_PART_CHUNK_SIZE;
        return 0;
    }
    if (!parse_chunk_size(line, &body->left)) {
        *ret_error = "has a chunk without a size";
        return -EBADMSG;
    }
    body->part = body->left > 0 ? HTTP_PART_CONTENT : HTTP_PART_TRAILER;
    return 0;
}

int http_body_take(struct http_body_reader *body, const uint8_t *data, size_t n, struct text *ret,
                   const char **ret_error)
{
    struct text text = {(const char *)data, n};

    body->budget -= n < body->budget ? n : body->budget;
    *ret = (struct text){NULL, 0};
    switch (body->part) {
    case HTTP_PART_CONTENT:
        return take_content(body, text, ret);
    case HTTP_PART_CHUNK_SIZE:
    case HTTP_PART_CHUNK_END:
        return take_line(body, text, ret_error);
    case HTTP_PART_TRAILER:
        body->part = HTTP_PART_NONE;
        return 0;
    case HTTP_PART_NONE:
        break;
    }
    return -EBADMSG;
}
