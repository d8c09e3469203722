/* TLS client sessions, sans I/O, over OpenSSL. The only module that knows OpenSSL.
 *
 * A context holds a trust setting, parsed once and shared by all workers (reference counted,
 * thread-safe). A session belongs to one connection and one thread: ciphertext is fed in, ciphertext
 * to be sent is taken out; it sees no socket, clock, ring or log.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/base/failure.h"
#include "proto/message.h"

#define TLS_RECORD_MAX   16384 /* plaintext of one record, RFC 8446, 5.1 */
#define TLS_OUTPUT_MAX   (256 * 1024)

/* One `tls` section. Strings are the owner's; NULL: the default. */
struct tls_settings {
    char *ca_file;      /* PEM bundle; NULL: the system's trust store, its bundle file */
    int min_version;    /* 0x0303 or 0x0304 */
    char *verify_name;  /* verify against this instead of the target's host */
};

struct tls_context;

/* Returns 0, or -errno with a sentence in error (size bytes). */
int tls_context_new(struct tls_context **ret, const struct tls_settings *settings, char *error,
                    size_t size);
struct tls_context *tls_context_ref(struct tls_context *context);
struct tls_context *tls_context_unref(struct tls_context *context); /* returns NULL */

struct tls_params {
    const char *name; /* DNS name to send as SNI and to verify (the settings' verify_name goes first), or
                       * NULL for an address */
    const void *address; /* in that case: 4 or 16 bytes to verify */
    size_t address_size;
    const struct text *alpn;
    size_t n_alpn;
};

struct tls_session;

int tls_session_new(struct tls_session **ret, struct tls_context *context,
                    const struct tls_params *params);
struct tls_session *tls_session_free(struct tls_session *s);

enum tls_progress {
    TLS_DONE,
    TLS_WANT_INPUT,
    TLS_FAILED,
};

/* Does as much of the handshake as the input allows. Also after TLS_FAILED there may be output (the
 * alert). The failure's stage and code are set, its hop is the caller's. */
enum tls_progress tls_session_handshake(struct tls_session *s, struct failure *ret_failure);
/* Tells that the peer closed during the handshake; fills in the failure. */
void tls_session_handshake_eof(struct tls_session *s, struct failure *ret_failure);

/* Gives received ciphertext; all of it is taken. Returns 0 or -ENOMEM. */
int tls_session_feed(struct tls_session *s, const void *data, size_t n);
/* Ciphertext to be sent: *ret_data stays valid until the next call on s but tls_session_sent. */
size_t tls_session_output(struct tls_session *s, const uint8_t **ret_data);
void tls_session_sent(struct tls_session *s, size_t n);

/* Decrypted bytes. > 0; 0 after close_notify; -EAGAIN: feed more; -EPROTO: broken or an alert. */
ssize_t tls_session_read(struct tls_session *s, void *buf, size_t n);
/* Encrypts all n bytes (n <= TLS_RECORD_MAX) to the output. n, or -EPROTO, -ENOMEM. */
ssize_t tls_session_write(struct tls_session *s, const void *buf, size_t n);
/* Puts a close_notify to the output; once. */
void tls_session_close(struct tls_session *s);

struct tls_info {
    uint16_t version;
    const char *cipher; /* IANA name, static */
    char alpn[MESSAGE_ALPN_NAME_MAX + 1]; /* "" when none was negotiated */
};

void tls_session_info(const struct tls_session *s, struct tls_info *ret);
/* The peer's certificates in DER, own first; *ret_der is malloc'd and the caller's.
 * Returns its size, or -ENOENT behind the last. */
ssize_t tls_session_chain(const struct tls_session *s, size_t i, uint8_t **ret_der);
