/* The daemon's listening sockets: from systemd (sd_listen_fds(3)), or made by itself. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define SOCKETS_MAX  16
#define SOCKET_GROUP "fdial"

struct listen_socket {
    int fd;
    char *name; /* as rules call it; NULL: the default one */
    char *path; /* to be removed at the end; NULL when systemd made it */
};

struct sockets {
    struct listen_socket items[SOCKETS_MAX];
    size_t n;
};

#define SOCKETS_ERROR_MAX 256

/* Takes what systemd passes; if nothing, makes one at `path` (NULL: where it belongs). Returns 0 or
 * -errno with a sentence in error. */
int sockets_open(struct sockets *ret, const char *path, bool is_user,
                 char error[SOCKETS_ERROR_MAX]);
/* Whether one is called so; NULL: the default one. */
bool sockets_have(const struct sockets *sockets, const char *name);
/* A listening Unix socket of our own. */
struct socket_options {
    const char *path;
    int type; /* SOCK_SEQPACKET or SOCK_STREAM, with flags */
    int backlog;
    mode_t directory_mode; /* where it has to be made */
    mode_t mode;
    gid_t group; /* (gid_t)-1: as it comes */
};

/* Makes one in place of one that is left over. Returns 0 or -errno with a sentence in error. */
int sockets_make(const struct socket_options *options, int *ret_fd, char error[SOCKETS_ERROR_MAX]);
/* Changes mode and group of a socket's file. Returns 0 or -errno. */
int sockets_give(const char *path, mode_t mode, gid_t group);
/* Writes the sentence and returns r. */
int sockets_fail(char error[SOCKETS_ERROR_MAX], int r, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void sockets_close(struct sockets *sockets);
