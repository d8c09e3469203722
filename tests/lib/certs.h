/* Makes certificates for tests, good ones and every kind of bad one. What fails here is a mistake
 * in the test: it ends the program with a message. */
#pragma once

#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CERTS_DAY_S 86400

enum certs_key {
    CERTS_ECDSA,
    CERTS_RSA,
};

/* Zero stands for the usual: an ECDSA certificate for TLS servers, valid now, signed with SHA-256.
 */
struct certs_spec {
    const char *common_name; /* UTF-8 */
    const char *names;       /* "DNS:localhost,IP:127.0.0.1", as in x509v3_config(5); NULL: none */
    const char *purpose;     /* extendedKeyUsage; NULL: serverAuth, for a CA none */
    const char *usage;       /* keyUsage; NULL: none, for a CA keyCertSign */
    const char *constraints; /* nameConstraints; NULL: none */
    const char *digest;      /* of the signature; NULL: SHA256 */
    enum certs_key key;
    int bits; /* RSA; 0: 2048 */
    bool is_ca;
    bool is_path_ending; /* a CA that may not have CAs below it */
    bool is_signature_broken;
    int64_t from_s; /* validity from now; both 0: from yesterday to tomorrow */
    int64_t until_s;
};

struct certs_pair {
    X509 *cert;
    EVP_PKEY *key;
};

/* issuer NULL: signs itself. */
struct certs_pair *certs_new(const struct certs_spec *spec, const struct certs_pair *issuer);
struct certs_pair *certs_free(struct certs_pair *pair); /* NULL is fine; returns NULL */

/* Writes the certificates one after the other / the private key (mode 0600, PKCS#8), as PEM. */
void certs_write_chain(const char *path, const struct certs_pair *const *chain, size_t n);
void certs_write_key(const char *path, const struct certs_pair *pair);

/* Writes revocation lists as PEM, one for each spec. */
struct certs_crl_spec {
    const struct certs_pair *issuer;
    const struct certs_pair *key;     /* that signs it; NULL: the issuer's */
    const struct certs_pair *revoked; /* NULL: none */
    int64_t from_s;                   /* from now; both 0: from yesterday to tomorrow */
    int64_t until_s;
};

void certs_write_crls(const char *path, const struct certs_crl_spec *specs, size_t n);

/* An OCSP response in DER; malloc'd. */
struct certs_ocsp_spec {
    const struct certs_pair *issuer;
    const struct certs_pair *leaf;
    const struct certs_pair *signer; /* sent along unless it is the issuer; NULL: the issuer */
    const char *digest;              /* of the signature; NULL: SHA256 */
    int status;                      /* V_OCSP_CERTSTATUS_… */
    bool has_no_end;
    int64_t from_s; /* from now; both 0: from yesterday to tomorrow */
    int64_t until_s;
};

unsigned char *certs_make_ocsp(const struct certs_ocsp_spec *spec, size_t *ret_n);

/* The matrix: server certificates for localhost, 127.0.0.1 and ::1, and what a client that trusts
 * `ca` must say of each. */
#define CERTS_CHAIN_MAX 4

struct certs_case {
    const char *name;                                /* stable: file names are made of it */
    const char *error;                               /* symbolic, as error_name(); "OK": none */
    const struct certs_pair *chain[CERTS_CHAIN_MAX]; /* as the server sends it */
    size_t n_chain;
};

struct certs_matrix;

struct certs_matrix *certs_matrix_new(void);
struct certs_matrix *certs_matrix_free(struct certs_matrix *m);
const struct certs_pair *certs_matrix_ca(const struct certs_matrix *m);
/* NULL behind the last. */
const struct certs_case *certs_matrix_get(const struct certs_matrix *m, size_t i);
const struct certs_case *certs_matrix_find(const struct certs_matrix *m, const char *name);
