/* STARTTLS where packets are spoken: LDAP, PostgreSQL, MySQL. */
#include "proto/cleanup.h"
#include "tests/dialog/starttls.h"
#include "tests/lib/suite.h"

#define REFUSED  ERROR_STARTTLS_REFUSED
#define BROKEN   ERROR_STARTTLS_PROTOCOL
#define INJECTED ERROR_STARTTLS_INJECTION

static const enum scheme ldap = SCHEME_LDAP, postgres = SCHEME_POSTGRES, mysql = SCHEME_MYSQL;

#define OID  "1.3.6.1.4.1.1466.20037"
#define LDAP SAYS("\x30\x1d\x02\x01\x01\x77\x18\x80\x16" OID)

#define POSTGRES SAYS("\0\0\0\x08\x04\xd2\x16\x2f")

/* Version, thread 7, salt, 0; capabilities; utf8mb4, status; capabilities; 21 bytes of salt,
 * reserved, salt, plugin. */
#define MYSQL_HEAD(low, high)                                                                      \
    "\x0a"                                                                                         \
    "8.0.36\0\7\0\0\0saltsalt\0" low "\xff\2\0" high "\x15\0\0\0\0\0\0\0\0\0\0"                    \
    "saltsaltsalt\0"
#define MYSQL_HI MYSQL_HEAD("\xff\xff", "\xff\xdf") "caching_sha2_password\0"
#define MYSQL_REQUEST(caps)                                                                        \
    "\x20\0\0\1" caps "\xff\xff\xff\0\x2d\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
#define MYSQL_TOLD(text) .response = text, .n_response = sizeof(text) - 1

