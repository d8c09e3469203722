/* The head of an HTTP/1 response: RFC 9112 (the message), RFC 9110 (what is in it). Strict: what a
 * proxy or server gets wrong here decides where the client's bytes begin. Lines end with CRLF or a
 * bare LF (RFC 9112, 2.2). A field folded over several lines is joined by spaces, as a user agent
 * has to (RFC 9112, 5.2). There are no NULs and no other control characters in it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/dialog/dialog.h"
#include "proto/message.h"

#define HTTP_HEAD_MAX   DIALOG_HEAD_MAX
#define HTTP_FIELDS_MAX 128

struct http_field {
    struct text name;  /* as written */
    struct text value; /* without the white space around it; may be empty (data is never NULL) */
};

struct http_head {
    unsigned minor;     /* of HTTP/1: 0 or 1 */
    unsigned code;      /* 100 to 999; RFC 9110, 15: over 599 is no success */
    struct text reason; /* may be empty */
    struct http_field fields[HTTP_FIELDS_MAX];
    size_t n_fields;
    char *copy; /* what all the texts point into */
};

/* Parses a whole head with its empty line. Returns 0; -EBADMSG with what is wrong ("has …", said
 * of the head) in *ret_error; or -ENOMEM, likewise with a sentence. */
int http_head_parse(const void *data, size_t n, struct http_head *ret, const char **ret_error);
void http_head_deinit(struct http_head *head);

/* The first field of this name behind `after`; NULL: from the start. NULL when there is none. */
const struct http_field *http_head_find(const struct http_head *head, const char *name,
                                        const struct http_field *after);
/* Whether one of the fields of this name has this member in its comma-separated list. The case of
 * letters is the same to it, as it is in Connection, Upgrade and Transfer-Encoding. */
bool http_head_has_member(const struct http_head *head, const char *name, const char *member);

enum http_body {
    HTTP_BODY_LENGTH,  /* so many bytes, perhaps 0 */
    HTTP_BODY_CHUNKED, /* RFC 9112, 7.1 */
    HTTP_BODY_CLOSE,   /* to the end of the connection */
};

/* How the body is delimited, by the fields alone: RFC 9112, 6.3, from 4. on. (The answers that have
 * none whatever the fields say are the caller's to know.) *ret_length is set for HTTP_BODY_LENGTH
 * only. Returns 0 or -EBADMSG with what is wrong, as above. Both lengths at once are an error. */
int http_head_measure_body(const struct http_head *head, enum http_body *ret, uint64_t *ret_length,
                           const char **ret_error);
/* Whether the connection can be used again, as far as Connection tells: RFC 9112, 9.3. */
bool http_head_is_persistent(const struct http_head *head);

/* ---- texts ---- */

/* RFC 9110, 5.6.2: not empty, and of these characters only. */
bool http_is_token_char(char c);
bool http_is_token(struct text text);
/* RFC 9110, 5.5: visible characters, spaces, tabs, and bytes of other character sets. */
bool http_is_content(struct text text);
bool http_text_equals(struct text text, const char *other); /* the case of letters is the same */
struct text http_trim(struct text text);                    /* of spaces and tabs */
/* Takes the next member from a comma-separated list (RFC 9110, 5.6.1): trimmed, never empty, commas
 * within quoted strings are its own. False at the end. */
bool http_list_next(struct text *list, struct text *ret);
