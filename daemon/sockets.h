/* The daemon's listening sockets: from systemd (sd_listen_fds(3)), or made by itself. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

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
void sockets_close(struct sockets *sockets);
