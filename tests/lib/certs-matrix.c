/* The table of server certificates. Each case differs from the good one in one thing. */
#include <stdlib.h>
#include <string.h>

#include "tests/lib/certs.h"

#define NAMES  "DNS:localhost,IP:127.0.0.1,IP:::1"
#define YEAR_S (365 * CERTS_DAY_S)

enum authority {
    AUTHORITY_NONE, /* signs itself */
    AUTHORITY_CA,
    AUTHORITY_OTHER,        /* a root nobody trusts */
    AUTHORITY_MIDDLE,       /* below CA */
    AUTHORITY_OLD_MIDDLE,   /* below CA, expired */
    AUTHORITY_NOT_CA,       /* below CA, a server certificate */
    AUTHORITY_LOWEST,       /* below CA; must have no CA below it … */
    AUTHORITY_BELOW_LOWEST, /* … but has this one */
    AUTHORITY_ELSEWHERE,    /* below CA, for other names only */
    AUTHORITY_COUNT,
};

static const struct {
    enum authority issuer;
    struct certs_spec spec;
} authorities[AUTHORITY_COUNT] = {
    [AUTHORITY_CA] = {AUTHORITY_NONE, {.common_name = "Test CA", .is_ca = true}},
    [AUTHORITY_OTHER] = {AUTHORITY_NONE, {.common_name = "Other CA", .is_ca = true}},
    [AUTHORITY_MIDDLE] = {AUTHORITY_CA, {.common_name = "Middle CA", .is_ca = true}},
    [AUTHORITY_OLD_MIDDLE] = {AUTHORITY_CA,
                              {.common_name = "Old middle CA",
                               .is_ca = true,
                               .from_s = -2 * YEAR_S,
                               .until_s = -YEAR_S}},
    [AUTHORITY_NOT_CA] = {AUTHORITY_CA, {.common_name = "not-a-ca", .names = "DNS:not-a-ca"}},
    [AUTHORITY_LOWEST] = {AUTHORITY_CA,
                          {.common_name = "Lowest CA", .is_ca = true, .is_path_ending = true}},
    [AUTHORITY_BELOW_LOWEST] = {AUTHORITY_LOWEST,
                                {.common_name = "Below lowest CA", .is_ca = true}},
    [AUTHORITY_ELSEWHERE] = {AUTHORITY_CA,
                             {.common_name = "Elsewhere CA",
                              .is_ca = true,
                              .constraints = "critical,permitted;DNS:elsewhere.example"}},
};

/* How much of the chain the server sends: 0 all but the root. */
#define ROOT_TOO  1
#define LEAF_ONLY 2

