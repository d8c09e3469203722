/* Values from text. libConfuse's own numbers would take "010" for 8 and "-1" for an unsigned value.
 */
#include "daemon/policy/config_tree.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "proto/cleanup.h"
#include "proto/target.h"

/* Decimal digits without leading zero, at most `max`. */
static bool parse_digits(const char *text, size_t n, uint64_t max, uint64_t *ret)
{
    uint64_t number = 0;

    if (n < 1 || n > 10 || (n > 1 && text[0] == '0'))
        return false;
    for (size_t i = 0; i < n; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        number = number * 10 + (uint64_t)(text[i] - '0');
    }
    if (number > max)
        return false;
    *ret = number;
    return true;
}

int config_parse_number(const struct value *value, enum config_key key, uint32_t min, uint32_t max,
                        uint32_t *ret, char error[CONFIG_ERROR_MAX])
{
    uint64_t number;

    if (!parse_digits(value->text, strlen(value->text), max, &number) || number < min)
        return config_refuse(
            error, &value->place,
            "'%s' takes a number of %u to %u, without leading zeros or sign; '%.60s' "
            "is none",
            config_key_name(key), min, max, value->text);
    *ret = (uint32_t)number;
    return 0;
}

int config_parse_duration(const struct value *value, enum config_key key, uint64_t *ret_us,
                          char error[CONFIG_ERROR_MAX])
{
    size_t n = strspn(value->text, "0123456789");
    const char *unit = value->text + n;
    uint64_t factor_s = 0;
    uint64_t number;

    if (unit[0] == '\0' || strcmp(unit, "s") == 0)
        factor_s = 1;
    else if (strcmp(unit, "m") == 0)
        factor_s = 60;
    else if (strcmp(unit, "h") == 0)
        factor_s = 3600;
    if (factor_s == 0 || !parse_digits(value->text, n, CONFIG_DURATION_MAX_S / factor_s, &number))
        return config_refuse(error, &value->place,
                             "'%s' takes a time like 30, 30s, 5m or 1h, at most a year, without "
                             "leading zeros or sign; '%.60s' is none",
                             config_key_name(key), value->text);
    *ret_us = number * factor_s * US_PER_S;
    return 0;
}

int config_parse_rate(const struct value *value, enum config_key key, struct quota_rate *ret,
                      char error[CONFIG_ERROR_MAX])
{
    size_t n = strspn(value->text, "0123456789");
    const char *unit = value->text + n;
    uint32_t period_s = 0;
    uint64_t number;

    if (strcmp(unit, "/s") == 0)
        period_s = 1;
    else if (strcmp(unit, "/min") == 0)
        period_s = 60;
    else if (strcmp(unit, "/h") == 0)
        period_s = 3600;
    if (period_s == 0 || !parse_digits(value->text, n, CONFIG_RATE_MAX, &number) || number == 0)
        return config_refuse(error, &value->place,
                             "'%s' takes 1 to %d a second, minute or hour, like \"100/s\", "
                             "\"30/min\" or \"5/h\"; '%.60s' is none",
                             config_key_name(key), CONFIG_RATE_MAX, value->text);
    *ret = (struct quota_rate){.n = (uint32_t)number, .period_s = period_s};
    return 0;
}

int config_parse_word(const struct value *value, enum config_key key,
                      const struct config_word *words, size_t n_words, const char *known,
                      unsigned *ret, char error[CONFIG_ERROR_MAX])
{
    if (!value)
        return 0;
    for (size_t i = 0; i < n_words; i++) {
        if (strcmp(value->text, words[i].text) != 0)
            continue;
        *ret = words[i].bit;
        return 0;
    }
    return config_refuse(error, &value->place, "'%s' takes %s; '%.60s' is unknown",
                         config_key_name(key), known, value->text);
}

int config_parse_mask(const struct value_list *list, enum config_key key,
                      const struct config_word *words, size_t n_words, const char *known,
                      unsigned *ret, char error[CONFIG_ERROR_MAX])
{
    unsigned mask = 0;

    for (size_t i = 0; i < list->n; i++) {
        unsigned bit = 0;
        const struct value *value = &list->values[i];
        int r;

        if (strchr(value->text, ','))
            return config_refuse(error, &value->place,
                                 "'%.60s' is one word; write a list as { \"%.*s\", ... }",
                                 value->text, (int)strcspn(value->text, ","), value->text);
        r = config_parse_word(value, key, words, n_words, known, &bit, error);
        if (r < 0)
            return r;
        mask |= bit;
    }
    if (list->n > 0)
        *ret = mask;
    return 0;
}

int config_parse_bool(const struct value *value, enum config_key key, bool *ret,
                      char error[CONFIG_ERROR_MAX])
{
    if (strcmp(value->text, "true") == 0)
        *ret = true;
    else if (strcmp(value->text, "false") == 0)
        *ret = false;
    else
        return config_refuse(error, &value->place, "'%s' takes true or false; '%.60s' is neither",
                             config_key_name(key), value->text);
    return 0;
}

int config_parse_socket_path(const struct value *value, enum config_key key, char **ret,
                             char error[CONFIG_ERROR_MAX])
{
    size_t n = strlen(value->text);

    if (value->text[0] != '/' || value->text[n - 1] == '/' || n > TARGET_UNIX_MAX)
        return config_refuse(error, &value->place,
                             "'%s' takes the path of a socket, which begins with '/', does not end "
                             "with it, and has at most %d bytes; '%.60s' is none",
                             config_key_name(key), TARGET_UNIX_MAX, value->text);
    *ret = strdup(value->text);
    return *ret ? 0 : config_fail(-ENOMEM, error, "out of memory");
}

