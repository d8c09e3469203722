/* client fdial: n connections through the daemon with libfdial, `depth` of them in flight in one
 * session. Requests go out in batches: what has finished is fetched, all of it, before new ones are
 * submitted. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client/fdial.h"
#include "tests/bench/measure.h"

#define REAP_TRIES 10000
#define TIMEOUT_MS 120000

struct run {
    struct measure *m;
    struct fdial *d;
    struct fdial_request **requests; /* one an address */
    unsigned n_submitted, n_done;
    int *fds; /* held */
    int64_t *latencies_ns;
};

static long status_number(struct fdial *d, const char *key)
{
    size_t n = strlen(key);
    char *lines;
    int r = fdial_status(d, &lines);
    long value = -1;

    if (r < 0)
        die("status: %s", strerror(-r));
    for (char *line = lines; line && *line;
         line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        if (strncmp(line, key, n) == 0 && line[n] == '=')
            value = atol(line + n + 1);
    free(lines);
    return value;
}

static void submit(struct run *run, unsigned n)
{
    unsigned count = run->m->count;

    for (; n >= count; n -= count) {
        unsigned i = run->n_submitted / count;
        int r = fdial_submit(run->d, run->requests[i % run->m->n_addresses], i);

        if (r == -EAGAIN && run->n_submitted > run->n_done)
            return; /* the socket is full: later */
        if (r < 0)
            die("submit: %s", strerror(-r));
        run->n_submitted += count;
    }
}

static void take(struct run *run, struct fdial_result *result)
{
    if (fdial_result_error(result))
        die("%s", fdial_result_message(result));
    if (fdial_result_count(result) != run->m->count)
        die("%u connections in a result", fdial_result_count(result));
    for (unsigned i = 0; i < run->m->count; i++) {
        int fd = fdial_result_take_fd(result, i);

        if (run->fds)
            run->fds[run->n_done] = fd;
        else
            close(fd);
        run->n_done++;
    }
    fdial_result_free(result);
}

/* Waits for one result, then takes all that are there. */
static void reap(struct run *run)
{
    struct fdial_result *result;
    int r = fdial_next(run->d, &result, -1);

    while (r > 0) {
        take(run, result);
        r = fdial_next(run->d, &result, 0);
    }
    if (r < 0)
        die("next: %s", strerror(-r));
}

static void connect_all(struct run *run)
{
    const struct measure *m = run->m;

    while (run->n_done < m->n) {
        unsigned room = m->depth - (run->n_submitted - run->n_done);
        unsigned left = m->n - run->n_submitted;

        submit(run, room < left ? room : left);
        reap(run);
    }
    for (unsigned i = 0; run->fds && i < m->n; i++)
        close(run->fds[i]);
}

/* For as long as stdin is open; says then how many connections there were, and how many refusals.
 */
static void flood(struct run *run)
{
    struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
    unsigned n_connected = 0;
    struct fdial_result *result;

    while (poll(&p, 1, 0) == 0) {
        submit(run, run->m->depth - (run->n_submitted - run->n_done));
        for (int r = fdial_next(run->d, &result, 100); r != 0; r = fdial_next(run->d, &result, 0)) {
            if (r < 0)
                die("next: %s", strerror(-r));
            n_connected += fdial_result_count(result);
            fdial_result_free(result);
            run->n_done += run->m->count;
        }
    }
    printf("{\"connected\":%u,\"refused\":%u}\n", n_connected, run->n_done - n_connected);
}

static int64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* One after the other. */
static void connect_each(struct run *run)
{
    for (unsigned i = 0; i < run->m->n; i++) {
        int64_t start_ns = now_ns();

        submit(run, 1);
        reap(run);
        run->latencies_ns[i] = now_ns() - start_ns;
    }
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static void format_latencies(struct run *run, char *text, size_t size)
{
    unsigned n = run->m->n;

    qsort(run->latencies_ns, n, sizeof *run->latencies_ns, compare);
    snprintf(text, size, ",\"p50_us\":%.1f,\"p99_us\":%.1f,\"max_us\":%.1f",
             (double)run->latencies_ns[n / 2] / 1e3,
             (double)run->latencies_ns[n - 1 - n / 100] / 1e3,
             (double)run->latencies_ns[n - 1] / 1e3);
}

static void measure_latencies(struct run *run)
{
    char text[128];

    run->latencies_ns = calloc(run->m->n, sizeof *run->latencies_ns);
    measure_start(run->m);
    connect_each(run);
    measure_stop(run->m);
    format_latencies(run, text, sizeof text);
    measure_print(run->m, text);
    free(run->latencies_ns);
}

/* Requests that never finish, for as long as stdin is open. */
static void leave_pending(struct run *run)
{
    char c;

    while (run->n_submitted < run->m->n) {
        struct pollfd p = {.fd = fdial_fileno(run->d), .events = POLLOUT};

        submit(run, run->m->n - run->n_submitted);
        poll(&p, 1, 100);
    }
    puts("pending");
    fflush(stdout);
    while (read(STDIN_FILENO, &c, 1) > 0)
        ;
}

/* The daemon's part of a connection ends after ours. */
static void wait_for_relays(struct fdial *d)
{
    for (unsigned i = 0; status_number(d, "relays_now") > 0; i++) {
        if (i == REAP_TRIES)
            die("relays do not end");
        usleep(1000);
    }
}

static void prepare(struct run *run)
{
    struct measure *m = run->m;
    int r = fdial_open(&run->d, NULL);

    if (r < 0)
        die("open: %s", strerror(-r));
    run->requests = calloc(m->n_addresses, sizeof *run->requests);
    for (unsigned i = 0; i < m->n_addresses; i++) {
        r = fdial_request_new(&run->requests[i], measure_url(m, m->is_tls ? "tls" : "tcp", i));
        if (r == 0)
            r = fdial_request_set_timeout_ms(run->requests[i], TIMEOUT_MS);
        if (r == 0)
            r = fdial_request_set_count(run->requests[i], m->count);
        if (r < 0)
            die("request: %s", strerror(-r));
    }
    if (m->is_held)
        run->fds = calloc(m->n, sizeof *run->fds);
}

int main(int argc, char **argv)
{
    struct measure m;
    struct run run = {.m = &m};
    char more[64];
    long enters;

    measure_parse(&m, argc, argv);
    prepare(&run);
    if (m.is_left) {
        leave_pending(&run);
    } else if (m.is_flood) {
        flood(&run);
    } else if (m.is_latency) {
        measure_latencies(&run);
    } else {
        enters = status_number(run.d, "ring_enters");
        measure_start(&m);
        connect_all(&run);
        measure_stop(&m);
        wait_for_relays(run.d);
        enters = status_number(run.d, "ring_enters") - enters;
        snprintf(more, sizeof more, ",\"enters\":%.3f", (double)enters / m.n);
        measure_print(&m, more);
    }
    for (unsigned i = 0; i < m.n_addresses; i++)
        fdial_request_free(run.requests[i]);
    free(run.requests);
    free(run.fds);
    fdial_close(run.d);
    return 0;
}
