/* Connections that are handed over with kernel TLS, through the whole daemon, where the kernel is
 * played by the test (fake-ktls.h): what the client gets is the socket with the records on it, and
 * the keys say whether these are all there, from the first to the last. Nothing may be lost, come
 * twice, or stay behind in the daemon. */
#include <check.h>
#include <openssl/ssl.h>
#include <string.h>
#include <unistd.h>

#include "proto/cleanup.h"
#include "tests/lib/fake-ktls.h"
#include "tests/lib/ktls-run.h"

/* ---- what must come through ---- */

static void check_ktls(const struct tls_origin_script *script)
{
    struct ktls_run run;

    ktls_run_begin(&run, script, HANDOFF_KTLS);
    ktls_run_connect(&run);
    ck_assert_msg(run.n_fds == 1, "code %u: %.*s", run.result.code, (int)run.result.detail.n,
                  run.result.detail.data);
    ck_assert_uint_eq(run.result.handoff, HANDOFF_KTLS);
    ck_assert_uint_eq(run.result.handoff_reason.n, 0);
    ck_assert_uint_eq(fake_ktls_count(), 1);
    ktls_use_socket(script, run.fds[0]);
    ktls_check_origin(script, 1);
    ktls_run_end(&run);
}

START_TEST(test_much_both_ways)
{
    struct tls_origin_script script = ktls_script((enum tls_kernel_cipher)_i, 700000);

    check_ktls(&script);
}
END_TEST

START_TEST(test_glued_to_the_handshake)
{
    struct tls_origin_script script = ktls_script((enum tls_kernel_cipher)_i, 50000);

    script.is_early = kernel_kinds[_i].version == TLS1_3_VERSION;
    check_ktls(&script);
}
END_TEST

START_TEST(test_closed_right_behind_the_handshake)
{
    struct tls_origin_script script = ktls_script((enum tls_kernel_cipher)_i, 0);

    script.is_closing = true;
    check_ktls(&script);
    script.n_data = 100;
    check_ktls(&script);
}
END_TEST

START_TEST(test_byte_by_byte)
{
    struct tls_origin_script script = ktls_script((enum tls_kernel_cipher)_i, 100);

    script.chunk_size = 1;
    check_ktls(&script);
}
END_TEST

START_TEST(test_long_chain)
{
    struct tls_origin_script script = ktls_script((enum tls_kernel_cipher)_i, 1000);

    script.certificate = ktls_large_certificate();
    check_ktls(&script);
    script.chunk_size = 1000;
    check_ktls(&script);
}
END_TEST

START_TEST(test_hello_retry)
{
    struct tls_origin_script script = ktls_script(TLS_KERNEL_13_AES_128_GCM, 1000);

    script.groups = "P-521";
    check_ktls(&script);
    script.chunk_size = 1;
    check_ktls(&script);
}
END_TEST

START_TEST(test_starttls)
{
    struct tls_origin_script script = ktls_script((enum tls_kernel_cipher)_i, 1000);

    script.is_smtp = true;
    check_ktls(&script);
}
END_TEST

START_TEST(test_several_at_once)
{
    struct tls_origin_script script = ktls_script(TLS_KERNEL_13_AES_256_GCM, 20000);
    struct ktls_run run;

    ktls_run_begin(&run, &script, HANDOFF_KTLS);
    run.connect.count = 3;
    ktls_run_connect(&run);
    ck_assert_int_eq(run.n_fds, 3);
    ck_assert_uint_eq(run.result.handoff, HANDOFF_KTLS);
    ck_assert_uint_eq(fake_ktls_count(), 3);
    for (int i = 0; i < run.n_fds; i++)
        ktls_use_socket(&script, run.fds[i]);
    ktls_check_origin(&script, 3);
    ktls_run_end(&run);
}
END_TEST

/* ---- what stays behind ---- */

/* The secrets that the keys are made of. */
static void check_secrets_are_gone(void)
{
    const struct tls_origin_seen *seen = tls_origin_seen();
    char place[SECRET_PLACE_MAX];

    ck_assert_uint_gt(seen->n_secrets, 0);
    for (unsigned i = 0; i < seen->n_secrets; i++)
        ck_assert_msg(!secret_is_in_memory(seen->secrets[i], seen->secret_sizes[i], place),
                      "secret %u in %s", i, place);
}

