/* Refused certificates, told so that a person can act on them: OpenSSL's reason becomes one of our
 * codes, and the detail says which certificate of the chain it was and what is wrong with it.
 *
 * OpenSSL calls back for the first problem; the session keeps it with the certificate, the
 * handshake ends, and the text is made afterwards. All text of a certificate is hostile: it is cut
 * here and escaped by failure_format. */
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "daemon/tls/internal.h"

#define NAME_MAX_BYTES   56 /* of a subject or issuer in the detail */
#define REASON_MAX_BYTES 192

/* The one that signs it, if any, need not be in our hands. */
static bool is_anchor_without_crl(X509_STORE_CTX *store)
{
    return X509_STORE_CTX_get_error(store) == X509_V_ERR_UNABLE_TO_GET_CRL &&
           X509_STORE_CTX_get_error_depth(store) + 1 ==
               sk_X509_num(X509_STORE_CTX_get0_chain(store));
}

int tls_verify_remember(int is_ok, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_session *s = SSL_get_app_data(ssl);
    X509 *cert = X509_STORE_CTX_get_current_cert(store);

    if (is_ok || s->verify_error != X509_V_OK)
        return is_ok;
    if (is_anchor_without_crl(store)) {
        X509_STORE_CTX_set_error(store, X509_V_OK);
        return 1;
    }
    s->verify_error = X509_STORE_CTX_get_error(store);
    s->verify_depth = X509_STORE_CTX_get_error_depth(store);
    if (cert && X509_up_ref(cert))
        s->verify_cert = cert;
    /* OpenSSL shows the peer's chain only after it was accepted. */
    if (X509_STORE_CTX_get0_untrusted(store))
        s->verify_chain = X509_chain_up_ref(X509_STORE_CTX_get0_untrusted(store));
    return 0;
}

static enum error_code code_of(int error)
{
    switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return ERROR_CERT_EXPIRED;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return ERROR_CERT_NOT_YET_VALID;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return ERROR_CERT_WRONG_NAME;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        return ERROR_CERT_UNKNOWN_ISSUER;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        return ERROR_CERT_SELF_SIGNED;
    case X509_V_ERR_INVALID_PURPOSE:
    case X509_V_ERR_INVALID_CA:
        return ERROR_CERT_BAD_PURPOSE;
    case X509_V_ERR_EE_KEY_TOO_SMALL:
    case X509_V_ERR_CA_KEY_TOO_SMALL:
    case X509_V_ERR_CA_MD_TOO_WEAK:
        return ERROR_CERT_WEAK_KEY;
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
    case X509_V_ERR_UNABLE_TO_DECRYPT_CERT_SIGNATURE:
    case X509_V_ERR_UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY:
        return ERROR_CERT_BAD_SIGNATURE;
    case X509_V_ERR_CERT_REVOKED:
        return ERROR_CERT_REVOKED;
    case X509_V_ERR_UNABLE_TO_GET_CRL:
    case X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER:
    case X509_V_ERR_UNABLE_TO_DECRYPT_CRL_SIGNATURE:
    case X509_V_ERR_CRL_SIGNATURE_FAILURE:
    case X509_V_ERR_CRL_NOT_YET_VALID:
    case X509_V_ERR_CRL_HAS_EXPIRED:
    case X509_V_ERR_ERROR_IN_CRL_LAST_UPDATE_FIELD:
    case X509_V_ERR_ERROR_IN_CRL_NEXT_UPDATE_FIELD:
    case X509_V_ERR_KEYUSAGE_NO_CRL_SIGN:
    case X509_V_ERR_UNHANDLED_CRITICAL_CRL_EXTENSION:
    case X509_V_ERR_DIFFERENT_CRL_SCOPE:
    case X509_V_ERR_CRL_PATH_VALIDATION_ERROR:
        return ERROR_CERT_STATUS_UNKNOWN;
    default: /* OpenSSL has some eighty */
        return ERROR_CERT_NOT_TRUSTED;
    }
}

/* Copies at most size - 1 bytes; NULs become '?', a cut is shown as "...". */
static void copy_cut(char *to, size_t size, const char *from, size_t n)
{
    size_t kept = n < size ? n : size - 1;

    for (size_t i = 0; i < kept; i++)
        to[i] = from[i] ? from[i] : '?';
    to[kept] = '\0';
    if (kept < n && kept >= 3)
        memcpy(to + kept - 3, "...", 3);
}

static void print_name(const X509_NAME *name, char *buf, size_t size)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    long n = 0;

    if (bio &&
        X509_NAME_print_ex(bio, name, 0,
                           XN_FLAG_SEP_COMMA_PLUS | XN_FLAG_FN_SN | ASN1_STRFLGS_UTF8_CONVERT) >= 0)
        n = BIO_get_mem_data(bio, &text);
    if (n > 0)
        copy_cut(buf, size, text, (size_t)n);
    else
        snprintf(buf, size, "(empty)");
    BIO_free(bio);
}

void tls_time_print(const ASN1_TIME *time, char *buf, size_t size)
{
    struct tm tm;

    if (!ASN1_TIME_to_tm(time, &tm) || strftime(buf, size, "%Y-%m-%d %H:%M:%S UTC", &tm) == 0)
        snprintf(buf, size, "(unreadable)");
}

/* The text of a name that X509_check_host or _ip would look at; false for other kinds. */
static bool print_alternative(const GENERAL_NAME *name, char *buf, size_t size)
{
    const ASN1_STRING *value;
    int type;

    value = GENERAL_NAME_get0_value(name, &type);
    if (type == GEN_DNS) {
        copy_cut(buf, size, (const char *)ASN1_STRING_get0_data(value),
                 (size_t)ASN1_STRING_length(value));
        return true;
    }
    if (type == GEN_IPADD) {
        int n = ASN1_STRING_length(value);

        return (n == 4 || n == 16) &&
               inet_ntop(n == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(value), buf,
                         (socklen_t)size) != NULL;
    }
    return false;
}

