/* `proxy` sections to struct proxy. The url says which protocol and where; each other key is for
 * some of the protocols, and refused with the others. No error shows a url, which may have a
 * password in it by mistake. */
#include "daemon/policy/config_tree.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/cleanup.h"

static const struct protocol {
    const char *scheme;
    enum proxy_kind kind;
    bool is_tls;
    uint16_t port; /* where the url has none; 0: it has to */
} protocols[] = {
    {"http", PROXY_HTTP, false, 0}, /* 80, 1080, 3128 and 8080 are all usual */
    {"https", PROXY_HTTP, true, 443},        {"socks4", PROXY_SOCKS4, false, 1080},
    {"socks4a", PROXY_SOCKS4A, false, 1080}, {"socks5", PROXY_SOCKS5, false, 1080},
};

/* A section on its way. */
struct building {
    const struct section *section;
    const struct protocol *protocol;
    struct proxy *proxy;
    char *error;
};

static int fail_for_memory(const struct building *b)
{
    return config_fail(-ENOMEM, b->error, "out of memory");
}

/* ---- where it is ---- */

/* NULL: by none of those. */
static const struct protocol *find_protocol(const char *url)
{
    for (size_t i = 0; i < ARRAY_SIZE(protocols); i++) {
        size_t n = strlen(protocols[i].scheme);

        if (strncmp(url, protocols[i].scheme, n) == 0 && strncmp(url + n, "://", 3) == 0)
            return &protocols[i];
    }
    return NULL;
}

static int refuse_protocol(const struct building *b, const struct value *url)
{
    if (strncmp(url->text, "socks5h://", strlen("socks5h://")) == 0)
        return config_refuse(b->error, &url->place,
                             "who looks names up is said in the rule, with resolve = \"proxy\"; "
                             "write socks5 instead of socks5h");
    return config_refuse(b->error, &url->place,
                         "'url' begins with http://, https://, socks4://, socks4a:// or "
                         "socks5://");
}

/* Of "host[:port]". With a Unix socket the port has no meaning. */
static int parse_host(const struct building *b, const struct value *url, const char *host)
{
    bool is_unix = config_find_value(b->section, KEY_UNIX_SOCKET) != NULL;
    uint16_t port = b->protocol->port;
    char text[TARGET_HOST_MAX + sizeof "tcp://[]:65535"];
    const char *why;
    int n;

    if (strchr(host, '@'))
        return config_refuse(b->error, &url->place,
                             "'url' takes no user and password; write them to a file, and its name "
                             "to 'credential'");
    if (host[strcspn(host, "/?#")] != '\0')
        return config_refuse(b->error, &url->place,
                             "'url' ends with the host or its port; remove what follows");
    if (host_has_port(host))
        n = snprintf(text, sizeof text, "tcp://%s", host);
    else if (port > 0 || is_unix)
        n = snprintf(text, sizeof text, "tcp://%s:%u", host, port > 0 ? port : 1);
    else
        return config_refuse(b->error, &url->place,
                             "'url' needs a port, as in http://proxy.example:3128");
    if (n >= (int)sizeof text)
        return config_refuse(b->error, &url->place, "the host in 'url' is too long");
    if (target_parse(text, (size_t)n, &b->proxy->endpoint, &why) < 0)
        return config_refuse(b->error, &url->place, "bad 'url': %s", why);
    b->proxy->tls_name = strdup(b->proxy->endpoint.host);
    return b->proxy->tls_name ? 0 : fail_for_memory(b);
}

static int build_unix_socket(const struct building *b)
{
    const struct value *value = config_find_value(b->section, KEY_UNIX_SOCKET);
    char text[sizeof "unix:" + TARGET_UNIX_MAX];
    CLEANUP(freep) char *path = NULL;
    const char *why;
    int r;

    if (!value)
        return 0;
    r = config_parse_socket_path(value, KEY_UNIX_SOCKET, &path, b->error);
    if (r < 0)
        return r;
    snprintf(text, sizeof text, "unix:%s", path);
    if (target_parse(text, strlen(text), &b->proxy->endpoint, &why) < 0)
        return config_refuse(b->error, &value->place, "bad 'unix-socket': %s", why);
    return 0;
}

