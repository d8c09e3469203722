/* Each part of what a connection knows makes another key. */
#include <check.h>
#include <string.h>

#include "daemon/conn/session_key.h"
#include "tests/lib/suite.h"

struct place {
    const char *rule;
    const char *target;
    uint8_t hop;
    const char *proxy; /* of that hop */
};

static const struct place places[] = {
    {"ci", "https://host.example", 0, NULL},
    {"ci2", "https://host.example", 0, NULL},
    {"ci", "https://host.example:444", 0, NULL},
    {"ci", "wss://host.example", 0, NULL},
    {"ci", "https://other.example", 0, NULL},
    {"ci", "https://1.2.3.4", 0, NULL},
    {"ci", "https://[::1]", 0, NULL},
    {"ci", "https://[::1:4]", 0, NULL},
    {"ci", "smtp+starttls://host.example:443", 0, NULL},
    {"ci", "imap+starttls://host.example:443", 0, NULL},
    {"ci", "https://host.example", 1, "host.example"},
    {"ci", "https://host.example", 2, "host.example"},
    {"ci", "https://host.example", 1, "other.example"},
    {"ci2", "https://host.example", 1, "host.example"},
    {"ci0https", "https://host.example", 0, NULL},
};

#define PLACES (sizeof places / sizeof places[0])

static struct text make(const struct place *place, char buf[SESSION_KEY_MAX])
{
    struct proxy proxy = {.name = (char *)place->proxy};
    const struct proxy *via[] = {&proxy, &proxy};
    struct conn_params params = {
        .rule = place->rule,
        .plan = {.steps = {{STEP_TLS, place->hop}}, .n_steps = 1, .via = via, .n_via = 2}};
    struct conn conn = {.params = &params};
    const char *error;

    ck_assert_int_eq(target_parse(place->target, strlen(place->target), &params.target, &error), 0);
    return session_key_make(&conn, buf);
}

START_TEST(each_place_has_its_own)
{
    for (size_t i = 0; i < PLACES; i++)
        for (size_t k = 0; k < PLACES; k++) {
            char a[SESSION_KEY_MAX], b[SESSION_KEY_MAX];
            struct text one = make(&places[i], a), other = make(&places[k], b);
            bool is_same = one.n == other.n && memcmp(one.data, other.data, one.n) == 0;

            ck_assert_msg(is_same == (i == k), "%zu and %zu", i, k);
        }
}
END_TEST

/* A proxy has the sessions of all targets behind it. */
START_TEST(a_proxy_has_one_for_all_targets)
{
    static const struct place one = {"ci", "https://a.example", 1, "corp"};
    static const struct place other = {"ci", "tls://b.example:1", 1, "corp"};
    char a[SESSION_KEY_MAX], b[SESSION_KEY_MAX];
    struct text first = make(&one, a), second = make(&other, b);

    ck_assert_uint_eq(first.n, second.n);
    ck_assert_mem_eq(first.data, second.data, first.n);
}
END_TEST

START_TEST(the_longest_has_room)
{
    char rule[CONFIG_TITLE_MAX + 1], target[TARGET_MAX + 1], buf[SESSION_KEY_MAX];
    struct place place = {rule, target, 0, NULL};

    memset(rule, 'r', CONFIG_TITLE_MAX);
    rule[CONFIG_TITLE_MAX] = '\0';
    strcpy(target, "postgres+starttls://");
    for (int i = 0; i < 126; i++)
        strcat(target, "a.");
    strcat(target, "a:65535");
    ck_assert_uint_gt(make(&place, buf).n, CONFIG_TITLE_MAX + TARGET_HOST_MAX);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("session-key");
    TCase *tcase = tcase_create("all");

    tcase_add_test(tcase, each_place_has_its_own);
    tcase_add_test(tcase, a_proxy_has_one_for_all_targets);
    tcase_add_test(tcase, the_longest_has_room);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
