/* What a link and its helper say to each other: one SOCK_SEQPACKET message each, in the host's own
 * byte order. Neither believes the other's lengths. */
#pragma once

#include <stdint.h>

#include "daemon/dialog/question.h"

enum gss_message_type {
    GSS_MESSAGE_ASK,    /* of a kind: enum gss_question_kind */
    GSS_MESSAGE_FORGET, /* a context, and what was asked about it */
    GSS_MESSAGE_ANSWER,
    GSS_MESSAGE_NO_ANSWER, /* the token is the reason, for people */
    GSS_MESSAGE_GONE,      /* the helper; said by the keeper */
};

enum gss_message_text {
    GSS_TEXT_SERVICE,
    GSS_TEXT_KEYTAB,
    GSS_TEXT_CCACHE,
    GSS_TEXT_PRINCIPAL,
    GSS_TEXT_USER,
    GSS_TEXT_PASSWORD,
    GSS_TEXT_TOKEN,
    GSS_N_TEXTS,
};

struct gss_message {
    uint32_t type;
    uint32_t kind;
    uint32_t mechanism;
    uint32_t is_complete;
    uint64_t id; /* of the context */
    uint32_t serial;
    struct text texts[GSS_N_TEXTS]; /* each with a NUL behind it, once it is read */
};

#define GSS_MESSAGE_MAX                                                                            \
    (64 + GSS_N_TEXTS * (sizeof(uint32_t) + 1) + GSS_TEXT_TOKEN * QUESTION_TEXT_MAX +              \
     QUESTION_TOKEN_MAX)

/* Returns 0, or -EMSGSIZE where a text is too long. */
int gss_message_measure(const struct gss_message *message, size_t *ret_n);
/* Writes as many bytes as were measured. */
void gss_message_write(const struct gss_message *message, uint8_t *to);
/* The texts point into the data. Returns 0 or -EBADMSG. */
int gss_message_read(const uint8_t *data, size_t n, struct gss_message *ret);
