/* Requests: checked where they are made, so that a bad one is an -EINVAL at its setter. Strings are
 * copied. The target goes to the daemon as it was given; both sides read it with the same parser.
 */
#include "client/session.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "proto/target.h"

_Static_assert(FDIAL_TARGET_MAX == TARGET_MAX, "the header's limits are the protocol's");
_Static_assert(FDIAL_COUNT_MAX == MESSAGE_COUNT_MAX, "the header's limits are the protocol's");
_Static_assert(FDIAL_TIMEOUT_MS_MAX == MESSAGE_TIMEOUT_MS_MAX,
               "the header's limits are the protocol's");
_Static_assert((int)FDIAL_TCP == HANDOFF_TCP && (int)FDIAL_KTLS == HANDOFF_KTLS &&
                   (int)FDIAL_RELAY == HANDOFF_RELAY,
               "the header's numbers are the protocol's");
_Static_assert((int)FDIAL_STAGE_REQUEST == STAGE_REQUEST &&
                   (int)FDIAL_STAGE_HANDOFF == STAGE_HANDOFF,
               "the header's numbers are the protocol's");
_Static_assert((int)FDIAL_END_CLEAN == RELAY_END_CLEAN &&
                   (int)FDIAL_END_LIFETIME == RELAY_END_LIFETIME,
               "the header's numbers are the protocol's");

int fdial_request_new(struct fdial_request **ret, const char *target)
{
    size_t n = strnlen(target, TARGET_MAX + 1);
    struct fdial_request *r;
    struct target parsed;
    const char *sentence;

    if (n > TARGET_MAX || target_parse(target, n, &parsed, &sentence) < 0)
        return -EINVAL;
    r = calloc(1, sizeof *r);
    if (!r)
        return -ENOMEM;
    r->target = strdup(target);
    r->timeout_ms = MESSAGE_TIMEOUT_MS_DEFAULT;
    r->handoff = HANDOFF_TCP | HANDOFF_RELAY;
    r->count = 1;
    if (!r->target) {
        fdial_request_free(r);
        return -ENOMEM;
    }
    *ret = r;
    return 0;
}

static void free_all(char **strings, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(strings[i]);
}

struct fdial_request *fdial_request_free(struct fdial_request *r)
{
    if (!r)
        return NULL;
    free_all(r->alpn, r->n_alpn);
    free_all(r->headers, r->n_headers);
    free_all(r->subprotocols, r->n_subprotocols);
    free(r->tls_name);
    free(r->target);
    free(r);
    return NULL;
}

static int append_string(char **strings, size_t *n, size_t max, const char *string)
{
    char *copy;

    if (*n >= max)
        return -E2BIG;
    copy = strdup(string);
    if (!copy)
        return -ENOMEM;
    strings[(*n)++] = copy;
    return 0;
}

/* RFC 9110, 5.6.2 */
static bool is_token(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c <= 0x20 || c >= 0x7f || strchr("\"(),/:;<=>?@[\\]{}", c))
            return false;
    }
    return n > 0;
}

int fdial_request_set_timeout_ms(struct fdial_request *r, unsigned timeout_ms)
{
    if (timeout_ms == 0 || timeout_ms > FDIAL_TIMEOUT_MS_MAX)
        return -EINVAL;
    r->timeout_ms = timeout_ms;
    return 0;
}

int fdial_request_set_family(struct fdial_request *r, int family)
{
    switch (family) {
    case AF_UNSPEC:
        r->family = 0;
        return 0;
    case AF_INET:
        r->family = 4;
        return 0;
    case AF_INET6:
        r->family = 6;
        return 0;
    }
    return -EINVAL;
}

int fdial_request_add_alpn(struct fdial_request *r, const char *protocol)
{
    size_t n = strnlen(protocol, MESSAGE_ALPN_NAME_MAX + 1);

    if (n == 0 || n > MESSAGE_ALPN_NAME_MAX)
        return -EINVAL;
    return append_string(r->alpn, &r->n_alpn, MESSAGE_ALPN_MAX, protocol);
}

int fdial_request_set_tls_name(struct fdial_request *r, const char *name)
{
    size_t n = strnlen(name, TARGET_HOST_MAX + 2);
    char canonical[TARGET_HOST_MAX + 1];
    const char *sentence;
    struct in6_addr ipv6;
    struct in_addr ipv4;
    char *copy;

    if (host_parse_name(name, n, canonical, &sentence) < 0 && host_parse_ipv4(name, n, &ipv4) < 0 &&
        host_parse_ipv6(name, n, &ipv6) < 0)
        return -EINVAL;
    copy = strdup(name);
    if (!copy)
        return -ENOMEM;
    free(r->tls_name);
    r->tls_name = copy;
    return 0;
}

int fdial_request_set_handoff(struct fdial_request *r, unsigned mask)
{
    if (mask == 0 || (mask & ~(unsigned)HANDOFF_ALL) != 0)
        return -EINVAL;
    r->handoff = (uint8_t)mask;
    return 0;
}

/* RFC 9110, 5.5: no control characters in a value but the tab. The daemon knows which names it
 * refuses. */
int fdial_request_add_header(struct fdial_request *r, const char *header)
{
    const char *colon = strchr(header, ':');

    if (!colon || !is_token(header, (size_t)(colon - header)))
        return -EINVAL;
    for (const char *p = colon + 1; *p; p++)
        if (((unsigned char)*p < 0x20 && *p != '\t') || *p == 0x7f)
            return -EINVAL;
    return append_string(r->headers, &r->n_headers, MESSAGE_HEADERS_MAX, header);
}

int fdial_request_add_subprotocol(struct fdial_request *r, const char *subprotocol)
{
    size_t n = strnlen(subprotocol, MESSAGE_SUBPROTOCOL_NAME_MAX + 1);

    if (n > MESSAGE_SUBPROTOCOL_NAME_MAX || !is_token(subprotocol, n))
        return -EINVAL;
    return append_string(r->subprotocols, &r->n_subprotocols, MESSAGE_SUBPROTOCOL_MAX, subprotocol);
}

int fdial_request_set_count(struct fdial_request *r, unsigned count)
{
    if (count == 0 || count > FDIAL_COUNT_MAX)
        return -EINVAL;
    r->count = count;
    return 0;
}
