/* `tls` sections → tls contexts. A section has one for the targets of rules when it is read, so
 * that its mistakes are told whether it is used or not, and one for proxies when a proxy names it.
 */
#include "daemon/policy/config_tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/policy/credential.h"
#include "proto/cleanup.h"
#include "proto/target.h"

#define TLS_1_2 0x0303
#define TLS_1_3 0x0304

#define SPIFFE_ID_MAX     2048
#define SPIFFE_DOMAIN_MAX 255

struct tls_entry {
    const struct section *section; /* of the tree, as are the texts of the settings */
    struct tls_settings settings;
    char *pins[TLS_PINS_MAX];       /* settings.pins */
    char *ciphers[TLS_CIPHERS_MAX]; /* settings.ciphers */
    struct credential certificate, key, passphrase;
    struct tls_context *contexts[TLS_USES];
};

void config_tls_deinit(struct tls_table *table)
{
    for (size_t i = 0; i < table->n; i++) {
        struct tls_entry *entry = &table->entries[i];

        for (unsigned use = 0; use < TLS_USES; use++)
            tls_context_unref(entry->contexts[use]);
        credential_deinit(&entry->certificate);
        credential_deinit(&entry->key);
        credential_deinit(&entry->passphrase);
    }
    free(TAKE_PTR(table->entries));
    for (unsigned use = 0; use < TLS_USES; use++)
        tls_context_unref(table->system[use]);
}

static bool is_host(const char *text)
{
    char name[TARGET_HOST_MAX + 1];
    size_t n = strlen(text);
    struct in6_addr ipv6;
    struct in_addr ipv4;
    const char *why;

    return host_parse_name(text, n, name, &why) == 0 || host_parse_ipv4(text, n, &ipv4) == 0 ||
           host_parse_ipv6(text, n, &ipv6) == 0;
}

static int parse_path(const struct section *section, enum config_key key, char **ret, char *error)
{
    const struct value *value = config_find_value(section, key);

    if (!value)
        return 0;
    if (value->text[0] != '/')
        return config_refuse(error, &value->place, "'%s' takes a path that begins with '/'",
                             config_key_name(key));
    *ret = value->text;
    return 0;
}

static int parse_name(const struct section *section, char **ret, char *error)
{
    const struct value *value = config_find_value(section, KEY_VERIFY_NAME);

    if (!value)
        return 0;
    if (!is_host(value->text))
        return config_refuse(error, &value->place,
                             "'verify-name' takes a host name or an address; '%.60s' is neither",
                             value->text);
    *ret = value->text;
    return 0;
}

static int parse_words(const struct section *section, struct tls_settings *ret, char *error)
{
    static const struct config_word versions[] = {{"1.2", TLS_1_2}, {"1.3", TLS_1_3}};
    static const struct config_word ocsp[] = {{"required", true}, {"off", false}};
    unsigned version = TLS_1_2, needs_ocsp = false;
    const struct value *resumption = config_find_value(section, KEY_RESUMPTION);
    bool is_resuming = true;
    int r = config_parse_word(config_find_value(section, KEY_MIN_VERSION), KEY_MIN_VERSION,
                              versions, ARRAY_SIZE(versions), "1.2 or 1.3", &version, error);

    if (r == 0)
        r = config_parse_word(config_find_value(section, KEY_OCSP), KEY_OCSP, ocsp,
                              ARRAY_SIZE(ocsp), "required or off", &needs_ocsp, error);
    if (r == 0 && resumption)
        r = config_parse_bool(resumption, KEY_RESUMPTION, &is_resuming, error);
    ret->min_version = (int)version;
    ret->needs_ocsp = needs_ocsp;
    ret->is_resumption_off = !is_resuming;
    return r;
}

/* The last character of a digest in base 64 has two bits to spare, which are zero. */
static bool is_pin(const char *text)
{
    static const char prefix[] = TLS_PIN_PREFIX;
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    if (strncmp(text, prefix, sizeof prefix - 1) != 0)
        return false;
    text += sizeof prefix - 1;
    return strlen(text) == TLS_PIN_LENGTH && strspn(text, letters) == TLS_PIN_LENGTH - 1 &&
           text[TLS_PIN_LENGTH - 1] == '=' && strchr("AEIMQUYcgkosw048", text[TLS_PIN_LENGTH - 2]);
}

static int parse_pins(struct tls_entry *entry, char *error)
{
    const struct value_list *list = &entry->section->keys[KEY_PIN];

    if (list->n > TLS_PINS_MAX)
        return config_refuse(error, &list->values[TLS_PINS_MAX].place,
                             "too many values of 'pin'; at most %d", TLS_PINS_MAX);
    for (size_t i = 0; i < list->n; i++) {
        char *text = list->values[i].text;

        if (!is_pin(text))
            return config_refuse(error, &list->values[i].place,
                                 "'pin' takes sha256// and the SHA-256 of a public key in base 64, "
                                 "44 characters; '%.60s' is none",
                                 text);
        entry->pins[i] = text + strlen(TLS_PIN_PREFIX);
    }
    entry->settings.pins = entry->pins;
    entry->settings.n_pins = list->n;
    return 0;
}

