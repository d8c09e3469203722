/* The end of main() in each test program. */
#pragma once

#include <check.h>
#include <stdlib.h>

#include "tests/lib/valgrind.h"

static inline int suite_run_as(Suite *suite, enum fork_status forks)
{
    SRunner *runner = srunner_create(suite);
    int n_failed;

    srunner_set_fork_status(runner, forks);
    srunner_run_all(runner, CK_ENV);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* Runs the suite and frees it. Returns the exit status. CK_VERBOSITY says how much is printed. */
static inline int suite_run(Suite *suite)
{
    return suite_run_as(suite, CK_FORK_GETENV);
}

/* For tests that leave nothing behind in the process: under valgrind, where each process more costs
 * a search for leaks in all that OpenSSL has, they share one. */
static inline int suite_run_sharing(Suite *suite)
{
    return suite_run_as(suite, is_under_valgrind() ? CK_NOFORK : CK_FORK_GETENV);
}
