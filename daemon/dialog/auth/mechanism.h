/* What each scheme says to a challenge. */
#pragma once

#include "daemon/dialog/auth/auth.h"
#include "daemon/dialog/auth/challenge.h"

/* Those of rounds.h have a row of nothing but rate_any. */
struct mechanism {
    bool needs_challenge; /* or it can be said unasked */
    /* How good this challenge is; 0: it cannot be answered. */
    int (*rate)(const struct challenge *challenge);
    /* Adds what is said to the challenge. NULL: unasked, or what the memory says. */
    bool (*answer)(struct auth *auth, const struct challenge *challenge,
                   const struct auth_request *request, struct builder *out);
    /* Whether the challenge to our answer is no refusal. NULL: it always is. */
    bool (*is_going_on)(struct auth *auth, const struct challenge *challenge);
};

extern const struct mechanism mechanisms[AUTH_N_SCHEMES];

/* Whether the nonce is the one in the memory, whose count then goes on. */
bool digest_nonce_is_remembered(const struct auth *auth, const char *nonce);
