/* The main thread takes messages and does nothing that could block, so that a context can always be
 * forgotten; threads answer, each one question at a time. They are started as they are needed. What
 * libkrb5 is busy with cannot be stopped: a forgotten context goes when its thread comes back. So
 * that a centre which does not answer takes only some of the threads, there is a limit for each
 * service and who asks for it.
 *
 * Mechanisms lose memory (gss-ntlmssp 1.2 some 8 KB for each context). So a helper that has made
 * many contexts ends when it has none: what comes then waits in the socket for the next helper. One
 * that never has none ends all the same some time, and its contexts are lost.
 *
 * A context belongs to the table, and while is_busy also to the job that it is in. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/gss/internal.h"
#include "proto/cleanup.h"

#define HARD_LIMIT 4 /* times as many contexts */

struct context {
    struct list node;
    uint64_t id;
    struct gss_state *state;
    bool is_busy; /* there is a job */
    bool is_forgotten;
};

struct job {
    struct list node; /* waiting, or running */
    struct context *context;
    struct gss_message message; /* its texts are in the data */
    size_t n;
    uint8_t data[];
};

struct helper {
    int fd;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct list contexts;
    size_t n_contexts;
    size_t n_made;
    struct list waiting, running;
    unsigned n_threads, n_idle;
};

/* ---- what is said ---- */

static void send_reply(struct helper *h, const struct gss_message *ask, int r,
                       const struct gss_reply *reply)
{
    struct gss_message m = {.type = r < 0 ? GSS_MESSAGE_NO_ANSWER : GSS_MESSAGE_ANSWER,
                            .is_complete = reply->is_complete,
                            .id = ask->id,
                            .serial = ask->serial};
    CLEANUP(freep) uint8_t *data = NULL;
    size_t n;

    m.texts[GSS_TEXT_TOKEN] = r < 0 ? text_of(reply->why) : (struct text){reply->token, reply->n};
    if (gss_message_measure(&m, &n) < 0 || !(data = malloc(n)))
        _exit(EXIT_FAILURE); /* all questions fail then, which is better than one without end */
    gss_message_write(&m, data);
    while (send(h->fd, data, n, MSG_NOSIGNAL) < 0 && errno == EINTR)
        ;
    explicit_bzero(data, n);
}

static void refuse(struct helper *h, const struct gss_message *ask, const char *why)
{
    struct gss_reply reply = {0};

    strncpy(reply.why, why, sizeof reply.why - 1);
    send_reply(h, ask, -ENOENT, &reply);
}

/* ---- contexts and jobs; under the mutex ---- */

static struct context *find_context(struct helper *h, uint64_t id)
{
    list_for_each (&h->contexts, node) {
        struct context *c = container_of(node, struct context, node);

        if (c->id == id && !c->is_forgotten)
            return c;
    }
    return NULL;
}

static struct context *get_context(struct helper *h, uint64_t id)
{
    struct context *c = find_context(h, id);

    if (c || h->n_contexts >= 2 * GSS_CONTEXTS_MAX || !(c = calloc(1, sizeof *c)))
        return c;
    c->id = id;
    list_append(&h->contexts, &c->node);
    h->n_contexts++;
    h->n_made++;
    return c;
}

static void remove_context(struct helper *h, struct context *c)
{
    list_remove(&c->node);
    h->n_contexts--;
    gss_state_free(c->state);
    free(c);
}

static void free_job(struct job *job)
{
    explicit_bzero(job->data, job->n);
    free(job);
}

static bool is_same(const struct gss_message *a, const struct gss_message *b,
                    enum gss_message_text text)
{
    return a->texts[text].n == b->texts[text].n &&
           memcmp(a->texts[text].data, b->texts[text].data, a->texts[text].n) == 0;
}

/* What most likely waits for the same centre. */
static unsigned count_like(const struct helper *h, const struct gss_message *message)
{
    unsigned n = 0;

    list_for_each (&h->running, node) {
        const struct gss_message *other = &container_of(node, struct job, node)->message;

        n += is_same(other, message, GSS_TEXT_SERVICE) &&
             is_same(other, message, GSS_TEXT_KEYTAB) && is_same(other, message, GSS_TEXT_CCACHE);
    }
    return n;
}

static struct job *pick_job(struct helper *h)
{
    list_for_each (&h->waiting, node) {
        struct job *job = container_of(node, struct job, node);

        if (count_like(h, &job->message) >= GSS_SERVICE_THREADS)
            continue;
        list_remove(&job->node);
        list_append(&h->running, &job->node);
        return job;
    }
    return NULL;
}

/* Returns whether anybody waits for the answer. The job is in no list any more. */
static bool end_job(struct helper *h, struct job *job)
{
    struct context *c = job->context;
    bool is_forgotten = c->is_forgotten;

    list_remove(&job->node);
    c->is_busy = false;
    if (is_forgotten)
        remove_context(h, c);
    pthread_cond_broadcast(&h->changed); /* there is one less of its service */
    return !is_forgotten;
}

