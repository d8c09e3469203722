/* `rule` sections to struct rule. What a key's absence means is in config_rule_init and build_…: it
 * is never "any". */
#include "daemon/policy/config_tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/address.h"
#include "proto/cleanup.h"
#include "proto/message.h"

static const struct config_word address_words[] = {
#define X(name, bit, text) {text, bit},
    ADDRESS_CLASS_LIST(X)
#undef X
};

static const struct config_word handoff_words[] = {
    {"tcp", HANDOFF_TCP},
    {"ktls", HANDOFF_KTLS},
    {"relay", HANDOFF_RELAY},
};

static const struct config_word seal_words[] = {
    {"required", SEAL_REQUIRED},
    {"off", SEAL_OFF},
};

static const struct config_word mode_words[] = {
    {"enforce", MODE_ENFORCE},
    {"report", MODE_REPORT},
};

static int build_clients(const struct section *section, struct rule *rule, char *error)
{
    const struct value_list *list = &section->keys[KEY_CLIENT];

    if (list->n == 0)
        return config_refuse(
            error, &section->place,
            "rule '%s' has no 'client' and would be for nobody; write who it is for",
            section->title);
    rule->clients = calloc(list->n, sizeof *rule->clients);
    if (!rule->clients)
        return config_fail(-ENOMEM, error, "out of memory");
    for (; rule->n_clients < list->n; rule->n_clients++) {
        int r = config_parse_client(&list->values[rule->n_clients], &rule->clients[rule->n_clients],
                                    error);

        if (r < 0)
            return r;
    }
    return 0;
}

static int build_patterns(const struct value_list *list, struct pattern **ret, size_t *ret_n,
                          char *error)
{
    if (list->n == 0)
        return 0;
    *ret = calloc(list->n, sizeof **ret);
    if (!*ret)
        return config_fail(-ENOMEM, error, "out of memory");
    for (; *ret_n < list->n; (*ret_n)++) {
        const struct value *value = &list->values[*ret_n];
        const char *why;
        int r = pattern_parse(value->text, *ret + *ret_n, &why);

        if (r == -EINVAL)
            return config_refuse(error, &value->place, "bad pattern '%.100s': %s", value->text,
                                 why);
        if (r < 0)
            return config_fail(r, error, "out of memory");
    }
    return 0;
}

static int build_socket(const struct section *section, struct rule *rule, char *error)
{
    const struct value_list *list = &section->keys[KEY_SOCKET];
    const char *name;

    if (list->n == 0)
        return 0;
    name = list->values[0].text;
    if (name[0] == '\0' || strlen(name) > CONFIG_SOCKET_MAX || strchr(name, ':'))
        return config_refuse(error, &list->values[0].place,
                             "'socket' takes the FileDescriptorName= of a socket unit: 1 to %d "
                             "characters without ':'",
                             CONFIG_SOCKET_MAX);
    if (strcmp(name, CONFIG_SOCKET_DEFAULT) == 0)
        return 0;
    rule->socket = strdup(name);
    return rule->socket ? 0 : config_fail(-ENOMEM, error, "out of memory");
}

static int build_tls(const struct section *section, struct tls_table *table, struct rule *rule,
                     char *error)
{
    const struct value *value = config_find_value(section, KEY_TLS);

    return value ? config_tls_find(table, value, TLS_USE_ORIGIN, &rule->tls, error) : 0;
}

static int build_limits(const struct section *section, struct rule *rule, char *error)
{
    const struct value_list *keys = section->keys;
    int r = 0;

    if (keys[KEY_MAX_PENDING].n > 0)
        r = config_parse_number(keys[KEY_MAX_PENDING].values, KEY_MAX_PENDING, 1,
                                CONFIG_PENDING_MAX, &rule->max_pending, error);
    if (r == 0 && keys[KEY_MAX_RELAYS].n > 0)
        r = config_parse_number(keys[KEY_MAX_RELAYS].values, KEY_MAX_RELAYS, 1, CONFIG_RELAYS_MAX,
                                &rule->max_relays, error);
    if (r == 0 && keys[KEY_MAX_RATE].n > 0)
        r = config_parse_rate(keys[KEY_MAX_RATE].values, KEY_MAX_RATE, &rule->max_rate, error);
    if (r == 0 && keys[KEY_IDLE_TIMEOUT].n > 0)
        r = config_parse_duration(keys[KEY_IDLE_TIMEOUT].values, KEY_IDLE_TIMEOUT,
                                  &rule->idle_timeout_us, error);
    if (r == 0 && keys[KEY_MAX_LIFETIME].n > 0)
        r = config_parse_duration(keys[KEY_MAX_LIFETIME].values, KEY_MAX_LIFETIME,
                                  &rule->max_lifetime_us, error);
    return r;
}

