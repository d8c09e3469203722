#include "tests/lib/front-walk.h"

#include <check.h>
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "proto/cleanup.h"
#include "tests/lib/front-rig.h"
#include "tests/lib/valgrind.h"

#define SLACK_BYTES     512 /* OpenSSL's error queue keeps some texts */
#define TURNS_TO_SETTLE 20

void rig_walk_prepare(char **argv)
{
    if (!getenv("GLIBC_TUNABLES") && !is_under_valgrind()) {
        setenv("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0", 1);
        execv("/proc/self/exe", argv);
    }
    mallopt(M_MXFAST, 0);
}

/* Memory of this thread's arena: an origin's thread has its own. What malloc keeps in caches
 * counts as allocated, so rig_walk_prepare() turns these off. */
static size_t allocated(void)
{
    return mallinfo2().uordblks;
}

/* An origin's fds may be in this process too, and come and go in its own time: what it has not
 * accepted yet it will after this. */
static size_t count_fds_without_origin(size_t expected)
{
    uint64_t until_us = clock_now_us() + 5 * US_PER_S;
    size_t n;

    rig_be_patient();
    while ((n = rig_count_fds()) != expected && clock_now_us() < until_us)
        rig_turn();
    return n;
}

/* When the origin has closed what it has. */
static size_t count_settled_fds(void)
{
    size_t least = rig_count_fds();

    rig_be_patient();
    for (unsigned i = 0; i < TURNS_TO_SETTLE; i++) {
        size_t n;

        rig_turn();
        n = rig_count_fds();
        least = n < least ? n : least;
    }
    return least;
}

static const int errors[] = {ECONNRESET, ENOMEM, ECANCELED, EPIPE, EMFILE};

/* Every operation of a connection fails in its turn. *memory is what is allocated; where that is 0,
 * it is set instead of compared: libraries allocate a few things at the first failure and keep
 * them. */
static void walk_errors(rig_run_fn *run, void *data, uint64_t ops, size_t fds, size_t *memory)
{
    for (size_t e = 0; e < ARRAY_SIZE(errors); e++) {
        for (uint64_t n = 1; n <= ops + 4; n++) {
            size_t n_fds;

            ring_fail_nth(rig_front.env.ring, n, errors[e]);
            run(data);
            ring_fail_nth(rig_front.env.ring, 0, 0);
            n_fds = count_fds_without_origin(fds);
            ck_assert_msg(n_fds == fds, "op %u, error %d: %zu fds instead of %zu", (unsigned)n,
                          errors[e], n_fds, fds);
            ck_assert_uint_eq(counter_get(&rig_counters.requests_now), 0);
            ck_assert_uint_eq(counter_get(&rig_counters.relays_now), 0);
            ck_assert_uint_eq(counter_get(&rig_counters.sessions_now), 0);
            ck_assert_uint_eq(counter_get(&rig_counters.grants_now), 0);
            ck_assert_uint_eq(quota_table_count(rig_front.quotas), 0);
            ck_assert_msg(*memory == 0 || allocated() <= *memory + SLACK_BYTES,
                          "op %u, error %d: %zu bytes instead of %zu", (unsigned)n, errors[e],
                          allocated(), *memory);
        }
    }
    *memory = allocated();
}

void rig_walk(rig_run_fn *run, void *data, unsigned ops_min)
{
    size_t fds, memory = 0;
    uint64_t ops;

    /* twice, for what is allocated once */
    for (int i = 0; i < 2; i++) {
        ck_assert(run(data));
    }
    fds = count_settled_fds();
    ops = ring_ops(rig_front.env.ring);
    ck_assert(run(data));
    ops = ring_ops(rig_front.env.ring) - ops;
    ck_assert_uint_ge(ops, ops_min);
    walk_errors(run, data, ops, fds, &memory);
    walk_errors(run, data, ops, fds, &memory);
    /* and all is well again */
    ck_assert(run(data));
}
