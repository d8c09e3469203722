/* The command line: one set of options, of which each command takes some. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "client/cmd.h"
#include "client/fdial.h"
#include "proto/message.h"

#define OPTION_REQUEST 1u  /* what shapes a connection: --timeout, --alpn, -4, … */
#define OPTION_JSON    2u  /* --json */
#define OPTION_FD      4u  /* --fd */
#define OPTION_AS      8u  /* --as */
#define OPTION_ALLOW   16u /* --allow */
#define OPTION_METRICS 32u /* --openmetrics */

#define OPTIONS_TIMEOUT_S_MAX (FDIAL_TIMEOUT_MS_MAX / 1000)
#define OPTIONS_FD_MAX        65535

#define OPTIONS_TOO_MANY_PATTERNS "more than 256 patterns"

struct options {
    const char *socket_path; /* NULL: found by the library */
    unsigned timeout_ms;
    int family;
    unsigned handoff;                   /* mask; 0: the library's choice */
    const char *tls_name;               /* NULL: the target's host */
    const char *alpn[MESSAGE_ALPN_MAX]; /* point into alpn_text */
    size_t n_alpn;
    const char *headers[MESSAGE_HEADERS_MAX];
    size_t n_headers;
    const char *subprotocols[MESSAGE_SUBPROTOCOL_MAX];
    size_t n_subprotocols;
    bool is_verbose;
    bool is_json;
    bool is_openmetrics;
    int fd; /* -1: not given */
    const char *as_user;
    const char *allow[FDIAL_PATTERNS_MAX];
    size_t n_allow;
    char *alpn_text;
};

/* Reads the options; argv is permuted and *ret_first is the first argument that is none. Returns
 * true, or false with the program's exit status in *ret_status, everything said (also for --help).
 */
bool options_parse(struct options *o, const struct command *command, int argc, char **argv,
                   int *ret_first, int *ret_status);
void options_deinit(struct options *o);
/* One pattern more; false where there are too many. */
bool options_add_allow(struct options *o, const char *pattern);

/* "usage: fdial …" on stderr; returns EXIT_USAGE. */
int usage_error(const struct command *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
