/* One question about a name: asked of DNS for both families at once, and what their answers come to
 * together. When one family has addresses the other gets RESOLVE_PATIENCE_MS; after that the
 * question serves whoever wants any family with what there is. It goes on until both are in. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "daemon/resolve/cache.h"
#include "daemon/resolve/dns.h"
#include "daemon/resolve/resolve.h"

enum half {
    HALF_IPV6,
    HALF_IPV4,
    HALVES, /* their number */
};

struct question;
/* It may serve more lookups than before, or is over. Always from a later turn of the ring. */
typedef void question_fn(struct question *question);

/* Embedded in its owner, who keeps it until it is over, or until dns_free(). */
struct question {
    struct ring *ring;
    question_fn *fn;
    struct dns_query halves[HALVES];
    bool is_answered[HALVES];
    bool is_patience_over;
    struct timer patience;
};

/* The name is the owner's. */
void question_ask(struct question *q, struct dns *dns, struct ring *ring, const char *name,
                  question_fn *fn);
/* Stops its timer; for one that is not over, before dns_free(). */
void question_deinit(struct question *q);

/* Both families have answered. */
bool question_is_over(const struct question *q);
/* Whether who wants this family (AF_UNSPEC: any) need not wait for the other one. */
bool question_serves(const struct question *q, sa_family_t family);
/* What is known by now. */
void question_get_answer(const struct question *q, struct answer *ret);
/* Of one that is over, whose answer has this code: for how long that holds; 0: not at all. */
uint32_t question_ttl_s(const struct question *q, enum error_code code);
