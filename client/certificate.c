/* X.509 by libcrypto. Every text in a certificate is its maker's, so all of it is escaped. */
#include "client/certificate.h"

#include <arpa/inet.h>
#include <limits.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/report.h"
#include "proto/cleanup.h"

static char *format_name(const X509_NAME *name)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *data = NULL, *text;
    long n;

    if (!bio)
        return escape_text("", 0);
    /* RFC 2253 with its escapes for what is not ASCII: a second round of ours finds nothing but the
     * backslash, which stays as it is here. */
    X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253);
    n = BIO_get_mem_data(bio, &data);
    text = strndup(n > 0 ? data : "", n > 0 ? (size_t)n : 0);
    BIO_free(bio);
    for (char *p = text; p && *p; p++)
        if ((unsigned char)*p < 0x20 || (unsigned char)*p >= 0x7f)
            *p = '?';
    return text ? text : escape_text("", 0);
}

static void format_time(const ASN1_TIME *time, char *buf, size_t size)
{
    struct tm tm;

    buf[0] = '\0';
    if (ASN1_TIME_to_tm(time, &tm) == 1)
        strftime(buf, size, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static char *format_labelled(const char *label, const unsigned char *data, int n)
{
    CLEANUP(freep) char *escaped = escape_text((const char *)data, n > 0 ? (size_t)n : 0);
    char *text = NULL;

    return asprintf(&text, "%s:%s", label, escaped) < 0 ? NULL : text;
}

static char *format_alternative(const GENERAL_NAME *name)
{
    char ip[INET6_ADDRSTRLEN];
    int type, n;
    const ASN1_STRING *value = GENERAL_NAME_get0_value(name, &type);
    const unsigned char *data;

    if (type != GEN_DNS && type != GEN_URI && type != GEN_EMAIL && type != GEN_IPADD)
        return NULL;
    data = ASN1_STRING_get0_data(value);
    n = ASN1_STRING_length(value);
    switch (type) {
    case GEN_DNS:
        return format_labelled("DNS", data, n);
    case GEN_URI:
        return format_labelled("URI", data, n);
    case GEN_EMAIL:
        return format_labelled("email", data, n);
    }
    if ((n == 4 || n == 16) && inet_ntop(n == 4 ? AF_INET : AF_INET6, data, ip, sizeof ip))
        return format_labelled("IP", (const unsigned char *)ip, (int)strlen(ip));
    return NULL;
}

static void set_names(struct certificate *c, const X509 *x509)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(x509, NID_subject_alt_name, NULL, NULL);
    int n = names ? sk_GENERAL_NAME_num(names) : 0;

    if (n > CERTIFICATE_NAMES_MAX)
        n = CERTIFICATE_NAMES_MAX;
    c->names = calloc((size_t)n + 1, sizeof *c->names);
    for (int i = 0; c->names && i < n; i++) {
        char *text = format_alternative(sk_GENERAL_NAME_value(names, i));

        if (text)
            c->names[c->n_names++] = text;
    }
    GENERAL_NAMES_free(names);
}

static void set_digest(struct certificate *c, const X509 *x509)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;

    if (X509_digest(x509, EVP_sha256(), digest, &n) != 1)
        return;
    for (unsigned i = 0; i < n && i < 32; i++)
        sprintf(c->sha256 + 2 * i, "%02x", digest[i]);
}

struct certificate *certificate_new(const void *der, size_t n)
{
    const unsigned char *bytes = der;
    struct certificate *c;
    X509 *x509;

    if (n > INT_MAX)
        return NULL;
    x509 = d2i_X509(NULL, &bytes, (long)n);
    if (!x509)
        return NULL;
    c = calloc(1, sizeof *c);
    if (c) {
        c->subject = format_name(X509_get_subject_name(x509));
        c->issuer = format_name(X509_get_issuer_name(x509));
        format_time(X509_get0_notBefore(x509), c->not_before, sizeof c->not_before);
        format_time(X509_get0_notAfter(x509), c->not_after, sizeof c->not_after);
        set_names(c, x509);
        set_digest(c, x509);
    }
    X509_free(x509);
    return c;
}

struct certificate *certificate_free(struct certificate *c)
{
    if (!c)
        return NULL;
    for (size_t i = 0; i < c->n_names; i++)
        free(c->names[i]);
    free(c->names);
    free(c->subject);
    free(c->issuer);
    free(c);
    return NULL;
}
