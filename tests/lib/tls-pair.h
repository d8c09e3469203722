/* A TLS session of ours and an OpenSSL server in one process, with the wire between them in the
 * hands of the test. */
#pragma once

#include <check.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

#include "daemon/tls/tls.h"
#include "tests/lib/certs.h"

/* What the suites share: the certificates, and a context that trusts their CA. */
extern struct certs_matrix *pair_matrix;
extern struct tls_context *pair_context;

/* Runs one test case with these two set up. Returns the exit status. */
int pair_run_suite(const char *name, void (*add_tests)(TCase *tcase));
/* And a second time with sessions that may become the kernel's, which have a context of their own:
 * for what decides whom they trust, and what they offer. */
int pair_run_suite_twice(const char *name, void (*add_tests)(TCase *tcase));

/* A context of ours that trusts these certificates only (through a file, written and removed). */
struct tls_context *pair_context_new(const struct certs_pair *const *anchors, size_t n,
                                     struct tls_settings settings);

struct pair_options {
    const struct certs_case *server; /* certificate chain and key */
    struct tls_context *context;     /* of the client; the pair keeps its own reference */
    struct tls_params params;        /* of the client; all zero: localhost, no ALPN */
    int version;                     /* the only one of the server; 0: any */
    const char *ciphers;             /* of the server, TLS 1.2 */
    const char *suites;              /* of the server, TLS 1.3 */
    const char *groups;              /* of the server; NULL: any */
    const char *alpn;                /* what the server answers, asked or not; NULL: nothing */
    bool wants_client_certificate;
    struct text staple;  /* an OCSP response; data NULL: none */
    SSL_CTX *server_ctx; /* of a pair before, whose sessions this server resumes; NULL: a new one */
};

struct pair {
    struct tls_session *client;
    SSL_CTX *server_ctx;
    SSL *server;
    const char *alpn;
    struct text staple;
    size_t chunk_size; /* how many bytes at once reach the client */
    size_t limit;      /* of the bytes that reach the client at all */
    size_t flipped;    /* the byte of them whose lowest bit is turned; SIZE_MAX: none */
    size_t n_received; /* by the client */
    enum tls_progress progress;
    struct failure failure;
};

/* A server of the matrix and the shared context. */
struct pair_options pair_options_of(const char *server, int version);
void pair_init(struct pair *p, const struct pair_options *options);
void pair_deinit(struct pair *p);
/* With the handshake done, with the server's ECDSA certificate. */
void pair_open(struct pair *p, int version);

/* Moves bytes both ways until nothing moves. Before the handshake is over the client's handshake is
 * driven too; returns its state. */
enum tls_progress pair_run(struct pair *p);
/* Moves what each has to say, once, without calling the client's read or handshake. */
size_t pair_move_to_server(struct pair *p);
size_t pair_move_to_client(struct pair *p);
/* Client functions, with the error queue spoilt before and checked after. */
ssize_t pair_read(struct pair *p, void *buf, size_t n);
ssize_t pair_write(struct pair *p, const void *buf, size_t n);
/* Puts raw bytes before the client. */
void pair_inject(struct pair *p, const void *data, size_t n);

void pair_check_failure(const struct failure *f, enum error_code code, const char *detail);
