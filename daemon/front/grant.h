/* A grant: a part of a session's rights as a socket of its own, to be inherited or passed on. Who
 * holds it gets sessions from it, for which the rights of the grant's maker count, as the rules
 * are then, narrowed to its patterns. It lives in the worker of the session that made it, and so do
 * its sessions, until its socket is closed everywhere. */
#pragma once

#include "daemon/front/peer.h"

#define GRANTS_PER_USER_MAX 1024 /* in all workers; made from grants: one half of it */
#define GRANT_OWED_MAX      4096 /* opens not yet answered; a further one is one of them */
#define GRANT_ANSWER_MAX    320  /* bytes of an answer */

struct grant {
    struct list node; /* in front->grants */
    struct front *front;
    int fd;
    struct identity *identity; /* of the maker of the first grant, as it was then */
    struct narrowing *narrowing;
    struct user *user;    /* the maker */
    struct charge charge; /* this grant, to him, and the sessions that wait in its socket */
    struct untaken untaken;
    struct op recv_op;
    struct op send_op;
    struct fdmsg msg; /* being sent, with the fd, which is owned; -1: none */
    int sending_fd;
    uint8_t data[GRANT_ANSWER_MAX];
    unsigned n_owed;  /* opens whose answer has not been begun */
    struct task turn; /* to begin one */
    bool is_closing;
};

/* Answers the question `id` of the peer. */
void grant_make(struct peer *peer, uint64_t id, const struct message_grant *message);
/* Ends it; frees at once or later. Its sessions go on. */
void grant_close(struct grant *grant);
