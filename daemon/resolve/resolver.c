/* A lookup is answered by the first who knows: the special names, hosts, the cache, a question
 * under way that it joins, or a new question.
 *
 * A question asks for both families and lives until both have answered; it does not depend on those
 * who wait. When one family has addresses, `patience` runs; after it whoever waits, or comes, is
 * given what there is. The cache gets the answer when both are in.
 *
 * DNS callbacks and timers come from the ring, never from inside resolver_lookup(), so a question
 * cannot end while its waiters are being told. */
#include "daemon/resolve/resolve.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/resolve/cache.h"
#include "daemon/resolve/dns.h"
#include "daemon/resolve/hosts.h"
#include "daemon/resolve/names.h"
#include "proto/cleanup.h"

enum half {
    HALF_IPV6,
    HALF_IPV4,
    HALVES,
};

struct question {
    const char *name; /* behind the struct */
    struct resolver *resolver;
    struct charge charge; /* to the payer of the lookup that began it */
    struct list node;     /* of resolver->questions */
    struct list waiters;
    struct dns_query halves[HALVES];
    bool is_answered[HALVES];
    bool is_patience_over;
    bool is_outdated; /* asked of servers of before: for those who wait already, not by name */
    struct timer patience;
};

struct resolver {
    struct ring *ring;
    struct hosts *hosts;
    struct cache *cache;
    struct dns *dns;
    void *questions_by_name;
    struct list questions;
    struct resolver_stats stats;
};

/* Telling. */

static void resolver_tell(struct resolver *r, struct lookup *lookup, const char *name,
                          const struct answer *answer)
{
    struct failure failure = {.code = ERROR_NONE};

    if (answer->code != ERROR_NONE) {
        failure_format(&failure, answer->code, 0, "%s: %s", name, answer->reason);
        r->stats.failures++;
    }
    lookup->fn(lookup, &answer->addresses, &failure);
}

/* Putting the two halves together. */

static bool half_is(const struct question *q, enum half half, enum dns_verdict verdict)
{
    return q->is_answered[half] && q->halves[half].answer.verdict == verdict;
}

static bool question_has(const struct question *q, enum dns_verdict verdict)
{
    return half_is(q, HALF_IPV6, verdict) || half_is(q, HALF_IPV4, verdict);
}

/* Both families get their share where there are more addresses than places. */
static void question_collect(const struct question *q, struct address_list *list)
{
    size_t n[HALVES];

    for (size_t i = 0; i < HALVES; i++)
        n[i] = half_is(q, i, DNS_ADDRESSES) ? q->halves[i].answer.n : 0;
    for (size_t i = 0; i < HALVES; i++) {
        size_t others = n[HALVES - 1 - i];
        size_t reserved = others < RESOLVE_ADDRESSES_MAX / 2 ? others : RESOLVE_ADDRESSES_MAX / 2;

        if (n[i] > RESOLVE_ADDRESSES_MAX - reserved)
            n[i] = RESOLVE_ADDRESSES_MAX - reserved;
    }
    list->n = 0;
    for (size_t i = 0; i < HALVES; i++) {
        memcpy(list->items + list->n, q->halves[i].answer.items, n[i] * sizeof list->items[0]);
        list->n += n[i];
    }
}

static const char *question_failure_reason(const struct question *q)
{
    for (size_t i = 0; i < HALVES; i++) {
        if (half_is(q, i, DNS_FAILED))
            return q->halves[i].answer.reason;
    }
    return "no answer";
}

