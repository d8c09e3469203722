/* One connection of record-server: its handshake, and what goes to and comes from the client. */
#pragma once

#include "tests/vm/records.h"

#include <sys/types.h>

#define QUEUE_MAX (1 << 20) /* bytes put together for one send() */
#define HEARD_MAX 4096      /* text about what came from the client */

struct peer {
    int fd;
    SSL *ssl;
    BIO *from_client, *to_client; /* OpenSSL's ends, during the handshake */
    uint8_t out_secret[RECORD_SECRET], in_secret[RECORD_SECRET]; /* 1.3 */
    struct records records;
    bool has_out_secret;
    bool is_ready;   /* for records of our own */
    bool is_through; /* the client's Finished has come */
    bool is_over;    /* nothing more comes from the client */
    size_t n_queue;
    uint8_t queue[QUEUE_MAX];
    size_t n_heard;
    char heard[HEARD_MAX];
};

/* Does the handshake until the server may speak. With is_glued its last flight stays in the queue,
 * so that it goes out in one piece with what is queued behind. */
void peer_shake_hands(struct peer *p, int fd, SSL_CTX *ctx, bool is_glued);
/* A record is sealed into the queue, or bytes put there as they are. */
void peer_queue_record(struct peer *p, uint8_t type, const void *data, size_t n);
void peer_queue_bytes(struct peer *p, const void *data, size_t n);
/* One send(); nothing for an empty queue. */
void peer_flush(struct peer *p);
/* Reads records until the client has sent so many bytes of data, or has come to its end. */
void peer_hear(struct peer *p, size_t n);
/* Plays a word, which is written to. */
void peer_play(struct peer *p, char *word);
void peer_reset(int fd); /* and closes */
/* Reads data until something else comes, and notes how much. */
void peer_count(struct peer *p);
/* Sends data back until something else comes. */
void peer_echo(struct peer *p);
__attribute__((format(printf, 2, 3))) void peer_note(struct peer *p, const char *format, ...);
void peer_note_key(const SSL *ssl, const char *line);
