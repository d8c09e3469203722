/* A pair whose server's bytes wait in a queue like a socket's: the session gets to see the front of
 * it, and only what it used is taken away. What comes behind the handshake is read from the queue
 * with the session's keys, as the kernel would. */
#pragma once

#include "tests/lib/tls-kernel.h"
#include "tests/lib/tls-pair.h"

#define WIRE_ALERT     21
#define WIRE_HANDSHAKE 22
#define WIRE_DATA      23

struct wire {
    struct pair p;
    size_t window; /* how much of the queue the session sees at once */
    uint8_t *queue;
    size_t n;
    bool is_early; /* the server says "early" behind its Finished, before ours; TLS 1.3 */
    enum tls_progress progress;
    struct kernel_direction tx, rx;
};

/* A server with this cipher only, and a client that may export its keys. */
struct pair_options wire_options_of(enum tls_kernel_cipher cipher);
void wire_init(struct wire *w, const struct pair_options *options);
void wire_deinit(struct wire *w);

/* Once each; true when something moved. */
bool wire_drive_client(struct wire *w);
bool wire_drive_server(struct wire *w);
/* Until nothing moves any more; both sides must have finished. */
void wire_shake_hands(struct wire *w);
/* Takes the keys of this cipher. */
void wire_export(struct wire *w, enum tls_kernel_cipher cipher);

/* Puts what the server has to say into the queue. Returns how many bytes. */
size_t wire_collect(struct wire *w);
void wire_drop(struct wire *w, size_t n);
/* Opens the next record, which must be of this type, into `out` (KERNEL_RECORD_MAX). Returns how
 * much it has. */
size_t wire_receive(struct wire *w, uint8_t type, uint8_t *out);
/* The same, when it must have just these bytes. */
void wire_expect(struct wire *w, uint8_t type, const void *data, size_t n);
