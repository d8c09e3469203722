/* What the socket knows is asked when the session begins. The cgroup is in /proc, by the process
 * id, and costs 16 us more, so it is read when somebody first asks for it. What was read is the
 * holder's own only if the holder is alive afterwards. */
#include "daemon/front/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/base/cgroup.h"
#include "proto/cleanup.h"

#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59
#endif

#define PASSWD_BUFFER 16384
#define STATUS_SIZE   8192 /* of /proc/PID/status without the groups */

static int read_groups(int socket, gid_t **ret_groups, size_t *ret_n)
{
    socklen_t size = 64 * sizeof(gid_t);

    for (;;) {
        CLEANUP(freep) gid_t *groups = malloc(size > 0 ? size : 1);

        if (!groups)
            return -ENOMEM;
        if (getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, groups, &size) == 0) {
            *ret_groups = TAKE_PTR(groups);
            *ret_n = size / sizeof(gid_t);
            return 0;
        }
        /* On ERANGE the kernel says how much it needs. */
        if (errno != ERANGE || size > IDENTITY_GROUPS_MAX * sizeof(gid_t))
            return -errno;
    }
}

static struct identity *new_identity(const char *listener)
{
    struct identity *identity = calloc(1, sizeof *identity);

    if (identity) {
        identity->n_references = 1;
        identity->listener = listener;
    }
    return identity;
}

struct identity *identity_ref(struct identity *identity)
{
    identity->n_references++;
    return identity;
}

struct identity *identity_unref(struct identity *identity)
{
    if (!identity || --identity->n_references > 0)
        return NULL;
    free(identity->groups);
    free(identity->cgroup);
    free(identity->unit);
    free(identity);
    return NULL;
}

static void identity_unrefp(struct identity **identity)
{
    *identity = identity_unref(*identity);
}

int identity_new(struct identity **ret, int socket, const char *listener)
{
    CLEANUP(identity_unrefp) struct identity *identity = new_identity(listener);
    struct ucred creds;
    socklen_t size = sizeof creds;
    int r;

    if (!identity)
        return -ENOMEM;
    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &creds, &size) < 0)
        return -errno;
    r = read_groups(socket, &identity->groups, &identity->n_groups);
    if (r < 0)
        return r;
    identity->uid = creds.uid;
    identity->gid = creds.gid;
    *ret = TAKE_PTR(identity);
    return 0;
}

/* Returns false when it does not fit, too. */
static bool read_proc(pid_t pid, const char *name, char *buffer, size_t size, size_t *ret_n)
{
    char path[sizeof "/proc//cgroup" + 3 * sizeof pid];
    CLEANUP(fd_closep) int fd = -1;
    size_t n = 0;
    ssize_t r;

    snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    while ((r = read(fd, buffer + n, size - n)) > 0)
        n += (size_t)r;
    if (r < 0 || n == size)
        return false;
    *ret_n = n;
    return true;
}

/* The numbers of a line of /proc/PID/status. */
static const char *find_numbers(const char *status, const char *key)
{
    const char *line = strstr(status, key);

    return line ? line + strlen(key) : "";
}

/* The second of four is the effective id, as in SO_PEERCRED. */
static bool has_effective_id(const char *status, const char *key, uint32_t id)
{
    unsigned real, effective;

    return sscanf(find_numbers(status, key), "%u %u", &real, &effective) == 2 && effective == id;
}

/* In both places they are in the kernel's order. */
static bool has_groups(const char *status, const gid_t *groups, size_t n)
{
    const char *next = find_numbers(status, "\nGroups:");

    for (size_t i = 0; i < n; i++) {
        char *end;

        if (strtoul(next, &end, 10) != groups[i] || end == next)
            return false;
        next = end;
    }
    return next[strspn(next, "\t ")] == '\n';
}

bool identity_is_of(const struct identity *identity, struct holder *holder)
{
    size_t n, size = STATUS_SIZE + identity->n_groups * sizeof " 4294967295";
    CLEANUP(freep) char *status = malloc(size);

    if (!status || !read_proc(holder->pid, "status", status, size, &n) || !holder_look(holder))
        return false;
    status[n] = '\0';
    return has_effective_id(status, "\nUid:", identity->uid) &&
           has_effective_id(status, "\nGid:", identity->gid) &&
           has_groups(status, identity->groups, identity->n_groups);
}

