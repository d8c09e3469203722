/* A no of an HTTP peer: its status, and the beginning of the page that came with it, where the page
 * has a length. Words that repeat the credentials are not told. */
#pragma once

#include "daemon/dialog/auth/auth.h"
#include "daemon/dialog/http_body.h"

#define HTTP_REFUSAL_PAGE_MAX   1024 /* bytes of the body that are read */
#define HTTP_REFUSAL_REASON_MAX 127

struct http_refusal {
    const struct auth *secrets;
    unsigned code;
    char reason[HTTP_REFUSAL_REASON_MAX + 1];
    bool has_secrets; /* in the reason */
    struct http_body_reader body;
    char page[HTTP_REFUSAL_PAGE_MAX];
    size_t n_page;
};

/* Both return NULL: without memory, and always. */
struct http_refusal *http_refusal_new(const struct http_head *head, const struct auth *secrets);
struct http_refusal *http_refusal_free(struct http_refusal *refusal);

/* Lets the dialog want the next of the page, or fail: with as much of the page as there is room in
 * the detail, if it is not in HTML; its response is all of it, until the refusal is freed. */
void http_refusal_want(struct http_refusal *refusal, struct dialog *dialog, enum error_code code);
/* Takes what was wanted, and goes on as above. */
void http_refusal_take(struct http_refusal *refusal, struct dialog *dialog, enum error_code code,
                       const uint8_t *data, size_t n);
/* There is no more of the page. */
void http_refusal_fail(struct http_refusal *refusal, struct dialog *dialog, enum error_code code);
