/* Authentication to one HTTP proxy, while one connection is made through it. The configuration
 * names schemes in order of preference. Of those that the proxy offers, the first is used; when it
 * is refused, the next one, even if the proxy has offered that only before (squid then goes on with
 * the one it has refused). Credentials never go out in a scheme that is not named.
 *
 * Before it is asked, something is said only where the proxy has accepted the same on an earlier
 * connection (struct auth_memory), or where there is one scheme only and it needs no challenge.
 *
 * No I/O: request heads get a value, response heads are judged. A scheme whose answers somebody
 * else has to make (GSSAPI blocks) would give a third verdict, AUTH_LATER, and be told the rest. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "daemon/base/base64.h"
#include "daemon/base/builder.h"
#include "daemon/base/hash.h"
#include "daemon/dialog/auth/digest.h"
#include "daemon/dialog/http_head.h"

#define AUTH_USER_MAX     255
#define AUTH_PASSWORD_MAX 1024
#define AUTH_TOKEN_MAX    8192
#define AUTH_BASIC_MAX    (AUTH_USER_MAX + 1 + AUTH_PASSWORD_MAX)
#define AUTH_VALUE_MAX    12288 /* bytes of what is said: a token; a user of escapes only */
#define AUTH_STALE_MAX    2     /* nonces that had become old, on one connection */

#define AUTH_N_SCHEMES 3

enum auth_scheme {
    AUTH_BASIC,
    AUTH_DIGEST,
    AUTH_BEARER,
};

/* Of one proxy, from the configuration. Outlives all that use it. */
struct auth_settings {
    enum auth_scheme schemes[AUTH_N_SCHEMES]; /* the preferred one first; none twice */
    size_t n_schemes;
    struct text user, password; /* for basic and digest: bytes as they are, UTF-8 by intent */
    struct text token;          /* for bearer */
    hash_function *hash;
};

/* As in the configuration: "basic", … */
const char *auth_scheme_name(enum auth_scheme scheme);
/* Returns 0 or -EINVAL. */
int auth_scheme_parse(struct text name, enum auth_scheme *ret);
/* What basic says of user and password. */
void auth_encode_basic(const struct auth_settings *settings,
                       char ret[BASE64_LENGTH(AUTH_BASIC_MAX) + 1]);
/* NULL, or a sentence about credentials that its schemes cannot carry, without them. */
const char *auth_check_settings(const struct auth_settings *settings);

/* What a proxy has accepted, for the next connection to it: one for each proxy, worker, and
 * settings, in the caller's hands; zeroed, it knows nothing. It holds no secret. */
struct auth_memory {
    bool is_known;
    enum auth_scheme scheme;
    struct digest_state digest;
};

struct auth {
    const struct auth_settings *settings;
    struct auth_memory *memory;
    char cnonce[DIGEST_CNONCE_MAX + 1];
    bool has_answered;
    bool was_unasked;      /* the last answer was: no challenge of this connection led to it */
    enum auth_scheme last; /* of the last answer */
    unsigned offered;      /* bits of schemes, by any 407 of this connection */
    unsigned refused;
    unsigned n_stale;
    struct digest_state digest; /* of the last answer */
    char reason[192];           /* of AUTH_FAILED, for people; bytes of the proxy's in it */
};

enum auth_verdict {
    AUTH_READY,  /* the value is made */
    AUTH_FAILED, /* there is nothing that may be said, or nothing more; auth->reason */
};

/* Settings NULL, or without a scheme: nothing is ever said. Both pointers are kept, memory may be
 * NULL. The cnonce is random, 1 to DIGEST_CNONCE_MAX characters of RFC 4648's alphabets. */
void auth_init(struct auth *auth, const struct auth_settings *settings, struct auth_memory *memory,
               const char *cnonce);

struct auth_request {
    const char *method;
    const char *uri; /* the request target as it stands in the request line */
};

/* Adds the value of Proxy-Authorization for the first request, and tells whether there is one. */
bool auth_begin(struct auth *auth, const struct auth_request *request, struct builder *out);
/* Adds it for the request after a 407. */
enum auth_verdict auth_answer(struct auth *auth, const struct http_head *head,
                              const struct auth_request *request, struct builder *out);
/* Takes note of a 2xx. */
void auth_accept(struct auth *auth, const struct http_head *head);
