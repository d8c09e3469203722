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
    return config_tls_get_system(table, place, TLS_USE_ORIGIN, &rule->tls, error);
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

static int build_proxies(const struct config_tree *tree, struct tls_table *table,
                         struct config *config, char *error)
{
    size_t n;
    int r = config_count_sections(tree, SECTION_PROXY, CONFIG_PROXIES_MAX, &n, error);

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
    int r = config_count_sections(tree, SECTION_RULE, CONFIG_RULES_MAX, &n, error);

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
    CLEANUP(config_tls_deinit) struct tls_table table = {.config = config};
    int r;

    if (!config)
        return -ENOMEM;
    r = build_root(&tree->root, config, error);
    if (r == 0)
        r = config_build_tls(tree, &table, error);
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
    CLEANUP(config_tls_deinit) struct tls_table table = {0};

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
    for (size_t i = 0; i < config->n_warnings; i++)
        free(config->warnings[i]);
    free(config->warnings);
    free(config->rules);
    for (size_t i = 0; i < config->n_proxies; i++)
        config_proxy_deinit(&config->proxies[i]);
    free(config->proxies);
    free(config->nameservers);
    free(config->metrics);
    free(config);
    return NULL;
}
