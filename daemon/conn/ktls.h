/* Kernel TLS on a socket that has the ULP already (seal.h): the keys, and which the kernel takes.
 */
#pragma once

#include "daemon/policy/handoff.h"
#include "daemon/tls/tls.h"

enum ktls_direction {
    KTLS_TX = 1, /* TLS_TX and TLS_RX of linux/tls.h */
    KTLS_RX = 2,
};

/* From now on what is written to or read from the socket is encrypted or decrypted by the kernel.
 * It cannot be undone, and only once be done for each direction. 0 or -errno, and then nothing has
 * changed. */
int ktls_set_keys(int fd, enum ktls_direction direction, const struct tls_kernel_keys *keys);
/* Fills in what the kernel can do, tried with data on loopback connections of its own; blocks for
 * as long as that takes. */
void ktls_probe(struct capabilities *caps);
