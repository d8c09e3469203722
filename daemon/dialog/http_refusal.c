/* The page is only to explain the status: whatever goes wrong while it is read ends the page and
 * not more. One in HTML explains nothing in its first line; squid says why in a header. */
#include "daemon/dialog/http_refusal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/dialog/auth/leak.h"

static void keep_reason(struct http_refusal *r, const struct http_head *head)
{
    const struct http_field *field = http_head_find(head, "X-Squid-Error", NULL);
    struct text more = field ? field->value : (struct text){"", 0};

    r->has_secrets = leak_is_in(head->reason, r->secrets) || leak_is_in(more, r->secrets);
    snprintf(r->reason, sizeof r->reason, "%.*s%s%.*s", (int)head->reason.n, head->reason.data,
             more.n > 0 ? ", " : "", (int)more.n, more.data);
}

struct http_refusal *http_refusal_new(const struct http_head *head, const struct auth *secrets)
{
    struct http_refusal *r = calloc(1, sizeof *r);
    enum http_body kind = HTTP_BODY_CLOSE;
    uint64_t length = 0;
    const char *error;

    if (!r)
        return NULL;
    r->secrets = secrets;
    r->code = head->code;
    keep_reason(r, head);
    if (http_head_measure_body(head, &kind, &length, &error) < 0)
        kind = HTTP_BODY_CLOSE;
    http_body_init(&r->body, kind, length, sizeof r->page);
    return r;
}

struct http_refusal *http_refusal_free(struct http_refusal *r)
{
    free(r);
    return NULL;
}

/* White space, of which pages are full, becomes one space. */
static void squeeze(const char *data, size_t n, char *ret, size_t size)
{
    size_t length = 0;

    for (size_t i = 0; i < n && length + 1 < size; i++) {
        if (!strchr(" \t\r\n", data[i])) /* which finds a NUL too */
            ret[length++] = data[i];
        else if (length > 0 && ret[length - 1] != ' ')
            ret[length++] = ' ';
    }
    while (length > 0 && ret[length - 1] == ' ')
        length--;
    ret[length] = '\0';
}

/* Not markup, of which the first bytes tell nobody anything. */
static bool is_in_words(const struct http_refusal *r)
{
    size_t i = 0;

    while (i < r->n_page && r->page[i] != '\0' && strchr(" \t\r\n", r->page[i]))
        i++;
    return i < r->n_page && r->page[i] != '<';
}

void http_refusal_fail(struct http_refusal *r, struct dialog *dialog, enum error_code code)
{
    char words[FAILURE_DETAIL_MAX + 1];
    bool has_words = is_in_words(r);
    int n = snprintf(words, sizeof words, "%s%s%s", r->reason[0] ? " " : "", r->reason,
                     has_words ? ": " : "");

    squeeze(r->page, has_words ? r->n_page : 0, words + n, sizeof words - (size_t)n);
    if (r->has_secrets || leak_is_in(text_of(words), r->secrets) ||
        leak_is_in((struct text){r->page, r->n_page}, r->secrets)) {
        dialog_fail(dialog, code, "it answers %u, in words that repeat the credentials", r->code);
        return;
    }
    if (r->n_page > 0)
        dialog->response = (struct text){r->page, r->n_page};
    dialog_fail(dialog, code, "it answers %u%s", r->code, words);
}

void http_refusal_want(struct http_refusal *r, struct dialog *dialog, enum error_code code)
{
    if (r->body.part == HTTP_PART_TRAILER || http_body_want(&r->body, dialog) != HTTP_BODY_MORE)
        http_refusal_fail(r, dialog, code);
}

void http_refusal_take(struct http_refusal *r, struct dialog *dialog, enum error_code code,
                       const uint8_t *data, size_t n)
{
    struct text piece;
    const char *error;

    if (http_body_take(&r->body, data, n, &piece, &error) < 0) {
        http_refusal_fail(r, dialog, code);
        return;
    }
    if (piece.n > 0)
        memcpy(r->page + r->n_page, piece.data, piece.n);
    r->n_page += piece.n;
    http_refusal_want(r, dialog, code);
}
