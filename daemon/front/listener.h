/* A listening socket in one worker: accepts sessions. All workers accept on the same sockets. */
#pragma once

#include "daemon/front/front.h"

#define ACCEPT_RETRY_US (100 * UINT64_C(1000)) /* after running out of fds or memory */

struct listener {
    struct front *front;
    int fd;           /* not owned: shared by all workers */
    const char *name; /* NULL: the default listener */
    struct op accept_op;
    struct timer retry_timer;
    bool is_stopped;
};

void listener_start(struct listener *listener, struct front *front, int fd, const char *name);
void listener_stop(struct listener *listener);
