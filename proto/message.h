/* The messages, as structures. One encoder and one decoder each, used by daemon, library and tests.
 *
 * Decoders check everything PROTOCOL.md asks for (known attributes, lengths, at most once, NULs,
 * what must be there) and fill in views into the message: they live as long as its bytes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include "proto/error.h"
#include "proto/target.h"
#include "proto/wire.h"

#define MESSAGE_ALPN_MAX             8     /* protocols offered */
#define MESSAGE_ALPN_NAME_MAX        255   /* bytes of one, RFC 7301, 3.1 */
#define MESSAGE_HEADERS_MAX          32    /* upgrade request headers */
#define MESSAGE_SUBPROTOCOL_MAX      8     /* WebSocket subprotocols */
#define MESSAGE_SUBPROTOCOL_NAME_MAX 255   /* bytes of one */
#define MESSAGE_CHAIN_MAX            10    /* certificates returned, as many as fit */
#define MESSAGE_DETAIL_MAX           255   /* of an error or a reason, bytes */
#define MESSAGE_RESPONSE_MAX         16384 /* response head, bytes */
#define MESSAGE_COUNT_MAX            64    /* connections in one result */
#define MESSAGE_TIMEOUT_MS_MAX       3600000
#define MESSAGE_TIMEOUT_MS_DEFAULT   30000
#define MESSAGE_TIMES_MAX            32
#define MESSAGE_SOFTWARE_MAX         64  /* bytes */
#define MESSAGE_CIPHER_MAX           64  /* bytes of an IANA name */
#define MESSAGE_USER_MAX             64  /* bytes of a user's name or uid */
#define MESSAGE_WHO_MAX              255 /* of what a client is */
#define MESSAGE_PATTERNS_MAX         256 /* of a grant */
#define MESSAGE_PATTERN_MAX          512 /* bytes of one */

enum wire_attr_type {
    ATTR_VERSION = 1,         /* u16 */
    ATTR_SOFTWARE = 2,        /* string: name/version, for logs */
    ATTR_MESSAGE_MAX = 3,     /* u32 bytes, client to daemon */
    ATTR_PENDING_MAX = 4,     /* u32 requests in flight in this session */
    ATTR_COUNT_MAX = 5,       /* u32 connections in one result */
    ATTR_TARGET = 16,         /* string */
    ATTR_TIMEOUT_MS = 17,     /* u32 */
    ATTR_FAMILY = 18,         /* u8: 4 or 6 */
    ATTR_ALPN = 19,           /* string, repeated, in order of preference */
    ATTR_TLS_NAME = 20,       /* string */
    ATTR_HANDOFF = 21,        /* u8: mask in connect, one bit in result */
    ATTR_HEADER = 22,         /* string "Name: value", repeated */
    ATTR_SUBPROTOCOL = 23,    /* string, repeated */
    ATTR_COUNT = 24,          /* u32 */
    ATTR_AS_USER = 25,        /* string */
    ATTR_PATTERN = 26,        /* string, repeated */
    ATTR_FORMAT = 27,         /* u8: enum status_format */
    ATTR_CODE = 32,           /* u32 */
    ATTR_STAGE = 33,          /* u8 */
    ATTR_HOP = 34,            /* u8: 0 none or origin, 1… the proxy in `via` order */
    ATTR_ERRNO = 35,          /* u32: the system's, 0 when none */
    ATTR_DETAIL = 36,         /* string, printable */
    ATTR_WARM = 37,           /* u8: 1 when it came from a pool */
    ATTR_PEER = 38,           /* address */
    ATTR_LOCAL = 39,          /* address */
    ATTR_TLS_VERSION = 40,    /* u16: 0x0303, 0x0304 */
    ATTR_TLS_CIPHER = 41,     /* string, IANA name */
    ATTR_CERT = 42,           /* bytes: DER, repeated, the peer's own first */
    ATTR_RESPONSE = 43,       /* bytes: response head, or what was said in the clear */
    ATTR_RESPONSE_CLEAR = 44, /* u8: 1 when the response is unauthenticated */
    ATTR_TIME = 45,           /* u8 stage · u8 hop · u32 µs, repeated */
    ATTR_HANDOFF_REASON = 46, /* string, printable: why not the kind that was preferred */
    ATTR_TLS_RESUMED = 47,    /* u8: 1 when an earlier session was resumed */
    ATTR_END = 48,            /* u8: enum relay_end */
    ATTR_INDEX = 49,          /* u8: which fd of the result, from 0 */
    ATTR_BYTES_SENT = 50,     /* u64: towards the target */
    ATTR_BYTES_RECEIVED = 51, /* u64 */
    ATTR_RULE = 56,           /* string */
    ATTR_PLAN = 57,           /* string */
    ATTR_STAT = 58,           /* string "key=value", repeated */
    ATTR_WHO = 59,            /* string: who the daemon takes the client for */
    ATTR_TEXT = 60,           /* bytes, repeated: pieces of one text */
    ATTR_MORE = 61,           /* u8: 1 when the answer goes on in another message */
};

