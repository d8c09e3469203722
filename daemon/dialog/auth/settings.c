/* Schemes by name, and credentials that can be carried by them. */
#include <errno.h>
#include <string.h>

#include "daemon/dialog/auth/auth.h"

static const char *const names[AUTH_N_SCHEMES] = {
    [AUTH_BASIC] = "basic",         [AUTH_DIGEST] = "digest", [AUTH_BEARER] = "bearer",
    [AUTH_NEGOTIATE] = "negotiate", [AUTH_NTLM] = "ntlm",
};

const char *auth_scheme_name(enum auth_scheme scheme)
{
    return names[scheme];
}

int auth_scheme_parse(struct text name, enum auth_scheme *ret)
{
    for (enum auth_scheme scheme = 0; scheme < AUTH_N_SCHEMES; scheme++) {
        if (name.n == strlen(names[scheme]) && memcmp(name.data, names[scheme], name.n) == 0) {
            *ret = scheme;
            return 0;
        }
    }
    return -EINVAL;
}

bool auth_has_scheme(const struct auth_settings *settings, enum auth_scheme scheme)
{
    for (size_t i = 0; i < settings->n_schemes; i++)
        if (settings->schemes[i] == scheme)
            return true;
    return false;
}

static bool has_control(struct text text)
{
    for (size_t i = 0; i < text.n; i++)
        if ((unsigned char)text.data[i] < 0x20 || text.data[i] == 0x7f)
            return true;
    return false;
}

static const char *check_login(struct text user, struct text password)
{
    if (user.n == 0 || user.n > AUTH_USER_MAX)
        return "the user's name has to be 1 to 255 bytes long";
    if (password.n > AUTH_PASSWORD_MAX)
        return "the password has more than 1024 bytes";
    if (has_control(user) || has_control(password))
        return "there is a control character (a line's end?) in the user's name or the password";
    return NULL;
}

/* RFC 7617, 2; RFC 7616 hashes the same user, colon, password. */
static const char *check_password(const struct auth_settings *s)
{
    const char *error = check_login(s->user, s->password);

    if (!error && memchr(s->user.data, ':', s->user.n))
        error = "the user's name must not have a colon in it";
    return error;
}

/* RFC 6750, 2.1: b64token */
static const char *check_token(struct text token)
{
    struct challenge as_challenge;
    char text[8 + AUTH_TOKEN_MAX];
    struct text rest = {text, 2 + token.n};
    bool is_right;

    if (token.n == 0 || token.n > AUTH_TOKEN_MAX)
        return "the token has to be 1 to 8192 bytes long";
    memcpy(text, "x ", 2);
    memcpy(text + 2, token.data, token.n);
    is_right = challenge_next(&rest, &as_challenge) && as_challenge.token68.n == token.n;
    explicit_bzero(text, sizeof text);
    return is_right ? NULL : "the token may have letters, digits and -._~+/ only, and = at its end";
}

static const char *check_gss(const struct gss_settings *s, enum auth_scheme scheme)
{
    if (!s->service || strlen(s->service) > QUESTION_TEXT_MAX)
        return "the name of the proxy's service has to be 1 to 1024 bytes long";
    return scheme == AUTH_NEGOTIATE ? NULL : check_login(s->user, s->password);
}

static const char *check_scheme(const struct auth_settings *s, enum auth_scheme scheme)
{
    switch (scheme) {
    case AUTH_BASIC:
    case AUTH_DIGEST:
        return check_password(s);
    case AUTH_BEARER:
        return check_token(s->token);
    case AUTH_NEGOTIATE:
    case AUTH_NTLM:
        return check_gss(&s->gss, scheme);
    }
    return NULL;
}

const char *auth_check_settings(const struct auth_settings *s)
{
    unsigned seen = 0;

    for (size_t i = 0; i < s->n_schemes; i++) {
        const char *error = check_scheme(s, s->schemes[i]);

        if (error)
            return error;
        if (seen & 1u << s->schemes[i])
            return "a scheme is named twice";
        seen |= 1u << s->schemes[i];
    }
    return NULL;
}
