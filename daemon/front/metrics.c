/* One text for two readers. OpenMetrics wants a counter declared without the _total that its
 * samples have, the older format (which `promtool check metrics` reads) declared under the name of
 * its samples: a typed counter is an error in one of them or lacks its HELP there. So counters are
 * declared without a type, which is "unknown" in the one and "untyped" in the other; Prometheus
 * does not use the type of a counter. Gauges are the same in both.
 *
 * Workers' counters are summed; what became of requests is told by rule, "" where none decided.
 * Failures are told only where there were some: there are hundreds of stages and codes. */
#include "daemon/front/metrics.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "config.h"
#include "daemon/base/clock.h"
#include "proto/cleanup.h"

static void put_family(FILE *to, const char *name, const char *help)
{
    static const char total[] = "_total";
    size_t n = strlen(name);

    fprintf(to, "# HELP %s %s\n", name, help);
    if (n < sizeof total || strcmp(name + n - (sizeof total - 1), total) != 0)
        fprintf(to, "# TYPE %s gauge\n", name);
}

static void put_metric(FILE *to, const char *name, const char *help, uint64_t value)
{
    put_family(to, name, help);
    fprintf(to, "%s %" PRIu64 "\n", name, value);
}

/* As both formats want it. */
static void put_label(FILE *to, const char *name, const char *value)
{
    fprintf(to, "%s=\"", name);
    for (; *value; value++) {
        if (*value == '\n')
            fputs("\\n", to);
        else
            fprintf(to, *value == '"' || *value == '\\' ? "\\%c" : "%c", *value);
    }
    fputc('"', to);
}

/* Linux 6.2 and later tell the number as the size of the directory. */
static uint64_t count_fds(void)
{
    struct stat st;
    uint64_t n = 0;
    DIR *dir;

    if (stat("/proc/self/fd", &st) == 0 && st.st_size > 0)
        return (uint64_t)st.st_size;
    dir = opendir("/proc/self/fd");
    if (!dir)
        return 0;
    while (readdir(dir))
        n++;
    closedir(dir);
    return n > 3 ? n - 3 : 0; /* ".", "..", and the directory itself */
}

static void put_process(FILE *to, const struct status_source *source)
{
    struct rlimit limit;

    put_metric(to, "fdial_workers", "Worker threads.", source->n_workers);
    put_metric(to, "fdial_rules", "Rules in the configuration.",
               atomic_load_explicit(&source->n_rules, memory_order_relaxed));
    put_metric(to, "fdial_open_fds", "Open file descriptors.", count_fds());
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        put_metric(to, "fdial_max_fds", "The limit of open file descriptors.", limit.rlim_cur);
}

static void put_counters(FILE *to, const struct status_source *source)
{
#define X(name, metric, help)                                                                      \
    put_metric(                                                                                    \
        to, metric, help,                                                                          \
        counters_sum(source->counters, source->n_workers, offsetof(struct counters, name)));
    COUNTER_LIST(X)
#undef X
}

/* A family is a run of enum stats_key, whose keys are a prefix and the label's value. */
static const struct family {
    const char *name;
    const char *help;
    const char *label; /* NULL: none */
    const char *prefix;
    enum stats_key first, last;
} families[] = {
    {"fdial_requests_total", "Requests, by what was decided.", "decision", "requests_",
     STAT_UNDECIDED, STAT_DENIED},
    {"fdial_connections_total", "Connections handed over.", "handoff", "connected_",
     STAT_CONNECTED_TCP, STAT_CONNECTED_RELAY},
    {"fdial_tls_resumed_total", "Connections whose TLS session with the target was resumed.", NULL,
     "", STAT_TLS_RESUMED, STAT_TLS_RESUMED},
    {"fdial_relays_ended_total", "Relays that have ended, by how.", "end", "relays_",
     STAT_RELAYS_CLEAN, STAT_RELAYS_LIFETIME},
    {"fdial_relay_sent_bytes_total", "Bytes sent by relays that have ended.", NULL, "",
     STAT_RELAY_BYTES_SENT, STAT_RELAY_BYTES_SENT},
    {"fdial_relay_received_bytes_total", "Bytes received by relays that have ended.", NULL, "",
     STAT_RELAY_BYTES_RECEIVED, STAT_RELAY_BYTES_RECEIVED},
};

static void put_samples(FILE *to, const struct family *family, struct stats *stats)
{
    for (enum stats_key stat = family->first; stat <= family->last; stat++) {
        fprintf(to, "%s{", family->name);
        put_label(to, "rule", stats->rule);
        if (family->label) {
            fputc(',', to);
            put_label(to, family->label, stats_key_name(stat) + strlen(family->prefix));
        }
        fprintf(to, "} %" PRIu64 "\n", stats_value(stats, stat));
    }
}

static void put_failures(FILE *to, struct stats *stats)
{
    for (enum stage stage = 1; stage <= STATS_STAGES; stage++) {
        for (size_t i = 0; i < STATS_CODES; i++) {
            uint64_t n = stats_failed(stats, stage, i);

            if (n == 0)
                continue;
            fputs("fdial_requests_failed_total{", to);
            put_label(to, "rule", stats->rule);
            fprintf(to, ",stage=\"%s\",code=\"%s\"} %" PRIu64 "\n", stage_name(stage),
                    error_name(stats_code(i)), n);
        }
    }
}

static int put_rules(FILE *to, const struct status_source *source)
{
    struct stats **list;
    struct stats total;
    ssize_t n = stats_table_list(source->stats, &list, &total);

    if (n < 0)
        return (int)n;
    for (size_t f = 0; f < ARRAY_SIZE(families); f++) {
        put_family(to, families[f].name, families[f].help);
        for (ssize_t i = 0; i < n; i++)
            put_samples(to, &families[f], list[i]);
    }
    put_family(to, "fdial_requests_failed_total",
               "Requests that failed or were denied, by where and why.");
    for (ssize_t i = 0; i < n; i++)
        put_failures(to, list[i]);
    stats_list_free(list, (size_t)n);
    return 0;
}

int metrics_render(const struct status_source *source, bool has_counters, char **ret_text,
                   size_t *ret_n)
{
    char *text = NULL;
    size_t n = 0;
    FILE *to = open_memstream(&text, &n);
    int r = 0;

    if (!to)
        return -ENOMEM;
    put_family(to, "fdial_build_info", "What runs.");
    fputs("fdial_build_info{", to);
    put_label(to, "version", PACKAGE_VERSION);
    fputs("} 1\n", to);
    put_family(to, "fdial_uptime_seconds", "Since the start.");
    fprintf(to, "# UNIT fdial_uptime_seconds seconds\nfdial_uptime_seconds %" PRIu64 "\n",
            (clock_now_us() - source->start_us) / US_PER_S);
    if (has_counters) {
        put_process(to, source);
        put_counters(to, source);
        r = put_rules(to, source);
    }
    fputs("# EOF\n", to);
    if (fclose(to) != 0 || r < 0) {
        free(text);
        return -ENOMEM;
    }
    *ret_text = text;
    *ret_n = n;
    return 0;
}
