/* Files → tree → struct config. The tree is gone when the config is returned; what rules share (tls
 * contexts) is reference counted, so a config is freed on its own, whatever is still in use. */
#include "daemon/policy/config_tree.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/address.h"
#include "daemon/base/clock.h"
#include "daemon/policy/policy.h"
#include "proto/cleanup.h"

#define TLS_1_2 0x0303
#define TLS_1_3 0x0304

static void tls_table_deinit(struct tls_table *table)
{
    for (size_t i = 0; i < table->n; i++)
        tls_context_unref(table->entries[i].context);
    free(TAKE_PTR(table->entries));
    tls_context_unref(table->system);
}

static void config_unrefp(struct config **config)
{
    *config = config_unref(*config);
}

static struct config *config_new(char *error)
{
    struct config *config = calloc(1, sizeof *config);

    if (!config) {
        config_fail(0, error, "out of memory");
        return NULL;
    }
    config->n_references = 1;
    config->ktls = true;
    config->metrics_group = (gid_t)-1;
    config->drain_timeout_us = CONFIG_DRAIN_TIMEOUT_DEFAULT_S * US_PER_S;
    return config;
}

static int build_metrics(const struct value_list *keys, struct config *config, char *error)
{
    const struct value *group = keys[KEY_METRICS_GROUP].values;
    int r = 0;

    if (keys[KEY_METRICS].n > 0)
        r = config_parse_socket_path(keys[KEY_METRICS].values, KEY_METRICS, &config->metrics,
                                     error);
    else if (group)
        r = config_refuse(error, &group->place,
                          "'metrics-group' is for the socket of 'metrics', which is missing; add "
                          "it, or remove this");
    if (r == 0 && group)
        r = config_parse_group(group, &config->metrics_group, error);
    return r;
}