static int read_credential(const struct tls_entry *entry, enum config_key key,
                           struct credential *ret, char *error)
{
    const struct value *value = config_find_value(entry->section, key);
    char why[CREDENTIAL_ERROR_MAX];

    if (!value)
        return 0;
    if (entry->section->keys[KEY_CERTIFICATE].n == 0)
        return config_refuse(error, &value->place,
                             "'%s' belongs to a 'certificate', which is missing; add it, or remove "
                             "this",
                             config_key_name(key));
    if (credential_read(ret, value->text, why) < 0)
        return config_refuse(error, &value->place, "%s", why);
    return 0;
}

static int read_certificate(struct tls_entry *entry, char *error)
{
    int r = read_credential(entry, KEY_CERTIFICATE, &entry->certificate, error);

    if (r == 0)
        r = read_credential(entry, KEY_KEY, &entry->key, error);
    if (r == 0)
        r = read_credential(entry, KEY_PASSPHRASE, &entry->passphrase, error);
    entry->settings.certificate = (struct text){entry->certificate.data, entry->certificate.n};
    entry->settings.key = (struct text){entry->key.data, entry->key.n};
    entry->settings.passphrase = credential_text(&entry->passphrase);
    return r;
}

/* OpenSSL knows which there are. */
static int parse_ciphers(struct tls_entry *entry, char *error)
{
    const struct value_list *list = &entry->section->keys[KEY_CIPHERS];

    if (list->n > TLS_CIPHERS_MAX)
        return config_refuse(error, &list->values[TLS_CIPHERS_MAX].place,
                             "too many values of 'ciphers'; at most %d", TLS_CIPHERS_MAX);
    for (size_t i = 0; i < list->n; i++)
        entry->ciphers[i] = list->values[i].text;
    entry->settings.ciphers = entry->ciphers;
    entry->settings.n_ciphers = list->n;
    return 0;
}

