/* STARTTLS where lines are spoken: SMTP, IMAP, POP3, FTP. */
#include <stdio.h>
#include <string.h>

#include "proto/cleanup.h"
#include "tests/dialog/starttls.h"
#include "tests/lib/suite.h"

#define REFUSED  ERROR_STARTTLS_REFUSED
#define BROKEN   ERROR_STARTTLS_PROTOCOL
#define INJECTED ERROR_STARTTLS_INJECTION

static const enum scheme smtp = SCHEME_SMTP, imap = SCHEME_IMAP, pop3 = SCHEME_POP3,
                         ftp = SCHEME_FTP;

#define EHLO       SAYS("EHLO client.example\r\n")
#define SMTP_HI    "220 mx.example ESMTP\r\n"
#define SMTP_OFFER "250-mx.example\r\n250-SIZE 1000\r\n250-STARTTLS\r\n250 HELP\r\n"
#define CAPABILITY SAYS("fdial1 CAPABILITY\r\n")
#define IMAP_START SAYS("fdial2 STARTTLS\r\n")
#define IMAP_HI    "* OK ready\r\n"
#define IMAP_OFFER "* CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED\r\nfdial1 OK done\r\n"
#define POP3_HI    "+OK ready <1896.697170952@pop.example>\r\n"
#define POP3_OFFER "+OK list\r\nTOP\r\nSTLS\r\nUIDL\r\n.\r\n"

