/* The main thread: sets everything up, then waits for signals. SIGHUP reloads the configuration,
 * SIGTERM and SIGINT drain; a second one of these ends at once.
 */
#include "daemon/daemon.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "config.h"
#include "daemon/base/clock.h"
#include "daemon/base/heap.h"
#include "daemon/conn/ktls.h"
#include "daemon/conn/seal.h"
#include "daemon/gss/gss.h"
#include "daemon/metrics_server.h"
#include "daemon/worker.h"

#define WORKERS_MAX 256

struct daemon {
    const struct daemon_options *options;
    char config_path[PATH_MAX];
    struct worker_shared shared;
    unsigned workers_wanted; /* what it was started with */
    unsigned n_planned;      /* so many workers that makes; 0: no configuration yet */
    bool has_sqpoll;
    struct stats_table *stats;
    struct sockets sockets;
    struct metrics_server *metrics; /* NULL: none */
    struct worker *workers[WORKERS_MAX];
    struct counters *counters[WORKERS_MAX];
    unsigned n_workers;
};

static void find_config_path(struct daemon *d)
{
    const struct daemon_options *o = d->options;
    const char *config_home = getenv("XDG_CONFIG_HOME");
    const char *home = getenv("HOME");

    if (o->config_path)
        snprintf(d->config_path, sizeof d->config_path, "%s", o->config_path);
    else if (!o->is_user)
        snprintf(d->config_path, sizeof d->config_path, "%s", CONFIG_PATH);
    else if (config_home && config_home[0] == '/')
        snprintf(d->config_path, sizeof d->config_path, "%s/fdial/fdiald.conf", config_home);
    else
        snprintf(d->config_path, sizeof d->config_path, "%s/.config/fdial/fdiald.conf",
                 home ? home : "");
}

/* A configuration that was asked for must be there; the usual place may be empty. */
static int find_config(struct daemon *d, struct config **ret, char error[CONFIG_ERROR_MAX])
{
    int r = config_load(ret, d->config_path, error);

    if (r != -ENOENT || d->options->config_path)
        return r;
    if (d->options->is_user)
        return config_new_user(ret, getuid(), error);
    return config_new_empty(ret, error);
}

static unsigned plan_workers(const struct config *config)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned n = config->workers;

    if (n == 0)
        n = cores > 0 ? (unsigned)cores : 1;
    return n > WORKERS_MAX ? WORKERS_MAX : n;
}

static int load_config(struct daemon *d, struct config **ret, char error[CONFIG_ERROR_MAX])
{
    struct config *config;
    int r = find_config(d, &config, error);

    if (r < 0)
        return r;
    for (size_t i = 0; i < config->n_warnings; i++)
        log_warning("%s", config->warnings[i]);
    if (config->n_rules == 0)
        log_warning("no rules, so every request is denied: write some to %s, see fdiald.conf(5)",
                    d->config_path);
    if (d->n_planned == 0)
        d->n_planned = plan_workers(config);
    r = config_prepare(config, d->stats, d->n_planned);
    if (r < 0) {
        snprintf(error, CONFIG_ERROR_MAX, "out of memory");
        config_unref(config);
        return r;
    }
    *ret = config;
    return 0;
}

