/* Connections that were to be handed over with kernel TLS, and the kernel refuses a part of it: a
 * relay goes on with all that has come, or the client is told why it gets nothing. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/log.h"
#include "proto/cleanup.h"
#include "tests/lib/fake-ktls.h"
#include "tests/lib/ktls-run.h"

#define KTLS_RELAY (HANDOFF_KTLS | HANDOFF_RELAY)

static bool has_text(struct text text, const char *part)
{
    return text.n > 0 && memmem(text.data, text.n, part, strlen(part));
}

static const int refusals[] = {ENOENT, EINVAL, EBUSY, ENOMEM, ENOTCONN};

static void check_relay(const struct tls_origin_script *script,
                        const struct fake_ktls_refusals *refused, const char *reason)
{
    struct ktls_run run;

    ktls_run_begin(&run, script, KTLS_RELAY);
    fake_ktls_refusals = *refused;
    ktls_run_connect(&run);
    ck_assert_int_eq(run.n_fds, 1);
    ck_assert_uint_eq(run.result.handoff, HANDOFF_RELAY);
    ck_assert_msg(has_text(run.result.handoff_reason, reason), "%.*s",
                  (int)run.result.handoff_reason.n, run.result.handoff_reason.data);
    ck_assert_uint_eq(fake_ktls_count(), 0);
    ktls_use_relay(script, run.fds[0]);
    ktls_check_origin(script, 1);
    ktls_run_end(&run);
}

/* Returns nothing that could be used, and says why. */
static void check_refusal(const struct tls_origin_script *script,
                          const struct fake_ktls_refusals *refused, unsigned handoff,
                          enum error_code code, int error, const char *reason)
{
    size_t n_fds;
    struct ktls_run run;

    ktls_run_begin(&run, script, handoff);
    fake_ktls_refusals = *refused;
    n_fds = rig_count_fds();
    ktls_run_connect(&run);
    ck_assert_int_eq(run.n_fds, 0);
    ck_assert_uint_eq(run.result.code, code);
    ck_assert_uint_eq(run.result.stage, STAGE_HANDOFF);
    ck_assert_uint_eq(run.result.hop, 0);
    ck_assert_uint_eq(run.result.sys_errno, (unsigned)error);
    ck_assert_msg(has_text(run.result.detail, reason), "%.*s", (int)run.result.detail.n,
                  run.result.detail.data);
    close(run.session);
    rig_wait_until_quiet();
    ck_assert_uint_eq(rig_count_fds(), n_fds);
    run.session = rig_client_open();
    ktls_run_end(&run);
}

START_TEST(test_no_keys_for_receiving)
{
    const struct fake_ktls_refusals refused = {.rx = refusals[_i]};
    struct tls_origin_script script = ktls_script(TLS_KERNEL_13_AES_128_GCM, 50000);

    script.is_early = true;
    check_relay(&script, &refused, "could not be given to the kernel");
    script = ktls_script(TLS_KERNEL_12_AES_128_GCM, 50000);
    check_relay(&script, &refused, "could not be given to the kernel");
    script.is_closing = true;
    check_relay(&script, &refused, "could not be given to the kernel");
    check_refusal(&script, &refused, HANDOFF_KTLS, ERROR_HANDOFF_KIND, refusals[_i],
                  "could not be given to the kernel");
}
END_TEST

START_TEST(test_no_keys_for_sending)
{
    const struct fake_ktls_refusals refused = {.tx = refusals[_i]};
    struct tls_origin_script script = ktls_script(TLS_KERNEL_13_AES_128_GCM, 1000);

    check_refusal(&script, &refused, HANDOFF_KTLS, ERROR_HANDOFF_FAILED, refusals[_i], "sending");
    check_refusal(&script, &refused, KTLS_RELAY, ERROR_HANDOFF_FAILED, refusals[_i], "sending");
}
END_TEST

START_TEST(test_no_seal)
{
    const struct fake_ktls_refusals refused = {.ulp = refusals[_i]};
    struct tls_origin_script script = ktls_script(TLS_KERNEL_13_AES_128_GCM, 50000);

    check_relay(&script, &refused, "could not be sealed");
    check_refusal(&script, &refused, HANDOFF_KTLS, ERROR_HANDOFF_KIND, refusals[_i],
                  "could not be sealed");
}
END_TEST