static const struct conversation conversations[] = {
    /* ---- SMTP ---- */
    {"smtp",
     &smtp,
     {HEARS(SMTP_HI), EHLO, HEARS(SMTP_OFFER), SAYS("STARTTLS\r\n"), HEARS("220 go\r\n")},
     .response = SMTP_HI SMTP_OFFER},
    {"smtp: lines without text, in lower case, last, with LF alone",
     &smtp,
     {HEARS("220\n"), EHLO, HEARS("250-\n250 starttls\n"), SAYS("STARTTLS\r\n"), HEARS("220\n")},
     .response = "220\n250-\n250 starttls\n"},
    {"smtp: several lines everywhere",
     &smtp,
     {HEARS("220-mx.example\r\n220-no spam\r\n220 please\r\n"), EHLO, HEARS(SMTP_OFFER),
      SAYS("STARTTLS\r\n"), HEARS("220-well\r\n220 go\r\n")},
     .response = "220-mx.example\r\n220-no spam\r\n220 please\r\n" SMTP_OFFER},
    {"smtp: no greeting", &smtp, {HEARS("")}, .code = BROKEN, .detail = "it closed"},
    {"smtp: not now",
     &smtp,
     {HEARS("421 too many connections\r\n")},
     .code = REFUSED,
     .detail = "smtp: it says '421 too many connections'"},
    {"smtp: no service", &smtp, {HEARS("554-no\r\n554 never\r\n")}, .code = REFUSED},
    {"smtp: refuses in the middle",
     &smtp,
     {HEARS("220-mx.example\r\n554 no\r\n")},
     .code = REFUSED},
    {"smtp: not SMTP", &smtp, {HEARS("SSH-2.0-OpenSSH_9.2\r\n")}, .code = BROKEN, .detail = "SSH"},
    {"smtp: another good code", &smtp, {HEARS("250 hello\r\n")}, .code = BROKEN},
    {"smtp: the code changes", &smtp, {HEARS("220-a\r\n250 b\r\n")}, .code = BROKEN},
    {"smtp: four digits", &smtp, {HEARS("2200 a\r\n")}, .code = BROKEN},
    {"smtp: two digits", &smtp, {HEARS("22\r\n")}, .code = BROKEN},
    {"smtp: an empty line", &smtp, {HEARS("\r\n")}, .code = BROKEN},
    {"smtp: a NUL", &smtp, {HEARS("220 a\0b\r\n")}, .code = BROKEN, .detail = "not a line of text"},
    {"smtp: a CR within", &smtp, {HEARS("220 a\rb\r\n")}, .code = BROKEN},
    {"smtp: escapes are escaped",
     &smtp,
     {HEARS("554 \xffq\r\n")},
     .code = REFUSED,
     .detail = "554 \\xffq"},
    {"smtp: does not know EHLO",
     &smtp,
     {HEARS(SMTP_HI), EHLO, HEARS("502 what?\r\n")},
     .code = REFUSED,
     .detail = "502 what?"},
    {"smtp: an answer to nothing",
     &smtp,
     {HEARS(SMTP_HI), EHLO, HEARS("220 again\r\n")},
     .code = BROKEN},
    {"smtp: does not offer it",
     &smtp,
     {HEARS(SMTP_HI), EHLO, HEARS("250-mx.example\r\n250 STARTTLSX\r\n")},
     .code = REFUSED,
     .detail = "does not offer"},
    {"smtp: a host of that name",
     &smtp,
     {HEARS(SMTP_HI), EHLO, HEARS("250-STARTTLS\r\n250 HELP\r\n")},
     .code = REFUSED},
    {"smtp: the offer in one line",
     &smtp,
     {HEARS(SMTP_HI), EHLO, HEARS("250 STARTTLS\r\n")},
     .code = REFUSED},
    {"smtp: TLS not available",
     &smtp,
     {HEARS(SMTP_HI), EHLO, HEARS(SMTP_OFFER), SAYS("STARTTLS\r\n"), HEARS("454 later\r\n")},
     .code = REFUSED,
     .detail = "454 later"},
    {"smtp: a syntax error",
     &smtp,
     {HEARS(SMTP_HI), EHLO, HEARS(SMTP_OFFER), SAYS("STARTTLS\r\n"), HEARS("501 bad\r\n")},
     .code = REFUSED},
    {"smtp: neither yes nor no",
     &smtp,
     {HEARS(SMTP_HI), EHLO, HEARS(SMTP_OFFER), SAYS("STARTTLS\r\n"), HEARS("354 data\r\n")},
     .code = BROKEN},
    {"smtp: a line behind the last",
     &smtp,
     {HEARS(SMTP_HI), EHLO, HEARS(SMTP_OFFER), SAYS("STARTTLS\r\n"),
      HEARS("220 go\r\n250-mx.example\r\n250 AUTH PLAIN\r\n")},
     .code = INJECTED},
    {"smtp: a byte behind the last",
     &smtp,
     {HEARS(SMTP_HI), EHLO, HEARS(SMTP_OFFER), SAYS("STARTTLS\r\n"), HEARS("220 go\r\n\x16")},
     .code = INJECTED},

    /* ---- IMAP ---- */
    {"imap",
     &imap,
     {HEARS(IMAP_HI), CAPABILITY, HEARS(IMAP_OFFER), IMAP_START, HEARS("fdial2 OK go\r\n")},
     .response = IMAP_HI IMAP_OFFER},
    {"imap: the greeting offers",
     &imap,
     {HEARS("* OK [CAPABILITY IMAP4rev1 STARTTLS] hi\r\n"), IMAP_START, HEARS("fdial2 OK\r\n")},
     .response = "* OK [CAPABILITY IMAP4rev1 STARTTLS] hi\r\n"},
    {"imap: the greeting does not",
     &imap,
     {HEARS("* OK [CAPABILITY IMAP4rev1] STARTTLS\r\n"), CAPABILITY, HEARS(IMAP_OFFER), IMAP_START,
      HEARS("fdial2 OK go\r\n")},
     .response = "* OK [CAPABILITY IMAP4rev1] STARTTLS\r\n" IMAP_OFFER},
    {"imap: a code without an end",
     &imap,
     {HEARS("* OK [CAPABILITY STARTTLS\r\n"), CAPABILITY, HEARS("* CAPABILITY X\r\nfdial1 OK\r\n")},
     .code = REFUSED},
    {"imap: other lines between, lower case",
     &imap,
     {HEARS("* ok\r\n"), CAPABILITY,
      HEARS("* OK [ALERT] STARTTLS\r\n* 3 EXISTS\r\n* capability starttls\r\nFDIAL1 ok\r\n"),
      IMAP_START, HEARS("* OK wait\r\nfdial2 ok go\r\n")},
     .response = "* ok\r\n* OK [ALERT] STARTTLS\r\n* 3 EXISTS\r\n* capability starttls\r\n"
                 "FDIAL1 ok\r\n"},
    {"imap: logged in already",
     &imap,
     {HEARS("* PREAUTH [CAPABILITY IMAP4rev1 STARTTLS] hi\r\n")},
     .code = REFUSED,
     .detail = "logged in"},
    {"imap: bye", &imap, {HEARS("* BYE full\r\n")}, .code = REFUSED, .detail = "* BYE full"},
    {"imap: not now", &imap, {HEARS("* NO hi\r\n")}, .code = BROKEN},
    {"imap: not IMAP", &imap, {HEARS("+OK POP3\r\n")}, .code = BROKEN},
    {"imap: a star only", &imap, {HEARS("*\r\n")}, .code = BROKEN},
    {"imap: bye after the question",
     &imap,
     {HEARS(IMAP_HI), CAPABILITY, HEARS("* BYE\r\nfdial1 OK\r\n")},
     .code = REFUSED},
    {"imap: no answer to the question",
     &imap,
     {HEARS(IMAP_HI), CAPABILITY, HEARS("fdial1 BAD no\r\n")},
     .code = REFUSED,
     .detail = "fdial1 BAD no"},
    {"imap: does not offer it",
     &imap,
     {HEARS(IMAP_HI), CAPABILITY, HEARS("* CAPABILITY IMAP4rev1 XSTARTTLS\r\nfdial1 OK\r\n")},
     .code = REFUSED,
     .detail = "does not offer"},
    {"imap: another's tag",
     &imap,
     {HEARS(IMAP_HI), CAPABILITY, HEARS("a1 OK\r\n")},
     .code = BROKEN,
     .detail = "a1 OK"},
    {"imap: a tag that goes on",
     &imap,
     {HEARS(IMAP_HI), CAPABILITY, HEARS("fdial11 OK\r\n")},
     .code = BROKEN},
    {"imap: the answer to what was not asked yet",
     &imap,
     {HEARS(IMAP_HI), CAPABILITY, HEARS("fdial2 OK\r\n")},
     .code = BROKEN},
    {"imap: more is wanted",
     &imap,
     {HEARS(IMAP_HI), CAPABILITY, HEARS("+ go on\r\n")},
     .code = BROKEN},
    {"imap: no",
     &imap,
     {HEARS(IMAP_HI), CAPABILITY, HEARS(IMAP_OFFER), IMAP_START, HEARS("fdial2 NO later\r\n")},
     .code = REFUSED,
     .detail = "fdial2 NO later"},
    {"imap: neither yes nor no",
     &imap,
     {HEARS(IMAP_HI), CAPABILITY, HEARS(IMAP_OFFER), IMAP_START, HEARS("fdial2 OKAY\r\n")},
     .code = BROKEN},
    {"imap: more behind the last",
     &imap,
     {HEARS(IMAP_HI), CAPABILITY, HEARS(IMAP_OFFER), IMAP_START,
      HEARS("fdial2 OK go\r\n* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n")},
     .code = INJECTED},

    /* ---- POP3 ---- */
    {"pop3",
     &pop3,
     {HEARS(POP3_HI), SAYS("CAPA\r\n"), HEARS(POP3_OFFER), SAYS("STLS\r\n"), HEARS("+OK go\r\n")},
     .response = POP3_HI POP3_OFFER},
    {"pop3: bare",
     &pop3,
     {HEARS("+OK\n"), SAYS("CAPA\r\n"), HEARS("+OK\nSTLS\n.\n"), SAYS("STLS\r\n"), HEARS("+OK\n")},
     .response = "+OK\n+OK\nSTLS\n.\n"},
    {"pop3: not now", &pop3, {HEARS("-ERR busy\r\n")}, .code = REFUSED, .detail = "-ERR busy"},
    {"pop3: not POP3", &pop3, {HEARS("* OK IMAP\r\n")}, .code = BROKEN},
    {"pop3: a longer word", &pop3, {HEARS("+OKAY\r\n")}, .code = BROKEN},
    {"pop3: does not know CAPA",
     &pop3,
     {HEARS(POP3_HI), SAYS("CAPA\r\n"), HEARS("-ERR what?\r\n")},
     .code = REFUSED},
    {"pop3: no status",
     &pop3,
     {HEARS(POP3_HI), SAYS("CAPA\r\n"), HEARS("STLS\r\n")},
     .code = BROKEN},
    {"pop3: does not offer it",
     &pop3,
     {HEARS(POP3_HI), SAYS("CAPA\r\n"), HEARS("+OK STLS\r\nSTLSX\r\n.STLS\r\n.\r\n")},
     .code = REFUSED,
     .detail = "does not offer"},
    {"pop3: no",
     &pop3,
     {HEARS(POP3_HI), SAYS("CAPA\r\n"), HEARS(POP3_OFFER), SAYS("STLS\r\n"), HEARS("-ERR no\r\n")},
     .code = REFUSED},
    {"pop3: neither yes nor no",
     &pop3,
     {HEARS(POP3_HI), SAYS("CAPA\r\n"), HEARS(POP3_OFFER), SAYS("STLS\r\n"), HEARS("+ \r\n")},
     .code = BROKEN},
    {"pop3: more behind the last",
     &pop3,
     {HEARS(POP3_HI), SAYS("CAPA\r\n"), HEARS(POP3_OFFER), SAYS("STLS\r\n"),
      HEARS("+OK go\r\n+OK logged in\r\n")},
     .code = INJECTED},

    /* ---- FTP ---- */
    {"ftp",
     &ftp,
     {HEARS("220 ready\r\n"), SAYS("AUTH TLS\r\n"), HEARS("234 go\r\n")},
     .response = "220 ready\r\n"},
    {"ftp: several lines of any form",
     &ftp,
     {HEARS("220-hello\r\n\r\n500 guests\r\n220-and\r\n 220 all\r\n220 ready\r\n"),
      SAYS("AUTH TLS\r\n"), HEARS("234-so\r\n234 go\r\n")},
     .response = "220-hello\r\n\r\n500 guests\r\n220-and\r\n 220 all\r\n220 ready\r\n"},
    {"ftp: later",
     &ftp,
     {HEARS("120 in 5 minutes\r\n220 ready\r\n"), SAYS("AUTH TLS\r\n"), HEARS("234 go\r\n")},
     .response = "120 in 5 minutes\r\n220 ready\r\n"},
    {"ftp: later, in several lines",
     &ftp,
     {HEARS("120-in\r\n220 x\r\n120 minutes\r\n220 ready\r\n"), SAYS("AUTH TLS\r\n"),
      HEARS("234 go\r\n")},
     .response = "120-in\r\n220 x\r\n120 minutes\r\n220 ready\r\n"},
    {"ftp: later, and then not", &ftp, {HEARS("120 a\r\n421 no\r\n")}, .code = REFUSED},
    {"ftp: not now", &ftp, {HEARS("421 full\r\n")}, .code = REFUSED, .detail = "421 full"},
    {"ftp: logged in", &ftp, {HEARS("230 hi\r\n")}, .code = BROKEN},
    {"ftp: no code", &ftp, {HEARS("hello\r\n")}, .code = BROKEN},
    {"ftp: an empty line", &ftp, {HEARS("\r\n")}, .code = BROKEN},
    {"ftp: no end of several lines", &ftp, {HEARS("220-a\r\n221 b\r\n")}, .code = BROKEN},
    {"ftp: no TLS",
     &ftp,
     {HEARS("220 ready\r\n"), SAYS("AUTH TLS\r\n"), HEARS("504 no\r\n")},
     .code = REFUSED,
     .detail = "504 no"},
    {"ftp: wants more for its security (RFC 2228, 3)",
     &ftp,
     {HEARS("220 ready\r\n"), SAYS("AUTH TLS\r\n"), HEARS("334 ADAT=\r\n")},
     .code = BROKEN},
    {"ftp: more behind the last",
     &ftp,
     {HEARS("220 ready\r\n"), SAYS("AUTH TLS\r\n"), HEARS("234 go\r\n230 logged in\r\n")},
     .code = INJECTED},
};

