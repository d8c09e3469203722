/* fdial status: the daemon's "key=value" lines, as they are or as one JSON object; or its metrics.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "client/dial.h"
#include "proto/cleanup.h"

#define NUMBER_DIGITS_MAX 18 /* fits json_int_t */

/* Plain decimal numbers become numbers, all else strings. */
static json_t *value_to_json(const char *value)
{
    size_t n = strlen(value);
    CLEANUP(freep) char *escaped = NULL;

    if (n > 0 && n <= NUMBER_DIGITS_MAX && strspn(value, "0123456789") == n &&
        (value[0] != '0' || n == 1))
        return json_integer(strtoll(value, NULL, 10));
    escaped = escape_text(value, n);
    return json_string(escaped);
}

static int print_json(char *lines)
{
    json_t *object = json_object();
    char *line;
    int r = 0;

    while (r == 0 && (line = strsep(&lines, "\n"))) {
        char *value = strchr(line, '=');

        if (!value)
            continue;
        *value++ = '\0';
        r = json_object_set_new(object, line, value_to_json(value));
    }
    if (r == 0)
        r = json_dumpf(object, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(object);
    return r;
}

static void print_text(char *lines)
{
    char *line;

    while ((line = strsep(&lines, "\n"))) {
        if (!*line)
            continue;
        print_escaped(stdout, line, strlen(line));
        putchar('\n');
    }
}

int cmd_status(const struct command *command, int argc, char **argv)
{
    CLEANUP(options_deinit) struct options o;
    CLEANUP(session_closep) struct fdial *d = NULL;
    CLEANUP(freep) char *lines = NULL;
    struct problem problem;
    int first, status, r;

    if (!options_parse(&o, command, argc, argv, &first, &status))
        return status;
    if (argc != first)
        return usage_error(command, "no argument is expected");
    if (o.is_json && o.is_openmetrics)
        return usage_error(command, "--json or --openmetrics, not both");
    status = dial_open(&o, &d, &problem);
    if (status != EXIT_DONE)
        return report("status", &problem);
    r = o.is_openmetrics ? fdial_metrics(d, &lines) : fdial_status(d, &lines);
    if (r < 0)
        return report_error(exit_status_of(r), "status", "daemon: %s", strerror(-r));
    if (o.is_openmetrics)
        r = fputs(lines, stdout);
    else if (o.is_json)
        r = print_json(lines);
    else
        print_text(lines);
    return r >= 0 && fflush(stdout) == 0 ? EXIT_DONE : EXIT_CONNECTION;
}
