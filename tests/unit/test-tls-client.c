/* Our own certificate: in which forms it may come, what is wrong with others, and who gets to see
 * it.
 */
#include <check.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/tls-pair.h"

#define PASSPHRASE "correct horse"
#define YEAR_S     (365 * CERTS_DAY_S)

enum who {
    CLIENT, /* below MIDDLE */
    OTHER,
    SERVER_ONLY, /* not for clients */
    OLD,
    FUTURE,
    WEAK,
    PEOPLE,
};

static struct certs_pair *ca, *middle, *people[PEOPLE];

static void set_up(void)
{
    static const struct certs_spec specs[PEOPLE] = {
        [CLIENT] = {.common_name = "client", .purpose = "clientAuth"},
        [OTHER] = {.common_name = "other", .purpose = "clientAuth"},
        [SERVER_ONLY] = {.common_name = "server"},
        [OLD] = {.common_name = "old",
                 .purpose = "clientAuth",
                 .from_s = -2 * YEAR_S,
                 .until_s = -1},
        [FUTURE] = {.common_name = "new",
                    .purpose = "clientAuth",
                    .from_s = YEAR_S,
                    .until_s = 2 * YEAR_S},
        [WEAK] = {.common_name = "weak", .purpose = "clientAuth", .key = CERTS_RSA, .bits = 1024},
    };

    ca = certs_new(&(struct certs_spec){.common_name = "Client CA", .is_ca = true}, NULL);
    middle = certs_new(&(struct certs_spec){.common_name = "Client middle", .is_ca = true}, ca);
    for (int i = 0; i < PEOPLE; i++)
        people[i] = certs_new(&specs[i], middle);
}

static void tear_down(void)
{
    for (int i = 0; i < PEOPLE; i++)
        people[i] = certs_free(people[i]);
    middle = certs_free(middle);
    ca = certs_free(ca);
}

/* How it is written. */
enum form {
    FORM_NONE,
    FORM_CERT,        /* PEM: the certificate and its issuer */
    FORM_KEY,         /* PEM */
    FORM_KEY_LOCKED,  /* PEM, PKCS #8, encrypted */
    FORM_KEY_OLD_PEM, /* PEM, encrypted as OpenSSL once did it */
    FORM_BOTH,        /* key and certificate in one */
    FORM_BOTH_LOCKED,
    FORM_BUNDLE,        /* PKCS #12 */
    FORM_BUNDLE_LOCKED, /* with a passphrase */
    FORM_BUNDLE_NO_KEY,
    FORM_BUNDLE_CUT,
    FORM_TEXT,
    FORM_BROKEN, /* PEM */
};

static void put_certs(BIO *bio, const struct certs_pair *pair)
{
    ck_assert_int_eq(PEM_write_bio_X509(bio, pair->cert), 1);
    ck_assert_int_eq(PEM_write_bio_X509(bio, middle->cert), 1);
}

static void put_key(BIO *bio, const struct certs_pair *pair, bool is_locked)
{
    ck_assert_int_eq(PEM_write_bio_PKCS8PrivateKey(bio, pair->key,
                                                   is_locked ? EVP_aes_256_cbc() : NULL, PASSPHRASE,
                                                   strlen(PASSPHRASE), NULL, NULL),
                     1);
}

static void put_bundle(BIO *bio, const struct certs_pair *pair, const char *passphrase,
                       bool has_key)
{
    STACK_OF(X509) *issuers = sk_X509_new_null();
    PKCS12 *pkcs12;

    sk_X509_push(issuers, middle->cert);
    pkcs12 = PKCS12_create(passphrase, "x", has_key ? pair->key : NULL, pair->cert, issuers, 0, 0,
                           0, 0, 0);
    ck_assert_ptr_nonnull(pkcs12);
    ck_assert_int_eq(i2d_PKCS12_bio(bio, pkcs12), 1);
    PKCS12_free(pkcs12);
    sk_X509_free(issuers);
}