/* ---- threads ---- */

struct worker {
    struct helper *helper;
    unsigned lane;
};

static void answer(struct helper *h, struct job *job, unsigned lane)
{
    struct gss_reply reply = {0};
    int r = gss_state_answer(&job->context->state, &job->message, lane, &reply);
    bool is_wanted;

    pthread_mutex_lock(&h->mutex);
    is_wanted = end_job(h, job);
    pthread_mutex_unlock(&h->mutex);
    if (is_wanted)
        send_reply(h, &job->message, r, &reply);
    if (reply.token)
        explicit_bzero(reply.token, reply.n);
    free(reply.token);
    free_job(job);
}

static void *work(void *data)
{
    struct worker w = *(struct worker *)data;
    struct helper *h = w.helper;
    struct job *job;

    free(data);
    pthread_mutex_lock(&h->mutex);
    for (;;) {
        while (!(job = pick_job(h))) {
            h->n_idle++;
            pthread_cond_wait(&h->changed, &h->mutex);
            h->n_idle--;
        }
        pthread_mutex_unlock(&h->mutex);
        answer(h, job, w.lane);
        pthread_mutex_lock(&h->mutex);
    }
    return NULL;
}

static void start_thread(struct helper *h)
{
    struct worker *w = malloc(sizeof *w);
    pthread_attr_t attributes;
    pthread_t thread;

    if (!w)
        return;
    *w = (struct worker){h, h->n_threads};
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    if (pthread_create(&thread, &attributes, work, w) == 0)
        h->n_threads++;
    else
        free(w);
    pthread_attr_destroy(&attributes);
}

/* ---- messages ---- */

static size_t count(const struct list *list)
{
    size_t n = 0;

    list_for_each (list, node)
        n++;
    return n;
}

/* Returns why not, or NULL. The job is taken. */
static const char *add_job(struct helper *h, struct job *job)
{
    struct context *c = get_context(h, job->message.id);

    if (!c || c->is_busy)
        return c ? "the context is busy" : "there are too many contexts";
    job->context = c;
    c->is_busy = true;
    list_append(&h->waiting, &job->node);
    if (count(&h->waiting) > h->n_idle && h->n_threads < GSS_THREADS_MAX)
        start_thread(h);
    if (h->n_threads == 0) {
        list_remove(&job->node);
        remove_context(h, c);
        return "no thread can be started";
    }
    pthread_cond_broadcast(&h->changed);
    return NULL;
}

static void ask(struct helper *h, const uint8_t *data, size_t n)
{
    struct job *job = malloc(sizeof *job + n);
    const char *why;

    if (!job)
        _exit(EXIT_FAILURE);
    *job = (struct job){.n = n};
    memcpy(job->data, data, n);
    gss_message_read(job->data, n, &job->message);
    pthread_mutex_lock(&h->mutex);
    why = add_job(h, job);
    pthread_mutex_unlock(&h->mutex);
    if (!why)
        return;
    refuse(h, &job->message, why);
    free_job(job);
}

static void forget(struct helper *h, uint64_t id)
{
    struct context *c;

    pthread_mutex_lock(&h->mutex);
    c = find_context(h, id);
    if (c)
        c->is_forgotten = true;
    list_for_each (&h->waiting, node) {
        struct job *job = container_of(node, struct job, node);

        if (job->context != c)
            continue;
        list_remove(&job->node);
        free_job(job);
        c->is_busy = false;
    }
    if (c && !c->is_busy)
        remove_context(h, c);
    pthread_mutex_unlock(&h->mutex);
}

static void end_if_old(struct helper *h)
{
    pthread_mutex_lock(&h->mutex);
    if (h->n_made >= GSS_HELPER_CONTEXTS && h->n_contexts == 0)
        _exit(GSS_EXIT_RETIRED);
    if (h->n_made >= HARD_LIMIT * GSS_HELPER_CONTEXTS)
        _exit(EXIT_FAILURE);
    pthread_mutex_unlock(&h->mutex);
}

void gss_helper_run(int fd)
{
    struct helper h = {.fd = fd};
    uint8_t *data = malloc(GSS_MESSAGE_MAX);
    struct gss_message m;
    ssize_t n;

    pthread_mutex_init(&h.mutex, NULL);
    pthread_cond_init(&h.changed, NULL);
    list_init(&h.contexts);
    list_init(&h.waiting);
    list_init(&h.running);
    while (data && (n = recv(fd, data, GSS_MESSAGE_MAX, 0)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 || gss_message_read(data, (size_t)n, &m) < 0)
            break;
        if (m.type == GSS_MESSAGE_ASK)
            ask(&h, data, (size_t)n);
        else if (m.type == GSS_MESSAGE_FORGET)
            forget(&h, m.id);
        explicit_bzero(data, (size_t)n);
        end_if_old(&h);
    }
    _exit(EXIT_SUCCESS); /* with threads that use what is on this stack */
}
