/* A table of keys, each with a list of its sessions, the oldest first; and all keys in the order of
 * their last use. A key is there as long as it has a session. What leaves goes to a list of the
 * caller's, which is freed when the mutex is not held any more. */
#include "daemon/tls/tickets.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define EXPIRED_MAX 2 /* how many an addition looks for: as many leave as come */

struct ticket {
    struct list node;
    SSL_SESSION *session;
    size_t size;
    int64_t until_s;
};

struct key {
    struct list bucket_node;
    struct list node;    /* in tickets->keys */
    struct list tickets; /* the oldest first */
    size_t n;
    size_t bytes;
    uint8_t id[TLS_TICKETS_KEY_SIZE];
};

int64_t tls_tickets_now_s(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_BOOTTIME, &ts);
    return ts.tv_sec;
}

void tls_tickets_init(struct tls_tickets *tickets)
{
    *tickets = (struct tls_tickets){0};
    pthread_mutex_init(&tickets->mutex, NULL);
    list_init(&tickets->keys);
    for (size_t i = 0; i < TLS_TICKETS_BUCKETS; i++)
        list_init(&tickets->buckets[i]);
}

static void free_all(struct list *garbage)
{
    struct list *node;

    while ((node = list_pop(garbage))) {
        struct ticket *ticket = container_of(node, struct ticket, node);

        SSL_SESSION_free(ticket->session);
        free(ticket);
    }
}

/* A hash of a hash need not be better than a part of it. */
static struct list *bucket_of(struct tls_tickets *tickets, const uint8_t *id)
{
    return &tickets->buckets[id[0] % TLS_TICKETS_BUCKETS];
}

static struct key *find(struct tls_tickets *tickets, const uint8_t *id)
{
    list_for_each (bucket_of(tickets, id), node) {
        struct key *key = container_of(node, struct key, bucket_node);

        if (memcmp(key->id, id, sizeof key->id) == 0)
            return key;
    }
    return NULL;
}

static struct key *find_or_make(struct tls_tickets *tickets, const uint8_t *id)
{
    struct key *key = find(tickets, id);

    if (key)
        return key;
    key = calloc(1, sizeof *key);
    if (!key)
        return NULL;
    memcpy(key->id, id, sizeof key->id);
    list_init(&key->tickets);
    list_append(bucket_of(tickets, id), &key->bucket_node);
    list_append(&tickets->keys, &key->node);
    return key;
}

static void mark_used(struct tls_tickets *tickets, struct key *key)
{
    list_remove(&key->node);
    list_append(&tickets->keys, &key->node);
}

static void take_out(struct tls_tickets *tickets, struct key *key, struct ticket *ticket,
                     struct list *to)
{
    list_remove(&ticket->node);
    list_append(to, &ticket->node);
    key->n--;
    key->bytes -= ticket->size;
    tickets->n--;
    tickets->bytes -= ticket->size;
}

static void drop_if_empty(struct key *key)
{
    if (key->n > 0)
        return;
    list_remove(&key->bucket_node);
    list_remove(&key->node);
    free(key);
}

static struct ticket *oldest_of(struct key *key)
{
    return container_of(key->tickets.next, struct ticket, node);
}

static struct key *least_used(struct tls_tickets *tickets)
{
    return container_of(tickets->keys.next, struct key, node);
}

static void drop_all(struct tls_tickets *tickets, struct key *key, struct list *garbage)
{
    while (key->n > 0)
        take_out(tickets, key, oldest_of(key), garbage);
    drop_if_empty(key);
}

/* Nobody asks any more for what has expired, so that it would stay until the cache is full. */
static void drop_expired(struct tls_tickets *tickets, int64_t now_s, struct list *garbage)
{
    for (unsigned i = 0; i < EXPIRED_MAX && tickets->n > 0; i++) {
        struct key *key = least_used(tickets);

        if (oldest_of(key)->until_s > now_s)
            return;
        take_out(tickets, key, oldest_of(key), garbage);
        drop_if_empty(key);
    }
}

static bool is_key_full(const struct key *key, size_t size)
{
    return key->n >= TLS_TICKETS_KEY_MAX || key->bytes + size > TLS_TICKETS_KEY_BYTES_MAX;
}

static bool is_full(const struct tls_tickets *tickets, size_t size)
{
    return tickets->n >= TLS_TICKETS_MAX || tickets->bytes + size > TLS_TICKETS_BYTES_MAX;
}

