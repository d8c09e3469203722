/* STARTTLS of XMPP. */
#include "proto/cleanup.h"
#include "tests/dialog/starttls.h"
#include "tests/lib/suite.h"

#define REFUSED  ERROR_STARTTLS_REFUSED
#define BROKEN   ERROR_STARTTLS_PROTOCOL
#define INJECTED ERROR_STARTTLS_INJECTION

static const enum scheme xmpp = SCHEME_XMPP;

#define TLS "urn:ietf:params:xml:ns:xmpp-tls"
#define OPENS                                                                                      \
    SAYS("<?xml version='1.0'?><stream:stream to='im.example' version='1.0' "                      \
         "xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>")
#define STARTS SAYS("<starttls xmlns='" TLS "'/>")
#define HI                                                                                         \
    "<?xml version='1.0'?><stream:stream id='1' version='1.0' from='im.example' "                  \
    "xmlns:stream='http://etherx.jabber.org/streams' xmlns='jabber:client'>"
#define OFFER                                                                                      \
    "<stream:features><starttls xmlns='" TLS "'><required/></starttls>"                            \
    "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism>"            \
    "</mechanisms></stream:features>"
#define SHORT       "<a:stream version='1.0'>"
#define SHORT_OFFER "<a:features><starttls xmlns='" TLS "'/></a:features>"
#define PROCEED     "<proceed xmlns='" TLS "'/>"
#define FAILURE     "<failure xmlns='" TLS "'/>"

