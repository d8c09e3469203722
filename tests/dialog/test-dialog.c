/* What all dialogs share, with one that asks for a line, for all to a byte, a length and so
 * many bytes. */
#include <stdlib.h>

#include "proto/cleanup.h"
#include "tests/dialog/conversation.h"
#include "tests/lib/suite.h"

static void toy_sent(struct dialog *d)
{
    dialog_want_line(d, 16);
}

static void toy_received(struct dialog *d, const uint8_t *data, size_t n)
{
    if (d->want == DIALOG_RECV_EXACT && n == 1 && data[0] > 0)
        dialog_want_exact(d, data[0] + UINT64_C(1));
    else if (d->want == DIALOG_RECV_EXACT && n > 1)
        dialog_done(d);
    else if (d->want == DIALOG_RECV_LINE && data[0] == 'a')
        dialog_want_reconnect(d);
    else if (d->want == DIALOG_RECV_LINE && data[0] == 'l')
        dialog_want_exact(d, 1);
    else if (d->want == DIALOG_RECV_LINE && data[0] == 'u')
        dialog_want_until(d, '>', 4);
    else if (d->want == DIALOG_RECV_UNTIL && data[n - 1] == '>')
        dialog_want_exact(d, 1);
    else
        dialog_fail(d, ERROR_PROXY_REFUSED, "it says %.*s", (int)n, (const char *)data);
}

static void toy_reconnected(struct dialog *d)
{
    dialog_want_send(d, "again", 5);
}

/* One that takes a close for a no. */
static bool toy_broken(struct dialog *d, enum dialog_break how)
{
    if (how != DIALOG_CLOSED)
        return false;
    dialog_fail(d, ERROR_PROXY_REFUSED, "it went away");
    return true;
}

static const struct dialog_type toy_type = {.name = "toy",
                                            .stage = STAGE_PROXY,
                                            .unclear = ERROR_PROXY_PROTOCOL,
                                            .is_last_word_ours = false,
                                            .sent = toy_sent,
                                            .received = toy_received,
                                            .reconnected = toy_reconnected};
static const struct dialog_type strict_type = {.name = "toy",
                                               .stage = STAGE_STARTTLS,
                                               .unclear = ERROR_STARTTLS_PROTOCOL,
                                               .is_last_word_ours = true,
                                               .sent = toy_sent,
                                               .received = toy_received,
                                               .reconnected = toy_reconnected};
static const struct dialog_type touchy_type = {.name = "toy",
                                               .stage = STAGE_PROXY,
                                               .unclear = ERROR_PROXY_PROTOCOL,
                                               .is_last_word_ours = true,
                                               .sent = toy_sent,
                                               .received = toy_received,
                                               .reconnected = toy_reconnected,
                                               .broken = toy_broken};

static struct dialog *make(const void *setup)
{
    struct dialog *d = malloc(sizeof *d);

    ck_assert_ptr_nonnull(d);
    dialog_init(d, setup);
    dialog_want_send(d, "hello", 5);
    return d;
}

static void free_toy(struct dialog *d)
{
    free(d);
}

static const struct conversation_kind kind = {.make = make, .free_ = free_toy};

/* A type that asks for what is not there, or goes on for ever, is what each run looks for; that it
 * is found was seen by breaking this one. */
static const struct conversation conversations[] = {
    {"done",
     &toy_type,
     {SAYS("hello"), HEARS("l\n"), HEARS("\2abc")},
     NULL,
     ERROR_NONE,
     NULL,
     NULL},
    {"more is the client's",
     &toy_type,
     {SAYS("hello"), HEARS("l\n\2abcdef")},
     "def",
     ERROR_NONE,
     NULL,
     NULL},
    {"until a byte",
     &toy_type,
     {SAYS("hello"), HEARS("u\na\n>\1abc")},
     "c",
     ERROR_NONE,
     NULL,
     NULL},
    {"the byte comes too late",
     &toy_type,
     {SAYS("hello"), HEARS("u\n1234>")},
     NULL,
     ERROR_PROXY_PROTOCOL,
     "more than 4 bytes",
     NULL},
    {"again",
     &toy_type,
     {SAYS("hello"), HEARS("a\r\n"), AGAIN, SAYS("again"), HEARS("l\n\1ab")},
     NULL,
     ERROR_NONE,
     NULL,
     NULL},
    {"what is left on the old connection is gone",
     &toy_type,
     {SAYS("hello"), HEARS("a\r\nleft"), AGAIN, SAYS("again"), HEARS("l\n\1abc")},
     "c",
     ERROR_NONE,
     NULL,
     NULL},
    {"refused",
     &toy_type,
     {SAYS("hello"), HEARS("no\x1b\n")},
     NULL,
     ERROR_PROXY_REFUSED,
     "toy: it says no\\x1b\\x0a",
     NULL},
    {"closed", &toy_type, {SAYS("hello")}, NULL, ERROR_PROXY_PROTOCOL, "it closed", NULL},
    {"too long",
     &toy_type,
     {SAYS("hello"), HEARS("l234567890123456\n")},
     NULL,
     ERROR_PROXY_PROTOCOL,
     "more than 16 bytes",
     NULL},
    {"closed, as it knows",
     &touchy_type,
     {SAYS("hello"), HEARS("l\n")},
     NULL,
     ERROR_PROXY_REFUSED,
     "toy: it went away",
     NULL},
    {"too long, as it does not know",
     &touchy_type,
     {SAYS("hello"), HEARS("l234567890123456\n")},
     NULL,
     ERROR_PROXY_PROTOCOL,
     "more than 16 bytes",
     NULL},
    {"injected, as it is not asked",
     &touchy_type,
     {SAYS("hello"), HEARS("l\n\1abc")},
     NULL,
     ERROR_STARTTLS_INJECTION,
     "toy: ",
     NULL},
    {"injected",
     &strict_type,
     {SAYS("hello"), HEARS("l\n\1abc")},
     NULL,
     ERROR_STARTTLS_INJECTION,
     "toy: ",
     NULL},
};

START_TEST(test_conversation)
{
    conversation_check(&kind, &conversations[_i]);
}
END_TEST

START_TEST(test_an_ended_one_stays)
{
    struct dialog d;

    dialog_init(&d, &toy_type);
    dialog_done(&d);
    dialog_broken(&d, DIALOG_CLOSED);
    ck_assert_int_eq(d.want, DIALOG_DONE);
    dialog_fail(&d, ERROR_PROXY_AUTH, "x");
    dialog_broken(&d, DIALOG_RESET);
    ck_assert_str_eq(d.failure.detail, "toy: x");
    dialog_deinit(&d);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dialog");
    TCase *tests = tcase_create("conversations");

    tcase_add_loop_test(tests, test_conversation, 0, ARRAY_SIZE(conversations));
    tcase_add_test(tests, test_an_ended_one_stays);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
