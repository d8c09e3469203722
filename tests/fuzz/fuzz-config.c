/* Whatever is in a file: a configuration in which absence never means "any", or an error with a
 * place. */
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/policy/policy.h"

static void check_config(const struct config *config)
{
    static const char text[] = "https://www.example.org";
    struct identity nobody = {.uid = IDENTITY_OVERFLOW_ID, .gid = IDENTITY_OVERFLOW_ID};
    struct failure failure;
    struct target target;
    struct route route;
    const char *why;

    if (target_parse(text, sizeof text - 1, &target, &why) < 0)
        abort();
    if (policy_decide(config, &nobody, &target, NULL, HANDOFF_ALL, &route, &failure))
        abort();
    for (size_t i = 0; i < config->n_proxies; i++) {
        const struct proxy *proxy = &config->proxies[i];

        if (!proxy->name || !proxy->tls_name || proxy->tls_name[0] == '\0' ||
            (proxy->endpoint.scheme == SCHEME_UNIX ? proxy->endpoint.path[0] != '/'
                                                   : proxy->endpoint.port == 0))
            abort();
        if (proxy->http.auth.n_schemes > 0 && !proxy->credential.data)
            abort();
    }
    for (size_t i = 0; i < config->n_rules; i++) {
        const struct rule *rule = &config->rules[i];

        if (rule->n_clients == 0 || rule->n_allow == 0 || rule->addresses == 0 ||
            rule->handoff == 0 || !rule->name)
            abort();
        if (rule->n_via > PROXY_HOPS_MAX || (rule->n_via == 0 && rule->n_no_proxy > 0) ||
            (rule->n_via == 0) > rule_is_direct(rule, &target))
            abort();
        if (rule->mode == MODE_REPORT && !rule->tls)
            abort();
        for (size_t k = 0; k < rule->n_allow; k++) {
            if (!rule->tls &&
                (rule->allow[k].is_any_scheme || scheme_is_tls(rule->allow[k].scheme)))
                abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct config *config = NULL;
    char error[CONFIG_ERROR_MAX] = "";
    int r = config_parse(&config, "c", (const char *)data, n, error);

    if (r == 0)
        check_config(config);
    else if (r != -EINVAL || strncmp(error, "c:", 2) != 0 || strlen(error) < 4 || config)
        abort();
    config_unref(config);
    return 0;
}
