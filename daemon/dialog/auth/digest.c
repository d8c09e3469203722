/* The names are RFC 7616's (3.4): A1 is who asks, A2 what for, and the response binds both to the
 * nonces. Whatever the password goes into is wiped. */
#include "daemon/dialog/auth/digest.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/dialog/http_head.h"
#include "proto/cleanup.h"

#define HEX_MAX (2 * HASH_SIZE_MAX)

static const struct algorithm {
    enum hash_algorithm algorithm;
    int rating;
    const char *name;
    const char *session_name;
} algorithms[] = {
    {HASH_MD5, 1, "MD5", "MD5-sess"},
    {HASH_SHA256, 2, "SHA-256", "SHA-256-sess"},
    {HASH_SHA512_256, 3, "SHA-512-256", "SHA-512-256-sess"},
};

static const struct algorithm *find_algorithm(enum hash_algorithm algorithm)
{
    const struct algorithm *found = algorithms;

    while (found->algorithm != algorithm)
        found++;
    return found;
}

/* ---- the challenge ---- */

static bool parse_algorithm(const struct challenge *c, struct digest_challenge *ret)
{
    ret->algorithm = HASH_MD5; /* RFC 7616, 3.3: if it is not present */
    ret->has_algorithm = challenge_find(c, "algorithm") != NULL;
    if (!ret->has_algorithm)
        return true;
    for (size_t i = 0; i < ARRAY_SIZE(algorithms); i++) {
        ret->is_session = challenge_says(c, "algorithm", algorithms[i].session_name);
        ret->algorithm = algorithms[i].algorithm;
        if (ret->is_session || challenge_says(c, "algorithm", algorithms[i].name))
            return true;
    }
    return false;
}

/* auth-int would cover a body; CONNECT has none, and no proxy asks for it alone. A session without
 * qop would have no cnonce to be made from. */
static bool parse_qop(const struct challenge *c, struct digest_challenge *ret)
{
    const struct challenge_param *qop = challenge_find(c, "qop");
    struct text list, member;

    if (!qop)
        return !ret->is_session;
    for (list = qop->value; http_list_next(&list, &member);)
        ret->has_qop |= http_text_equals(member, "auth");
    return ret->has_qop;
}

int digest_parse_challenge(const struct challenge *challenge, struct digest_challenge *ret)
{
    struct digest_challenge c = {0};
    int r;

    if (!parse_algorithm(challenge, &c) || !parse_qop(challenge, &c))
        return -EBADMSG;
    if (challenge_get(challenge, "realm", c.realm, sizeof c.realm) < 0 ||
        challenge_get(challenge, "nonce", c.nonce, sizeof c.nonce) < 0)
        return -EBADMSG;
    r = challenge_get(challenge, "opaque", c.opaque, sizeof c.opaque);
    if (r == -EMSGSIZE)
        return -EBADMSG;
    c.has_opaque = r == 0;
    c.is_utf8 = challenge_says(challenge, "charset", "UTF-8");
    c.has_userhash = challenge_says(challenge, "userhash", "true");
    c.is_stale = challenge_says(challenge, "stale", "true");
    *ret = c;
    return 0;
}

int digest_rate(const struct digest_challenge *challenge)
{
    return find_algorithm(challenge->algorithm)->rating;
}

/* ---- the hashes ---- */

struct hasher {
    hash_function *function;
    enum hash_algorithm algorithm;
};

/* Of the pieces with colons between them, as lower-case hex digits and a NUL. */
static int hash(const struct hasher *h, const struct text *pieces, size_t n, char ret[HEX_MAX + 1])
{
    struct text all[2 * 6];
    uint8_t bytes[HASH_SIZE_MAX];
    int size;

    for (size_t i = 0; i < n; i++) {
        all[2 * i] = pieces[i];
        all[2 * i + 1] = text_of(":");
    }
    size = h->function(h->algorithm, all, 2 * n - 1, bytes);
    for (int i = 0; i < size; i++)
        snprintf(ret + 2 * i, 3, "%02x", bytes[i]);
    explicit_bzero(bytes, sizeof bytes);
    return size < 0 ? size : 0;
}

static int hash_a1(const struct hasher *h, const struct digest_state *state,
                   const struct digest_credentials *c, char ret[HEX_MAX + 1])
{
    const struct text who[] = {c->user, text_of(state->challenge.realm), c->password};
    char first[HEX_MAX + 1];
    int r = hash(h, who, ARRAY_SIZE(who), state->challenge.is_session ? first : ret);

    if (r == 0 && state->challenge.is_session) {
        const struct text session[] = {text_of(first), text_of(state->challenge.nonce),
                                       text_of(state->cnonce)};

        r = hash(h, session, ARRAY_SIZE(session), ret);
    }
    explicit_bzero(first, sizeof first);
    return r;
}

