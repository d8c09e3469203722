/* status: the daemon's state as "key=value" lines, or as metrics. The text is made at once and sent
 * in several messages where it is long: one after the other, because messages that are with the
 * kernel at the same time may change places. It is charged to the user like a message. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "daemon/base/clock.h"
#include "daemon/front/metrics.h"
#include "daemon/front/report.h"

#define ANSWER_CHUNK_MAX (32 * 1024) /* bytes of text in one message */

struct answer {
    uint64_t id;
    bool is_metrics;
    struct charge charge; /* n bytes */
    char *text;
    size_t n, next;
};

static void put_number(FILE *to, const char *key, uint64_t value)
{
    fprintf(to, "%s=%" PRIu64 "\n", key, value);
}

static void put_counters(FILE *to, const struct status_source *status)
{
#define X(name, metric, help)                                                                      \
    put_number(                                                                                    \
        to, #name,                                                                                 \
        counters_sum(status->counters, status->n_workers, offsetof(struct counters, name)));
    COUNTER_LIST(X)
#undef X
}

static void put_failures(FILE *to, const char *prefix, struct stats *stats)
{
    for (enum stage stage = 1; stage <= STATS_STAGES; stage++) {
        for (size_t i = 0; i < STATS_CODES; i++) {
            uint64_t n = stats_failed(stats, stage, i);

            if (n > 0)
                fprintf(to, "%sfailed_%s_%s=%" PRIu64 "\n", prefix, stage_name(stage),
                        error_name(stats_code(i)), n);
        }
    }
}

static void put_total(FILE *to, struct stats *total)
{
    put_number(to, "requests",
               stats_value(total, STAT_UNDECIDED) + stats_value(total, STAT_ALLOWED) +
                   stats_value(total, STAT_DENIED));
    for (enum stats_key stat = 0; stat < STAT_COUNT; stat++)
        put_number(to, stats_key_name(stat), stats_value(total, stat));
    for (enum stage stage = 1; stage <= STATS_STAGES; stage++) {
        uint64_t sum = 0;

        for (size_t i = 0; i < STATS_CODES; i++)
            sum += stats_failed(total, stage, i);
        fprintf(to, "failed_%s=%" PRIu64 "\n", stage_name(stage), sum);
    }
    put_failures(to, "", total);
}

/* What is not zero. */
static void put_rule(FILE *to, struct stats *stats)
{
    char prefix[CONFIG_TITLE_MAX + 16];

    if (stats->rule[0])
        snprintf(prefix, sizeof prefix, "rule:%s:", stats->rule);
    else
        snprintf(prefix, sizeof prefix, "no_rule:");
    for (enum stats_key stat = 0; stat < STAT_COUNT; stat++) {
        if (stats_value(stats, stat) > 0)
            fprintf(to, "%s%s=%" PRIu64 "\n", prefix, stats_key_name(stat),
                    stats_value(stats, stat));
    }
    put_failures(to, prefix, stats);
}

static int put_rules(FILE *to, const struct status_source *status)
{
    struct stats **list;
    struct stats total;
    ssize_t n = stats_table_list(status->stats, &list, &total);

    if (n < 0)
        return (int)n;
    put_total(to, &total);
    for (ssize_t i = 0; i < n; i++)
        put_rule(to, list[i]);
    stats_list_free(list, (size_t)n);
    return 0;
}

/* A line for each cipher: in which directions it works. */
static void put_kernel(FILE *to, const struct capabilities *caps, bool is_ktls_off)
{
    static const char *const directions[] = {"no", "tx", "rx", "tx,rx"};

    fprintf(to, "seal=%s\n", caps->can_seal ? "yes" : caps->seal_reason);
    fprintf(to, "ktls=%s\n",
            caps->ktls_reason ? caps->ktls_reason
            : is_ktls_off     ? "switched off in the configuration"
                              : "yes");
    for (enum tls_kernel_cipher cipher = 0; cipher < TLS_KERNEL_CIPHERS; cipher++) {
        unsigned tx = caps->kernel_tx >> cipher & 1, rx = caps->kernel_rx >> cipher & 1;

        fprintf(to, "ktls_%s=%s\n", tls_kernel_cipher_name(cipher), directions[tx | rx << 1]);
    }
}