START_TEST(test_conversation)
{
    conversation_check(&starttls_kind, &conversations[_i]);
}
END_TEST

/* ---- bounds ---- */

/* What a dialog of SMTP that hears `n` times the text, after `first`, comes to. */
static struct starttls *hear(const char *first, const char *text, size_t n)
{
    struct dialog *d = starttls_make(&smtp);

    if (*first)
        dialog_received(d, (const uint8_t *)first, strlen(first));
    for (size_t i = 0; i < n && d->want != DIALOG_FAILED; i++)
        dialog_received(d, (const uint8_t *)text, strlen(text));
    return (struct starttls *)d;
}

static void forget(struct starttls *s)
{
    dialog_deinit(&s->dialog);
    free(s);
}

START_TEST(test_number_of_lines)
{
    struct starttls *s = hear("", "220-x\r\n", STARTTLS_PIECES_MAX);

    ck_assert_int_eq(s->dialog.want, DIALOG_RECV_LINE);
    ck_assert_uint_eq(s->dialog.n, STARTTLS_LINE_MAX);
    dialog_received(&s->dialog, (const uint8_t *)"220 x\r\n", 7);
    ck_assert_int_eq(s->dialog.want, DIALOG_FAILED);
    ck_assert_int_eq(s->dialog.failure.code, BROKEN);
    forget(s);
}
END_TEST

