/* What the files of tls/ share. Nobody else includes this. */
#pragma once

#include <openssl/ssl.h>
#include <stdatomic.h>

#include "daemon/tls/queue.h"
#include "daemon/tls/tickets.h"
#include "daemon/tls/tls.h"

struct tls_context {
    atomic_uint n_references;
    SSL_CTX *ssl_ctx;
    SSL_CTX *kernel_ctx;    /* the same, of sessions that may become the kernel's */
    BIO_METHOD *bio_method; /* moves bytes between an SSL and its session's queues */
    char *verify_name;      /* NULL: none */
    char *verify_uri;       /* NULL: none */
    int min_version;
    bool is_verify_off;
    bool has_ciphers; /* that somebody chose */
    char pins[TLS_PINS_MAX][TLS_PIN_LENGTH + 1];
    size_t n_pins;
    bool is_resuming; /* sessions are kept in … */
    struct tls_tickets tickets;
};

struct tls_session {
    struct tls_context *context;
    SSL *ssl;
    struct tls_queue input;   /* ciphertext fed and not yet read by OpenSSL */
    struct tls_queue sending; /* ciphertext shown to the caller: never moves until it was sent */
    struct tls_queue pending; /* ciphertext behind it */
    char *expected;           /* what the certificate must be for, as text */
    struct text alpn[MESSAGE_ALPN_MAX]; /* what was offered; points into alpn_wire */
    size_t n_alpn;
    uint8_t *alpn_wire;
    struct tls_export *export; /* what its keys are made of; NULL: nobody gets them */

    uint8_t first[TLS_FIRST_MAX]; /* the start of what the peer sent */
    size_t n_first;
    uint16_t server_version; /* legacy_version of its ServerHello; 0: none seen */
    unsigned n_messages;     /* handshake messages since the last application data */

    int verify_error; /* X509_V_…, of the first certificate refused */
    int verify_depth;
    X509 *verify_cert;
    STACK_OF(X509) * verify_chain; /* as the peer sent it, when it was refused */

    uint8_t ticket_key[TLS_TICKETS_KEY_SIZE];
    bool is_resumable;       /* under that key sessions are kept */
    bool is_offering;        /* one of them */
    int64_t trusted_until_s; /* by the full handshake that this one rests on */
    unsigned n_tickets;      /* that the peer sent */

    bool is_kernel_only;        /* ciphers were left out that the kernel lacks */
    bool is_certificate_wanted; /* the peer asked for ours */
    bool is_established;
    bool is_exported;      /* somebody else has its keys */
    bool is_ended;         /* the peer's close_notify came */
    bool is_closing;       /* our close_notify is asked for … */
    bool is_close_sent;    /* … and made */
    bool is_renegotiating; /* the peer asked for it */
    bool is_flooding;      /* too many messages without data */
    bool is_overflowing;   /* it makes more output than it takes */
    bool is_failed;        /* `failure` says how */
    struct failure failure;
};

/* context.c: tells what is wrong with a setting; returns r. */
int tls_problem_set(struct tls_problem *problem, enum tls_setting setting, int r,
                    const char *format, ...) __attribute__((format(printf, 4, 5)));

/* anchors.c: adds the file's certificates, or the system's where path is NULL. */
int tls_anchors_load(X509_STORE *store, const char *path, struct tls_problem *problem);
void tls_bio_freep(BIO **bio);
/* Opens without waiting (a FIFO) and only what can be a bundle. 0 or -errno. */
int tls_pem_open(const char *path, BIO **ret);
/* Without it an encrypted block would make OpenSSL ask for a passphrase on the terminal. */
int tls_pem_no_passphrase(char *buf, int size, int is_write, void *data);
/* After reading n blocks, when there was no other: n, or -errno with a reason (static). The error
 * queue was empty before. */
int tls_pem_end(int n, const char *nothing, const char **ret_reason);

/* certificate.c: what proves to peers who we are, with its key. */
int tls_certificate_set(SSL_CTX *ctx, const struct tls_settings *settings,
                        struct tls_problem *problem);

/* memory.c: in between, whatever OpenSSL frees is wiped. */
void tls_memory_begin_wiping(void);
void tls_memory_end_wiping(void);

/* crl.c: sessions look for their peer's chain in the store's lists. */
bool tls_crls_require(SSL_CTX *ctx);
int tls_crls_load(X509_STORE *store, const char *path, struct tls_problem *problem);

/* ciphers.c: offers what the settings name, and the versions of TLS that these are for. */
int tls_ciphers_set(struct tls_context *c, SSL_CTX *ctx, const struct tls_settings *settings,
                    struct tls_problem *problem);

/* What a session offers, by what the kernel has. 0, -ENOMEM, -EOPNOTSUPP. */
int tls_ciphers_narrow(struct tls_session *s, const struct tls_params *params);
/* enum tls_kernel_cipher, or -EOPNOTSUPP. */
int tls_cipher_to_kernel(const SSL_CIPHER *cipher);

/* export.c: a context's sessions may keep what their keys are made of. */
void tls_export_watch(SSL_CTX *ctx);
int tls_export_begin(struct tls_session *s, unsigned kernel_ciphers); /* 0 or -ENOMEM */
void tls_export_watch_output(struct tls_session *s, const void *data, size_t n);
/* Wipes it; from then on there is no export. May be called again. */
void tls_export_end(struct tls_session *s);

/* identity.c: the name, SNI and ALPN of a new session. 0, -EINVAL or -ENOMEM. */
int tls_identity_apply(struct tls_session *s, const struct tls_params *params);
/* After the handshake: NULL, or what is wrong with the peer all the same. */
const char *tls_identity_check(const struct tls_session *s);

/* verify.c: X509_STORE callback; keeps the first refused certificate in the session. */
int tls_verify_remember(int is_ok, X509_STORE_CTX *store);
void tls_time_print(const ASN1_TIME *time, char *buf, size_t size);
/* The failure for the certificate remembered. */
void tls_verify_explain(const struct tls_session *s, struct failure *ret);

/* resumption.c: asks OpenSSL for the tickets. */
void tls_resumption_watch(SSL_CTX *ctx);
/* Offers a session from the cache, if there is one, when all else of the new session is set. */
void tls_resumption_prepare(struct tls_session *s, const struct tls_params *params);
/* The handshake is done and the peer accepted: what it gave may be kept. */
void tls_resumption_finish(struct tls_session *s);
/* It has failed: the key's sessions are good for nothing, or the peer is (RFC 8446, 6.2). */
void tls_resumption_forget(struct tls_session *s);

/* trust.c: the certificate verification of a context's sessions. */
int tls_trust_verify(X509_STORE_CTX *store, void *context);

/* spiffe.c: whether the leaf is an X.509-SVID for the ID that is expected; else the failure is set.
 */
bool tls_spiffe_check(struct tls_session *s, X509 *leaf);

/* ocsp.c: sessions ask for a stapled response and refuse a peer without a good one. */
bool tls_ocsp_require(SSL_CTX *ctx);

/* fault.c: makes the failure from OpenSSL's error queue and what the session has seen. */
void tls_fault_explain(const struct tls_session *s, struct failure *ret);
void tls_fault_explain_eof(const struct tls_session *s, struct failure *ret);
