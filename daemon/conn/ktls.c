/* Kernel versions do not tell which ciphers there are (modules, FIPS, bugs and their backports), so
 * each is tried: keys of our own on both ends of a loopback connection, and a byte that has to
 * arrive. */
#include "daemon/conn/ktls.h"

#include <errno.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "daemon/conn/seal.h"
#include "proto/cleanup.h"

#define PROBE_TIMEOUT_MS 1000 /* on loopback the byte is there at once */

_Static_assert(KTLS_TX == TLS_TX && KTLS_RX == TLS_RX, "numbers of the kernel");

int ktls_set_keys(int fd, enum ktls_direction direction, const struct tls_kernel_keys *keys)
{
    return setsockopt(fd, SOL_TLS, (int)direction, keys->info, keys->size) < 0 ? -errno : 0;
}

static bool has_arrived(int from, int to)
{
    const char sent = 'x';
    char received = 0;
    struct pollfd poll_to = {.fd = to, .events = POLLIN};

    return send(from, &sent, 1, MSG_NOSIGNAL) == 1 && poll(&poll_to, 1, PROBE_TIMEOUT_MS) == 1 &&
           recv(to, &received, 1, MSG_DONTWAIT) == 1 && received == sent;
}

static void probe(enum tls_kernel_cipher cipher, struct capabilities *caps)
{
    CLEANUP(fd_closep) int client = -1;
    CLEANUP(fd_closep) int server = -1;
    struct tls_kernel_keys keys;
    bool can_send, can_receive;

    if (seal_make_pair(&client, &server) < 0 || seal_attach(client) < 0 || seal_attach(server) < 0)
        return;
    tls_kernel_keys_make_up(&keys, cipher);
    can_send = ktls_set_keys(client, KTLS_TX, &keys) == 0;
    can_receive = ktls_set_keys(server, KTLS_RX, &keys) == 0;
    if (can_send && can_receive && !has_arrived(client, server))
        return;
    if (can_send)
        caps->kernel_tx |= 1U << cipher;
    if (can_receive)
        caps->kernel_rx |= 1U << cipher;
}

/* The ULP alone. */
static bool has_ulp(void)
{
    CLEANUP(fd_closep) int client = -1;
    CLEANUP(fd_closep) int server = -1;

    return seal_make_pair(&client, &server) == 0 && seal_attach(client) == 0;
}

void ktls_probe(struct capabilities *caps)
{
    caps->kernel_tx = caps->kernel_rx = 0;
    caps->ktls_reason = NULL;
    if (!has_ulp()) {
        caps->ktls_reason = SEAL_ULP_MISSING;
        return;
    }
    for (enum tls_kernel_cipher cipher = 0; cipher < TLS_KERNEL_CIPHERS; cipher++)
        probe(cipher, caps);
    if (capabilities_ciphers(caps) == 0)
        caps->ktls_reason = "the kernel takes no cipher for both directions";
}
