/* How a rule's targets are reached: `via`, `no-proxy`, `resolve`, `send-proxy`. Besides, what can
 * never work together is refused here, where there is a line to point at: at run time each request
 * would fail. */
#include "daemon/policy/config_tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/policy/handoff.h"
#include "daemon/policy/no_proxy.h"
#include "proto/cleanup.h"
#include "proto/message.h"

static const struct proxy *find_proxy(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->n_proxies; i++)
        if (strcmp(config->proxies[i].name, name) == 0)
            return &config->proxies[i];
    return NULL;
}

static bool is_in_via(const struct rule *rule, const struct proxy *proxy)
{
    for (size_t i = 0; i < rule->n_via; i++)
        if (rule->via[i] == proxy)
            return true;
    return false;
}

static bool is_socks4(const struct proxy *proxy)
{
    return proxy->kind == PROXY_SOCKS4 || proxy->kind == PROXY_SOCKS4A;
}

/* A hop's own name or address is told to the one before it, as it stands in the url. */
static int check_step(const struct value *value, const struct proxy *from, const struct proxy *to,
                      char *error)
{
    if (to->endpoint.scheme == SCHEME_UNIX)
        return config_refuse(error, &value->place,
                             "proxy '%s' is reached over a Unix socket of this host and so has to "
                             "be the first",
                             to->name);
    if (is_socks4(from) && to->endpoint.host_kind == HOST_IPV6)
        return config_refuse(error, &value->place,
                             "proxy '%s' has an IPv6 address, which '%s' cannot be told by socks4; "
                             "use socks5 there",
                             to->name, from->name);
    if (from->kind == PROXY_SOCKS4 && to->endpoint.host_kind == HOST_NAME)
        return config_refuse(error, &value->place,
                             "proxy '%s' has a name, which '%s' cannot be told by socks4; write "
                             "its address, or use socks4a there",
                             to->name, from->name);
    return 0;
}

static int add_hop(const struct value *value, const struct config *config, struct rule *rule,
                   char *error)
{
    const struct proxy *proxy = find_proxy(config, value->text);

    if (!proxy)
        return config_refuse(error, &value->place,
                             "there is no section proxy \"%.60s\"; write one, or remove it here",
                             value->text);
    if (is_in_via(rule, proxy))
        return config_refuse(error, &value->place, "the way goes twice through proxy '%s'",
                             proxy->name);
    if (rule->n_via == PROXY_HOPS_MAX)
        return config_refuse(error, &value->place, "the way goes through more than %d proxies",
                             PROXY_HOPS_MAX);
    if (rule->n_via > 0 && check_step(value, rule->via[rule->n_via - 1], proxy, error) < 0)
        return -EINVAL;
    rule->via[rule->n_via++] = proxy;
    return 0;
}

static int build_via(const struct section *section, const struct config *config, struct rule *rule,
                     char *error)
{
    const struct value_list *list = &section->keys[KEY_VIA];

    for (size_t i = 0; i < list->n; i++) {
        int r = add_hop(&list->values[i], config, rule, error);

        if (r < 0)
            return r;
    }
    return 0;
}

static int build_no_proxy(const struct section *section, struct rule *rule, char *error)
{
    const struct value_list *list = &section->keys[KEY_NO_PROXY];

    if (list->n == 0)
        return 0;
    rule->no_proxy = calloc(list->n, sizeof *rule->no_proxy);
    if (!rule->no_proxy)
        return config_fail(-ENOMEM, error, "out of memory");
    for (; rule->n_no_proxy < list->n; rule->n_no_proxy++) {
        const struct value *value = &list->values[rule->n_no_proxy];
        const char *why;
        int r = no_proxy_parse(value->text, &rule->no_proxy[rule->n_no_proxy], &why);

        if (r == -EINVAL)
            return config_refuse(error, &value->place, "bad 'no-proxy' '%.100s': %s", value->text,
                                 why);
        if (r < 0)
            return config_fail(r, error, "out of memory");
    }
    return 0;
}

static int build_resolve(const struct section *section, struct rule *rule, char *error)
{
    static const struct config_word words[] = {{"local", RESOLVE_LOCAL}, {"proxy", RESOLVE_PROXY}};
    unsigned word = RESOLVE_LOCAL;
    int r = config_parse_word(config_find_value(section, KEY_RESOLVE), KEY_RESOLVE, words,
                              ARRAY_SIZE(words), "local or proxy", &word, error);

    rule->resolve = (enum resolve_by)word;
    return r;
}

/* ---- what cannot be ---- */

bool config_rule_has_unix_only(const struct rule *rule)
{
    for (size_t i = 0; i < rule->n_allow; i++)
        if (rule->allow[i].is_any_scheme || rule->allow[i].scheme != SCHEME_UNIX)
            return false;
    return true;
}

static int check_send_proxy(const struct section *section, const struct rule *rule, char *error)
{
    if (!rule->send_proxy.version || !config_rule_has_unix_only(rule))
        return 0;
    return config_refuse(error, &config_find_value(section, KEY_SEND_PROXY)->place,
                         "no PROXY header is sent to a Unix socket, and this rule allows nothing "
                         "else; remove 'send-proxy'");
}

static int check_without_via(const struct section *section, char *error)
{
    static const enum config_key keys[] = {KEY_NO_PROXY, KEY_RESOLVE};

    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        const struct value *value = config_find_value(section, keys[i]);

        if (value)
            return config_refuse(error, &value->place,
                                 "'%s' is for rules with 'via', which is missing; add it, or "
                                 "remove this",
                                 config_key_name(keys[i]));
    }
    return 0;
}

