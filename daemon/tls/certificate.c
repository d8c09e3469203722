/* The certificate and key that prove to a peer who we are, from memory, where a credential was read
 * to. What OpenSSL says of a key that it cannot read is many things; the few that a person can do
 * something about are told apart: no passphrase, the wrong one, another certificate's key.
 *
 * OpenSSL has the key until the context is freed, and wipes it then; see memory.c for its copies.
 */
#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "daemon/tls/internal.h"
#include "proto/cleanup.h"

/* What was read. */
struct owner {
    X509 *cert;
    EVP_PKEY *key;
    STACK_OF(X509) * issuers;
};

static void owner_deinit(struct owner *owner)
{
    X509_free(owner->cert);
    EVP_PKEY_free(owner->key);
    sk_X509_pop_free(owner->issuers, X509_free);
}

static void pkcs12_freep(PKCS12 **pkcs12)
{
    PKCS12_free(*pkcs12);
}

/* For OpenSSL to ask. */
struct asking {
    const struct text *passphrase;
    bool was_asked;
};

static int give_passphrase(char *buf, int size, int is_write, void *data)
{
    struct asking *asking = data;
    const struct text *passphrase = asking->passphrase;

    (void)is_write;
    asking->was_asked = true;
    if (!passphrase->data || passphrase->n > (size_t)size)
        return -1;
    memcpy(buf, passphrase->data, passphrase->n);
    return (int)passphrase->n;
}

static bool is_pem(const struct text *text)
{
    static const char mark[] = "-----BEGIN ";

    return memmem(text->data, text->n, mark, sizeof mark - 1) != NULL;
}

static const char *reason(void)
{
    const char *text = ERR_reason_error_string(ERR_peek_last_error());

    return text ? text : "OpenSSL gives no reason";
}

static int read_chain(const struct text *text, struct owner *owner, struct tls_problem *problem)
{
    CLEANUP(tls_bio_freep) BIO *bio = BIO_new_mem_buf(text->data, (int)text->n);
    const char *why = NULL;
    int r, n = 0;

    owner->issuers = sk_X509_new_null();
    if (!bio || !owner->issuers)
        return -ENOMEM;
    for (;; n++) {
        X509 *cert = PEM_read_bio_X509_AUX(bio, NULL, tls_pem_no_passphrase, NULL);

        if (!cert)
            break;
        if (n == 0) {
            owner->cert = cert;
        } else if (!sk_X509_push(owner->issuers, cert)) {
            X509_free(cert);
            return -ENOMEM;
        }
    }
    r = tls_pem_end(n, "no certificate in it", &why);
    return r < 0 ? tls_problem_set(problem, TLS_SETTING_CERTIFICATE, r,
                                   "cannot use the certificate: %s", why)
                 : 0;
}

static int refuse_passphrase(const struct tls_settings *settings, enum tls_setting holder,
                             struct tls_problem *problem)
{
    if (!settings->passphrase.data)
        return tls_problem_set(problem, holder, -EINVAL,
                               "the key is encrypted; name the credential with its passphrase in "
                               "'passphrase'");
    return tls_problem_set(problem, TLS_SETTING_PASSPHRASE, -EINVAL,
                           "the key cannot be decrypted with this passphrase");
}

static int read_key(const struct tls_settings *settings, struct owner *owner,
                    struct tls_problem *problem)
{
    enum tls_setting holder = settings->key.data ? TLS_SETTING_KEY : TLS_SETTING_CERTIFICATE;
    const struct text *text = settings->key.data ? &settings->key : &settings->certificate;
    CLEANUP(tls_bio_freep) BIO *bio = BIO_new_mem_buf(text->data, (int)text->n);
    struct asking asking = {.passphrase = &settings->passphrase};

    if (!bio)
        return -ENOMEM;
    ERR_clear_error();
    owner->key = PEM_read_bio_PrivateKey(bio, NULL, give_passphrase, &asking);
    if (owner->key)
        return 0;
    if (asking.was_asked)
        return refuse_passphrase(settings, holder, problem);
    if (!settings->key.data)
        return tls_problem_set(problem, holder, -EINVAL,
                               "there is no private key in it; name the credential that has it in "
                               "'key'");
    return tls_problem_set(problem, holder, -EINVAL, "no private key that can be read in it (PEM)");
}

static int unpack(PKCS12 *pkcs12, const struct tls_settings *settings, struct owner *owner,
                  struct tls_problem *problem)
{
    char passphrase[TLS_PASSPHRASE_MAX + 1] = "";
    int is_done;

