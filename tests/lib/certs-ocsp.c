/* OCSP responses. */
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/lib/certs.h"

#define need(condition)                                                                            \
    do {                                                                                           \
        if (!(condition))                                                                          \
            give_up(__LINE__, #condition);                                                         \
    } while (0)

static _Noreturn void give_up(int line, const char *what)
{
    fprintf(stderr, "certs-ocsp.c:%d: failed: %s\n", line, what);
    ERR_print_errors_fp(stderr);
    exit(99);
}

static ASN1_TIME *time_from_now(int64_t s)
{
    ASN1_TIME *at = ASN1_GENERALIZEDTIME_set(NULL, time(NULL) + s);

    need(at);
    return at;
}

unsigned char *certs_make_ocsp(const struct certs_ocsp_spec *spec, size_t *ret_n)
{
    bool is_usual = spec->from_s == 0 && spec->until_s == 0;
    const struct certs_pair *signer = spec->signer ? spec->signer : spec->issuer;
    OCSP_CERTID *id = OCSP_cert_to_id(EVP_sha1(), spec->leaf->cert, spec->issuer->cert);
    ASN1_TIME *from = time_from_now(is_usual ? -CERTS_DAY_S : spec->from_s);
    ASN1_TIME *until = time_from_now(is_usual ? CERTS_DAY_S : spec->until_s);
    OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
    OCSP_RESPONSE *response;
    unsigned char *der = NULL, *copy;
    int n;

    need(id && basic);
    need(OCSP_basic_add1_status(basic, id, spec->status, OCSP_REVOKED_STATUS_KEYCOMPROMISE, from,
                                from, spec->has_no_end ? NULL : until));
    need(OCSP_basic_sign(basic, signer->cert, signer->key,
                         EVP_get_digestbyname(spec->digest ? spec->digest : "SHA256"), NULL,
                         signer == spec->issuer ? OCSP_NOCERTS : 0));
    response = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
    n = i2d_OCSP_RESPONSE(response, &der);
    need(response && n > 0);
    copy = malloc((size_t)n);
    need(copy);
    memcpy(copy, der, (size_t)n);
    *ret_n = (size_t)n;
    OPENSSL_free(der);
    OCSP_RESPONSE_free(response);
    OCSP_BASICRESP_free(basic);
    OCSP_CERTID_free(id);
    ASN1_TIME_free(from);
    ASN1_TIME_free(until);
    return copy;
}
