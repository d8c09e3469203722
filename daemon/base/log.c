/* One write(2) a line, so that lines of several threads do not mix; and only when poll(2) says that
 * there is room, for a worker must not wait for whoever reads stderr, nor must the main thread,
 * which is to hear of signals. O_NONBLOCK would be that of everybody who has this stderr.
 *
 * Whether stderr is the journal,
 * which knows priorities, systemd.exec(5) says under $JOURNAL_STREAM: the device and inode there
 * are those of stderr, unless it was redirected since. */
#include "daemon/base/log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/cleanup.h"

static enum log_level max_level = LOG_LEVEL_INFO;
static bool has_journal;
static int journal_fd = -1;
/* So that nobody else takes the room that poll(2) has promised. */
static pthread_mutex_t stderr_mutex = PTHREAD_MUTEX_INITIALIZER;
static atomic_uint n_lost; /* messages since that was last told */

static bool is_journal(int fd)
{
    const char *stream = getenv("JOURNAL_STREAM");
    unsigned long long device, inode;
    struct stat st;

    return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 && fstat(fd, &st) == 0 &&
           st.st_dev == device && st.st_ino == inode;
}

void log_init(enum log_level level)
{
    max_level = level;
    has_journal = is_journal(STDERR_FILENO);
    if (has_journal && journal_fd < 0)
        journal_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

const char *log_line_start(enum log_level level)
{
    static const char *const priorities[] = {"<0>", "<1>", "<2>", "<3>",
                                             "<4>", "<5>", "<6>", "<7>"};

    return has_journal ? priorities[level] : "fdiald: ";
}

int log_send_to_journal(const void *datagram, size_t n)
{
    static const struct sockaddr_un to = {.sun_family = AF_UNIX, .sun_path = JOURNAL_SOCKET};
    ssize_t sent;

    if (!has_journal || journal_fd < 0)
        return -ENOTCONN;
    do
        sent = sendto(journal_fd, datagram, n, MSG_DONTWAIT | MSG_NOSIGNAL,
                      (const struct sockaddr *)&to, sizeof to);
    while (sent < 0 && errno == EINTR);
    if (sent >= 0)
        return 0;
    return errno == EAGAIN || errno == ENOBUFS ? -EAGAIN : -ENOTCONN;
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

static bool try_to_write(const char *line, size_t n)
{
    struct pollfd room = {.fd = STDERR_FILENO, .events = POLLOUT};
    ssize_t written;

    do
        written = poll(&room, 1, 0) == 1 ? write(STDERR_FILENO, line, n) : 0;
    while (written < 0 && errno == EINTR);
    return written != 0;
}

/* In a line of its own, once there is room again. */
static void tell_lost(void)
{
    unsigned lost = atomic_load(&n_lost);
    char line[LOG_LINE_MAX];
    int n;

    if (lost == 0)
        return;
    n = snprintf(line, sizeof line, "%s%u messages left out, as nobody has read them\n",
                 log_line_start(LOG_LEVEL_WARNING), lost);
    if (try_to_write(line, (size_t)n))
        atomic_fetch_sub(&n_lost, lost);
}

bool log_write_line(const char *line, size_t n)
{
    bool is_written;

    pthread_mutex_lock(&stderr_mutex);
    tell_lost();
    is_written = try_to_write(line, n);
    pthread_mutex_unlock(&stderr_mutex);
    return is_written;
}

void log_write(enum log_level level, const char *format, ...)
{
    char line[LOG_LINE_MAX];
    va_list args;
    size_t n;

    if (!log_is_on(level))
        return;
    n = (size_t)snprintf(line, sizeof line, "%s", log_line_start(level));
    va_start(args, format);
    vsnprintf(line + n, sizeof line - n - 1, format, args);
    va_end(args);
    n = strlen(line);
    line[n++] = '\n';
    if (!log_write_line(line, n))
        atomic_fetch_add(&n_lost, 1);
}