static int build_url(struct building *b)
{
    const struct value *url = config_find_value(b->section, KEY_URL);
    int r;

    if (!url)
        return config_refuse(b->error, &b->section->place,
                             "proxy '%s' has no 'url'; write where it is, as in "
                             "http://proxy.example:3128",
                             b->section->title);
    b->protocol = find_protocol(url->text);
    if (!b->protocol)
        return refuse_protocol(b, url);
    r = parse_host(b, url, url->text + strlen(b->protocol->scheme) + strlen("://"));
    if (r < 0)
        return r;
    b->proxy->kind = b->protocol->kind;
    return build_unix_socket(b);
}

/* ---- what is for some kinds only ---- */

static int check_keys(const struct building *b)
{
#define HTTP   (1u << PROXY_HTTP)
#define SOCKS4 (1u << PROXY_SOCKS4 | 1u << PROXY_SOCKS4A)
#define SOCKS5 (1u << PROXY_SOCKS5)
    static const struct {
        enum config_key key;
        unsigned kinds;
        const char *of;
    } keys[] = {
        {KEY_AUTH, HTTP | SOCKS5, "http, https and socks5; socks4 has a 'user' alone"},
        {KEY_CREDENTIAL, HTTP | SOCKS5, "http, https and socks5; socks4 has a 'user' alone"},
        {KEY_SERVICE, HTTP | SOCKS5, "http, https and socks5"},
        {KEY_KEYTAB, HTTP | SOCKS5, "http, https and socks5"},
        {KEY_USER, SOCKS4, "socks4 and socks4a; for others write a 'credential'"},
        {KEY_HEADER, HTTP, "http and https"},
        {KEY_HTTP_VERSION, HTTP, "http and https"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        const struct value *value = config_find_value(b->section, keys[i].key);

        if (value && !(keys[i].kinds & 1u << b->proxy->kind))
            return config_refuse(b->error, &value->place, "'%s' is for proxies by %s",
                                 config_key_name(keys[i].key), keys[i].of);
    }
    if (config_find_value(b->section, KEY_PROXY_TLS) && !b->protocol->is_tls)
        return config_refuse(b->error, &config_find_value(b->section, KEY_PROXY_TLS)->place,
                             "'tls' is for proxies by https; this one is spoken to in the clear");
    return 0;
}

static int build_tls(const struct building *b, struct tls_table *table)
{
    const struct value *value = config_find_value(b->section, KEY_PROXY_TLS);

    if (value)
        return config_tls_find(table, value, TLS_USE_PROXY, &b->proxy->tls, b->error);
    if (b->protocol->is_tls)
        return config_tls_get_system(table, &b->section->place, TLS_USE_PROXY, &b->proxy->tls,
                                     b->error);
    return 0;
}

static int build_headers(const struct building *b)
{
    const struct value_list *list = &b->section->keys[KEY_HEADER];
    struct text *headers;

    if (list->n == 0)
        return 0;
    if (list->n > HTTP_CONNECT_HEADERS_MAX)
        return config_refuse(b->error, &list->values[HTTP_CONNECT_HEADERS_MAX].place,
                             "too many headers; at most %d", HTTP_CONNECT_HEADERS_MAX);
    headers = calloc(list->n, sizeof *headers);
    if (!headers)
        return fail_for_memory(b);
    b->proxy->http.headers = headers;
    for (; b->proxy->http.n_headers < list->n; b->proxy->http.n_headers++) {
        const struct value *value = &list->values[b->proxy->http.n_headers];
        const char *why = http_connect_check_header(text_of(value->text));
        char *copy;

        if (why)
            return config_refuse(b->error, &value->place, "bad header '%.60s': %s", value->text,
                                 why);
        copy = strdup(value->text);
        if (!copy)
            return fail_for_memory(b);
        headers[b->proxy->http.n_headers] = text_of(copy);
    }
    return 0;
}

static int build_http_version(const struct building *b)
{
    static const struct config_word words[] = {{"1.0", true}, {"1.1", false}};
    unsigned word = false;
    int r = config_parse_word(config_find_value(b->section, KEY_HTTP_VERSION), KEY_HTTP_VERSION,
                              words, ARRAY_SIZE(words), "1.0 or 1.1", &word, b->error);

    b->proxy->http.is_http_1_0 = word;
    return r;
}

int config_build_send_proxy(const struct section *section, enum config_key key,
                            enum config_key options_key, struct send_proxy *ret,
                            char error[CONFIG_ERROR_MAX])
{
    enum { ALPN = 1, AUTHORITY = 2, UNIQUE_ID = 4, CHECKSUM = 8 };
    static const struct config_word versions[] = {{"v1", PROXY_HEADER_V1}, {"v2", PROXY_HEADER_V2}};
    static const struct config_word words[] = {
        {"alpn", ALPN}, {"authority", AUTHORITY}, {"unique-id", UNIQUE_ID}, {"crc32c", CHECKSUM}};
    const struct value_list *options = &section->keys[options_key];
    unsigned number = 0;
    unsigned mask = 0;
    int r = config_parse_word(config_find_value(section, key), key, versions, ARRAY_SIZE(versions),
                              "v1 or v2", &number, error);

    if (r == 0)
        r = config_parse_mask(options, options_key, words, ARRAY_SIZE(words),
                              "alpn, authority, unique-id and crc32c", &mask, error);
    if (r == 0 && mask && number != PROXY_HEADER_V2)
        r = config_refuse(error, &options->values[0].place,
                          "'%s' is for version 2; write %s = \"v2\", or remove it",
                          config_key_name(options_key), config_key_name(key));
    if (r < 0)
        return r;
    *ret = (struct send_proxy){
        .version = (enum proxy_header_version)number,
        .has_alpn = mask & ALPN,
        .has_authority = mask & AUTHORITY,
        .has_unique_id = mask & UNIQUE_ID,
        .has_checksum = mask & CHECKSUM,
    };
    return 0;
}

int config_build_proxy(const struct section *section, struct tls_table *table, struct proxy *ret,
                       char error[CONFIG_ERROR_MAX])
{
    struct building b = {.section = section, .proxy = ret, .error = error};
    int r;

    *ret = (struct proxy){.name = strdup(section->title)};
    if (!ret->name)
        return fail_for_memory(&b);
    r = build_url(&b);
    if (r == 0)
        r = check_keys(&b);
    if (r == 0)
        r = build_tls(&b, table);
    if (r == 0)
        r = build_headers(&b);
    if (r == 0)
        r = build_http_version(&b);
    if (r == 0)
        r = config_build_auth(section, ret, error);
    if (r == 0)
        r = config_build_send_proxy(section, KEY_PROXY_SEND_PROXY, KEY_PROXY_SEND_PROXY_OPTIONS,
                                    &ret->send_proxy, error);
    return r;
}

void config_proxy_deinit(struct proxy *proxy)
{
    for (size_t i = 0; i < proxy->http.n_headers; i++)
        free((char *)proxy->http.headers[i].data);
    free((struct text *)proxy->http.headers);
    free(TAKE_PTR(proxy->name));
    free(TAKE_PTR(proxy->tls_name));
    free(TAKE_PTR(proxy->service));
    free(TAKE_PTR(proxy->keytab));
    free(TAKE_PTR(proxy->memories));
    proxy->tls = tls_context_retire(proxy->tls);
    credential_deinit(&proxy->credential);
}
