/* X.509-SVID of SPIFFE: a certificate whose one URI says who its owner is. The chain has been
 * verified up to one of the section's trust anchors, which should be those of the trust domain
 * alone, since any of them may sign for any ID. */
#include <openssl/x509v3.h>
#include <string.h>

#include "daemon/tls/internal.h"

#define SHOWN_MAX 90 /* bytes of an ID in the detail */

static int show_n(int n)
{
    return n > SHOWN_MAX ? SHOWN_MAX : n;
}

/* X.509-SVID, 5.2: what may sign is not what proves an identity. */
static bool check_leaf(struct tls_session *s, X509 *leaf)
{
    uint32_t usage = X509_get_key_usage(leaf); /* all bits set where there is none */
    bool may_sign = usage != UINT32_MAX && usage & (KU_KEY_CERT_SIGN | KU_CRL_SIGN);

    if (!(X509_get_extension_flags(leaf) & EXFLAG_CA) && !may_sign)
        return true;
    failure_format(&s->failure, ERROR_CERT_BAD_PURPOSE, 0,
                   "it may sign certificates or revocation lists, as one with a SPIFFE ID for TLS "
                   "must not");
    return false;
}

static bool check_uri(struct tls_session *s, const ASN1_STRING *uri, int n_uris)
{
    const char *text = uri ? (const char *)ASN1_STRING_get0_data(uri) : "";
    int n = uri ? ASN1_STRING_length(uri) : 0;

    if (n_uris == 1 && (size_t)n == strlen(s->expected) &&
        memcmp(text, s->expected, (size_t)n) == 0)
        return true;
    if (n_uris == 1)
        failure_format(&s->failure, ERROR_CERT_WRONG_NAME, 0, "not for %.*s, but for %.*s",
                       SHOWN_MAX, s->expected, show_n(n), text);
    else
        failure_format(&s->failure, ERROR_CERT_WRONG_NAME, 0,
                       "not for %.*s: it has %s, where a SPIFFE ID is the only one", SHOWN_MAX,
                       s->expected, n_uris == 0 ? "no URI" : "several URIs");
    return false;
}

bool tls_spiffe_check(struct tls_session *s, X509 *leaf)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    const ASN1_STRING *uri = NULL;
    bool is_good;
    int n_uris = 0;

    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

        if (name->type != GEN_URI)
            continue;
        uri = name->d.uniformResourceIdentifier;
        n_uris++;
    }
    is_good = check_uri(s, uri, n_uris) && check_leaf(s, leaf);
    GENERAL_NAMES_free(names);
    return is_good;
}