static void put(BIO *bio, const struct certs_pair *pair, enum form form)
{
    switch (form) {
    case FORM_NONE:
        break;
    case FORM_CERT:
        put_certs(bio, pair);
        break;
    case FORM_KEY:
    case FORM_KEY_LOCKED:
        put_key(bio, pair, form == FORM_KEY_LOCKED);
        break;
    case FORM_KEY_OLD_PEM:
        ck_assert_int_eq(PEM_write_bio_PrivateKey_traditional(bio, pair->key, EVP_aes_128_cbc(),
                                                              (unsigned char *)PASSPHRASE,
                                                              strlen(PASSPHRASE), NULL, NULL),
                         1);
        break;
    case FORM_BOTH:
    case FORM_BOTH_LOCKED:
        put_key(bio, pair, form == FORM_BOTH_LOCKED);
        put_certs(bio, pair);
        break;
    case FORM_BUNDLE:
    case FORM_BUNDLE_CUT:
    case FORM_BUNDLE_LOCKED:
        put_bundle(bio, pair, form == FORM_BUNDLE_LOCKED ? PASSPHRASE : NULL, true);
        break;
    case FORM_BUNDLE_NO_KEY:
        put_bundle(bio, pair, PASSPHRASE, false);
        break;
    case FORM_TEXT:
        BIO_puts(bio, "nothing of interest\n");
        break;
    case FORM_BROKEN:
        BIO_puts(bio, "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n");
        BIO_puts(bio, "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n");
        break;
    }
}

/* Into memory of exactly that size, which goes away before the context is used. */
static struct text make(enum who who, enum form form)
{
    BIO *bio = BIO_new(BIO_s_mem());
    struct text text = {NULL, 0};
    char *data, *copy;
    long n;

    put(bio, people[who], form);
    n = BIO_get_mem_data(bio, &data);
    if (form == FORM_BUNDLE_CUT)
        n /= 2;
    if (form != FORM_NONE) {
        copy = malloc((size_t)n);
        memcpy(copy, data, (size_t)n);
        text = (struct text){copy, (size_t)n};
    }
    BIO_free(bio);
    return text;
}

static void discard(struct text text)
{
    free((void *)(uintptr_t)text.data);
}

