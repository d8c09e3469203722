/* TLS client sessions, sans I/O, over OpenSSL. The only module that knows OpenSSL.
 *
 * A context holds a trust setting, parsed once and shared by all workers (reference counted,
 * thread-safe). A session belongs to one connection and one thread: ciphertext is fed in,
 * ciphertext to be sent is taken out; it sees no socket, ring or log. Sessions stack: what one puts
 * out may be written into another. OpenSSL's error queue, which all sessions of a thread share, is
 * empty before and after each call.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/base/failure.h"
#include "proto/message.h"

#define TLS_RECORD_MAX           16384        /* plaintext of one record, RFC 8446, 5.1 */
#define TLS_INPUT_MAX            (256 * 1024) /* ciphertext fed and not yet read */
#define TLS_OUTPUT_MAX           (256 * 1024) /* ciphertext not yet sent */
#define TLS_MESSAGES_MAX         32           /* post-handshake messages in a row without data */
#define TLS_CHAIN_DEPTH_MAX      10           /* issuers between the certificate and a root */
#define TLS_NAME_MAX             253          /* DNS name, RFC 1035, 2.3.4, as text */
#define TLS_FIRST_MAX            64          /* bytes of an answer that is not TLS, for the error */
#define TLS_RESUMPTION_AGE_MAX_S 3600        /* of sessions, since their full handshake */
#define TLS_TICKET_MAX           (16 * 1024) /* bytes of one that is kept */
#define TLS_TICKETS_PER_SESSION  8           /* of one connection that are kept */
#define TLS_PIN_PREFIX           "sha256//"
#define TLS_PIN_LENGTH           44 /* of what follows: a SHA-256 in base 64 */
#define TLS_PINS_MAX             16
#define TLS_CIPHERS_MAX          64
#define TLS_PASSPHRASE_MAX       1023
#define TLS_OCSP_SKEW_S          300         /* by which clocks may differ */
#define TLS_OCSP_AGE_MAX_S       (24 * 3600) /* of a response that does not say until when it is good */
#define TLS_PROBLEM_MAX          255
#define TLS_CA_FILE_MAX          (16 * 1024 * 1024) /* and of the CRL file */

/* One `tls` section, checked by who read it. Strings are the owner's; NULL: the default. */
struct tls_settings {
    char *ca_file;   /* PEM bundle, instead of the system's trust store, which is its bundle file */
    int min_version; /* 0x0303 or 0x0304; 0: 0x0303 */
    /* Ours, for peers that ask for it. The bytes are needed until the context is there; data NULL:
     * none. */
    struct text certificate; /* PEM, our own first, then its issuers'; or PKCS #12 */
    struct text key;         /* PEM; none: it is in `certificate` */
    struct text passphrase;  /* of the key */
    char *crl_file;   /* PEM; each certificate below the trust anchor must have a list there */
    bool needs_ocsp;  /* the peer staples a response that says its certificate is good */
    char **ciphers;   /* names, OpenSSL's or IANA's, in this order and no others; none: the usual */
    size_t n_ciphers; /* at most TLS_CIPHERS_MAX */
    char *verify_name; /* host name or address (proto/target.h) to verify instead of the target's */
    char *verify_uri;  /* SPIFFE ID to verify instead of any name; not together with verify_name */
    bool is_verify_off; /* any certificate will do; the pins hold all the same */
    char **pins; /* without the prefix: the leaf's SubjectPublicKeyInfo must have one; none: any */
    size_t n_pins;          /* at most TLS_PINS_MAX */
    bool is_resumption_off; /* each handshake is a full one */
};

struct tls_context;

/* What is wrong with settings, or not as it should be: which of them, and a sentence. */
enum tls_setting {
    TLS_SETTING_NONE, /* none of them in particular */
    TLS_SETTING_CA_FILE,
    TLS_SETTING_CERTIFICATE,
    TLS_SETTING_KEY,
    TLS_SETTING_PASSPHRASE,
    TLS_SETTING_CRL_FILE,
    TLS_SETTING_CIPHERS,
};

