/* relay-crypto [MIB [ROUNDS]]: what a relay costs with TLS in user space and in the kernel.
 *
 * Of each way, cipher, shape and direction: the best of the rounds, in microseconds per MiB, all in
 * all, of it inside system calls, and what the client needs beside it; without TLS too. The rate of
 * the time stamp counter is found by the clock; in an emulated machine whose clock counts
 * instructions, one each nanosecond, these are thousands of instructions. Ways that the kernel does
 * not have are left out. */
#include <errno.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/utsname.h>
#include <time.h>

#include <linux/tls.h>

#include "tests/bench/relay-rig.h"

#define PATTERN 65536

static const struct rig_suite suites[] = {
    {"1.3 AES-128-GCM", "TLS_AES_128_GCM_SHA256", TLS1_3_VERSION, TLS_CIPHER_AES_GCM_128},
    {"1.3 AES-256-GCM", "TLS_AES_256_GCM_SHA384", TLS1_3_VERSION, TLS_CIPHER_AES_GCM_256},
    {"1.3 CHACHA20", "TLS_CHACHA20_POLY1305_SHA256", TLS1_3_VERSION, TLS_CIPHER_CHACHA20_POLY1305},
    {"1.2 AES-128-GCM", "ECDHE-ECDSA-AES128-GCM-SHA256", TLS1_2_VERSION, TLS_CIPHER_AES_GCM_128},
};

/* How the bytes come: what one write of the sender takes, and how much of it is there whenever the
 * relay has its turn. */
static const struct shape {
    const char *name;
    size_t record, burst;
} shapes[] = {
    {"16 KiB, 4 there", 16384, 65536},
    {"1 KiB, 64 there", 1024, 65536},
    {"1 KiB, one by one", 1024, 1024},
};

static const char *const way_names[RIG_N_WAYS] = {
    "copied", "spliced", "session", "kTLS, copied", "kTLS, spliced",
};

struct cost {
    double total_us, kernel_us, client_us; /* per MiB; the client's is not in the total */
};

static uint8_t pattern[PATTERN + RIG_BUFFER]; /* its end repeats its start */
static double ticks_per_us;
static size_t total = 4 << 20;
static unsigned n_rounds = 3;

static double now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void calibrate(void)
{
    double start_us = now_us();
    uint64_t start = rig_ticks();

    while (now_us() < start_us + 100000)
        ;
    ticks_per_us = (double)(rig_ticks() - start) / (now_us() - start_us);
}

/* All that has come must be what was sent. Returns how much. */
static size_t take(struct rig *rig, bool is_down, size_t offset, uint64_t *client_ticks)
{
    uint8_t buf[RIG_BUFFER];
    size_t start = offset;

    for (;;) {
        uint64_t start_ticks = rig_ticks();
        ssize_t n = rig_recv(rig, !is_down, buf, sizeof buf);

        if (n < 0)
            break;
        if (is_down)
            *client_ticks += rig_ticks() - start_ticks;
        if (memcmp(buf, pattern + offset % PATTERN, (size_t)n) != 0) {
            fprintf(stderr, "byte %zu and following came out wrong\n", offset);
            exit(1);
        }
        offset += (size_t)n;
    }
    return offset - start;
}

static size_t give(struct rig *rig, bool is_down, const struct shape *shape, size_t offset,
                   uint64_t *client_ticks)
{
    size_t start = offset;
    uint64_t start_ticks = rig_ticks();
    ssize_t n = 0;

    while (offset - start < shape->burst && n >= 0) {
        n = rig_send(rig, is_down, pattern + offset % PATTERN, shape->record);
        if (n > 0)
            offset += (size_t)n;
    }
    if (!is_down)
        *client_ticks += rig_ticks() - start_ticks;
    return offset - start;
}

static struct cost run(struct rig *rig, bool is_down, const struct shape *shape)
{
    size_t sent = 0, received = 0;
    uint64_t ticks = 0, client_ticks = 0;
    double per_mib = (double)total / (1 << 20) * ticks_per_us;

