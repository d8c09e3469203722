/* The body of an HTTP/1 message, piece by piece, up to a limit: RFC 9112, 6 and 7.1. It says what a
 * dialog has to want next, and takes what came of it. */
#pragma once

#include "daemon/dialog/http_head.h"

#define HTTP_BODY_PIECE     4096
#define HTTP_CHUNK_LINE_MAX 256 /* a chunk's size and what may stand behind it */

enum http_body_part {
    HTTP_PART_CONTENT,
    HTTP_PART_CHUNK_SIZE,
    HTTP_PART_CHUNK_END, /* the line's end behind a chunk */
    HTTP_PART_TRAILER,
    HTTP_PART_NONE,
};

struct http_body_reader {
    enum http_body kind;
    enum http_body_part part; /* what is read next */
    uint64_t left;            /* of the body, or of the chunk */
    uint64_t budget;          /* bytes that may still be read, chunks' sizes and all */
};

enum http_body_progress {
    HTTP_BODY_MORE, /* the dialog wants something */
    HTTP_BODY_END,
    HTTP_BODY_OVER, /* there is more than the limit; it was not read */
};

/* kind is HTTP_BODY_LENGTH or HTTP_BODY_CHUNKED; nobody announces more of HTTP_BODY_CLOSE, which is
 * taken for an empty one. */
void http_body_init(struct http_body_reader *body, enum http_body kind, uint64_t length,
                    uint64_t max);
enum http_body_progress http_body_want(struct http_body_reader *body, struct dialog *dialog);
/* Takes what was wanted. *ret is what of it is content (n 0: nothing). Returns 0, or -EBADMSG with
 * what is wrong, said of the answer ("has …"). */
int http_body_take(struct http_body_reader *body, const uint8_t *data, size_t n, struct text *ret,
                   const char **ret_error);