static int build_root(const struct section *root, struct config *config, char *error)
{
    const struct value_list *keys = root->keys;
    int r = 0;

    if (keys[KEY_WORKERS].n > 0)
        r = config_parse_number(keys[KEY_WORKERS].values, KEY_WORKERS, 0, CONFIG_WORKERS_MAX,
                                &config->workers, error);
    if (r == 0 && keys[KEY_SQPOLL].n > 0)
        r = config_parse_bool(keys[KEY_SQPOLL].values, KEY_SQPOLL, &config->sqpoll, error);
    if (r == 0 && keys[KEY_KTLS].n > 0)
        r = config_parse_bool(keys[KEY_KTLS].values, KEY_KTLS, &config->ktls, error);
    if (r == 0 && keys[KEY_DRAIN_TIMEOUT].n > 0)
        r = config_parse_duration(keys[KEY_DRAIN_TIMEOUT].values, KEY_DRAIN_TIMEOUT,
                                  &config->drain_timeout_us, error);
    if (r == 0 && keys[KEY_NAMESERVERS].n > 0)
        r = config_parse_nameservers(&keys[KEY_NAMESERVERS], &config->nameservers, error);
    return r == 0 ? build_metrics(keys, config, error) : r;
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

static int parse_tls_settings(const struct section *section, struct tls_settings *ret, char *error)
{
    const struct value *ca_file = section->keys[KEY_CA_FILE].values;
    const struct value *version = section->keys[KEY_MIN_VERSION].values;
    const struct value *name = section->keys[KEY_VERIFY_NAME].values;

    if (ca_file && ca_file->text[0] != '/')
        return config_refuse(error, &ca_file->place, "'ca-file' takes a path that begins with '/'");
    if (version && strcmp(version->text, "1.2") != 0 && strcmp(version->text, "1.3") != 0)
        return config_refuse(error, &version->place,
                             "'min-version' takes 1.2 or 1.3; '%.60s' is "
                             "neither",
                             version->text);
    if (name && !is_host(name->text))
        return config_refuse(error, &name->place,
                             "'verify-name' takes a host name or an address; '%.60s' is neither",
                             name->text);
    *ret = (struct tls_settings){
        .ca_file = ca_file ? ca_file->text : NULL,
        .min_version = version && strcmp(version->text, "1.3") == 0 ? TLS_1_3 : TLS_1_2,
        .verify_name = name ? name->text : NULL,
    };
    return 0;
}

static int build_tls_entry(const struct section *section, struct tls_table *table, char *error)
{
    const struct value *ca_file = section->keys[KEY_CA_FILE].values;
    struct tls_entry entry = {.name = section->title, .place = section->place};
    struct tls_settings settings;
    char why[CONFIG_ERROR_MAX / 2] = "";
    int r = parse_tls_settings(section, &settings, error);

    if (r < 0)
        return r;
    r = tls_context_new(&entry.context, &settings, why, sizeof why);
    if (r < 0)
        return config_refuse(error, ca_file ? &ca_file->place : &section->place, "%s", why);
    table->entries[table->n++] = entry;
    return 0;
}

static int build_tls(const struct config_tree *tree, struct tls_table *table, char *error)
{
    table->entries = calloc(CONFIG_TLS_MAX, sizeof *table->entries);
    if (!table->entries)
        return config_fail(-ENOMEM, error, "out of memory");
    for (size_t i = 0; i < tree->n_sections; i++) {
        const struct section *section = &tree->sections[i];
        int r;

        if (section->kind != SECTION_TLS)
            continue;
        if (table->n == CONFIG_TLS_MAX)
            return config_refuse(error, &section->place, "too many tls sections; at most %d",
                                 CONFIG_TLS_MAX);
        r = build_tls_entry(section, table, error);
        if (r < 0)
            return r;
    }
    return 0;
}

int config_tls_find(const struct tls_table *table, const struct value *value,
                    struct tls_context **ret, char error[CONFIG_ERROR_MAX])
{
    for (size_t i = 0; i < table->n; i++) {
        if (strcmp(table->entries[i].name, value->text) != 0)
            continue;
        *ret = tls_context_ref(table->entries[i].context);
        return 0;
    }
    return config_refuse(error, &value->place,
                         "there is no section tls \"%.60s\"; write one, or remove this key",
                         value->text);
}

int config_tls_get_system(struct tls_table *table, const struct place *place,
                          struct tls_context **ret, char error[CONFIG_ERROR_MAX])
{
    struct tls_settings settings = {.min_version = TLS_1_2};
    char why[CONFIG_ERROR_MAX / 2] = "";
    int r = 0;

    if (!table->system)
        r = tls_context_new(&table->system, &settings, why, sizeof why);
    if (r < 0 && !place)
        return config_fail(r, error, "%s", why);
    if (r < 0)
        return config_refuse(
            error, place, "%s; install the system's CA certificates, or name a tls section", why);
    *ret = tls_context_ref(table->system);
    return 0;
}

/* Without TLS targets a rule needs no trust store, which small machines do not have. */
static bool may_use_tls(const struct rule *rule)
{
    if (rule->mode == MODE_REPORT)
        return true;
    for (size_t i = 0; i < rule->n_allow; i++) {
        if (rule->allow[i].is_any_scheme || scheme_is_tls(rule->allow[i].scheme))
            return true;
    }
    return false;
}

/* Every rule that may need one has a context: the section's, or the one with the system's trust
 * store. */
static int give_tls(struct rule *rule, struct tls_table *table, const struct place *place,
                    char *error)
{
    if (rule->tls || !may_use_tls(rule))
        return 0;
    return config_tls_get_system(table, place, &rule->tls, error);
}

static int build_rule(const struct section *section, struct tls_table *table, struct config *config,
                      char *error)
{
    struct rule *rule = &config->rules[config->n_rules];
    int r;

    config->n_rules++; /* freed with the config, whole or not */
    r = config_build_rule(section, table, rule, error);
    if (r == 0)
        r = config_build_via(section, config, rule, error);
    if (r < 0)
        return r;
    for (size_t i = 0; i < rule->n_clients; i++)
        config->needs_cgroup |= rule->clients[i].name != NULL;
    return give_tls(rule, table, &section->place, error);
}

/* Counts the sections of a kind. */
static int count_sections(const struct config_tree *tree, enum section_kind kind, size_t max,
                          size_t *ret_n, char *error)
{
    size_t n = 0;

    for (size_t i = 0; i < tree->n_sections; i++)
        if (tree->sections[i].kind == kind && ++n > max)
            return config_refuse(error, &tree->sections[i].place,
                                 "too many %s sections; at most %zu", config_section_name(kind),
                                 max);
    *ret_n = n;
    return 0;
}

static int build_proxies(const struct config_tree *tree, struct tls_table *table,
                         struct config *config, char *error)
{
    size_t n;
    int r = count_sections(tree, SECTION_PROXY, CONFIG_PROXIES_MAX, &n, error);

    if (r < 0 || n == 0)
        return r;
    config->proxies = calloc(n, sizeof *config->proxies);
    if (!config->proxies)
        return config_fail(-ENOMEM, error, "out of memory");
    for (size_t i = 0; r == 0 && i < tree->n_sections; i++)
        if (tree->sections[i].kind == SECTION_PROXY)
            r = config_build_proxy(&tree->sections[i], table, &config->proxies[config->n_proxies++],
                                   error);
    return r;
}

static int build_rules(const struct config_tree *tree, struct tls_table *table,
                       struct config *config, char *error)
{
    size_t n;
    int r = count_sections(tree, SECTION_RULE, CONFIG_RULES_MAX, &n, error);

    if (r < 0 || n == 0)
        return r;
    config->rules = calloc(n, sizeof *config->rules);
    if (!config->rules)
        return config_fail(-ENOMEM, error, "out of memory");
    for (size_t i = 0; r == 0 && i < tree->n_sections; i++)
        if (tree->sections[i].kind == SECTION_RULE)
            r = build_rule(&tree->sections[i], table, config, error);
    return r;
}

static int build(struct config **ret, const struct config_tree *tree, char *error)
{
    CLEANUP(config_unrefp) struct config *config = config_new(error);
    CLEANUP(tls_table_deinit) struct tls_table table = {0};
    int r;

    if (!config)
        return -ENOMEM;
    r = build_root(&tree->root, config, error);
    if (r == 0)
        r = build_tls(tree, &table, error);
    if (r == 0)
        r = build_proxies(tree, &table, config, error);
    if (r == 0)
        r = build_rules(tree, &table, config, error);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(config);
    return 0;
}

int config_parse(struct config **ret, const char *name, const char *text, size_t n,
                 char error[CONFIG_ERROR_MAX])
{
    CLEANUP(config_treep) struct config_tree *tree = config_tree_new();
    int r;

    if (!tree)
        return config_fail(-ENOMEM, error, "out of memory");
    if (n > CONFIG_FILE_MAX)
        return config_fail(-EINVAL, error, "%s: is larger than %d bytes; split it into drop-ins",
                           name, CONFIG_FILE_MAX);
    r = config_tree_add(tree, name, text, n, error);
    return r < 0 ? r : build(ret, tree, error);
}

int config_load(struct config **ret, const char *path, char error[CONFIG_ERROR_MAX])
{
    CLEANUP(config_treep) struct config_tree *tree = config_tree_new();
    int r;

    if (!tree)
        return config_fail(-ENOMEM, error, "out of memory");
    r = config_tree_load(tree, path, error);
    return r < 0 ? r : build(ret, tree, error);
}

int config_new_empty(struct config **ret, char error[CONFIG_ERROR_MAX])
{
    struct config *config = config_new(error);

    if (!config)
        return -ENOMEM;
    *ret = config;
    return 0;
}

static int build_user_rule(struct rule *rule, uid_t uid, char *error)
{
    CLEANUP(tls_table_deinit) struct tls_table table = {0};

    config_rule_init(rule);
    rule->name = strdup("user");
    rule->clients = calloc(1, sizeof *rule->clients);
    rule->allow = calloc(2, sizeof *rule->allow);
    if (!rule->name || !rule->clients || !rule->allow)
        return config_fail(-ENOMEM, error, "out of memory");
    rule->clients[rule->n_clients++] = (struct client_match){.kind = CLIENT_UID, .id = uid};
    pattern_init_any(&rule->allow[rule->n_allow++]);
    pattern_init_any_path(&rule->allow[rule->n_allow++]);
#define X(name, bit, text) rule->addresses |= bit;
    ADDRESS_CLASS_LIST(X)
#undef X
    return give_tls(rule, &table, NULL, error);
}

int config_new_user(struct config **ret, uid_t uid, char error[CONFIG_ERROR_MAX])
{
    CLEANUP(config_unrefp) struct config *config = NULL;
    int r;

    if (uid == IDENTITY_OVERFLOW_ID)
        return config_fail(-EINVAL, error,
                           "uid %d stands for users without a mapping; run as another "
                           "user",
                           IDENTITY_OVERFLOW_ID);
    config = config_new(error);
    if (!config)
        return -ENOMEM;
    config->rules = calloc(1, sizeof *config->rules);
    if (!config->rules)
        return config_fail(-ENOMEM, error, "out of memory");
    config->n_rules = 1;
    r = build_user_rule(config->rules, uid, error);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(config);
    return 0;
}

int config_prepare(struct config *config, struct stats_table *table, unsigned n_workers)
{
    for (size_t i = 0; i < config->n_rules; i++) {
        struct rule *rule = &config->rules[i];

        rule->stats = stats_get(table, rule->name);
        if (!rule->stats)
            return -ENOMEM;
    }
    for (size_t i = 0; i < config->n_proxies; i++) {
        struct proxy *proxy = &config->proxies[i];

        proxy->memories = calloc(n_workers, sizeof *proxy->memories);
        if (!proxy->memories)
            return -ENOMEM;
    }
    return 0;
}

struct config *config_ref(struct config *config)
{
    unsigned before = __atomic_fetch_add(&config->n_references, 1, __ATOMIC_RELAXED);

    assert(before > 0);
    return config;
}

struct config *config_unref(struct config *config)
{
    if (!config || __atomic_fetch_sub(&config->n_references, 1, __ATOMIC_ACQ_REL) > 1)
        return NULL;
    for (size_t i = 0; i < config->n_rules; i++)
        config_rule_deinit(&config->rules[i]);
    free(config->rules);
    for (size_t i = 0; i < config->n_proxies; i++)
        config_proxy_deinit(&config->proxies[i]);
    free(config->proxies);
    free(config->nameservers);
    free(config->metrics);
    free(config);
    return NULL;
}
