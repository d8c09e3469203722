/* What is offered: of a context, the ciphers that a section names; of a session, what the kernel
 * can go on with (at the end of this file).
 *
 * A name is that of one cipher, never an expression of OpenSSL's, which could mean anything ("ALL",
 * "@SECLEVEL=0"). What is not named is not offered: where no name is for TLS 1.3, neither is TLS
 * 1.3, and likewise for TLS 1.2.
 *
 * Refused is what a section cannot mean: no encryption, no certificate of the server, less than 128
 * bits. Finite-field DH is, for the reason given in context.c. */
#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <string.h>

#include "daemon/tls/internal.h"
#include "proto/cleanup.h"

#define BITS_MIN 128

#define EVERYTHING "ALL:COMPLEMENTOFALL:@SECLEVEL=0"
#define EVERY_SUITE                                                                                \
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:"                  \
    "TLS_AES_128_CCM_SHA256:TLS_AES_128_CCM_8_SHA256"

#define NAME_MAX_BYTES 64                                     /* OpenSSL's longest have 30 */
#define LIST_SIZE      (TLS_CIPHERS_MAX * NAME_MAX_BYTES + 1) /* with a ':' or the NUL each */

/* For TLS 1.3 and for TLS 1.2, in OpenSSL's names. */
struct lists {
    char suites[LIST_SIZE];
    char ciphers[LIST_SIZE];
};

static void ctx_freep(SSL_CTX **ctx)
{
    SSL_CTX_free(*ctx);
}

static const SSL_CIPHER *find(SSL_CTX *known, const char *name)
{
    const STACK_OF(SSL_CIPHER) *ciphers = SSL_CTX_get_ciphers(known);

    for (int i = 0; i < sk_SSL_CIPHER_num(ciphers); i++) {
        const SSL_CIPHER *cipher = sk_SSL_CIPHER_value(ciphers, i);
        const char *standard = SSL_CIPHER_standard_name(cipher);

        if (strcmp(SSL_CIPHER_get_name(cipher), name) == 0 ||
            (standard && strcmp(standard, name) == 0))
            return cipher;
    }
    return NULL;
}

static bool is_suite(const SSL_CIPHER *cipher)
{
    return strcmp(SSL_CIPHER_get_version(cipher), "TLSv1.3") == 0;
}

static bool is_acceptable(const SSL_CIPHER *cipher)
{
    int exchange = SSL_CIPHER_get_kx_nid(cipher);
    int proof = SSL_CIPHER_get_auth_nid(cipher);

    if (SSL_CIPHER_get_cipher_nid(cipher) == NID_undef ||
        SSL_CIPHER_get_bits(cipher, NULL) < BITS_MIN)
        return false;
    return is_suite(cipher) || ((exchange == NID_kx_ecdhe || exchange == NID_kx_rsa) &&
                                (proof == NID_auth_rsa || proof == NID_auth_ecdsa));
}

static void append(char *list, const SSL_CIPHER *cipher)
{
    const char *name = SSL_CIPHER_get_name(cipher);

    assert(strlen(name) < NAME_MAX_BYTES);
    if (list[0] != '\0')
        strcat(list, ":");
    strcat(list, name);
}

static int sort(SSL_CTX *known, const struct tls_settings *settings, struct lists *lists,
                struct tls_problem *problem)
{
    assert(settings->n_ciphers <= TLS_CIPHERS_MAX);
    for (size_t i = 0; i < settings->n_ciphers; i++) {
        const SSL_CIPHER *cipher = find(known, settings->ciphers[i]);

        problem->index = i;
        if (!cipher)
            return tls_problem_set(problem, TLS_SETTING_CIPHERS, -EINVAL,
                                   "OpenSSL knows no cipher '%.60s'; 'openssl ciphers -stdname' "
                                   "lists those that there are",
                                   settings->ciphers[i]);
        if (!is_acceptable(cipher))
            return tls_problem_set(problem, TLS_SETTING_CIPHERS, -EINVAL,
                                   "the cipher '%.60s' cannot be used: it lacks encryption, a "
                                   "certificate of the server, ECDHE or RSA key exchange, or %d "
                                   "bits",
                                   settings->ciphers[i], BITS_MIN);
        append(is_suite(cipher) ? lists->suites : lists->ciphers, cipher);
    }
    problem->index = 0;
    return 0;
}

static bool apply(struct tls_context *c, SSL_CTX *ctx, const struct lists *lists)
{
    if (lists->suites[0] == '\0')
        return SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION) &&
               SSL_CTX_set_cipher_list(ctx, lists->ciphers);
    if (!SSL_CTX_set_ciphersuites(ctx, lists->suites))
        return false;
    if (lists->ciphers[0] != '\0')
        return SSL_CTX_set_cipher_list(ctx, lists->ciphers);
    c->min_version = TLS1_3_VERSION;
    return SSL_CTX_set_min_proto_version(ctx, c->min_version);
}

int tls_ciphers_set(struct tls_context *c, SSL_CTX *ctx, const struct tls_settings *settings,
                    struct tls_problem *problem)
{
    CLEANUP(ctx_freep) SSL_CTX *known = NULL;
    struct lists lists = {0};
    int r;

