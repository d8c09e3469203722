/* Basic, bearer and digest. Those of rounds.h are asked of somebody else. */
#include "daemon/dialog/auth/mechanism.h"

#include <string.h>

/* ---- basic: RFC 7617 ---- */

static int rate_any(const struct challenge *challenge)
{
    (void)challenge;
    return 1;
}

void auth_encode_basic(const struct auth_settings *s, char ret[BASE64_LENGTH(AUTH_BASIC_MAX) + 1])
{
    char plain[AUTH_BASIC_MAX];
    size_t n = 0;

    if (s->user.n > 0)
        memcpy(plain, s->user.data, s->user.n);
    n += s->user.n;
    plain[n++] = ':';
    if (s->password.n > 0)
        memcpy(plain + n, s->password.data, s->password.n);
    n += s->password.n;
    base64_encode(ret, plain, n);
    explicit_bzero(plain, sizeof plain);
}

static bool answer_basic(struct auth *auth, const struct challenge *challenge,
                         const struct auth_request *request, struct builder *out)
{
    char encoded[BASE64_LENGTH(AUTH_BASIC_MAX) + 1];

    (void)challenge, (void)request;
    auth_encode_basic(auth->settings, encoded);
    builder_add_string(out, "Basic ");
    builder_add_string(out, encoded);
    explicit_bzero(encoded, sizeof encoded);
    return true;
}

/* ---- bearer: RFC 6750 ---- */

static bool answer_bearer(struct auth *auth, const struct challenge *challenge,
                          const struct auth_request *request, struct builder *out)
{
    (void)challenge, (void)request;
    builder_add_string(out, "Bearer ");
    builder_add(out, auth->settings->token);
    return true;
}

/* ---- digest ---- */

static int rate_digest(const struct challenge *challenge)
{
    struct digest_challenge digest;

    return digest_parse_challenge(challenge, &digest) < 0 ? 0 : digest_rate(&digest);
}

/* A proxy may give several connections the same nonce. */
bool digest_nonce_is_remembered(const struct auth *auth, const char *nonce)
{
    const struct auth_memory *memory = auth->memory;

    return memory && memory->scheme == AUTH_DIGEST &&
           strcmp(memory->digest.challenge.nonce, nonce) == 0;
}

/* A nonce that others use at the same time is counted in the memory: proxies take each number
 * once. */
static bool count_in_memory(struct auth *auth)
{
    struct digest_state *known = &auth->memory->digest;

    if (known->count == UINT32_MAX)
        return false;
    known->count++;
    auth->digest.count = known->count;
    memcpy(auth->digest.cnonce, known->cnonce, sizeof known->cnonce);
    return true;
}

static bool choose_nonce(struct auth *auth, const struct challenge *challenge)
{
    struct digest_state *digest = &auth->digest;

    if (!challenge) {
        digest->challenge = auth->memory->digest.challenge;
        return count_in_memory(auth);
    }
    if (digest_parse_challenge(challenge, &digest->challenge) < 0)
        return false;
    if (digest_nonce_is_remembered(auth, digest->challenge.nonce))
        return count_in_memory(auth);
    memcpy(digest->cnonce, auth->cnonce, sizeof digest->cnonce);
    digest->count = 1;
    return true;
}

static bool answer_digest(struct auth *auth, const struct challenge *challenge,
                          const struct auth_request *request, struct builder *out)
{
    const struct digest_credentials credentials = {auth->settings->user, auth->settings->password,
                                                   request->method, request->uri,
                                                   auth->settings->hash};

    return choose_nonce(auth, challenge) &&
           digest_add_answer(&auth->digest, &credentials, out) == 0;
}

static bool is_digest_going_on(struct auth *auth, const struct challenge *challenge)
{
    if (auth->was_unasked)
        return true;
    return challenge_says(challenge, "stale", "true") && auth->n_stale++ < AUTH_STALE_MAX;
}

const struct mechanism mechanisms[AUTH_N_SCHEMES] = {
    [AUTH_BASIC] = {false, rate_any, answer_basic, NULL},
    [AUTH_DIGEST] = {true, rate_digest, answer_digest, is_digest_going_on},
    [AUTH_BEARER] = {false, rate_any, answer_bearer, NULL},
    [AUTH_NEGOTIATE] = {false, rate_any, NULL, NULL},
    [AUTH_NTLM] = {false, rate_any, NULL, NULL},
};
