/* A TLS server in a process of its own, so that its keys and memory are not the test's. It goes by
 * a script; which bytes it sends at once is part of that. What both sides send is the pattern of
 * tls_origin_byte(). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/lib/certs.h"

#define TLS_ORIGIN_SECRETS_MAX 8
#define TLS_ORIGIN_SECRET_MAX  48

struct tls_origin_script {
    const struct certs_pair *certificate;
    int version;         /* the only one; 0: any */
    const char *ciphers; /* TLS 1.2; NULL: any */
    const char *suites;  /* TLS 1.3; NULL: any */
    const char *groups;  /* NULL: any */
    bool is_smtp;        /* with STARTTLS first */
    size_t chunk_size;   /* of what it sends; 0: all that there is */
    bool is_early;       /* its data come glued to its Finished, in TLS 1.3 before ours */
    size_t n_data;       /* that it sends as soon as it can */
    bool is_closing;     /* close_notify and FIN right behind, without reading anything */
};

/* What it saw; shared with its process. */
struct tls_origin_seen {
    size_t n_received; /* on all connections */
    size_t n_spoiled;  /* bytes of these that are not the pattern's */
    unsigned n_begun;  /* connections */
    unsigned n_closed; /* those ended by a close_notify */
    /* Of the last one: all that its key log has of secrets, masked (find-secret.h). */
    uint8_t secrets[TLS_ORIGIN_SECRETS_MAX][TLS_ORIGIN_SECRET_MAX];
    size_t secret_sizes[TLS_ORIGIN_SECRETS_MAX];
    unsigned n_secrets;
};

uint8_t tls_origin_byte(size_t i);
/* Returns its port. One at a time. */
uint16_t tls_origin_start(const struct tls_origin_script *script);
const struct tls_origin_seen *tls_origin_seen(void);
void tls_origin_stop(void);
