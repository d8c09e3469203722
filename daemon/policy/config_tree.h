/* fdiald.conf as it was written: sections, keys, and values as text with the place they came from.
 * Internal to the configuration's files; nobody else includes it.
 *
 *     config_file.c   main file and drop-ins → bytes
 *     config_scan.c   bytes → tokens; comments are blanked
 *     config_text.c   tokens → checked bytes: the grammar, keys, duplicates
 *     config_key.c    the keys that there are; errors with a place
 *     config_tree.c   checked bytes → this tree, by libConfuse, which only this file knows
 *     config_value.c  values → numbers, times, addresses, paths
 *     config_client.c `client` values → ids and names
 *     config_proxy.c  `proxy` sections → struct proxy
 *     config_auth.c   their users and passwords
 *     config_gss.c    what they want of Kerberos and NTLM
 *     config_tls.c    `tls` sections → tls contexts
 *     config_rule.c   `rule` sections → struct rule
 *     config_via.c    their way through proxies
 *     config.c        all of it → struct config
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/policy/config.h"

/* How a key is written: one value; a list; or refused, because it belongs to a later version. */
enum config_form {
    FORM_ONE,
    FORM_LIST,
    FORM_LATER,
};

/* X(NAME, "key", form) */
#define CONFIG_ROOT_KEYS(X)                                                                        \
    X(WORKERS, "workers", FORM_ONE)                                                                \
    X(SQPOLL, "sqpoll", FORM_ONE)                                                                  \
    X(KTLS, "ktls", FORM_ONE)                                                                      \
    X(DRAIN_TIMEOUT, "drain-timeout", FORM_ONE)                                                    \
    X(NAMESERVERS, "nameservers", FORM_LIST)                                                       \
    X(METRICS, "metrics", FORM_ONE)                                                                \
    X(METRICS_GROUP, "metrics-group", FORM_ONE)

#define CONFIG_TLS_KEYS(X)                                                                         \
    X(CA_FILE, "ca-file", FORM_ONE)                                                                \
    X(MIN_VERSION, "min-version", FORM_ONE)                                                        \
    X(VERIFY_NAME, "verify-name", FORM_ONE)                                                        \
    X(OCSP, "ocsp", FORM_ONE)                                                                      \
    X(CRL_FILE, "crl-file", FORM_ONE)                                                              \
    X(RESUMPTION, "resumption", FORM_ONE)                                                          \
    X(CIPHERS, "ciphers", FORM_LIST)                                                               \
    X(CERTIFICATE, "certificate", FORM_ONE)                                                        \
    X(KEY, "key", FORM_ONE)                                                                        \
    X(PASSPHRASE, "passphrase", FORM_ONE)                                                          \
    X(PIN, "pin", FORM_LIST)                                                                       \
    X(VERIFY, "verify", FORM_ONE)                                                                  \
    X(VERIFY_URI, "verify-uri", FORM_ONE)

#define CONFIG_PROXY_KEYS(X)                                                                       \
    X(URL, "url", FORM_ONE)                                                                        \
    X(UNIX_SOCKET, "unix-socket", FORM_ONE)                                                        \
    X(PROXY_TLS, "tls", FORM_ONE)                                                                  \
    X(AUTH, "auth", FORM_LIST)                                                                     \
    X(CREDENTIAL, "credential", FORM_ONE)                                                          \
    X(SERVICE, "service", FORM_ONE)                                                                \
    X(KEYTAB, "keytab", FORM_ONE)                                                                  \
    X(USER, "user", FORM_ONE)                                                                      \
    X(HEADER, "header", FORM_LIST)                                                                 \
    X(HTTP_VERSION, "http-version", FORM_ONE)                                                      \
    X(PROXY_SEND_PROXY, "send-proxy", FORM_ONE)                                                    \
    X(PROXY_SEND_PROXY_OPTIONS, "send-proxy-options", FORM_LIST)

