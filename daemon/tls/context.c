/* A context is an SSL_CTX with its trust anchors, made once and used by all sessions and threads;
 * it does not change afterwards. It has a twin for sessions whose keys may be exported, because the
 * key log, which that takes, costs each handshake some 20 µs. */
#include "daemon/tls/tls.h"

#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "daemon/tls/internal.h"
#include "daemon/tls/bio.h"
#include "proto/cleanup.h"

/* ECDHE with an AEAD: forward secrecy, and what kernel TLS can take over. TLS 1.3 has its own list,
 * which has nothing to leave out. No finite-field DHE in either: the peer chooses the size, and
 * with 8192 bits one handshake keeps the worker busy for a tenth of a second or more. */
#define CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL:!aPSK"
#define GROUPS  "X25519:P-256:X448:P-384:P-521"

#define SECURITY_LEVEL 2 /* 112 bits: RSA and DH from 2048 bits, no SHA-1 signatures */

static void context_unrefp(struct tls_context **context)
{
    tls_context_unref(*context);
}

/* What was asked for; or TLS 1.2, or what the system's openssl.cnf says if that is more. */
static int choose_min_version(SSL_CTX *ctx, int asked)
{
    int by_system = (int)SSL_CTX_get_min_proto_version(ctx);

    if (asked != 0)
        return asked;
    return by_system > TLS1_2_VERSION ? by_system : TLS1_2_VERSION;
}

static bool set_options(SSL_CTX *ctx, int min_version)
{
    X509_VERIFY_PARAM *param = SSL_CTX_get0_param(ctx);

    /* Tickets of TLS 1.2 are asked for by sessions that can be resumed (those of 1.3 come unasked).
     * Resumption in 1.3 always has a new key exchange, and thus forward secrecy. */
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET);
    SSL_CTX_clear_options(ctx, SSL_OP_ALLOW_NO_DHE_KEX);
    /* Peers get to see of our chain what the section has, not what the trust store knows. */
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_read_ahead(ctx, 0);
    tls_resumption_watch(ctx);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, tls_verify_remember);
    SSL_CTX_set_cert_verify_callback(ctx, tls_trust_verify, NULL);
    SSL_CTX_set_verify_depth(ctx, TLS_CHAIN_DEPTH_MAX);
    tls_bio_watch(ctx);
    /* The system's openssl.cnf may ask for more, never for less. */
    if (SSL_CTX_get_security_level(ctx) < SECURITY_LEVEL)
        SSL_CTX_set_security_level(ctx, SECURITY_LEVEL);
    /* A certificate in the store is trusted whether it is a root or not: a ca-file may name just
     * the intermediate, or the server's own certificate. */
    return X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN) &&
           X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_SERVER) &&
           SSL_CTX_set_min_proto_version(ctx, min_version) &&
           SSL_CTX_set_cipher_list(ctx, CIPHERS) && SSL_CTX_set1_groups_list(ctx, GROUPS);
}

/* All but the trust anchors and revocation lists, which are large and shared. */
static int set_up(struct tls_context *c, SSL_CTX *ctx, const struct tls_settings *settings,
                  struct tls_problem *problem)
{
    int r;

    if (!set_options(ctx, c->min_version))
        return -EINVAL;
    r = tls_ciphers_set(c, ctx, settings, problem);
    if (r >= 0 && settings->certificate.data)
        r = tls_certificate_set(ctx, settings, problem);
    if (r < 0 || c->is_verify_off)
        return r;
    if ((settings->needs_ocsp && !tls_ocsp_require(ctx)) ||
        (settings->crl_file && !tls_crls_require(ctx)))
        return -ENOMEM;
    return 0;
}

static int load_store(struct tls_context *c, const struct tls_settings *settings,
                      struct tls_problem *problem)
{
    X509_STORE *store = SSL_CTX_get_cert_store(c->ssl_ctx);
    int r = tls_anchors_load(store, settings->ca_file, problem);

    if (r >= 0 && settings->crl_file)
        r = tls_crls_load(store, settings->crl_file, problem);
    SSL_CTX_set1_cert_store(c->kernel_ctx, store);
    return r;
}

static int fill(struct tls_context *c, const struct tls_settings *settings,
                struct tls_problem *problem)
{
    int r;

