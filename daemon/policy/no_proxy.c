/* The text is completed to that of a pattern, and so has its hosts, prefixes and ports, and its
 * mistakes. Only the leading dot is different, and what is no way to name an exception: an
 * asterisk, a scheme. */
#include "daemon/policy/no_proxy.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int no_proxy_parse(const char *text, struct pattern *ret, const char **ret_error)
{
    bool is_suffix = text[0] == '.';
    char full[sizeof "*://:*" + PATTERN_MAX];
    struct pattern p;
    int r;

    *ret_error = NULL;
    if (strlen(text) > PATTERN_MAX - strlen("*://:*"))
        *ret_error = "it is too long";
    else if (memchr(text, '*', strcspn(text, ":")))
        *ret_error = "'*' is not known here; '.name' is this name and all below it";
    else if (strstr(text, "://"))
        *ret_error = "it takes no scheme; remove it";
    if (*ret_error)
        return -EINVAL;
    text += is_suffix;
    snprintf(full, sizeof full, "*://%s%s", text, host_has_port(text) ? "" : ":*");
    r = pattern_parse(full, &p, ret_error);
    if (r < 0)
        return r;
    if (is_suffix && p.host_kind != PATTERN_NAME) {
        pattern_deinit(&p);
        *ret_error = "nothing is below an address; remove the dot";
        return -EINVAL;
    }
    if (is_suffix)
        p.host_kind = PATTERN_WITHIN;
    *ret = p;
    return 0;
}
