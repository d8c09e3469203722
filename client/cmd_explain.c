/* fdial explain: what the daemon would do. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "client/dial.h"
#include "proto/cleanup.h"

static void print_line(const char *key, const char *value)
{
    printf("%s: ", key);
    print_escaped(stdout, value, strlen(value));
    putchar('\n');
}

static int explain_denial(const char *target, int error, const char *rule, const char *reason)
{
    CLEANUP(freep) char *shown_rule = escape_text(rule, strlen(rule));
    CLEANUP(freep) char *shown = escape_text(reason, strlen(reason));
    struct problem problem;
    int status = error == -EACCES ? EXIT_DENIED : error == -EINVAL ? EXIT_USAGE : EXIT_CONNECTION;
    const char *stage = status == EXIT_DENIED ? "policy" : "request";

    fflush(stdout);
    if (*rule)
        problem_set(&problem, status, stage, "%s (rule %s)", shown, shown_rule);
    else
        problem_set(&problem, status, stage, "%s", shown);
    return report(target, &problem);
}

static int explain(struct fdial *d, const char *target, const struct options *o,
                   const char *subject)
{
    CLEANUP(freep) char *who = NULL, *rule = NULL, *plan = NULL;
    int error = 0, r;

    r = fdial_explain(d, target, o->as_user, &error, &who, &rule, &plan);
    if (r == -EACCES)
        return report_error(EXIT_DENIED, subject, "policy: only root may ask for other users");
    if (r == -EINVAL) /* the target was looked at before */
        return report_error(EXIT_USAGE, subject, "request: --as takes a user's name or number");
    if (r < 0)
        return report_error(exit_status_of(r), subject, "daemon: %s", strerror(-r));
    if (*who)
        print_line("client", who);
    if (error < 0)
        return explain_denial(subject, error, rule, plan);
    print_line("rule", rule);
    print_line("plan", plan);
    return fflush(stdout) == 0 ? EXIT_DONE : EXIT_CONNECTION;
}

int cmd_explain(const struct command *command, int argc, char **argv)
{
    CLEANUP(options_deinit) struct options o;
    CLEANUP(session_closep) struct fdial *d = NULL;
    CLEANUP(freep) char *target = NULL;
    struct problem problem;
    int first, status;

    if (!options_parse(&o, command, argc, argv, &first, &status))
        return status;
    if (argc - first != 1)
        return usage_error(command, "one target is needed");
    status = dial_check_target(argv[first], &target, &problem);
    if (status == EXIT_DONE)
        status = dial_open(&o, &d, &problem);
    if (status != EXIT_DONE)
        return report(argv[first], &problem);
    return explain(d, target, &o, argv[first]);
}
