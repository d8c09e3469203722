/* Who may be believed as the daemon.
 *
 * SO_PEERCRED of a connected Unix socket is the one who called listen(2): the daemon, or systemd on
 * its behalf (root, or the user's own manager).
 *
 * In a user namespace that does not map that user, as unprivileged sandboxes make them, the kernel
 * shows the overflow uid instead (user_namespaces(7)). Nobody inside such a namespace can have it,
 * so the listener is outside, and which outside socket is visible at all was decided by who made
 * the sandbox. That is believed, unless others could have put the socket there.
 */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "client/session.h"
#include "client/where.h"
#include "proto/cleanup.h"
#include "proto/wire.h"

#define OVERFLOW_UID 65534 /* /proc/sys/kernel/overflowuid, which nobody changes */

/* Asks the user database only for a peer that is neither root nor ourselves: NSS may load modules
 * and talk to servers. */
static bool is_daemon_user(uid_t uid)
{
    struct passwd entry, *found = NULL;
    char buf[4096];

    return getpwnam_r(FDIAL_DAEMON_USER, &entry, buf, sizeof buf, &found) == 0 && found &&
           found->pw_uid == uid;
}

/* Whether some user of this namespace can have this uid (user_namespaces(7)); when in doubt yes. */
static bool is_mapped(uid_t uid)
{
    CLEANUP(fd_closep) int fd = open("/proc/self/uid_map", O_RDONLY | O_CLOEXEC);
    char map[4096], *line = map;
    ssize_t n = fd < 0 ? -1 : read(fd, map, sizeof map - 1);
    unsigned long inside, outside, count;
    int length;

    if (n < 0)
        return true;
    map[n] = '\0';
    while (sscanf(line, "%lu %lu %lu%n", &inside, &outside, &count, &length) == 3) {
        if (uid >= inside && uid - inside < count)
            return true;
        line += length;
    }
    return false;
}

/* Whether only its owner can put sockets into the folder of `path`. In the system's folder, which
 * only root can make, the group may be the daemon's, for the socket of metrics; it cannot be
 * compared here, where it has no mapping either. With the sticky bit that group does not replace
 * root's socket. */
static bool is_folder_closed(const char *path)
{
    char folder[sizeof((struct sockaddr_un *)NULL)->sun_path];
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 0;
    mode_t open_to = S_IWGRP | S_IWOTH;
    struct stat st;

    if (!slash || n >= sizeof folder)
        return false;
    memcpy(folder, n > 0 ? path : "/", n > 0 ? n : 1);
    folder[n > 0 ? n : 1] = '\0';
    if (stat(folder, &st) < 0)
        return false;
    if (strcmp(folder, WIRE_FOLDER_SYSTEM) == 0 && (st.st_mode & S_ISVTX))
        open_to = S_IWOTH;
    return (st.st_mode & open_to) == 0;
}

int session_check_peer(int fd, const char *path)
{
    bool is_setuid = getauxval(AT_SECURE) != 0;
    struct ucred peer;
    socklen_t n = sizeof peer;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) < 0)
        return -errno;
    /* First, for without a mapping of its own this process has the overflow uid as well. */
    if (peer.uid == OVERFLOW_UID) {
        bool is_outside = !is_setuid && !is_mapped(OVERFLOW_UID);

        return is_outside && (!path || is_folder_closed(path)) ? 0 : -EPERM;
    }
    if (peer.uid == 0 || peer.uid == geteuid())
        return 0;
    /* In a setuid program the real uid is that of the caller, who must not choose the daemon. */
    if (!is_setuid && peer.uid == getuid())
        return 0;
    return is_daemon_user(peer.uid) ? 0 : -EPERM;
}