    if (settings->n_ciphers == 0)
        return 0;
    known = SSL_CTX_new(TLS_client_method());
    if (!known || !SSL_CTX_set_cipher_list(known, EVERYTHING) ||
        !SSL_CTX_set_ciphersuites(known, EVERY_SUITE))
        return -ENOMEM;
    r = sort(known, settings, &lists, problem);
    if (r < 0)
        return r;
    if (lists.suites[0] == '\0' && c->min_version > TLS1_2_VERSION)
        return tls_problem_set(problem, TLS_SETTING_CIPHERS, -EINVAL,
                               "none of the ciphers is for TLS 1.3, the least that is accepted; "
                               "add one like TLS_AES_128_GCM_SHA256");
    c->has_ciphers = true;
    return apply(c, ctx, &lists) ? 0 : -EINVAL;
}

int tls_cipher_to_kernel(const SSL_CIPHER *cipher)
{
    switch (SSL_CIPHER_get_cipher_nid(cipher)) {
    case NID_aes_128_gcm:
        return is_suite(cipher) ? TLS_KERNEL_13_AES_128_GCM : TLS_KERNEL_12_AES_128_GCM;
    case NID_aes_256_gcm:
        return is_suite(cipher) ? TLS_KERNEL_13_AES_256_GCM : TLS_KERNEL_12_AES_256_GCM;
    case NID_chacha20_poly1305:
        return is_suite(cipher) ? TLS_KERNEL_13_CHACHA20_POLY1305 : TLS_KERNEL_12_CHACHA20_POLY1305;
    default: /* OpenSSL's numbers */
        return -EOPNOTSUPP;
    }
}

/* Of one version, of what a session offers. */
struct offer {
    size_t n; /* ciphers at all */
    size_t n_in_kernel;
    bool is_sorted; /* what is in the kernel comes first */
};

static bool is_in_kernel(const SSL_CIPHER *cipher, unsigned kernel_ciphers)
{
    return tls_kernel_has(kernel_ciphers, tls_cipher_to_kernel(cipher));
}

static struct offer look_at(const SSL *ssl, bool is_13, unsigned kernel_ciphers)
{
    const STACK_OF(SSL_CIPHER) *ciphers = SSL_get_ciphers(ssl);
    struct offer offer = {.is_sorted = true};

    for (int i = 0; i < sk_SSL_CIPHER_num(ciphers); i++) {
        const SSL_CIPHER *cipher = sk_SSL_CIPHER_value(ciphers, i);

        if (is_suite(cipher) != is_13)
            continue;
        if (is_in_kernel(cipher, kernel_ciphers)) {
            offer.is_sorted &= offer.n == offer.n_in_kernel;
            offer.n_in_kernel++;
        }
        offer.n++;
    }
    return offer;
}

static void append_those(char *list, const SSL *ssl, bool is_13, unsigned kernel_ciphers,
                         bool are_in_kernel)
{
    const STACK_OF(SSL_CIPHER) *ciphers = SSL_get_ciphers(ssl);

    for (int i = 0; i < sk_SSL_CIPHER_num(ciphers); i++) {
        const SSL_CIPHER *cipher = sk_SSL_CIPHER_value(ciphers, i);

        if (is_suite(cipher) == is_13 && is_in_kernel(cipher, kernel_ciphers) == are_in_kernel)
            append(list, cipher);
    }
}

static int narrow(struct tls_session *s, bool is_13, const struct tls_params *params)
{
    struct offer offer = look_at(s->ssl, is_13, params->kernel_ciphers);
    char list[LIST_SIZE] = "";

    if (offer.n_in_kernel == offer.n || (!params->needs_kernel && offer.is_sorted))
        return 0;
    if (!params->needs_kernel && s->context->has_ciphers)
        return 0;
    s->is_kernel_only |= params->needs_kernel;
    append_those(list, s->ssl, is_13, params->kernel_ciphers, true);
    if (!params->needs_kernel)
        append_those(list, s->ssl, is_13, params->kernel_ciphers, false);
    else if (offer.n_in_kernel == 0)
        return (is_13 ? SSL_set_max_proto_version(s->ssl, TLS1_2_VERSION)
                      : SSL_set_min_proto_version(s->ssl, TLS1_3_VERSION))
                   ? 0
                   : -EOPNOTSUPP;
    return (is_13 ? SSL_set_ciphersuites(s->ssl, list) : SSL_set_cipher_list(s->ssl, list))
               ? 0
               : -ENOMEM;
}

/* Nothing needs to be done, as a rule, since the kernel has all that is offered. */
int tls_ciphers_narrow(struct tls_session *s, const struct tls_params *params)
{
    int max, r;

    if (params->kernel_ciphers == 0 && !params->needs_kernel)
        return 0;
    r = narrow(s, true, params);
    if (r >= 0)
        r = narrow(s, false, params);
    max = SSL_get_max_proto_version(s->ssl);
    if (r >= 0 && max != 0 && SSL_get_min_proto_version(s->ssl) > max)
        return -EOPNOTSUPP;
    return r;
}
