/* Each operation of a connection with kernel TLS fails in its turn. What the client gets as ktls is
 * whole all the same, since the daemon has no part in it any more. */
#include <check.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/cleanup.h"
#include "tests/lib/fake-ktls.h"
#include "tests/lib/front-walk.h"
#include "tests/lib/ktls-run.h"

#define OPS_MIN 10

static enum handoff expected; /* where nothing fails */
static struct fake_ktls_refusals refused;

static void read_to_the_end(int fd)
{
    char data[256];
    ssize_t n;

    shutdown(fd, SHUT_WR);
    while ((n = recv(fd, data, sizeof data, MSG_DONTWAIT)) > 0 || (n < 0 && errno == EAGAIN))
        if (n < 0)
            rig_turn();
}

static bool run_once(void *data)
{
    struct ktls_run *run = data;
    bool is_good;

    rig_be_patient();
    fake_ktls_reset();
    fake_ktls_refusals = refused;
    run->session = rig_client_open();
    rig_client_connect(run->session, &run->connect);
    run->n_fds = rig_client_result(run->session, &run->result, run->fds);
    is_good = run->n_fds == 1 && run->result.handoff == expected;
    if (run->n_fds > 0) {
        if (run->result.handoff == HANDOFF_KTLS)
            ktls_use_socket(&run->script, run->fds[0]);
        else
            read_to_the_end(run->fds[0]);
        close(run->fds[0]);
    }
    fd_close(run->session);
    rig_wait_until_quiet();
    return is_good;
}

static void walk(enum tls_kernel_cipher cipher, unsigned accepted)
{
    struct tls_origin_script script = ktls_script(cipher, 100);
    struct ktls_run run;

    ktls_is_resuming = false; /* all is freed */
    ktls_run_begin(&run, &script, accepted);
    rig_walk(run_once, &run, OPS_MIN);
    rig_stop();
    tls_origin_stop();
}

START_TEST(test_socket)
{
    expected = HANDOFF_KTLS;
    walk((enum tls_kernel_cipher)_i, HANDOFF_KTLS);
}
END_TEST

START_TEST(test_socket_or_relay)
{
    expected = HANDOFF_KTLS;
    walk(TLS_KERNEL_13_AES_128_GCM, HANDOFF_KTLS | HANDOFF_RELAY);
}
END_TEST

START_TEST(test_relay_instead)
{
    expected = HANDOFF_RELAY;
    refused.rx = EINVAL;
    walk(TLS_KERNEL_13_AES_128_GCM, HANDOFF_KTLS | HANDOFF_RELAY);
}
END_TEST

static void add_tests(TCase *tcase)
{
    tcase_add_loop_test(tcase, test_socket, TLS_KERNEL_12_CHACHA20_POLY1305,
                        TLS_KERNEL_13_AES_128_GCM + 1);
    tcase_add_test(tcase, test_socket_or_relay);
    tcase_add_test(tcase, test_relay_instead);
}

int main(int argc, char **argv)
{
    (void)argc;
    rig_walk_prepare(argv);
    return ktls_run_suite("ktls-faults", add_tests);
}
