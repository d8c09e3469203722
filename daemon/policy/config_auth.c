/* Who we are to a proxy: `auth`, `credential` and `user` of its section. User, password and token
 * are never copied: they point into the credential as it was read. No error shows any of them. */
#include "daemon/policy/config_tree.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/dialog/socks4.h"
#include "daemon/dialog/socks5.h"
#include "daemon/tls/hash.h"
#include "proto/cleanup.h"

static void list_schemes(char *text, size_t size)
{
    size_t n = 0;

    for (unsigned i = 0; i < AUTH_N_SCHEMES && n < size; i++)
        n += (size_t)snprintf(text + n, size - n, "%s%s", i == 0 ? "" : ", ",
                              auth_scheme_name((enum auth_scheme)i));
}

static int build_schemes(const struct section *section, struct proxy *proxy, char *error)
{
    const struct value_list *list = &section->keys[KEY_AUTH];
    struct auth_settings *auth = &proxy->http.auth;
    char known[128];

    list_schemes(known, sizeof known);
    auth->hash = tls_hash;
    for (size_t i = 0; i < list->n; i++) {
        const struct value *value = &list->values[i];
        enum auth_scheme scheme;

        if (auth_scheme_parse(text_of(value->text), &scheme) < 0)
            return config_refuse(error, &value->place,
                                 "'auth' of a proxy by http takes %s; '%.60s' is unknown", known,
                                 value->text);
        if (auth_has_scheme(auth, scheme))
            return config_refuse(error, &value->place, "'%s' is given twice; remove one",
                                 value->text);
        auth->schemes[auth->n_schemes++] = scheme;
    }
    if (auth_has_scheme(auth, AUTH_BEARER) && auth->n_schemes > 1)
        return config_refuse(error, &list->values[0].place,
                             "a credential is either the token of 'bearer' or a user and a "
                             "password; write 'bearer' alone");
    return 0;
}

static int build_methods(const struct section *section, struct proxy *proxy, char *error)
{
    enum { NONE = 1, PASSWORD = 2, GSSAPI = 4 };
    static const struct config_word words[] = {
        {"none", NONE}, {"password", PASSWORD}, {"gssapi", GSSAPI}};
    const struct value_list *list = &section->keys[KEY_AUTH];
    const struct value *credential = config_find_value(section, KEY_CREDENTIAL);
    unsigned methods = credential ? PASSWORD : NONE;
    int r = config_parse_mask(list, KEY_AUTH, words, ARRAY_SIZE(words),
                              "none, password and gssapi with a proxy by socks5", &methods, error);

    if (r < 0)
        return r;
    if (methods & PASSWORD && !credential)
        return config_refuse(error, &list->values[0].place,
                             "'auth' needs a 'credential' with user:password");
    if (credential && !(methods & PASSWORD))
        return config_refuse(error, &credential->place,
                             "'credential' is never used without \"password\" in 'auth'");
    proxy->has_gssapi = methods & GSSAPI;
    proxy->may_be_anonymous = methods & NONE && methods != NONE;
    return 0;
}

/* RFC 1929 has shorter passwords than HTTP, and none that is empty. */
static const char *check_socks5(const struct proxy *proxy)
{
    const struct auth_settings as_basic = {
        .schemes = {AUTH_BASIC}, .n_schemes = 1, .user = proxy->user, .password = proxy->password};

    if (proxy->password.n == 0 || proxy->password.n > SOCKS5_CREDENTIAL_MAX)
        return "the password has to be 1 to 255 bytes long for socks5";
    return auth_check_settings(&as_basic);
}

/* The texts point into the credential. */
static const char *take_texts(struct proxy *proxy)
{
    struct text all = credential_text(&proxy->credential);
    const char *colon = memchr(all.data, ':', all.n);
    struct auth_settings *auth = &proxy->http.auth;

    if (auth_has_scheme(auth, AUTH_BEARER)) {
        auth->token = all;
        return auth_check_settings(auth);
    }
    if (!colon)
        return "there is no colon in it; write user:password";
    proxy->user = (struct text){all.data, (size_t)(colon - all.data)};
    proxy->password = (struct text){colon + 1, all.n - proxy->user.n - 1};
    auth->user = auth->gss.user = proxy->user;
    auth->password = auth->gss.password = proxy->password;
    return proxy->kind == PROXY_SOCKS5 ? check_socks5(proxy) : auth_check_settings(auth);
}

/* Kerberos has its own. */
static bool needs_credential(const struct auth_settings *auth)
{
    return auth->n_schemes > (auth_has_scheme(auth, AUTH_NEGOTIATE) ? 1 : 0);
}

static int build_credential(const struct section *section, struct proxy *proxy, char *error)
{
    const struct value *value = config_find_value(section, KEY_CREDENTIAL);
    char why[CREDENTIAL_ERROR_MAX];
    const char *wrong;

    if (!value && !needs_credential(&proxy->http.auth))
        return 0;
    if (!value)
        return config_refuse(error, &config_find_value(section, KEY_AUTH)->place,
                             "'auth' needs a 'credential': the name of a file with user:password, "
                             "or with a token");
    if (proxy->kind == PROXY_HTTP && proxy->http.auth.n_schemes == 0)
        return config_refuse(error, &value->place,
                             "'credential' needs 'auth', which says in which ways it may be sent, "
                             "as in { \"digest\", \"basic\" }");
    if (proxy->kind == PROXY_HTTP && !needs_credential(&proxy->http.auth))
        return config_refuse(error, &value->place,
                             "'credential' is never used with \"negotiate\" alone; write the name "
                             "of a keytab to 'keytab'");
    if (credential_read(&proxy->credential, value->text, why) < 0)
        return config_refuse(error, &value->place, "%s", why);
    wrong = take_texts(proxy);
    if (wrong)
        return config_refuse(error, &value->place, "credential '%.60s': %s", value->text, wrong);
    return 0;
}

/* No secret, but it ends up in the same place. */
static int build_user(const struct section *section, struct proxy *proxy, char *error)
{
    const struct value *value = config_find_value(section, KEY_USER);
    size_t n;

    if (!value)
        return 0;
    n = strlen(value->text);
    if (n == 0 || n > SOCKS4_USER_MAX)
        return config_refuse(error, &value->place, "'user' has 1 to %d bytes", SOCKS4_USER_MAX);
    proxy->credential.data = strdup(value->text);
    if (!proxy->credential.data)
        return config_fail(-ENOMEM, error, "out of memory");
    proxy->credential.n = n;
    proxy->user = (struct text){proxy->credential.data, n};
    return 0;
}

int config_build_auth(const struct section *section, struct proxy *proxy,
                      char error[CONFIG_ERROR_MAX])
{
    int r = 0;

    if (proxy->kind == PROXY_HTTP)
        r = build_schemes(section, proxy, error);
    else if (proxy->kind == PROXY_SOCKS5)
        r = build_methods(section, proxy, error);
    if (r == 0)
        r = config_build_gss(section, proxy, error);
    if (r == 0)
        r = build_credential(section, proxy, error);
    return r == 0 ? build_user(section, proxy, error) : r;
}