enum handoff {
    HANDOFF_TCP = 1,
    HANDOFF_KTLS = 2,
    HANDOFF_RELAY = 4,
};

#define HANDOFF_ALL (HANDOFF_TCP | HANDOFF_KTLS | HANDOFF_RELAY)

const char *handoff_name(enum handoff kind);

/* An address attribute: u8 kind · u8 0 · u16 port, big-endian as in sockaddr · address or path */
enum message_address {
    ADDRESS_UNIX = 1,
    ADDRESS_IPV4 = 4,
    ADDRESS_IPV6 = 6,
};

#define MESSAGE_ADDRESS_HEAD 4 /* bytes before the address */

struct text {
    const char *data; /* not NUL-terminated; NULL when absent */
    size_t n;
};

static inline struct text text_of(const char *string)
{
    return (struct text){string, string ? strlen(string) : 0};
}

struct message_hello {
    uint16_t version; /* highest the client speaks */
    struct text software;
};

struct message_welcome {
    uint16_t version; /* what will be spoken */
    struct text software;
    uint32_t message_max;
    uint32_t pending_max;
    uint32_t count_max;
};

struct message_connect {
    struct text target;
    uint32_t timeout_ms; /* 0: MESSAGE_TIMEOUT_MS_DEFAULT */
    uint8_t family;      /* 0 any, 4, 6 */
    uint8_t handoff;     /* mask; 0: tcp and relay */
    uint32_t count;      /* 0 and 1: one */
    struct text tls_name;
    struct text alpn[MESSAGE_ALPN_MAX];
    size_t n_alpn;
    struct text headers[MESSAGE_HEADERS_MAX];
    size_t n_headers;
    struct text subprotocols[MESSAGE_SUBPROTOCOL_MAX];
    size_t n_subprotocols;
};

struct message_time {
    uint8_t stage;
    uint8_t hop;
    uint32_t us;
};

struct message_result {
    uint32_t code; /* enum error_code; 0: as many fds as the message carries */
    uint8_t stage;
    uint8_t hop;
    uint32_t sys_errno;
    struct text detail;
    uint8_t handoff;
    struct text handoff_reason; /* why it is no better one */
    bool is_warm;
    struct sockaddr_storage peer; /* ss_family 0: absent */
    struct sockaddr_storage local;
    struct text alpn;
    uint16_t tls_version;
    struct text tls_cipher;
    bool is_resumed;
    struct text chain[MESSAGE_CHAIN_MAX];
    size_t n_chain;
    struct text response;
    bool is_response_clear;
    struct message_time times[MESSAGE_TIMES_MAX];
    size_t n_times;
};

struct message_ended {
    uint8_t end;
    uint8_t index;
    uint64_t bytes_sent;
    uint64_t bytes_received;
};

struct message_explain {
    struct text target;
    struct text as_user;
};

