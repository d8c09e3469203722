/* Whether the peer's certificate will do: the chain, which OpenSSL verifies, and then what a
 * section asks for beyond it. All of it is done before a certificate of ours goes out.
 *
 * Pins hold also where nothing else is verified: the peer proves in the handshake that it has the
 * key of the certificate that it sent. */
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <string.h>

#include "daemon/base/base64.h"
#include "daemon/tls/internal.h"

_Static_assert(BASE64_LENGTH(32) == TLS_PIN_LENGTH, "a pin is a SHA-256");

/* As curl's --pinnedpubkey and HPKP (RFC 7469, 2.4) have it. */
static bool compute_pin(X509 *cert, char ret[TLS_PIN_LENGTH + 1])
{
    uint8_t digest[32], *der = NULL;
    int n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
    bool is_done = n > 0 && EVP_Digest(der, (size_t)n, digest, NULL, EVP_sha256(), NULL) == 1;

    OPENSSL_free(der);
    if (is_done)
        base64_encode(ret, digest, sizeof digest);
    return is_done;
}

static bool check_pins(struct tls_session *s, X509 *leaf)
{
    const struct tls_context *c = s->context;
    char pin[TLS_PIN_LENGTH + 1];

    if (c->n_pins == 0)
        return true;
    if (!compute_pin(leaf, pin)) {
        failure_format(&s->failure, ERROR_CERT_NOT_PINNED, 0, "its key cannot be read");
        return false;
    }
    for (size_t i = 0; i < c->n_pins; i++)
        if (strcmp(c->pins[i], pin) == 0)
            return true;
    failure_format(&s->failure, ERROR_CERT_NOT_PINNED, 0,
                   "its key has the pin " TLS_PIN_PREFIX "%s; if that is right, add it to 'pin' of "
                   "the tls section",
                   pin);
    return false;
}

int tls_trust_verify(X509_STORE_CTX *store, void *context)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_session *s = SSL_get_app_data(ssl);
    X509 *leaf = X509_STORE_CTX_get0_cert(store);

    (void)context;
    if (!s->context->is_verify_off && X509_verify_cert(store) <= 0)
        return 0;
    if ((!s->context->verify_uri || tls_spiffe_check(s, leaf)) && check_pins(s, leaf))
        return 1;
    X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
    return 0;
}
