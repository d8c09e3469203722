/* `proxy` sections: what they give, and each mistake with its line and sentence. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/policy/config_tree.h"
#include "daemon/tls/hash.h"
#include "proto/cleanup.h"
#include "tests/lib/suite.h"

#define LONG_NAME                                                                                  \
    "a2345678901234567890123456789012345678901234567890123456789012345678901234567890"             \
    "12345678901234567890123456789012345678901234567890123456789012345678901234567890"

static char scratch[128];

static const struct {
    const char *name;
    const char *text;
} credentials[] = {
    {"corp", "joe:a secret: of some length\n"},
    {"token", "abc.DEF-123=\n"},
    {"no-colon", "joe\n"},
    {"no-user", ":secret"},
    {"no-password", "joe:"},
    {"two-lines", "joe:secret\n\n"},
    {"no-token", "two words"},
    {"empty", ""},
    {"keytab", "\5\2 of no meaning here"},
    {"ccache", "\5\4 nor here"},
    {"long", "joe:" LONG_NAME LONG_NAME}, /* 320 bytes */
};

static const char *path_of(const char *name)
{
    static char path[256];

    snprintf(path, sizeof path, "%s/%s", scratch, name);
    return path;
}

static void make_scratch(void)
{
    const char *base = getenv("TMPDIR");

    snprintf(scratch, sizeof scratch, "%s/test-config-proxy-XXXXXX", base ? base : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(scratch));
    for (size_t i = 0; i < ARRAY_SIZE(credentials); i++) {
        FILE *file = fopen(path_of(credentials[i].name), "w");

        ck_assert_ptr_nonnull(file);
        ck_assert_int_ge(fputs(credentials[i].text, file), 0);
        fclose(file);
    }
    setenv("CREDENTIALS_DIRECTORY", scratch, 1);
}

static void remove_scratch(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(credentials); i++)
        unlink(path_of(credentials[i].name));
    rmdir(scratch);
}

static struct config *parse(const char *text)
{
    struct config *config = NULL;
    char error[CONFIG_ERROR_MAX] = "";
    int r = config_parse(&config, "c", text, strlen(text), error);

    ck_assert_msg(r == 0, "%s", error);
    return config;
}

static void expect_text(struct text text, const char *expected)
{
    ck_assert_msg(text.n == strlen(expected) && memcmp(text.data, expected, text.n) == 0,
                  "'%.*s' is not '%s'", (int)text.n, text.data ? text.data : "", expected);
}

/* Nothing is said of itself: not sent, not verified otherwise, nobody. */
START_TEST(test_defaults)
{
    struct config *config = parse("proxy a { url = \"http://Proxy.example.:3128\" }");
    const struct proxy *proxy = config->proxies;

    ck_assert_uint_eq(config->n_proxies, 1);
    ck_assert_str_eq(proxy->name, "a");
    ck_assert_int_eq(proxy->kind, PROXY_HTTP);
    ck_assert_int_eq(proxy->endpoint.scheme, SCHEME_TCP);
    ck_assert_int_eq(proxy->endpoint.host_kind, HOST_NAME);
    ck_assert_str_eq(proxy->endpoint.host, "proxy.example");
    ck_assert_uint_eq(proxy->endpoint.port, 3128);
    ck_assert_str_eq(proxy->tls_name, "proxy.example");
    ck_assert_ptr_null(proxy->tls);
    ck_assert_int_eq(proxy->send_proxy.version, 0);
    ck_assert(!proxy->http.is_http_1_0);
    ck_assert_uint_eq(proxy->http.n_headers, 0);
    ck_assert_uint_eq(proxy->http.auth.n_schemes, 0);
    ck_assert_ptr_null(proxy->user.data);
    ck_assert_ptr_null(proxy->password.data);
    ck_assert(!proxy->may_be_anonymous);
    ck_assert_ptr_null(proxy->memories);
    config_unref(config);
}
END_TEST

