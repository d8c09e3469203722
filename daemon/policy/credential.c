/* The service manager's folder is taken as it is: systemd mounts it for this unit alone, read-only,
 * with files of mode 0400 that belong to the unit's user, or of mode 0440 with an access list for
 * him. In ours, a file that belongs to somebody else, or that everybody may read, is a mistake: the
 * secret is one no longer, or somebody may exchange it. A group may read, which is how a daemon
 * that is not root comes to see a file of root's.
 *
 * The buffer is never moved, so that no copy is left behind: it has the size that the file says,
 * and one byte to notice that there is more. */
#include "daemon/policy/credential.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/cleanup.h"

struct place {
    const char *directory;
    const char *name;
    char *error;
};

__attribute__((format(printf, 3, 4))) static int refuse(const struct place *place, int code,
                                                        const char *format, ...)
{
    int n = snprintf(place->error, CREDENTIAL_ERROR_MAX, "credential %s/%.60s ", place->directory,
                     place->name);
    va_list args;

    if (n < 0 || n >= CREDENTIAL_ERROR_MAX)
        return code;
    va_start(args, format);
    vsnprintf(place->error + n, CREDENTIAL_ERROR_MAX - (size_t)n, format, args);
    va_end(args);
    return code;
}

static bool is_name(const char *name)
{
    size_t n = strlen(name);

    return n > 0 && n <= CREDENTIAL_NAME_MAX && !strchr(name, '/') && strcmp(name, ".") != 0 &&
           strcmp(name, "..") != 0;
}

static int check_private(const struct place *place, const struct stat *st)
{
    if (st->st_uid != 0 && st->st_uid != geteuid())
        return refuse(place, -EPERM,
                      "belongs to uid %u, who could change it; use chown to give it to root",
                      (unsigned)st->st_uid);
    if (st->st_mode & S_IRWXO)
        return refuse(place, -EPERM, "is open to everybody (mode %04o); use chmod o=",
                      (unsigned)st->st_mode & 07777);
    if (st->st_mode & S_IWGRP)
        return refuse(place, -EPERM, "can be changed by its group (mode %04o); use chmod g-w",
                      (unsigned)st->st_mode & 07777);
    return 0;
}

static int check_file(const struct place *place, const struct stat *st)
{
    if (!S_ISREG(st->st_mode))
        return refuse(place, -EINVAL, "is no regular file");
    if (st->st_size == 0)
        return refuse(place, -EINVAL, "is empty");
    if (st->st_size > CREDENTIAL_MAX)
        return refuse(place, -EINVAL, "has more than %d bytes", CREDENTIAL_MAX);
    return 0;
}

static int read_all(const struct place *place, int fd, size_t size, struct credential *credential)
{
    credential->data = malloc(size + 1);
    if (!credential->data)
        return refuse(place, -ENOMEM, "cannot be read: out of memory");
    while (credential->n <= size) {
        ssize_t r = read(fd, credential->data + credential->n, size + 1 - credential->n);

        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return refuse(place, -errno, "cannot be read: %s", strerror(errno));
        if (r == 0)
            break;
        credential->n += (size_t)r;
    }
    if (credential->n != size)
        return refuse(place, -EAGAIN, "was written to while it was read; try again");
    credential->data[size] = '\0';
    return 0;
}

static int refuse_to_open(const struct place *place)
{
    int code = -errno;

    if (code == -EACCES)
        return refuse(place, code, "cannot be opened: %s; let uid %u, who is the daemon, read it",
                      strerror(-code), (unsigned)geteuid());
    return refuse(place, code, "cannot be opened: %s", strerror(-code));
}

static int open_file(const struct place *place, int *ret_fd)
{
    CLEANUP(fd_closep) int dir_fd = -1;
    int fd;

    if (!is_name(place->name)) {
        snprintf(place->error, CREDENTIAL_ERROR_MAX,
                 "a credential is the name of a file in %s, without '/'; '%.60s' is none",
                 place->directory, place->name);
        return -EINVAL;
    }
    dir_fd = open(place->directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0)
        return refuse_to_open(place);
    fd = openat(dir_fd, place->name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return refuse_to_open(place);
    *ret_fd = fd;
    return 0;
}

static int read_file(struct credential *ret, const struct place *place, bool is_private)
{
    CLEANUP(credential_deinit) struct credential credential = {0};
    CLEANUP(fd_closep) int fd = -1;
    struct stat st;
    int r = open_file(place, &fd);

    if (r < 0)
        return r;
    if (fstat(fd, &st) < 0)
        return refuse(place, -errno, "cannot be looked at: %s", strerror(errno));
    r = check_file(place, &st);
    if (r == 0 && is_private)
        r = check_private(place, &st);
    if (r == 0)
        r = read_all(place, fd, (size_t)st.st_size, &credential);
    if (r < 0)
        return r;
    *ret = credential;
    credential = (struct credential){0};
    return 0;
}

int credential_read_private(struct credential *ret, const char *directory, const char *name,
                            char error[CREDENTIAL_ERROR_MAX])
{
    struct place place = {directory, name, error};

    return read_file(ret, &place, true);
}

int credential_read(struct credential *ret, const char *name, char error[CREDENTIAL_ERROR_MAX])
{
    const char *directory = getenv("CREDENTIALS_DIRECTORY");
    struct place place = {directory, name, error};

    if (!directory)
        return credential_read_private(ret, CREDENTIAL_DIRECTORY, name, error);
    if (directory[0] != '/') {
        snprintf(error, CREDENTIAL_ERROR_MAX,
                 "CREDENTIALS_DIRECTORY is set to '%.60s', which is no absolute path", directory);
        return -EINVAL;
    }
    return read_file(ret, &place, false);
}

char *credential_path(const char *name)
{
    const char *directory = getenv("CREDENTIALS_DIRECTORY");
    char *path;

    return asprintf(&path, "%s/%s", directory ? directory : CREDENTIAL_DIRECTORY, name) < 0 ? NULL
                                                                                            : path;
}

void credential_deinit(struct credential *credential)
{
    if (credential->data)
        explicit_bzero(credential->data, credential->n);
    free(TAKE_PTR(credential->data));
    credential->n = 0;
}

struct text credential_text(const struct credential *credential)
{
    size_t n = credential->n;

    if (n > 0 && credential->data[n - 1] == '\n')
        n--;
    return (struct text){credential->data, n};
}