/* address, address:port, [IPv6] or [IPv6]:port */
static bool is_nameserver(const char *text)
{
    const char *end = text + strlen(text);
    const char *port = NULL;
    struct in6_addr ipv6;
    struct in_addr ipv4;
    uint16_t ignored;
    bool is_address;

    if (host_parse_ipv6(text, strlen(text), &ipv6) == 0)
        return true;
    if (text[0] == '[') {
        const char *bracket = strchr(text, ']');

        if (!bracket)
            return false;
        is_address = host_parse_ipv6(text + 1, (size_t)(bracket - text - 1), &ipv6) == 0;
        port = bracket + 1;
    } else {
        port = text + strcspn(text, ":");
        is_address = host_parse_ipv4(text, (size_t)(port - text), &ipv4) == 0;
    }
    if (!is_address || port == end)
        return is_address;
    return port[0] == ':' && port_parse(port + 1, (size_t)(end - port - 1), &ignored) == 0;
}

/* Writes it behind the ones before. c-ares wants no brackets where there is no port. */
static size_t add_nameserver(char *to, size_t size, const char *text, bool is_first)
{
    size_t n = strlen(text);
    bool is_bare = text[0] == '[' && text[n - 1] == ']';

    return (size_t)snprintf(to, size, "%s%.*s", is_first ? "" : ",", (int)(is_bare ? n - 2 : n),
                            is_bare ? text + 1 : text);
}

/* Like ::1:53, which is an address and may be meant as one with a port. */
static bool is_ambiguous(const char *text)
{
    const char *colon = strrchr(text, ':');
    struct in6_addr ipv6;
    uint16_t port;

    return colon && host_parse_ipv6(text, strlen(text), &ipv6) == 0 &&
           host_parse_ipv6(text, (size_t)(colon - text), &ipv6) == 0 &&
           port_parse(colon + 1, strlen(colon + 1), &port) == 0;
}

static int check_nameserver(const struct value *value, char error[CONFIG_ERROR_MAX])
{
    const char *text = value->text;
    int n_host = (int)(strrchr(text, ':') ? strrchr(text, ':') - text : 0);

    if (!is_nameserver(text))
        return config_refuse(error, &value->place,
                             "'%s' takes addresses like 192.0.2.1, 192.0.2.1:53 or "
                             "[2001:db8::1]:53; '%.60s' is none",
                             config_key_name(KEY_NAMESERVERS), text);
    if (is_ambiguous(text))
        return config_refuse(error, &value->place,
                             "'%s': is '%s' an address with a port? write [%.*s]:%s if so, else "
                             "[%s]",
                             config_key_name(KEY_NAMESERVERS), text, n_host, text,
                             text + n_host + 1, text);
    return 0;
}

int config_parse_nameservers(const struct value_list *list, char **ret,
                             char error[CONFIG_ERROR_MAX])
{
    CLEANUP(freep) char *joined = NULL;
    size_t size = 0;
    size_t n = 0;

    for (size_t i = 0; i < list->n; i++) {
        int r = check_nameserver(&list->values[i], error);

        if (r < 0)
            return r;
        size += strlen(list->values[i].text) + 1;
    }
    joined = malloc(size);
    if (!joined)
        return config_fail(-ENOMEM, error, "out of memory");
    for (size_t i = 0; i < list->n; i++)
        n += add_nameserver(joined + n, size - n, list->values[i].text, i == 0);
    *ret = TAKE_PTR(joined);
    return 0;
}

/* What the kernel takes for one (dev_valid_name), in ASCII. Digits and dots alone are rather a
 * mistyped address. */
static bool is_interface(const char *text)
{
    size_t n = strlen(text);

    if (n == 0 || n >= IF_NAMESIZE || strspn(text, "0123456789.") == n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!isgraph((unsigned char)text[i]) || text[i] == '/' || text[i] == ':')
            return false;
    return true;
}

/* 0.0.0.0 and :: would mean any. A link-local address is none without its interface, which then is
 * enough by itself. */
static bool is_usable_source(const struct address *address)
{
    const struct in6_addr *ipv6 = &address->ipv6;

    if (address->family == AF_INET)
        return address->ipv4.s_addr != INADDR_ANY && address->ipv4.s_addr != INADDR_BROADCAST &&
               !IN_MULTICAST(ntohl(address->ipv4.s_addr));
    return !IN6_IS_ADDR_UNSPECIFIED(ipv6) && !IN6_IS_ADDR_MULTICAST(ipv6) &&
           !IN6_IS_ADDR_V4MAPPED(ipv6) && !IN6_IS_ADDR_LINKLOCAL(ipv6);
}

int config_parse_source(const struct value *value, struct source **ret,
                        char error[CONFIG_ERROR_MAX])
{
    struct source source = {.address.family = AF_UNSPEC};
    const char *text = value->text;

    if (host_parse_ipv4(text, strlen(text), &source.address.ipv4) == 0)
        source.address.family = AF_INET;
    else if (host_parse_ipv6(text, strlen(text), &source.address.ipv6) == 0)
        source.address.family = AF_INET6;
    else if (is_interface(text))
        strcpy(source.interface, text);
    else
        return config_refuse(error, &value->place,
                             "'source' takes an address of this host, like 192.0.2.7 or "
                             "2001:db8::7, or an interface, like eth0; '%.60s' is neither",
                             text);
    if (source.address.family != AF_UNSPEC && !is_usable_source(&source.address))
        return config_refuse(error, &value->place,
                             "nothing can be connected from '%s'; write an address that this host "
                             "alone has, or an interface",
                             text);
    *ret = malloc(sizeof **ret);
    if (!*ret)
        return config_fail(-ENOMEM, error, "out of memory");
    **ret = source;
    return 0;
}
