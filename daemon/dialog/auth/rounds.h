/* Schemes whose tokens go to and fro until both sides have heard enough: Negotiate (RFC 4559), and
 * NTLM in the same manner. The tokens are made elsewhere (question.h). A part of auth.c. */
#pragma once

#include "daemon/dialog/auth/auth.h"

bool rounds_is_of(enum auth_scheme scheme);
/* The next question of the context that is going on, with the challenge's token; or the first of a
 * new one, where there is none, or the challenge (which may be NULL) has no token. False: it cannot
 * be asked. */
bool rounds_ask(struct auth *auth, enum auth_scheme scheme, const struct challenge *challenge);
/* Whether the challenge after our token goes on with the context. */
bool rounds_is_going_on(const struct auth *auth, const struct challenge *challenge);
/* Adds what there is to say. False: nothing, or no memory. */
bool rounds_say(struct auth *auth, const struct gss_answer *answer, struct builder *out);
void rounds_deinit(struct auth *auth);