static const struct {
    enum form certificate;
    enum form key;
    const char *passphrase;
    enum who who;
    enum who key_of;
    enum tls_setting setting; /* NONE: it is good */
    const char *text;         /* NULL: no warning either */
    bool is_warning;
} forms[] = {
    {FORM_CERT, FORM_KEY, NULL, CLIENT, CLIENT, TLS_SETTING_NONE, NULL, false},
    {FORM_CERT, FORM_KEY, "unneeded", CLIENT, CLIENT, TLS_SETTING_NONE, NULL, false},
    {FORM_CERT, FORM_KEY_LOCKED, PASSPHRASE, CLIENT, CLIENT, TLS_SETTING_NONE, NULL, false},
    {FORM_CERT, FORM_KEY_OLD_PEM, PASSPHRASE, CLIENT, CLIENT, TLS_SETTING_NONE, NULL, false},
    {FORM_BOTH, FORM_NONE, NULL, CLIENT, CLIENT, TLS_SETTING_NONE, NULL, false},
    {FORM_BOTH, FORM_BOTH, NULL, CLIENT, CLIENT, TLS_SETTING_NONE, NULL, false},
    {FORM_BOTH_LOCKED, FORM_NONE, PASSPHRASE, CLIENT, CLIENT, TLS_SETTING_NONE, NULL, false},
    {FORM_BUNDLE, FORM_NONE, NULL, CLIENT, CLIENT, TLS_SETTING_NONE, NULL, false},
    {FORM_BUNDLE_LOCKED, FORM_NONE, PASSPHRASE, CLIENT, CLIENT, TLS_SETTING_NONE, NULL, false},
    /* the key */
    {FORM_CERT, FORM_KEY, NULL, CLIENT, OTHER, TLS_SETTING_KEY, "not that of the certificate",
     false},
    {FORM_CERT, FORM_NONE, NULL, CLIENT, CLIENT, TLS_SETTING_CERTIFICATE,
     "no private key in it; name the credential that has it in 'key'", false},
    {FORM_CERT, FORM_CERT, NULL, CLIENT, CLIENT, TLS_SETTING_KEY, "no private key", false},
    {FORM_CERT, FORM_TEXT, NULL, CLIENT, CLIENT, TLS_SETTING_KEY, "no private key", false},
    {FORM_CERT, FORM_BROKEN, NULL, CLIENT, CLIENT, TLS_SETTING_KEY, "no private key", false},
    {FORM_CERT, FORM_BUNDLE, NULL, CLIENT, CLIENT, TLS_SETTING_KEY, "no private key", false},
    {FORM_BUNDLE, FORM_KEY, NULL, CLIENT, CLIENT, TLS_SETTING_KEY, "remove this", false},
    {FORM_BUNDLE_NO_KEY, FORM_NONE, PASSPHRASE, CLIENT, CLIENT, TLS_SETTING_CERTIFICATE, "in it",
     false},
    /* the passphrase */
    {FORM_CERT, FORM_KEY_LOCKED, NULL, CLIENT, CLIENT, TLS_SETTING_KEY, "in 'passphrase'", false},
    {FORM_CERT, FORM_KEY_LOCKED, "wrong", CLIENT, CLIENT, TLS_SETTING_PASSPHRASE,
     "cannot be decrypted", false},
    {FORM_CERT, FORM_KEY_LOCKED, "", CLIENT, CLIENT, TLS_SETTING_PASSPHRASE, "cannot be decrypted",
     false},
    {FORM_CERT, FORM_KEY_OLD_PEM, "wrong", CLIENT, CLIENT, TLS_SETTING_PASSPHRASE,
     "cannot be decrypted", false},
    {FORM_BOTH_LOCKED, FORM_NONE, NULL, CLIENT, CLIENT, TLS_SETTING_CERTIFICATE, "in 'passphrase'",
     false},
    {FORM_BUNDLE_LOCKED, FORM_NONE, NULL, CLIENT, CLIENT, TLS_SETTING_CERTIFICATE,
     "in 'passphrase'", false},
    {FORM_BUNDLE_LOCKED, FORM_NONE, "wrong", CLIENT, CLIENT, TLS_SETTING_PASSPHRASE,
     "cannot be decrypted", false},
    /* the certificate */
    {FORM_TEXT, FORM_KEY, NULL, CLIENT, CLIENT, TLS_SETTING_CERTIFICATE, "neither PEM nor PKCS #12",
     false},
    {FORM_KEY, FORM_KEY, NULL, CLIENT, CLIENT, TLS_SETTING_CERTIFICATE, "no certificate", false},
    {FORM_BROKEN, FORM_KEY, NULL, CLIENT, CLIENT, TLS_SETTING_CERTIFICATE, "cannot use", false},
    {FORM_BUNDLE_CUT, FORM_NONE, NULL, CLIENT, CLIENT, TLS_SETTING_CERTIFICATE,
     "neither PEM nor PKCS #12", false},
    {FORM_BOTH, FORM_NONE, NULL, WEAK, WEAK, TLS_SETTING_CERTIFICATE, "key too small", false},
    /* what the server may not like */
    {FORM_BOTH, FORM_NONE, NULL, OLD, OLD, TLS_SETTING_CERTIFICATE, "has expired 20", true},
    {FORM_BOTH, FORM_NONE, NULL, FUTURE, FUTURE, TLS_SETTING_CERTIFICATE, "valid only from 20",
     true},
    {FORM_BUNDLE, FORM_NONE, NULL, SERVER_ONLY, SERVER_ONLY, TLS_SETTING_CERTIFICATE,
     "not for TLS clients", true},
};

static struct tls_settings make_settings(int i)
{
    const char *passphrase = forms[i].passphrase;

    return (struct tls_settings){
        .certificate = make(forms[i].who, forms[i].certificate),
        .key = make(forms[i].key_of, forms[i].key),
        .passphrase = {passphrase, passphrase ? strlen(passphrase) : 0},
        .is_verify_off = true, /* without the trust store, which is none of this test's */
    };
}

