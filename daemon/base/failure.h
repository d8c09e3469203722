/* What went wrong with one request, in one record: the answer to the client, the log line and the
 * counter are made from it. Expected failures (network, peers, clients, policy) are always this;
 * bugs abort, and what is fatal for the daemon is a negative errno. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/error.h"

#define FAILURE_DETAIL_MAX 255

struct narrowing;
struct rule;

struct failure {
    enum error_code code; /* ERROR_NONE: no failure */
    enum stage stage;
    uint8_t hop;             /* 0: the origin, or no hop at all; 1…: the proxy in `via` order */
    int sys_errno;           /* positive, 0 when the system had no part in it */
    const struct rule *rule; /* that decided so; NULL: none, or whose request it is says it */
    const struct narrowing *narrowing;   /* that denied it; NULL: none */
    char detail[FAILURE_DETAIL_MAX + 1]; /* printable ASCII; may be empty */
};

/* Sets all fields; the stage is the code's own. */
void failure_set(struct failure *f, enum error_code code, int sys_errno);
/* The same with a detail for people. What came from remote is escaped by failure_format itself
 * (escape.h). */
void failure_format(struct failure *f, enum error_code code, int sys_errno, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
