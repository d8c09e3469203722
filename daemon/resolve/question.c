/* Sans resolver: who waits, the cache and the limits are its owner's. A half that failed beside one
 * with addresses makes the answer hold for less long, but no failure. */
#include "daemon/resolve/question.h"

#include <string.h>

#include "daemon/base/clock.h"

static bool half_is(const struct question *q, enum half half, enum dns_verdict verdict)
{
    return q->is_answered[half] && q->halves[half].answer.verdict == verdict;
}

static bool has(const struct question *q, enum dns_verdict verdict)
{
    return half_is(q, HALF_IPV6, verdict) || half_is(q, HALF_IPV4, verdict);
}

/* Both families get their share where there are more addresses than places. */
static void collect(const struct question *q, struct address_list *list)
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

static const char *failure_reason(const struct question *q)
{
    for (size_t i = 0; i < HALVES; i++) {
        if (half_is(q, i, DNS_FAILED))
            return q->halves[i].answer.reason;
    }
    return "no answer";
}

void question_get_answer(const struct question *q, struct answer *ret)
{
    collect(q, &ret->addresses);
    ret->code = ERROR_NONE;
    ret->reason = NULL;
    if (ret->addresses.n > 0)
        return;
    if (has(q, DNS_NO_NAME)) {
        ret->code = ERROR_NO_NAME;
        ret->reason = "NXDOMAIN";
    } else if (has(q, DNS_FAILED)) {
        ret->code = ERROR_RESOLVE_FAILED;
        ret->reason = failure_reason(q);
    } else {
        ret->code = ERROR_NO_ADDRESS;
        ret->reason = "neither A nor AAAA records";
    }
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Where there are addresses of one family, the other's absence counts no longer than they do. */
uint32_t question_ttl_s(const struct question *q, enum error_code code)
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

bool question_is_over(const struct question *q)
{
    return q->is_answered[HALF_IPV6] && q->is_answered[HALF_IPV4];
}

bool question_serves(const struct question *q, sa_family_t family)
{
    switch (family) {
    case AF_INET:
        return half_is(q, HALF_IPV4, DNS_ADDRESSES);
    case AF_INET6:
        return half_is(q, HALF_IPV6, DNS_ADDRESSES);
    default:
        return q->is_patience_over && has(q, DNS_ADDRESSES);
    }
}

static void on_patience(struct timer *timer)
{
    struct question *q = container_of(timer, struct question, patience);

    q->is_patience_over = true;
    q->fn(q);
}

static void on_half(struct question *q, enum half half)
{
    q->is_answered[half] = true;
    if (question_is_over(q))
        ring_timer_clear(q->ring, &q->patience);
    else if (half_is(q, half, DNS_ADDRESSES))
        ring_timer_set(q->ring, &q->patience,
                       ring_now_us(q->ring) + RESOLVE_PATIENCE_MS * US_PER_MS);
    q->fn(q);
}

static void on_ipv6(struct dns_query *query)
{
    on_half(container_of(query, struct question, halves[HALF_IPV6]), HALF_IPV6);
}

static void on_ipv4(struct dns_query *query)
{
    on_half(container_of(query, struct question, halves[HALF_IPV4]), HALF_IPV4);
}

void question_ask(struct question *q, struct dns *dns, struct ring *ring, const char *name,
                  question_fn *fn)
{
    q->ring = ring;
    q->fn = fn;
    q->is_answered[HALF_IPV6] = q->is_answered[HALF_IPV4] = false;
    q->is_patience_over = false;
    timer_init(&q->patience, on_patience);
    dns_ask(dns, &q->halves[HALF_IPV6], on_ipv6, name, AF_INET6);
    dns_ask(dns, &q->halves[HALF_IPV4], on_ipv4, name, AF_INET);
}

void question_deinit(struct question *q)
{
    ring_timer_clear(q->ring, &q->patience);
}
