/* The command replaces this process, so that its status is ours. */
#include "client/run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/cmd.h"
#include "client/report.h"
#include "client/where.h"

static int find_inherited(void)
{
    struct where where;

    return where_find(&where) < 0 ? -1 : where.inherited_fd;
}

static int hide(int fd)
{
    return fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || unsetenv("FDIAL_FD") < 0 ? -errno : 0;
}

int run_hide_inherited(void)
{
    int fd = find_inherited();

    return fd < 0 ? 0 : hide(fd);
}

int run_hide_inherited_session(const struct fdial *session)
{
    struct stat ours, inherited;
    int fd = find_inherited();

    if (fd < 0)
        return 0;
    if (fstat(fdial_fileno(session), &ours) < 0 || fstat(fd, &inherited) < 0)
        return -errno;
    return ours.st_dev == inherited.st_dev && ours.st_ino == inherited.st_ino ? hide(fd) : 0;
}

int run(char **argv)
{
    int error;

    execvp(argv[0], argv);
    error = errno;
    report_error(EXIT_CANNOT_RUN, argv[0], "%s", strerror(error));
    return error == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN;
}