#define CONFIG_RULE_KEYS(X)                                                                        \
    X(CLIENT, "client", FORM_LIST)                                                                 \
    X(SOCKET, "socket", FORM_ONE)                                                                  \
    X(ALLOW, "allow", FORM_LIST)                                                                   \
    X(DENY, "deny", FORM_LIST)                                                                     \
    X(ADDRESSES, "addresses", FORM_LIST)                                                           \
    X(SOURCE, "source", FORM_ONE)                                                                  \
    X(HANDOFF, "handoff", FORM_LIST)                                                               \
    X(SEAL, "seal", FORM_ONE)                                                                      \
    X(MODE, "mode", FORM_ONE)                                                                      \
    X(TLS, "tls", FORM_ONE)                                                                        \
    X(MAX_PENDING, "max-pending", FORM_ONE)                                                        \
    X(MAX_RELAYS, "max-relays", FORM_ONE)                                                          \
    X(MAX_RATE, "max-rate", FORM_ONE)                                                              \
    X(IDLE_TIMEOUT, "idle-timeout", FORM_ONE)                                                      \
    X(MAX_LIFETIME, "max-lifetime", FORM_ONE)                                                      \
    X(VIA, "via", FORM_LIST)                                                                       \
    X(NO_PROXY, "no-proxy", FORM_LIST)                                                             \
    X(RESOLVE, "resolve", FORM_ONE)                                                                \
    X(SEND_PROXY, "send-proxy", FORM_ONE)                                                          \
    X(SEND_PROXY_OPTIONS, "send-proxy-options", FORM_LIST)                                         \
    X(WARM, "warm", FORM_LATER)

enum config_key {
#define X(name, text, form) KEY_##name,
    CONFIG_ROOT_KEYS(X) CONFIG_TLS_KEYS(X) CONFIG_PROXY_KEYS(X) CONFIG_RULE_KEYS(X)
#undef X
        KEY_COUNT,
};

enum section_kind {
    SECTION_ROOT, /* what stands outside of sections */
    SECTION_TLS,
    SECTION_PROXY,
    SECTION_RULE,
    SECTION_COUNT,
};

const char *config_section_name(enum section_kind kind); /* as it is written; not of the root */
const char *config_key_name(enum config_key key);
/* Looks up n bytes. Returns false where the section has no such key. */
bool config_key_find(enum section_kind section, const char *text, size_t n,
                     enum config_key *ret_key, enum config_form *ret_form);

struct place {
    const char *file; /* of the tree; NULL: nowhere */
    unsigned line;
};

