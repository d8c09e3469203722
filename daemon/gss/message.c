/* A head of fixed size, the lengths of all texts, the texts. */
#include "daemon/gss/message.h"

#include <errno.h>
#include <string.h>

struct head {
    uint32_t type, kind, mechanism, is_complete;
    uint64_t id;
    uint32_t serial;
    uint32_t lengths[GSS_N_TEXTS];
};

_Static_assert(sizeof(struct head) + GSS_N_TEXTS + GSS_TEXT_TOKEN * QUESTION_TEXT_MAX +
                       QUESTION_TOKEN_MAX <=
                   GSS_MESSAGE_MAX,
               "the longest message");

static size_t max_of(size_t text)
{
    return text == GSS_TEXT_TOKEN ? QUESTION_TOKEN_MAX : QUESTION_TEXT_MAX;
}

int gss_message_measure(const struct gss_message *m, size_t *ret_n)
{
    size_t n = sizeof(struct head);

    for (size_t i = 0; i < GSS_N_TEXTS; i++) {
        if (m->texts[i].n > max_of(i))
            return -EMSGSIZE;
        n += m->texts[i].n + 1;
    }
    *ret_n = n;
    return 0;
}

void gss_message_write(const struct gss_message *m, uint8_t *to)
{
    struct head head = {m->type, m->kind, m->mechanism, m->is_complete, m->id, m->serial, {0}};

    for (size_t i = 0; i < GSS_N_TEXTS; i++)
        head.lengths[i] = (uint32_t)m->texts[i].n;
    memcpy(to, &head, sizeof head);
    to += sizeof head;
    for (size_t i = 0; i < GSS_N_TEXTS; i++) {
        if (m->texts[i].n > 0)
            memcpy(to, m->texts[i].data, m->texts[i].n);
        to += m->texts[i].n;
        *to++ = '\0';
    }
}

int gss_message_read(const uint8_t *data, size_t n, struct gss_message *ret)
{
    struct gss_message m;
    struct head head;
    size_t at = sizeof head;

    if (n < sizeof head)
        return -EBADMSG;
    memcpy(&head, data, sizeof head);
    m = (struct gss_message){.type = head.type,
                             .kind = head.kind,
                             .mechanism = head.mechanism,
                             .is_complete = head.is_complete,
                             .id = head.id,
                             .serial = head.serial};
    for (size_t i = 0; i < GSS_N_TEXTS; i++) {
        size_t length = head.lengths[i];

        if (length > max_of(i) || n - at < length + 1 || data[at + length] != '\0')
            return -EBADMSG;
        m.texts[i] = (struct text){(const char *)data + at, length};
        at += length + 1;
    }
    if (at != n)
        return -EBADMSG;
    *ret = m;
    return 0;
}
