/* Authentication to one HTTP proxy, while one connection is made through it. The configuration
 * names schemes in order of preference. Of those that the proxy offers, the first is used; when it
 * is refused, the next one, even if the proxy has offered that only before (squid then goes on with
 * the one it has refused). Credentials never go out in a scheme that is not named.
 *
 * Before it is asked, something is said only where the proxy has accepted the same on an earlier
 * connection (struct auth_memory), or where there is one scheme only and it needs no challenge.
 *
 * Negotiate (RFC 4559) and NTLM go over several rounds. Their tokens are made by somebody else
 * (question.h), which is the verdict AUTH_LATER. They say who speaks on this one connection: on a
 * new one they start over.
 *
 * No I/O: request heads get a value, response heads are judged. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "daemon/base/base64.h"
#include "daemon/base/builder.h"
#include "daemon/base/hash.h"
#include "daemon/dialog/auth/digest.h"
#include "daemon/dialog/http_head.h"
#include "daemon/dialog/question.h"

#define AUTH_USER_MAX     255
#define AUTH_PASSWORD_MAX 1024
#define AUTH_TOKEN_MAX    8192
#define AUTH_BASIC_MAX    (AUTH_USER_MAX + 1 + AUTH_PASSWORD_MAX)
#define AUTH_VALUE_MAX    (16 + BASE64_LENGTH(QUESTION_TOKEN_MAX)) /* bytes of what is said */
#define AUTH_STALE_MAX    2 /* nonces that had become old, on one connection */
#define AUTH_ROUNDS_MAX   8 /* tokens of one context: Kerberos takes 1 or 2, NTLM 2 */
#define AUTH_RESTARTS_MAX 2 /* contexts that were begun again, as their connection had ended */

#define AUTH_N_SCHEMES 5

enum auth_scheme {
    AUTH_BASIC,
    AUTH_DIGEST,
    AUTH_BEARER,
    AUTH_NEGOTIATE,
    AUTH_NTLM,
};

/* Of one proxy, from the configuration. Outlives all that use it. */
struct auth_settings {
    enum auth_scheme schemes[AUTH_N_SCHEMES]; /* the preferred one first; none twice */
    size_t n_schemes;
    struct text user, password; /* for basic and digest: bytes as they are, UTF-8 by intent */
    struct text token;          /* for bearer */
    struct gss_settings gss;    /* for negotiate and ntlm: the service too */
    hash_function *hash;
};

/* As in the configuration: "basic", … */
const char *auth_scheme_name(enum auth_scheme scheme);
/* Returns 0 or -EINVAL. */
int auth_scheme_parse(struct text name, enum auth_scheme *ret);
bool auth_has_scheme(const struct auth_settings *settings, enum auth_scheme scheme);
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
    unsigned refused;      /* by the proxy, or unusable */
    unsigned unusable;     /* there was no answer: the obstacle */
    unsigned n_stale;
    struct digest_state digest;   /* of the last answer */
    struct gss_question question; /* of AUTH_LATER */
    enum auth_scheme asking;      /* for whom */
    bool is_going_on;             /* there is a context, and it needs more of the proxy's */
    bool is_accepted;             /* there was a 2xx, and the question is about its token */
    unsigned n_rounds;            /* of the context */
    unsigned n_restarts;
    char *heard; /* the proxy's last token */
    char *said;  /* our last one as it was said, with a NUL: nobody must hear that of it */
    char obstacle[QUESTION_WHY_MAX]; /* why there was no answer */
    char reason[240];                /* of AUTH_FAILED, for people; bytes of the proxy's in it */
};

enum auth_verdict {
    AUTH_READY,  /* the value is made; after a 2xx, there is none and all is well */
    AUTH_SILENT, /* nothing has to be said */
    AUTH_LATER,  /* auth->question has to be answered first; then auth_take_answer() */
    AUTH_FAILED, /* there is nothing that may be said, or nothing more; auth->reason */
};

/* Settings NULL, or without a scheme: nothing is ever said. Both pointers are kept, memory may be
 * NULL. The cnonce is random, 1 to DIGEST_CNONCE_MAX characters of RFC 4648's alphabets. */
void auth_init(struct auth *auth, const struct auth_settings *settings, struct auth_memory *memory,
               const char *cnonce);
void auth_deinit(struct auth *auth);

struct auth_request {
    const char *method;
    const char *uri; /* the request target as it stands in the request line */
};

/* Adds the value of Proxy-Authorization for the first request. It does not fail. */
enum auth_verdict auth_begin(struct auth *auth, const struct auth_request *request,
                             struct builder *out);
/* Adds it for the request after a 407. */
enum auth_verdict auth_answer(struct auth *auth, const struct http_head *head,
                              const struct auth_request *request, struct builder *out);
/* Takes note of a 2xx. */
enum auth_verdict auth_accept(struct auth *auth, const struct http_head *head);
/* Takes the answer, or why there is none. The head is that of the last verdict; NULL: there was no
 * response yet on this connection. */
enum auth_verdict auth_take_answer(struct auth *auth, const struct gss_answer *answer,
                                   const char *why, const struct http_head *head,
                                   const struct auth_request *request, struct builder *out);
/* Whether what was said last belongs to the connection that it was made for. */
bool auth_is_bound(const struct auth *auth);
/* Begins again on a new connection, where it is bound. */
enum auth_verdict auth_start_over(struct auth *auth);
