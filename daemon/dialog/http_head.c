/* The head is copied, folded lines are joined in the copy, and then it is taken apart line by line.
 * Nothing is repaired but what the RFC orders to: two readers of one head that understand it
 * differently are what smuggling is made of. */
#include "daemon/dialog/http_head.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- texts ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

bool http_is_token_char(char c)
{
    return is_digit(c) || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c));
}

bool http_is_token(struct text text)
{
    for (size_t i = 0; i < text.n; i++)
        if (!http_is_token_char(text.data[i]))
            return false;
    return text.n > 0;
}

bool http_is_content(struct text text)
{
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.data[i];

        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

bool http_text_equals(struct text text, const char *other)
{
    return text.n == strlen(other) && strncasecmp(text.data, other, text.n) == 0;
}

struct text http_trim(struct text text)
{
    while (text.n > 0 && is_space(text.data[0])) {
        text.data++;
        text.n--;
    }
    while (text.n > 0 && is_space(text.data[text.n - 1]))
        text.n--;
    return text;
}

/* Up to the next comma outside of quoted strings, or the end. */
static size_t measure_member(struct text list)
{
    bool is_quoted = false;

    for (size_t i = 0; i < list.n; i++) {
        if (list.data[i] == '"')
            is_quoted = !is_quoted;
        else if (list.data[i] == '\\' && is_quoted)
            i++;
        else if (list.data[i] == ',' && !is_quoted)
            return i;
    }
    return list.n;
}

static void skip(struct text *text, size_t n)
{
    text->data += n;
    text->n -= n;
}

bool http_list_next(struct text *list, struct text *ret)
{
    while (list->n > 0) {
        size_t n = measure_member(*list);
        struct text member = http_trim((struct text){list->data, n});

        skip(list, n < list->n ? n + 1 : n);
        if (member.n == 0)
            continue;
        *ret = member;
        return true;
    }
    return false;
}

/* ---- the head ---- */

static bool take_line(struct text *rest, struct text *ret)
{
    const char *end = memchr(rest->data, '\n', rest->n);
    size_t n;

    if (!end)
        return false;
    n = (size_t)(end - rest->data);
    *ret = (struct text){rest->data, n > 0 && end[-1] == '\r' ? n - 1 : n};
    skip(rest, n + 1);
    return true;
}

/* HTTP/1.1 200 OK; the space before an empty reason is often missing. */
static const char *parse_status_line(struct text line, struct http_head *head)
{
    const char *s = line.data;

    if (line.n < 8 || memcmp(s, "HTTP/1.", 7) != 0 || (s[7] != '0' && s[7] != '1'))
        return "starts with something else than HTTP/1.0 or HTTP/1.1";
    if (line.n < 12 || s[8] != ' ' || s[9] == '0' || !is_digit(s[9]) || !is_digit(s[10]) ||
        !is_digit(s[11]) || (line.n > 12 && s[12] != ' '))
        return "has no status code of three digits";
    head->minor = (unsigned)(s[7] - '0');
    head->code = (unsigned)((s[9] - '0') * 100 + (s[10] - '0') * 10 + (s[11] - '0'));
    skip(&line, line.n > 12 ? 13 : 12);
    head->reason = http_trim(line);
    return http_is_content(line) ? NULL : "has a control character in its reason";
}

/* A line that starts with a space goes on with the field before. */
static void join_folded_lines(char *data, size_t n)
{
    for (size_t i = 0; i + 1 < n; i++) {
        if (data[i] != '\n' || !is_space(data[i + 1]))
            continue;
        data[i] = ' ';
        if (i > 0 && data[i - 1] == '\r')
            data[i - 1] = ' ';
    }
}

static const char *parse_field(struct text line, struct http_head *head)
{
    const char *colon = memchr(line.data, ':', line.n);
    struct text name, value;

    if (!colon)
        return "has a line without a colon";
    name = (struct text){line.data, (size_t)(colon - line.data)};
    value = http_trim((struct text){colon + 1, line.n - name.n - 1});
    if (!http_is_token(name))
        return "has a field whose name is none";
    if (!http_is_content(value))
        return "has a control character in a field";
    if (head->n_fields == HTTP_FIELDS_MAX)
        return "has too many fields";
    head->fields[head->n_fields++] = (struct http_field){name, value};
    return NULL;
}

static const char *parse(struct http_head *head, size_t n)
{
    struct text rest = {head->copy, n}, line;
    const char *error;

    if (memchr(head->copy, '\0', n))
        return "has a NUL in it";
    if (!take_line(&rest, &line))
        return "has no end";
    error = parse_status_line(line, head);
    if (error)
        return error;
    if (rest.n > 0 && is_space(rest.data[0]))
        return "has white space before its first field";
    join_folded_lines(head->copy + (rest.data - head->copy), rest.n);
    while (take_line(&rest, &line)) {
        if (line.n == 0)
            return rest.n == 0 ? NULL : "has something behind its end";
        error = parse_field(line, head);
        if (error)
            return error;
    }
    return "has no end";
}

int http_head_parse(const void *data, size_t n, struct http_head *ret, const char **ret_error)
{
    struct http_head head = {0};
    const char *error;

    if (n == 0 || n > HTTP_HEAD_MAX) {
        *ret_error = n == 0 ? "is empty" : "is too long";
        return -EBADMSG;
    }
    head.copy = malloc(n);
    if (!head.copy) {
        *ret_error = "needs more memory than there is";
        return -ENOMEM;
    }
    memcpy(head.copy, data, n);
    error = parse(&head, n);
    if (error) {
        http_head_deinit(&head);
        *ret_error = error;
        return -EBADMSG;
    }
    *ret = head;
    return 0;
}

void http_head_deinit(struct http_head *head)
{
    free(head->copy);
    *head = (struct http_head){0};
}

const struct http_field *http_head_find(const struct http_head *head, const char *name,
                                        const struct http_field *after)
{
    for (size_t i = after ? (size_t)(after - head->fields) + 1 : 0; i < head->n_fields; i++)
        if (http_text_equals(head->fields[i].name, name))
            return &head->fields[i];
    return NULL;
}

bool http_head_has_member(const struct http_head *head, const char *name, const char *member)
{
    const struct http_field *field = NULL;
    struct text list, found;

    while ((field = http_head_find(head, name, field)) != NULL) {
        list = field->value;
        while (http_list_next(&list, &found))
            if (http_text_equals(found, member))
                return true;
    }
    return false;
}

/* ---- the body ---- */

static bool parse_length(struct text text, uint64_t *ret)
{
    uint64_t length = 0;

    for (size_t i = 0; i < text.n; i++) {
        if (!is_digit(text.data[i]) || __builtin_mul_overflow(length, UINT64_C(10), &length) ||
            __builtin_add_overflow(length, (uint64_t)(text.data[i] - '0'), &length))
            return false;
    }
    *ret = length;
    return text.n > 0;
}

/* All of Content-Length's fields and members have to say the same (RFC 9110, 8.6). */
static int measure_length(const struct http_head *head, uint64_t *ret, const char **ret_error)
{
    const struct http_field *field = NULL;
    uint64_t length = 0, other;
    struct text list, member;
    size_t n = 0;

    while ((field = http_head_find(head, "Content-Length", field)) != NULL) {
        for (list = field->value; http_list_next(&list, &member); n++) {
            if (!parse_length(member, &other)) {
                *ret_error = "has a Content-Length that is no number";
                return -EBADMSG;
            }
            if (n > 0 && other != length) {
                *ret_error = "has two different Content-Lengths";
                return -EBADMSG;
            }
            length = other;
        }
    }
    if (n == 0) {
        *ret_error = "has an empty Content-Length";
        return -EBADMSG;
    }
    *ret = length;
    return 0;
}

/* The last coding decides. A chunked body of HTTP/1.0 is not to be believed (RFC 9112, 6.1). */
static int measure_coding(const struct http_head *head, enum http_body *ret, const char **ret_error)
{
    const struct http_field *field = NULL;
    bool is_chunked = false;
    struct text list, member;

    while ((field = http_head_find(head, "Transfer-Encoding", field)) != NULL) {
        list = field->value;
        while (http_list_next(&list, &member)) {
            if (is_chunked) {
                *ret_error = "has a Transfer-Encoding that goes on behind chunked";
                return -EBADMSG;
            }
            is_chunked = http_text_equals(member, "chunked");
        }
    }
    *ret = is_chunked && head->minor == 1 ? HTTP_BODY_CHUNKED : HTTP_BODY_CLOSE;
    return 0;
}

int http_head_measure_body(const struct http_head *head, enum http_body *ret, uint64_t *ret_length,
                           const char **ret_error)
{
    bool has_length = http_head_find(head, "Content-Length", NULL) != NULL;
    bool has_coding = http_head_find(head, "Transfer-Encoding", NULL) != NULL;

    if (has_length && has_coding) {
        *ret_error = "has both a Content-Length and a Transfer-Encoding";
        return -EBADMSG;
    }
    if (has_coding)
        return measure_coding(head, ret, ret_error);
    if (has_length) {
        *ret = HTTP_BODY_LENGTH;
        return measure_length(head, ret_length, ret_error);
    }
    *ret = HTTP_BODY_CLOSE;
    return 0;
}

bool http_head_is_persistent(const struct http_head *head)
{
    if (http_head_has_member(head, "Connection", "close"))
        return false;
    return head->minor == 1 || http_head_has_member(head, "Connection", "keep-alive");
}
