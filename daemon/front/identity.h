/* Who is at the other end of a Unix socket, as the kernel says: unix(7), SO_PEERCRED,
 * SO_PEERGROUPS, proc_pid_cgroup(5). */
#pragma once

#include "daemon/front/holder.h"
#include "daemon/policy/policy.h"

#define IDENTITY_TEXT_MAX    255 /* bytes, without the NUL */
#define IDENTITY_TEXT_GROUPS 16  /* of the groups, so many are shown */

/* Reads the identity of the one who connected. Returns 0 or -errno. */
int identity_new(struct identity **ret, int socket, const char *listener);
/* Whether /proc shows the same ids and groups of the holder: for one that is known by its process
 * id alone. */
bool identity_is_of(const struct identity *identity, struct holder *holder);
/* Reads the cgroup and the unit, once; to be called before the first who asks for them. Only for
 * the process that opened the session itself, while it lives: else they stay unknown. */
void identity_read_cgroup(struct identity *identity, struct holder *holder);
/* The identity a user would have, for `explain --as`: a name or a uid, which need not be in the
 * user database (no group matches it then). -ENOENT: no such user. */
int identity_new_user(struct identity **ret, const char *user, const char *listener);
/* In words, printable and cut to fit: "uid 1001 gid 1001 groups 27,100 unit ci.service socket
 * agents cgroup /system.slice/ci.service". Users are not named: a user database may take its time.
 */
void identity_format(const struct identity *identity, char ret_text[IDENTITY_TEXT_MAX + 1]);
/* One thread's: sessions of one worker may share it. */
struct identity *identity_ref(struct identity *identity);
struct identity *identity_unref(struct identity *identity); /* NULL is fine; returns NULL */