struct message_explained {
    uint32_t code; /* 0: allowed */
    struct text who;
    struct text rule;
    struct text plan;
    struct text detail;
};

struct message_grant {
    struct text patterns[MESSAGE_PATTERNS_MAX];
    size_t n_patterns;
};

/* `granted` and `opened`: the fd is beside them. */
struct message_answer {
    uint32_t code; /* enum error_code */
    struct text detail;
};

enum status_format {
    STATUS_LINES = 0,       /* "key=value" */
    STATUS_OPENMETRICS = 1, /* a text */
};

struct message_status {
    uint8_t format; /* enum status_format */
};

struct message_error {
    uint32_t code;
    struct text detail;
};

/* Encoders write one message of at most `size` bytes to buf and return its length, or -EMSGSIZE.
 * Certificates that do not fit are left out, from the end of the chain. */
ssize_t message_encode_hello(void *buf, size_t size, const struct message_hello *m);
ssize_t message_encode_welcome(void *buf, size_t size, const struct message_welcome *m);
ssize_t message_encode_connect(void *buf, size_t size, uint64_t id,
                               const struct message_connect *m);
ssize_t message_encode_cancel(void *buf, size_t size, uint64_t id);
ssize_t message_encode_result(void *buf, size_t size, uint64_t id, const struct message_result *m);
ssize_t message_encode_ended(void *buf, size_t size, uint64_t id, const struct message_ended *m);
ssize_t message_encode_explain(void *buf, size_t size, uint64_t id,
                               const struct message_explain *m);
ssize_t message_encode_explained(void *buf, size_t size, uint64_t id,
                                 const struct message_explained *m);
ssize_t message_encode_status(void *buf, size_t size, uint64_t id, const struct message_status *m);
ssize_t message_encode_grant(void *buf, size_t size, uint64_t id, const struct message_grant *m);
ssize_t message_encode_granted(void *buf, size_t size, uint64_t id, const struct message_answer *m);
ssize_t message_encode_open(void *buf, size_t size);
ssize_t message_encode_opened(void *buf, size_t size, const struct message_answer *m);
/* The reply to `status` is written attribute by attribute: wire_begin, ATTR_STAT…, wire_end. */
ssize_t message_encode_error(void *buf, size_t size, uint64_t id, const struct message_error *m);

/* Decoders take what is behind the head (wire_read_head). They return 0 or -EBADMSG with one
 * sentence in *ret_error, and leave *ret in an unspecified state then. */
int message_decode_hello(struct wire_reader r, struct message_hello *ret, const char **ret_error);
int message_decode_welcome(struct wire_reader r, struct message_welcome *ret,
                           const char **ret_error);
int message_decode_connect(struct wire_reader r, struct message_connect *ret,
                           const char **ret_error);
int message_decode_result(struct wire_reader r, struct message_result *ret, const char **ret_error);
int message_decode_ended(struct wire_reader r, struct message_ended *ret, const char **ret_error);
int message_decode_explain(struct wire_reader r, struct message_explain *ret,
                           const char **ret_error);
int message_decode_explained(struct wire_reader r, struct message_explained *ret,
                             const char **ret_error);
int message_decode_error(struct wire_reader r, struct message_error *ret, const char **ret_error);
int message_decode_grant(struct wire_reader r, struct message_grant *ret, const char **ret_error);
/* For granted and opened. */
int message_decode_answer(struct wire_reader r, struct message_answer *ret, const char **ret_error);
/* For cancel and open: no attribute but optional ones. */
int message_decode_empty(struct wire_reader r, const char **ret_error);
int message_decode_status(struct wire_reader r, struct message_status *ret, const char **ret_error);
/* Calls `stat` for each "key=value", and for each piece of a text, which has no key. */
int message_decode_status_reply(struct wire_reader r,
                                void (*stat)(void *data, struct text key, struct text value),
                                void *data, bool *ret_has_more, const char **ret_error);
