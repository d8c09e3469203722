/* What all commands do first: open a session, and ask for one connection. */
#pragma once

#include "client/options.h"
#include "client/report.h"

#define DIAL_GRACE_MS 2000 /* on top of the timeout, for the daemon to say that it has passed */

struct dial {
    char *target; /* as the library gets it: A-labels */
    struct fdial *session;
    struct fdial_result *result; /* may be there on failure too, to tell about it */
};

/* For CLEANUP(). */
static inline void session_closep(struct fdial **session)
{
    fdial_close(*session);
}

/* 0 with an open session, or the exit status with the problem. */
int dial_open(const struct options *o, struct fdial **ret, struct problem *ret_problem);
/* Converts and checks the target's text: 0 or EXIT_USAGE. Malloc'd. */
int dial_check_target(const char *text, char **ret, struct problem *ret_problem);

/* The whole of it. On 0, dial->result has one connection. dial_deinit() in any case. */
int dial(struct dial *ret, const struct options *o, const char *target,
         struct problem *ret_problem);
void dial_deinit(struct dial *dial);

/* Our end of the connection; ss_family is AF_UNSPEC where it is not known. Of a socket the kernel
 * is asked, of a relay the daemon has told. */
void dial_find_local(const struct fdial_result *r, int fd, struct sockaddr_storage *ret);

/* The same for commands that want the connection and nothing else: the error is reported. */
int dial_take_fd(struct dial *ret, const struct options *o, const char *target, int *ret_fd);
