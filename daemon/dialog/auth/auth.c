/* The schemes are a table of what each can say to a challenge. A challenge that comes after an
 * answer refuses that scheme for good, unless the scheme itself finds that the answer was merely
 * old: a stale nonce, or one that was remembered from another connection. */
#include "daemon/dialog/auth/auth.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/dialog/auth/mechanism.h"
#include "daemon/dialog/auth/rounds.h"

/* ---- the answers ---- */

void auth_init(struct auth *auth, const struct auth_settings *settings, struct auth_memory *memory,
               const char *cnonce)
{
    static const struct auth_settings none;

    *auth = (struct auth){.settings = settings ? settings : &none, .memory = memory};
    assert(strlen(cnonce) > 0 && strlen(cnonce) <= DIGEST_CNONCE_MAX);
    snprintf(auth->cnonce, sizeof auth->cnonce, "%s", cnonce);
}

void auth_deinit(struct auth *auth)
{
    rounds_deinit(auth);
    explicit_bzero(auth, sizeof *auth);
}

static bool is_allowed(const struct auth *auth, enum auth_scheme scheme)
{
    return auth_has_scheme(auth->settings, scheme) && !(auth->refused & 1u << scheme);
}

static void note_answer(struct auth *auth, enum auth_scheme scheme)
{
    auth->has_answered = true;
    auth->last = scheme;
}

/* Fails where this scheme has nothing to say. */
static enum auth_verdict say(struct auth *auth, enum auth_scheme scheme,
                             const struct challenge *challenge, const struct auth_request *request,
                             struct builder *out)
{
    size_t n = out->n;

    if (rounds_is_of(scheme)) {
        if (!rounds_ask(auth, scheme, challenge))
            return AUTH_FAILED;
        auth->was_unasked = false;
        return AUTH_LATER;
    }
    auth->is_going_on = false;
    if (!mechanisms[scheme].answer(auth, challenge, request, out)) {
        out->n = n;
        return AUTH_FAILED;
    }
    auth->was_unasked = false;
    note_answer(auth, scheme);
    return AUTH_READY;
}

enum auth_verdict auth_begin(struct auth *auth, const struct auth_request *request,
                             struct builder *out)
{
    const struct auth_settings *s = auth->settings;
    bool is_known =
        auth->memory && auth->memory->is_known && is_allowed(auth, auth->memory->scheme);
    bool is_only = s->n_schemes == 1 && !mechanisms[s->schemes[0]].needs_challenge;
    enum auth_verdict verdict = AUTH_FAILED;

    if (is_known || is_only)
        verdict = say(auth, is_known ? auth->memory->scheme : s->schemes[0], NULL, request, out);
    auth->was_unasked = verdict != AUTH_FAILED;
    return auth->was_unasked ? verdict : AUTH_SILENT;
}

/* The best challenge of a scheme in all the fields; its texts are the head's. */
static bool find_challenge(const struct http_head *head, enum auth_scheme scheme,
                           struct challenge *ret)
{
    const struct http_field *field = NULL;
    struct challenge challenge;
    int best = 0;

    while ((field = http_head_find(head, "Proxy-Authenticate", field)) != NULL) {
        struct text rest = field->value;

        while (challenge_next(&rest, &challenge)) {
            int rating = http_text_equals(challenge.scheme, auth_scheme_name(scheme))
                             ? mechanisms[scheme].rate(&challenge)
                             : 0;

            if (rating <= best)
                continue;
            best = rating;
            *ret = challenge;
        }
    }
    return best > 0;
}

/* What was remembered was wrong, unless another connection has learned better meanwhile. */
static void forget(struct auth *auth)
{
    struct auth_memory *memory = auth->memory;

    if (memory && auth->was_unasked && memory->scheme == auth->last &&
        strcmp(memory->digest.challenge.nonce, auth->digest.challenge.nonce) == 0)
        memory->is_known = false;
}

