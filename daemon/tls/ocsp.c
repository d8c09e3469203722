/* A stapled OCSP response (RFC 6960; RFC 6066, 8) that must be there. It is looked at when the
 * peer's first flight is complete: the chain was verified before, and nothing of ours that matters
 * has been sent. It has to be signed by the issuer of the peer's certificate or by whom that issuer
 * appointed, to be about this certificate, to be good, and fresh. */
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <stdio.h>

#include "daemon/tls/internal.h"
#include "proto/cleanup.h"

static void response_freep(OCSP_RESPONSE **response)
{
    OCSP_RESPONSE_free(*response);
}

static void basic_freep(OCSP_BASICRESP **basic)
{
    OCSP_BASICRESP_free(*basic);
}

static bool refuse(struct tls_session *s, const char *why)
{
    failure_format(&s->failure, ERROR_CERT_STATUS_UNKNOWN, 0, "%s", why);
    return false;
}

/* What certificates must not be signed with at our security level, this must not either. */
static bool is_weak(const OCSP_BASICRESP *basic)
{
    const ASN1_OBJECT *algorithm;
    int digest = NID_undef;

    X509_ALGOR_get0(&algorithm, NULL, NULL, OCSP_resp_get0_tbs_sigalg(basic));
    OBJ_find_sigid_algs(OBJ_obj2nid(algorithm), &digest, NULL);
    return digest == NID_sha1 || digest == NID_md5;
}

static OCSP_BASICRESP *read_response(struct tls_session *s)
{
    CLEANUP(response_freep) OCSP_RESPONSE *response = NULL;
    OCSP_BASICRESP *basic;
    const unsigned char *der;
    long n = SSL_get_tlsext_status_ocsp_resp(s->ssl, &der);
    int status;

    if (n <= 0 || !der) {
        refuse(s, "the server sent no OCSP response along; it has to staple one, or 'ocsp' of the "
                  "tls section must go");
        return NULL;
    }
    response = d2i_OCSP_RESPONSE(NULL, &der, n);
    status = response ? OCSP_response_status(response) : -1;
    if (response && status != OCSP_RESPONSE_STATUS_SUCCESSFUL) {
        failure_format(&s->failure, ERROR_CERT_STATUS_UNKNOWN, 0,
                       "the OCSP response is an error: %s", OCSP_response_status_str(status));
        return NULL;
    }
    basic = response ? OCSP_response_get1_basic(response) : NULL;
    if (!basic)
        refuse(s, "the OCSP response cannot be read");
    return basic;
}

/* Each answer names its certificate by hashes of its own choosing. */
static bool is_about(const OCSP_SINGLERESP *single, const X509 *leaf, const X509 *issuer)
{
    OCSP_CERTID *shown = (OCSP_CERTID *)(uintptr_t)OCSP_SINGLERESP_get0_id(single);
    OCSP_CERTID *ours;
    ASN1_OBJECT *name;
    const EVP_MD *md;
    bool is_same;

    if (!OCSP_id_get0_info(NULL, &name, NULL, NULL, shown))
        return false;
    md = EVP_get_digestbyobj(name);
    ours = md ? OCSP_cert_to_id(md, leaf, issuer) : NULL;
    is_same = ours && OCSP_id_cmp(ours, shown) == 0;
    OCSP_CERTID_free(ours);
    return is_same;
}

static OCSP_SINGLERESP *find_answer(OCSP_BASICRESP *basic, const X509 *leaf, const X509 *issuer)
{
    for (int i = 0; i < OCSP_resp_count(basic); i++)
        if (is_about(OCSP_resp_get0(basic, i), leaf, issuer))
            return OCSP_resp_get0(basic, i);
    return NULL;
}

static bool check_answer(struct tls_session *s, OCSP_SINGLERESP *answer)
{
    ASN1_GENERALIZEDTIME *revoked = NULL, *from = NULL, *until = NULL;
    int reason = -1, status = OCSP_single_get0_status(answer, &reason, &revoked, &from, &until);
    char when[64] = "";

    if (!OCSP_check_validity(from, until, TLS_OCSP_SKEW_S, until ? -1 : TLS_OCSP_AGE_MAX_S))
        return refuse(s, "the OCSP response is not fresh; the server has to fetch a new one");
    if (status == V_OCSP_CERTSTATUS_GOOD)
        return true;
    if (status != V_OCSP_CERTSTATUS_REVOKED)
        return refuse(s, "the OCSP response says that its issuer does not know it");
    if (revoked)
        tls_time_print(revoked, when, sizeof when);
    failure_format(&s->failure, ERROR_CERT_REVOKED, 0,
                   "its issuer revoked it %s%s%s, as the OCSP "
                   "response says",
                   when, reason >= 0 ? ", " : "", reason >= 0 ? OCSP_crl_reason_str(reason) : "");
    return false;
}

static bool check(struct tls_session *s)
{
    STACK_OF(X509) *chain = SSL_get0_verified_chain(s->ssl);
    CLEANUP(basic_freep) OCSP_BASICRESP *basic = NULL;
    X509_STORE *store = SSL_CTX_get_cert_store(s->context->ssl_ctx);
    OCSP_SINGLERESP *answer;

    if (sk_X509_num(chain) < 2)
        return refuse(s, "it stands in ca-file itself, so that nobody is known who could vouch for "
                         "it; let ca-file name its issuer");
    basic = read_response(s);
    if (!basic)
        return false;
    if (is_weak(basic))
        return refuse(s, "the OCSP response is signed with a hash that is too weak");
    if (OCSP_basic_verify(basic, chain, store, OCSP_PARTIAL_CHAIN) <= 0)
        return refuse(s, "the OCSP response is not signed by the certificate's issuer, nor by whom "
                         "that appointed");
    answer = find_answer(basic, sk_X509_value(chain, 0), sk_X509_value(chain, 1));
    return answer ? check_answer(s, answer)
                  : refuse(s, "the OCSP response is about another certificate");
}

static int check_staple(SSL *ssl, void *context)
{
    (void)context;
    return check(SSL_get_app_data(ssl));
}

bool tls_ocsp_require(SSL_CTX *ctx)
{
    return SSL_CTX_set_tlsext_status_type(ctx, TLSEXT_STATUSTYPE_ocsp) &&
           SSL_CTX_set_tlsext_status_cb(ctx, check_staple);
}
