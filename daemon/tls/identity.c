/* Who the peer must be, and what it turned out to be: what is set on a session before the handshake
 * and read from it afterwards. */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/tls/internal.h"
#include "proto/cleanup.h"

static bool is_address(const char *name)
{
    uint8_t address[16];

    return inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;
}

/* RFC 9525, 6: no common name, no wildcard but a whole label, which covers exactly one label. */
static int expect_name(struct tls_session *s, const char *name)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(s->ssl);

    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
                                               X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    if (is_address(name))
        return X509_VERIFY_PARAM_set1_ip_asc(param, name) ? 0 : -ENOMEM;
    return X509_VERIFY_PARAM_set1_host(param, name, 0) ? 0 : -ENOMEM;
}

/* Seen to by spiffe.c. */
static int expect_uri(struct tls_session *s, const char *uri)
{
    s->expected = strdup(uri);
    return s->expected ? 0 : -ENOMEM;
}

static int copy_name(const char *name, char **ret)
{
    size_t n = strlen(name);
    char *copy;

    if (n > 0 && name[n - 1] == '.')
        n--;
    /* A leading dot would make OpenSSL accept any subdomain. */
    if (n == 0 || n > TLS_NAME_MAX || name[0] == '.')
        return -EINVAL;
    copy = strndup(name, n);
    if (!copy)
        return -ENOMEM;
    *ret = copy;
    return 0;
}

static int print_address(const struct tls_params *params, char **ret)
{
    char text[INET6_ADDRSTRLEN];
    char *copy;

    assert(params->address && (params->address_size == 4 || params->address_size == 16));
    if (!inet_ntop(params->address_size == 4 ? AF_INET : AF_INET6, params->address, text,
                   sizeof text))
        return -EINVAL;
    copy = strdup(text);
    if (!copy)
        return -ENOMEM;
    *ret = copy;
    return 0;
}

static int offer_alpn(struct tls_session *s, const struct tls_params *params)
{
    size_t n = 0;

    if (params->n_alpn == 0)
        return 0;
    if (params->n_alpn > MESSAGE_ALPN_MAX)
        return -EINVAL;
    s->alpn_wire = malloc(params->n_alpn * (1 + MESSAGE_ALPN_NAME_MAX));
    if (!s->alpn_wire)
        return -ENOMEM;
    for (size_t i = 0; i < params->n_alpn; i++) {
        const struct text *name = &params->alpn[i];

        if (name->n == 0 || name->n > MESSAGE_ALPN_NAME_MAX)
            return -EINVAL;
        s->alpn_wire[n++] = (uint8_t)name->n;
        memcpy(s->alpn_wire + n, name->data, name->n);
        s->alpn[i] = (struct text){(const char *)s->alpn_wire + n, name->n};
        n += name->n;
    }
    s->n_alpn = params->n_alpn;
    return SSL_set_alpn_protos(s->ssl, s->alpn_wire, (unsigned)n) == 0 ? 0 : -ENOMEM;
}

static int apply_name(struct tls_session *s, const struct tls_params *params)
{
    CLEANUP(freep) char *host = NULL;
    int r;

    r = params->name ? copy_name(params->name, &host) : print_address(params, &host);
    if (r < 0)
        return r;
    if (!is_address(host) && !SSL_set_tlsext_host_name(s->ssl, host))
        return -EINVAL;
    if (s->context->verify_uri)
        return expect_uri(s, s->context->verify_uri);
    if (s->context->verify_name)
        r = copy_name(s->context->verify_name, &s->expected);
    else
        s->expected = TAKE_PTR(host);
    return r < 0 ? r : expect_name(s, s->expected);
}

int tls_identity_apply(struct tls_session *s, const struct tls_params *params)
{
    int r = apply_name(s, params);

    if (r >= 0)
        r = offer_alpn(s, params);
    return r;
}

static bool is_alpn_offered(const struct tls_session *s)
{
    const uint8_t *chosen;
    unsigned n;

    SSL_get0_alpn_selected(s->ssl, &chosen, &n);
    if (n == 0)
        return true;
    for (size_t i = 0; i < s->n_alpn; i++)
        if (s->alpn[i].n == n && memcmp(s->alpn[i].data, chosen, n) == 0)
            return true;
    return false;
}

/* OpenSSL has seen to the certificate, or the handshake would have failed; but this is the one
 * place where a mistake in its set-up would go unnoticed. That the protocol is one of the offered
 * (RFC 7301, 3.2) only its later patch releases check. */
const char *tls_identity_check(const struct tls_session *s)
{
    const STACK_OF(X509) *accepted = SSL_get_peer_cert_chain(s->ssl);
    const STACK_OF(X509) *chain = accepted ? accepted : s->verify_chain;

    if (SSL_get_verify_result(s->ssl) != X509_V_OK || !chain || sk_X509_num(chain) < 1)
        return "the peer did not prove who it is";
    if (!is_alpn_offered(s))
        return "the peer chose an application protocol that was not offered";
    return NULL;
}

void tls_session_info(const struct tls_session *s, struct tls_info *ret)
{
    const SSL_CIPHER *cipher = SSL_get_current_cipher(s->ssl);
    const char *name = cipher ? SSL_CIPHER_standard_name(cipher) : NULL;
    const uint8_t *chosen;
    unsigned n;

    assert(s->is_established);
    *ret = (struct tls_info){.version = (uint16_t)SSL_version(s->ssl),
                             .cipher = name ? name : "",
                             .is_resumed = SSL_session_reused(s->ssl)};
    SSL_get0_alpn_selected(s->ssl, &chosen, &n);
    assert(n < sizeof ret->alpn);
    if (n > 0)
        memcpy(ret->alpn, chosen, n);
}

ssize_t tls_session_chain(const struct tls_session *s, size_t i, uint8_t **ret_der)
{
    const STACK_OF(X509) *chain = SSL_get_peer_cert_chain(s->ssl);
    CLEANUP(freep) uint8_t *der = NULL;
    uint8_t *end;
    int n;

    if (!chain || i >= (size_t)sk_X509_num(chain))
        return -ENOENT;
    n = i2d_X509(sk_X509_value(chain, (int)i), NULL);
    if (n > 0)
        der = malloc((size_t)n);
    end = der;
    if (der)
        n = i2d_X509(sk_X509_value(chain, (int)i), &end);
    ERR_clear_error();
    if (!der || n <= 0)
        return -ENOMEM;
    *ret_der = TAKE_PTR(der);
    return n;
}