/* Whether the server got this one, with its issuer. */
static void check_shown(struct pair *p, enum who who)
{
    STACK_OF(X509) *chain = SSL_get_peer_cert_chain(p->server);
    X509 *shown = SSL_get0_peer_certificate(p->server);

    ck_assert_ptr_nonnull(shown);
    ck_assert_int_eq(X509_cmp(shown, people[who]->cert), 0);
    ck_assert_int_eq(sk_X509_num(chain), 1);
    ck_assert_int_eq(X509_cmp(sk_X509_value(chain, 0), middle->cert), 0);
}

static void shake_hands(struct tls_context *context, int version, bool is_anonymous, enum who who)
{
    struct pair_options options = pair_options_of("server-ecdsa", version);
    struct pair p;

    options.context = context;
    options.wants_client_certificate = true;
    options.params = (struct tls_params){.name = "localhost", .is_anonymous = is_anonymous};
    pair_init(&p, &options);
    SSL_set_verify_depth(p.server, 5);
    if (is_anonymous) {
        pair_run(&p);
        ck_assert_ptr_null(SSL_get0_peer_certificate(p.server));
        ck_assert(!SSL_is_init_finished(p.server));
    } else {
        ck_assert_msg(pair_run(&p) == TLS_DONE, "%s", p.failure.detail);
        check_shown(&p, who);
    }
    pair_deinit(&p);
}

START_TEST(every_form)
{
    struct tls_settings settings = make_settings(_i);
    bool is_good = forms[_i].setting == TLS_SETTING_NONE || forms[_i].is_warning;
    struct tls_context *c = NULL;
    struct tls_problem problem;
    int r = tls_context_new(&c, &settings, &problem);

    ck_assert_uint_eq(ERR_peek_error(), 0);
    discard(settings.certificate);
    discard(settings.key);
    ck_assert_msg((r == 0) == is_good, "%s", problem.text);
    ck_assert_msg(problem.setting == forms[_i].setting, "%d: %s", problem.setting, problem.text);
    if (forms[_i].text)
        ck_assert_msg(strstr(problem.text, forms[_i].text) != NULL, "%s", problem.text);
    else
        ck_assert_str_eq(problem.text, "");
    ck_assert_ptr_null(strstr(problem.text, PASSPHRASE));
    if (is_good) {
        shake_hands(c, TLS1_2_VERSION, false, forms[_i].who);
        shake_hands(c, TLS1_3_VERSION, false, forms[_i].who);
    }
    tls_context_unref(c);
}
END_TEST

START_TEST(long_passphrase)
{
    struct tls_settings settings = make_settings(2);
    char passphrase[TLS_PASSPHRASE_MAX + 1];
    struct tls_context *c = NULL;
    struct tls_problem problem;

    memset(passphrase, 'x', sizeof passphrase);
    settings.passphrase = (struct text){passphrase, sizeof passphrase};
    ck_assert_int_eq(tls_context_new(&c, &settings, &problem), -EINVAL);
    ck_assert_ptr_nonnull(strstr(problem.text, "has more than 1023 bytes"));
    settings.passphrase.n--; /* the longest, and wrong, in both forms */
    ck_assert_int_eq(tls_context_new(&c, &settings, &problem), -EINVAL);
    ck_assert_ptr_nonnull(strstr(problem.text, "cannot be decrypted"));
    discard(settings.certificate);
    discard(settings.key);
    settings.key = (struct text){NULL, 0};
    settings.certificate = make(CLIENT, FORM_BUNDLE_LOCKED);
    ck_assert_int_eq(tls_context_new(&c, &settings, &problem), -EINVAL);
    ck_assert_ptr_nonnull(strstr(problem.text, "cannot be decrypted"));
    discard(settings.certificate);
}
END_TEST

/* Of all who share the context, who is not to show it does not. */
START_TEST(anonymous)
{
    struct tls_settings settings = make_settings(0);
    struct tls_context *c = NULL;
    struct tls_problem problem;

    ck_assert_int_eq(tls_context_new(&c, &settings, &problem), 0);
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        shake_hands(c, version, true, CLIENT);
        shake_hands(c, version, false, CLIENT);
    }
    tls_context_unref(c);
    discard(settings.certificate);
    discard(settings.key);
}
END_TEST

