/* Challenges, as they stand in Proxy-Authenticate and WWW-Authenticate (RFC 9110, 11): a list of
 * schemes, each with a list of parameters, with the same comma between both. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "proto/message.h"

#define CHALLENGE_PARAMS_MAX 16

struct challenge_param {
    struct text name;
    struct text value; /* without its quotes, with its backslashes */
    bool is_quoted;
};

struct challenge {
    struct text scheme;
    struct text token68; /* data NULL: none */
    struct challenge_param params[CHALLENGE_PARAMS_MAX];
    size_t n_params;
};

/* Takes the next challenge from a field's value. False at the end, and where the rest cannot be
 * understood: nobody can tell where the next challenge would begin. The texts point into it. */
bool challenge_next(struct text *rest, struct challenge *ret);
/* The same for a field with nothing but parameters (RFC 7615). */
bool challenge_parse_params(struct text value, struct challenge *ret);

const struct challenge_param *challenge_find(const struct challenge *challenge, const char *name);
/* Writes the parameter's value and a NUL. Returns 0, -ENOENT, or -EMSGSIZE. */
int challenge_get(const struct challenge *challenge, const char *name, char *ret, size_t size);
/* Whether it is there and this, whatever the case of the letters. */
bool challenge_says(const struct challenge *challenge, const char *name, const char *value);
