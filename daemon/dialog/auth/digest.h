/* Digest access authentication: RFC 7616, with qop "auth" or, for RFC 2069's servers, none. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "daemon/base/builder.h"
#include "daemon/base/hash.h"
#include "daemon/dialog/auth/challenge.h"

#define DIGEST_REALM_MAX  255
#define DIGEST_NONCE_MAX  511
#define DIGEST_OPAQUE_MAX 511
#define DIGEST_CNONCE_MAX 64

struct digest_challenge {
    enum hash_algorithm algorithm;
    bool has_algorithm; /* it was named */
    bool is_session;    /* …-sess */
    bool has_qop;       /* auth */
    bool has_opaque;
    bool is_utf8;
    bool has_userhash;
    bool is_stale;
    char realm[DIGEST_REALM_MAX + 1]; /* these without quotes and their backslashes */
    char nonce[DIGEST_NONCE_MAX + 1];
    char opaque[DIGEST_OPAQUE_MAX + 1];
};

/* A nonce and how often it was used. The cnonce stays with it: the key of a session is made from
 * the first. */
struct digest_state {
    struct digest_challenge challenge;
    char cnonce[DIGEST_CNONCE_MAX + 1];
    uint32_t count;
};

/* Returns 0, or -EBADMSG where something required is missing or we do not speak what is wanted. */
int digest_parse_challenge(const struct challenge *challenge, struct digest_challenge *ret);
/* The strongest hash is the largest. */
int digest_rate(const struct digest_challenge *challenge);

struct digest_credentials {
    struct text user, password;
    const char *method, *uri;
    hash_function *hash;
};

/* Adds `Digest username=…`. Returns 0, or -ENOTSUP where the hash is not to be had. */
int digest_add_answer(const struct digest_state *state, const struct digest_credentials *c,
                      struct builder *out);