static void raise_nofile(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* One that was forgotten is a hole. */
static void warn_of_reporting(const struct config *config)
{
    unsigned n = 0;

    for (size_t i = 0; i < config->n_rules; i++)
        n += config->rules[i].mode == MODE_REPORT;
    if (n > 0)
        log_warning("rules that only report, and let through what no rule allows: %u", n);
}

/* A name is easily misspelt, and such a rule allows nothing. */
static void warn_of_absent_sockets(const struct daemon *d, const struct config *config)
{
    const struct rule *first = NULL;
    unsigned n = 0;

    for (size_t i = 0; i < config->n_rules; i++) {
        const struct rule *rule = &config->rules[i];

        if (sockets_have(&d->sockets, rule->socket))
            continue;
        if (n++ == 0)
            first = rule;
    }
    if (n > 0)
        log_warning("rules for sockets that the daemon does not have: %u, first '%s' for '%s'", n,
                    first->name, first->socket ? first->socket : CONFIG_SOCKET_DEFAULT);
}

/* Their requests would be refused one by one. */
static void warn_of_missing_relays(const struct capabilities *caps, const struct config *config)
{
    const struct rule *first = NULL;
    unsigned n = 0;

    for (size_t i = 0; i < config->n_rules; i++) {
        const struct rule *rule = &config->rules[i];
        bool is_possible = (caps->can_seal || rule->seal != SEAL_REQUIRED) &&
                           (!caps->ktls_reason || !(rule->handoff & HANDOFF_KTLS));

        if (is_possible || rule->handoff & HANDOFF_RELAY || config_rule_has_unix_only(rule))
            continue;
        if (n++ == 0)
            first = rule;
    }
    if (n > 0)
        log_warning("rules whose 'handoff' lacks relay, which this kernel makes necessary: %u, "
                    "first '%s': %s",
                    n, first->name, caps->can_seal ? caps->ktls_reason : caps->seal_reason);
}

/* Compared with the start, not with the last reload. */
static void tell_what_stays(const struct daemon *d, const struct config *config)
{
    if (config->workers != d->workers_wanted)
        log_notice("'workers' takes effect after a restart");
    if (config->sqpoll != d->has_sqpoll)
        log_notice("'sqpoll' takes effect after a restart");
}

/* When this returns the old configuration decides nothing any more. */
static void hand_on(struct daemon *d)
{
    for (unsigned i = 0; i < d->n_workers; i++)
        worker_order(d->workers[i], WORKER_RELOAD);
    for (unsigned i = 0; i < d->n_workers; i++) {
        if (!worker_await_reload(d->workers[i], d->shared.config))
            log_warning("a worker is stuck and has not taken the configuration yet");
    }
}

/* Makes it so: what cannot be is said, and what there was stays. Connections do not depend on it.
 */
static void serve_metrics(struct daemon *d, const struct config *config)
{
    gid_t group = config->metrics_group;
    struct metrics_server *server = NULL;
    char error[SOCKETS_ERROR_MAX];

    if (d->metrics && config->metrics &&
        strcmp(metrics_server_path(d->metrics), config->metrics) == 0) {
        int r = metrics_server_set_group(d->metrics, group);

        if (r < 0)
            log_error("metrics-group: %s: %s", config->metrics, strerror(-r));
        return;
    }
    if (config->metrics &&
        metrics_server_new(&server, &d->shared.status, config->metrics, group, error) < 0) {
        log_error("metrics: %s", error);
        return;
    }
    metrics_server_free(d->metrics);
    d->metrics = server;
}

static void reload(struct daemon *d)
{
    char error[CONFIG_ERROR_MAX];
    struct config *config;

    sd_notify(0, "RELOADING=1");
    if (load_config(d, &config, error) < 0) {
        log_error("%s", error);
        log_error("the running configuration stays");
    } else {
        pthread_mutex_lock(&d->shared.mutex);
        config_unref(d->shared.config);
        d->shared.status.n_rules = config->n_rules;
        d->shared.config = config;
        pthread_mutex_unlock(&d->shared.mutex);
        hand_on(d);
        serve_metrics(d, config);
        log_notice("configuration reloaded");
        warn_of_reporting(config);
        warn_of_absent_sockets(d, config);
        warn_of_missing_relays(&d->shared.caps, config);
        tell_what_stays(d, config);
    }
    sd_notify(0, "READY=1");
}

static void wait_for_end(struct daemon *d, const sigset_t *signals)
{
    for (;;) {
        int signal = sigwaitinfo(signals, NULL);

        if (signal == SIGHUP)
            reload(d);
        else if (signal == SIGTERM || signal == SIGINT)
            return;
    }
}

static int start_workers(struct daemon *d)
{
    unsigned n = d->n_planned;

    d->workers_wanted = d->shared.config->workers;
    d->has_sqpoll = d->shared.config->sqpoll;
    d->shared.status = (struct status_source){.start_us = clock_now_us(),
                                              .counters = d->counters,
                                              .n_workers = n,
                                              .n_rules = d->shared.config->n_rules,
                                              .stats = d->stats};
    for (; d->n_workers < n; d->n_workers++) {
        const char *error;
        int r = worker_new(&d->workers[d->n_workers], &d->shared, d->n_workers, &error);

        if (r < 0) {
            log_error("%s: %s", error, strerror(-r));
            return r;
        }
        d->counters[d->n_workers] = worker_counters(d->workers[d->n_workers]);
    }
    for (unsigned i = 0; i < d->n_workers; i++)
        worker_order(d->workers[i], WORKER_LISTEN);
    return 0;
}

/* Returns the exit status. */
static int stop_workers(struct daemon *d)
{
    int status = EXIT_SUCCESS;

    for (unsigned i = 0; i < d->n_workers; i++)
        worker_order(d->workers[i], WORKER_DRAIN);
    for (unsigned i = 0; i < d->n_workers; i++) {
        if (worker_join(d->workers[i]) < 0)
            status = EXIT_FAILURE;
    }
    d->metrics = metrics_server_free(d->metrics); /* it reads the workers' counters */
    if (d->shared.has_broken_down) {
        sockets_close(&d->sockets);
        _exit(EXIT_FAILURE);
    }
    for (unsigned i = 0; i < d->n_workers; i++)
        d->workers[i] = worker_free(d->workers[i]);
    return status;
}

/* They are waited for. */
static void block_signals(sigset_t *ret)
{
    sigemptyset(ret);
    sigaddset(ret, SIGHUP);
    sigaddset(ret, SIGTERM);
    sigaddset(ret, SIGINT);
    pthread_sigmask(SIG_BLOCK, ret, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* From now on one of these ends the process at once. */
static void unblock_end(void)
{
    sigset_t end;

    sigemptyset(&end);
    sigaddset(&end, SIGTERM);
    sigaddset(&end, SIGINT);
    pthread_sigmask(SIG_UNBLOCK, &end, NULL);
}

static int run(struct daemon *d)
{
    char error[SOCKETS_ERROR_MAX];
    sigset_t signals;
    int status = EXIT_FAILURE;

    block_signals(&signals);
    raise_nofile();
    seal_probe(&d->shared.caps);
    ktls_probe(&d->shared.caps);
    if (!d->shared.caps.can_seal)
        log_notice("plain sockets cannot be sealed here, they are relayed: %s",
                   d->shared.caps.seal_reason);
    if (quota_table_new(&d->shared.quotas) < 0 ||
        sockets_open(&d->sockets, d->options->socket_path, d->options->is_user, error) < 0) {
        log_error("%s", d->shared.quotas ? error : "out of memory");
        quota_table_free(d->shared.quotas);
        return EXIT_FAILURE;
    }
    d->shared.sockets = &d->sockets;
    if (start_workers(d) == 0) {
        serve_metrics(d, d->shared.config);
        log_notice("version " PACKAGE_VERSION ", workers: %u, rules: %zu", d->n_workers,
                   d->shared.config->n_rules);
        warn_of_reporting(d->shared.config);
        warn_of_absent_sockets(d, d->shared.config);
        warn_of_missing_relays(&d->shared.caps, d->shared.config);
        sd_notify(0, "READY=1");
        wait_for_end(d, &signals);
        sd_notify(0, "STOPPING=1");
        status = EXIT_SUCCESS;
    }
    unblock_end();
    if (stop_workers(d) != EXIT_SUCCESS)
        status = EXIT_FAILURE;
    sockets_close(&d->sockets);
    quota_table_free(d->shared.quotas);
    return status;
}

int daemon_run(const struct daemon_options *options)
{
    struct daemon *d = calloc(1, sizeof *d);
    char error[CONFIG_ERROR_MAX];
    int status, r;

    if (!d)
        return EXIT_FAILURE;
    log_init(options->log_level);
    heap_init();
    d->options = options;
    pthread_mutex_init(&d->shared.mutex, NULL);
    find_config_path(d);
    if (stats_table_new(&d->stats) < 0 || !(d->shared.undecided = stats_get(d->stats, ""))) {
        log_error("out of memory");
        status = EXIT_FAILURE;
    } else if (!options->is_check_only && (r = gss_keeper_new(&d->shared.keeper)) < 0) {
        /* Before there are secrets. */
        log_error("cannot start the GSSAPI helper: %s", strerror(-r));
        status = EXIT_FAILURE;
    } else if (load_config(d, &d->shared.config, error) < 0) {
        log_error("%s", error);
        status = EXIT_FAILURE;
    } else if (options->is_check_only) {
        printf("%s: no error, rules: %zu\n", d->config_path, d->shared.config->n_rules);
        status = EXIT_SUCCESS;
    } else {
        status = run(d);
    }
    gss_keeper_free(d->shared.keeper);
    config_unref(d->shared.config);
    stats_put(d->shared.undecided);
    stats_table_free(d->stats);
    free(d);
    return status;
}
