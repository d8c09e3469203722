/* SO_PASSCRED is set on the listening socket: sessions inherit it, so no message can slip in before
 * it is on.
 */
#include "daemon/sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <time.h>

#include "daemon/policy/config.h"
#include "proto/cleanup.h"
#include "proto/wire.h"

#define BACKLOG        4096
#define LOCK_TRIES     100
#define IN_USE_TRIES   3
#define IN_USE_WAIT_MS 500
#define LOCK_PAUSE_NS  10000000

int sockets_fail(char error[SOCKETS_ERROR_MAX], int r, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(error, SOCKETS_ERROR_MAX, format, args);
    va_end(args);
    return r;
}

static int add(struct sockets *sockets, int fd, const char *name, const char *path)
{
    struct listen_socket *s = &sockets->items[sockets->n];
    int on = 1;

    if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) < 0)
        return -errno;
    s->name = name ? strdup(name) : NULL;
    s->path = path ? strdup(path) : NULL;
    if ((name && !s->name) || (path && !s->path)) {
        free(s->name);
        free(s->path);
        return -ENOMEM;
    }
    s->fd = fd;
    sockets->n++;
    return 0;
}

/* FileDescriptorName= left out gives the unit's name, or "unknown" without names at all. */
static bool is_default_name(const char *name)
{
    return strcmp(name, CONFIG_SOCKET_DEFAULT) == 0 || strcmp(name, "fdiald.socket") == 0 ||
           strcmp(name, "unknown") == 0;
}

static void free_names(char ***names)
{
    for (char **name = *names; name && *name; name++)
        free(*name);
    free(*names);
}

/* Returns how many there were. */
static int take_from_systemd(struct sockets *sockets, char *error)
{
    CLEANUP(free_names) char **names = NULL;
    int n = sd_listen_fds_with_names(1, &names);

    if (n < 0)
        return sockets_fail(error, n, "LISTEN_FDS: %s", strerror(-n));
    if (n > SOCKETS_MAX)
        return sockets_fail(error, -E2BIG, "%d sockets passed, at most %d are supported", n,
                            SOCKETS_MAX);
    for (int i = 0; i < n; i++) {
        int fd = SD_LISTEN_FDS_START + i, r;

        if (sd_is_socket_unix(fd, SOCK_SEQPACKET, 1, NULL, 0) <= 0)
            return sockets_fail(
                error, -EINVAL,
                "socket \"%s\" passed by systemd is not ListenSequentialPacket= on a path",
                names[i]);
        r = add(sockets, fd, is_default_name(names[i]) ? NULL : names[i], NULL);
        if (r < 0)
            return sockets_fail(error, r, "socket \"%s\": %s", names[i], strerror(-r));
    }
    return n;
}

static int default_path(bool is_user, char *path, size_t size, char *error)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");

    if (!is_user) {
        snprintf(path, size, "%s", WIRE_SOCKET_SYSTEM);
        return 0;
    }
    if (!runtime || runtime[0] != '/')
        return sockets_fail(error, -EINVAL, "XDG_RUNTIME_DIR is not set: use --socket PATH");
    snprintf(path, size, "%s" WIRE_SOCKET_USER, runtime);
    return 0;
}

static int make_directory(const char *path, mode_t mode)
{
    CLEANUP(freep) char *directory = strdup(path);
    char *slash = directory ? strrchr(directory, '/') : NULL;

    if (!directory)
        return -ENOMEM;
    if (!slash || slash == directory)
        return 0;
    *slash = '\0';
    return mkdir(directory, mode) < 0 && errno != EEXIST ? -errno : 0;
}

/* Whether somebody accepts here. The socket of a process that was killed goes on listening for a
 * moment, until the kernel has taken its ring apart, and hangs up then: asked again. */
static bool is_in_use(const struct sockaddr_un *un, int type)
{
    for (int i = 0; i < IN_USE_TRIES; i++) {
        CLEANUP(fd_closep)
        int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        struct pollfd hang_up = {.fd = fd};

        if (fd < 0)
            return true;
        if (connect(fd, (const struct sockaddr *)un, sizeof *un) < 0)
            return errno != ECONNREFUSED;
        if (poll(&hang_up, 1, IN_USE_WAIT_MS) == 0)
            return true;
    }
    return true;
}

