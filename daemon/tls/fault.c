/* What went wrong, from what OpenSSL says and what the session has seen itself. The order matters:
 * the peer's excess, then the certificate, then an answer that is not TLS at all (which OpenSSL
 * calls "wrong version number"), then alerts, versions, and the rest by OpenSSL's own reason. */
#include <openssl/err.h>
#include <stdio.h>

#include "daemon/tls/internal.h"
#include "proto/cleanup.h"

/* RFC 8446, 6 and RFC 5246, 7.2; with what they usually mean for whom they reach. */
static const struct alert {
    uint8_t number;
    const char *name;
    const char *hint;
} alerts[] = {
    {0, "close_notify", NULL},
    {10, "unexpected_message", NULL},
    {20, "bad_record_mac", NULL},
    {21, "decryption_failed", NULL},
    {22, "record_overflow", NULL},
    {30, "decompression_failure", NULL},
    {40, "handshake_failure", "it accepts none of the offered ciphers, groups or signatures"},
    {41, "no_certificate", NULL},
    {42, "bad_certificate", NULL},
    {43, "unsupported_certificate", NULL},
    {44, "certificate_revoked", NULL},
    {45, "certificate_expired", NULL},
    {46, "certificate_unknown", NULL},
    {47, "illegal_parameter", NULL},
    {48, "unknown_ca", NULL},
    {49, "access_denied", NULL},
    {50, "decode_error", NULL},
    {51, "decrypt_error", NULL},
    {60, "export_restriction", NULL},
    {70, "protocol_version", "it accepts none of the offered TLS versions"},
    {71, "insufficient_security", "it wants stronger ciphers"},
    {80, "internal_error", NULL},
    {86, "inappropriate_fallback", NULL},
    {90, "user_canceled", NULL},
    {100, "no_renegotiation", NULL},
    {109, "missing_extension", NULL},
    {110, "unsupported_extension", NULL},
    {111, "certificate_unobtainable", NULL},
    {112, "unrecognized_name", "it does not serve this name"},
    {113, "bad_certificate_status_response", NULL},
    {114, "bad_certificate_hash_value", NULL},
    {115, "unknown_psk_identity", NULL},
    {116, "certificate_required", "it wants a client certificate"},
    {120, "no_application_protocol", "it speaks none of the offered ALPN protocols"},
};

/* Some of these have other causes, too, but none so likely where the peer asked for a certificate.
 */
static const char *explain_certificate(const struct tls_session *s, unsigned number)
{
    if (!s->is_certificate_wanted ||
        !(number == SSL_AD_HANDSHAKE_FAILURE || number == SSL_AD_ACCESS_DENIED ||
          number == SSL_AD_UNKNOWN_CA || number == SSL_AD_CERTIFICATE_REQUIRED ||
          (number >= SSL_AD_BAD_CERTIFICATE && number <= SSL_AD_CERTIFICATE_UNKNOWN)))
        return NULL;
    return SSL_get_certificate(s->ssl)
               ? "it asked for a client certificate and did not accept ours"
               : "it wants a client certificate; name one in the tls section of the rule or proxy";
}

/* It may know one of those that were left out. */
static const char *explain_offer(const struct tls_session *s, unsigned number)
{
    if (!s->is_kernel_only)
        return NULL;
    if (number == SSL_AD_HANDSHAKE_FAILURE)
        return "it accepts none of the offered ciphers, groups or signatures; only ciphers of this "
               "kernel's TLS were offered, as it may not be a relay";
    if (number == SSL_AD_PROTOCOL_VERSION)
        return "it accepts none of the offered TLS versions; only those with ciphers of this "
               "kernel's TLS were offered, as it may not be a relay";
    return NULL;
}

static void explain_alert(const struct tls_session *s, unsigned number, struct failure *ret)
{
    enum error_code code = number == SSL_AD_PROTOCOL_VERSION ? ERROR_TLS_VERSION : ERROR_TLS_ALERT;
    const char *hint = explain_certificate(s, number);
    const char *when = s->is_established ? " after the handshake" : "";

    if (!hint)
        hint = explain_offer(s, number);
    for (size_t i = 0; i < ARRAY_SIZE(alerts); i++) {
        const struct alert *a = &alerts[i];

        if (a->number != number)
            continue;
        if (!hint)
            hint = a->hint;
        failure_format(ret, code, 0, "peer sent alert %s%s%s%s", a->name, when, hint ? ": " : "",
                       hint ? hint : "");
        return;
    }
    failure_format(ret, code, 0, "peer sent alert number %u%s", number, when);
}

/* A server may begin with a handshake or an alert record, of major version 3. */
static bool is_tls(const uint8_t *data, size_t n)
{
    if (n >= 1 && (data[0] < SSL3_RT_CHANGE_CIPHER_SPEC || data[0] > SSL3_RT_APPLICATION_DATA))
        return false;
    return n < 2 || data[1] == SSL3_VERSION_MAJOR;
}