/* A relay before it gets the tickets. */
START_TEST(test_resumed)
{
    struct tls_origin_script script = ktls_script((enum tls_kernel_cipher)_i, 50000);
    struct ktls_run run;

    ktls_run_begin(&run, &script, HANDOFF_RELAY);
    ktls_run_connect(&run);
    ck_assert_uint_eq(run.result.handoff, HANDOFF_RELAY);
    ktls_use_relay(&script, run.fds[0]);
    close(run.fds[0]);
    close(run.session);
    rig_wait_until_quiet();
    run.connect.handoff = HANDOFF_KTLS;
    ktls_run_connect(&run);
    ck_assert_uint_eq(run.result.handoff, HANDOFF_KTLS);
    ck_assert(run.result.is_resumed);
    while (counter_get(&rig_counters.requests_now) > 0)
        rig_turn();
    check_secrets_are_gone();
    ktls_use_socket(&script, run.fds[0]);
    ktls_check_origin(&script, 2);
    ktls_run_end(&run);
}
END_TEST

START_TEST(test_keys_are_forgotten)
{
    struct tls_origin_script script = ktls_script((enum tls_kernel_cipher)_i, 1000);
    char place[SECRET_PLACE_MAX];
    struct ktls_run run;
    struct fake_ktls k;

    ktls_run_begin(&run, &script, HANDOFF_KTLS);
    ktls_run_connect(&run);
    ck_assert_uint_eq(run.result.handoff, HANDOFF_KTLS);
    while (counter_get(&rig_counters.requests_now) > 0)
        rig_turn();
    ck_assert_msg(fake_ktls_keys_are_gone(place), "in %s", place);
    check_secrets_are_gone();
    /* while they are here they are found */
    fake_ktls_init(&k, run.fds[0]);
    ck_assert(!fake_ktls_keys_are_gone(place));
    fake_ktls_deinit(&k);
    ktls_run_end(&run);
}
END_TEST

/* With TLS 1.2 the keys of a resumed connection follow from the first one's secret, which a relay
 * has for as long as it lives. */
START_TEST(test_keys_are_not_a_relays)
{
    struct tls_origin_script script = ktls_script((enum tls_kernel_cipher)_i, 0);
    struct ktls_run run;
    int relay, session;

    ktls_run_begin(&run, &script, HANDOFF_RELAY);
    ktls_run_connect(&run);
    ck_assert_uint_eq(run.result.handoff, HANDOFF_RELAY);
    relay = run.fds[0];
    session = run.session;
    run.connect.handoff = HANDOFF_KTLS;
    ktls_run_connect(&run);
    ck_assert_uint_eq(run.result.handoff, HANDOFF_KTLS);
    while (counter_get(&rig_counters.requests_now) > 0)
        rig_turn();
    check_secrets_are_gone();
    close(session);
    close(relay);
    close(run.fds[0]);
    close(run.session);
    run.n_fds = 0;
    run.session = rig_client_open();
    ktls_run_end(&run);
}
END_TEST

static void add_tests(TCase *tcase)
{
    const int n = TLS_KERNEL_CIPHERS;

    tcase_add_loop_test(tcase, test_much_both_ways, 0, n);
    tcase_add_loop_test(tcase, test_glued_to_the_handshake, 0, n);
    tcase_add_loop_test(tcase, test_closed_right_behind_the_handshake, 0, n);
    tcase_add_loop_test(tcase, test_byte_by_byte, 0, n);
    tcase_add_loop_test(tcase, test_long_chain, 0, n);
    tcase_add_test(tcase, test_hello_retry);
    tcase_add_loop_test(tcase, test_starttls, 0, n);
    tcase_add_test(tcase, test_several_at_once);
    tcase_add_loop_test(tcase, test_resumed, TLS_KERNEL_13_AES_128_GCM, n);
    tcase_add_loop_test(tcase, test_keys_are_forgotten, 0, n);
    tcase_add_loop_test(tcase, test_keys_are_not_a_relays, 0, n);
}

int main(void)
{
    return ktls_run_suite("ktls", add_tests);
}