static int hash_response(const struct hasher *h, const struct digest_state *state,
                         const struct digest_credentials *c, const char *nc, char ret[HEX_MAX + 1])
{
    const struct text what[] = {text_of(c->method), text_of(c->uri)};
    struct text nonce = text_of(state->challenge.nonce);
    char a1[HEX_MAX + 1], a2[HEX_MAX + 1];
    int r = hash(h, what, ARRAY_SIZE(what), a2);

    if (r == 0)
        r = hash_a1(h, state, c, a1);
    if (r == 0 && state->challenge.has_qop) {
        const struct text all[] = {text_of(a1),     nonce,      text_of(nc), text_of(state->cnonce),
                                   text_of("auth"), text_of(a2)};

        r = hash(h, all, ARRAY_SIZE(all), ret);
    } else if (r == 0) {
        const struct text all[] = {text_of(a1), nonce, text_of(a2)};

        r = hash(h, all, ARRAY_SIZE(all), ret);
    }
    explicit_bzero(a1, sizeof a1);
    return r;
}

/* ---- the answer ---- */

static void add_quoted(struct builder *out, struct text text)
{
    builder_add_string(out, "\"");
    for (size_t i = 0; i < text.n; i++) {
        if (text.data[i] == '"' || text.data[i] == '\\')
            builder_add_string(out, "\\");
        builder_add(out, (struct text){text.data + i, 1});
    }
    builder_add_string(out, "\"");
}

/* RFC 8187, 3.2 */
static void add_extended(struct builder *out, struct text text)
{
    builder_add_string(out, "UTF-8''");
    for (size_t i = 0; i < text.n; i++) {
        char c = text.data[i];

        if (http_is_token_char(c) && !strchr("*'%", c))
            builder_add(out, (struct text){&c, 1});
        else
            builder_format(out, "%%%02X", (unsigned char)c);
    }
}

static bool is_ascii(struct text text)
{
    for (size_t i = 0; i < text.n; i++)
        if ((unsigned char)text.data[i] >= 0x80)
            return false;
    return true;
}

/* RFC 7616, 3.4: hashed where the server says that it can, and by another name where it needs
 * UTF-8. */
static int add_user(const struct hasher *h, const struct digest_challenge *challenge,
                    struct text user, struct builder *out)
{
    const struct text both[] = {user, text_of(challenge->realm)};
    char hex[HEX_MAX + 1];
    int r;

    if (challenge->has_userhash) {
        r = hash(h, both, ARRAY_SIZE(both), hex);
        if (r < 0)
            return r;
        builder_format(out, "username=\"%s\", userhash=true", hex);
    } else if (challenge->is_utf8 && !is_ascii(user)) {
        builder_add_string(out, "username*=");
        add_extended(out, user);
    } else {
        builder_add_string(out, "username=");
        add_quoted(out, user);
    }
    return 0;
}

static void add_param(struct builder *out, const char *name, const char *value)
{
    builder_format(out, ", %s=", name);
    add_quoted(out, text_of(value));
}

int digest_add_answer(const struct digest_state *state, const struct digest_credentials *c,
                      struct builder *out)
{
    const struct digest_challenge *challenge = &state->challenge;
    const struct algorithm *algorithm = find_algorithm(challenge->algorithm);
    const struct hasher h = {c->hash, challenge->algorithm};
    char response[HEX_MAX + 1], nc[8 + 1];
    int r;

    snprintf(nc, sizeof nc, "%08x", state->count);
    r = hash_response(&h, state, c, nc, response);
    if (r < 0)
        return r;
    builder_add_string(out, "Digest ");
    r = add_user(&h, challenge, c->user, out);
    if (r < 0)
        return r;
    add_param(out, "realm", challenge->realm);
    add_param(out, "nonce", challenge->nonce);
    add_param(out, "uri", c->uri);
    builder_format(out, ", response=\"%s\"", response);
    if (challenge->has_algorithm)
        builder_format(out, ", algorithm=%s",
                       challenge->is_session ? algorithm->session_name : algorithm->name);
    if (challenge->has_qop) {
        builder_format(out, ", qop=auth, nc=%s", nc);
        add_param(out, "cnonce", state->cnonce);
    }
    if (challenge->has_opaque)
        add_param(out, "opaque", challenge->opaque);
    return 0;
}
