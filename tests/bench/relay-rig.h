/* A relay, the peer behind it and the client before it, in one thread: each does its part in turn,
 * so that what the relay costs can be told from what the others do.
 *
 *     peer ◀── TCP, TLS ──▶ relay ◀── Unix socket pair ──▶ client
 *
 * What goes wrong ends the program. */
#pragma once

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/tls/tls.h"

#define RIG_BUFFER 16384 /* as daemon/relay/relay.h */
#define RIG_PIPE   65536 /* the kernel's default */

enum rig_way {
    RIG_PLAIN_COPIED,  /* no TLS: what moving the bytes costs */
    RIG_PLAIN_SPLICED, /* the same by splice(2) through a pipe */
    RIG_SESSION,       /* TLS in user space, by daemon/tls: the daemon's relay */
    RIG_KTLS_COPIED,   /* the kernel's TLS, recvmsg and send */
    RIG_KTLS_SPLICED,  /* the kernel's TLS, splice(2) through a pipe */
    RIG_N_WAYS,
};

struct rig_suite {
    const char *name;
    const char *openssl_name;
    int version;          /* OpenSSL's and the kernel's number */
    uint16_t cipher_type; /* linux/tls.h */
};

struct rig {
    enum rig_way way;
    int peer_fd, target_fd; /* the TCP connection; target_fd is the relay's */
    int relay_fd, client_fd;
    int pipe_fds[2];
    SSL *peer; /* with RIG_SESSION */
    struct tls_session *session;
    uint64_t kernel_ticks; /* of the relay, inside its system calls */
};

/* Returns 0, or -errno when this kernel does not have it. */
int rig_init(struct rig *rig, enum rig_way way, const struct rig_suite *suite);
void rig_deinit(struct rig *rig);

/* Of the CPU's time stamp counter. */
uint64_t rig_ticks(void);

/* The relay moves what is there. Down: from the target to the client. */
void rig_relay(struct rig *rig, bool is_down);
/* The ends. Bytes, or -EAGAIN; a record is what one rig_send() takes. */
ssize_t rig_send(struct rig *rig, bool is_peer, const void *data, size_t n);
ssize_t rig_recv(struct rig *rig, bool is_peer, void *buf, size_t n);
/* Until the relay has something to receive. */
void rig_wait(const struct rig *rig, bool is_down);

void rig_die(const char *what) __attribute__((noreturn));
