/* Stands for the kernel's TLS where there is none: a setsockopt() of our own takes ULP and keys, or
 * refuses them as it is told. The socket stays what it is, so that who gets it sees the records,
 * and does with the keys what the kernel would have done. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/lib/find-secret.h"
#include "tests/lib/tls-kernel.h"

/* What is refused, each with this errno; 0: nothing. */
struct fake_ktls_refusals {
    int ulp;
    int rx;
    int tx;
};

extern struct fake_ktls_refusals fake_ktls_refusals;

/* Forgets all sockets, and refuses nothing. */
void fake_ktls_reset(void);
/* How many sockets got the ULP, and how many then both keys. */
unsigned fake_ktls_count_sealed(void);
unsigned fake_ktls_count(void);

/* The other end of such a socket's keys, for who has the socket now. */
struct fake_ktls {
    int fd;
    struct kernel_direction tx, rx;
    uint8_t *in; /* received and not opened */
    size_t n_in;
};

void fake_ktls_init(struct fake_ktls *k, int fd);
void fake_ktls_deinit(struct fake_ktls *k);
/* Waits for the next record. Its type, with what is in it (TLS_RECORD_MAX); -1 at the end. */
int fake_ktls_receive(struct fake_ktls *k, uint8_t *out, size_t *ret_n);
void fake_ktls_send(struct fake_ktls *k, uint8_t type, const void *data, size_t n);
/* Whether this process has none of the sockets' keys in its memory. false: with the place. */
bool fake_ktls_keys_are_gone(char place[SECRET_PLACE_MAX]);
