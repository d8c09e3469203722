/* The first line is a pattern, the second a target. */
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/policy/pattern.h"
#include "proto/cleanup.h"

/* A target, written as a pattern, matches itself; and no other port. */
static void check_self(const struct target *target)
{
    bool is_ipv6 = target->host_kind == HOST_IPV6;
    struct target other = *target;
    char text[TARGET_TEXT_MAX];
    struct pattern pattern;
    const char *why;

    if (target->scheme == SCHEME_UNIX)
        snprintf(text, sizeof text, "unix:%s", target->path);
    else
        snprintf(text, sizeof text, "%s://%s%s%s:%u", scheme_name(target->scheme),
                 is_ipv6 ? "[" : "", target->host, is_ipv6 ? "]" : "", (unsigned)target->port);
    if (pattern_parse(text, &pattern, &why) < 0 || !pattern_matches(&pattern, target))
        abort();
    other.port ^= 1;
    if (target->scheme != SCHEME_UNIX && pattern_matches_any_form(&pattern, &other))
        abort();
    pattern_deinit(&pattern);
}

static void check_pattern(const struct pattern *pattern, const struct target *target)
{
    bool is_match = pattern_matches(pattern, target);
    struct target named;

    if (is_match && !pattern_matches_any_form(pattern, target))
        abort();
    if (is_match && target->scheme == SCHEME_UNIX && pattern->host_kind != PATTERN_PATH)
        abort();
    if (target->scheme != SCHEME_UNIX && (pattern_rename_target(target, target->host, &named) < 0 ||
                                          pattern_matches(pattern, &named) != is_match))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    CLEANUP(freep) char *text = malloc(n + 1);
    struct pattern pattern;
    struct target target;
    bool has_target;
    const char *why = NULL;
    char *line_end;
    int r;

    if (!text)
        return 0;
    if (n > 0)
        memcpy(text, data, n);
    text[n] = '\0';
    line_end = strchr(text, '\n');
    if (line_end)
        *line_end = '\0';
    has_target =
        line_end && target_parse(line_end + 1, strcspn(line_end + 1, "\n"), &target, &why) == 0;
    if (has_target)
        check_self(&target);
    why = NULL;
    r = pattern_parse(text, &pattern, &why);
    if (r < 0) {
        if (r != -EINVAL || !why)
            abort();
        return 0;
    }
    if (has_target)
        check_pattern(&pattern, &target);
    pattern_deinit(&pattern);
    return 0;
}
