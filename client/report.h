/* What the CLI says: one error line, and text from the remote side made harmless. */
#pragma once

#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>

#include "client/fdial.h"

#define REPORT_WHAT_MAX    2048
#define REPORT_ADDRESS_MAX 160 /* "[IPv6]:port", or as much of a path, escaped, as fits */

struct problem {
    int status;        /* enum exit_code */
    const char *stage; /* "tls", "daemon", … */
    int hop;           /* 0, or the proxy's number */
    unsigned code;     /* PROTOCOL.md, "Errors"; 0: of our own making */
    char what[REPORT_WHAT_MAX];
};

void problem_set(struct problem *p, int status, const char *stage, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Of a negative errno of the library. */
int exit_status_of(int error);
/* From a result that has an error. */
void problem_from_result(struct problem *p, const struct fdial_result *r);

/* "fdial: subject: stage: what" on stderr; returns the status. */
int report(const char *subject, const struct problem *p);
/* The same with the parts given, for what has no stage: "fdial: subject: what". */
int report_error(int status, const char *subject, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Every byte outside printable ASCII, and the backslash, as \xNN. Malloc'd; ends the program where
 * memory is out. */
char *escape_text(const char *data, size_t n);
void print_escaped(FILE *to, const char *data, size_t n);

/* "192.0.2.1:443", "[2001:db8::1]:443", a socket's path, or "". */
void format_address(const struct sockaddr_storage *ss, char buf[REPORT_ADDRESS_MAX]);
/* "1.3", "1.2", or "" */
const char *tls_version_name(unsigned version);
