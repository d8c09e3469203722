/* The seal: a connected TCP socket with the "tls" ULP and no keys carries data as before, but
 * cannot be disconnected, and so not be reconnected, bound or made to listen. Without it a TCP fd
 * is a capability for the whole network namespace it was made in. */
#pragma once

#include <stdbool.h>

#include "daemon/policy/handoff.h"

#define SEAL_ULP         "tls"
#define SEAL_ULP_MISSING "load the module tls, it needs CONFIG_TLS"

/* Fills in can_seal and seal_reason: tries it on a loopback connection of its own; blocks for as
 * long as that takes. */
void seal_probe(struct capabilities *ret);

/* For probes, blocking: 0 or -errno. The pair is a TCP connection over loopback, in this process.
 */
int seal_make_pair(int *ret_client, int *ret_server);
int seal_attach(int fd);