static const struct {
    const char *name;
    const char *error;
    enum authority issuer;
    int chain;
    struct certs_spec spec;
} cases[] = {
    {"server-rsa", "OK", AUTHORITY_CA, 0, {.names = NAMES, .key = CERTS_RSA}},
    {"server-ecdsa", "OK", AUTHORITY_CA, 0, {.names = NAMES}},
    {"server-intermediate", "OK", AUTHORITY_MIDDLE, 0, {.names = NAMES}},
    {"server-with-root", "OK", AUTHORITY_MIDDLE, ROOT_TOO, {.names = NAMES}},
    {"expired",
     "CERT_EXPIRED",
     AUTHORITY_CA,
     0,
     {.names = NAMES, .from_s = -2 * YEAR_S, .until_s = -YEAR_S}},
    {"expired-intermediate", "CERT_EXPIRED", AUTHORITY_OLD_MIDDLE, 0, {.names = NAMES}},
    {"not-yet-valid",
     "CERT_NOT_YET_VALID",
     AUTHORITY_CA,
     0,
     {.names = NAMES, .from_s = YEAR_S, .until_s = 2 * YEAR_S}},
    {"wrong-name",
     "CERT_WRONG_NAME",
     AUTHORITY_CA,
     0,
     {.names = "DNS:other.example,DNS:*.other.example,IP:192.0.2.1"}},
    {"unknown-issuer", "CERT_UNKNOWN_ISSUER", AUTHORITY_OTHER, 0, {.names = NAMES}},
    {"unknown-root", "CERT_UNKNOWN_ISSUER", AUTHORITY_OTHER, ROOT_TOO, {.names = NAMES}},
    {"missing-intermediate", "CERT_UNKNOWN_ISSUER", AUTHORITY_MIDDLE, LEAF_ONLY, {.names = NAMES}},
    {"self-signed", "CERT_SELF_SIGNED", AUTHORITY_NONE, 0, {.names = NAMES}},
    {"bad-purpose", "CERT_BAD_PURPOSE", AUTHORITY_CA, 0, {.names = NAMES, .purpose = "clientAuth"}},
    {"issuer-not-a-ca", "CERT_BAD_PURPOSE", AUTHORITY_NOT_CA, 0, {.names = NAMES}},
    {"weak-key",
     "CERT_WEAK_KEY",
     AUTHORITY_CA,
     0,
     {.names = NAMES, .key = CERTS_RSA, .bits = 1024}},
    {"weak-signature", "CERT_WEAK_KEY", AUTHORITY_CA, 0, {.names = NAMES, .digest = "SHA1"}},
    {"bad-signature",
     "CERT_BAD_SIGNATURE",
     AUTHORITY_CA,
     0,
     {.names = NAMES, .is_signature_broken = true}},
    {"path-too-long", "CERT_NOT_TRUSTED", AUTHORITY_BELOW_LOWEST, 0, {.names = NAMES}},
    {"name-constraint", "CERT_NOT_TRUSTED", AUTHORITY_ELSEWHERE, 0, {.names = NAMES}},
};

#define N_CASES (sizeof cases / sizeof cases[0])

struct certs_matrix {
    struct certs_pair *authorities[AUTHORITY_COUNT];
    struct certs_pair *leaves[N_CASES];
    struct certs_case cases[N_CASES];
};

static void fill_case(struct certs_matrix *m, size_t i)
{
    struct certs_case *c = &m->cases[i];
    struct certs_spec spec = cases[i].spec;
    enum authority a = cases[i].issuer;

    spec.common_name = cases[i].name;
    m->leaves[i] = certs_new(&spec, m->authorities[a]);
    c->name = cases[i].name;
    c->error = cases[i].error;
    c->chain[c->n_chain++] = m->leaves[i];
    if (cases[i].chain == LEAF_ONLY)
        return;
    for (; a != AUTHORITY_NONE; a = authorities[a].issuer)
        if (authorities[a].issuer != AUTHORITY_NONE || cases[i].chain == ROOT_TOO)
            c->chain[c->n_chain++] = m->authorities[a];
}

struct certs_matrix *certs_matrix_new(void)
{
    struct certs_matrix *m = calloc(1, sizeof *m);

    if (!m)
        abort();
    for (int a = AUTHORITY_CA; a < AUTHORITY_COUNT; a++)
        m->authorities[a] = certs_new(&authorities[a].spec, m->authorities[authorities[a].issuer]);
    for (size_t i = 0; i < N_CASES; i++)
        fill_case(m, i);
    return m;
}

struct certs_matrix *certs_matrix_free(struct certs_matrix *m)
{
    if (m) {
        for (size_t i = 0; i < N_CASES; i++)
            certs_free(m->leaves[i]);
        for (size_t a = 0; a < AUTHORITY_COUNT; a++)
            certs_free(m->authorities[a]);
        free(m);
    }
    return NULL;
}

const struct certs_pair *certs_matrix_ca(const struct certs_matrix *m)
{
    return m->authorities[AUTHORITY_CA];
}

const struct certs_case *certs_matrix_get(const struct certs_matrix *m, size_t i)
{
    return i < N_CASES ? &m->cases[i] : NULL;
}

const struct certs_case *certs_matrix_find(const struct certs_matrix *m, const char *name)
{
    for (size_t i = 0; i < N_CASES; i++)
        if (strcmp(m->cases[i].name, name) == 0)
            return &m->cases[i];
    return NULL;
}