/* The length of the first line if it is text (7 bit or not), else 0. */
static size_t measure_text(const uint8_t *data, size_t n)
{
    size_t length = 0;

    while (length < n && data[length] != '\r' && data[length] != '\n') {
        if ((data[length] < 0x20 && data[length] != '\t') || data[length] == 0x7f)
            return 0;
        length++;
    }
    return length;
}

static void explain_not_tls(const struct tls_session *s, struct failure *ret)
{
    size_t n = measure_text(s->first, s->n_first);
    char hex[3 * 16 + 1] = "";

    if (n > 0) {
        failure_format(ret, ERROR_TLS_NOT_TLS, 0, "its answer starts with \"%.*s\"", (int)n,
                       (const char *)s->first);
        return;
    }
    for (size_t i = 0; i < s->n_first && i < 16; i++)
        snprintf(hex + 3 * i, sizeof hex - 3 * i, " %02x", s->first[i]);
    failure_format(ret, ERROR_TLS_NOT_TLS, 0, "its answer starts with the bytes%s", hex);
}

static const char *version_name(unsigned version)
{
    switch (version) {
    case SSL3_VERSION:
        return "SSL 3.0";
    case TLS1_VERSION:
        return "TLS 1.0";
    case TLS1_1_VERSION:
        return "TLS 1.1";
    case TLS1_2_VERSION:
        return "TLS 1.2";
    case TLS1_3_VERSION:
        return "TLS 1.3";
    default:
        return "an unknown version";
    }
}

static void explain_version(const struct tls_session *s, struct failure *ret)
{
    failure_format(ret, ERROR_TLS_VERSION, 0, "peer chose %s, %s is the least accepted",
                   version_name(s->server_version),
                   version_name((unsigned)SSL_get_min_proto_version(s->ssl)));
}

static void explain_excess(const struct tls_session *s, struct failure *ret)
{
    const char *what = s->is_renegotiating ? "peer asked for renegotiation, which is not done"
                       : s->is_flooding    ? "peer sends handshake messages without end"
                                           : "peer makes more answers than it takes";

    failure_format(ret, ERROR_TLS_PROTOCOL, 0, "%s", what);
}

static void explain_reason(const struct tls_session *s, unsigned long error, struct failure *ret)
{
    const char *text = ERR_reason_error_string(error);

    if (ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE) {
        failure_set(ret, ERROR_NO_RESOURCES, 0);
        ret->stage = STAGE_TLS;
        return;
    }
    failure_format(ret, ERROR_TLS_PROTOCOL, 0, "%s%s", text ? text : "OpenSSL gives no reason",
                   s->is_established ? " (after the handshake)" : "");
}

/* What TLS itself says comes behind what its parts say ("cipher operation failed"). Empties the
 * queue on the way. */
static unsigned long take_error(void)
{
    unsigned long first = ERR_get_error();
    unsigned long error = first;

    while (error != 0 && ERR_GET_LIB(error) != ERR_LIB_SSL)
        error = ERR_get_error();
    return error != 0 ? error : first;
}

void tls_fault_explain(const struct tls_session *s, struct failure *ret)
{
    unsigned long error = take_error();
    int reason = ERR_GET_LIB(error) == ERR_LIB_SSL ? ERR_GET_REASON(error) : 0;

    if (s->is_renegotiating || s->is_flooding || s->is_overflowing)
        explain_excess(s, ret);
    else if (s->verify_error != X509_V_OK || reason == SSL_R_CERTIFICATE_VERIFY_FAILED)
        tls_verify_explain(s, ret);
    else if (!is_tls(s->first, s->n_first))
        explain_not_tls(s, ret);
    else if (SSL_get_shutdown(s->ssl) & SSL_RECEIVED_SHUTDOWN && error == 0)
        failure_format(ret, ERROR_TLS_CLOSED, 0, "peer sent close_notify during the handshake");
    else if (reason >= SSL_AD_REASON_OFFSET && reason <= SSL_AD_REASON_OFFSET + 255)
        explain_alert(s, (unsigned)(reason - SSL_AD_REASON_OFFSET), ret);
    else if (reason == SSL_R_UNSUPPORTED_PROTOCOL || reason == SSL_R_WRONG_SSL_VERSION)
        explain_version(s, ret);
    else
        explain_reason(s, error, ret);
}

void tls_fault_explain_eof(const struct tls_session *s, struct failure *ret)
{
    if (!is_tls(s->first, s->n_first))
        explain_not_tls(s, ret);
    else if (s->n_first == 0)
        failure_format(ret, ERROR_TLS_CLOSED, 0, "peer closed without an answer");
    else
        failure_format(ret, ERROR_TLS_CLOSED, 0, "peer closed %s",
                       s->server_version ? "after its ServerHello"
                                         : "before its ServerHello was complete");
}