static const struct conversation conversations[] = {
    {"xmpp", &xmpp, {OPENS, HEARS(HI OFFER), STARTS, HEARS(PROCEED)}, .response = HI OFFER},
    {"without a declaration, another prefix, with spaces",
     &xmpp,
     {OPENS,
      HEARS("<a:stream\tversion = \"1.0\" ><b:features\n> <starttls xmlns=\"" TLS
            "\" />\r\n</b:features >"),
      STARTS, HEARS("\n<proceed xmlns='" TLS "'></proceed>")},
     .response = "<a:stream\tversion = \"1.0\" ><b:features\n> <starttls xmlns=\"" TLS
                 "\" />\r\n</b:features >"},
    {"'>' in values and text",
     &xmpp,
     {
         OPENS,
         HEARS("<a:stream id='>>\">' version='1.0'><a:features>a > b > c<x y='</x>'/>"),
     },
     .code = BROKEN,
     .detail = "</x>"},
    {"'>' in values and text, well formed",
     &xmpp,
     {OPENS,
      HEARS("<a:stream id='>>\">' version='1.0'><a:features>a > b > c<x y='/x>'/>"
            "<starttls xmlns='" TLS "'/></a:features>"),
      STARTS, HEARS(PROCEED)},
     .response = "<a:stream id='>>\">' version='1.0'><a:features>a > b > c<x y='/x>'/>"
                 "<starttls xmlns='" TLS "'/></a:features>"},
    {"closes", &xmpp, {OPENS}, .code = BROKEN, .detail = "xmpp: it closed"},

    /* ---- the header ---- */
    {"not XML", &xmpp, {OPENS, HEARS("HTTP/1.1 400 Bad\r\n\r\n<html>")}, .code = BROKEN},
    {"not a stream", &xmpp, {OPENS, HEARS("<html version='1.0'>")}, .code = BROKEN},
    {"a stream that ends at once",
     &xmpp,
     {OPENS, HEARS("<a:stream version='1.0'/>")},
     .code = BROKEN},
    {"no version",
     &xmpp,
     {OPENS, HEARS("<a:stream id='1'>")},
     .code = REFUSED,
     .detail = "XMPP 1.0"},
    {"version 0.9", &xmpp, {OPENS, HEARS("<a:stream version='0.9'>")}, .code = REFUSED},
    {"two declarations",
     &xmpp,
     {OPENS, HEARS("<?xml version='1.0'?><?xml version='1.0'?>")},
     .code = BROKEN},
    {"another declaration", &xmpp, {OPENS, HEARS("<?php version='1.0'?>")}, .code = BROKEN},
    {"a declaration that is none", &xmpp, {OPENS, HEARS("<?xml version='1.0'>")}, .code = BROKEN},
    {"a document type", &xmpp, {OPENS, HEARS("<!DOCTYPE x>")}, .code = BROKEN},
    {"a comment", &xmpp, {OPENS, HEARS(SHORT "<!-- x -->")}, .code = BROKEN},
    {"a section", &xmpp, {OPENS, HEARS(SHORT "<a:features><![CDATA[x]]>")}, .code = BROKEN},
    {"a NUL", &xmpp, {OPENS, HEARS("<a:stream \0version='1.0'>")}, .code = BROKEN},
    {"a control character in text",
     &xmpp,
     {OPENS, HEARS(SHORT "<a:features>\1<x/>")},
     .code = BROKEN},
    {"a tag in a tag", &xmpp, {OPENS, HEARS("<a:stream <b version='1.0'>")}, .code = BROKEN},
    {"a value without quotes", &xmpp, {OPENS, HEARS("<a:stream version=1.0>")}, .code = BROKEN},
    {"an attribute without value", &xmpp, {OPENS, HEARS("<a:stream version>")}, .code = BROKEN},
    {"no space between", &xmpp, {OPENS, HEARS("<a:stream a='1'version='1.0'>")}, .code = BROKEN},
    {"no name", &xmpp, {OPENS, HEARS("<>")}, .code = BROKEN},
    {"no name but a slash", &xmpp, {OPENS, HEARS("</>")}, .code = BROKEN},
    {"no name but a question mark", &xmpp, {OPENS, HEARS("<?>")}, .code = BROKEN},
    {"no name but two",
     &xmpp,
     {OPENS, HEARS("<?"
                   "?>")},
     .code = BROKEN},
    {"no host of that name",
     &xmpp,
     {OPENS, HEARS(SHORT "<a:error><host-unknown xmlns='x'/><text>no \x1b[0m</text></a:error>")},
     .code = BROKEN},
    {"no such host",
     &xmpp,
     {OPENS, HEARS(HI "<a:error><host-unknown xmlns='x'/><text>no</text></a:error></a:stream>")},
     .code = REFUSED,
     .detail = "it says '<a:error><host-unknown xmlns='x'/><text>no</text></a:error>'"},
    {"an error and no more", &xmpp, {OPENS, HEARS(SHORT "<a:error/>")}, .code = REFUSED},

    /* ---- the features ---- */
    {"no features", &xmpp, {OPENS, HEARS(SHORT "<a:features/>")}, .code = REFUSED},
    {"another element", &xmpp, {OPENS, HEARS(SHORT "<message/>")}, .code = BROKEN},
    {"the end of the stream",
     &xmpp,
     {OPENS, HEARS(SHORT "</a:stream>")},
     .code = REFUSED,
     .detail = "ends the stream"},
    {"text where none may be", &xmpp, {OPENS, HEARS(SHORT "x<a:features/>")}, .code = BROKEN},
    {"a declaration later",
     &xmpp,
     {OPENS, HEARS(SHORT "<a:features><?xml version='1.0'?>")},
     .code = BROKEN},
    {"it is not offered",
     &xmpp,
     {OPENS, HEARS(SHORT "<a:features><bind/></a:features>")},
     .code = REFUSED,
     .detail = "does not offer"},
    {"it is offered by another",
     &xmpp,
     {OPENS, HEARS(SHORT "<a:features><starttls xmlns='x'/><starttls/></a:features>")},
     .code = REFUSED},
    {"it is offered too deep",
     &xmpp,
     {OPENS, HEARS(SHORT "<a:features><x><starttls xmlns='" TLS "'/></x></a:features>")},
     .code = REFUSED},
    {"an end with attributes",
     &xmpp,
     {OPENS, HEARS(SHORT "<a:features><x></x xmlns='y'>")},
     .code = BROKEN},

    /* ---- the answer ---- */
    {"no",
     &xmpp,
     {OPENS, HEARS(SHORT SHORT_OFFER), STARTS, HEARS(FAILURE "</a:stream>")},
     .code = REFUSED,
     .detail = "<failure xmlns='" TLS "'/>"},
    {"an error instead",
     &xmpp,
     {OPENS, HEARS(SHORT SHORT_OFFER), STARTS, HEARS("<a:error><x/></a:error></a:stream>")},
     .code = REFUSED,
     .detail = "'<a:error><x/></a:error>'"},
    {"another's yes",
     &xmpp,
     {OPENS, HEARS(SHORT SHORT_OFFER), STARTS, HEARS("<proceed/>")},
     .code = BROKEN,
     .detail = "'<proceed/>'"},
    {"another's no",
     &xmpp,
     {OPENS, HEARS(SHORT SHORT_OFFER), STARTS, HEARS("<failure/>")},
     .code = BROKEN},
    {"features again",
     &xmpp,
     {OPENS, HEARS(SHORT SHORT_OFFER), STARTS, HEARS(SHORT_OFFER)},
     .code = BROKEN},
    {"the end instead",
     &xmpp,
     {OPENS, HEARS(SHORT SHORT_OFFER), STARTS, HEARS("</a:stream>")},
     .code = REFUSED},
    {"a space behind",
     &xmpp,
     {OPENS, HEARS(SHORT SHORT_OFFER), STARTS, HEARS(PROCEED " ")},
     .code = INJECTED},
    {"a stream behind",
     &xmpp,
     {OPENS, HEARS(SHORT SHORT_OFFER), STARTS, HEARS(PROCEED HI OFFER)},
     .code = INJECTED},
    {"the end behind",
     &xmpp,
     {OPENS, HEARS(SHORT SHORT_OFFER), STARTS, HEARS(PROCEED "</proceed>")},
     .code = INJECTED},
};

