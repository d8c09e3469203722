/* fdial grant: runs a command with a grant as $FDIAL_FD.
 *
 * The command must not get more than the grant: what $FDIAL_FD was before is kept from it, and so
 * is $FDIAL_SOCKET. Whether it can reach the daemon's socket all the same is up to who makes its
 * sandbox.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/dial.h"
#include "client/run.h"
#include "proto/cleanup.h"

/* Several patterns may follow one --allow, so only "--" tells where they end. */
static int find_separator(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--") == 0)
            return i;
    return argc;
}

static int report_refusal(const struct fdial *d, int error)
{
    struct problem problem;
    int status = exit_status_of(error);

    if (*fdial_message(d))
        problem_set(&problem, status, "request", "%s", fdial_message(d));
    else if (error == -EINVAL)
        problem_set(&problem, status, "request", "a pattern is empty or longer than %u bytes",
                    FDIAL_PATTERN_MAX);
    else if (error == -EMSGSIZE)
        problem_set(&problem, status, "request", "the patterns are too long together");
    else
        problem_set(&problem, status, "daemon", "%s", strerror(-error));
    return report("grant", &problem);
}

static int pass_grant(int fd)
{
    char number[16];
    int r = run_hide_inherited();

    if (r < 0)
        return r;
    snprintf(number, sizeof number, "%d", fd);
    if (fcntl(fd, F_SETFD, 0) < 0 || setenv("FDIAL_FD", number, 1) < 0 ||
        unsetenv("FDIAL_SOCKET") < 0)
        return -errno;
    return 0;
}

static int grant(struct options *o, char **command)
{
    CLEANUP(session_closep) struct fdial *d = NULL;
    struct problem problem;
    int status, fd, r;

    status = dial_open(o, &d, &problem);
    if (status != EXIT_DONE)
        return report("grant", &problem);
    fd = fdial_grant(d, o->allow, o->n_allow);
    if (fd < 0)
        return report_refusal(d, fd);
    r = pass_grant(fd);
    if (r < 0)
        return report_error(EXIT_CANNOT_RUN, "grant", "cannot pass the grant: %s", strerror(-r));
    return run(command);
}

int cmd_grant(const struct command *command, int argc, char **argv)
{
    CLEANUP(options_deinit) struct options o;
    int separator = find_separator(argc, argv), first, status;

    if (!options_parse(&o, command, separator, argv, &first, &status))
        return status;
    if (o.n_allow == 0)
        return usage_error(command, "--allow and a pattern are needed");
    for (; first < separator; first++)
        if (!options_add_allow(&o, argv[first]))
            return usage_error(command, "%s", OPTIONS_TOO_MANY_PATTERNS);
    if (argc - separator < 2)
        return usage_error(command, "a command is needed, after --");
    return grant(&o, argv + separator + 1);
}
