/* Messages to a stderr that nobody reads: none waits, and what is missing is told. */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/log.h"
#include "tests/lib/suite.h"

#define TIMEOUT_S 60

static char said[65536 * 2];

/* Writes until it is full. Returns its end to read from. */
static int make_full_stderr(void)
{
    char junk[4096];
    int pipe_fds[2];

    memset(junk, 'x', sizeof junk);
    ck_assert_int_eq(pipe2(pipe_fds, O_NONBLOCK), 0);
    while (write(pipe_fds[1], junk, sizeof junk) > 0)
        ;
    ck_assert_int_eq(fcntl(pipe_fds[1], F_SETFL, 0), 0);
    ck_assert_int_eq(dup2(pipe_fds[1], STDERR_FILENO), STDERR_FILENO);
    close(pipe_fds[1]);
    return pipe_fds[0];
}

/* All that is there, without the junk. */
static const char *read_all(int fd)
{
    size_t n = 0;
    ssize_t got;

    while ((got = read(fd, said + n, sizeof said - 1 - n)) > 0)
        n += (size_t)got;
    said[n] = '\0';
    return said + strspn(said, "x");
}

START_TEST(test_full)
{
    int fd = make_full_stderr();

    log_init(LOG_LEVEL_INFO);
    log_error("one");
    log_info("two");
    log_debug("not at this level");
    ck_assert(!log_write_line("three\n", 6));
    ck_assert_str_eq(read_all(fd), "");
    log_info("four");
    log_info("five");
    ck_assert_str_eq(read_all(fd), "fdiald: 2 messages left out, as nobody has read them\n"
                                   "fdiald: four\nfdiald: five\n");
    ck_assert(log_write_line("six\n", 4));
    ck_assert_str_eq(read_all(fd), "six\n");
    close(fd);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("log");
    TCase *test = tcase_create("log");

    unsetenv("JOURNAL_STREAM");
    tcase_set_timeout(test, TIMEOUT_S);
    tcase_add_test(test, test_full);
    suite_add_tcase(suite, test);
    return suite_run(suite);
}
