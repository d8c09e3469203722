/* Revocation lists from a file. OpenSSL looks for a certificate in its issuer's list, whose
 * signature and dates it verifies; a missing or old list refuses, since nobody knows what it would
 * say. This goes for the whole chain but the trust anchor: whoever wrote the configuration trusts
 * that one. */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

#include "daemon/tls/internal.h"
#include "proto/cleanup.h"

/* An old one is no reason not to start, but nothing will be connected. */
static void warn_of_age(const X509_CRL *crl, const char *path, struct tls_problem *problem)
{
    const ASN1_TIME *until = X509_CRL_get0_nextUpdate(crl);
    char text[64];

    if (problem->text[0] != '\0' || !until || X509_cmp_current_time(until) > 0)
        return;
    tls_time_print(until, text, sizeof text);
    tls_problem_set(problem, TLS_SETTING_CRL_FILE, 0,
                    "a revocation list in %.120s has expired %s, and certificates that it is for "
                    "are refused; put a new one there and reload",
                    path, text);
}

static int add_crls(X509_STORE *store, BIO *bio, const char *path, struct tls_problem *problem,
                    const char **ret_reason)
{
    int n = 0;

    for (;; n++) {
        X509_CRL *crl = PEM_read_bio_X509_CRL(bio, NULL, tls_pem_no_passphrase, NULL);
        int is_added;

        if (!crl)
            break;
        warn_of_age(crl, path, problem);
        is_added = X509_STORE_add_crl(store, crl);
        X509_CRL_free(crl);
        if (!is_added)
            return -ENOMEM;
    }
    return tls_pem_end(n, "no revocation list in it", ret_reason);
}

bool tls_crls_require(SSL_CTX *ctx)
{
    return X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ctx),
                                       X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
}

int tls_crls_load(X509_STORE *store, const char *path, struct tls_problem *problem)
{
    CLEANUP(tls_bio_freep) BIO *bio = NULL;
    const char *reason = NULL;
    int r;

    ERR_clear_error();
    r = tls_pem_open(path, &bio);
    if (r >= 0)
        r = add_crls(store, bio, path, problem, &reason);
    if (r < 0)
        return tls_problem_set(problem, TLS_SETTING_CRL_FILE, r, "cannot use CRL file %s: %s", path,
                               reason ? reason : strerror(-r));
    return 0;
}
