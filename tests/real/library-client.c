/* A program as a user of the library writes it.
 *
 * library-client TARGET [PATH]: one call, fdial(), then plain write and read: asks for the PATH of
 * a web server and prints the answer. library-client -s TARGET PATH…: the same through a session,
 * all requests in flight at once, the answers in the order of the arguments; prints how each went.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/fdial.h"

static int fail(const char *what, int error)
{
    fprintf(stderr, "library-client: %s: %s\n", what, strerror(-error));
    return 1;
}

static int ask(int fd, const char *path)
{
    char buf[65536];
    ssize_t n;
    int size;

    size = snprintf(buf, sizeof buf, "GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n", path);
    if (write(fd, buf, (size_t)size) != size)
        return -1;
    while ((n = read(fd, buf, sizeof buf)) > 0)
        fwrite(buf, 1, (size_t)n, stdout);
    close(fd);
    return (int)n;
}

static int submit_all(struct fdial *d, const char *target, int n)
{
    struct fdial_request *request;
    int r;

    r = fdial_request_new(&request, target);
    for (int i = 0; r == 0 && i < n; i++)
        r = fdial_submit(d, request, (uint64_t)i);
    fdial_request_free(request);
    return r;
}

static int take_all(struct fdial *d, int n, int *fds)
{
    for (int i = 0; i < n; i++) {
        struct fdial_result *result;
        int r = fdial_next(d, &result, 30000);

        if (r <= 0)
            return r < 0 ? r : -1;
        r = fdial_result_error(result);
        if (r == 0)
            fds[fdial_result_id(result)] = fdial_result_take_fd(result, 0);
        else
            fprintf(stderr, "library-client: %s\n", fdial_result_message(result));
        fdial_result_free(result);
        if (r < 0)
            return r;
    }
    return 0;
}

static int use_session(const char *target, char **paths, int n)
{
    int *fds = calloc((size_t)n, sizeof *fds);
    struct fdial *d;
    int r;

    if (!fds)
        return 1;
    r = fdial_open(&d, NULL);
    if (r < 0) {
        free(fds);
        return fail("fdial_open", r);
    }
    r = submit_all(d, target, n);
    if (r == 0)
        r = take_all(d, n, fds);
    for (int i = 0; r == 0 && i < n; i++)
        r = ask(fds[i], paths[i]);
    fdial_close(d);
    free(fds);
    return r < 0 ? fail(target, r) : 0;
}

int main(int argc, char **argv)
{
    int fd;

    if (argc > 3 && strcmp(argv[1], "-s") == 0)
        return use_session(argv[2], argv + 3, argc - 3);
    if (argc < 2)
        return 2;
    fd = fdial(argv[1]);
    if (fd < 0)
        return fail(argv[1], fd);
    return ask(fd, argc > 2 ? argv[2] : "/") < 0;
}