struct tls_problem {
    enum tls_setting setting;
    size_t index; /* of the value in a list */
    char text[TLS_PROBLEM_MAX + 1];
};

/* Reads the files. Returns 0, or -errno with the problem. With 0 there may be one to warn of; else
 * its text is empty. */
int tls_context_new(struct tls_context **ret, const struct tls_settings *settings,
                    struct tls_problem *ret_problem);
struct tls_context *tls_context_ref(struct tls_context *context);
struct tls_context *tls_context_unref(struct tls_context *context); /* NULL is fine; returns NULL */
/* The same, of who makes new sessions: those that are there, which may live for long, find none to
 * resume any more and keep none. */
struct tls_context *tls_context_retire(struct tls_context *context);

/* Of the target. The context's verify_name replaces what is verified, not what is sent as SNI. A
 * name that is an address in text is taken as one: no SNI (RFC 6066, 3), the certificate must have
 * it as iPAddress. Names are matched as RFC 9525 says: subjectAltName only, `*` only as the whole
 * leftmost label. */
struct tls_params {
    const char *name;    /* DNS name, or NULL for an address; one trailing dot is ignored */
    const void *address; /* in that case: 4 or 16 bytes */
    size_t address_size;
    const struct text *alpn; /* offered in this order, and nothing else; copied */
    size_t n_alpn;           /* at most MESSAGE_ALPN_MAX */
    bool is_anonymous;       /* the context's certificate is not shown to the peer */
    /* Mask of enum tls_kernel_cipher: these are preferred within each version (unless the settings
     * have ciphers of their own), or with needs_kernel the only ones offered, and a version that
     * has none of them is not; and the keys can be exported. 0: not for the kernel. */
    unsigned kernel_ciphers;
    bool needs_kernel;
    /* Under which sessions are kept for resumption, besides what the context knows: all that
     * decided whom to trust and who we are. n 0: none is kept or resumed. */
    struct text session_key;
};

struct tls_session;

/* Keeps a reference to the context. Returns 0, -EINVAL for a name or ALPN that cannot be,
 * -EOPNOTSUPP when needs_kernel leaves no cipher to offer, -ENOMEM. */
int tls_session_new(struct tls_session **ret, struct tls_context *context,
                    const struct tls_params *params);
struct tls_session *tls_session_free(struct tls_session *s); /* NULL is fine; returns NULL */

enum tls_progress {
    TLS_DONE,
    TLS_WANT_INPUT,
    TLS_FAILED,
};

/* Does as much of the handshake as the input allows. Whatever it returns, there may be output (also
 * an alert). The failure's stage and code are set, its hop is the caller's. */
enum tls_progress tls_session_handshake(struct tls_session *s, struct failure *ret_failure);
/* Tells that the peer closed during the handshake; fills in the failure. */
void tls_session_handshake_eof(struct tls_session *s, struct failure *ret_failure);

/* Gives received ciphertext; all of it is taken. Returns 0, -ENOMEM, or -ENOBUFS, taking nothing,
 * when more than TLS_INPUT_MAX would wait to be read. */
int tls_session_feed(struct tls_session *s, const void *data, size_t n);
/* Ciphertext to be sent. *ret_data does not move until all of it was sent, whatever else is called
 * but tls_session_free: an operation of the kernel may go on reading it meanwhile. What is made in
 * between is shown once that is gone. */
size_t tls_session_output(struct tls_session *s, const uint8_t **ret_data);
void tls_session_sent(struct tls_session *s, size_t n);

/* The following ones after TLS_DONE. */

/* Decrypted bytes (n > 0). > 0; 0 after close_notify, again and again; -EAGAIN: feed more; -EPROTO:
 * broken or an alert, tls_session_failure() tells. May make output. The end of the transport where
 * this says -EAGAIN is a truncation. */
