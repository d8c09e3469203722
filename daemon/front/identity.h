/* Who is at the other end of a Unix socket, as the kernel says: unix(7), SO_PEERCRED,
 * SO_PEERGROUPS. */
#pragma once

#include "daemon/policy/policy.h"

/* Reads the identity of the one who connected. Returns 0 or -errno. */
int identity_init(struct identity *identity, int socket, const char *listener);
/* The identity a user would have, for `explain --as`: a name or a uid, which need not be in the
 * user database (no group matches it then). -ENOENT: no such user. */
int identity_init_user(struct identity *identity, const char *user, const char *listener);
void identity_deinit(struct identity *identity);
