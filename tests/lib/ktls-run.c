/* While the client uses a socket with kernel TLS the worker's ring does not turn: what comes, comes
 * from the origin. A relay is in the worker, and so has to be turned. */
#include "tests/lib/ktls-run.h"

#include <errno.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/base/stats.h"
#include "proto/cleanup.h"
#include "tests/lib/fake-ktls.h"
#include "tests/lib/suite.h"

#define SENT 40000 /* by the client; what sockets take at once */

#define CLOSE_NOTIFY "\1\0"

bool ktls_is_resuming = true;
static struct certs_pair *ca, *small, *large;
static char ca_path[] = "/tmp/fdial-ktls-XXXXXX";

struct tls_origin_script ktls_script(enum tls_kernel_cipher cipher, size_t n_data)
{
    return (struct tls_origin_script){.certificate = small,
                                      .version = kernel_kinds[cipher].version,
                                      .ciphers = kernel_kinds[cipher].ciphers,
                                      .suites = kernel_kinds[cipher].suites,
                                      .n_data = n_data};
}

void ktls_run_begin(struct ktls_run *run, const struct tls_origin_script *script, unsigned handoff)
{
    uint16_t port = tls_origin_start(script);
    char config[1024];

    *run = (struct ktls_run){.script = *script, .n_fds = -1};
    snprintf(run->target, sizeof run->target, "%s://127.0.0.1:%u",
             script->is_smtp ? "smtp+starttls" : "tls", port);
    run->connect = (struct message_connect){
        .target = text_of(run->target), .timeout_ms = 10000, .handoff = (uint8_t)handoff};
    snprintf(config, sizeof config,
             "tls \"t\" { ca-file = \"%s\" resumption = %s }\n"
             "rule \"r\" { client = { \"uid:%u\" } allow = { \"*://*:*\" }"
             " addresses = { \"loopback\" } tls = \"t\" }\n",
             ca_path, ktls_is_resuming ? "true" : "false", getuid());
    fake_ktls_reset();
    rig_start(config);
    ring_forget_setsockopt(rig_front.env.ring);
    rig_be_patient();
}

void ktls_run_connect(struct ktls_run *run)
{
    run->session = rig_client_open();
    rig_client_connect(run->session, &run->connect);
    run->n_fds = rig_client_result(run->session, &run->result, run->fds);
    ck_assert_int_ge(run->n_fds, 0);
}

void ktls_run_end(struct ktls_run *run)
{
    struct stats *stats = rig_front.config->rules[0].stats;

    for (int i = 0; i < run->n_fds; i++)
        close(run->fds[i]);
    close(run->session);
    rig_wait_until_quiet();
    if (run->n_fds > 0)
        ck_assert_int_eq(stats_value(stats, stats_of_handoff(run->result.handoff)), run->n_fds);
    ck_assert_uint_eq(counter_get(&rig_counters.requests_now), 0);
    ck_assert_uint_eq(counter_get(&rig_counters.relays_now), 0);
    ck_assert_uint_eq(quota_table_count(rig_front.quotas), 0);
    rig_stop();
    tls_origin_stop();
}

/* The next bytes of the pattern. Returns how many there are now. */
static size_t check_data(const uint8_t *data, size_t n, size_t n_before)
{
    for (size_t i = 0; i < n; i++)
        if (data[i] != tls_origin_byte(n_before + i)) /* each assertion is a system call */
            ck_abort_msg("byte %zu is wrong", n_before + i);
    return n_before + n;
}

static void make_data(uint8_t *data, size_t n)
{
    for (size_t i = 0; i < n; i++)
        data[i] = tls_origin_byte(i);
}

/* ---- the two kinds of fds ---- */

static void ktls_send_all(struct fake_ktls *k)
{
    static const size_t sizes[] = {1, 1000, 16384, 2};
    uint8_t data[SENT];
    size_t n;

    make_data(data, sizeof data);
    for (size_t done = 0, i = 0; done < sizeof data; done += n, i++) {
        n = sizes[i % ARRAY_SIZE(sizes)];
        if (n > sizeof data - done)
            n = sizeof data - done;
        fake_ktls_send(k, SSL3_RT_APPLICATION_DATA, data + done, n);
    }
}

