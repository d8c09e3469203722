/* Peers repeat what they were told: an error page may show the whole request. Before words of a
 * peer's go to a client or a log, this looks for credentials in them. */
#pragma once

#include <stdbool.h>

#include "daemon/dialog/auth/auth.h"

#define LEAK_PART_MIN                                                                              \
    4 /* so many of a secret's first bytes, at the end of the text, are too many */

/* Whether the password, the token, what basic makes of user and password, or the last token of
 * GSSAPI's is in the text, or begins at its end, where it was cut. */
bool leak_is_in(struct text text, const struct auth *auth);
