/* TLS sessions that can be resumed, kept by key until somebody takes them out: each is used once.
 * One cache belongs to a context and is shared by all threads; nobody waits in it for crypto or for
 * memory to be freed.
 *
 * Everything is bounded, because peers decide how much they send. What a key has beyond its share
 * goes, the oldest first. When the whole cache is full, a key that has sessions makes room from
 * its own; only one that has none takes the oldest from the key that was not used for longest. So
 * whoever floods one key drives out nothing of another. */
#pragma once

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/base/list.h"

#define TLS_TICKETS_MAX           4096 /* sessions in a cache */
#define TLS_TICKETS_BYTES_MAX     (16 * 1024 * 1024)
#define TLS_TICKETS_KEY_MAX       16 /* sessions of a key */
#define TLS_TICKETS_KEY_BYTES_MAX (512 * 1024)
#define TLS_TICKETS_BUCKETS       256
#define TLS_TICKETS_KEY_SIZE      32 /* a SHA-256 of what the key is made of */

struct tls_tickets {
    pthread_mutex_t mutex;
    struct list buckets[TLS_TICKETS_BUCKETS]; /* of keys, by hash */
    struct list keys;                         /* the one not used for longest first */
    size_t n;
    size_t bytes;
    bool is_closed;
};

void tls_tickets_init(struct tls_tickets *tickets);
void tls_tickets_deinit(struct tls_tickets *tickets);
/* Forgets all, and keeps nothing from now on. */
void tls_tickets_close(struct tls_tickets *tickets);

/* Takes the session; size: what it takes of memory, about. Times are tls_tickets_now_s(). */
void tls_tickets_add_consume(struct tls_tickets *tickets, const uint8_t key[TLS_TICKETS_KEY_SIZE],
                             SSL_SESSION *session, size_t size, int64_t until_s, int64_t now_s);
/* The newest of the key that has not expired, the caller's from then on; NULL: none, or it is of an
 * older version of TLS than min_version and stays. */
SSL_SESSION *tls_tickets_take(struct tls_tickets *tickets, const uint8_t key[TLS_TICKETS_KEY_SIZE],
                              int min_version, int64_t now_s, int64_t *ret_until_s);
/* All of the key. */
void tls_tickets_forget(struct tls_tickets *tickets, const uint8_t key[TLS_TICKETS_KEY_SIZE]);

/* Seconds of a clock that nobody sets. */
int64_t tls_tickets_now_s(void);