START_TEST(test_number_of_bytes)
{
    char line[STARTTLS_LINE_MAX + 1];
    struct starttls *s;

    memset(line, 'x', sizeof line);
    memcpy(line, "220-", 4);
    memcpy(line + sizeof line - 2, "\n", 2);
    s = hear("", line, STARTTLS_HEARD_MAX / STARTTLS_LINE_MAX);
    ck_assert_int_eq(s->dialog.want, DIALOG_RECV_LINE);
    ck_assert_uint_eq(s->n_told, MESSAGE_RESPONSE_MAX);
    dialog_received(&s->dialog, (const uint8_t *)"220\n", 4);
    ck_assert_int_eq(s->dialog.want, DIALOG_FAILED);
    ck_assert_str_eq(s->dialog.failure.detail, "smtp: it says too much before TLS");
    forget(s);
}
END_TEST

START_TEST(test_long_response_is_cut)
{
    char line[STARTTLS_LINE_MAX + 1];
    struct starttls *s;

    memset(line, 'x', sizeof line);
    memcpy(line, "250-", 4);
    memcpy(line + sizeof line - 2, "\n", 2);
    s = hear("220 hi\n", "", 0);
    dialog_sent(&s->dialog);
    for (int i = 0; i < 3; i++)
        dialog_received(&s->dialog, (const uint8_t *)line, sizeof line - 1);
    dialog_received(&s->dialog, (const uint8_t *)"250 STARTTLS\n", 13);
    dialog_sent(&s->dialog);
    dialog_received(&s->dialog, (const uint8_t *)"220 go\n", 7);
    ck_assert_int_eq(s->dialog.want, DIALOG_DONE);
    ck_assert(s->dialog.is_response_clear);
    ck_assert_uint_eq(s->dialog.response.n, MESSAGE_RESPONSE_MAX);
    ck_assert_mem_eq(s->dialog.response.data, "220 hi\n250-xx", 13);
    forget(s);
}
END_TEST