static void question_get_answer(const struct question *q, struct answer *ret)
{
    question_collect(q, &ret->addresses);
    ret->code = ERROR_NONE;
    ret->reason = NULL;
    if (ret->addresses.n > 0)
        return;
    if (question_has(q, DNS_NO_NAME)) {
        ret->code = ERROR_NO_NAME;
        ret->reason = "NXDOMAIN";
    } else if (question_has(q, DNS_FAILED)) {
        ret->code = ERROR_RESOLVE_FAILED;
        ret->reason = question_failure_reason(q);
    } else {
        ret->code = ERROR_NO_ADDRESS;
        ret->reason = "neither A nor AAAA records";
    }
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* For how long the whole answer holds; 0: not at all. Where there are addresses of one family, the
 * other's absence counts no longer than they do. */
static uint32_t question_ttl_s(const struct question *q, enum error_code code)
{
    uint32_t ttl_s = code == ERROR_NONE ? RESOLVE_TTL_MAX_S : RESOLVE_NEGATIVE_TTL_MAX_S;

    if (code == ERROR_RESOLVE_FAILED)
        return 0;
    for (size_t i = 0; i < HALVES; i++) {
        const struct dns_answer *half = &q->halves[i].answer;

        switch (half->verdict) {
        case DNS_ADDRESSES:
            ttl_s = smaller(ttl_s, half->ttl_s);
            break;
        case DNS_NO_NAME:
        case DNS_NO_DATA:
            if (code != ERROR_NONE)
                ttl_s = smaller(ttl_s, half->ttl_s);
            break;
        case DNS_FAILED:
            ttl_s = smaller(ttl_s, RESOLVE_NEGATIVE_TTL_S);
            break;
        }
    }
    return ttl_s;
}

/* The life of a question. */

/* It is out of the tree already. */
static void question_free(struct question *q)
{
    struct resolver *r = q->resolver;

    ring_timer_clear(r->ring, &q->patience);
    list_remove(&q->node);
    charge_deinit(&q->charge);
    r->stats.questions--;
    free(q);
}

static void question_finish(struct question *q)
{
    struct resolver *r = q->resolver;
    struct answer answer;
    struct list *node;
    uint32_t ttl_s;

    question_get_answer(q, &answer);
    ttl_s = question_ttl_s(q, answer.code);
    if (ttl_s > 0 && !q->is_outdated)
        cache_put(r->cache, q->name, &answer, ring_now_us(r->ring) + ttl_s * US_PER_S);
    /* Who asks for the name from inside a callback shall not find this question any more. */
    if (!q->is_outdated)
        names_remove(&r->questions_by_name, q);
    while ((node = list_pop(&q->waiters)))
        resolver_tell(r, container_of(node, struct lookup, node), q->name, &answer);
    question_free(q);
}

/* Whether a lookup need not wait for the other half. */
static bool question_serves(const struct question *q, const struct lookup *lookup)
{
    switch (lookup->family) {
    case AF_INET:
        return half_is(q, HALF_IPV4, DNS_ADDRESSES);
    case AF_INET6:
        return half_is(q, HALF_IPV6, DNS_ADDRESSES);
    default:
        return q->is_patience_over && question_has(q, DNS_ADDRESSES);
    }
}

static void question_tell_served(struct question *q)
{
    struct answer answer;
    struct list waiters;
    struct list *node;

    question_get_answer(q, &answer);
    list_move(&q->waiters, &waiters);
    while ((node = list_pop(&waiters))) {
        struct lookup *lookup = container_of(node, struct lookup, node);

        if (question_serves(q, lookup))
            resolver_tell(q->resolver, lookup, q->name, &answer);
        else
            list_append(&q->waiters, node);
    }
}

static void on_patience(struct timer *timer)
{
    struct question *q = container_of(timer, struct question, patience);

    q->is_patience_over = true;
    question_tell_served(q);
}

static void on_half(struct question *q, enum half half)
{
    q->is_answered[half] = true;
    if (q->is_answered[HALF_IPV6] && q->is_answered[HALF_IPV4]) {
        question_finish(q);
    } else if (half_is(q, half, DNS_ADDRESSES)) {
        ring_timer_set(q->resolver->ring, &q->patience,
                       ring_now_us(q->resolver->ring) + RESOLVE_PATIENCE_MS * US_PER_MS);
        question_tell_served(q);
    }
}

static void on_ipv6(struct dns_query *query)
{
    on_half(container_of(query, struct question, halves[HALF_IPV6]), HALF_IPV6);
}

static void on_ipv4(struct dns_query *query)
{
    on_half(container_of(query, struct question, halves[HALF_IPV4]), HALF_IPV4);
}

static struct question *question_new(struct resolver *r, const char *name, struct charge *charge)
{
    size_t size = strlen(name) + 1;
    struct question *q = calloc(1, sizeof *q + size);

    if (!q)
        return NULL;
    q->name = memcpy(q + 1, name, size);
    q->resolver = r;
    list_init(&q->node);
    list_init(&q->waiters);
    timer_init(&q->patience, on_patience);
    if (!names_insert(&r->questions_by_name, q)) {
        free(q);
        return NULL;
    }
    q->charge = charge_take(charge);
    list_append(&r->questions, &q->node);
    r->stats.questions++;
    r->stats.queries += HALVES;
    dns_ask(r->dns, &q->halves[HALF_IPV6], on_ipv6, q->name, AF_INET6);
    dns_ask(r->dns, &q->halves[HALF_IPV4], on_ipv4, q->name, AF_INET);
    return q;
}

/* Looking up. */

static bool name_is_in_domain(const char *name, const char *domain)
{
    size_t n = strlen(name), n_domain = strlen(domain);

    return n >= n_domain && strcmp(name + n - n_domain, domain) == 0 &&
           (n == n_domain || name[n - n_domain - 1] == '.');
}

/* Names that mean something by themselves. */
static bool special_get_answer(const char *name, struct answer *ret)
{
    if (name_is_in_domain(name, "localhost")) {
        ret->addresses.n = 2;
        ret->addresses.items[0] =
            (struct address){.family = AF_INET6, .ipv6 = IN6ADDR_LOOPBACK_INIT};
        ret->addresses.items[1] =
            (struct address){.family = AF_INET, .ipv4.s_addr = htonl(INADDR_LOOPBACK)};
        return true;
    }
    if (name_is_in_domain(name, "onion")) {
        ret->code = ERROR_NO_NAME;
        ret->reason = "names under .onion are not for DNS";
        return true;
    }
    return false;
}

/* The servers are others now. */
static void resolver_forget(struct resolver *r)
{
    cache_clear(r->cache);
    list_for_each (&r->questions, node) {
        struct question *q = container_of(node, struct question, node);

        if (!q->is_outdated)
            names_remove(&r->questions_by_name, q);
        q->is_outdated = true;
    }
}

static bool resolver_get_answer(struct resolver *r, const char *name, struct answer *ret)
{
    uint64_t now_us = ring_now_us(r->ring);

    if (special_get_answer(name, ret) || hosts_find(r->hosts, name, now_us, &ret->addresses))
        return true;
    if (dns_refresh(r->dns))
        resolver_forget(r);
    if (cache_get(r->cache, name, now_us, ret)) {
        r->stats.cache_hits++;
        return true;
    }
    return false;
}

/* A question goes on when nobody waits for it any more, so it is charged by itself, and nobody may
 * fill all places. */
static bool resolver_charge(const struct resolver *r, struct charge *charge, struct quota *payer,
                            const char **ret_reason)
{
    if (r->stats.questions >= RESOLVE_QUESTIONS_MAX) {
        *ret_reason = "too many names are being looked up: try again";
        return false;
    }
    if (!payer)
        return true;
    charge->quota = quota_ref(payer);
    if (charge_add(charge, QUOTA_QUESTIONS, 1, RESOLVE_QUESTIONS_USER_MAX))
        return true;
    *ret_reason = "too many names are being looked up for this user: wait for results";
    return false;
}

/* Joins or begins a question. False: there is an answer, or a reason why there is none. */
static bool resolver_wait(struct resolver *r, struct lookup *lookup, const char *name,
                          struct answer *ret)
{
    struct question *q = names_find(&r->questions_by_name, name);
    CLEANUP(charge_deinit) struct charge charge = {0};

    if (q && question_serves(q, lookup)) {
        question_get_answer(q, ret);
        return false;
    }
    if (!q && !resolver_charge(r, &charge, lookup->payer, &ret->reason)) {
        ret->code = ERROR_OVER_LIMIT;
        return false;
    }
    if (!q)
        q = question_new(r, name, &charge);
    if (!q) {
        ret->code = ERROR_NO_RESOURCES;
        ret->reason = "out of memory";
        return false;
    }
    list_append(&q->waiters, &lookup->node);
    return true;
}

void lookup_init(struct lookup *lookup, sa_family_t family, struct quota *payer, lookup_fn *fn)
{
    lookup->fn = fn;
    lookup->payer = payer;
    lookup->family = family;
    list_init(&lookup->node);
}

bool resolver_lookup(struct resolver *r, struct lookup *lookup, const char *name)
{
    struct answer answer;

    assert(list_is_empty(&lookup->node));
    answer.code = ERROR_NONE;
    answer.reason = NULL;
    answer.addresses.n = 0;
    r->stats.lookups++;
    if (!resolver_get_answer(r, name, &answer) && resolver_wait(r, lookup, name, &answer))
        return false;
    resolver_tell(r, lookup, name, &answer);
    return true;
}

void resolver_cancel(struct resolver *r, struct lookup *lookup)
{
    (void)r;
    list_remove(&lookup->node);
}

void resolver_stats(const struct resolver *r, struct resolver_stats *ret)
{
    *ret = r->stats;
    ret->cached = cache_count(r->cache);
}

static void resolver_freep(struct resolver **r)
{
    resolver_free(*r);
}

int resolver_new(struct resolver **ret, struct ring *ring, const struct resolver_options *options)
{
    CLEANUP(resolver_freep) struct resolver *r = calloc(1, sizeof *r);
    int err;

    if (!r)
        return -ENOMEM;
    r->ring = ring;
    list_init(&r->questions);
    err = hosts_new(&r->hosts, options->hosts_path ? options->hosts_path : "/etc/hosts");
    if (err < 0)
        return err;
    err = cache_new(&r->cache, options->cache_max ? options->cache_max : RESOLVE_CACHE_MAX);
    if (err < 0)
        return err;
    err = dns_new(&r->dns, ring, options);
    if (err < 0)
        return err;
    *ret = TAKE_PTR(r);
    return 0;
}

int resolver_set_servers(struct resolver *r, const char *servers)
{
    int n = dns_set_servers(r->dns, servers);

    if (n > 0)
        resolver_forget(r);
    return n < 0 ? n : 0;
}

struct resolver *resolver_free(struct resolver *r)
{
    if (!r)
        return NULL;
    list_for_each (&r->questions, node) {
        struct question *q = container_of(node, struct question, node);

        assert(list_is_empty(&q->waiters));
        ring_timer_clear(r->ring, &q->patience);
    }
    dns_free(r->dns); /* has the queries inside the questions */
    list_for_each (&r->questions, node) {
        struct question *q = container_of(node, struct question, node);

        if (!q->is_outdated)
            names_remove(&r->questions_by_name, q);
        question_free(q);
    }
    cache_free(r->cache);
    hosts_free(r->hosts);
    free(r);
    return NULL;
}