/* A socket that nobody listens on is left over and is removed; one in use is not. */
static int remove_stale(const struct sockaddr_un *un, int type)
{
    struct stat st;

    if (lstat(un->sun_path, &st) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (!S_ISSOCK(st.st_mode))
        return -EEXIST;
    if (is_in_use(un, type))
        return -EADDRINUSE;
    return unlink(un->sun_path) < 0 ? -errno : 0;
}

int sockets_give(const char *path, mode_t mode, gid_t group)
{
    if (group != (gid_t)-1 && chown(path, (uid_t)-1, group) < 0)
        return -errno;
    return chmod(path, mode) < 0 ? -errno : 0;
}

/* So that of two daemons which start together only one takes the left-over socket for stale: the
 * other may be bound and not listening yet. Whoever can read the directory can lock it, so it is
 * not waited for without end. Returns an fd that keeps the lock, or -1. */
static int lock_directory(const char *path)
{
    CLEANUP(freep) char *directory = strdup(path);
    char *slash = directory ? strrchr(directory, '/') : NULL;
    const struct timespec pause = {.tv_nsec = LOCK_PAUSE_NS};
    int fd;

    if (!directory)
        return -1;
    if (slash)
        slash[slash == directory] = '\0';
    fd = open(slash ? directory : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; fd >= 0 && i < LOCK_TRIES && flock(fd, LOCK_EX | LOCK_NB) < 0; i++)
        nanosleep(&pause, NULL);
    return fd;
}

static int occupy(int fd, const struct sockaddr_un *un, const struct socket_options *options)
{
    mode_t mask;
    int r = remove_stale(un, options->type);

    if (r < 0)
        return r;
    mask = umask(0177);
    r = bind(fd, (const struct sockaddr *)un, sizeof *un) < 0 ? -errno : 0;
    umask(mask);
    if (r == 0)
        r = sockets_give(un->sun_path, options->mode, options->group);
    if (r == 0 && listen(fd, options->backlog) < 0)
        r = -errno;
    return r;
}

int sockets_make(const struct socket_options *options, int *ret_fd, char error[SOCKETS_ERROR_MAX])
{
    CLEANUP(fd_closep) int fd = socket(AF_UNIX, options->type | SOCK_CLOEXEC, 0);
    CLEANUP(fd_closep) int lock = -1;
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    const char *path = options->path;
    int r;

    if (fd < 0)
        return sockets_fail(error, -errno, "cannot make a Unix socket: %s", strerror(errno));
    if (path[0] == '\0')
        return sockets_fail(error, -EINVAL, "the path of the socket is empty");
    if (strlen(path) >= sizeof un.sun_path)
        return sockets_fail(error, -ENAMETOOLONG, "%s: a socket's path has at most %zu bytes", path,
                            sizeof un.sun_path - 1);
    strcpy(un.sun_path, path);
    r = make_directory(path, options->directory_mode);
    if (r == 0) {
        lock = lock_directory(path);
        r = occupy(fd, &un, options);
    }
    if (r == -EADDRINUSE)
        return sockets_fail(error, r, "%s: another daemon listens here", path);
    if (r == -EEXIST)
        return sockets_fail(error, r, "%s: is no socket; remove it, or name another path", path);
    if (r < 0)
        return sockets_fail(error, r, "%s: %s", path, strerror(-r));
    *ret_fd = TAKE_FD(fd);
    return 0;
}

/* 0660 root:fdial, or root alone where there is no such group. Not as root: what the user has. */
static int make(struct sockets *sockets, const char *path, bool is_user, char *error)
{
    const struct group *group = is_user || geteuid() != 0 ? NULL : getgrnam(SOCKET_GROUP);
    const struct socket_options options = {.path = path,
                                           .type = SOCK_SEQPACKET,
                                           .backlog = BACKLOG,
                                           .directory_mode = is_user ? 0700 : 0755,
                                           .mode = is_user ? 0600 : 0660,
                                           .group = group ? group->gr_gid : (gid_t)-1};
    int fd, r = sockets_make(&options, &fd, error);

    if (r < 0)
        return r;
    r = add(sockets, fd, NULL, path);
    if (r < 0) {
        fd_close(fd);
        return sockets_fail(error, r, "%s: %s", path, strerror(-r));
    }
    return 0;
}

int sockets_open(struct sockets *ret, const char *path, bool is_user, char error[SOCKETS_ERROR_MAX])
{
    struct sockets sockets = {.n = 0};
    char buffer[4096];
    int r = take_from_systemd(&sockets, error);

    if (r == 0 && !path) {
        r = default_path(is_user, buffer, sizeof buffer, error);
        path = buffer;
    }
    if (r == 0 && sockets.n == 0)
        r = make(&sockets, path, is_user, error);
    if (r < 0) {
        sockets_close(&sockets);
        return r;
    }
    *ret = sockets;
    return 0;
}

bool sockets_have(const struct sockets *sockets, const char *name)
{
    for (size_t i = 0; i < sockets->n; i++) {
        const char *own = sockets->items[i].name;

        if (own && name ? strcmp(own, name) == 0 : own == name)
            return true;
    }
    return false;
}

void sockets_close(struct sockets *sockets)
{
    for (size_t i = 0; i < sockets->n; i++) {
        struct listen_socket *s = &sockets->items[i];

        /* In this order: afterwards the path may be another daemon's. */
        if (s->path)
            unlink(s->path);
        s->fd = fd_close(s->fd);
        free(s->path);
        free(s->name);
    }
    sockets->n = 0;
}
