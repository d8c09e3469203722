/* Messages for the operator, on stderr: with "<N>" priorities for the journal when it is there
 * (sd-daemon(3)), otherwise with "fdiald: ". One line a message; safe from all threads. Only front/
 * and the daemon itself log; lower layers report. What came from remote must be escaped before.
 *
 * Never waits: what a reader who does not keep up misses is counted, and told with the next line.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define LOG_LINE_MAX   1024
#define JOURNAL_SOCKET "/run/systemd/journal/socket"

enum log_level {
    LOG_LEVEL_ERROR = 3,
    LOG_LEVEL_WARNING = 4,
    LOG_LEVEL_NOTICE = 5,
    LOG_LEVEL_INFO = 6,
    LOG_LEVEL_DEBUG = 7,
};

void log_init(enum log_level level);
bool log_is_on(enum log_level level);
/* "error", "warning", "notice", "info", "debug"; returns 0 or -EINVAL. */
int log_level_parse(const char *text, enum log_level *ret);
void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* For log_record.c: what a line begins with; one line to stderr, false when it is lost; and one
 * message in the journal's own protocol, without waiting: 0, -EAGAIN when the journal does not keep
 * up, -ENOTCONN when stderr has to do. */
const char *log_line_start(enum log_level level);
bool log_write_line(const char *line, size_t n);
int log_send_to_journal(const void *datagram, size_t n);

#define log_error(...)   log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_notice(...)  log_write(LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_info(...)    log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)   log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)
