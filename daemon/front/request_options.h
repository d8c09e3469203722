/* What a request asks for besides its target. */
#pragma once

#include "daemon/base/failure.h"
#include "proto/message.h"
#include "proto/target.h"

struct request;

/* Options that do not go with the target, or are of no right form, are a failure (BAD_OPTION). */
bool request_check_options(const struct message_connect *m, const struct target *target,
                           struct failure *failure);
/* The canonical name; unchanged where there is none. */
bool request_check_tls_name(const struct message_connect *m, char name[TARGET_HOST_MAX + 1],
                            struct failure *failure);
/* Into request->params. Returns 0, or -1 without memory. */
int request_copy_options(struct request *request, const struct message_connect *m);
void request_free_options(struct request *request);
