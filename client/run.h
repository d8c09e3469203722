/* Running a command in place of this one: exec and grant. */
#pragma once

#include "client/fdial.h"

/* Keeps what $FDIAL_FD names, and the variable, from the command. 0 or -errno. */
int run_hide_inherited(void);
/* The same only where that is the session itself; a grant is for others too. */
int run_hide_inherited_session(const struct fdial *session);

/* Does not return where it could be run; else the exit status, and the error is reported. */
int run(char **argv);
