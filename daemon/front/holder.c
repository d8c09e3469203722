/* The process id is compared with every message, and so are the user and the group, with those of
 * the first one: messages carry the real ids, SO_PEERCRED the effective ones. */
#include "daemon/front/holder.h"

#include <errno.h>

int holder_init(struct holder *holder, int socket)
{
    struct ucred creds;
    socklen_t size = sizeof creds;

    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &creds, &size) < 0)
        return -errno;
    *holder = (struct holder){.pid = creds.pid};
    return 0;
}

void holder_init_sender(struct holder *holder, const struct ucred *sender)
{
    *holder = (struct holder){.pid = sender->pid, .sender = *sender, .has_sender = true};
}

bool holder_is_sender(struct holder *holder, const struct ucred *sender)
{
    /* 0: somebody outside the daemon's pid namespace, and so is everybody else there. */
    if (sender->pid == 0 || sender->pid != holder->pid)
        return false;
    if (!holder->has_sender) {
        holder->sender = *sender;
        holder->has_sender = true;
    }
    return sender->uid == holder->sender.uid && sender->gid == holder->sender.gid;
}
