/* Behind a comma stands either another parameter, which is a token with an equals sign, or the next
 * scheme, which is a token with none. Where a scheme is followed by a word, that is a token68 if it
 * ends where the challenge ends, else the first parameter. */
#include "daemon/dialog/auth/challenge.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "daemon/dialog/http_head.h"

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static void skip(struct text *rest, size_t n)
{
    rest->data += n;
    rest->n -= n;
}

static void skip_spaces(struct text *rest)
{
    while (rest->n > 0 && is_space(rest->data[0]))
        skip(rest, 1);
}

static void skip_commas(struct text *rest)
{
    while (rest->n > 0 && (is_space(rest->data[0]) || rest->data[0] == ','))
        skip(rest, 1);
}

static bool is_at_end(struct text rest)
{
    skip_spaces(&rest);
    return rest.n == 0 || rest.data[0] == ',';
}

static bool take_token(struct text *rest, struct text *ret)
{
    size_t n = 0;

    while (n < rest->n && http_is_token_char(rest->data[n]))
        n++;
    if (n == 0)
        return false;
    *ret = (struct text){rest->data, n};
    skip(rest, n);
    return true;
}

static bool is_token68_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c != '\0' && strchr("-._~+/", c));
}

/* RFC 9110, 11.2 */
static bool take_token68(struct text *rest, struct text *ret)
{
    struct text after = *rest;
    size_t n = 0;

    while (n < rest->n && is_token68_char(rest->data[n]))
        n++;
    if (n == 0)
        return false;
    while (n < rest->n && rest->data[n] == '=')
        n++;
    skip(&after, n);
    if (!is_at_end(after))
        return false;
    *ret = (struct text){rest->data, n};
    *rest = after;
    return true;
}

/* RFC 9110, 5.6.4 */
static bool take_quoted(struct text *rest, struct text *ret)
{
    for (size_t i = 1; i < rest->n; i++) {
        if (rest->data[i] == '\\') {
            i++;
            continue;
        }
        if (rest->data[i] != '"')
            continue;
        *ret = (struct text){rest->data + 1, i - 1};
        skip(rest, i + 1);
        return true;
    }
    return false;
}

/* name=value; leaves `rest` where it was if there is none. */
static bool take_param(struct text *rest, struct challenge_param *ret)
{
    struct challenge_param param = {0};
    struct text at = *rest;

    if (!take_token(&at, &param.name))
        return false;
    skip_spaces(&at);
    if (at.n == 0 || at.data[0] != '=')
        return false;
    skip(&at, 1);
    skip_spaces(&at);
    param.is_quoted = at.n > 0 && at.data[0] == '"';
    if (!(param.is_quoted ? take_quoted(&at, &param.value) : take_token(&at, &param.value)))
        return false;
    *rest = at;
    *ret = param;
    return true;
}

static bool is_scheme_next(struct text rest)
{
    struct text token;

    if (!take_token(&rest, &token))
        return false;
    skip_spaces(&rest);
    return rest.n == 0 || rest.data[0] != '=';
}

/* A parameter given twice makes the challenge invalid: RFC 9110, 11.2. */
static bool has_param(const struct challenge *c, struct text name)
{
    for (size_t i = 0; i < c->n_params; i++)
        if (c->params[i].name.n == name.n &&
            strncasecmp(c->params[i].name.data, name.data, name.n) == 0)
            return true;
    return false;
}

static bool take_params(struct text *rest, struct challenge *c)
{
    for (skip_commas(rest); rest->n > 0 && !is_scheme_next(*rest); skip_commas(rest)) {
        struct challenge_param param;

        if (c->n_params == CHALLENGE_PARAMS_MAX || !take_param(rest, &param) ||
            has_param(c, param.name) || !is_at_end(*rest))
            return false;
        c->params[c->n_params++] = param;
    }
    return true;
}

bool challenge_next(struct text *rest, struct challenge *ret)
{
    struct challenge c = {0};
    bool is_alone;

    skip_commas(rest);
    if (!take_token(rest, &c.scheme))
        return false;
    is_alone = is_at_end(*rest);
    if (!is_alone) {
        if (rest->data[0] != ' ')
            return false;
        skip_spaces(rest);
        if (!take_token68(rest, &c.token68) && !take_params(rest, &c))
            return false;
        if (!c.token68.data && c.n_params == 0)
            return false;
    }
    *ret = c;
    return true;
}

bool challenge_parse_params(struct text value, struct challenge *ret)
{
    struct challenge c = {0};

    if (!take_params(&value, &c) || value.n > 0)
        return false;
    *ret = c;
    return true;
}

const struct challenge_param *challenge_find(const struct challenge *c, const char *name)
{
    for (size_t i = 0; i < c->n_params; i++)
        if (http_text_equals(c->params[i].name, name))
            return &c->params[i];
    return NULL;
}

int challenge_get(const struct challenge *c, const char *name, char *ret, size_t size)
{
    const struct challenge_param *param = challenge_find(c, name);
    size_t n = 0;

    if (!param)
        return -ENOENT;
    if (param->value.n >= size)
        return -EMSGSIZE;
    for (size_t i = 0; i < param->value.n; i++) {
        if (param->is_quoted && param->value.data[i] == '\\')
            i++;
        ret[n++] = param->value.data[i];
    }
    ret[n] = '\0';
    return 0;
}

bool challenge_says(const struct challenge *c, const char *name, const char *value)
{
    const struct challenge_param *param = challenge_find(c, name);

    return param && http_text_equals(param->value, value);
}