START_TEST(test_every_key)
{
    struct config *config =
        parse("tls inner { min-version = 1.3 }\n"
              "proxy corp {\n"
              "  url = \"https://proxy.corp.example\"\n"
              "  unix-socket = \"/run/tunnel.sock\"\n"
              "  auth = { \"digest\", \"basic\" }\n"
              "  credential = corp\n"
              "  tls = inner\n"
              "  header = { \"X-Client: fdial\", \"User-Agent: a, b\" }\n"
              "  http-version = \"1.0\"\n"
              "  send-proxy = v2\n"
              "  send-proxy-options = { alpn, authority, unique-id, crc32c }\n"
              "}\n"
              "proxy old { url = \"socks4://192.0.2.1\" user = \"joe:x\" send-proxy = v1 }\n");
    const struct proxy *proxy = config->proxies;

    ck_assert_uint_eq(config->n_proxies, 2);
    ck_assert_int_eq(proxy->endpoint.scheme, SCHEME_UNIX);
    ck_assert_str_eq(proxy->endpoint.path, "/run/tunnel.sock");
    ck_assert_str_eq(proxy->tls_name, "proxy.corp.example");
    ck_assert_ptr_nonnull(proxy->tls);
    ck_assert(proxy->http.is_http_1_0);
    ck_assert_uint_eq(proxy->http.n_headers, 2);
    expect_text(proxy->http.headers[0], "X-Client: fdial");
    expect_text(proxy->http.headers[1], "User-Agent: a, b");
    ck_assert_uint_eq(proxy->http.auth.n_schemes, 2);
    ck_assert_int_eq(proxy->http.auth.schemes[0], AUTH_DIGEST);
    ck_assert_int_eq(proxy->http.auth.schemes[1], AUTH_BASIC);
    ck_assert(proxy->http.auth.hash == tls_hash);
    expect_text(proxy->http.auth.user, "joe");
    expect_text(proxy->http.auth.password, "a secret: of some length");
    expect_text(proxy->user, "joe");
    expect_text(proxy->password, "a secret: of some length");
    ck_assert_ptr_null(proxy->http.auth.token.data);
    ck_assert_int_eq(proxy->send_proxy.version, PROXY_HEADER_V2);
    ck_assert(proxy->send_proxy.has_alpn && proxy->send_proxy.has_authority &&
              proxy->send_proxy.has_unique_id && proxy->send_proxy.has_checksum);

    ck_assert_int_eq(proxy[1].kind, PROXY_SOCKS4);
    ck_assert_int_eq(proxy[1].endpoint.host_kind, HOST_IPV4);
    ck_assert_uint_eq(proxy[1].endpoint.port, 1080);
    expect_text(proxy[1].user, "joe:x");
    ck_assert_ptr_null(proxy[1].password.data);
    ck_assert_int_eq(proxy[1].send_proxy.version, PROXY_HEADER_V1);
    ck_assert(!proxy[1].send_proxy.has_alpn);
    config_unref(config);
}
END_TEST

START_TEST(test_urls)
{
    static const struct {
        const char *url;
        enum proxy_kind kind;
        enum host_kind host_kind;
        uint16_t port;
        bool has_tls;
    } urls[] = {
        {"http://a:80", PROXY_HTTP, HOST_NAME, 80, false},
        {"https://a", PROXY_HTTP, HOST_NAME, 443, true},
        {"https://192.0.2.1:8443", PROXY_HTTP, HOST_IPV4, 8443, true},
        {"http://[2001:db8::1]:3128", PROXY_HTTP, HOST_IPV6, 3128, false},
        {"https://[2001:db8::1]", PROXY_HTTP, HOST_IPV6, 443, true},
        {"socks4://a", PROXY_SOCKS4, HOST_NAME, 1080, false},
        {"socks4a://a:9050", PROXY_SOCKS4A, HOST_NAME, 9050, false},
        {"socks5://[::1]", PROXY_SOCKS5, HOST_IPV6, 1080, false},
    };

    for (size_t i = 0; i < ARRAY_SIZE(urls); i++) {
        struct config *config;
        char text[128];

        snprintf(text, sizeof text, "proxy a { url = \"%s\" }", urls[i].url);
        config = parse(text);
        ck_assert_int_eq(config->proxies->kind, urls[i].kind);
        ck_assert_int_eq(config->proxies->endpoint.host_kind, urls[i].host_kind);
        ck_assert_uint_eq(config->proxies->endpoint.port, urls[i].port);
        ck_assert((config->proxies->tls != NULL) == urls[i].has_tls);
        ck_assert_str_eq(config->proxies->tls_name, config->proxies->endpoint.host);
        config_unref(config);
    }
}
END_TEST

