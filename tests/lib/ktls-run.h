/* Requests for TLS through the whole daemon, where the test plays the kernel (fake-ktls.h): an
 * origin that goes by a script, the request, and what a client does with what it gets. */
#pragma once

#include <check.h>

#include "tests/lib/front-rig.h"
#include "tests/lib/tls-kernel.h"
#include "tests/lib/tls-origin.h"

#define KTLS_ALL_CIPHERS ((1U << TLS_KERNEL_CIPHERS) - 1)

struct ktls_run {
    struct tls_origin_script script;
    struct message_connect connect;
    char target[64];
    struct message_result result; /* texts live until the next one */
    int session;
    int fds[RIG_FDS_MAX];
    int n_fds;
};

/* An origin with this cipher and a certificate of usual size. */
struct tls_origin_script ktls_script(enum tls_kernel_cipher cipher, size_t n_data);
/* One that is more than twice of what is received at once. */
const struct certs_pair *ktls_large_certificate(void);

extern bool ktls_is_resuming; /* sessions, by the configuration; true unless changed */

/* Starts origin and worker. handoff: what the client accepts. */
void ktls_run_begin(struct ktls_run *run, const struct tls_origin_script *script, unsigned handoff);
/* Asks, and waits for the answer. */
void ktls_run_connect(struct ktls_run *run);
/* Closes and stops all; what was counted must be right. */
void ktls_run_end(struct ktls_run *run);

/* Sends, and receives what the script says, to the end of both: with the keys; as a relay. */
void ktls_use_socket(const struct tls_origin_script *script, int fd);
void ktls_use_relay(const struct tls_origin_script *script, int fd);
/* It got all that so many connections sent. */
void ktls_check_origin(const struct tls_origin_script *script, unsigned n_connections);

/* Runs one test case, for which the kernel can all. Returns the exit status. */
int ktls_run_suite(const char *name, void (*add_tests)(TCase *tcase));
