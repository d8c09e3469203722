/* The configuration is trusted, so whoever could write it must be: root, or the user that the
 * daemon runs as. Files are opened without blocking, because a FIFO may stand in their place. */
#include "daemon/policy/config_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/cleanup.h"

static int check_owner(const struct stat *st, const char *name, char *error)
{
    if (st->st_uid != 0 && st->st_uid != geteuid())
        return config_fail(
            -EINVAL, error,
            "%s: belongs to uid %u, who could change the rules; use chown to give it to "
            "root",
            name, (unsigned)st->st_uid);
    if (st->st_mode & (S_IWGRP | S_IWOTH))
        return config_fail(
            -EINVAL, error,
            "%s: can be written by others than its owner (mode %04o); use chmod go-w", name,
            (unsigned)st->st_mode & 07777);
    return 0;
}

/* -ENOENT is kept for what is really absent, since that may be no error: a link to nowhere is one.
 */
static int refuse_open(int dir_fd, const char *name, const char *shown_name, char *error)
{
    int r = -errno;
    struct stat st;

    if (r == -ENOENT && fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        r = -EINVAL;
    return config_fail(r, error, "%s: cannot open: %s", shown_name,
                       r == -EINVAL ? "it is a link to nothing" : strerror(-r));
}

static int read_all(int fd, const char *name, char **ret, size_t *ret_n, char *error)
{
    CLEANUP(freep) char *text = malloc(CONFIG_FILE_MAX + 1);
    size_t n = 0;

    if (!text)
        return config_fail(-ENOMEM, error, "%s: out of memory", name);
    while (n <= CONFIG_FILE_MAX) {
        ssize_t r = read(fd, text + n, CONFIG_FILE_MAX + 1 - n);

        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return config_fail(-errno, error, "%s: cannot read: %s", name, strerror(errno));
        if (r == 0)
            break;
        n += (size_t)r;
    }
    if (n > CONFIG_FILE_MAX)
        return config_fail(-EINVAL, error, "%s: is larger than %d bytes; split it into drop-ins",
                           name, CONFIG_FILE_MAX);
    *ret = TAKE_PTR(text);
    *ret_n = n;
    return 0;
}

static int read_file(int dir_fd, const char *name, const char *shown_name, char **ret,
                     size_t *ret_n, char error[CONFIG_ERROR_MAX])
{
    CLEANUP(fd_closep)
    int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    int r;

    if (fd < 0)
        return refuse_open(dir_fd, name, shown_name, error);
    if (fstat(fd, &st) < 0)
        return config_fail(-errno, error, "%s: %s", shown_name, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return config_fail(-EINVAL, error, "%s: is no regular file; write the configuration to one",
                           shown_name);
    r = check_owner(&st, shown_name, error);
    return r < 0 ? r : read_all(fd, shown_name, ret, ret_n, error);
}

static int check_directory(int fd, const char *name, char *error)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return config_fail(-errno, error, "%s: %s", name, strerror(errno));
    return check_owner(&st, name, error);
}

static int add_file(struct config_tree *tree, int dir_fd, const char *name, const char *shown_name,
                    char *error)
{
    CLEANUP(freep) char *text = NULL;
    size_t n = 0;
    int r = read_file(dir_fd, name, shown_name, &text, &n, error);

    return r < 0 ? r : config_tree_add(tree, shown_name, text, n, error);
}

static int is_drop_in(const struct dirent *entry)
{
    size_t n = strlen(entry->d_name);

    return entry->d_name[0] != '.' && n > 5 && strcmp(entry->d_name + n - 5, ".conf") == 0;
}

/* alphasort(3) would go by the locale. */
static int compare_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int add_drop_in(struct config_tree *tree, int dir_fd, const char *dir, const char *name,
                       char *error)
{
    CLEANUP(freep) char *shown_name = NULL;
    int r;

    if (asprintf(&shown_name, "%s/%s", dir, name) < 0) {
        shown_name = NULL;
        return config_fail(-ENOMEM, error, "out of memory");
    }
    r = add_file(tree, dir_fd, name, shown_name, error);
    return r == -ENOENT ? -EINVAL : r; /* it was listed a moment ago */
}

static int add_drop_ins(struct config_tree *tree, const char *dir, char *error)
{
    CLEANUP(fd_closep) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct dirent **entries;
    int r;
    int n;

    if (fd < 0) {
        r = refuse_open(AT_FDCWD, dir, dir, error);
        return r == -ENOENT ? 0 : r;
    }
    r = check_directory(fd, dir, error);
    if (r < 0)
        return r;
    n = scandirat(fd, ".", &entries, is_drop_in, compare_bytes);
    if (n < 0)
        return config_fail(-errno, error, "%s: cannot list: %s", dir, strerror(errno));
    if (n > CONFIG_FILES_MAX)
        r = config_fail(-EINVAL, error, "%s: has more than %d files; join some", dir,
                        CONFIG_FILES_MAX);
    for (int i = 0; i < n; i++) {
        if (r == 0)
            r = add_drop_in(tree, fd, dir, entries[i]->d_name, error);
        free(entries[i]);
    }
    free(entries);
    return r;
}

int config_tree_load(struct config_tree *tree, const char *path, char error[CONFIG_ERROR_MAX])
{
    CLEANUP(freep) char *dir = NULL;
    char missing[CONFIG_ERROR_MAX];
    bool is_missing;
    int r;

    if (asprintf(&dir, "%s.d", path) < 0) {
        dir = NULL;
        return config_fail(-ENOMEM, error, "out of memory");
    }
    r = add_file(tree, AT_FDCWD, path, path, error);
    if (r < 0 && r != -ENOENT)
        return r;
    is_missing = r == -ENOENT;
    if (is_missing)
        memcpy(missing, error, sizeof missing);
    r = add_drop_ins(tree, dir, error);
    if (r < 0 || !is_missing)
        return r;
    /* Without a configuration a user's own daemon allows him everything: drop-ins must not be lost.
     */
    if (tree->n_files > 0)
        return config_fail(
            -EINVAL, error,
            "%s: is missing, but there are drop-ins in %s; make it, an empty file will "
            "do",
            path, dir);
    memcpy(error, missing, sizeof missing);
    return -ENOENT;
}
