/* What GSSAPI needs to know of a proxy: `service` and `keytab` of its section. Of the keytab, which
 * is a credential, only the kind is looked at here, and its path kept: who speaks GSSAPI reads it,
 * when there is something to say. */
#include "daemon/policy/config_tree.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/cleanup.h"

#define SERVICE_MAX 255

static bool is_service(const char *text)
{
    size_t n = strlen(text);

    for (size_t i = 0; i < n; i++)
        if (text[i] <= ' ' || text[i] > '~')
            return false;
    return n > 0 && n <= SERVICE_MAX && text[0] != '@' && text[n - 1] != '@';
}

/* "HTTP" or, for a service that has another host's name, "HTTP@host". */
static int build_service(const struct section *section, struct proxy *proxy, char *error)
{
    const struct value *value = config_find_value(section, KEY_SERVICE);
    const char *service = proxy->kind == PROXY_HTTP ? "HTTP" : "rcmd";
    bool has_host = value && strchr(value->text, '@');

    if (value && !is_service(value->text))
        return config_refuse(error, &value->place,
                             "'service' is a name like HTTP, or with the host HTTP@proxy.example");
    if (value)
        service = value->text;
    if (asprintf(&proxy->service, "%s%s%s", service, has_host ? "" : "@",
                 has_host ? "" : proxy->tls_name) < 0) {
        proxy->service = NULL;
        return config_fail(-ENOMEM, error, "out of memory");
    }
    proxy->http.auth.gss.service = proxy->service;
    return 0;
}

/* Both begin with 5; then comes the version of the format. */
static int take_file(const struct value *value, const struct credential *file, struct proxy *proxy,
                     char *error)
{
    struct gss_settings *gss = &proxy->http.auth.gss;
    int version = file->n >= 2 && file->data[0] == 5 ? file->data[1] : 0;

    if (version == 2)
        gss->keytab = proxy->keytab;
    else if (version == 3 || version == 4)
        gss->ccache = proxy->keytab;
    else
        return config_refuse(error, &value->place,
                             "credential '%.60s' is neither a keytab nor a credential cache of "
                             "Kerberos",
                             value->text);
    return 0;
}

static int build_keytab(const struct section *section, struct proxy *proxy, char *error)
{
    CLEANUP(credential_deinit) struct credential file = {0};
    const struct value *value = config_find_value(section, KEY_KEYTAB);
    char why[CREDENTIAL_ERROR_MAX];

    if (!value)
        return 0;
    if (credential_read(&file, value->text, why) < 0)
        return config_refuse(error, &value->place, "%s", why);
    proxy->keytab = credential_path(value->text);
    if (!proxy->keytab)
        return config_fail(-ENOMEM, error, "out of memory");
    return take_file(value, &file, proxy, error);
}

int config_build_gss(const struct section *section, struct proxy *proxy,
                     char error[CONFIG_ERROR_MAX])
{
    const struct value *service = config_find_value(section, KEY_SERVICE);
    const struct value *keytab = config_find_value(section, KEY_KEYTAB);
    const struct auth_settings *auth = &proxy->http.auth;
    bool has_kerberos = proxy->has_gssapi || auth_has_scheme(auth, AUTH_NEGOTIATE);
    int r;

    if (keytab && !has_kerberos)
        return config_refuse(error, &keytab->place,
                             "'keytab' is never used without \"negotiate\" in 'auth' or, with "
                             "socks5, \"gssapi\"");
    if (!has_kerberos && !auth_has_scheme(auth, AUTH_NTLM)) {
        if (service)
            return config_refuse(error, &service->place,
                                 "'service' is never used without \"negotiate\" or \"ntlm\" in "
                                 "'auth' or, with socks5, \"gssapi\"");
        return 0;
    }
    r = build_service(section, proxy, error);
    return r == 0 ? build_keytab(section, proxy, error) : r;
}
