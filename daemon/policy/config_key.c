/* The table of keys, and errors with a place. */
#include "daemon/policy/config_tree.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct key_info {
    enum section_kind section;
    const char *name;
    enum config_form form;
} key_infos[KEY_COUNT] = {
#define X(name, text, form) {SECTION_ROOT, text, form},
    CONFIG_ROOT_KEYS(X)
#undef X
#define X(name, text, form) {SECTION_TLS, text, form},
        CONFIG_TLS_KEYS(X)
#undef X
#define X(name, text, form) {SECTION_PROXY, text, form},
            CONFIG_PROXY_KEYS(X)
#undef X
#define X(name, text, form) {SECTION_RULE, text, form},
                CONFIG_RULE_KEYS(X)
#undef X
};

const char *config_section_name(enum section_kind kind)
{
    static const char *const names[SECTION_COUNT] = {
        [SECTION_TLS] = "tls",
        [SECTION_PROXY] = "proxy",
        [SECTION_RULE] = "rule",
    };

    return names[kind];
}

const char *config_key_name(enum config_key key)
{
    return key_infos[key].name;
}

static bool is_equal(const char *text, size_t n, const char *name)
{
    return strlen(name) == n && memcmp(text, name, n) == 0;
}

bool config_key_find(enum section_kind section, const char *text, size_t n,
                     enum config_key *ret_key, enum config_form *ret_form)
{
    for (unsigned i = 0; i < KEY_COUNT; i++) {
        if (key_infos[i].section != section || !is_equal(text, n, key_infos[i].name))
            continue;
        *ret_key = (enum config_key)i;
        *ret_form = key_infos[i].form;
        return true;
    }
    return false;
}

int config_fail(int code, char error[CONFIG_ERROR_MAX], const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(error, CONFIG_ERROR_MAX, format, args);
    va_end(args);
    return code;
}

int config_warn(struct config *config, const struct place *place, char error[CONFIG_ERROR_MAX],
                const char *format, ...)
{
    char **warnings =
        reallocarray(config->warnings, config->n_warnings + 1, sizeof *config->warnings);
    char sentence[CONFIG_ERROR_MAX];
    va_list args;

    if (!warnings)
        return config_fail(-ENOMEM, error, "out of memory");
    config->warnings = warnings;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    if (asprintf(&warnings[config->n_warnings], "%s:%u: %s", place->file, place->line, sentence) <
        0)
        return config_fail(-ENOMEM, error, "out of memory");
    config->n_warnings++;
    return 0;
}

int config_refuse(char error[CONFIG_ERROR_MAX], const struct place *place, const char *format, ...)
{
    int n = snprintf(error, CONFIG_ERROR_MAX, "%s:%u: ", place->file, place->line);
    va_list args;

    if (n < 0 || n >= CONFIG_ERROR_MAX)
        return -EINVAL;
    va_start(args, format);
    vsnprintf(error + n, CONFIG_ERROR_MAX - (size_t)n, format, args);
    va_end(args);
    return -EINVAL;
}
