/* Certificates through OpenSSL's API; nothing is read from files. RSA keys of servers are made once
 * per size, because making one takes longer than a whole test; and under valgrind, where it takes
 * ten seconds, by the openssl command, which is not. */
#include "tests/lib/certs.h"
#include "tests/lib/valgrind.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/ec.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define need(condition)                                                                            \
    do {                                                                                           \
        if (!(condition))                                                                          \
            give_up(__LINE__, #condition);                                                         \
    } while (0)

static _Noreturn void give_up(int line, const char *what)
{
    fprintf(stderr, "certs.c:%d: failed: %s\n", line, what);
    ERR_print_errors_fp(stderr);
    exit(99);
}

static EVP_PKEY *let_make_rsa_key(int bits)
{
    char command[64];
    EVP_PKEY *key;
    FILE *pem;

    snprintf(command, sizeof command, "openssl genrsa %d", bits);
    pem = popen(command, "re");
    need(pem);
    key = PEM_read_PrivateKey(pem, NULL, NULL, NULL);
    need(pclose(pem) == 0 && key);
    return key;
}

static EVP_PKEY *make_rsa_key(int bits)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_id(EVP_PKEY_RSA, NULL);
    EVP_PKEY *key = NULL;

    need(ctx && EVP_PKEY_keygen_init(ctx) > 0);
    need(EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, bits) > 0);
    need(EVP_PKEY_keygen(ctx, &key) > 0);
    EVP_PKEY_CTX_free(ctx);
    return key;
}

static EVP_PKEY *make_ecdsa_key(void)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_id(EVP_PKEY_EC, NULL);
    EVP_PKEY *key = NULL;

    need(ctx && EVP_PKEY_keygen_init(ctx) > 0);
    need(EVP_PKEY_CTX_set_ec_paramgen_curve_nid(ctx, NID_X9_62_prime256v1) > 0);
    need(EVP_PKEY_keygen(ctx, &key) > 0);
    EVP_PKEY_CTX_free(ctx);
    return key;
}

static EVP_PKEY *make_key(const struct certs_spec *spec)
{
    static EVP_PKEY *shared;
    EVP_PKEY *(*make_rsa)(int);
    int bits = spec->bits ? spec->bits : 2048;

    if (spec->key == CERTS_ECDSA)
        return make_ecdsa_key();
    make_rsa = is_under_valgrind() ? let_make_rsa_key : make_rsa_key;
    if (spec->is_ca || bits != 2048)
        return make_rsa(bits);
    if (!shared)
        shared = make_rsa(bits);
    need(EVP_PKEY_up_ref(shared));
    return shared;
}

static void add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509_EXTENSION *extension;
    X509V3_CTX ctx;

    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    need(extension && X509_add_ext(cert, extension, -1));
    X509_EXTENSION_free(extension);
}

static void add_extensions(const struct certs_spec *spec, X509 *cert, X509 *issuer)
{
    const char *purpose = spec->purpose ? spec->purpose : spec->is_ca ? NULL : "serverAuth";
    const char *usage = spec->usage ? spec->usage : spec->is_ca ? "critical,keyCertSign" : NULL;

    if (!spec->is_ca)
        add_extension(cert, issuer, NID_basic_constraints, "critical,CA:FALSE");
    else if (spec->is_path_ending)
        add_extension(cert, issuer, NID_basic_constraints, "critical,CA:TRUE,pathlen:0");
    else
        add_extension(cert, issuer, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(cert, issuer, NID_subject_key_identifier, "hash");
    if (issuer != cert)
        add_extension(cert, issuer, NID_authority_key_identifier, "keyid:always");
    if (usage)
        add_extension(cert, issuer, NID_key_usage, usage);
    if (purpose)
        add_extension(cert, issuer, NID_ext_key_usage, purpose);
    if (spec->names)
        add_extension(cert, issuer, NID_subject_alt_name, spec->names);
    if (spec->constraints)
        add_extension(cert, issuer, NID_name_constraints, spec->constraints);
}

static void set_head(const struct certs_spec *spec, X509 *cert)
{
    bool is_usual = spec->from_s == 0 && spec->until_s == 0;
    X509_NAME *name = X509_get_subject_name(cert);
    unsigned char serial[8];
    BIGNUM *number;
    time_t now = time(NULL);

    need(RAND_bytes(serial, sizeof serial) == 1);
    serial[0] = (serial[0] & 0x7f) | 0x40;
    number = BN_bin2bn(serial, sizeof serial, NULL);
    need(number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)));
    BN_free(number);
    need(X509_set_version(cert, X509_VERSION_3));
    if (spec->common_name)
        need(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                        (const unsigned char *)spec->common_name, -1, -1, 0));
    need(ASN1_TIME_set(X509_getm_notBefore(cert), now + (is_usual ? -CERTS_DAY_S : spec->from_s)));
    need(ASN1_TIME_set(X509_getm_notAfter(cert), now + (is_usual ? CERTS_DAY_S : spec->until_s)));
}

