/* Names by their labels, addresses and ports by their digits. */
#include "proto/host.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_name_char(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || c == '-' || c == '_';
}

/* RFC 1035, 2.3.4 and RFC 1123, 2.1 */
static int check_label(const char *label, size_t n, const char **ret_error)
{
    if (n == 0) {
        *ret_error = "the host name has an empty label";
        return -EINVAL;
    }
    if (n > 63) {
        *ret_error = "a label of the host name is longer than 63 bytes";
        return -EINVAL;
    }
    if (label[0] == '-' || label[n - 1] == '-') {
        *ret_error = "a label of the host name begins or ends with a hyphen";
        return -EINVAL;
    }
    for (size_t i = 0; i < n; i++) {
        if (!is_name_char(label[i])) {
            *ret_error = "the host name may have letters, digits, '-', '_' and '.' only"
                         " (names in other scripts: their xn-- form)";
            return -EINVAL;
        }
    }
    return 0;
}

/* A last label that is a number is no name (WHATWG URL, "ends in a number"): such a text is an IPv4
 * address or nothing, however resolvers would read "127.1", "0x7f.1" or "2130706433". */
static bool label_is_number(const char *label, size_t n)
{
    if (n >= 2 && label[0] == '0' && label[1] == 'x')
        return true;
    for (size_t i = 0; i < n; i++) {
        if (!is_digit(label[i]))
            return false;
    }
    return true;
}

int host_parse_name(const char *text, size_t n, char ret[TARGET_HOST_MAX + 1],
                    const char **ret_error)
{
    char name[TARGET_HOST_MAX + 1];
    size_t start = 0;

    if (n > 0 && text[n - 1] == '.')
        n--;
    if (n == 0) {
        *ret_error = "the host is missing (an IPv6 address needs brackets)";
        return -EINVAL;
    }
    if (n > TARGET_HOST_MAX) {
        *ret_error = "the host name is longer than 253 bytes";
        return -EINVAL;
    }
    for (size_t i = 0; i < n; i++)
        name[i] = ascii_to_lower(text[i]);
    name[n] = '\0';
    for (size_t i = 0; i <= n; i++) {
        if (i < n && name[i] != '.')
            continue;
        if (check_label(name + start, i - start, ret_error) < 0)
            return -EINVAL;
        if (i == n && label_is_number(name + start, i - start)) {
            *ret_error = "not an IPv4 address of four decimal parts without leading zeros";
            return -EINVAL;
        }
        start = i + 1;
    }
    memcpy(ret, name, n + 1);
    return 0;
}

int host_parse_ipv4(const char *text, size_t n, struct in_addr *ret)
{
    uint32_t address = 0;
    size_t i = 0;

    for (int part = 0; part < 4; part++) {
        unsigned value = 0;
        size_t start = i;

        if (part > 0 && (i >= n || text[i++] != '.'))
            return -EINVAL;
        start = i;
        while (i < n && is_digit(text[i]) && i - start < 3)
            value = value * 10 + (unsigned)(text[i++] - '0');
        if (i == start || value > 255 || (text[start] == '0' && i - start > 1))
            return -EINVAL;
        address = address << 8 | value;
    }
    if (i != n)
        return -EINVAL;
    ret->s_addr = htonl(address);
    return 0;
}

int host_parse_ipv6(const char *text, size_t n, struct in6_addr *ret)
{
    char copy[INET6_ADDRSTRLEN];

    if (n == 0 || n >= sizeof copy || memchr(text, '\0', n))
        return -EINVAL;
    memcpy(copy, text, n);
    copy[n] = '\0';
    return inet_pton(AF_INET6, copy, ret) == 1 ? 0 : -EINVAL;
}

bool host_has_port(const char *text)
{
    const char *bracket = text[0] == '[' ? strchr(text, ']') : NULL;

    return strchr(bracket ? bracket : text, ':') != NULL;
}

int port_parse(const char *text, size_t n, uint16_t *ret)
{
    unsigned value = 0;

    if (n == 0 || n > 5 || text[0] == '0')
        return -EINVAL;
    for (size_t i = 0; i < n; i++) {
        if (!is_digit(text[i]))
            return -EINVAL;
        value = value * 10 + (unsigned)(text[i] - '0');
    }
    if (value > UINT16_MAX)
        return -EINVAL;
    *ret = (uint16_t)value;
    return 0;
}