void identity_read_cgroup(struct identity *identity, struct holder *holder)
{
    char text[CGROUP_FILE_MAX], path[CGROUP_PATH_MAX + 1], unit[UNIT_NAME_MAX + 1];
    size_t n;

    if (identity->has_cgroup || !holder->is_opener)
        return;
    identity->has_cgroup = true;
    if (!read_proc(holder->pid, "cgroup", text, sizeof text, &n) || !holder_look(holder) ||
        !cgroup_parse_file(text, n, path))
        return;
    identity->cgroup = strdup(path);
    if (identity->cgroup && cgroup_find_unit(path, unit))
        identity->unit = strdup(unit);
}

static bool parse_uid(const char *user, uid_t *ret)
{
    char *end;
    unsigned long uid;

    if (*user < '0' || *user > '9')
        return false;
    uid = strtoul(user, &end, 10);
    if (*end || uid >= UINT32_MAX)
        return false;
    *ret = (uid_t)uid;
    return true;
}

/* Rules may name a uid that no user database knows; its groups are then unknown as well. */
static int find_user(const char *user, struct passwd *ret, char *buffer, size_t size)
{
    struct passwd *found = NULL;
    uid_t uid = 0;
    bool is_uid = parse_uid(user, &uid);
    int r;

    if (is_uid)
        r = getpwuid_r(uid, ret, buffer, size, &found);
    else
        r = getpwnam_r(user, ret, buffer, size, &found);
    if (r != 0)
        return -r;
    if (found)
        return 0;
    if (!is_uid)
        return -ENOENT;
    *ret = (struct passwd){.pw_uid = uid, .pw_gid = IDENTITY_OVERFLOW_ID};
    return 0;
}

static int read_groups_of_user(const struct passwd *passwd, struct identity *identity)
{
    int n = 64;

    for (;;) {
        int size = n;

        free(TAKE_PTR(identity->groups));
        identity->groups = calloc((size_t)size, sizeof *identity->groups);
        if (!identity->groups)
            return -ENOMEM;
        if (getgrouplist(passwd->pw_name, passwd->pw_gid, identity->groups, &n) >= 0)
            break;
        if (n <= size || n > IDENTITY_GROUPS_MAX)
            return -ERANGE;
    }
    identity->n_groups = (size_t)n;
    return 0;
}

int identity_new_user(struct identity **ret, const char *user, const char *listener)
{
    CLEANUP(identity_unrefp) struct identity *identity = new_identity(listener);
    CLEANUP(freep) char *buffer = malloc(PASSWD_BUFFER);
    struct passwd passwd;
    int r;

    if (!identity || !buffer)
        return -ENOMEM;
    r = find_user(user, &passwd, buffer, PASSWD_BUFFER);
    if (r == 0 && passwd.pw_name)
        r = read_groups_of_user(&passwd, identity);
    if (r < 0)
        return r;
    identity->uid = passwd.pw_uid;
    identity->gid = passwd.pw_gid;
    *ret = TAKE_PTR(identity);
    return 0;
}

/* Adds what fits; *n grows by all of it. */
static void __attribute__((format(printf, 3, 4)))
add(char *text, size_t *n, const char *format, ...)
{
    size_t left = *n <= IDENTITY_TEXT_MAX ? IDENTITY_TEXT_MAX + 1 - *n : 0;
    va_list args;

    va_start(args, format);
    *n += (size_t)vsnprintf(left > 0 ? text + *n : NULL, left, format, args);
    va_end(args);
}

void identity_format(const struct identity *identity, char ret_text[IDENTITY_TEXT_MAX + 1])
{
    size_t n = 0;

    add(ret_text, &n, "uid %u gid %u", identity->uid, identity->gid);
    for (size_t i = 0; i < identity->n_groups && i < IDENTITY_TEXT_GROUPS; i++)
        add(ret_text, &n, "%s%u", i == 0 ? " groups " : ",", identity->groups[i]);
    if (identity->n_groups > IDENTITY_TEXT_GROUPS)
        add(ret_text, &n, ",...");
    if (identity->unit)
        add(ret_text, &n, " unit %s", identity->unit);
    if (identity->listener)
        add(ret_text, &n, " socket %s", identity->listener);
    if (identity->cgroup)
        add(ret_text, &n, " cgroup %s", identity->cgroup);
    if (n > IDENTITY_TEXT_MAX)
        strcpy(ret_text + IDENTITY_TEXT_MAX - 3, "...");
    for (char *c = ret_text; *c; c++) {
        if (*c < 0x20 || *c >= 0x7f)
            *c = '?';
    }
}