START_TEST(test_longest_name)
{
    char name[STARTTLS_NAME_MAX + 1], wanted[STARTTLS_NAME_MAX + 8];
    struct starttls s;

    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    snprintf(wanted, sizeof wanted, "EHLO %s\r\n", name);
    starttls_init(&s, SCHEME_SMTP, name, NULL);
    name[0] = 'x'; /* it has a copy */
    dialog_received(&s.dialog, (const uint8_t *)"220\n", 4);
    ck_assert_int_eq(s.dialog.want, DIALOG_SEND);
    ck_assert_uint_eq(s.dialog.n_out, strlen(wanted));
    ck_assert_mem_eq(s.dialog.out, wanted, strlen(wanted));
    dialog_deinit(&s.dialog);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("starttls-lines");
    TCase *tests = tcase_create("conversations"), *bounds = tcase_create("bounds");

    tcase_add_loop_test(tests, test_conversation, 0, ARRAY_SIZE(conversations));
    suite_add_tcase(suite, tests);
    tcase_add_test(bounds, test_number_of_lines);
    tcase_add_test(bounds, test_number_of_bytes);
    tcase_add_test(bounds, test_long_response_is_cut);
    tcase_add_test(bounds, test_longest_name);
    suite_add_tcase(suite, bounds);
    return suite_run(suite);
}