/* SPIFFE-ID, 2, for one who serves: with a path. */
static bool is_spiffe_id(const char *text)
{
    static const char domain[] = "abcdefghijklmnopqrstuvwxyz0123456789.-_";
    static const char segment[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
    size_t n;

    if (strlen(text) > SPIFFE_ID_MAX || strncmp(text, "spiffe://", 9) != 0)
        return false;
    text += 9;
    n = strspn(text, domain);
    if (n == 0 || n > SPIFFE_DOMAIN_MAX || text[n] != '/')
        return false;
    for (text += n; *text == '/'; text += n) {
        text++;
        n = strspn(text, segment);
        if (n == 0 || (n == 1 && text[0] == '.') || (n == 2 && strncmp(text, "..", 2) == 0))
            return false;
    }
    return *text == '\0';
}

static int parse_uri(struct tls_entry *entry, char *error)
{
    const struct value *uri = config_find_value(entry->section, KEY_VERIFY_URI);

    if (!uri)
        return 0;
    if (!is_spiffe_id(uri->text))
        return config_refuse(error, &uri->place,
                             "'verify-uri' takes a SPIFFE ID, like spiffe://example.org/billing; "
                             "'%.60s' is none",
                             uri->text);
    if (entry->settings.verify_name)
        return config_refuse(error, &uri->place,
                             "'verify-uri' and 'verify-name' exclude each other; remove one");
    entry->settings.verify_uri = uri->text;
    return 0;
}

/* What is not verified cannot be verified against something. */
static int parse_verify(struct tls_entry *entry, struct config *config, char *error)
{
    static const enum config_key useless[] = {KEY_CA_FILE, KEY_VERIFY_NAME, KEY_VERIFY_URI,
                                              KEY_CRL_FILE, KEY_OCSP};
    static const struct config_word words[] = {{"on", true}, {"off", false}};
    const struct value_list *keys = entry->section->keys;
    const struct value *verify = config_find_value(entry->section, KEY_VERIFY);
    unsigned is_on = true;
    int r =
        config_parse_word(verify, KEY_VERIFY, words, ARRAY_SIZE(words), "on or off", &is_on, error);

    if (r < 0 || is_on)
        return r;
    for (size_t i = 0; i < ARRAY_SIZE(useless); i++)
        if (keys[useless[i]].n > 0)
            return config_refuse(error, &keys[useless[i]].values->place,
                                 "'%s' means nothing where 'verify' is off; remove one of them",
                                 config_key_name(useless[i]));
    entry->settings.is_verify_off = true;
    return config_warn(config, &verify->place, error,
                       keys[KEY_PIN].n > 0
                           ? "certificates are not verified but for their pins, because 'verify' "
                             "is off"
                           : "certificates are not verified, because 'verify' is off: whoever is "
                             "on the way can be the other end; use ca-file or pin");
}

/* Where the setting was written; the section itself where it was not. */
static const struct place *find_place(const struct section *section,
                                      const struct tls_problem *problem)
{
    const struct value *value = NULL;

    switch (problem->setting) {
    case TLS_SETTING_NONE:
        break;
    case TLS_SETTING_CA_FILE:
        value = config_find_value(section, KEY_CA_FILE);
        break;
    case TLS_SETTING_CERTIFICATE:
        value = config_find_value(section, KEY_CERTIFICATE);
        break;
    case TLS_SETTING_KEY:
        value = config_find_value(section, KEY_KEY);
        break;
    case TLS_SETTING_PASSPHRASE:
        value = config_find_value(section, KEY_PASSPHRASE);
        break;
    case TLS_SETTING_CRL_FILE:
        value = config_find_value(section, KEY_CRL_FILE);
        break;
    case TLS_SETTING_CIPHERS:
        value = &section->keys[KEY_CIPHERS].values[problem->index];
        break;
    }
    return value ? &value->place : &section->place;
}

static int make_context(struct tls_entry *entry, enum tls_use use, struct config *config,
                        char *error)
{
    struct tls_problem problem = {0};
    int r = tls_context_new(&entry->contexts[use], &entry->settings, &problem);
    const struct place *place = find_place(entry->section, &problem);

    if (r < 0)
        return config_refuse(error, place, "%s", problem.text);
    if (problem.text[0] == '\0' || use != TLS_USE_ORIGIN) /* which is made first */
        return 0;
    return config_warn(config, place, error, "%s", problem.text);
}

static int build_entry(const struct section *section, struct tls_table *table, char *error)
{
    struct tls_entry *entry = &table->entries[table->n];
    struct tls_settings *settings = &entry->settings;
    int r;

    entry->section = section;
    table->n++;
    r = parse_path(section, KEY_CA_FILE, &settings->ca_file, error);
    if (r == 0)
        r = parse_path(section, KEY_CRL_FILE, &settings->crl_file, error);
    if (r == 0)
        r = parse_words(section, settings, error);
    if (r == 0)
        r = parse_name(section, &settings->verify_name, error);
    if (r == 0)
        r = parse_ciphers(entry, error);
    if (r == 0)
        r = parse_uri(entry, error);
    if (r == 0)
        r = parse_pins(entry, error);
    if (r == 0)
        r = read_certificate(entry, error);
    if (r == 0)
        r = parse_verify(entry, table->config, error);
    if (r < 0)
        return r;
    return make_context(entry, TLS_USE_ORIGIN, table->config, error);
}

int config_build_tls(const struct config_tree *tree, struct tls_table *ret,
                     char error[CONFIG_ERROR_MAX])
{
    size_t n;
    int r = config_count_sections(tree, SECTION_TLS, CONFIG_TLS_MAX, &n, error);

    if (r < 0 || n == 0)
        return r;
    ret->entries = calloc(n, sizeof *ret->entries);
    if (!ret->entries)
        return config_fail(-ENOMEM, error, "out of memory");
    for (size_t i = 0; r == 0 && i < tree->n_sections; i++)
        if (tree->sections[i].kind == SECTION_TLS)
            r = build_entry(&tree->sections[i], ret, error);
    return r;
}

int config_tls_find(struct tls_table *table, const struct value *name, enum tls_use use,
                    struct tls_context **ret, char error[CONFIG_ERROR_MAX])
{
    for (size_t i = 0; i < table->n; i++) {
        struct tls_entry *entry = &table->entries[i];
        int r;

        if (strcmp(entry->section->title, name->text) != 0)
            continue;
        r = entry->contexts[use] ? 0 : make_context(entry, use, table->config, error);
        if (r == 0)
            *ret = tls_context_ref(entry->contexts[use]);
        return r;
    }
    return config_refuse(error, &name->place,
                         "there is no section tls \"%.60s\"; write one, or remove this key",
                         name->text);
}

int config_tls_get_system(struct tls_table *table, const struct place *place, enum tls_use use,
                          struct tls_context **ret, char error[CONFIG_ERROR_MAX])
{
    struct tls_settings settings = {.min_version = TLS_1_2};
    struct tls_problem problem = {0};
    int r = 0;

    if (!table->system[use])
        r = tls_context_new(&table->system[use], &settings, &problem);
    if (r < 0 && !place)
        return config_fail(r, error, "%s", problem.text);
    if (r < 0)
        return config_refuse(error, place,
                             "%s; install the system's CA certificates, or name a tls section",
                             problem.text);
    *ret = tls_context_ref(table->system[use]);
    return 0;
}
