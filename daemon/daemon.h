/* The daemon as a whole: configuration, sockets, workers, signals. */
#pragma once

#include <stdbool.h>

#include "daemon/base/log.h"

struct daemon_options {
    const char *config_path; /* NULL: where it belongs */
    const char *socket_path; /* NULL: where it belongs */
    bool is_user;
    bool is_check_only;
    enum log_level log_level;
};

/* Runs until SIGTERM or SIGINT. Returns the process's exit status. */
int daemon_run(const struct daemon_options *options);
