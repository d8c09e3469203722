/* Which process holds a session: it alone may use it. Whose rights the session has is another
 * matter (identity.h). */
#pragma once

#include <stdbool.h>
#include <sys/socket.h>

struct holder {
    struct ucred sender; /* its credentials in messages, as soon as there was one */
    bool has_sender;
    pid_t pid;
};

/* The process that connected: SO_PEERCRED. Returns 0 or -errno. */
int holder_init(struct holder *holder, int socket);
/* The process that sent the first message, for a socket that nobody connected. */
void holder_init_sender(struct holder *holder, const struct ucred *sender);
/* Whether a message with these credentials came from it. */
bool holder_is_sender(struct holder *holder, const struct ucred *sender);
