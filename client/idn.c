/* Conversion by libidn2 from UTF-8.
 *
 * The mapping turns some characters into ASCII ones, also into those that separate the parts of a
 * target (a fullwidth solidus becomes '/'). So the outcome is checked to be a name and nothing
 * else, else a host could turn into host and port, or another host. */
#include "client/idn.h"

#include <errno.h>
#include <idn2.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "proto/cleanup.h"
#include "proto/target.h"

static bool is_ascii(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text >= 0x80)
            return false;
    return true;
}

static int copy(const char *text, char **ret)
{
    char *copied = strdup(text);

    if (!copied)
        return -ENOMEM;
    *ret = copied;
    return 0;
}

int idn_convert_host(const char *host, char **ret, const char **ret_error)
{
    char canonical[TARGET_HOST_MAX + 1];
    char *converted = NULL;
    int r;

    if (is_ascii(host))
        return copy(host, ret);
    r = idn2_to_ascii_8z(host, &converted, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
    if (r == IDN2_MALLOC)
        return -ENOMEM;
    if (r != IDN2_OK) {
        *ret_error = idn2_strerror(r);
        return -EINVAL;
    }
    r = host_parse_name(converted, strlen(converted), canonical, ret_error);
    idn2_free(converted);
    if (r < 0)
        return r;
    return copy(canonical, ret);
}

int idn_convert_target(const char *target, char **ret, const char **ret_error)
{
    const char *host = strstr(target, "://");
    CLEANUP(freep) char *name = NULL, *converted = NULL;
    size_t n_host;
    int r;

    if (is_ascii(target) || !host)
        return copy(target, ret);
    host += 3;
    n_host = strcspn(host, ":/?#");
    name = strndup(host, n_host);
    if (!name)
        return -ENOMEM;
    r = idn_convert_host(name, &converted, ret_error);
    if (r < 0)
        return r;
    if (asprintf(ret, "%.*s%s%s", (int)(host - target), target, converted, host + n_host) < 0)
        return -ENOMEM;
    return 0;
}