/* "a.example, 192.0.2.1 and 3 more", or "no name at all". */
static void print_alternatives(X509 *cert, char *buf, size_t size)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    size_t used = 0;
    int n_left = 0;

    snprintf(buf, size, "no name at all");
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        char name[64];
        size_t n;

        if (!print_alternative(sk_GENERAL_NAME_value(names, i), name, sizeof name))
            continue;
        n = strlen(name) + (used > 0 ? 2 : 0);
        if (n_left > 0 || used + n + sizeof " and 9999 more" > size) {
            n_left++;
            continue;
        }
        used += (size_t)snprintf(buf + used, size - used, "%s%s", used > 0 ? ", " : "", name);
    }
    if (n_left > 0)
        snprintf(buf + used, size - used, " and %d more", n_left > 9999 ? 9999 : n_left);
    GENERAL_NAMES_free(names);
}

static void print_weakness(X509 *cert, int error, char *buf, size_t size)
{
    if (error == X509_V_ERR_CA_MD_TOO_WEAK) {
        const char *name = OBJ_nid2ln(X509_get_signature_nid(cert));

        snprintf(buf, size, "signed with %s", name ? name : "an unknown algorithm");
    } else {
        EVP_PKEY *key = X509_get0_pubkey(cert);
        int type = key ? EVP_PKEY_base_id(key) : EVP_PKEY_NONE;

        snprintf(buf, size, "its %s key has only %d bits",
                 type == EVP_PKEY_RSA  ? "RSA"
                 : type == EVP_PKEY_EC ? "ECDSA"
                                       : "public",
                 key ? EVP_PKEY_bits(key) : 0);
    }
}

/* What OpenSSL's own words would repeat or leave to experts. */
static const char *reason_of(int error)
{
    switch (error) {
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        return "nobody else vouches for it, and it is not in the trust store";
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
        return "it was changed, or its issuer did not sign it";
    case X509_V_ERR_PATH_LENGTH_EXCEEDED:
        return "more CAs stand below it than it allows";
    case X509_V_ERR_PERMITTED_VIOLATION:
    case X509_V_ERR_EXCLUDED_VIOLATION:
        return "a CA above it may not issue for its names";
    case X509_V_ERR_CERT_CHAIN_TOO_LONG:
        return "the chain up to a root is too long";
    case X509_V_ERR_CERT_REVOKED:
        return "its issuer has it in the list in crl-file";
    case X509_V_ERR_UNABLE_TO_GET_CRL:
        return "crl-file has no list of its issuer; add it";
    case X509_V_ERR_CRL_HAS_EXPIRED:
        return "its issuer's list in crl-file has expired; put a new one there and reload";
    case X509_V_ERR_CRL_SIGNATURE_FAILURE:
        return "its issuer did not sign the list in crl-file";
    default:
        return X509_verify_cert_error_string(error);
    }
}

static void print_reason(const struct tls_session *s, int error, char *buf, size_t size)
{
    X509 *cert = s->verify_cert;
    char text[80];

    if (error == X509_V_ERR_CERT_HAS_EXPIRED) {
        tls_time_print(X509_get0_notAfter(cert), text, sizeof text);
        snprintf(buf, size, "expired %s", text);
    } else if (error == X509_V_ERR_CERT_NOT_YET_VALID) {
        tls_time_print(X509_get0_notBefore(cert), text, sizeof text);
        snprintf(buf, size, "valid only from %s", text);
    } else if (code_of(error) == ERROR_CERT_WRONG_NAME) {
        print_alternatives(cert, text, sizeof text);
        snprintf(buf, size, "not for %.64s, but for %s", s->expected, text);
    } else if (error == X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN) {
        snprintf(buf, size, "the root of the chain is not in the trust store");
    } else if (code_of(error) == ERROR_CERT_UNKNOWN_ISSUER) {
        snprintf(buf, size, "its issuer is not in the trust store, nor sent along by the peer");
    } else if (error == X509_V_ERR_INVALID_CA) {
        snprintf(buf, size, "not for a CA, yet it issued the one before it");
    } else if (error == X509_V_ERR_INVALID_PURPOSE) {
        snprintf(buf, size, "not for %s", s->verify_depth > 0 ? "issuing servers" : "TLS servers");
    } else if (code_of(error) == ERROR_CERT_WEAK_KEY) {
        print_weakness(cert, error, buf, size);
    } else {
        snprintf(buf, size, "%s", reason_of(error));
    }
}

void tls_verify_explain(const struct tls_session *s, struct failure *ret)
{
    int error = s->verify_error;
    char reason[REASON_MAX_BYTES], subject[NAME_MAX_BYTES], issuer[NAME_MAX_BYTES];

    if (!s->verify_cert) {
        if (error == X509_V_OK)
            error = (int)SSL_get_verify_result(s->ssl);
        failure_format(ret, code_of(error), 0, "%s", X509_verify_cert_error_string(error));
        return;
    }
    print_reason(s, error, reason, sizeof reason);
    print_name(X509_get_subject_name(s->verify_cert), subject, sizeof subject);
    print_name(X509_get_issuer_name(s->verify_cert), issuer, sizeof issuer);
    failure_format(ret, code_of(error), 0, "%s; subject %s, issuer %s, depth %d", reason, subject,
                   issuer, s->verify_depth);
    ERR_clear_error();
}
