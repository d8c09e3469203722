/* How connections are handed over: a table of what they are, who accepts what, and what the kernel
 * can; and that each reason is a sentence. */
#include <check.h>
#include <string.h>

#include "daemon/policy/config.h"
#include "daemon/policy/handoff.h"
#include "proto/cleanup.h"
#include "tests/lib/suite.h"

#define ALL     HANDOFF_ALL
#define TCP     HANDOFF_TCP
#define KTLS    HANDOFF_KTLS
#define RELAY   HANDOFF_RELAY
#define CIPHERS (1U << TLS_KERNEL_12_AES_128_GCM | 1U << TLS_KERNEL_13_AES_128_GCM)

static const struct capabilities whole = {
    .can_seal = true, .kernel_tx = CIPHERS, .kernel_rx = CIPHERS};
/* One direction is none. */
static const struct capabilities half = {
    .can_seal = true, .kernel_tx = CIPHERS, .ktls_reason = "one way"};
static const struct capabilities unsealed = {
    .seal_reason = "old", .kernel_tx = CIPHERS, .kernel_rx = CIPHERS};
static const struct capabilities none = {.seal_reason = "no ULP", .ktls_reason = "no ULP"};

static const struct handoff_shape plain = {0};
static const struct handoff_shape local = {.is_unix = true};
static const struct handoff_shape tls = {.n_tls = 1};
static const struct handoff_shape tls_local = {.is_unix = true, .n_tls = 1};
static const struct handoff_shape nested = {.n_tls = 2, .is_tls_to_proxy = true};
static const struct handoff_shape to_proxy = {.n_tls = 1, .is_tls_to_proxy = true};
static const struct handoff_shape upgraded = {.n_tls = 1, .is_upgraded = true};
static const struct handoff_shape upgraded_plain = {.is_upgraded = true};

static const struct row {
    const struct handoff_shape *shape;
    unsigned accepted, by_rule;
    enum seal seal;
    const struct capabilities *caps;
    bool is_off;
    int kind; /* 0: refused */
    enum handoff_reason reason;
    bool may_relay, is_sealed;
} rows[] = {
    /* plain */
    {&plain, ALL, ALL, SEAL_REQUIRED, &whole, false, TCP, 0, true, true},
    {&plain, TCP, ALL, SEAL_REQUIRED, &whole, false, TCP, 0, false, true},
    {&plain, ALL, TCP | KTLS, SEAL_REQUIRED, &whole, false, TCP, 0, false, true},
    {&plain, ALL, ALL, SEAL_OFF, &whole, false, TCP, 0, true, false},
    {&plain, ALL, ALL, SEAL_OFF, &none, false, TCP, 0, true, false},
    {&plain, ALL, ALL, SEAL_REQUIRED, &none, false, RELAY, HANDOFF_NO_SEAL, true, false},
    {&plain, TCP, ALL, SEAL_REQUIRED, &none, false, 0, 0, false, false},
    {&plain, RELAY, ALL, SEAL_REQUIRED, &whole, false, RELAY, 0, true, false},
    {&plain, ALL, RELAY, SEAL_REQUIRED, &whole, false, RELAY, HANDOFF_NOT_BY_RULE, true, false},
    {&plain, KTLS | RELAY, ALL, SEAL_REQUIRED, &whole, false, RELAY, HANDOFF_NOT_ACCEPTED, true,
     false},
    {&plain, KTLS, ALL, SEAL_REQUIRED, &whole, false, 0, 0, false, false},
    {&plain, ALL, ALL, SEAL_REQUIRED, &whole, true, TCP, 0, true, true},
    {&local, ALL, ALL, SEAL_REQUIRED, &none, false, TCP, 0, true, false},
    {&upgraded_plain, ALL, ALL, SEAL_REQUIRED, &whole, false, TCP, 0, true, true},
    /* TLS */
    {&tls, ALL, ALL, SEAL_REQUIRED, &whole, false, KTLS, 0, true, true},
    {&tls, KTLS, ALL, SEAL_REQUIRED, &whole, false, KTLS, 0, false, true},
    {&tls, ALL, KTLS, SEAL_REQUIRED, &whole, false, KTLS, 0, false, true},
    {&tls, ALL, ALL, SEAL_OFF, &whole, false, KTLS, 0, true, true},
    {&tls, ALL, ALL, SEAL_OFF, &unsealed, false, KTLS, 0, true, true},
    {&tls, ALL, ALL, SEAL_REQUIRED, &unsealed, false, RELAY, HANDOFF_NO_SEAL, true, false},
    {&tls, ALL, ALL, SEAL_REQUIRED, &half, false, RELAY, HANDOFF_NO_KTLS, true, false},
    {&tls, KTLS, ALL, SEAL_REQUIRED, &half, false, 0, 0, false, false},
    {&tls, TCP | RELAY, ALL, SEAL_REQUIRED, &whole, false, RELAY, 0, true, false},
    {&tls, TCP, ALL, SEAL_REQUIRED, &whole, false, 0, 0, false, false},
    {&tls, ALL, TCP | RELAY, SEAL_REQUIRED, &whole, false, RELAY, HANDOFF_NOT_BY_RULE, true, false},
    {&tls, ALL, ALL, SEAL_REQUIRED, &whole, true, RELAY, HANDOFF_KTLS_OFF, true, false},
    {&tls, KTLS, ALL, SEAL_REQUIRED, &whole, true, 0, 0, false, false},
    /* what the kernel is not for */
    {&tls_local, ALL, ALL, SEAL_OFF, &whole, false, RELAY, HANDOFF_UNIX_SOCKET, true, false},
    {&nested, ALL, ALL, SEAL_OFF, &whole, false, RELAY, HANDOFF_TLS_IN_TLS, true, false},
    {&to_proxy, ALL, ALL, SEAL_OFF, &whole, false, RELAY, HANDOFF_TLS_TO_PROXY, true, false},
    {&to_proxy, TCP, ALL, SEAL_OFF, &whole, false, 0, 0, false, false},
    {&upgraded, ALL, ALL, SEAL_OFF, &whole, false, RELAY, HANDOFF_UPGRADED, true, false},
    {&upgraded, KTLS, ALL, SEAL_OFF, &whole, false, 0, 0, false, false},
};

