/* STARTTLS: what is said in the clear until TLS may start, for the protocols that have it.
 *
 * It ends when the server has agreed, and nothing may have come behind its last word: TLS starts
 * with our ClientHello, so whatever is there was not said by the one whom TLS will prove
 * (ERROR_STARTTLS_INJECTION). What a server that agrees said before (greeting, capabilities,
 * stream header and features, the handshake packet) is the dialog's `response`, with
 * `is_response_clear`. Refusals are ERROR_STARTTLS_REFUSED with the server's words, all else is
 * ERROR_STARTTLS_PROTOCOL. */
#pragma once

#include "daemon/dialog/dialog.h"
#include "proto/target.h"

#define STARTTLS_NAME_MAX 255 /* bytes of a name given in */
#define STARTTLS_OUT_MAX  512 /* bytes sent at once; RFC 5321, 4.5.3.1.4 */
/* RFC 2683, 3.2.1.5 asks for 8000 (IMAP); SMTP and POP3 have 512 (RFC 5321, 4.5.3.1.5; RFC 1939,
 * 3), which not all servers keep. */
#define STARTTLS_LINE_MAX   8192
#define STARTTLS_HEARD_MAX  65536 /* bytes of one server, all together */
#define STARTTLS_PIECES_MAX 512   /* lines or tags of one server */
#define STARTTLS_LDAP_MAX   16384 /* bytes of a message (RFC 4511, 4.1.1) */
/* MySQL, "Protocol::HandshakeV10": version (60 at most in the servers' sources), 31 fixed, salt and
 * plugin name. */
#define STARTTLS_MYSQL_MIN (1 + 1 + 31 + 13)
#define STARTTLS_MYSQL_MAX 1024

struct line_phase;

struct starttls {
    struct dialog dialog;
    char *told; /* for the response; on the heap, MESSAGE_RESPONSE_MAX at most */
    size_t n_told;
    size_t n_heard;
    unsigned n_pieces;
    char out[STARTTLS_OUT_MAX];
    bool is_offered; /* by what the server says it can */
    union {
        struct {
            const struct line_phase *phase; /* what is waited for, or said */
            unsigned code;                  /* of the reply under way; 0: none */
            bool is_listing;                /* POP3: within the list of capabilities */
        } lines;
        struct {
            enum { LDAP_HEAD, LDAP_LENGTH, LDAP_MESSAGE } step;
        } ldap;
        struct {
            enum { XMPP_STREAM, XMPP_FEATURES, XMPP_PROCEED } step;
            unsigned depth;    /* of elements that are open */
            size_t piece_at;   /* in `told`: where the text before the next tag starts */
            size_t refusal_at; /* in `told`: where the element that refuses starts */
            bool is_refusing;
            size_t n_features; /* of `told`, with the header before them */
        } xmpp;
        struct {
            uint32_t n_payload; /* 0: not known yet */
        } mysql;
    };
};

/* For the eight schemes of `…+starttls` only. `our_name` is what we call ourselves to an SMTP
 * server: a host name, or an address in brackets (RFC 5321, 4.1.3). `their_name` is the domain that
 * is asked of an XMPP server. Both are printable ASCII without space, quotes, '<' and '&',
 * STARTTLS_NAME_MAX at most, and copied. */
void starttls_init(struct starttls *s, enum scheme scheme, const char *our_name,
                   const char *their_name);