START_TEST(test_conversation)
{
    conversation_check(&starttls_kind, &conversations[_i]);
}
END_TEST

/* ---- bounds ---- */

static struct dialog *start(void)
{
    struct dialog *d = starttls_make(&xmpp);

    dialog_sent(d);
    dialog_received(d, (const uint8_t *)SHORT, sizeof SHORT - 1);
    dialog_received(d, (const uint8_t *)"<a:features>", 12);
    return d;
}

START_TEST(test_number_of_tags)
{
    struct dialog *d = start();

    for (int i = 2; i < STARTTLS_PIECES_MAX; i++)
        dialog_received(d, (const uint8_t *)"<x>", 3);
    ck_assert_int_eq(d->want, DIALOG_RECV_UNTIL);
    dialog_received(d, (const uint8_t *)"<x>", 3);
    ck_assert_int_eq(d->want, DIALOG_FAILED);
    ck_assert_int_eq(d->failure.code, BROKEN);
    dialog_deinit(d);
    starttls_free(d);
}
END_TEST

START_TEST(test_number_of_bytes)
{
    struct dialog *d = start();
    static char text[MESSAGE_RESPONSE_MAX];
    size_t left = d->n;

    ck_assert_uint_eq(left, MESSAGE_RESPONSE_MAX - (sizeof SHORT - 1) - 12);
    for (size_t i = 0; i < left; i++)
        text[i] = 'x';
    text[left - 1] = '>';
    dialog_received(d, (const uint8_t *)text, left);
    ck_assert_int_eq(d->want, DIALOG_FAILED);
    ck_assert_str_eq(d->failure.detail, "xmpp: it says too much before TLS");
    dialog_deinit(d);
    starttls_free(d);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("starttls-xmpp");
    TCase *tests = tcase_create("conversations"), *bounds = tcase_create("bounds");

    tcase_add_loop_test(tests, test_conversation, 0, ARRAY_SIZE(conversations));
    suite_add_tcase(suite, tests);
    tcase_add_test(bounds, test_number_of_tags);
    tcase_add_test(bounds, test_number_of_bytes);
    suite_add_tcase(suite, bounds);
    return suite_run(suite);
}