    if (settings->verify_name)
        c->verify_name = strdup(settings->verify_name);
    if (settings->verify_uri)
        c->verify_uri = strdup(settings->verify_uri);
    if (!c->verify_name != !settings->verify_name || !c->verify_uri != !settings->verify_uri)
        return -ENOMEM;
    c->is_verify_off = settings->is_verify_off;
    c->is_resuming = !settings->is_resumption_off && !settings->is_verify_off &&
                     !settings->needs_ocsp && !settings->crl_file;
    assert(settings->n_pins <= TLS_PINS_MAX);
    for (; c->n_pins < settings->n_pins; c->n_pins++) {
        assert(strlen(settings->pins[c->n_pins]) == TLS_PIN_LENGTH);
        memcpy(c->pins[c->n_pins], settings->pins[c->n_pins], TLS_PIN_LENGTH + 1);
    }
    c->bio_method = tls_bio_method_new();
    c->ssl_ctx = SSL_CTX_new(TLS_client_method());
    c->kernel_ctx = SSL_CTX_new(TLS_client_method());
    if (!c->bio_method || !c->ssl_ctx || !c->kernel_ctx)
        return -ENOMEM;
    c->min_version = choose_min_version(c->ssl_ctx, settings->min_version);
    r = set_up(c, c->ssl_ctx, settings, problem);
    if (r >= 0)
        r = set_up(c, c->kernel_ctx, settings, problem);
    tls_export_watch(c->kernel_ctx);
    return r < 0 || c->is_verify_off ? r : load_store(c, settings, problem);
}

int tls_problem_set(struct tls_problem *problem, enum tls_setting setting, int r,
                    const char *format, ...)
{
    va_list args;

    problem->setting = setting;
    va_start(args, format);
    vsnprintf(problem->text, sizeof problem->text, format, args);
    va_end(args);
    return r;
}

/* Where nobody said what is wrong, OpenSSL or the system does. */
static void explain(struct tls_problem *problem, int r)
{
    const char *reason = ERR_reason_error_string(ERR_peek_error());

    if (problem->text[0] == '\0')
        tls_problem_set(problem, TLS_SETTING_NONE, r, "cannot set up TLS: %s",
                        reason ? reason : strerror(-r));
}

int tls_context_new(struct tls_context **ret, const struct tls_settings *settings,
                    struct tls_problem *ret_problem)
{
    CLEANUP(context_unrefp) struct tls_context *c = calloc(1, sizeof *c);
    int r = -ENOMEM;

    assert(settings->min_version == 0 || settings->min_version == TLS1_2_VERSION ||
           settings->min_version == TLS1_3_VERSION);
    /* OpenSSL would take it as a pattern for all subdomains. */
    assert(!settings->verify_name || settings->verify_name[0] != '.');
    assert(!settings->verify_name || !settings->verify_uri);
    *ret_problem = (struct tls_problem){0};
    ERR_clear_error();
    if (c) {
        atomic_init(&c->n_references, 1);
        tls_tickets_init(&c->tickets);
        r = fill(c, settings, ret_problem);
    }
    if (r < 0)
        explain(ret_problem, r);
    ERR_clear_error();
    if (r < 0)
        return r;
    *ret = TAKE_PTR(c);
    return 0;
}

struct tls_context *tls_context_ref(struct tls_context *context)
{
    unsigned before = atomic_fetch_add_explicit(&context->n_references, 1, memory_order_relaxed);

    assert(before > 0);
    return context;
}

struct tls_context *tls_context_unref(struct tls_context *context)
{
    if (!context)
        return NULL;
    if (atomic_fetch_sub_explicit(&context->n_references, 1, memory_order_acq_rel) == 1) {
        tls_tickets_deinit(&context->tickets);
        SSL_CTX_free(context->ssl_ctx);
        SSL_CTX_free(context->kernel_ctx);
        BIO_meth_free(context->bio_method);
        free(context->verify_name);
        free(context->verify_uri);
        free(context);
    }
    return NULL;
}

struct tls_context *tls_context_retire(struct tls_context *context)
{
    if (context)
        tls_tickets_close(&context->tickets);
    return tls_context_unref(context);
}
