/* What the tests of STARTTLS share: the setup of a conversation is its scheme. */
#pragma once

#include <stdlib.h>

#include "daemon/dialog/starttls.h"
#include "tests/dialog/conversation.h"

static inline struct dialog *starttls_make(const void *scheme)
{
    struct starttls *s = malloc(sizeof *s);

    if (!s)
        abort();
    starttls_init(s, *(const enum scheme *)scheme, "client.example", "im.example");
    return &s->dialog;
}

static inline void starttls_free(struct dialog *dialog)
{
    free(dialog);
}

static const struct conversation_kind starttls_kind = {.make = starttls_make,
                                                       .free_ = starttls_free};