/* A source is for what we connect to: the first proxy, and what goes without. */
static int check_source(const struct value *value, const struct rule *rule, char *error)
{
    const struct proxy *first = rule->via[0];
    sa_family_t family;

    if (!rule->source || rule->n_no_proxy > 0)
        return 0;
    if (first->endpoint.scheme == SCHEME_UNIX)
        return config_refuse(error, &value->place,
                             "proxy '%s' is reached over a Unix socket, which has no 'source'; "
                             "remove it",
                             first->name);
    family = rule->source->address.family;
    if ((family == AF_INET && first->endpoint.host_kind == HOST_IPV6) ||
        (family == AF_INET6 && first->endpoint.host_kind == HOST_IPV4))
        return config_refuse(error, &value->place,
                             "proxy '%s' cannot be connected to from an address of the other "
                             "family; write one of its family",
                             first->name);
    return 0;
}

/* Prefixes match literals only, so no IPv4 address can come of them. */
static bool has_ipv6_only(const struct rule *rule)
{
    for (size_t i = 0; i < rule->n_allow; i++)
        if (rule->allow[i].host_kind != PATTERN_PREFIX || !rule->allow[i].is_ipv6)
            return false;
    return rule->mode != MODE_REPORT;
}

static int check_via(const struct section *section, const struct rule *rule, char *error)
{
    const struct value *resolve = config_find_value(section, KEY_RESOLVE);
    const struct proxy *last = rule->via[rule->n_via - 1];

    if (config_rule_has_unix_only(rule))
        return config_refuse(error, &config_find_value(section, KEY_VIA)->place,
                             "no proxy leads to a Unix socket, and this rule allows nothing else; "
                             "remove 'via'");
    if (rule->resolve == RESOLVE_PROXY && last->kind == PROXY_SOCKS4)
        return config_refuse(error, &resolve->place,
                             "proxy '%s' looks no names up: socks4 knows addresses only; use "
                             "socks4a or socks5, or remove this",
                             last->name);
    if (is_socks4(last) && has_ipv6_only(rule) && rule->n_no_proxy == 0)
        return config_refuse(error, &section->keys[KEY_VIA].values[rule->n_via - 1].place,
                             "proxy '%s' cannot be told IPv6 addresses by socks4, and this rule "
                             "allows nothing else; use socks5",
                             last->name);
    return check_source(config_find_value(section, KEY_SOURCE), rule, error);
}

static unsigned possible_handoffs(const struct rule *rule, const struct pattern *pattern)
{
    bool is_any = pattern->is_any_scheme;
    bool is_unix = !is_any && pattern->scheme == SCHEME_UNIX;
    bool may_be_direct = rule->n_via == 0 || rule->n_no_proxy > 0 || is_unix;
    bool may_be_proxied = rule->n_via > 0 && !is_unix;
    unsigned mask = 0;

    for (unsigned n_tls = 0; n_tls <= 1; n_tls++) {
        struct handoff_shape shape = {.is_unix = is_unix,
                                      .n_tls = n_tls,
                                      .is_upgraded =
                                          !is_any && scheme_is_websocket(pattern->scheme)};

        if (!is_any && scheme_is_tls(pattern->scheme) != (n_tls == 1))
            continue;
        if (may_be_direct)
            mask |= handoff_possible(&shape);
        if (may_be_proxied) {
            handoff_shape_add_proxies(&shape, rule->via, rule->n_via);
            mask |= handoff_possible(&shape);
        }
    }
    return mask;
}

/* What a rule that reports lets through need not be in its `allow`. */
static int check_handoff(const struct section *section, const struct config *config,
                         const struct rule *rule, char *error)
{
    unsigned mask = 0;

    if (section->keys[KEY_HANDOFF].n == 0 || rule->mode == MODE_REPORT)
        return 0;
    for (size_t i = 0; i < rule->n_allow; i++)
        mask |= possible_handoffs(rule, &rule->allow[i]);
    mask &= rule->handoff;
    if (mask == HANDOFF_KTLS && !config->ktls)
        return config_refuse(error, &config_find_value(section, KEY_HANDOFF)->place,
                             "what this rule allows could only be handed over as ktls, which "
                             "'ktls = false' switches off; add relay");
    if (mask)
        return 0;
    return config_refuse(
        error, &config_find_value(section, KEY_HANDOFF)->place,
        "nothing that this rule allows can be handed over so; add relay: tcp is for "
        "connections without TLS, ktls for TLS, but not for WebSocket or "
        "through a proxy on a Unix socket, and neither goes through a proxy with TLS");
}

int config_build_via(const struct section *section, const struct config *config, struct rule *rule,
                     char error[CONFIG_ERROR_MAX])
{
    int r = build_via(section, config, rule, error);

    if (r == 0)
        r = build_no_proxy(section, rule, error);
    if (r == 0)
        r = build_resolve(section, rule, error);
    if (r == 0)
        r = config_build_send_proxy(section, KEY_SEND_PROXY, KEY_SEND_PROXY_OPTIONS,
                                    &rule->send_proxy, error);
    if (r == 0)
        r = rule->n_via > 0 ? check_via(section, rule, error) : check_without_via(section, error);
    if (r == 0)
        r = check_send_proxy(section, rule, error);
    return r == 0 ? check_handoff(section, config, rule, error) : r;
}
