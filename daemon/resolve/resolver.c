/* A lookup is answered by the first who knows: the special names, hosts, the cache, a question
 * under way (question.h) that it joins, or a new question.
 *
 * A question does not depend on those who wait. Whoever waits, or comes, is told as soon as it
 * serves him; the cache gets the answer when it is over.
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
#include "daemon/resolve/hosts.h"
#include "daemon/resolve/names.h"
#include "daemon/resolve/question.h"
#include "proto/cleanup.h"

/* A question, and those who wait for its answer. */
struct inquiry {
    const char *name; /* behind the struct */
    struct resolver *resolver;
    struct charge charge; /* to the payer of the lookup that began it */
    struct list node;     /* of resolver->inquiries */
    struct list waiters;
    bool is_outdated; /* asked of servers of before: for those who wait already, not by name */
    struct question question;
};

struct resolver {
    struct ring *ring;
    struct hosts *hosts;
    struct cache *cache;
    struct dns *dns;
    void *inquiries_by_name;
    struct list inquiries;
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

/* The life of an inquiry. */

/* It is out of the tree already. */
static void inquiry_free(struct inquiry *inquiry)
{
    struct resolver *r = inquiry->resolver;

    question_deinit(&inquiry->question);
    list_remove(&inquiry->node);
    charge_deinit(&inquiry->charge);
    r->stats.questions--;
    free(inquiry);
}

static void inquiry_finish(struct inquiry *inquiry)
{
    struct resolver *r = inquiry->resolver;
    struct answer answer;
    struct list *node;
    uint32_t ttl_s;

    question_get_answer(&inquiry->question, &answer);
    ttl_s = question_ttl_s(&inquiry->question, answer.code);
    if (ttl_s > 0 && !inquiry->is_outdated)
        cache_put(r->cache, inquiry->name, &answer, ring_now_us(r->ring) + ttl_s * US_PER_S);
    /* Who asks for the name from inside a callback shall not find this one any more. */
    if (!inquiry->is_outdated)
        names_remove(&r->inquiries_by_name, inquiry);
    while ((node = list_pop(&inquiry->waiters)))
        resolver_tell(r, container_of(node, struct lookup, node), inquiry->name, &answer);
    inquiry_free(inquiry);
}

static void inquiry_tell_served(struct inquiry *inquiry)
{
    struct answer answer;
    struct list waiters;
    struct list *node;

    question_get_answer(&inquiry->question, &answer);
    list_move(&inquiry->waiters, &waiters);
    while ((node = list_pop(&waiters))) {
        struct lookup *lookup = container_of(node, struct lookup, node);

        if (question_serves(&inquiry->question, lookup->family))
            resolver_tell(inquiry->resolver, lookup, inquiry->name, &answer);
        else
            list_append(&inquiry->waiters, node);
    }
}

static void on_question(struct question *question)
{
    struct inquiry *inquiry = container_of(question, struct inquiry, question);

    if (question_is_over(question))
        inquiry_finish(inquiry);
    else
        inquiry_tell_served(inquiry);
}

static struct inquiry *inquiry_new(struct resolver *r, const char *name, struct charge *charge)
{
    size_t size = strlen(name) + 1;
    struct inquiry *inquiry = calloc(1, sizeof *inquiry + size);

    if (!inquiry)
        return NULL;
    inquiry->name = memcpy(inquiry + 1, name, size);
    inquiry->resolver = r;
    list_init(&inquiry->node);
    list_init(&inquiry->waiters);
    if (!names_insert(&r->inquiries_by_name, inquiry)) {
        free(inquiry);
        return NULL;
    }
    inquiry->charge = charge_take(charge);
    list_append(&r->inquiries, &inquiry->node);
    r->stats.questions++;
    r->stats.queries += HALVES;
    question_ask(&inquiry->question, r->dns, r->ring, inquiry->name, on_question);
    return inquiry;
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
    list_for_each (&r->inquiries, node) {
        struct inquiry *inquiry = container_of(node, struct inquiry, node);

        if (!inquiry->is_outdated)
            names_remove(&r->inquiries_by_name, inquiry);
        inquiry->is_outdated = true;
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
    struct inquiry *inquiry = names_find(&r->inquiries_by_name, name);
    CLEANUP(charge_deinit) struct charge charge = {0};

    if (inquiry && question_serves(&inquiry->question, lookup->family)) {
        question_get_answer(&inquiry->question, ret);
        return false;
    }
    if (!inquiry && !resolver_charge(r, &charge, lookup->payer, &ret->reason)) {
        ret->code = ERROR_OVER_LIMIT;
        return false;
    }
    if (!inquiry)
        inquiry = inquiry_new(r, name, &charge);
    if (!inquiry) {
        ret->code = ERROR_NO_RESOURCES;
        ret->reason = "out of memory";
        return false;
    }
    list_append(&inquiry->waiters, &lookup->node);
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
    list_init(&r->inquiries);
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
    list_for_each (&r->inquiries, node) {
        struct inquiry *inquiry = container_of(node, struct inquiry, node);

        assert(list_is_empty(&inquiry->waiters));
        question_deinit(&inquiry->question);
    }
    dns_free(r->dns); /* has the queries inside the questions */
    list_for_each (&r->inquiries, node) {
        struct inquiry *inquiry = container_of(node, struct inquiry, node);

        if (!inquiry->is_outdated)
            names_remove(&r->inquiries_by_name, inquiry);
        inquiry_free(inquiry);
    }
    cache_free(r->cache);
    hosts_free(r->hosts);
    free(r);
    return NULL;
}
