/* The socket look-up. Environment variables are read through secure_getenv, so that a setuid
 * program is not led to a socket of its caller's choice; what is set is used or is an error, since
 * falling back to another daemon would mean other rights than the ones meant. */
#include "client/where.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/wire.h"

int where_set_path(struct where *ret, const char *path, const char *source)
{
    size_t n = strlen(path);

    if (n == 0)
        return -EINVAL;
    if (n > WHERE_PATH_MAX)
        return -ENAMETOOLONG;
    ret->inherited_fd = -1;
    memcpy(ret->path, path, n + 1);
    ret->source = source;
    return 0;
}

int where_check_fd(int fd)
{
    struct sockaddr_un peer;
    socklen_t n_peer = sizeof peer;
    int domain = 0, type = 0;
    socklen_t n = sizeof domain;

    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &n) < 0 || domain != AF_UNIX)
        return -EBADF;
    n = sizeof type;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) < 0 || type != SOCK_SEQPACKET)
        return -EBADF;
    if (getpeername(fd, (struct sockaddr *)&peer, &n_peer) < 0)
        return -EBADF;
    return 0;
}

/* Strict: decimal digits, nothing else. */
static int parse_fd(const char *text, int *ret)
{
    int fd = 0;

    if (!*text)
        return -EBADF;
    for (; *text; text++) {
        if (*text < '0' || *text > '9' || fd > 99999999)
            return -EBADF;
        fd = fd * 10 + (*text - '0');
    }
    *ret = fd;
    return 0;
}

static int find_inherited(struct where *ret, const char *text)
{
    int fd = -1, r;

    r = parse_fd(text, &fd);
    if (r < 0)
        return r;
    r = where_check_fd(fd);
    if (r < 0)
        return r;
    ret->inherited_fd = fd;
    ret->path[0] = '\0';
    ret->source = "$FDIAL_FD";
    return 0;
}

/* Relative values are to be ignored (XDG Base Directory Specification, "Basics"). */
static bool find_user_socket(struct where *ret)
{
    const char *directory = secure_getenv("XDG_RUNTIME_DIR");
    char path[WHERE_PATH_MAX + 1];
    size_t n;

    if (!directory || directory[0] != '/')
        return false;
    n = strlen(directory);
    if (n + sizeof WIRE_SOCKET_USER > sizeof path)
        return false;
    memcpy(path, directory, n);
    memcpy(path + n, WIRE_SOCKET_USER, sizeof WIRE_SOCKET_USER);
    return access(path, F_OK) == 0 && where_set_path(ret, path, "the user's socket") == 0;
}

int where_find(struct where *ret)
{
    const char *value;

    value = secure_getenv("FDIAL_FD");
    if (value)
        return find_inherited(ret, value);
    value = secure_getenv("FDIAL_SOCKET");
    if (value)
        return where_set_path(ret, value, "$FDIAL_SOCKET");
    if (find_user_socket(ret))
        return 0;
    return where_set_path(ret, WIRE_SOCKET_SYSTEM, "the system's socket");
}