START_TEST(test_token)
{
    struct config *config =
        parse("proxy a { url = \"http://p:1\" auth = bearer credential = token }");
    const struct auth_settings *auth = &config->proxies->http.auth;

    ck_assert_uint_eq(auth->n_schemes, 1);
    ck_assert_int_eq(auth->schemes[0], AUTH_BEARER);
    expect_text(auth->token, "abc.DEF-123=");
    ck_assert_ptr_null(auth->user.data);
    ck_assert_ptr_null(auth->password.data);
    config_unref(config);
}
END_TEST

START_TEST(test_gss)
{
    struct config *config =
        parse("proxy a { url = \"http://p.example:1\" auth = { negotiate, ntlm }"
              " credential = corp keytab = keytab }\n"
              "proxy b { url = \"http://p.example:1\" auth = negotiate"
              " service = proxy keytab = ccache }\n");
    const struct auth_settings *a = &config->proxies[0].http.auth;
    const struct auth_settings *b = &config->proxies[1].http.auth;

    ck_assert_ptr_null(auth_check_settings(a));
    ck_assert_str_eq(a->gss.service, "HTTP@p.example");
    ck_assert_str_eq(a->gss.keytab, path_of("keytab"));
    ck_assert_ptr_null(a->gss.ccache);
    expect_text(a->gss.user, "joe");
    expect_text(a->gss.password, "a secret: of some length");
    ck_assert_ptr_null(auth_check_settings(b));
    ck_assert_str_eq(b->gss.service, "proxy@p.example");
    ck_assert_str_eq(b->gss.ccache, path_of("ccache"));
    ck_assert_ptr_null(b->gss.keytab);
    ck_assert_ptr_null(b->gss.user.data);
    config_unref(config);
}
END_TEST

/* Whoever has a password and does not say otherwise insists on it. */
START_TEST(test_socks5)
{
    static const struct {
        const char *keys;
        bool has_user;
        bool may_be_anonymous;
        bool has_gssapi;
    } sections[] = {
        {"", false, false, false},
        {"auth = none", false, false, false},
        {"credential = corp", true, false, false},
        {"auth = password credential = corp", true, false, false},
        {"auth = { none, password } credential = corp", true, true, false},
        {"auth = gssapi", false, false, true},
        {"auth = { gssapi, none }", false, true, true},
        {"auth = { gssapi, password } credential = corp", true, false, true},
    };

    for (size_t i = 0; i < ARRAY_SIZE(sections); i++) {
        struct config *config;
        char text[128];

        snprintf(text, sizeof text, "proxy a { url = \"socks5://p\" %s }", sections[i].keys);
        config = parse(text);
        ck_assert((config->proxies->user.data != NULL) == sections[i].has_user);
        ck_assert_int_eq(config->proxies->may_be_anonymous, sections[i].may_be_anonymous);
        ck_assert_int_eq(config->proxies->has_gssapi, sections[i].has_gssapi);
        if (sections[i].has_gssapi)
            ck_assert_str_eq(config->proxies->http.auth.gss.service, "rcmd@p");
        if (sections[i].has_user)
            expect_text(config->proxies->password, "a secret: of some length");
        config_unref(config);
    }
}
END_TEST

#define PROXY(url, body) "proxy \"a\" {\n url = \"" url "\"\n" body "\n}\n"
#define HTTP(body)       PROXY("http://p:1", body)
#define SOCKS5(body)     PROXY("socks5://p", body)
#define SCHEMES          "'url' begins with http://, https://, socks4://, socks4a:// or socks5://"

