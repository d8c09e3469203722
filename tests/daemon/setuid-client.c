/* A program on the library that is made setuid by a test: who started it decides its environment,
 * and must not decide which daemon it believes. It is linked with the library's objects, since the
 * loader does not look for libraries where the environment says, either.
 *
 * setuid-client TARGET: prints `secure` or `ordinary`, then the error's name, or what came back
 * for "hello".
 */
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "client/fdial.h"

static int run(const char *target)
{
    char buf[64];
    ssize_t n;
    int fd;

    puts(getauxval(AT_SECURE) ? "secure" : "ordinary");
    fd = fdial(target);
    if (fd < 0) {
        puts(strerrorname_np(-fd));
        return 1;
    }
    if (write(fd, "hello", 5) != 5)
        return 1;
    n = read(fd, buf, sizeof buf);
    if (n < 0)
        return 1;
    printf("%.*s\n", (int)n, buf);
    return 0;
}

int main(int argc, char **argv)
{
    int status = argc == 2 ? run(argv[1]) : 2;

    fflush(stdout);
    _exit(status); /* not where a sanitizer looks for leaks in /proc, which is closed to us */
}
