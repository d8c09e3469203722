/* The subcommands, and the exit statuses they share. */
#pragma once

enum exit_code {
    EXIT_DONE = 0,
    EXIT_CONNECTION = 1, /* the connection failed, or broke */
    EXIT_USAGE = 2,
    EXIT_NO_DAEMON = 3,
    EXIT_DENIED = 4,
    EXIT_NOT_TRUSTED = 5,
    EXIT_TIMEOUT = 6,
    EXIT_PROXY = 7,
    EXIT_CANNOT_RUN = 126, /* as shells do, of exec's command */
    EXIT_NOT_FOUND = 127,
};

struct command {
    const char *name;
    const char *usage; /* what follows "fdial " */
    const char *help;  /* a line or more */
    unsigned options;  /* OPTION_…, options.h */
    int (*run)(const struct command *command, int argc, char **argv);
};

int cmd_check(const struct command *command, int argc, char **argv);
int cmd_connect(const struct command *command, int argc, char **argv);
int cmd_exec(const struct command *command, int argc, char **argv);
int cmd_explain(const struct command *command, int argc, char **argv);
int cmd_fdpass(const struct command *command, int argc, char **argv);
int cmd_grant(const struct command *command, int argc, char **argv);
int cmd_status(const struct command *command, int argc, char **argv);
