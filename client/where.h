/* Where the daemon's socket is: one look-up for the library and for the CLI's error texts. */
#pragma once

#include <stdbool.h>
#include <sys/un.h>

#define WHERE_PATH_MAX (sizeof(((struct sockaddr_un *)0)->sun_path) - 1)

struct where {
    int inherited_fd; /* from $FDIAL_FD, not owned; -1: connect to `path` */
    char path[WHERE_PATH_MAX + 1];
    const char *source; /* what named the socket, for people: "$FDIAL_SOCKET", … */
};

/* $FDIAL_FD, $FDIAL_SOCKET, the user's socket where the file exists, the system's socket. A set
 * variable is never skipped. Returns 0, -EBADF where $FDIAL_FD is not a number or not the fd of a
 * connected SOCK_SEQPACKET Unix socket, -ENAMETOOLONG or -EINVAL (empty) for a bad path. */
int where_find(struct where *ret);

/* Copies a path into *ret; errors as above. */
int where_set_path(struct where *ret, const char *path, const char *source);

/* 0 where fd is a connected SOCK_SEQPACKET Unix socket, else -EBADF. */
int where_check_fd(int fd);
