/* One write(2) a line, so that lines of several threads do not mix. */
#include "daemon/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/cleanup.h"

static enum log_level max_level = LOG_LEVEL_INFO;
static bool has_journal;

void log_init(enum log_level level)
{
    max_level = level;
    has_journal = getenv("JOURNAL_STREAM") != NULL;
}

bool log_is_on(enum log_level level)
{
    return level <= max_level;
}

int log_level_parse(const char *text, enum log_level *ret)
{
    static const struct level_name {
        const char *name;
        enum log_level level;
    } names[] = {
        {"error", LOG_LEVEL_ERROR}, {"warning", LOG_LEVEL_WARNING}, {"notice", LOG_LEVEL_NOTICE},
        {"info", LOG_LEVEL_INFO},   {"debug", LOG_LEVEL_DEBUG},
    };

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (strcmp(text, names[i].name) == 0) {
            *ret = names[i].level;
            return 0;
        }
    }
    return -EINVAL;
}

void log_write(enum log_level level, const char *format, ...)
{
    char line[LOG_LINE_MAX];
    va_list args;
    size_t n;

    if (!log_is_on(level))
        return;
    n = has_journal ? (size_t)snprintf(line, sizeof line, "<%d>", level)
                    : (size_t)snprintf(line, sizeof line, "fdiald: ");
    va_start(args, format);
    vsnprintf(line + n, sizeof line - n - 1, format, args);
    va_end(args);
    n = strlen(line);
    line[n++] = '\n';
    while (write(STDERR_FILENO, line, n) < 0 && errno == EINTR)
        ;
}
