/* The seal: a connected TCP socket with the "tls" ULP and no keys carries data as before, but
 * cannot be disconnected, and so not be reconnected, bound or made to listen. Without it a TCP fd
 * is a capability for the whole network namespace it was made in. */
#pragma once

#include <stdbool.h>

#include "daemon/conn/plan.h"

#define SEAL_ULP "tls"

/* Tries it on a loopback connection of its own; blocks for as long as that takes. */
void seal_probe(struct capabilities *ret);
