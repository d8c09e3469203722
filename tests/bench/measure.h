/* What the benchmark's programs share: options, and how a run is measured and told.
 *
 * A program prepares whatever a long-lived client would have prepared, calls measure_start(), makes
 * n connections, each of which it closes, and calls measure_end(), which prints one line of JSON.
 * What goes wrong ends the program. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct measure {
    const char *mode;     /* the first argument */
    unsigned n;           /* connections */
    unsigned depth;       /* at once */
    unsigned count;       /* of them in one request */
    uint16_t port;        /* of the origin */
    unsigned n_addresses; /* it listens on 127.0.0.1 and the following ones: more 4-tuples */
    const char *ca_file;
    const char *proxy; /* as a URL; NULL: direct */
    bool is_tls;
    pid_t daemon;    /* whose CPU time counts too; 0: nobody's */
    bool is_held;    /* close no connection before all are there */
    bool is_left;    /* do not wait for results; submit, say so, and leave when stdin ends */
    bool is_flood;   /* until stdin ends, whatever the answers are */
    bool is_latency; /* tell how long single connections took */

    int64_t start_us, start_cpu_ns, start_daemon_ns;
    double seconds, client_us; /* set by measure_stop() */
};

void measure_parse(struct measure *m, int argc, char **argv);
void measure_start(struct measure *m);
/* The connections are made and closed. */
void measure_stop(struct measure *m);
/* The daemon is done too. `more` is appended to the line: `,"key":value`, or "". */
void measure_print(const struct measure *m, const char *more);

/* The address of the i-th connection. */
struct sockaddr_in measure_address(const struct measure *m, unsigned i);
/* As a URL, in a static buffer. */
const char *measure_url(const struct measure *m, const char *scheme, unsigned i);
/* A connected blocking socket, by socket(2) and connect(2). */
int measure_connect(const struct measure *m, unsigned i);

void die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