    assert(settings->passphrase.n < sizeof passphrase);
    if (settings->passphrase.data)
        memcpy(passphrase, settings->passphrase.data, settings->passphrase.n);
    ERR_clear_error();
    is_done = PKCS12_parse(pkcs12, settings->passphrase.data ? passphrase : NULL, &owner->key,
                           &owner->cert, &owner->issuers);
    OPENSSL_cleanse(passphrase, sizeof passphrase);
    if (is_done && owner->cert && owner->key)
        return 0;
    if (is_done)
        return tls_problem_set(problem, TLS_SETTING_CERTIFICATE, -EINVAL, "there is no %s in it",
                               owner->cert ? "private key" : "certificate");
    if (ERR_GET_REASON(ERR_peek_last_error()) == PKCS12_R_MAC_VERIFY_FAILURE)
        return refuse_passphrase(settings, TLS_SETTING_CERTIFICATE, problem);
    return tls_problem_set(problem, TLS_SETTING_CERTIFICATE, -EINVAL,
                           "cannot use the PKCS #12: %s; one that was made long ago has to be made "
                           "anew with 'openssl pkcs12'",
                           reason());
}

static int read_pkcs12(const struct tls_settings *settings, struct owner *owner,
                       struct tls_problem *problem)
{
    const unsigned char *at = (const unsigned char *)settings->certificate.data;
    CLEANUP(pkcs12_freep) PKCS12 *pkcs12 = d2i_PKCS12(NULL, &at, (long)settings->certificate.n);

    if (!pkcs12)
        return tls_problem_set(problem, TLS_SETTING_CERTIFICATE, -EINVAL,
                               "there is no certificate in it, neither PEM nor PKCS #12");
    if (settings->key.data)
        return tls_problem_set(problem, TLS_SETTING_KEY, -EINVAL,
                               "the certificate is PKCS #12, which has the key in it; remove this");
    return unpack(pkcs12, settings, owner, problem);
}

static int apply(SSL_CTX *ctx, const struct tls_settings *settings, const struct owner *owner,
                 struct tls_problem *problem)
{
    enum tls_setting holder = settings->key.data ? TLS_SETTING_KEY : TLS_SETTING_CERTIFICATE;

    ERR_clear_error();
    if (!X509_check_private_key(owner->cert, owner->key))
        return tls_problem_set(problem, holder, -EINVAL,
                               "the private key is not that of the certificate");
    ERR_clear_error();
    if (!SSL_CTX_use_certificate(ctx, owner->cert) || !SSL_CTX_use_PrivateKey(ctx, owner->key) ||
        (owner->issuers && !SSL_CTX_set1_chain(ctx, owner->issuers)))
        return tls_problem_set(problem, TLS_SETTING_CERTIFICATE, -EINVAL,
                               "cannot use the certificate: %s", reason());
    return 0;
}

/* The peer decides, but most refuse these. */
static void warn(X509 *cert, struct tls_problem *problem)
{
    char text[64];

    if (X509_cmp_current_time(X509_get0_notAfter(cert)) < 0) {
        tls_time_print(X509_get0_notAfter(cert), text, sizeof text);
        tls_problem_set(problem, TLS_SETTING_CERTIFICATE, 0,
                        "the certificate has expired %s, and servers will refuse it; get a new one",
                        text);
    } else if (X509_cmp_current_time(X509_get0_notBefore(cert)) > 0) {
        tls_time_print(X509_get0_notBefore(cert), text, sizeof text);
        tls_problem_set(problem, TLS_SETTING_CERTIFICATE, 0,
                        "the certificate is valid only from %s, and servers will refuse it", text);
    } else if (X509_check_purpose(cert, X509_PURPOSE_SSL_CLIENT, 0) != 1) {
        tls_problem_set(problem, TLS_SETTING_CERTIFICATE, 0,
                        "the certificate is not for TLS clients, and servers will refuse it; get "
                        "one with the extended key usage clientAuth");
    }
}

static int set(SSL_CTX *ctx, const struct tls_settings *settings, struct tls_problem *problem)
{
    CLEANUP(owner_deinit) struct owner owner = {0};
    int r;

    if (settings->passphrase.n > TLS_PASSPHRASE_MAX)
        return tls_problem_set(problem, TLS_SETTING_PASSPHRASE, -EINVAL,
                               "the passphrase has more than %d bytes", TLS_PASSPHRASE_MAX);
    ERR_clear_error();
    if (!is_pem(&settings->certificate)) {
        r = read_pkcs12(settings, &owner, problem);
    } else {
        r = read_chain(&settings->certificate, &owner, problem);
        if (r == 0)
            r = read_key(settings, &owner, problem);
    }
    if (r == 0)
        r = apply(ctx, settings, &owner, problem);
    if (r == 0)
        warn(owner.cert, problem);
    return r;
}

int tls_certificate_set(SSL_CTX *ctx, const struct tls_settings *settings,
                        struct tls_problem *problem)
{
    int r;

    tls_memory_begin_wiping();
    r = set(ctx, settings, problem);
    tls_memory_end_wiping();
    return r;
}
