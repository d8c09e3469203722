/* What people want to know of a certificate. The daemon has judged it; here it is only read. */
#pragma once

#include <stddef.h>

#define CERTIFICATE_NAMES_MAX 256 /* of the subject's alternative names, those shown */

struct certificate {
    char *subject; /* RFC 2253, printable ASCII */
    char *issuer;
    char **names; /* "DNS:host", "IP:192.0.2.1", "URI:…", "email:…", printable ASCII */
    size_t n_names;
    char not_before[24]; /* "2026-01-31T23:59:59Z", "" where it is not readable */
    char not_after[24];
    char sha256[65]; /* of the DER, lower-case hex */
};

/* NULL where it is not a certificate. */
struct certificate *certificate_new(const void *der, size_t n);
struct certificate *certificate_free(struct certificate *c); /* returns NULL */
