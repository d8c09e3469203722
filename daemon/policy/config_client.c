/* `client` entries. Names are looked up when the configuration is read, so that a decision never
 * waits for a user database, and a user who comes later has to be let in by a reload. */
#include "daemon/policy/config_tree.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/cgroup.h"
#include "daemon/policy/policy.h"
#include "proto/cleanup.h"

#define LOOKUP_BUFFER_MIN 1024
#define LOOKUP_BUFFER_MAX (1024 * 1024) /* a group's members are in there */

/* One try with a buffer. Returns 0, or a positive errno; -1: no such name. */
typedef int lookup_fn(const char *name, char *buffer, size_t size, uint32_t *ret);

static int look_up_user(const char *name, char *buffer, size_t size, uint32_t *ret)
{
    struct passwd passwd;
    struct passwd *found = NULL;
    int r = getpwnam_r(name, &passwd, buffer, size, &found);

    if (r != 0 || !found)
        return r != 0 ? r : -1;
    *ret = found->pw_uid;
    return 0;
}

static int look_up_group(const char *name, char *buffer, size_t size, uint32_t *ret)
{
    struct group group;
    struct group *found = NULL;
    int r = getgrnam_r(name, &group, buffer, size, &found);

    if (r != 0 || !found)
        return r != 0 ? r : -1;
    *ret = found->gr_gid;
    return 0;
}

static int look_up(lookup_fn *fn, const char *name, uint32_t *ret)
{
    for (size_t size = LOOKUP_BUFFER_MIN; size <= LOOKUP_BUFFER_MAX; size *= 2) {
        CLEANUP(freep) char *buffer = malloc(size);
        int r;

        if (!buffer)
            return ENOMEM;
        r = fn(name, buffer, size, ret);
        if (r != ERANGE)
            return r;
    }
    return ERANGE;
}

/* getpwnam_r(3) lists what else than 0 may mean that there is no such name. */
static bool is_absent(int r)
{
    return r == -1 || r == ENOENT || r == ESRCH || r == EBADF || r == EPERM;
}

static int parse_name(const struct value *value, const char *name, const char *what, lookup_fn *fn,
                      uint32_t *ret, char *error)
{
    int r = look_up(fn, name, ret);

    if (r == 0)
        return 0;
    if (is_absent(r) && name[0] && strspn(name, "0123456789") == strlen(name))
        return config_refuse(error, &value->place,
                             "there is no %s '%.60s'; write %cid:%.60s for the number", what, name,
                             what[0], name);
    if (is_absent(r))
        return config_refuse(error, &value->place,
                             "there is no %s '%.60s'; make it, or remove it here", what, name);
    return config_refuse(error, &value->place, "cannot look up the %s '%.60s': %s", what, name,
                         strerror(r));
}

static int parse_id(const struct value *value, const char *text, uint32_t *ret, char *error)
{
    uint64_t id = 0;

    for (const char *c = text; *c; c++) {
        if (*c < '0' || *c > '9' || id > UINT32_MAX)
            id = UINT64_MAX;
        else
            id = id * 10 + (uint64_t)(*c - '0');
    }
    if (text[0] == '\0' || (text[0] == '0' && text[1]) || id >= UINT32_MAX)
        return config_refuse(error, &value->place,
                             "'%.60s' has no id of 0 to 4294967294, without leading zeros or sign",
                             value->text);
    *ret = (uint32_t)id;
    return 0;
}

static int parse_unit(const struct value *value, const char *name, char **ret, char *error)
{
    const char *problem = unit_check_name(name);

    if (problem)
        return config_refuse(error, &value->place, "'%.60s' names no unit: %s", value->text,
                             problem);
    *ret = strdup(name);
    return *ret ? 0 : config_fail(-ENOMEM, error, "out of memory");
}

static int parse_cgroup(const struct value *value, const char *path, char **ret, char *error)
{
    const char *problem = cgroup_check_path(path);

    if (!problem && strcmp(path, "/") == 0)
        problem = "everybody is below the root; name who is meant";
    if (problem)
        return config_refuse(error, &value->place, "'%.60s' names no cgroup: %s", value->text,
                             problem);
    *ret = strdup(path);
    return *ret ? 0 : config_fail(-ENOMEM, error, "out of memory");
}

int config_parse_group(const struct value *value, gid_t *ret, char error[CONFIG_ERROR_MAX])
{
    if (value->text[0] >= '0' && value->text[0] <= '9')
        return parse_id(value, value->text, ret, error);
    return parse_name(value, value->text, "group", look_up_group, ret, error);
}

static int check_id(const struct value *value, const struct client_match *client, char *error)
{
    if (client->name || client->id != IDENTITY_OVERFLOW_ID)
        return 0;
    return config_refuse(error, &value->place,
                         "'%.60s' has the id %d, which is also shown for "
                         "ids without a mapping and so matches nobody; "
                         "use another",
                         value->text, IDENTITY_OVERFLOW_ID);
}

int config_parse_client(const struct value *value, struct client_match *ret,
                        char error[CONFIG_ERROR_MAX])
{
    const char *colon = strchr(value->text, ':');
    size_t n = colon ? (size_t)(colon + 1 - value->text) : 0;
    struct client_match client = {0};
    int r;

    if (n == 5 && memcmp(value->text, "user:", n) == 0) {
        client.kind = CLIENT_UID;
        r = parse_name(value, colon + 1, "user", look_up_user, &client.id, error);
    } else if (n == 6 && memcmp(value->text, "group:", n) == 0) {
        client.kind = CLIENT_GID;
        r = parse_name(value, colon + 1, "group", look_up_group, &client.id, error);
    } else if (n == 4 && memcmp(value->text, "uid:", n) == 0) {
        client.kind = CLIENT_UID;
        r = parse_id(value, colon + 1, &client.id, error);
    } else if (n == 4 && memcmp(value->text, "gid:", n) == 0) {
        client.kind = CLIENT_GID;
        r = parse_id(value, colon + 1, &client.id, error);
    } else if (n == 5 && memcmp(value->text, "unit:", n) == 0) {
        client.kind = CLIENT_UNIT;
        r = parse_unit(value, colon + 1, &client.name, error);
    } else if (n == 7 && memcmp(value->text, "cgroup:", n) == 0) {
        client.kind = CLIENT_CGROUP;
        r = parse_cgroup(value, colon + 1, &client.name, error);
    } else {
        return config_refuse(error, &value->place,
                             "a client is user:NAME, uid:NUMBER, group:NAME, gid:NUMBER, "
                             "unit:NAME or cgroup:/PATH; '%.60s' is none",
                             value->text);
    }
    if (r == 0)
        r = check_id(value, &client, error);
    if (r == 0)
        *ret = client;
    return r;
}
