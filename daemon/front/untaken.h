/* Fds that were sent to a client and wait in its socket, of one session or grant. They pin what
 * they are of, and the kernel counts them for all clients together. So they are charged to the user
 * from before they are sent until it is known that they were taken, and who has too many gets no
 * more.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/base/failure.h"
#include "daemon/base/list.h"
#include "daemon/base/quota.h"
#include "daemon/ring/ring.h"

#define UNTAKEN_PER_USER_MAX   4096 /* in all workers; a grant and its sessions: one half of it */
#define UNTAKEN_PER_USER_MIN   64   /* as many as one result may have */
#define UNTAKEN_PART_OF_NOFILE 8    /* nor more than this part of RLIMIT_NOFILE */
#define UNTAKEN_STEP           64   /* sent between two looks at a socket */
#define UNTAKEN_LOOKS_MAX      64   /* at the user's other sockets when he is at the limit */
#define UNTAKEN_BATCHES        32   /* of messages, told apart */
#define UNTAKEN_MESSAGE_MIN    448  /* what the kernel charges for a message, besides its bytes */
#define UNTAKEN_LOOK_EVERY_US  (250 * UINT64_C(1000))

struct user;
struct untaken;
typedef void untaken_fn(struct untaken *untaken);

/* Messages that follow one another. */
struct untaken_batch {
    unsigned n_fds;
    unsigned n_bytes; /* what the kernel charges for them, at least */
};

struct untaken {
    struct list node; /* in user->untaken while anything is charged */
    struct user *user;
    struct charge *charge; /* to the user; the owner's */
    unsigned max;          /* of the user */
    unsigned own_max;      /* of this socket; the owner may lower it */
    int fd;
    untaken_fn *taken;
    unsigned look_at; /* as soon as so many are charged */
    bool is_lingering;
    unsigned batch_size; /* messages */
    unsigned n_in_last;
    size_t n_batches;
    struct untaken_batch batches[UNTAKEN_BATCHES]; /* in the socket, in their order */
};

/* The limit under this process's RLIMIT_NOFILE. */
unsigned untaken_max(void);
/* For an empty, all zero *untaken. The user, charge and fd must stay for as long as it does.
 * `taken` is called some time after the last one was taken, for one that lingers. */
void untaken_init(struct untaken *untaken, struct user *user, struct charge *charge, int fd,
                  bool is_by_grant, untaken_fn *taken);
/* Gives everything back. */
void untaken_deinit(struct untaken *untaken);

/* Charges n fds. Returns false when that are too many, also after looking again. */
bool untaken_add(struct untaken *untaken, unsigned n);
/* Why, for the client. */
void untaken_explain(const struct untaken *untaken, struct failure *ret);
/* They were not sent. */
void untaken_sub(struct untaken *untaken, unsigned n);
/* They are in the socket, in a message of n_bytes. */
void untaken_sent(struct untaken *untaken, unsigned n, size_t n_bytes);
/* For an owner that ends, with no op pending on the fd: whether that must wait because fds are
 * untaken. Then the socket is shut down, which the client sees like the end, and `taken` follows.
 */
bool untaken_lingers(struct untaken *untaken);