static const struct {
    const char *text;
    const char *error; /* behind "c:"; "$" is the folder of the credentials */
} mistakes[] = {
    {"\nproxy \"a\" {\n}", "2: proxy 'a' has no 'url'; write where it is, as in "
                           "http://proxy.example:3128"},
    {PROXY("proxy.example:3128", ""), "2: " SCHEMES},
    {PROXY("", ""), "2: " SCHEMES},
    {PROXY("HTTP://p:1", ""), "2: " SCHEMES},
    {PROXY("ftp://p:1", ""), "2: " SCHEMES},
    {PROXY("socks://p:1", ""), "2: " SCHEMES},
    {PROXY("httpx://p:1", ""), "2: " SCHEMES},
    {PROXY("socks5h://p:1", ""), "2: who looks names up is said in the rule, with resolve = "
                                 "\"proxy\"; write socks5 instead of socks5h"},
    {PROXY("http://joe:secret@p:1", ""),
     "2: 'url' takes no user and password; write them to a file, "
     "and its name to 'credential'"},
    {PROXY("http://p", ""), "2: 'url' needs a port, as in http://proxy.example:3128"},
    {PROXY("http://[2001:db8::1]", ""), "2: 'url' needs a port, as in http://proxy.example:3128"},
    {PROXY("http://p:1/", ""), "2: 'url' ends with the host or its port; remove what follows"},
    {PROXY("https://p/x", ""), "2: 'url' ends with the host or its port; remove what follows"},
    {PROXY("https://p?x", ""), "2: 'url' ends with the host or its port; remove what follows"},
    {PROXY("http://p:0", ""), "2: bad 'url': "},
    {PROXY("http://p:65536", ""), "2: bad 'url': "},
    {PROXY("http://:1", ""), "2: bad 'url': "},
    {PROXY("https://", ""), "2: bad 'url': "},
    {PROXY("https://a b", ""), "2: bad 'url': "},
    {PROXY("https://2001:db8::1", ""), "2: bad 'url': "},
    {PROXY("https://[2001:db8::1", ""), "2: bad 'url': "},
    {PROXY("https://" LONG_NAME LONG_NAME, ""), "2: the host in 'url' is too long"},
    {HTTP("unix-socket = \"run/x\""),
     "3: 'unix-socket' takes the path of a socket, which begins with '/', does not end with it, "
     "and has at most 107 bytes; 'run/x' is none"},
    {HTTP("auth = basic"), "3: 'auth' needs a 'credential': the name of a file with "
                           "user:password, or with a token"},
    {HTTP("credential = corp"), "3: 'credential' needs 'auth', which says in which ways it may be "
                                "sent, as in { \"digest\", \"basic\" }"},
    {HTTP("auth = { digest,\n none }\ncredential = corp"), "4: 'auth' of a proxy by http takes "},
    {HTTP("auth = kerberos\ncredential = corp"),
     "3: 'auth' of a proxy by http takes basic, digest, bearer, "
     "negotiate, ntlm; 'kerberos' is unknown"},
    {HTTP("auth = negotiate\ncredential = corp"),
     "4: 'credential' is never used with \"negotiate\" alone; write the name of a keytab to "
     "'keytab'"},
    {HTTP("auth = ntlm"), "3: 'auth' needs a 'credential': the name of a file with "
                          "user:password, or with a token"},
    {HTTP("auth = { negotiate, basic }"), "3: 'auth' needs a 'credential': the name of a file with "
                                          "user:password, or with a token"},
    {HTTP("auth = basic\ncredential = corp\nservice = HTTP"),
     "5: 'service' is never used without \"negotiate\" or \"ntlm\" in 'auth' or, with socks5, "
     "\"gssapi\""},
    {HTTP("auth = ntlm\ncredential = corp\nkeytab = keytab"),
     "5: 'keytab' is never used without \"negotiate\" in 'auth' or, with socks5, \"gssapi\""},
    {HTTP("auth = negotiate\nservice = \"@p\""),
     "4: 'service' is a name like HTTP, or with the host HTTP@proxy.example"},
    {HTTP("auth = negotiate\nservice = \"H P\""),
     "4: 'service' is a name like HTTP, or with the host HTTP@proxy.example"},
    {HTTP("auth = negotiate\nkeytab = none"),
     "4: credential $/none cannot be opened: No such file or directory"},
    {HTTP("auth = negotiate\nkeytab = corp"),
     "4: credential 'corp' is neither a keytab nor a credential cache of Kerberos"},
    {PROXY("socks4://p", "keytab = keytab"),
     "3: 'keytab' is for proxies by http, https and socks5"},
    {SOCKS5("service = rcmd"), "3: 'service' is never used without \"negotiate\" or \"ntlm\" in "
                               "'auth' or, with socks5, \"gssapi\""},
    {HTTP("auth = Basic\ncredential = corp"), "3: 'auth' of a proxy by http takes "},
    {HTTP("auth = { basic,\n digest,\n basic }\ncredential = corp"),
     "5: 'basic' is given twice; remove one"},
    {HTTP("auth = { bearer, basic }\ncredential = token"),
     "3: a credential is either the token of 'bearer' or a user and a password; write 'bearer' "
     "alone"},
    {HTTP("auth = basic\ncredential = none"), "4: credential $/none cannot be opened: No such file "
                                              "or directory"},
    {HTTP("auth = basic\ncredential = \"../corp\""),
     "4: a credential is the name of a file in $, without '/'; '../corp' is none"},
    {HTTP("auth = basic\ncredential = empty"), "4: credential $/empty is empty"},
    {HTTP("auth = basic\ncredential = no-colon"),
     "4: credential 'no-colon': there is no colon in it; write user:password"},
    {HTTP("auth = basic\ncredential = no-user"),
     "4: credential 'no-user': the user's name has to be 1 to 255 bytes long"},
    {HTTP("auth = basic\ncredential = two-lines"),
     "4: credential 'two-lines': there is a control character (a line's end?) in the user's name "
     "or the password"},
    {HTTP("auth = bearer\ncredential = no-token"),
     "4: credential 'no-token': the token may have letters, digits and -._~+/ only, and = at its "
     "end"},
    {HTTP("auth = basic\ncredential = { corp }"), "4: 'credential' takes one value; remove the "
                                                  "braces"},
    {HTTP("user = joe"), "3: 'user' is for proxies by socks4 and socks4a; for others write a "
                         "'credential'"},
    {SOCKS5("user = joe"), "3: 'user' is for proxies by socks4 and socks4a; for others write a "
                           "'credential'"},
    {PROXY("socks4://p", "user = \"\""), "3: 'user' has 1 to 255 bytes"},
    {PROXY("socks4a://p", "user = \"" LONG_NAME LONG_NAME "\""), "3: 'user' has 1 to 255 bytes"},
    {PROXY("socks4a://p", "credential = corp"),
     "3: 'credential' is for proxies by http, https and socks5; socks4 has a 'user' alone"},
    {PROXY("socks4://p", "auth = none"),
     "3: 'auth' is for proxies by http, https and socks5; socks4 has a 'user' alone"},
    {SOCKS5("auth = password"), "3: 'auth' needs a 'credential' with user:password"},
    {SOCKS5("auth = { none, password }"), "3: 'auth' needs a 'credential' with user:password"},
    {SOCKS5("auth = none\ncredential = corp"),
     "4: 'credential' is never used without \"password\" in 'auth'"},
    {SOCKS5("auth = basic\ncredential = corp"),
     "3: 'auth' takes none, password and gssapi with a proxy by socks5; 'basic' is unknown"},
    {SOCKS5("credential = no-password"),
     "3: credential 'no-password': the password has to be 1 to 255 bytes long for socks5"},
    {SOCKS5("credential = long"),
     "3: credential 'long': the password has to be 1 to 255 bytes long for socks5"},
    {SOCKS5("header = \"A: b\""), "3: 'header' is for proxies by http and https"},
    {SOCKS5("http-version = 1.0"), "3: 'http-version' is for proxies by http and https"},
    {HTTP("header = { \"A: b\",\n \"C\" }"),
     "4: bad header 'C': a header is written \"Name: value\""},
    {HTTP("header = \"Host: x\""), "3: bad header 'Host: x': this header is not free to be set"},
    {HTTP("header = \"Proxy-Authorization: Basic x\""),
     "3: bad header 'Proxy-Authorization: Basic x': this header is not free to be set"},
    {HTTP("header = { 'A: b', 'A: b', 'A: b', 'A: b', 'A: b', 'A: b', 'A: b', 'A: b', 'A: b',\n"
          "'A: b', 'A: b', 'A: b', 'A: b', 'A: b', 'A: b', 'A: b',\n'A: b' }"),
     "5: too many headers; at most 16"},
    {HTTP("http-version = 2"), "3: 'http-version' takes 1.0 or 1.1; '2' is unknown"},
    {HTTP("tls = inner"), "3: 'tls' is for proxies by https; this one is spoken to in the clear"},
    {PROXY("https://p", "tls = inner"),
     "3: there is no section tls \"inner\"; write one, or remove "
     "this key"},
    {HTTP("send-proxy = v3"), "3: 'send-proxy' takes v1 or v2; 'v3' is unknown"},
    {HTTP("send-proxy = v2\nsend-proxy-options = { alpn, name }"),
     "4: 'send-proxy-options' takes alpn, authority, unique-id and crc32c; 'name' is unknown"},
    {HTTP("send-proxy = v1\nsend-proxy-options = crc32c"),
     "4: 'send-proxy-options' is for version 2; write send-proxy = \"v2\", or remove it"},
    {HTTP("send-proxy-options = alpn"),
     "3: 'send-proxy-options' is for version 2; write send-proxy = \"v2\", or remove it"},
    {HTTP("allow = \"tcp://h:1\""), "3: 'allow' stands in a section rule \"name\" { ... }, not "
                                    "here"},
    {HTTP("password = x"), "3: unknown key 'password'; see fdiald.conf(5)"},
    {"url = \"http://p:1\"", "1: 'url' stands in a section proxy \"name\" { ... }, not here"},
    {"proxy {\n}", "1: a title is missing; write proxy \"name\" { ... }"},
    {HTTP("") HTTP(""), "5: the title 'a' is given twice, first at c:1; rename one"},
};