ssize_t tls_session_read(struct tls_session *s, void *buf, size_t n);
/* The same without taking them: the next read gives them again. */
ssize_t tls_session_peek(struct tls_session *s, void *buf, size_t n);
/* Encrypts all n bytes (n <= TLS_RECORD_MAX) to the output and returns n, or takes nothing: -EAGAIN
 * while the output is full (send) or the peer is in the middle of a message of its own (feed and
 * read); -EPIPE after tls_session_close; -EPROTO. Goes on working after the peer's close_notify
 * (RFC 8446, 6.1). */
ssize_t tls_session_write(struct tls_session *s, const void *buf, size_t n);
/* Puts a close_notify to the output; once. Reading goes on until the peer's. If the peer is in the
 * middle of a message of its own, it goes out with a later tls_session_read. */
void tls_session_close(struct tls_session *s);
/* How the session failed; ERROR_NONE when it did not. */
const struct failure *tls_session_failure(const struct tls_session *s);

/* ---- kernel TLS (linux/tls.h) ---- */

/* What the kernel may know. A set of them is a mask of bits 1 << tls_kernel_cipher. */
enum tls_kernel_cipher {
    TLS_KERNEL_12_AES_128_GCM,
    TLS_KERNEL_12_AES_256_GCM,
    TLS_KERNEL_12_CHACHA20_POLY1305,
    TLS_KERNEL_13_AES_128_GCM,
    TLS_KERNEL_13_AES_256_GCM,
    TLS_KERNEL_13_CHACHA20_POLY1305,
    TLS_KERNEL_CIPHERS, /* how many */
};

/* cipher: enum tls_kernel_cipher, or negative for one that the kernel cannot know. */
static inline bool tls_kernel_has(unsigned kernel_ciphers, int cipher)
{
    return cipher >= 0 && kernel_ciphers & 1U << cipher;
}

#define TLS_KERNEL_INFO_MAX 64 /* bytes of a struct tls12_crypto_info_… */

/* One direction, as setsockopt(SOL_TLS, TLS_TX or TLS_RX) takes it. */
struct tls_kernel_keys {
    _Alignas(8) uint8_t info[TLS_KERNEL_INFO_MAX];
    uint32_t size; /* of info: exactly this many bytes must be passed */
};

/* Keys of one's own choosing, always the same, to try what the kernel can do. */
void tls_kernel_keys_make_up(struct tls_kernel_keys *ret, enum tls_kernel_cipher cipher);
/* "tls1.3-aes-128-gcm" and so on, for people and `status`; static. */
const char *tls_kernel_cipher_name(enum tls_kernel_cipher cipher);
/* What was negotiated, after TLS_DONE; -EOPNOTSUPP where the kernel knows no such cipher. */
int tls_session_kernel_cipher(const struct tls_session *s);
/* The keys of a session that has negotiated one of its `kernel_ciphers`, after TLS_DONE, with all
 * its output sent. Once only, and not after the session was read from, written to or closed: then,
 * and with any other cipher, -EOPNOTSUPP. 0, that, or -ENOMEM; the session goes on working. Wipe
 * the keys after use (explicit_bzero). */
int tls_session_export(struct tls_session *s, struct tls_kernel_keys *ret_tx,
                       struct tls_kernel_keys *ret_rx);
/* Bytes of the input that the session has not used. After TLS_DONE they are what came behind the
 * handshake. They can be given back: forgotten, as if they had never been fed. */
size_t tls_session_unread(const struct tls_session *s);
void tls_session_forget_unread(struct tls_session *s);

struct tls_info {
    uint16_t version;
    const char *cipher;                   /* IANA name, static */
    char alpn[MESSAGE_ALPN_NAME_MAX + 1]; /* "" when none was negotiated */
    bool is_resumed;
};

void tls_session_info(const struct tls_session *s, struct tls_info *ret);
/* The peer's certificates in DER as it sent them, own first, also if they were refused; *ret_der is
 * malloc'd and the caller's. Returns its size, -ENOENT behind the last, or -ENOMEM. */
ssize_t tls_session_chain(const struct tls_session *s, size_t i, uint8_t **ret_der);