/* For one more of the key, which may have none. */
static void make_room(struct tls_tickets *tickets, struct key *key, size_t size,
                      struct list *garbage)
{
    while (key->n > 0 && is_key_full(key, size))
        take_out(tickets, key, oldest_of(key), garbage);
    while (is_full(tickets, size)) {
        struct key *payer = key;

        if (key->n == 0) /* it stands at the end */
            payer = least_used(tickets);
        take_out(tickets, payer, oldest_of(payer), garbage);
        if (payer != key)
            drop_if_empty(payer);
    }
}

static void add(struct tls_tickets *tickets, const uint8_t *id, struct ticket *ticket,
                int64_t now_s, struct list *garbage)
{
    struct key *key;

    drop_expired(tickets, now_s, garbage);
    key = find_or_make(tickets, id);
    if (!key) {
        list_append(garbage, &ticket->node);
        return;
    }
    mark_used(tickets, key);
    make_room(tickets, key, ticket->size, garbage);
    list_append(&key->tickets, &ticket->node);
    key->n++;
    key->bytes += ticket->size;
    tickets->n++;
    tickets->bytes += ticket->size;
}

void tls_tickets_add_consume(struct tls_tickets *tickets, const uint8_t key[TLS_TICKETS_KEY_SIZE],
                             SSL_SESSION *session, size_t size, int64_t until_s, int64_t now_s)
{
    struct ticket *ticket = malloc(sizeof *ticket);
    struct list garbage;

    if (!ticket) {
        SSL_SESSION_free(session);
        return;
    }
    *ticket = (struct ticket){.session = session, .size = size, .until_s = until_s};
    list_init(&ticket->node);
    list_init(&garbage);
    pthread_mutex_lock(&tickets->mutex);
    if (tickets->is_closed || until_s <= now_s || size > TLS_TICKETS_KEY_BYTES_MAX)
        list_append(&garbage, &ticket->node);
    else
        add(tickets, key, ticket, now_s, &garbage);
    pthread_mutex_unlock(&tickets->mutex);
    free_all(&garbage);
}

/* The newest that has not expired goes to `ret`; newer ones that have, to the garbage. */
static void take(struct tls_tickets *tickets, struct key *key, int min_version, int64_t now_s,
                 struct list *ret, struct list *garbage)
{
    while (key->n > 0 && list_is_empty(ret)) {
        struct ticket *newest = container_of(key->tickets.prev, struct ticket, node);

        if (SSL_SESSION_get_protocol_version(newest->session) < min_version)
            break;
        take_out(tickets, key, newest, newest->until_s > now_s ? ret : garbage);
    }
    mark_used(tickets, key);
    drop_if_empty(key);
}

SSL_SESSION *tls_tickets_take(struct tls_tickets *tickets, const uint8_t key[TLS_TICKETS_KEY_SIZE],
                              int min_version, int64_t now_s, int64_t *ret_until_s)
{
    struct list taken, garbage;
    SSL_SESSION *session = NULL;
    struct key *found;

    list_init(&taken);
    list_init(&garbage);
    pthread_mutex_lock(&tickets->mutex);
    found = find(tickets, key);
    if (found)
        take(tickets, found, min_version, now_s, &taken, &garbage);
    pthread_mutex_unlock(&tickets->mutex);
    if (!list_is_empty(&taken)) {
        struct ticket *ticket = container_of(list_pop(&taken), struct ticket, node);

        session = ticket->session;
        *ret_until_s = ticket->until_s;
        free(ticket);
    }
    free_all(&garbage);
    return session;
}

void tls_tickets_forget(struct tls_tickets *tickets, const uint8_t key[TLS_TICKETS_KEY_SIZE])
{
    struct list garbage;
    struct key *found;

    list_init(&garbage);
    pthread_mutex_lock(&tickets->mutex);
    found = find(tickets, key);
    if (found)
        drop_all(tickets, found, &garbage);
    pthread_mutex_unlock(&tickets->mutex);
    free_all(&garbage);
}

void tls_tickets_close(struct tls_tickets *tickets)
{
    struct list garbage;

    list_init(&garbage);
    pthread_mutex_lock(&tickets->mutex);
    tickets->is_closed = true;
    while (tickets->n > 0)
        drop_all(tickets, least_used(tickets), &garbage);
    pthread_mutex_unlock(&tickets->mutex);
    free_all(&garbage);
}

void tls_tickets_deinit(struct tls_tickets *tickets)
{
    tls_tickets_close(tickets);
    pthread_mutex_destroy(&tickets->mutex);
}
