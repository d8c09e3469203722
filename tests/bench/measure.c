/* CPU time is the scheduler's, in nanoseconds, of all threads of a process: the client's own, and
 * the daemon's through its CPU clock, which any process may read. */
#include "tests/bench/measure.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

void die(const char *format, ...)
{
    va_list args;

    fprintf(stderr, "bench: ");
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\n");
    exit(1);
}

static int64_t clock_ns(clockid_t clock)
{
    struct timespec ts;

    if (clock_gettime(clock, &ts) < 0)
        die("clock: %s", strerror(errno));
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static int64_t daemon_cpu_ns(const struct measure *m)
{
    clockid_t clock;

    if (m->daemon == 0)
        return 0;
    if (clock_getcpuclockid(m->daemon, &clock) != 0)
        die("no process %d", m->daemon);
    return clock_ns(clock);
}

static unsigned number(const char *text)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);

    if (end == text || *end || n > UINT32_MAX)
        die("not a number: %s", text);
    return (unsigned)n;
}

static void raise_fd_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

void measure_parse(struct measure *m, int argc, char **argv)
{
    static const struct option options[] = {
        {"number", required_argument, NULL, 'n'},
        {"count", required_argument, NULL, 'C'},
        {"depth", required_argument, NULL, 'd'},
        {"port", required_argument, NULL, 'p'},
        {"addresses", required_argument, NULL, 'a'},
        {"ca", required_argument, NULL, 'c'},
        {"proxy", required_argument, NULL, 'x'},
        {"daemon", required_argument, NULL, 'D'},
        {"tls", no_argument, NULL, 't'},
        {"hold", no_argument, NULL, 'h'},
        {"leave", no_argument, NULL, 'l'},
        {"flood", no_argument, NULL, 'f'},
        {"latency", no_argument, NULL, 'L'},
        {0},
    };
    int option;

    *m = (struct measure){.n = 1, .depth = 1, .count = 1, .n_addresses = 1};
    while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
        switch (option) {
        case 'n':
            m->n = number(optarg);
            break;
        case 'd':
            m->depth = number(optarg);
            break;
        case 'C':
            m->count = number(optarg);
            break;
        case 'p':
            m->port = (uint16_t)number(optarg);
            break;
        case 'a':
            m->n_addresses = number(optarg);
            break;
        case 'c':
            m->ca_file = optarg;
            break;
        case 'x':
            m->proxy = optarg;
            break;
        case 'D':
            m->daemon = (pid_t)number(optarg);
            break;
        case 't':
            m->is_tls = true;
            break;
        case 'h':
            m->is_held = true;
            break;
        case 'l':
            m->is_left = true;
            break;
        case 'f':
            m->is_flood = true;
            break;
        case 'L':
            m->is_latency = true;
            break;
        default:
            exit(2);
        }
    }
    if (optind + 1 != argc || m->port == 0 || m->n == 0 || m->count == 0 || m->depth < m->count ||
        m->n % m->count != 0 || m->n_addresses == 0)
        die("usage: %s MODE --port P [--number N] [--depth N] [--tls] …", argv[0]);
    m->mode = argv[optind];
    raise_fd_limit();
}

void measure_start(struct measure *m)
{
    m->start_daemon_ns = daemon_cpu_ns(m);
    m->start_us = clock_ns(CLOCK_MONOTONIC) / 1000;
    m->start_cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

void measure_stop(struct measure *m)
{
    m->client_us = (double)(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - m->start_cpu_ns) / 1e3 / m->n;
    m->seconds = (double)(clock_ns(CLOCK_MONOTONIC) / 1000 - m->start_us) / 1e6;
}

void measure_print(const struct measure *m, const char *more)
{
    double daemon_us = (double)(daemon_cpu_ns(m) - m->start_daemon_ns) / 1e3 / m->n;

    printf("{\"n\":%u,\"seconds\":%.6f,\"client_us\":%.3f,\"daemon_us\":%.3f%s}\n", m->n,
           m->seconds, m->client_us, daemon_us, more);
}

struct sockaddr_in measure_address(const struct measure *m, unsigned i)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons(m->port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK + i % m->n_addresses)};
}

const char *measure_url(const struct measure *m, const char *scheme, unsigned i)
{
    static char url[64];

    snprintf(url, sizeof url, "%s://127.0.0.%u:%u", scheme, 1 + i % m->n_addresses, m->port);
    return url;
}

int measure_connect(const struct measure *m, unsigned i)
{
    struct sockaddr_in sa = measure_address(m, i);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || connect(fd, (struct sockaddr *)&sa, sizeof sa) < 0)
        die("connect: %s", strerror(errno));
    return fd;
}
