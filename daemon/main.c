/* fdiald(8): the command line. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "config.h"
#include "daemon/daemon.h"

#define EXIT_USAGE 2

static const char usage[] =
    "Usage: fdiald [OPTION]...\n"
    "Set up outgoing connections for processes that must not do it themselves.\n"
    "\n"
    "  --config FILE      read FILE instead of /etc/fdial/fdiald.conf\n"
    "  --socket PATH      listen at PATH (not when systemd passes sockets)\n"
    "  --user             serve this user: socket in $XDG_RUNTIME_DIR/fdial, and without a\n"
    "                     configuration any target for this user\n"
    "  --check-config     read the configuration, say what is wrong, and exit\n"
    "  --log-level LEVEL  error, warning, notice, info (default) or debug\n"
    "  --version          print the version and exit\n"
    "  --help             print this and exit\n";

enum { OPT_CONFIG = 256, OPT_SOCKET, OPT_USER, OPT_CHECK, OPT_LEVEL, OPT_VERSION, OPT_HELP };

static const struct option long_options[] = {
    {"config", required_argument, NULL, OPT_CONFIG},
    {"socket", required_argument, NULL, OPT_SOCKET},
    {"user", no_argument, NULL, OPT_USER},
    {"check-config", no_argument, NULL, OPT_CHECK},
    {"log-level", required_argument, NULL, OPT_LEVEL},
    {"version", no_argument, NULL, OPT_VERSION},
    {"help", no_argument, NULL, OPT_HELP},
    {0},
};

static int usage_error(void)
{
    fputs("Try: fdiald --help\n", stderr);
    return EXIT_USAGE;
}

int main(int argc, char **argv)
{
    struct daemon_options options = {.log_level = LOG_LEVEL_INFO};
    int option;

    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        switch (option) {
        case OPT_CONFIG:
            options.config_path = optarg;
            break;
        case OPT_SOCKET:
            options.socket_path = optarg;
            break;
        case OPT_USER:
            options.is_user = true;
            break;
        case OPT_CHECK:
            options.is_check_only = true;
            break;
        case OPT_LEVEL:
            if (log_level_parse(optarg, &options.log_level) < 0) {
                fprintf(stderr, "fdiald: unknown log level \"%s\"\n", optarg);
                return usage_error();
            }
            break;
        case OPT_VERSION:
            puts("fdiald " PACKAGE_VERSION);
            return EXIT_SUCCESS;
        case OPT_HELP:
            fputs(usage, stdout);
            return EXIT_SUCCESS;
        default:
            return usage_error();
        }
    }
    if (optind < argc) {
        fprintf(stderr, "fdiald: unexpected argument \"%s\"\n", argv[optind]);
        return usage_error();
    }
    return daemon_run(&options);
}
