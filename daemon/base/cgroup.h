/* Names of control groups and of systemd's units: cgroups(7), proc_pid_cgroup(5), systemd.unit(5).
 * Texts only; nothing is read here. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define CGROUP_PATH_MAX 4095        /* as long as the kernel shows one */
#define CGROUP_FILE_MAX (16 * 1024) /* of /proc/PID/cgroup; with cgroup v1 it has several lines */
#define UNIT_NAME_MAX   255         /* UNIT_NAME_MAX of systemd, without the NUL */

/* The path from the root, in the hierarchy that systemd uses, out of the text of /proc/PID/cgroup.
 * False: there is none, or none to be trusted. */
bool cgroup_parse_file(const char *text, size_t n, char ret_path[CGROUP_PATH_MAX + 1]);
/* The system unit that a path belongs to: its first part that is no slice. False: none. */
bool cgroup_find_unit(const char *path, char ret_unit[UNIT_NAME_MAX + 1]);
/* Whether `path` is `top` or below it. */
bool cgroup_is_within(const char *path, const char *top);
/* NULL: it is the path of a cgroup in its only form. Otherwise what is wrong with it. */
const char *cgroup_check_path(const char *path);
/* NULL: it is the name of a unit that can have processes. Otherwise what is wrong with it. */
const char *unit_check_name(const char *name);