/* Neither an error, nor anything in it, shows what is in a credential. */
START_TEST(test_mistake)
{
    const char *text = mistakes[_i].text;
    const char *expected = mistakes[_i].error;
    const char *folder = strchr(expected, '$');
    struct config *config = NULL;
    char error[CONFIG_ERROR_MAX] = "";
    char full[CONFIG_ERROR_MAX];

    if (folder)
        snprintf(full, sizeof full, "c:%.*s%s%s", (int)(folder - expected), expected, scratch,
                 folder + 1);
    else
        snprintf(full, sizeof full, "c:%s", expected);
    ck_assert_msg(config_parse(&config, "c", text, strlen(text), error) == -EINVAL, "accepted: %s",
                  text);
    ck_assert_ptr_null(config);
    ck_assert_ptr_null(strstr(error, "secret"));
    if (expected[strlen(expected) - 1] == ' ') /* what follows is another module's */
        error[strlen(full)] = '\0';
    ck_assert_str_eq(error, full);
}
END_TEST

/* ---- absent keys ---- */

static bool is_connected_to(const struct proxy *p)
{
    return p->endpoint.scheme == SCHEME_TCP && strcmp(p->endpoint.host, "proxy.example") == 0;
}

static bool has_tls_all_the_same(const struct proxy *p)
{
    return p->tls != NULL;
}

