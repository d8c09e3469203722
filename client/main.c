/* fdial: connections from the command line. A table of subcommands and nothing else. */
#include "config.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/cmd.h"
#include "client/options.h"
#include "client/report.h"

static const struct command commands[] = {
    {"connect", "connect [OPTION…] TARGET",
     "Carries stdin to the connection and the connection to stdout. Ends when both have ended.",
     OPTION_REQUEST, cmd_connect},
    {"check", "check [OPTION…] [--json] TARGET",
     "Makes a connection, says how each stage went, and closes it.", OPTION_REQUEST | OPTION_JSON,
     cmd_check},
    {"exec", "exec [OPTION…] [--fd N] TARGET -- CMD [ARG…]",
     "Runs CMD with the connection as fd 6 and 7 and the UCSPI variables, or as fd N.",
     OPTION_REQUEST | OPTION_FD, cmd_exec},
    {"fdpass", "fdpass [OPTION…] HOST PORT",
     "Passes the connection to its parent over stdout, for ssh's ProxyUseFdpass.", OPTION_REQUEST,
     cmd_fdpass},
    {"grant", "grant [OPTION…] --allow PATTERN… -- CMD [ARG…]",
     "Runs CMD with a grant in $FDIAL_FD: it gets what this user gets, of these targets alone.",
     OPTION_ALLOW, cmd_grant},
    {"explain", "explain [OPTION…] [--as USER] TARGET",
     "Says which rule matches and what would be done, or why it is denied. Connects nothing.",
     OPTION_AS, cmd_explain},
    {"status", "status [OPTION…] [--json|--openmetrics]", "Prints the daemon's state and counters.",
     OPTION_JSON | OPTION_METRICS, cmd_status},
};

static void print_usage(FILE *to)
{
    fputs("usage: fdial COMMAND [OPTION…] [ARGUMENT…]\n\n", to);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        fprintf(to, "  fdial %s\n", commands[i].usage);
    fputs("\n\"fdial COMMAND --help\" tells more; fdial(1) tells all.\n", to);
}

/* A descriptor from 0 to 2 that was closed would become the daemon's socket, and be written to. */
static int fill_standard_fds(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
            return -1;
    return 0;
}

int main(int argc, char **argv)
{
    if (fill_standard_fds() < 0)
        return EXIT_CONNECTION;
    if (argc < 2) {
        print_usage(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_usage(stdout);
        return fflush(stdout) == 0 ? EXIT_DONE : EXIT_CONNECTION;
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("fdial " PACKAGE_VERSION);
        return fflush(stdout) == 0 ? EXIT_DONE : EXIT_CONNECTION;
    }
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(&commands[i], argc - 1, argv + 1);
    report_error(EXIT_USAGE, argv[1], "no such command");
    print_usage(stderr);
    return EXIT_USAGE;
}
