/* The log's records about what clients do: one for each decision, each request and relay that has
 * ended, each session dropped. A denied request's decision is its end too.
 *
 * AUDIT_LINES_PER_S a second for each user, in all workers together, so that nobody can fill the
 * journal or keep a worker busy with it. What was left out is counted, and told within a second or
 * two. A record that is left out costs next to nothing. */
#pragma once

#include <stdint.h>

#include "daemon/base/failure.h"
#include "daemon/base/list.h"
#include "daemon/ring/timer.h"
#include "proto/message.h"

#define AUDIT_LINES_PER_S 100
#define AUDIT_TARGET_MAX  512 /* bytes of a target in a record, escaped */

/* Of one worker. */
struct audit {
    struct list users; /* about whom lines were left out, referenced */
    struct timer timer;
};

/* What somebody has asked for; bytes that need not be a target or name. */
struct asked {
    struct text target;
    struct text tls_name; /* NULL: none */
};

struct front;
struct front_relay;
struct narrowing;
struct peer;
struct request;

void audit_init(struct audit *audit);
/* At the worker's end. */
void audit_deinit(struct front *front);

/* The request may go on, if only because its rule reports instead of denying. */
void audit_allowed(const struct request *request);
/* It has failed or was denied; request: NULL where there was none yet. */
void audit_failed(struct peer *peer, uint64_t id, const struct asked *asked,
                  const struct failure *failure, const struct request *request);
/* n connections were handed over. */
void audit_connected(const struct request *request, size_t n);
void audit_relay_ended(const struct front_relay *relay);
/* Whether somebody speaks for the session's user, and is known. */
bool audit_is_by_grant(const struct peer *peer);
void audit_granted(struct peer *peer, const struct narrowing *narrowing);
void audit_dropped(struct peer *peer, enum error_code code, const char *detail);