/* The relay has the session by then, and the line is written after that. */
static void check_log(const struct tls_origin_script *script, const char *expected)
{
    FILE *log = tmpfile();
    struct ktls_run run;
    char text[4096];
    size_t n;
    int saved = dup(STDERR_FILENO);

    ck_assert_ptr_nonnull(log);
    ktls_run_begin(&run, script, KTLS_RELAY);
    log_init(LOG_LEVEL_INFO);
    dup2(fileno(log), STDERR_FILENO);
    ktls_run_connect(&run);
    ktls_run_end(&run);
    dup2(saved, STDERR_FILENO);
    close(saved);
    rewind(log);
    n = fread(text, 1, sizeof text, log);
    fclose(log);
    ck_assert_msg(has_text((struct text){text, n}, expected), "%.*s", (int)n, text);
}

/* The kernel has all ciphers but the one that the origin has. */
START_TEST(test_no_such_cipher)
{
    static const struct fake_ktls_refusals none;
    char logged[128];
    struct tls_origin_script script = ktls_script((enum tls_kernel_cipher)_i, 50000);

    rig_caps.kernel_tx &= ~(1U << _i);
    check_relay(&script, &none, kernel_kinds[_i].name);
    rig_caps.kernel_tx = KTLS_ALL_CIPHERS;
    rig_caps.kernel_rx &= ~(1U << _i);
    check_relay(&script, &none, kernel_kinds[_i].name);
    snprintf(logged, sizeof logged, "cannot do %s", kernel_kinds[_i].name);
    check_log(&script, logged);
}
END_TEST

/* The origin takes what is offered first: of all versions where nothing else is offered, else of
 * the cipher's own. */
START_TEST(test_cipher_of_the_kernel)
{
    struct tls_origin_script script = ktls_script((enum tls_kernel_cipher)_i, 1000);

    script.ciphers = script.suites = NULL;
    rig_caps.kernel_tx = 1U << _i;
    for (int i = 0; i < 2; i++) {
        struct ktls_run run;

        script.version = i == 0 ? kernel_kinds[_i].version : 0;
        ktls_run_begin(&run, &script, i == 0 ? KTLS_RELAY : HANDOFF_KTLS);
        ktls_run_connect(&run);
        ck_assert_int_eq(run.n_fds, 1);
        ck_assert_uint_eq(run.result.handoff, HANDOFF_KTLS);
        ck_assert(has_text(run.result.tls_cipher, kernel_kinds[_i].name));
        ktls_use_socket(&script, run.fds[0]);
        ktls_check_origin(&script, 1);
        ktls_run_end(&run);
    }
}
END_TEST

/* Where no relay will do, the other ciphers are not offered, and the origin has no other. */
START_TEST(test_no_cipher_in_common)
{
    struct tls_origin_script script = ktls_script((enum tls_kernel_cipher)_i, 0);
    struct ktls_run run;

    rig_caps.kernel_rx &= ~(1U << _i);
    ktls_run_begin(&run, &script, HANDOFF_KTLS);
    ktls_run_connect(&run);
    ck_assert_int_eq(run.n_fds, 0);
    ck_assert_uint_eq(run.result.stage, STAGE_TLS);
    ktls_run_end(&run);
}
END_TEST

static void add_tests(TCase *tcase)
{
    const int n_refusals = (int)ARRAY_SIZE(refusals);

    tcase_add_loop_test(tcase, test_no_keys_for_receiving, 0, n_refusals);
    tcase_add_loop_test(tcase, test_no_keys_for_sending, 0, n_refusals);
    tcase_add_loop_test(tcase, test_no_seal, 0, n_refusals);
    tcase_add_loop_test(tcase, test_no_such_cipher, 0, TLS_KERNEL_CIPHERS);
    tcase_add_loop_test(tcase, test_cipher_of_the_kernel, 0, TLS_KERNEL_CIPHERS);
    tcase_add_loop_test(tcase, test_no_cipher_in_common, 0, TLS_KERNEL_CIPHERS);
}

int main(void)
{
    return ktls_run_suite("ktls-refused", add_tests);
}
