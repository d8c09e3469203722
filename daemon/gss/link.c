/* One receive is always in flight, and one send while there is something to say. A context that
 * waits is in the link's list; its question is in the outbox, or with the helper. A message is
 * wiped and freed when it has gone out. Answers are found by the context's id and the question's
 * number, so that one that comes too late is nobody's.
 *
 * A link is two, to a helper each: gss-ntlmssp is the weaker reader of what proxies say, and what
 * it brings down with it must be nobody's but NTLM's. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/gss/internal.h"
#include "proto/cleanup.h"

struct packet {
    struct list node;
    uint64_t id;
    bool is_question;
    size_t n;
    uint8_t data[];
};

struct gss_link {
    struct gss_link *ntlm; /* the second one; NULL in it */
    struct ring *ring;
    int fd;
    bool is_stopped;
    bool is_dead; /* there is no keeper any more */
    struct op recv_op, send_op;
    struct list waiting; /* contexts */
    struct list outbox;
    struct packet *sending;
    size_t n_contexts, n_packets;
    uint64_t last_id;
    uint8_t in[GSS_MESSAGE_MAX];
};

/* ---- what is said ---- */

static void free_packet(struct gss_link *link, struct packet *packet)
{
    if (!packet)
        return;
    link->n_packets--;
    explicit_bzero(packet->data, packet->n);
    free(packet);
}

static void send_next(struct gss_link *link)
{
    struct list *node;

    if (link->sending || link->is_stopped || link->is_dead || !(node = list_pop(&link->outbox)))
        return;
    link->sending = container_of(node, struct packet, node);
    ring_send(link->ring, &link->send_op, link->fd, link->sending->data, link->sending->n, 0);
}

/* Where it fails, the receive tells. */
static void was_sent(struct op *op, int res, uint32_t flags)
{
    struct gss_link *link = container_of(op, struct gss_link, send_op);

    (void)res, (void)flags;
    free_packet(link, link->sending);
    link->sending = NULL;
    send_next(link);
}

static int say(struct gss_link *link, const struct gss_message *message)
{
    struct packet *packet;
    size_t n;
    int r = gss_message_measure(message, &n);

    if (r < 0 || link->is_dead)
        return r < 0 ? r : -ENOTCONN;
    packet = malloc(sizeof *packet + n);
    if (!packet)
        return -ENOMEM;
    *packet =
        (struct packet){.id = message->id, .is_question = message->type == GSS_MESSAGE_ASK, .n = n};
    gss_message_write(message, packet->data);
    list_append(&link->outbox, &packet->node);
    link->n_packets++;
    send_next(link);
    return 0;
}

static bool take_back(struct gss_link *link, uint64_t id)
{
    list_for_each (&link->outbox, node) {
        struct packet *packet = container_of(node, struct packet, node);

        if (packet->id != id || !packet->is_question)
            continue;
        list_remove(&packet->node);
        free_packet(link, packet);
        return true;
    }
    return false;
}

/* ---- what is answered ---- */

static void call_back(struct gss_context *c, const struct gss_answer *answer, const char *why)
{
    list_remove(&c->node);
    c->is_waiting = false;
    c->fn(c, answer, why);
}

/* Only what waits now: who is called may ask again. */
static void fail_all(struct gss_link *link, const char *why)
{
    struct list waiting, *node;

    list_move(&link->waiting, &waiting);
    while ((node = list_pop(&waiting)) != NULL) {
        struct gss_context *c = container_of(node, struct gss_context, node);

        take_back(link, c->id);
        call_back(c, NULL, why);
    }
}

static struct gss_context *find(struct gss_link *link, uint64_t id, uint32_t serial)
{
    list_for_each (&link->waiting, node) {
        struct gss_context *c = container_of(node, struct gss_context, node);

        if (c->id == id && c->n_asked == serial)
            return c;
    }
    return NULL;
}

static void take_message(struct gss_link *link, const struct gss_message *m)
{
    struct gss_answer answer = {m->texts[GSS_TEXT_TOKEN], m->is_complete != 0};
    struct gss_context *c = find(link, m->id, m->serial);

    if (m->type == GSS_MESSAGE_GONE)
        fail_all(link, "the process that speaks GSSAPI has died");
    else if (c && m->type == GSS_MESSAGE_ANSWER)
        call_back(c, &answer, NULL);
    else if (c && m->type == GSS_MESSAGE_NO_ANSWER)
        call_back(c, NULL, answer.token.data);
}

static void die(struct gss_link *link)
{
    link->is_dead = true;
    fail_all(link, "the processes for GSSAPI are gone: fdiald has to be restarted");
}

static void receive(struct gss_link *link)
{
    ring_recv(link->ring, &link->recv_op, link->fd, link->in, sizeof link->in, 0);
}

static void received(struct op *op, int res, uint32_t flags)
{
    struct gss_link *link = container_of(op, struct gss_link, recv_op);
    struct gss_message m;

    (void)flags;
    if (link->is_stopped)
        return;
    if (res <= 0 || gss_message_read(link->in, (size_t)res, &m) < 0) {
        die(link);
        return;
    }
    take_message(link, &m);
    explicit_bzero(link->in, (size_t)res);
    if (!link->is_stopped)
        receive(link);
}

