#include "daemon/dialog/auth/leak.h"

#include <string.h>

#include "daemon/base/base64.h"

static bool has(struct text text, struct text secret)
{
    if (secret.n == 0)
        return false;
    if (memmem(text.data, text.n, secret.data, secret.n))
        return true;
    for (size_t n = LEAK_PART_MIN; n < secret.n && n <= text.n; n++)
        if (memcmp(text.data + text.n - n, secret.data, n) == 0)
            return true;
    return false;
}

bool leak_is_in(struct text text, const struct auth *auth)
{
    const struct auth_settings *settings = auth->settings;
    char encoded[BASE64_LENGTH(AUTH_BASIC_MAX) + 1];
    bool is_found;

    if (text.n == 0)
        return false;
    auth_encode_basic(settings, encoded);
    is_found = has(text, settings->password) || has(text, settings->token) ||
               (settings->user.n > 0 && has(text, text_of(encoded))) ||
               has(text, settings->gss.password) || (auth->said && has(text, text_of(auth->said)));
    explicit_bzero(encoded, sizeof encoded);
    return is_found;
}