/* Writes "file:line: sentence" and returns -EINVAL. */
int config_refuse(char error[CONFIG_ERROR_MAX], const struct place *place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same without a place. */
int config_fail(int code, char error[CONFIG_ERROR_MAX], const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Adds "file:line: sentence" to the configuration's warnings. Returns 0 or -ENOMEM. */
int config_warn(struct config *config, const struct place *place, char error[CONFIG_ERROR_MAX],
                const char *format, ...) __attribute__((format(printf, 4, 5)));

struct value {
    struct place place;
    char *text;
};

struct value_list {
    struct value *values;
    size_t n; /* 0: absent; there are no empty lists */
};

struct section {
    enum section_kind kind;
    struct place place;
    char *title;
    struct value_list keys[KEY_COUNT];
};

/* Its value, or the first of its list; NULL where the section does not have the key. */
static inline const struct value *config_find_value(const struct section *section,
                                                    enum config_key key)
{
    return section->keys[key].values;
}

struct config_tree {
    struct section root;
    struct section *sections;
    size_t n_sections;
    char **files; /* their names, for the places */
    size_t n_files;
    size_t n_values; /* of the last file added */
    struct place root_places[KEY_COUNT];
};

struct config_tree *config_tree_new(void);
struct config_tree *config_tree_free(struct config_tree *tree);
void config_treep(struct config_tree **tree);
/* Adds one file. Returns 0; -EINVAL with the place and a sentence; -ENOMEM. */
int config_tree_add(struct config_tree *tree, const char *name, const char *text, size_t n,
                    char error[CONFIG_ERROR_MAX]);

/* Counts the sections of a kind. Returns 0, or -EINVAL at the first one beyond max. */
int config_count_sections(const struct config_tree *tree, enum section_kind kind, size_t max,
                          size_t *ret_n, char error[CONFIG_ERROR_MAX]);

/* A checked text: the same number of bytes and lines, comments blanked. */
struct config_text {
    char *data; /* NUL-terminated */
    size_t n;
    struct opening {
        enum section_kind kind;
        unsigned line;
        const char *title; /* in data */
        size_t n_title;
    } * sections;
    size_t n_sections;
    size_t n_values; /* of all keys */
};

void config_text_deinit(struct config_text *text);
/* root_places: where the keys outside of sections were set, in this and the files before it. */
int config_text_check(struct config_text *ret, const char *name, const char *text, size_t n,
                      struct place root_places[KEY_COUNT], char error[CONFIG_ERROR_MAX]);

/* Adds the file `path` and the drop-ins of the directory `path`.d, which only root and this
 * process' user may be able to write. Returns 0, or -errno with an error. */
int config_tree_load(struct config_tree *tree, const char *path, char error[CONFIG_ERROR_MAX]);

/* Values. `key` is for the error. Each returns 0, or -EINVAL with the place and a sentence. */
int config_parse_number(const struct value *value, enum config_key key, uint32_t min, uint32_t max,
                        uint32_t *ret, char error[CONFIG_ERROR_MAX]);
int config_parse_duration(const struct value *value, enum config_key key, uint64_t *ret_us,
                          char error[CONFIG_ERROR_MAX]);
/* So many a second, minute or hour. */
int config_parse_rate(const struct value *value, enum config_key key, struct quota_rate *ret,
                      char error[CONFIG_ERROR_MAX]);
/* One of some words; *ret stays as it is where the value is NULL. `known` lists them for errors. */
struct config_word {
    const char *text;
    unsigned bit;
};
int config_parse_word(const struct value *value, enum config_key key,
                      const struct config_word *words, size_t n_words, const char *known,
                      unsigned *ret, char error[CONFIG_ERROR_MAX]);
/* Some of them, or'ed together; *ret stays as it is where the list is absent. */
int config_parse_mask(const struct value_list *list, enum config_key key,
                      const struct config_word *words, size_t n_words, const char *known,
                      unsigned *ret, char error[CONFIG_ERROR_MAX]);
int config_parse_bool(const struct value *value, enum config_key key, bool *ret,
                      char error[CONFIG_ERROR_MAX]);
/* Joins addresses with commas into a malloc'd string. */
int config_parse_nameservers(const struct value_list *list, char **ret,
                             char error[CONFIG_ERROR_MAX]);
/* *ret is malloc'd. */
int config_parse_source(const struct value *value, struct source **ret,
                        char error[CONFIG_ERROR_MAX]);
/* The absolute path of a Unix socket, malloc'd. */
int config_parse_socket_path(const struct value *value, enum config_key key, char **ret,
                             char error[CONFIG_ERROR_MAX]);
/* A group's name or id. */
int config_parse_group(const struct value *value, gid_t *ret, char error[CONFIG_ERROR_MAX]);
int config_parse_client(const struct value *value, struct client_match *ret,
                        char error[CONFIG_ERROR_MAX]);

/* Who uses a section. They share no context: what proves to a target who we are is not for a proxy.
 */
enum tls_use {
    TLS_USE_ORIGIN,
    TLS_USE_PROXY,
    TLS_USES,
};

/* The `tls` sections while a configuration is built. */
struct tls_table {
    struct config *config; /* gets the warnings */
    struct tls_entry *entries;
    size_t n;
    struct tls_context *system[TLS_USES]; /* for who names no section; made when first needed */
};

int config_build_tls(const struct config_tree *tree, struct tls_table *ret,
                     char error[CONFIG_ERROR_MAX]);
void config_tls_deinit(struct tls_table *table);
/* The one that the value names, or an error at its place. The reference is the caller's. */
int config_tls_find(struct tls_table *table, const struct value *value, enum tls_use use,
                    struct tls_context **ret, char error[CONFIG_ERROR_MAX]);
/* The one with the system's trust store. The place is that of the section that needs it. */
int config_tls_get_system(struct tls_table *table, const struct place *place, enum tls_use use,
                          struct tls_context **ret, char error[CONFIG_ERROR_MAX]);

/* `send-proxy` and its options, under these keys. */
int config_build_send_proxy(const struct section *section, enum config_key key,
                            enum config_key options_key, struct send_proxy *ret,
                            char error[CONFIG_ERROR_MAX]);
/* The keys are known to be the proxy's kind's. */
int config_build_auth(const struct section *section, struct proxy *proxy,
                      char error[CONFIG_ERROR_MAX]);
/* A part of it: what GSSAPI needs for the ways that were found. */
int config_build_gss(const struct section *section, struct proxy *proxy,
                     char error[CONFIG_ERROR_MAX]);
/* The proxy is to be deinitialised also after a failure. */
int config_build_proxy(const struct section *section, struct tls_table *table, struct proxy *ret,
                       char error[CONFIG_ERROR_MAX]);
void config_proxy_deinit(struct proxy *proxy);

/* Fills in what the section says; the tls context stays NULL where it names none. The rule is to be
 * deinitialised also after a failure. */
int config_build_rule(const struct section *section, struct tls_table *table, struct rule *ret,
                      char error[CONFIG_ERROR_MAX]);
/* The rest of it: the way to the targets, and whether all that the rule says can be done. */
int config_build_via(const struct section *section, const struct config *config, struct rule *rule,
                     char error[CONFIG_ERROR_MAX]);
void config_rule_init(struct rule *rule);
void config_rule_deinit(struct rule *rule);