    rig->kernel_ticks = 0;
    while (received < total) {
        if (sent < total)
            sent += give(rig, is_down, shape, sent, &client_ticks);
        rig_wait(rig, is_down);

        uint64_t start = rig_ticks();

        rig_relay(rig, is_down);
        ticks += rig_ticks() - start;
        received += take(rig, is_down, received, &client_ticks);
    }
    return (struct cost){(double)ticks / per_mib, (double)rig->kernel_ticks / per_mib,
                         (double)client_ticks / per_mib};
}

/* The first round warms up and does not count. Returns false without it in the kernel. */
static bool measure(enum rig_way way, const struct rig_suite *suite, bool is_down,
                    const struct shape *shape, struct cost *ret)
{
    struct cost best = {0};
    struct rig rig;
    int r = rig_init(&rig, way, suite);

    if (r < 0)
        return false;
    for (unsigned i = 0; i <= n_rounds; i++) {
        struct cost cost = run(&rig, is_down, shape);

        if (i == 1 || (i > 1 && cost.total_us < best.total_us))
            best = cost;
    }
    rig_deinit(&rig);
    *ret = best;
    return true;
}

static void print_line(const char *name, const struct shape *shape, bool is_down,
                       const enum rig_way *ways, size_t n_ways)
{
    const struct rig_suite *suite = NULL;

    for (size_t i = 0; i < sizeof suites / sizeof *suites; i++)
        if (name == suites[i].name)
            suite = &suites[i];
    printf("%-16s %-18s %-5s", name, shape->name, is_down ? "down" : "up");
    for (size_t i = 0; i < n_ways; i++) {
        struct cost cost;

        if (measure(ways[i], suite, is_down, shape, &cost))
            printf(" %8.0f %7.0f %7.0f", cost.total_us, cost.kernel_us, cost.client_us);
        else
            printf(" %8s %7s %7s", "-", "-", "-");
        fflush(stdout);
    }
    printf("\n");
}

static void print_table(const char *const *names, size_t n_names, const enum rig_way *ways,
                        size_t n_ways)
{
    printf("%-16s %-18s %-5s", "", "", "");
    for (size_t i = 0; i < n_ways; i++)
        printf(" %24s", way_names[ways[i]]);
    printf("\n");
    for (size_t n = 0; n < n_names; n++)
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
            for (int is_down = 1; is_down >= 0; is_down--)
                print_line(names[n], &shapes[s], is_down, ways, n_ways);
}

int main(int argc, char **argv)
{
    const char *names[sizeof suites / sizeof *suites], *none = "no TLS";
    struct utsname system;

    if (argc > 1)
        total = strtoul(argv[1], NULL, 10) << 20;
    if (argc > 2)
        n_rounds = (unsigned)strtoul(argv[2], NULL, 10);
    if (total == 0 || n_rounds == 0)
        rig_die("relay-crypto [MIB [ROUNDS]]");
    if (getrandom(pattern, PATTERN, 0) != PATTERN)
        rig_die("getrandom");
    memcpy(pattern + PATTERN, pattern, RIG_BUFFER);
    for (size_t i = 0; i < sizeof suites / sizeof *suites; i++)
        names[i] = suites[i].name;
    calibrate();
    uname(&system);
    printf("Linux %s, %s; us per MiB, of it in system calls, the client's; %.0f ticks per us\n",
           system.release, OpenSSL_version(OPENSSL_VERSION), ticks_per_us);
    print_table(&none, 1, (const enum rig_way[]){RIG_PLAIN_COPIED, RIG_PLAIN_SPLICED}, 2);
    print_table(names, sizeof names / sizeof *names,
                (const enum rig_way[]){RIG_SESSION, RIG_KTLS_COPIED, RIG_KTLS_SPLICED}, 3);
    return 0;
}