static const struct conversation conversations[] = {
    /* ---- LDAP ---- */
    {"ldap", &ldap, {LDAP, HEARS("\x30\x0c\2\1\1\x78\7\x0a\1\0\4\0\4\0")}},
    {"ldap: with the operation's name",
     &ldap,
     {LDAP, HEARS("\x30\x24\2\1\1\x78\x1f\x0a\1\0\4\0\4\0\x8a\x16" OID)}},
    {"ldap: with lengths of four bytes",
     &ldap,
     {LDAP, HEARS("\x30\x84\0\0\0\x10\2\1\1\x78\x84\0\0\0\x07\x0a\1\0\4\0\4\0")}},
    {"ldap: with a referral, a value, what is not known, and controls",
     &ldap,
     {LDAP, HEARS("\x30\x19\2\1\1\x78\x10\x0a\1\0\4\0\4\0\xa3\0\x8b\1v\x9e\2xy\xa0\2\x30\0")}},
    {"ldap: an error of operation",
     &ldap,
     {LDAP, HEARS("\x30\x12\2\1\1\x78\x0d\x0a\1\x01\4\0\4\6no\x1btls")},
     .code = REFUSED,
     .detail = "ldap: it answers with result code 1, 'no\\x1btls'"},
    {"ldap: unavailable",
     &ldap,
     {LDAP, HEARS("\x30\x0c\2\1\1\x78\7\x0a\1\x34\4\0\4\0")},
     .code = REFUSED,
     .detail = "52, ''"},
    {"ldap: a code of two bytes",
     &ldap,
     {LDAP, HEARS("\x30\x0d\2\1\1\x78\x08\x0a\2\x10\0\4\0\4\0")},
     .code = REFUSED,
     .detail = "4096"},
    {"ldap: disconnects",
     &ldap,
     {LDAP, HEARS("\x30\x26\2\1\0\x78\x21\x0a\1\x34\4\0\4\2no\x8a\x16"
                  "1.3.6.1.4.1.1466.20036")},
     .code = REFUSED,
     .detail = "disconnects with result code 52, 'no'"},
    {"ldap: unasked, and not a disconnection",
     &ldap,
     {LDAP, HEARS("\x30\x0c\2\1\0\x78\7\x0a\1\0\4\0\4\0")},
     .code = BROKEN},
    {"ldap: another message's answer",
     &ldap,
     {LDAP, HEARS("\x30\x0c\2\1\2\x78\7\x0a\1\0\4\0\4\0")},
     .code = BROKEN,
     .detail = "message 2"},
    {"ldap: another operation's answer",
     &ldap,
     {LDAP, HEARS("\x30\x11\2\1\1\x78\x0c\x0a\1\0\4\0\4\0\x8a\3"
                  "1.3")},
     .code = BROKEN,
     .detail = "'1.3'"},
    {"ldap: the answer to a bind",
     &ldap,
     {LDAP, HEARS("\x30\x0c\2\1\1\x61\7\x0a\1\0\4\0\4\0")},
     .code = BROKEN,
     .detail = "no extended response"},
    {"ldap: indefinite length",
     &ldap,
     {LDAP, HEARS("\x30\x80\2\1\1\x78\7\x0a\1\0\4\0\4\0\0\0")},
     .code = BROKEN,
     .detail = "0x3080"},
    {"ldap: five bytes of length", &ldap, {LDAP, HEARS("\x30\x85\0\0\0\0\x0c")}, .code = BROKEN},
    {"ldap: nothing in it", &ldap, {LDAP, HEARS("\x30\0")}, .code = BROKEN},
    {"ldap: nothing in it, at length", &ldap, {LDAP, HEARS("\x30\x81\0")}, .code = BROKEN},
    {"ldap: as long as may be",
     &ldap,
     {LDAP, HEARS("\x30\x82\x40\0x")},
     .code = BROKEN,
     .detail = "closed"},
    {"ldap: a byte more",
     &ldap,
     {LDAP, HEARS("\x30\x82\x40\1x")},
     .code = BROKEN,
     .detail = "16385"},
    {"ldap: four gigabytes", &ldap, {LDAP, HEARS("\x30\x84\xff\xff\xff\xffx")}, .code = BROKEN},
    {"ldap: an inner length that lies",
     &ldap,
     {LDAP, HEARS("\x30\x0c\2\1\1\x78\x08\x0a\1\0\4\0\4\0")},
     .code = BROKEN},
    {"ldap: an inner length of four gigabytes",
     &ldap,
     {LDAP, HEARS("\x30\x10\2\1\1\x78\x84\xff\xff\xff\xff\x0a\1\0\4\0\4")},
     .code = BROKEN},
    {"ldap: an inner length that is cut",
     &ldap,
     {LDAP, HEARS("\x30\x05\2\1\1\x78\x82")},
     .code = BROKEN},
    {"ldap: no code", &ldap, {LDAP, HEARS("\x30\x0b\2\1\1\x78\6\x0a\0\4\0\4\0")}, .code = BROKEN},
    {"ldap: a negative code",
     &ldap,
     {LDAP, HEARS("\x30\x0c\2\1\1\x78\7\x0a\1\x80\4\0\4\0")},
     .code = BROKEN},
    {"ldap: rubbish at the end of the response",
     &ldap,
     {LDAP, HEARS("\x30\x0d\2\1\1\x78\x08\x0a\1\0\4\0\4\0\x8b")},
     .code = BROKEN},
    {"ldap: rubbish at the end of the message",
     &ldap,
     {LDAP, HEARS("\x30\x0d\2\1\1\x78\7\x0a\1\0\4\0\4\0\xa0")},
     .code = BROKEN},
    {"ldap: not LDAP", &ldap, {LDAP, HEARS("220 hi\r\n")}, .code = BROKEN, .detail = "0x3232"},
    {"ldap: another message behind",
     &ldap,
     {LDAP, HEARS("\x30\x0c\2\1\1\x78\7\x0a\1\0\4\0\4\0"
                  "\x30\x0c\2\1\2\x61\7\x0a\1\0\4\0\4\0")},
     .code = INJECTED},

    /* ---- PostgreSQL ---- */
    {"postgres", &postgres, {POSTGRES, HEARS("S")}},
    {"postgres: no",
     &postgres,
     {POSTGRES, HEARS("N")},
     .code = REFUSED,
     .detail = "postgres: it does no TLS"},
    {"postgres: an error",
     &postgres,
     {POSTGRES, HEARS("E\0\0\0\x10SFATAL\0Mno\0\0")},
     .code = REFUSED,
     .detail = "with an error"},
    {"postgres: not PostgreSQL",
     &postgres,
     {POSTGRES, HEARS("HTTP/1.1 400")},
     .code = BROKEN,
     .detail = "0x48"},
    {"postgres: lower case", &postgres, {POSTGRES, HEARS("s")}, .code = BROKEN},
    {"postgres: a NUL", &postgres, {POSTGRES, HEARS("\0")}, .code = BROKEN},
    {"postgres: an answer to the password behind",
     &postgres,
     {POSTGRES, HEARS("SR\0\0\0\x08\0\0\0\0")},
     .code = INJECTED},
    {"postgres: says it twice", &postgres, {POSTGRES, HEARS("SS")}, .code = INJECTED},

    /* ---- MySQL ---- */
    {"mysql",
     &mysql,
     {HEARS("\x4a\0\0\0" MYSQL_HI), SAYS(MYSQL_REQUEST("\x05\xaa\x0a\0"))},
     MYSQL_TOLD("\x4a\0\0\0" MYSQL_HI)},
    {"mysql: the least that it may be able to",
     &mysql,
     {HEARS("\x34\0\0\0" MYSQL_HEAD("\x00\x8a", "\0\0")), SAYS(MYSQL_REQUEST("\x01\x8a\0\0"))},
     MYSQL_TOLD("\x34\0\0\0" MYSQL_HEAD("\x00\x8a", "\0\0"))},
    {"mysql: does not offer TLS",
     &mysql,
     {HEARS("\x34\0\0\0" MYSQL_HEAD("\xff\xf7", "\xff\xdf"))},
     .code = REFUSED,
     .detail = "mysql: it does not offer TLS"},
    {"mysql: older than 4.1",
     &mysql,
     {HEARS("\x34\0\0\0" MYSQL_HEAD("\xff\xfd", "\xff\xdf"))},
     .code = BROKEN,
     .detail = "4.1"},
    {"mysql: without the secure connection",
     &mysql,
     {HEARS("\x34\0\0\0" MYSQL_HEAD("\xff\x7f", "\xff\xdf"))},
     .code = BROKEN},
    {"mysql: blocks us",
     &mysql,
     {HEARS("\x0c\0\0\0\xff\x69\x04Host 'h\x1b'")},
     .code = REFUSED,
     .detail = "error 1129, 'Host 'h\\x1b''"},
    {"mysql: an error with a state",
     &mysql,
     {HEARS("\x0c\0\0\0\xff\x10\x04#08004no")},
     .code = BROKEN,
     .detail = "closed"},
    {"mysql: an error without text", &mysql, {HEARS("\3\0\0\0\xff\x10\x04")}, .code = REFUSED},
    {"mysql: an error without a number", &mysql, {HEARS("\2\0\0\0\xff\x10")}, .code = BROKEN},
    {"mysql: another version",
     &mysql,
     {HEARS("\2\0\0\0\x09x")},
     .code = BROKEN,
     .detail = "version 9"},
    {"mysql: no end of the version", &mysql, {HEARS("\3\0\0\0\x0axy")}, .code = BROKEN},
    {"mysql: a version only", &mysql, {HEARS("\1\0\0\0\x0a")}, .code = BROKEN},
    {"mysql: a byte too short",
     &mysql,
     {HEARS("\x33\0\0\0" MYSQL_HEAD("\xff\xff", "\xff\xdf"))},
     .code = BROKEN,
     .detail = "malformed"},
    {"mysql: the version takes all",
     &mysql,
     {HEARS("\x2e\0\0\0\x0axxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\0")},
     .code = BROKEN},
    {"mysql: nothing in it", &mysql, {HEARS("\0\0\0\0")}, .code = BROKEN, .detail = "of 0 bytes"},
    {"mysql: as long as may be",
     &mysql,
     {HEARS("\0\4\0\0\x0a")},
     .code = BROKEN,
     .detail = "closed"},
    {"mysql: a byte more", &mysql, {HEARS("\1\4\0\0\x0a")}, .code = BROKEN, .detail = "1025"},
    {"mysql: 16 megabytes", &mysql, {HEARS("\xff\xff\xff\0\x0a")}, .code = BROKEN},
    {"mysql: not its first packet",
     &mysql,
     {HEARS("\x4a\0\0\1" MYSQL_HI)},
     .code = BROKEN,
     .detail = "packet 1"},
    {"mysql: not MySQL", &mysql, {HEARS("220 hi\r\n")}, .code = BROKEN},
    {"mysql: an answer to the login behind",
     &mysql,
     {HEARS("\x4a\0\0\0" MYSQL_HI "\7\0\0\2\0\0\0\2\0\0\0"), SAYS(MYSQL_REQUEST("\x05\xaa\x0a\0"))},
     .code = INJECTED},
};

START_TEST(test_conversation)
{
    conversation_check(&starttls_kind, &conversations[_i]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("starttls-packets");
    TCase *tests = tcase_create("conversations");

    tcase_add_loop_test(tests, test_conversation, 0, ARRAY_SIZE(conversations));
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
