/* Whatever is written: a target within its limits whose canonical text is the same target again, or
 * an error with a sentence. */
#include "tests/fuzz/fuzz.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/target.h"

static void check_host(const struct target *t)
{
    char address[INET6_ADDRSTRLEN];
    const char *error;
    char name[TARGET_HOST_MAX + 1];

    switch (t->host_kind) {
    case HOST_NAME:
        if (host_parse_name(t->host, strlen(t->host), name, &error) < 0 ||
            strcmp(name, t->host) != 0)
            abort();
        return;
    case HOST_IPV4:
        if (!inet_ntop(AF_INET, &t->ipv4, address, sizeof address) || strcmp(address, t->host) != 0)
            abort();
        return;
    case HOST_IPV6:
        if (strspn(t->host, "0123456789abcdef:.") != strlen(t->host))
            abort();
        return;
    case HOST_PATH:
        if (t->host[0] || t->scheme != SCHEME_UNIX)
            abort();
        return;
    }
    abort();
}

static void check_limits(const struct target *t)
{
    size_t n = strlen(t->path);

    if (t->scheme == SCHEME_UNIX) {
        if (t->port != 0 || t->path[0] != '/' || n > TARGET_UNIX_MAX)
            abort();
    } else if (t->port == 0 || t->host[0] == '\0' || n > TARGET_PATH_MAX) {
        abort();
    }
}

static void check_same(const struct target *a, const struct target *b)
{
    if (a->scheme != b->scheme || a->host_kind != b->host_kind || a->port != b->port ||
        strcmp(a->host, b->host) != 0 || strcmp(a->path, b->path) != 0)
        abort();
    if (a->host_kind == HOST_IPV4 && a->ipv4.s_addr != b->ipv4.s_addr)
        abort();
    if (a->host_kind == HOST_IPV6 && memcmp(&a->ipv6, &b->ipv6, sizeof a->ipv6) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const char *error = NULL;
    struct target target, again;
    char text[TARGET_TEXT_MAX];
    int r = target_parse((const char *)data, n, &target, &error);

    if (r < 0) {
        if (r != -EINVAL || !error || !*error)
            abort();
        return 0;
    }
    if (n > TARGET_MAX)
        abort();
    check_host(&target);
    check_limits(&target);
    target_format(&target, text);
    if (target_parse(text, strlen(text), &again, &error) < 0)
        abort();
    check_same(&target, &again);
    return 0;
}