static bool is_nobody(const struct proxy *p)
{
    return !p->user.data && !p->credential.data;
}

static bool has_no_headers(const struct proxy *p)
{
    return p->http.n_headers == 0;
}

static bool has_service_of_host(const struct proxy *p)
{
    return strcmp(p->http.auth.gss.service, "HTTP@proxy.example") == 0;
}

static bool has_no_keytab(const struct proxy *p)
{
    return !p->http.auth.gss.keytab && !p->http.auth.gss.ccache;
}

static bool is_http_1_1(const struct proxy *p)
{
    return !p->http.is_http_1_0;
}

static bool tells_nothing(const struct proxy *p)
{
    const struct send_proxy *s = &p->send_proxy;

    return s->version == PROXY_HEADER_V2 && !s->has_alpn && !s->has_authority &&
           !s->has_unique_id && !s->has_checksum;
}

/* A section of each kind with every key that it may have; without one of them it is as the manual
 * says. A key that comes new needs a row. */
static const struct {
    bool is_socks4;
    const char *line;
    const char *error;
    bool (*is_right)(const struct proxy *proxy);
} rows[KEY_COUNT] = {
    [KEY_URL] = {false, "url = \"https://proxy.example\"", "has no 'url'", NULL},
    [KEY_UNIX_SOCKET] = {false, "unix-socket = \"/run/x\"", NULL, is_connected_to},
    [KEY_PROXY_TLS] = {false, "tls = inner", NULL, has_tls_all_the_same},
    [KEY_AUTH] = {false, "auth = { negotiate, basic }", "'keytab' is never used", NULL},
    [KEY_CREDENTIAL] = {false, "credential = corp", "'auth' needs a 'credential'", NULL},
    [KEY_SERVICE] = {false, "service = HTTP@other.example", NULL, has_service_of_host},
    [KEY_KEYTAB] = {false, "keytab = keytab", NULL, has_no_keytab},
    [KEY_USER] = {true, "user = joe", NULL, is_nobody},
    [KEY_HEADER] = {false, "header = \"A: b\"", NULL, has_no_headers},
    [KEY_HTTP_VERSION] = {false, "http-version = 1.0", NULL, is_http_1_1},
    [KEY_PROXY_SEND_PROXY] = {false, "send-proxy = v2", "is for version 2", NULL},
    [KEY_PROXY_SEND_PROXY_OPTIONS] = {false, "send-proxy-options = { authority, unique-id }", NULL,
                                      tells_nothing},
};

