/* What errors mean: the alerts of TLS by the names of their registry, a few errnos in the sense in
 * which this library uses them, and the system's words for the rest. */
#include "client/session.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#define ALERT_NUMBERS 256

#define ALERT(name) "TLS alert: " name

/* IANA, "TLS Alerts". */
static const char *const alerts[ALERT_NUMBERS] = {
    [0] = ALERT("close_notify"),
    [10] = ALERT("unexpected_message"),
    [20] = ALERT("bad_record_mac"),
    [21] = ALERT("decryption_failed"),
    [22] = ALERT("record_overflow"),
    [30] = ALERT("decompression_failure"),
    [40] = ALERT("handshake_failure"),
    [41] = ALERT("no_certificate"),
    [42] = ALERT("bad_certificate"),
    [43] = ALERT("unsupported_certificate"),
    [44] = ALERT("certificate_revoked"),
    [45] = ALERT("certificate_expired"),
    [46] = ALERT("certificate_unknown"),
    [47] = ALERT("illegal_parameter"),
    [48] = ALERT("unknown_ca"),
    [49] = ALERT("access_denied"),
    [50] = ALERT("decode_error"),
    [51] = ALERT("decrypt_error"),
    [52] = ALERT("too_many_cids_requested"),
    [60] = ALERT("export_restriction"),
    [70] = ALERT("protocol_version"),
    [71] = ALERT("insufficient_security"),
    [80] = ALERT("internal_error"),
    [86] = ALERT("inappropriate_fallback"),
    [90] = ALERT("user_canceled"),
    [100] = ALERT("no_renegotiation"),
    [109] = ALERT("missing_extension"),
    [110] = ALERT("unsupported_extension"),
    [111] = ALERT("certificate_unobtainable"),
    [112] = ALERT("unrecognized_name"),
    [113] = ALERT("bad_certificate_status_response"),
    [114] = ALERT("bad_certificate_hash_value"),
    [115] = ALERT("unknown_psk_identity"),
    [116] = ALERT("certificate_required"),
    [117] = ALERT("general_error"),
    [120] = ALERT("no_application_protocol"),
    [121] = ALERT("ech_required"),
};

const char *errno_text(int number)
{
#ifdef __GLIBC__
    const char *text = strerrordesc_np(number);

    return text ? text : "unknown error";
#else
    return strerror(number);
#endif
}

const char *fdial_strerror(int error)
{
    int number = error < 0 && error >= -INT_MAX ? -error : 0;
    const char *alert;

    if (number >= FDIAL_ALERT && number < FDIAL_ALERT + ALERT_NUMBERS) {
        alert = alerts[number - FDIAL_ALERT];
        return alert ? alert : "TLS alert without a name";
    }
    switch (number) {
    case ECONNABORTED:
        return "the peer ended without the end of TLS; what came may not be all";
    case EKEYEXPIRED:
        return "the peer changed its keys (KeyUpdate), which cannot be followed";
    case EKEYREJECTED:
        return "the peer's certificate is not trusted";
    case EPROTO:
        return "the other side broke the protocol";
    }
    return errno_text(number);
}