static int build_targets(const struct section *section, struct rule *rule, char *error)
{
    int r;

    if (section->keys[KEY_ALLOW].n == 0)
        return config_refuse(
            error, &section->place,
            "rule '%s' has no 'allow' and would allow nothing; write what it allows",
            section->title);
    r = build_patterns(&section->keys[KEY_ALLOW], &rule->allow, &rule->n_allow, error);
    if (r < 0)
        return r;
    return build_patterns(&section->keys[KEY_DENY], &rule->deny, &rule->n_deny, error);
}

static int build_permissions(const struct section *section, struct rule *rule, char *error)
{
    const struct value_list *seal = &section->keys[KEY_SEAL];
    const struct value_list *mode = &section->keys[KEY_MODE];
    const struct value_list *source = &section->keys[KEY_SOURCE];
    unsigned word = 0;
    int r = config_parse_mask(
        &section->keys[KEY_ADDRESSES], KEY_ADDRESSES, address_words, ARRAY_SIZE(address_words),
        "public, private, loopback, link-local and host", &rule->addresses, error);

    if (r == 0)
        r = config_parse_mask(&section->keys[KEY_HANDOFF], KEY_HANDOFF, handoff_words,
                              ARRAY_SIZE(handoff_words), "tcp, ktls and relay", &rule->handoff,
                              error);
    if (r == 0 && source->n > 0)
        r = config_parse_source(source->values, &rule->source, error);
    if (r == 0 && seal->n > 0) {
        r = config_parse_word(seal->values, KEY_SEAL, seal_words, ARRAY_SIZE(seal_words),
                              "required or off", &word, error);
        rule->seal = (enum seal)word;
    }
    if (r == 0 && mode->n > 0) {
        r = config_parse_word(mode->values, KEY_MODE, mode_words, ARRAY_SIZE(mode_words),
                              "enforce or report", &word, error);
        rule->mode = (enum mode)word;
    }
    return r;
}

int config_build_rule(const struct section *section, struct tls_table *table, struct rule *ret,
                      char error[CONFIG_ERROR_MAX])
{
    int r;

    config_rule_init(ret);
    ret->name = strdup(section->title);
    if (!ret->name)
        return config_fail(-ENOMEM, error, "out of memory");
    r = build_clients(section, ret, error);
    if (r == 0)
        r = build_targets(section, ret, error);
    if (r == 0)
        r = build_socket(section, ret, error);
    if (r == 0)
        r = build_permissions(section, ret, error);
    if (r == 0)
        r = build_limits(section, ret, error);
    if (r == 0)
        r = build_tls(section, table, ret, error);
    return r;
}

void config_rule_init(struct rule *rule)
{
    *rule = (struct rule){
        .addresses = ADDRESS_CLASS_PUBLIC,
        .handoff = HANDOFF_ALL,
        .seal = SEAL_REQUIRED,
        .mode = MODE_ENFORCE,
        .max_pending = CONFIG_PENDING_DEFAULT,
        .max_relays = CONFIG_RELAYS_DEFAULT,
    };
}

static void free_patterns(struct pattern *patterns, size_t n)
{
    for (size_t i = 0; i < n; i++)
        pattern_deinit(&patterns[i]);
    free(patterns);
}

void config_rule_deinit(struct rule *rule)
{
    free_patterns(TAKE_PTR(rule->allow), rule->n_allow);
    free_patterns(TAKE_PTR(rule->deny), rule->n_deny);
    free_patterns(TAKE_PTR(rule->no_proxy), rule->n_no_proxy);
    for (size_t i = 0; i < rule->n_clients; i++)
        free(rule->clients[i].name);
    free(TAKE_PTR(rule->clients));
    free(TAKE_PTR(rule->name));
    free(TAKE_PTR(rule->socket));
    free(TAKE_PTR(rule->source));
    rule->tls = tls_context_retire(rule->tls);
    rule->stats = stats_put(rule->stats);
}