static void break_signature(X509 *cert)
{
    const ASN1_BIT_STRING *signature;
    unsigned char *data;

    X509_get0_signature(&signature, NULL, cert);
    data = (unsigned char *)(uintptr_t)ASN1_STRING_get0_data(signature);
    data[ASN1_STRING_length(signature) - 1] ^= 1;
}

struct certs_pair *certs_new(const struct certs_spec *spec, const struct certs_pair *issuer)
{
    const EVP_MD *digest = EVP_get_digestbyname(spec->digest ? spec->digest : "SHA256");
    struct certs_pair *pair = calloc(1, sizeof *pair);
    X509 *issuer_cert;

    need(pair && digest);
    pair->cert = X509_new();
    pair->key = make_key(spec);
    need(pair->cert && pair->key);
    issuer_cert = issuer ? issuer->cert : pair->cert;
    set_head(spec, pair->cert);
    need(X509_set_issuer_name(pair->cert, X509_get_subject_name(issuer_cert)));
    need(X509_set_pubkey(pair->cert, pair->key));
    add_extensions(spec, pair->cert, issuer_cert);
    need(X509_sign(pair->cert, issuer ? issuer->key : pair->key, digest) > 0);
    if (spec->is_signature_broken)
        break_signature(pair->cert);
    return pair;
}

struct certs_pair *certs_free(struct certs_pair *pair)
{
    if (pair) {
        X509_free(pair->cert);
        EVP_PKEY_free(pair->key);
        free(pair);
    }
    return NULL;
}

void certs_write_chain(const char *path, const struct certs_pair *const *chain, size_t n)
{
    FILE *file = fopen(path, "we");

    need(file);
    for (size_t i = 0; i < n; i++)
        need(PEM_write_X509(file, chain[i]->cert));
    need(fclose(file) == 0);
}

static X509_CRL *make_crl(const struct certs_crl_spec *spec)
{
    bool is_usual = spec->from_s == 0 && spec->until_s == 0;
    const struct certs_pair *signer = spec->key ? spec->key : spec->issuer;
    ASN1_TIME *at = ASN1_TIME_set(NULL, time(NULL) - CERTS_DAY_S);
    X509_CRL *crl = X509_CRL_new();

    need(crl && at && X509_CRL_set_version(crl, X509_CRL_VERSION_2));
    need(X509_CRL_set_issuer_name(crl, X509_get_subject_name(spec->issuer->cert)));
    if (spec->revoked) {
        X509_REVOKED *entry = X509_REVOKED_new();

        need(entry && X509_REVOKED_set_revocationDate(entry, at));
        need(X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(spec->revoked->cert)));
        need(X509_CRL_add0_revoked(crl, entry));
    }
    need(ASN1_TIME_set(at, time(NULL) + (is_usual ? -CERTS_DAY_S : spec->from_s)));
    need(X509_CRL_set1_lastUpdate(crl, at));
    need(ASN1_TIME_set(at, time(NULL) + (is_usual ? CERTS_DAY_S : spec->until_s)));
    need(X509_CRL_set1_nextUpdate(crl, at));
    need(X509_CRL_sign(crl, signer->key, EVP_sha256()) > 0);
    ASN1_TIME_free(at);
    return crl;
}

void certs_write_crls(const char *path, const struct certs_crl_spec *specs, size_t n)
{
    FILE *file = fopen(path, "we");

    need(file);
    for (size_t i = 0; i < n; i++) {
        X509_CRL *crl = make_crl(&specs[i]);

        need(PEM_write_X509_CRL(file, crl));
        X509_CRL_free(crl);
    }
    need(fclose(file) == 0);
}

void certs_write_key(const char *path, const struct certs_pair *pair)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;

    need(file);
    need(PEM_write_PKCS8PrivateKey(file, pair->key, NULL, NULL, 0, NULL, NULL));
    need(fclose(file) == 0);
}
