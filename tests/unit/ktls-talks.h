/* Conversations of kernel TLS and what fdial_recv() is to make of them: played by tests/unit on a
 * kernel of its own, and by tests/vm on real ones, which shows that the former is like the latter.
 */
#pragma once

#include <errno.h>
#include <stddef.h>

#include "client/fdial.h"

#define TLS_1_2 0x0303
#define TLS_1_3 0x0304

#define ALERT     21
#define HANDSHAKE 22
#define DATA      23

#define CLOSE "\1\0"
/* NewSessionTicket: lifetime, age_add, nonce, ticket, no extensions. */
#define TICKET "\4\0\0\x10\0\0\x1c\x20\1\2\3\4\1\0\0\2ab\0\0"

#define RECORDS_OF_TALK 8

struct part {
    int type;
    const char *bytes;
    size_t n;
};

#define PART(type, bytes)                                                                          \
    {                                                                                              \
        type, bytes, sizeof(bytes) - 1                                                             \
    }

/* What the records give: the data, and the end. */
struct talk {
    const char *name;
    unsigned version;
    struct part parts[RECORDS_OF_TALK];
    const char *data;
    int end;
};

static const struct talk talks[] = {
    {"data and close", TLS_1_3, {PART(DATA, "hello"), PART(ALERT, CLOSE)}, "hello", 0},
    {"close at once", TLS_1_2, {PART(ALERT, CLOSE)}, "", 0},
    {"FIN", TLS_1_3, {PART(DATA, "hello")}, "hello", -ECONNABORTED},
    {"FIN at once", TLS_1_2, {{0}}, "", -ECONNABORTED},
    {"tickets",
     TLS_1_3,
     {PART(HANDSHAKE, TICKET), PART(HANDSHAKE, TICKET), PART(DATA, "a"), PART(HANDSHAKE, TICKET),
      PART(DATA, "bc"), PART(HANDSHAKE, TICKET), PART(ALERT, CLOSE)},
     "abc",
     0},
    {"tickets in one record",
     TLS_1_3,
     {PART(DATA, "a"), PART(HANDSHAKE, TICKET TICKET TICKET), PART(DATA, "b"), PART(ALERT, CLOSE)},
     "ab",
     0},
    {"ticket over records",
     TLS_1_3,
     {PART(HANDSHAKE, "\4\0"), PART(HANDSHAKE, "\0"), PART(HANDSHAKE, "\5ab"),
      PART(HANDSHAKE, "cde\4"), PART(HANDSHAKE, "\0\0\0"), PART(DATA, "x"), PART(ALERT, CLOSE)},
     "x",
     0},
    {"data in a ticket", TLS_1_3, {PART(HANDSHAKE, "\4\0\0\5a"), PART(DATA, "x")}, "", -EPROTO},
    {"alert in a ticket", TLS_1_3, {PART(HANDSHAKE, "\4\0"), PART(ALERT, CLOSE)}, "", -EPROTO},
    {"nothing in a ticket",
     TLS_1_3,
     {PART(HANDSHAKE, "\4\0"), PART(HANDSHAKE, ""), PART(DATA, "x")},
     "",
     -EPROTO},
    {"FIN in a ticket", TLS_1_3, {PART(HANDSHAKE, "\4\0\0\5a")}, "", -ECONNABORTED},
    {"ticket too long", TLS_1_3, {PART(HANDSHAKE, "\4\2\1\6")}, "", -EPROTO},
    {"KeyUpdate",
     TLS_1_3,
     {PART(DATA, "a"), PART(HANDSHAKE, "\x18\0\0\1\1"), PART(DATA, "b")},
     "a",
     -EKEYEXPIRED},
    {"KeyUpdate at once", TLS_1_3, {PART(HANDSHAKE, "\x18\0\0\1\0")}, "", -EKEYEXPIRED},
    {"KeyUpdate over records",
     TLS_1_3,
     {PART(HANDSHAKE, "\x18"), PART(HANDSHAKE, "\0\0\1\0")},
     "",
     -EKEYEXPIRED},
    {"KeyUpdate behind a ticket",
     TLS_1_3,
     {PART(HANDSHAKE, TICKET "\x18\0\0\1\0")},
     "",
     -EKEYEXPIRED},
    {"request for a certificate", TLS_1_3, {PART(HANDSHAKE, "\xd\0\0\0")}, "", -EPROTO},
    {"HelloRequest in 1.3", TLS_1_3, {PART(HANDSHAKE, "\0\0\0\0")}, "", -EPROTO},
    {"HelloRequest",
     TLS_1_2,
     {PART(HANDSHAKE, "\0\0\0\0"), PART(DATA, "x"), PART(ALERT, CLOSE)},
     "x",
     0},
    {"ticket in 1.2", TLS_1_2, {PART(HANDSHAKE, TICKET)}, "", -EPROTO},
    {"KeyUpdate in 1.2", TLS_1_2, {PART(HANDSHAKE, "\x18\0\0\1\0")}, "", -EPROTO},
    {"empty handshake", TLS_1_3, {PART(HANDSHAKE, ""), PART(DATA, "x")}, "", -EPROTO},
    {"fatal alert", TLS_1_3, {PART(DATA, "a"), PART(ALERT, "\2\x28")}, "a", -(FDIAL_ALERT + 40)},
    {"alert as a warning in 1.3", TLS_1_3, {PART(ALERT, "\1\x74")}, "", -(FDIAL_ALERT + 116)},
    {"warning in 1.2",
     TLS_1_2,
     {PART(ALERT, "\1\x64"), PART(DATA, "x"), PART(ALERT, "\2\x50")},
     "x",
     -(FDIAL_ALERT + 80)},
    {"fatal close", TLS_1_2, {PART(ALERT, "\2\0")}, "", 0},
    {"user_canceled",
     TLS_1_3,
     {PART(ALERT, "\1\x5a"), PART(DATA, "x"), PART(ALERT, "\1\x5a"), PART(DATA, "y"),
      PART(ALERT, CLOSE)},
     "xy",
     0},
    {"fatal user_canceled in 1.2", TLS_1_2, {PART(ALERT, "\2\x5a")}, "", -(FDIAL_ALERT + 90)},
    {"half an alert", TLS_1_3, {PART(ALERT, "\1"), PART(DATA, "a")}, "", -EPROTO},
    {"an alert over records",
     TLS_1_3,
     {PART(ALERT, "\1"), PART(DATA, ""), PART(ALERT, "\0")},
     "",
     -EPROTO},
    {"two alerts in one", TLS_1_3, {PART(ALERT, "\1\x5a\1\0")}, "", -EPROTO},
    {"two half alerts", TLS_1_3, {PART(ALERT, "\1"), PART(ALERT, "\0")}, "", -EPROTO},
    {"a long alert", TLS_1_3, {PART(ALERT, "\1\0\0")}, "", -EPROTO},
    {"an empty alert", TLS_1_3, {PART(ALERT, "")}, "", -EPROTO},
    {"empty data, then a ticket",
     TLS_1_3,
     {PART(DATA, ""), PART(HANDSHAKE, TICKET), PART(DATA, ""), PART(DATA, "x"), PART(DATA, ""),
      PART(ALERT, CLOSE)},
     "x",
     0},
    {"empty data, then FIN", TLS_1_2, {PART(DATA, "x"), PART(DATA, "")}, "x", -ECONNABORTED},
    {"change of cipher", TLS_1_3, {PART(DATA, "x"), PART(20, "\1")}, "x", -EPROTO},
    {"heartbeat", TLS_1_2, {PART(24, "\1\0\0")}, "", -EPROTO},
};

#define N_TALKS (sizeof talks / sizeof *talks)
