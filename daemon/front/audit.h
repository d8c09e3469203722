/* The log lines about what clients do: at most AUDIT_LINES_PER_S a second for each user in each
 * worker, so that nobody can fill the journal or keep a worker busy with it. What was left out is
 * counted. */
#pragma once

#include <stdint.h>

#include "daemon/base/failure.h"
#include "daemon/policy/config.h"
#include "proto/message.h"

#define AUDIT_LINES_PER_S 50
#define AUDIT_USERS       256 /* users are told apart by their uid modulo this */

struct audit_budget {
    uint64_t second;
    unsigned n_lines;
    unsigned n_left_out;
};

struct peer;

void audit_failure(const struct peer *peer, const struct failure *failure, struct text target);
/* A request that would be denied is let through, because the rule only reports. */
void audit_reported(const struct peer *peer, const struct rule *rule, const struct target *target);
void audit_dropped(const struct peer *peer, enum error_code code, const char *detail);
