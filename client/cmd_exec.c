/* fdial exec: runs a command with the connection among its descriptors.
 *
 * UCSPI (D. J. Bernstein, "UNIX Client-Server Program Interface"): 6 to read, 7 to write, and the
 * addresses in the environment. The session with the daemon is CLOEXEC and ends with exec. Where
 * $FDIAL_FD is that session and not a grant, it and the variable are kept from the command too.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/dial.h"
#include "client/run.h"
#include "proto/cleanup.h"
#include "proto/target.h"

#define UCSPI_READ_FD  6
#define UCSPI_WRITE_FD 7

/* What is not known is taken out, since a value from outside would be a wrong one. */
static int set_or_unset(const char *name, const char *value)
{
    return value && *value ? setenv(name, value, 1) : unsetenv(name);
}

static int set_address(const char *ip_name, const char *port_name,
                       const struct sockaddr_storage *ss)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)ss;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)ss;
    char ip[INET6_ADDRSTRLEN] = "", port[8] = "";

    if (ss->ss_family == AF_INET && inet_ntop(AF_INET, &in->sin_addr, ip, sizeof ip))
        snprintf(port, sizeof port, "%u", ntohs(in->sin_port));
    else if (ss->ss_family == AF_INET6 && inet_ntop(AF_INET6, &in6->sin6_addr, ip, sizeof ip))
        snprintf(port, sizeof port, "%u", ntohs(in6->sin6_port));
    if (set_or_unset(ip_name, ip) < 0 || set_or_unset(port_name, port) < 0)
        return -errno;
    return 0;
}

static int set_environment(const struct dial *dialled, int fd)
{
    struct sockaddr_storage local;
    struct target target;
    const char *sentence;
    int r;

    r = target_parse(dialled->target, strlen(dialled->target), &target, &sentence);
    if (r < 0)
        return r;
    if (setenv("PROTO", target.scheme == SCHEME_UNIX ? "UNIX" : "TCP", 1) < 0 ||
        set_or_unset("TCPREMOTEHOST", target.host) < 0)
        return -errno;
    r = set_address("TCPREMOTEIP", "TCPREMOTEPORT", fdial_result_peer(dialled->result));
    if (r < 0)
        return r;
    dial_find_local(dialled->result, fd, &local);
    return set_address("TCPLOCALIP", "TCPLOCALPORT", &local);
}

/* dup2 onto itself would leave CLOEXEC on. */
static int place_fd(int fd, int wanted)
{
    if (fd == wanted)
        return fcntl(fd, F_SETFD, 0) < 0 ? -errno : 0;
    return dup2(fd, wanted) < 0 ? -errno : 0;
}

static int place_fds(int fd, const struct options *o)
{
    int r;

    if (o->fd >= 0)
        return place_fd(fd, o->fd);
    r = place_fd(fd, UCSPI_READ_FD);
    return r < 0 ? r : place_fd(fd, UCSPI_WRITE_FD);
}

int cmd_exec(const struct command *command, int argc, char **argv)
{
    CLEANUP(options_deinit) struct options o;
    CLEANUP(dial_deinit) struct dial dialled = {0};
    int first, status, fd = -1, r;

    if (!options_parse(&o, command, argc, argv, &first, &status))
        return status;
    if (argc - first < 2)
        return usage_error(command, "a target and a command are needed");
    status = dial_take_fd(&dialled, &o, argv[first], &fd);
    if (status != EXIT_DONE)
        return status;
    r = set_environment(&dialled, fd);
    if (r == 0)
        r = run_hide_inherited_session(dialled.session);
    dialled.session = fdial_close(dialled.session);
    if (r == 0)
        r = place_fds(fd, &o);
    if (r < 0)
        return report_error(EXIT_CANNOT_RUN, argv[first], "cannot pass the connection: %s",
                            strerror(-r));
    return run(argv + first + 1);
}