START_TEST(test_choice)
{
    const struct row *row = &rows[_i];
    const struct rule rule = {.seal = row->seal, .handoff = row->by_rule};
    const struct route route = {.rule = &rule,
                                .accepted = row->accepted,
                                .handoff = row->accepted & row->by_rule,
                                .is_ktls_off = row->is_off};
    struct handoff_choice choice;
    struct failure failure;

    if (!handoff_choose(row->shape, &route, row->caps, &choice, &failure)) {
        ck_assert_int_eq(row->kind, 0);
        ck_assert_uint_eq(failure.code, ERROR_HANDOFF_KIND);
        ck_assert_uint_gt(strlen(failure.detail), 0);
        return;
    }
    ck_assert_int_eq(choice.kind, row->kind);
    ck_assert_int_eq(choice.reason, row->reason);
    ck_assert_int_eq(choice.may_relay, row->may_relay);
    ck_assert_int_eq(choice.is_sealed, row->is_sealed);
    ck_assert_uint_eq(choice.kind & handoff_possible(row->shape), choice.kind);
    ck_assert_uint_eq(choice.kind & route.handoff, choice.kind);
}
END_TEST

/* Whose fault it is that it cannot be a relay instead. */
START_TEST(test_advice)
{
    static const struct {
        unsigned accepted, by_rule;
        const char *advice;
    } who[] = {
        {KTLS, ALL, "accept relay"},
        {ALL, KTLS, "add relay to the rule's handoff"},
        {KTLS, KTLS, "accept relay, and add it to the rule's handoff"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(who); i++) {
        const struct rule rule = {.seal = SEAL_REQUIRED, .handoff = who[i].by_rule};
        const struct route route = {.rule = &rule, .accepted = who[i].accepted, .handoff = KTLS};
        struct handoff_choice choice;
        struct failure failure;

        ck_assert(!handoff_choose(&tls, &route, &half, &choice, &failure));
        ck_assert_str_eq(strstr(failure.detail, "; ") + 2, who[i].advice);
        ck_assert(handoff_choose(&tls, &route, &whole, &choice, &failure));
        ck_assert_str_eq(choice.advice, who[i].advice);
    }
}
END_TEST

START_TEST(test_reasons_are_sentences)
{
    char text[HANDOFF_REASON_MAX + 1];

    for (enum handoff_reason reason = HANDOFF_AS_WISHED; reason <= HANDOFF_KEYS_FAILED; reason++) {
        handoff_explain(reason, &none, "TLS_X", text);
        ck_assert_int_eq(strlen(text) > 0, reason != HANDOFF_AS_WISHED);
    }
    handoff_explain(HANDOFF_NO_KTLS, &none, "", text);
    ck_assert_ptr_nonnull(strstr(text, "no ULP"));
    handoff_explain(HANDOFF_NO_CIPHER, &none, "TLS_X", text);
    ck_assert_ptr_nonnull(strstr(text, "TLS_X"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("handoff");
    TCase *tcase = tcase_create("handoff");

    tcase_add_loop_test(tcase, test_choice, 0, ARRAY_SIZE(rows));
    tcase_add_test(tcase, test_advice);
    tcase_add_test(tcase, test_reasons_are_sentences);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
