/* Which process holds a session: it alone may use it, and only while it lives. Whose rights the
 * session has is another matter (identity.h): those of a session from a grant are its maker's. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "daemon/ring/ring.h"

struct holder {
    pid_t pid;
    int pidfd;
    bool is_opener;      /* it connected the socket itself */
    bool is_by_id;       /* says its process id alone: what else it is has to be compared */
    bool has_ended;      /* seen at the last look */
    uint64_t checked_us; /* the turn of that look */
    size_t n_early;      /* bytes in the socket whose sender may be an earlier process of that id */
    bool has_sender;
    struct ucred sender; /* its credentials in messages, as soon as there was one */
};

/* The process that connected. Returns 0 or -errno; -ESRCH: it has ended, or is in a pid namespace
 * that the daemon does not see. */
int holder_init(struct holder *holder, int socket);
/* The same without SO_PEERPIDFD: what holder_init() does on Linux before 6.5. */
int holder_init_by_pid(struct holder *holder, int socket);
/* The process that sent the first message, for a socket that nobody connected. Likewise. */
int holder_init_sender(struct holder *holder, const struct ucred *sender);
/* A zeroed one is fine. No op may be pending on the pidfd. */
void holder_deinit(struct holder *holder, struct ring *ring);

/* Whether a message with these credentials came from it, if it is alive still. */
bool holder_is_sender(struct holder *holder, const struct ucred *sender);
/* Whether nobody can say that, because the message was there before the holder was known. To be
 * asked for each message once, in their order. */
bool holder_takes_early(struct holder *holder, size_t n);
/* Asks the kernel whether it is alive. */
bool holder_look(struct holder *holder);
/* The same, at most once a turn (now_us: ring_now_us()). */
bool holder_is_alive(struct holder *holder, uint64_t now_us);
