/* A path counts from the root, because below the parts that systemd itself has made the owner of a
 * cgroup names new ones as he likes: a user's own /user.slice/…/user@1000.service/ci.service is
 * user@1000.service and not ci.service. So the unit is found as systemd finds it
 * (cg_path_get_unit): slices are passed by, the next part is it. What the kernel shows of a cgroup
 * outside of the daemon's namespace begins with "/..", and what it shows of a removed one ends in "
 * (deleted)": both could be anything. */
#include "daemon/base/cgroup.h"

#include <stdint.h>
#include <string.h>

#include "proto/cleanup.h"

#define DELETED " (deleted)"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

static const char unit_chars[] = LETTERS "0123456789:-_.\\@";

static bool has_end(const char *text, size_t n, const char *end)
{
    size_t n_end = strlen(end);

    return n >= n_end && memcmp(text + n - n_end, end, n_end) == 0;
}

/* Its suffix, dot included, of a name with the right characters; else NULL. */
static const char *find_suffix(const char *name, size_t n, const char **ret_error)
{
    const char *dot = memrchr(name, '.', n);
    const char *at = memchr(name, '@', n);

    *ret_error = NULL;
    if (n > UNIT_NAME_MAX)
        *ret_error = "it is longer than 255 characters";
    else if (strspn(name, unit_chars) < n)
        *ret_error = "it has characters that a unit's name cannot have";
    else if (!dot || dot == name || at == name)
        *ret_error = "it needs a name and a suffix, like build.service";
    else if (at && at + 1 == dot)
        *ret_error = "it is a template: name an instance, like build@1.service";
    return *ret_error ? NULL : dot;
}

static bool is_word(const char *text, size_t n, const char *word)
{
    return n == strlen(word) && memcmp(text, word, n) == 0;
}

const char *unit_check_name(const char *name)
{
    static const char *const suffixes[] = {".service", ".scope", ".socket", ".mount", ".swap"};
    const char *error;
    const char *suffix = find_suffix(name, strlen(name), &error);

    if (!suffix)
        return error;
    for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++)
        if (strcmp(suffix, suffixes[i]) == 0)
            return NULL;
    if (strcmp(suffix, ".slice") == 0)
        return "a slice is no unit with processes; write cgroup:/ and its path";
    return "its suffix is none of .service .scope .socket .mount .swap";
}

static bool is_slice(const char *name, size_t n)
{
    const char *error;
    const char *suffix = find_suffix(name, n, &error);

    return suffix && is_word(suffix, n - (size_t)(suffix - name), ".slice");
}

bool cgroup_find_unit(const char *path, char ret_unit[UNIT_NAME_MAX + 1])
{
    char unit[UNIT_NAME_MAX + 1];

    while (*path == '/') {
        const char *part = path + 1;
        size_t n = strcspn(part, "/");

        path = part + n;
        /* systemd puts it before names that could be files of the kernel's. */
        if (n > 0 && *part == '_') {
            part++;
            n--;
        }
        if (is_slice(part, n))
            continue;
        if (n > UNIT_NAME_MAX)
            return false;
        memcpy(unit, part, n);
        unit[n] = '\0';
        if (unit_check_name(unit))
            return false;
        memcpy(ret_unit, unit, n + 1);
        return true;
    }
    return false;
}

const char *cgroup_check_path(const char *path)
{
    size_t n = strlen(path);

    if (*path != '/')
        return "it has to begin with /, the root of all cgroups";
    if (n > CGROUP_PATH_MAX)
        return "it is longer than 4095 bytes";
    if (has_end(path, n, DELETED))
        return "the kernel shows such a name for cgroups that are no more";
    if (strchr(path, '\n'))
        return "a cgroup's name has no line break";
    for (const char *part = path; *part == '/';) {
        size_t n_part = strcspn(++part, "/");

        if (n_part == 0 && n > 1)
            return "it has an empty part, or a / at its end";
        if (is_word(part, n_part, ".") || is_word(part, n_part, ".."))
            return "it has a part . or ..";
        part += n_part;
    }
    return NULL;
}

bool cgroup_is_within(const char *path, const char *top)
{
    size_t n = strlen(top);

    if (n == 1)
        return true;
    return strncmp(path, top, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

/* What follows "number:controllers:" in a line without its end; NULL: another hierarchy. */
static const char *find_path(const char *line, size_t n, const char *controllers)
{
    const char *first = memchr(line, ':', n);
    const char *second = first ? memchr(first + 1, ':', n - (size_t)(first + 1 - line)) : NULL;

    if (!second || !is_word(first + 1, (size_t)(second - first) - 1, controllers))
        return NULL;
    return second + 1;
}

/* False: there is no such hierarchy. An empty path is one that is not to be trusted. */
static bool find_hierarchy(const char *text, size_t n, const char *controllers,
                           char ret_path[CGROUP_PATH_MAX + 1])
{
    for (const char *line = text, *end; (end = memchr(line, '\n', n)); line = end + 1) {
        size_t n_line = (size_t)(end - line);
        const char *path = find_path(line, n_line, controllers);
        size_t n_path = path ? (size_t)(end - path) : 0;

        n -= n_line + 1;
        if (!path)
            continue;
        if (n_path > CGROUP_PATH_MAX)
            n_path = 0;
        memcpy(ret_path, path, n_path);
        ret_path[n_path] = '\0';
        if (strlen(ret_path) < n_path || cgroup_check_path(ret_path))
            ret_path[0] = '\0';
        return true;
    }
    return false;
}

bool cgroup_parse_file(const char *text, size_t n, char ret_path[CGROUP_PATH_MAX + 1])
{
    char path[CGROUP_PATH_MAX + 1] = "";
    bool has_path = find_hierarchy(text, n, "", path);

    /* With cgroup v1 alone the other hierarchy is not mounted, and everybody in its root. */
    if (!has_path || strcmp(path, "/") == 0)
        find_hierarchy(text, n, "name=systemd", path);
    if (!path[0])
        return false;
    strcpy(ret_path, path);
    return true;
}
