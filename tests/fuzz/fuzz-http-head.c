/* Whatever is said: a head within its limits that reads the same when it is written again, or a
 * sentence about what is wrong. */
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/dialog/http_head.h"
#include "proto/cleanup.h"

static bool is_same(struct text a, struct text b)
{
    return a.n == b.n && memcmp(a.data, b.data, a.n) == 0;
}

static void check_lists(const struct http_head *head)
{
    for (size_t i = 0; i < head->n_fields; i++) {
        struct text list = head->fields[i].value, member;
        size_t n = 0;

        while (http_list_next(&list, &member)) {
            n += member.n;
            if (member.n == 0 || member.data < head->fields[i].value.data)
                abort();
        }
        if (list.n != 0 || n > head->fields[i].value.n)
            abort();
    }
}

static void check_body(const struct http_head *head)
{
    enum http_body body = HTTP_BODY_CLOSE;
    const char *error = NULL;
    uint64_t length;

    if (http_head_measure_body(head, &body, &length, &error) < 0 && !error)
        abort();
    if (body == HTTP_BODY_CHUNKED && !http_head_has_member(head, "transfer-encoding", "chunked"))
        abort();
    http_head_is_persistent(head);
}

static void check_again(const struct http_head *head)
{
    size_t size = 64 + head->reason.n, n;
    CLEANUP(freep) char *data = NULL;
    struct http_head again;
    const char *error;

    for (size_t i = 0; i < head->n_fields; i++)
        size += head->fields[i].name.n + head->fields[i].value.n + 4;
    data = malloc(size);
    if (!data)
        abort();
    n = (size_t)sprintf(data, "HTTP/1.%u %u %.*s\r\n", head->minor, head->code, (int)head->reason.n,
                        head->reason.data);
    for (size_t i = 0; i < head->n_fields; i++)
        n += (size_t)sprintf(data + n, "%.*s:%.*s\n", (int)head->fields[i].name.n,
                             head->fields[i].name.data, (int)head->fields[i].value.n,
                             head->fields[i].value.data);
    n += (size_t)sprintf(data + n, "\r\n");
    if (n > HTTP_HEAD_MAX)
        return;
    if (http_head_parse(data, n, &again, &error) < 0 || again.minor != head->minor ||
        again.code != head->code || again.n_fields != head->n_fields ||
        !is_same(again.reason, head->reason))
        abort();
    for (size_t i = 0; i < head->n_fields; i++)
        if (!is_same(again.fields[i].name, head->fields[i].name) ||
            !is_same(again.fields[i].value, head->fields[i].value))
            abort();
    http_head_deinit(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct http_head head;
    const char *error = NULL;
    int r = http_head_parse(data, n, &head, &error);

    if (r < 0) {
        if (r != -EBADMSG || !error || !*error)
            abort();
        return 0;
    }
    if (head.minor > 1 || head.code < 100 || head.code > 999 || head.n_fields > HTTP_FIELDS_MAX)
        abort();
    check_lists(&head);
    check_body(&head);
    check_again(&head);
    http_head_deinit(&head);
    return 0;
}