/* All that the origin sends by its script. Tickets may come in between. */
static void ktls_receive_all(struct fake_ktls *k, size_t n_expected)
{
    static uint8_t data[TLS_RECORD_MAX];
    size_t n, n_received = 0;

    while (n_received < n_expected) {
        int type = fake_ktls_receive(k, data, &n);

        if (type == SSL3_RT_HANDSHAKE && k->rx.is_13) {
            ck_assert_uint_eq(data[0], SSL3_MT_NEWSESSION_TICKET);
            continue;
        }
        ck_assert_int_eq(type, SSL3_RT_APPLICATION_DATA);
        n_received = check_data(data, n, n_received);
    }
    ck_assert_uint_eq(n_received, n_expected);
}

static void ktls_receive_end(struct fake_ktls *k)
{
    static uint8_t data[TLS_RECORD_MAX];
    int type;
    size_t n;

    while ((type = fake_ktls_receive(k, data, &n)) == SSL3_RT_HANDSHAKE)
        ck_assert(k->rx.is_13);
    ck_assert_int_eq(type, SSL3_RT_ALERT);
    ck_assert_uint_eq(n, 2);
    ck_assert_mem_eq(data, CLOSE_NOTIFY, 2);
    ck_assert_int_eq(fake_ktls_receive(k, data, &n), -1);
}

void ktls_use_socket(const struct tls_origin_script *script, int fd)
{
    struct fake_ktls k;

    fake_ktls_init(&k, fd);
    if (!script->is_closing)
        ktls_send_all(&k);
    ktls_receive_all(&k, script->n_data);
    if (!script->is_closing)
        fake_ktls_send(&k, SSL3_RT_ALERT, CLOSE_NOTIFY, 2);
    ktls_receive_end(&k);
    fake_ktls_deinit(&k);
}

void ktls_use_relay(const struct tls_origin_script *script, int fd)
{
    static uint8_t data[SENT];
    size_t n_received = 0, n_sent = script->is_closing ? SENT : 0;

    rig_be_patient();
    for (;;) {
        ssize_t n = recv(fd, data, sizeof data, MSG_DONTWAIT);

        if (n == 0)
            break;
        if (n > 0) {
            n_received = check_data(data, (size_t)n, n_received);
            continue;
        }
        ck_assert_int_eq(errno, EAGAIN);
        make_data(data, sizeof data);
        n = n_sent < SENT ? send(fd, data + n_sent, SENT - n_sent, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
        n_sent += n > 0 ? (size_t)n : 0;
        if (n > 0 && n_sent == SENT)
            shutdown(fd, SHUT_WR);
        rig_turn();
    }
    ck_assert_uint_eq(n_received, script->n_data);
}

void ktls_check_origin(const struct tls_origin_script *script, unsigned n_connections)
{
    const struct tls_origin_seen *seen = tls_origin_seen();

    if (script->is_closing)
        return;
    ck_assert_uint_eq(seen->n_received, n_connections * (size_t)SENT);
    ck_assert_uint_eq(seen->n_spoiled, 0);
    ck_assert_uint_eq(seen->n_closed, n_connections);
}

static void set_up(void)
{
    rig_caps = (struct capabilities){
        .can_seal = true, .kernel_tx = KTLS_ALL_CIPHERS, .kernel_rx = KTLS_ALL_CIPHERS};
}

static void make_certificates(void)
{
    static char names[40000];
    struct certs_spec spec = {.common_name = "ca", .is_ca = true};
    size_t n = 0;
    int fd = mkstemp(ca_path);

    ca = certs_new(&spec, NULL);
    close(fd);
    certs_write_chain(ca_path, (const struct certs_pair *const *)&ca, 1);
    spec = (struct certs_spec){.common_name = "small", .names = "IP:127.0.0.1"};
    small = certs_new(&spec, ca);
    n = (size_t)snprintf(names, sizeof names, "IP:127.0.0.1");
    for (int i = 0; i < 1500; i++) /* more than twice what is received at once */
        n += (size_t)snprintf(names + n, sizeof names - n, ",DNS:n%d.large.example", i);
    spec = (struct certs_spec){.common_name = "large", .names = names};
    large = certs_new(&spec, ca);
}

const struct certs_pair *ktls_large_certificate(void)
{
    return large;
}

static void free_certificates(void)
{
    certs_free(large);
    certs_free(small);
    certs_free(ca);
    unlink(ca_path);
}

int ktls_run_suite(const char *name, void (*add_tests)(TCase *tcase))
{
    Suite *suite = suite_create(name);
    TCase *tcase = tcase_create(name);
    int failed;

    signal(SIGPIPE, SIG_IGN);
    make_certificates();
    tcase_set_timeout(tcase, 100);
    tcase_add_checked_fixture(tcase, set_up, NULL);
    add_tests(tcase);
    suite_add_tcase(suite, tcase);
    failed = suite_run(suite);
    free_certificates();
    return failed;
}
