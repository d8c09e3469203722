/* SOCKS 5: each value of each byte that decides something, and where the password is. */
#include <string.h>

#include "daemon/dialog/socks5.h"
#include "proto/cleanup.h"
#include "tests/lib/suite.h"

static const struct socks5_setup anonymous = {
    .to = {.address = {.family = AF_INET}, .port = 22},
};
static const struct socks5_setup login = {
    .to = {.address = {.family = AF_INET}, .port = 22},
    .user = {"secret-user", 11},
    .password = {"secret-word", 11},
};
static const struct socks5_setup either = {
    .to = {.address = {.family = AF_INET}, .port = 22},
    .user = {"secret-user", 11},
    .password = {"secret-word", 11},
    .may_be_anonymous = true,
};

/* The proxy hears what is said and answers these bytes. */
static void answer(struct socks5 *s, const uint8_t *data, size_t n)
{
    if (s->dialog.want == DIALOG_SEND)
        dialog_sent(&s->dialog);
    ck_assert_int_eq(s->dialog.want, DIALOG_RECV_EXACT);
    ck_assert_uint_eq(s->dialog.n, n);
    dialog_received(&s->dialog, data, n);
}

static void choose(struct socks5 *s, uint8_t method)
{
    answer(s, (uint8_t[]){5, method}, 2);
}

static void begin(struct socks5 *s, const struct socks5_setup *setup, uint8_t method)
{
    socks5_init(s, setup);
    choose(s, method);
}

static void check_method(const struct socks5_setup *setup, uint8_t method, bool is_offered)
{
    struct socks5 s;

    begin(&s, setup, method);
    ck_assert_int_eq(s.dialog.want, is_offered ? DIALOG_SEND : DIALOG_FAILED);
    if (!is_offered)
        ck_assert_int_eq(s.dialog.failure.code,
                         method == 0xff ? ERROR_PROXY_AUTH : ERROR_PROXY_PROTOCOL);
    dialog_deinit(&s.dialog);
}

START_TEST(test_methods)
{
    for (unsigned i = 0; i <= UINT8_MAX; i++) {
        check_method(&anonymous, (uint8_t)i, i == 0);
        check_method(&login, (uint8_t)i, i == 2);
        check_method(&either, (uint8_t)i, i == 0 || i == 2);
    }
}
END_TEST

START_TEST(test_statuses)
{
    for (unsigned i = 0; i <= UINT8_MAX; i++) {
        struct socks5 s;

        begin(&s, &login, 2);
        answer(&s, (uint8_t[]){1, (uint8_t)i}, 2);
        ck_assert_int_eq(s.dialog.want, i == 0 ? DIALOG_SEND : DIALOG_FAILED);
        if (i > 0)
            ck_assert_int_eq(s.dialog.failure.code, ERROR_PROXY_AUTH);
        dialog_deinit(&s.dialog);
    }
}
END_TEST

START_TEST(test_replies)
{
    static const char *const details[] = {
        [1] = "socks5: general failure (reply 1)",
        [2] = "socks5: connection not allowed by its rules (reply 2)",
        [3] = "socks5: network unreachable (reply 3)",
        [4] = "socks5: host unreachable (reply 4)",
        [5] = "socks5: connection refused (reply 5)",
        [6] = "socks5: TTL expired (reply 6)",
        [7] = "socks5: command not supported (reply 7)",
        [8] = "socks5: address type not supported (reply 8)",
        [9] = "socks5: refused for a reason without a text (reply 9)",
    };

    for (unsigned i = 1; i <= UINT8_MAX; i++) {
        struct socks5 s;

        begin(&s, &anonymous, 0);
        answer(&s, (uint8_t[]){5, (uint8_t)i, 0, 1, 0}, 5);
        ck_assert_int_eq(s.dialog.want, DIALOG_FAILED);
        ck_assert_int_eq(s.dialog.failure.code, ERROR_PROXY_REFUSED);
        if (i < ARRAY_SIZE(details))
            ck_assert_str_eq(s.dialog.failure.detail, details[i]);
        dialog_deinit(&s.dialog);
    }
}
END_TEST

/* How much is to follow the five bytes; 0: it failed. */
static size_t rest_of(uint8_t version, uint8_t type, uint8_t first)
{
    struct socks5 s;
    size_t n;

    begin(&s, &anonymous, 0);
    answer(&s, (uint8_t[]){version, 0, 0, type, first}, 5);
    if (s.dialog.want == DIALOG_FAILED)
        ck_assert_int_eq(s.dialog.failure.code, ERROR_PROXY_PROTOCOL);
    n = s.dialog.want == DIALOG_FAILED ? 0 : s.dialog.n;
    dialog_deinit(&s.dialog);
    return n;
}

START_TEST(test_lengths_of_replies)
{
    for (unsigned i = 0; i <= UINT8_MAX; i++) {
        ck_assert_uint_eq(rest_of(5, 1, (uint8_t)i), 3 + 2);
        ck_assert_uint_eq(rest_of(5, 3, (uint8_t)i), i + 2);
        ck_assert_uint_eq(rest_of(5, 4, (uint8_t)i), 15 + 2);
        if (i != 1 && i != 3 && i != 4)
            ck_assert_uint_eq(rest_of(5, (uint8_t)i, 0), 0);
        if (i != 5)
            ck_assert_uint_eq(rest_of((uint8_t)i, 1, 0), 0);
    }
}
END_TEST

START_TEST(test_reset)
{
    struct socks5 s;

    begin(&s, &login, 2);
    dialog_sent(&s.dialog);
    dialog_broken(&s.dialog, DIALOG_RESET);
    ck_assert_int_eq(s.dialog.failure.code, ERROR_PROXY_PROTOCOL);
    ck_assert_str_eq(s.dialog.failure.detail, "socks5: it reset the connection");
    dialog_deinit(&s.dialog);
}
END_TEST

static bool has_secret(const struct socks5 *s)
{
    return memmem(s, sizeof *s, "secret-", 7) != NULL;
}

/* Not only at the end: the reply may be long in coming. */
START_TEST(test_password_is_wiped_when_it_was_used)
{
    struct socks5 s;

    begin(&s, &login, 2);
    ck_assert(has_secret(&s));
    answer(&s, (uint8_t[]){1, 0}, 2);
    ck_assert(!has_secret(&s));
    dialog_deinit(&s.dialog);
}
END_TEST

START_TEST(test_password_is_wiped_when_it_is_not_needed)
{
    struct socks5 s;

    begin(&s, &either, 0);
    ck_assert(!has_secret(&s));
    dialog_deinit(&s.dialog);
}
END_TEST

START_TEST(test_password_is_wiped_in_the_end)
{
    struct socks5 s;

    begin(&s, &login, 2);
    answer(&s, (uint8_t[]){1, 1}, 2);
    dialog_deinit(&s.dialog);
    ck_assert(!has_secret(&s));
    socks5_init(&s, &login);
    dialog_deinit(&s.dialog);
    ck_assert(!has_secret(&s));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("socks5-bytes");
    TCase *tests = tcase_create("bytes");

    tcase_add_test(tests, test_methods);
    tcase_add_test(tests, test_statuses);
    tcase_add_test(tests, test_replies);
    tcase_add_test(tests, test_lengths_of_replies);
    tcase_add_test(tests, test_reset);
    tcase_add_test(tests, test_password_is_wiped_when_it_was_used);
    tcase_add_test(tests, test_password_is_wiped_when_it_is_not_needed);
    tcase_add_test(tests, test_password_is_wiped_in_the_end);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