static int render_lines(const struct peer *peer, char **ret_text, size_t *ret_n)
{
    const struct front *front = peer->front;
    const struct status_source *status = front->status;
    const struct ring_features *features = ring_features(front->env.ring);
    char *text = NULL;
    FILE *to = open_memstream(&text, ret_n);
    int r = 0;

    if (!to)
        return -ENOMEM;
    fprintf(to, "version=%s\n", PACKAGE_VERSION);
    put_number(to, "uptime_seconds", (ring_now_us(front->env.ring) - status->start_us) / US_PER_S);
    put_number(to, "workers", status->n_workers);
    put_kernel(to, front->env.caps, !front->config->ktls);
    fprintf(to, "ring_setsockopt=%s\n", features->has_setsockopt ? "yes" : "no");
    put_number(to, "ring_entries", features->entries);
    if (report_may_tell_all(peer)) {
        put_number(to, "rules", front->config->n_rules);
        put_counters(to, status);
        put_number(to, "quota_accounts_now", quota_table_count(front->quotas));
        r = put_rules(to, status);
    }
    if (fclose(to) != 0 || r < 0) {
        free(text);
        return -ENOMEM;
    }
    *ret_text = text;
    return 0;
}

static struct answer *answer_free(struct answer *a)
{
    charge_deinit(&a->charge);
    free(a->text);
    free(a);
    return NULL;
}

/* As much as one message takes. */
static size_t put_chunk(struct wire_writer *w, struct answer *a)
{
    if (a->is_metrics) {
        size_t n = a->n - a->next < ANSWER_CHUNK_MAX ? a->n - a->next : ANSWER_CHUNK_MAX;

        wire_put_bytes(w, ATTR_TEXT, a->text + a->next, n);
        a->next += n;
    }
    while (a->next < a->n && w->length < ANSWER_CHUNK_MAX && !a->is_metrics) {
        const char *line = a->text + a->next;
        size_t n = strcspn(line, "\n");

        wire_put_bytes(w, ATTR_STAT, line, n);
        a->next += n + 1;
    }
    return a->n - a->next;
}

static void sent(struct outgoing *out, int res);

static void send_next(struct peer *peer, struct answer *a)
{
    struct front *front = peer->front;
    struct outgoing *out;
    struct wire_writer w;
    size_t left;

    wire_begin(&w, front->scratch, sizeof front->scratch, WIRE_STATUS_REPLY, a->id);
    left = put_chunk(&w, a);
    if (left > 0)
        wire_put_u8(&w, ATTR_MORE, 1);
    if (wire_end(&w) < 0)
        assert(false);
    out = outgoing_new(peer, front->scratch, w.length, 0);
    if (!out) {
        answer_free(a);
        peer_close(peer);
        return;
    }
    if (left > 0) {
        out->owner = a;
        out->sent = sent;
    } else {
        answer_free(a);
    }
    peer_send(out);
}

static void sent(struct outgoing *out, int res)
{
    if (res < 0 || out->peer->is_failing)
        answer_free(out->owner);
    else
        send_next(out->peer, out->owner);
}

/* NULL without memory or quota. */
static struct answer *answer_new(struct peer *peer, uint64_t id, bool is_metrics)
{
    struct answer *a = calloc(1, sizeof *a);
    int r;

    if (!a)
        return NULL;
    a->id = id;
    a->is_metrics = is_metrics;
    r = is_metrics ? metrics_render(peer->front->status, report_may_tell_all(peer), &a->text, &a->n)
                   : render_lines(peer, &a->text, &a->n);
    a->charge.quota = quota_ref(peer->charge.quota);
    if (r == 0 && charge_add(&a->charge, QUOTA_OUTGOING, (unsigned)a->n, OUTGOING_PER_USER_MAX))
        return a;
    return answer_free(a);
}

void report_status(struct peer *peer, const struct wire_head *head, struct wire_reader reader)
{
    struct message_status message;
    struct answer *a = NULL;
    const char *error;

    if (message_decode_status(reader, &message, &error) < 0) {
        peer_fail(peer, ERROR_BAD_MESSAGE, error);
        return;
    }
    if (peer_has_room(peer))
        a = answer_new(peer, head->id, message.format == STATUS_OPENMETRICS);
    if (a)
        send_next(peer, a);
    else
        peer_close(peer);
}
