/* What a worker has of one user, shared by all his sessions there: the account that these are
 * charged to, and his place where users are served in turn. */
#pragma once

#include "daemon/base/fair.h"
#include "daemon/base/quota.h"
#include "daemon/front/front.h"
#include "daemon/front/untaken.h"

struct user {
    struct list node; /* in front->users */
    unsigned n_references;
    uid_t uid;
    struct quota *quota; /* of the rule "" */
    unsigned n_sessions; /* in this worker */
    struct list untaken; /* what has fds that wait to be taken; untaken.c */
    struct timer untaken_timer;
    struct fair_lane handshakes;
    struct fair_lane questions; /* and all else that costs much */
    struct front *front;
    struct list left_out_node; /* audit.c */
    unsigned n_left_out;       /* log lines */
};

/* untaken.c */
void untaken_timer_rang(struct timer *timer);

/* NULL without memory. */
struct user *user_get(struct front *front, uid_t uid);
struct user *user_ref(struct user *user);
struct user *user_put(struct user *user); /* NULL is fine; returns NULL */

/* Whether he may have one more session in this worker. */
bool user_has_room(const struct user *user);
void user_add_session(struct user *user);
void user_remove_session(struct user *user);
