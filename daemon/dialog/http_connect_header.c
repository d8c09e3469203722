/* Which headers the configuration may add to a request to a proxy. */
#include <string.h>

#include "daemon/dialog/http_connect.h"
#include "proto/cleanup.h"

static bool is_reserved(struct text name)
{
    static const char *const reserved[] = {
        "Connection",       "Content-Length",      "Expect", "Host",    "Keep-Alive",
        "Proxy-Connection", "Proxy-Authorization", "TE",     "Trailer", "Transfer-Encoding",
        "Upgrade",
    };

    for (size_t i = 0; i < ARRAY_SIZE(reserved); i++)
        if (http_text_equals(name, reserved[i]))
            return true;
    return false;
}

const char *http_connect_check_header(struct text header)
{
    const char *colon = memchr(header.data, ':', header.n);
    struct text name;

    if (header.n > HTTP_CONNECT_HEADER_MAX)
        return "a header has at most 1024 bytes";
    if (!colon)
        return "a header is written \"Name: value\"";
    name = (struct text){header.data, (size_t)(colon - header.data)};
    if (!http_is_token(name))
        return "a header's name has letters, digits and hyphens only";
    if (!http_is_content(header))
        return "a header has no control characters";
    if (is_reserved(name))
        return "this header is not free to be set";
    return NULL;
}