/* ---- the link ---- */

static int connect_one(struct gss_link **ret, struct ring *ring, struct gss_keeper *keeper)
{
    CLEANUP(freep) struct gss_link *link = calloc(1, sizeof *link);

    if (!link)
        return -ENOMEM;
    link->ring = ring;
    list_init(&link->waiting);
    list_init(&link->outbox);
    op_init(&link->recv_op, received);
    op_init(&link->send_op, was_sent);
    link->fd = gss_keeper_connect(keeper);
    if (link->fd < 0)
        return link->fd;
    *ret = TAKE_PTR(link);
    return 0;
}

int gss_link_new(struct gss_link **ret, struct ring *ring, struct gss_keeper *keeper)
{
    struct gss_link *link;
    int r = connect_one(&link, ring, keeper);

    if (r < 0)
        return r;
    r = connect_one(&link->ntlm, ring, keeper);
    if (r < 0) {
        gss_link_free(link);
        return r;
    }
    receive(link);
    receive(link->ntlm);
    *ret = link;
    return 0;
}

void gss_link_stop(struct gss_link *link)
{
    if (!link || link->is_stopped)
        return;
    link->is_stopped = true;
    ring_cancel(link->ring, &link->recv_op);
    ring_cancel(link->ring, &link->send_op);
    gss_link_stop(link->ntlm);
}

bool gss_link_has_stopped(const struct gss_link *link)
{
    return !link || (!op_is_pending(&link->recv_op) && !op_is_pending(&link->send_op) &&
                     gss_link_has_stopped(link->ntlm));
}

struct gss_link *gss_link_free(struct gss_link *link)
{
    struct list *node;

    if (!link)
        return NULL;
    gss_link_free(link->ntlm);
    while ((node = list_pop(&link->outbox)) != NULL)
        free_packet(link, container_of(node, struct packet, node));
    free_packet(link, link->sending);
    fd_close(link->fd);
    explicit_bzero(link->in, sizeof link->in);
    free(link);
    return NULL;
}

/* ---- contexts ---- */

void gss_context_init(struct gss_context *c, struct gss_link *link, gss_fn *fn)
{
    *c = (struct gss_context){.link = link, .fn = fn};
    list_init(&c->node);
}

static struct gss_link *link_of(const struct gss_context *c)
{
    return c->link && c->is_ntlm ? c->link->ntlm : c->link;
}

/* A packet that the helper has not got needs not to be taken back from it. Nothing is said where
 * there is no memory: the helper forgets all when it ends. */
static void forget(struct gss_context *c)
{
    struct gss_message m = {.type = GSS_MESSAGE_FORGET, .id = c->id};
    struct gss_link *link = link_of(c);

    if (c->id == 0)
        return;
    if (!take_back(link, c->id) || c->n_asked > 1)
        say(link, &m);
    c->id = 0;
    c->n_asked = 0;
    link->n_contexts--;
}

static struct text text_or_none(const char *string)
{
    return string ? text_of(string) : (struct text){0};
}

static struct gss_message describe(const struct gss_context *c, const struct gss_question *q)
{
    const struct gss_settings *s = q->settings;
    struct gss_message m = {.type = GSS_MESSAGE_ASK,
                            .kind = q->kind,
                            .mechanism = q->mechanism,
                            .id = c->id,
                            .serial = c->n_asked};

    m.texts[GSS_TEXT_TOKEN] = q->token;
    m.texts[GSS_TEXT_SERVICE] = text_or_none(s->service); /* by which threads are shared out */
    if (q->kind != QUESTION_FIRST)
        return m;
    if (q->mechanism == GSS_NTLM) {
        m.texts[GSS_TEXT_USER] = s->user;
        m.texts[GSS_TEXT_PASSWORD] = s->password;
    } else {
        m.texts[GSS_TEXT_KEYTAB] = text_or_none(s->keytab);
        m.texts[GSS_TEXT_CCACHE] = text_or_none(s->ccache);
        m.texts[GSS_TEXT_PRINCIPAL] = text_or_none(s->principal);
    }
    return m;
}

int gss_context_ask(struct gss_context *c, const struct gss_question *q)
{
    struct gss_link *link;
    struct gss_message m;
    int r;

    assert(!c->is_waiting);
    if (q->kind == QUESTION_FIRST) {
        forget(c);
        c->is_ntlm = q->mechanism == GSS_NTLM;
    }
    link = link_of(c);
    if (!link || link->is_dead || link->is_stopped)
        return -ENOTCONN;
    if (link->n_packets >= GSS_CONTEXTS_MAX || (c->id == 0 && link->n_contexts >= GSS_CONTEXTS_MAX))
        return -EAGAIN;
    if (c->id == 0) {
        c->id = ++link->last_id;
        link->n_contexts++;
    }
    c->n_asked++;
    m = describe(c, q);
    r = say(link, &m);
    if (r < 0)
        return r;
    c->is_waiting = true;
    list_append(&link->waiting, &c->node);
    return 0;
}

void gss_context_deinit(struct gss_context *c)
{
    if (!c->link)
        return;
    list_remove(&c->node);
    c->is_waiting = false;
    forget(c);
    c->link = NULL;
}