static void judge_last_answer(struct auth *auth, const struct http_head *head)
{
    const struct mechanism *mechanism = &mechanisms[auth->last];
    struct challenge challenge;

    if (!auth->has_answered)
        return;
    forget(auth);
    if (!find_challenge(head, auth->last, &challenge) ||
        !(rounds_is_of(auth->last)
              ? rounds_is_going_on(auth, &challenge)
              : mechanism->is_going_on && mechanism->is_going_on(auth, &challenge)))
        auth->refused |= 1u << auth->last;
}

/* ---- reasons ---- */

static void add_word(char *to, size_t size, const char *word, size_t n)
{
    size_t length = strlen(to);

    snprintf(to + length, size - length, "%s%.*s", length > 0 ? ", " : "", (int)n, word);
}

static void list_offers(const struct http_head *head, char *ret, size_t size)
{
    const struct http_field *field = NULL;
    struct challenge challenge;

    while ((field = http_head_find(head, "Proxy-Authenticate", field)) != NULL) {
        struct text rest = field->value;

        while (challenge_next(&rest, &challenge))
            add_word(ret, size, challenge.scheme.data, challenge.scheme.n);
    }
}

static void explain(struct auth *auth, const struct http_head *head)
{
    char offers[64] = "", mine[48] = "", refused[48] = "";

    list_offers(head, offers, sizeof offers);
    for (size_t i = 0; i < auth->settings->n_schemes; i++) {
        const char *name = auth_scheme_name(auth->settings->schemes[i]);

        add_word(mine, sizeof mine, name, strlen(name));
        if (auth->refused & ~auth->unusable & 1u << auth->settings->schemes[i])
            add_word(refused, sizeof refused, name, strlen(name));
    }
    if (!offers[0])
        snprintf(offers, sizeof offers, "nothing that can be read");
    if (refused[0])
        snprintf(auth->reason, sizeof auth->reason, "it refused the credentials (%s); it offers %s",
                 refused, offers);
    else if (auth->unusable)
        snprintf(auth->reason, sizeof auth->reason, "there is no answer for %s: %s",
                 auth_scheme_name(auth->asking), auth->obstacle);
    else if (!mine[0])
        snprintf(auth->reason, sizeof auth->reason,
                 "it wants credentials, and none are configured; it offers %s", offers);
    else
        snprintf(auth->reason, sizeof auth->reason,
                 "no configured scheme (%s) can be used; it offers %s", mine, offers);
}

/* With this head's challenge; where it has none, and none is needed, by what an earlier one said.
 */
static enum auth_verdict try_scheme(struct auth *auth, enum auth_scheme scheme,
                                    const struct http_head *head,
                                    const struct auth_request *request, struct builder *out)
{
    bool was_offered = auth->offered & 1u << scheme && !mechanisms[scheme].needs_challenge;
    struct challenge challenge;
    bool is_offered = find_challenge(head, scheme, &challenge);

    if (!is_allowed(auth, scheme) || (!is_offered && !was_offered))
        return AUTH_FAILED;
    return say(auth, scheme, is_offered ? &challenge : NULL, request, out);
}

static void note_offers(struct auth *auth, const struct http_head *head)
{
    struct challenge challenge;

    for (size_t i = 0; i < auth->settings->n_schemes; i++)
        if (find_challenge(head, auth->settings->schemes[i], &challenge))
            auth->offered |= 1u << auth->settings->schemes[i];
}

static enum auth_verdict try_schemes(struct auth *auth, const struct http_head *head,
                                     const struct auth_request *request, struct builder *out)
{
    for (size_t i = 0; i < auth->settings->n_schemes; i++) {
        enum auth_verdict verdict =
            try_scheme(auth, auth->settings->schemes[i], head, request, out);

        if (verdict != AUTH_FAILED)
            return verdict;
    }
    explain(auth, head);
    return AUTH_FAILED;
}

enum auth_verdict auth_answer(struct auth *auth, const struct http_head *head,
                              const struct auth_request *request, struct builder *out)
{
    judge_last_answer(auth, head);
    note_offers(auth, head);
    return try_schemes(auth, head, request, out);
}

