/* The scripted name server as a program, for tests in other languages:
 *
 *     dns-server SCRIPT [PORT]
 *
 * First line of stdout: the port. Then one line a question. SIGHUP reads the script again, which a
 * line `script` confirms; SIGTERM, SIGINT and the death of the parent end it. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "proto/cleanup.h"
#include "tests/lib/dns_server.h"

static int script_read(struct dns_server *s, const char *path)
{
    char line[1024];
    unsigned number = 0;
    FILE *file = fopen(path, "re");
    int r = 0;

    if (!file) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return -errno;
    }
    while (r == 0 && fgets(line, sizeof line, file)) {
        number++;
        r = dns_server_add(s, line);
    }
    if (r < 0)
        fprintf(stderr, "%s:%u: %s\n", path, number, strerror(-r));
    fclose(file);
    return r;
}

int main(int argc, char **argv)
{
    struct dns_server *server;
    int number, r;
    sigset_t set;

    if (argc < 2 || argc > 3) {
        fputs("usage: dns-server SCRIPT [PORT]\n", stderr);
        return 2;
    }
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL); /* the server's thread inherits it */
    r = dns_server_new(&server, NULL, argc > 2 ? (uint16_t)atoi(argv[2]) : 0, stdout);
    if (r < 0) {
        fprintf(stderr, "dns-server: %s\n", strerror(-r));
        return 1;
    }
    r = script_read(server, argv[1]);
    if (r == 0) {
        printf("%u\n", dns_server_port(server));
        fflush(stdout);
    }
    while (r == 0 && sigwait(&set, &number) == 0 && number == SIGHUP) {
        dns_server_clear(server);
        r = script_read(server, argv[1]);
        puts("script");
        fflush(stdout);
    }
    dns_server_free(server);
    return r < 0;
}
