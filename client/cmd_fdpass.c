/* fdial fdpass: the contract of OpenSSH's ProxyUseFdpass (ssh_config(5)): one byte '\0' with one
 * descriptor over stdout, which is one end of a SOCK_STREAM pair, then exit. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/dial.h"
#include "proto/cleanup.h"
#include "proto/fdmsg.h"

/* ssh gives an IPv6 address without brackets. */
static int make_target(const char *host, const char *port, char **ret)
{
    bool needs_brackets = strchr(host, ':') && host[0] != '[';

    return asprintf(ret, needs_brackets ? "tcp://[%s]:%s" : "tcp://%s:%s", host, port) < 0 ? -ENOMEM
                                                                                           : 0;
}

static bool is_stdout_socket(void)
{
    struct stat st;

    return fstat(STDOUT_FILENO, &st) == 0 && S_ISSOCK(st.st_mode);
}

int cmd_fdpass(const struct command *command, int argc, char **argv)
{
    CLEANUP(options_deinit) struct options o;
    CLEANUP(dial_deinit) struct dial dialled = {0};
    CLEANUP(freep) char *target = NULL;
    CLEANUP(fd_closep) int fd = -1;
    int first, status, r;

    if (!options_parse(&o, command, argc, argv, &first, &status))
        return status;
    if (argc - first != 2)
        return usage_error(command, "a host and a port are needed");
    if (!is_stdout_socket())
        return report_error(EXIT_USAGE, "fdpass",
                            "stdout is not a socket; this is for ssh -o ProxyUseFdpass=yes");
    if (make_target(argv[first], argv[first + 1], &target) < 0)
        return report_error(EXIT_CONNECTION, "fdpass", "out of memory");
    status = dial_take_fd(&dialled, &o, target, &fd);
    if (status != EXIT_DONE)
        return status;
    do
        r = fdmsg_send(STDOUT_FILENO, "", 1, &fd, 1, 0);
    while (r == -EINTR);
    if (r < 0)
        return report_error(EXIT_CONNECTION, target, "cannot pass the connection: %s",
                            strerror(-r));
    return EXIT_DONE;
}