/* ---- answers of somebody else ---- */

/* It has opened the tunnel, but has not proved that it is who we think. */
static enum auth_verdict fail_proof(struct auth *auth, const char *why)
{
    snprintf(auth->reason, sizeof auth->reason, "it did not prove who it is: %s", why);
    return AUTH_FAILED;
}

static enum auth_verdict go_without(struct auth *auth, const char *why,
                                    const struct http_head *head,
                                    const struct auth_request *request, struct builder *out)
{
    snprintf(auth->obstacle, sizeof auth->obstacle, "%s", why);
    auth->unusable |= 1u << auth->asking;
    auth->refused |= 1u << auth->asking;
    auth->has_answered = false;
    auth->is_going_on = false;
    return head ? try_schemes(auth, head, request, out) : AUTH_SILENT;
}

enum auth_verdict auth_take_answer(struct auth *auth, const struct gss_answer *answer,
                                   const char *why, const struct http_head *head,
                                   const struct auth_request *request, struct builder *out)
{
    if (auth->is_accepted && answer)
        return answer->is_complete ? AUTH_READY : fail_proof(auth, "there is more to say");
    if (auth->is_accepted)
        return fail_proof(auth, why);
    if (!answer)
        return go_without(auth, why, head, request, out);
    if (!rounds_say(auth, answer, out))
        return go_without(auth, "there is nothing left to say", head, request, out);
    note_answer(auth, auth->asking);
    return AUTH_READY;
}

bool auth_is_bound(const struct auth *auth)
{
    return auth->has_answered && rounds_is_of(auth->last);
}

enum auth_verdict auth_start_over(struct auth *auth)
{
    auth->has_answered = false;
    auth->is_going_on = false;
    if (auth->n_restarts++ < AUTH_RESTARTS_MAX && rounds_ask(auth, auth->last, NULL))
        return AUTH_LATER;
    snprintf(auth->reason, sizeof auth->reason,
             "it closes the connection before %s is through, which needs a persistent one",
             auth_scheme_name(auth->last));
    return AUTH_FAILED;
}

/* ---- success ---- */

/* RFC 7615: the nonce for the next time. A session's key would go on with the old one. */
static void take_next_nonce(struct auth_memory *memory, const struct http_head *head)
{
    const struct http_field *field = http_head_find(head, "Proxy-Authentication-Info", NULL);
    char nonce[DIGEST_NONCE_MAX + 1];
    struct challenge info;

    if (!field || !challenge_parse_params(field->value, &info) ||
        challenge_get(&info, "nextnonce", nonce, sizeof nonce) < 0)
        return;
    if (memory->digest.challenge.is_session) {
        memory->is_known = false;
        return;
    }
    memcpy(memory->digest.challenge.nonce, nonce, sizeof nonce);
    memory->digest.count = 0;
}

static void remember(struct auth *auth, const struct http_head *head)
{
    struct auth_memory *memory = auth->memory;
    uint32_t count = 0;

    if (!memory)
        return;
    if (!auth->was_unasked || !memory->is_known) {
        if (auth->last == AUTH_DIGEST &&
            digest_nonce_is_remembered(auth, auth->digest.challenge.nonce))
            count = memory->digest.count;
        *memory = (struct auth_memory){true, auth->last, auth->digest};
        if (memory->digest.count < count)
            memory->digest.count = count; /* others went on meanwhile */
    }
    if (auth->last == AUTH_DIGEST)
        take_next_nonce(memory, head);
}

enum auth_verdict auth_accept(struct auth *auth, const struct http_head *head)
{
    struct challenge challenge;

    if (!auth->has_answered)
        return AUTH_READY;
    remember(auth, head);
    if (!rounds_is_of(auth->last) || !find_challenge(head, auth->last, &challenge) ||
        !rounds_is_going_on(auth, &challenge))
        return AUTH_READY;
    auth->is_accepted = true;
    return rounds_ask(auth, auth->last, &challenge) ? AUTH_LATER
                                                    : fail_proof(auth, "its last token is broken");
}