/* Nobody learns who we are who has not proved who he is. */
START_TEST(not_for_strangers)
{
    static const char *const servers[] = {"wrong-name", "unknown-issuer", "expired"};
    const struct certs_pair *anchor = certs_matrix_ca(pair_matrix);
    struct tls_settings settings = make_settings(0);
    struct tls_context *context;

    settings.is_verify_off = false;
    context = pair_context_new(&anchor, 1, settings);
    for (int i = 0; i < 6; i++) {
        struct pair_options options =
            pair_options_of(servers[i / 2], i % 2 ? TLS1_3_VERSION : TLS1_2_VERSION);
        struct pair p;

        options.context = context;
        options.wants_client_certificate = true;
        pair_init(&p, &options);
        ck_assert_int_eq(pair_run(&p), TLS_FAILED);
        ck_assert_ptr_null(SSL_get0_peer_certificate(p.server));
        pair_deinit(&p);
    }
    shake_hands(context, TLS1_3_VERSION, false, CLIENT);
    tls_context_unref(context);
    discard(settings.certificate);
    discard(settings.key);
}
END_TEST

/* Scans what this process can read for a secret, of which `inverted` has the complement so that it
 * is no copy itself. Returns how often it is there. */
static unsigned count_copies(const unsigned char *inverted, size_t n)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    unsigned long from, until;
    char line[512], mode[5];
    unsigned n_found = 0;

    ck_assert_ptr_nonnull(maps);
    while (fgets(line, sizeof line, maps)) {
        if (sscanf(line, "%lx-%lx %4s", &from, &until, mode) != 3 || strcmp(mode, "rw-p") != 0 ||
            !strstr(line, "[heap]"))
            continue;
        for (const unsigned char *at = (void *)from; at + n <= (unsigned char *)until; at++) {
            size_t i = 0;

            while (i < n && (at[i] ^ inverted[i]) == 0xff)
                i++;
            n_found += i == n;
        }
    }
    fclose(maps);
    return n_found;
}

/* Half of the private number, as it stands in the file. */
static void invert_secret(enum who who, unsigned char ret[16])
{
    unsigned char secret[32];
    BIGNUM *number = NULL;

    ck_assert_int_eq(EVP_PKEY_get_bn_param(people[who]->key, "priv", &number), 1);
    ck_assert_int_eq(BN_bn2binpad(number, secret, sizeof secret), (int)sizeof secret);
    for (int i = 0; i < 16; i++)
        ret[i] = (unsigned char)~secret[8 + i];
    BN_clear_free(number);
    OPENSSL_cleanse(secret, sizeof secret);
}

/* OpenSSL leaves nothing of a key behind that it has read, beyond what was there before. */
START_TEST(wiped)
{
    struct tls_settings settings = make_settings(_i);
    struct tls_context *c = NULL;
    struct tls_problem problem;
    unsigned char inverted[16];
    unsigned n_before;

    invert_secret(forms[_i].key_of, inverted);
    n_before = count_copies(inverted, sizeof inverted);
    tls_context_new(&c, &settings, &problem);
    tls_context_unref(c);
    ck_assert_uint_le(count_copies(inverted, sizeof inverted), n_before);
    discard(settings.certificate);
    discard(settings.key);
}
END_TEST

static void add_tests(TCase *tcase)
{
    tcase_add_unchecked_fixture(tcase, set_up, tear_down);
    tcase_add_loop_test(tcase, every_form, 0, sizeof forms / sizeof forms[0]);
    tcase_add_test(tcase, long_passphrase);
    tcase_add_loop_test(tcase, wiped, 0, 9); /* the good ones */
    tcase_add_test(tcase, anonymous);
    tcase_add_test(tcase, not_for_strangers);
}

int main(void)
{
    return pair_run_suite_twice("tls-client", add_tests);
}