static const enum config_key keys[] = {
#define X(name, text, form) KEY_##name,
    CONFIG_PROXY_KEYS(X)
#undef X
};

static int parse_without(enum config_key omitted, struct config **ret, char *error)
{
    char text[2048] = "tls inner { min-version = 1.3 }\nproxy a {\n";

    if (rows[omitted].is_socks4)
        strcat(text, "url = \"socks4://proxy.example\"\n");
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        ck_assert_msg(rows[keys[i]].line != NULL, "what is a proxy without '%s'?",
                      config_key_name(keys[i]));
        if (keys[i] != omitted && !rows[keys[i]].is_socks4 && !rows[omitted].is_socks4)
            strcat(strcat(text, rows[keys[i]].line), "\n");
    }
    strcat(text, "}\n");
    return config_parse(ret, "c", text, strlen(text), error);
}

START_TEST(test_absent)
{
    enum config_key key = keys[_i];
    struct config *config = NULL;
    char error[CONFIG_ERROR_MAX] = "";
    int r = parse_without(key, &config, error);

    ck_assert_msg((r == 0) == (rows[key].error == NULL), "%s: %s", config_key_name(key), error);
    if (r == 0)
        ck_assert_msg(rows[key].is_right(config->proxies), "'%s'", config_key_name(key));
    else
        ck_assert_msg(strstr(error, rows[key].error) != NULL, "%s", error);
    config_unref(config);
}
END_TEST

START_TEST(test_too_many)
{
    char *text = calloc(CONFIG_PROXIES_MAX + 1, 64);
    struct config *config;
    char error[CONFIG_ERROR_MAX];
    size_t n = 0;

    for (unsigned i = 0; i <= CONFIG_PROXIES_MAX; i++)
        n += (size_t)sprintf(text + n, "proxy p%u { url = \"socks5://p\" }\n", i);
    ck_assert_int_eq(config_parse(&config, "c", text, n, error), -EINVAL);
    ck_assert_str_eq(error, "c:65: too many proxy sections; at most 64");
    free(text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("config-proxy");
    TCase *tcase = tcase_create("config-proxy");

    tcase_add_unchecked_fixture(tcase, make_scratch, remove_scratch);
    tcase_add_test(tcase, test_defaults);
    tcase_add_test(tcase, test_every_key);
    tcase_add_test(tcase, test_urls);
    tcase_add_test(tcase, test_token);
    tcase_add_test(tcase, test_gss);
    tcase_add_test(tcase, test_socks5);
    tcase_add_loop_test(tcase, test_mistake, 0, ARRAY_SIZE(mistakes));
    tcase_add_loop_test(tcase, test_absent, 0, ARRAY_SIZE(keys));
    tcase_add_test(tcase, test_too_many);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
