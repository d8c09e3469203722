/* A socket is known by its local port: the fd that it has in the daemon is not the one that it is
 * received as. What is recorded is masked, so that it is not found when memory is searched for it.
 */
#include "tests/lib/fake-ktls.h"

#include <check.h>
#include <errno.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#define SOCKETS_MAX  16
#define IN_MAX       (2 * KERNEL_RECORD_MAX)
#define KEY_FOUND_BY 16 /* bytes of it */
#define PATIENCE_S   10

struct keys {
    bool is_set;
    uint8_t masked[TLS_KERNEL_INFO_MAX];
    uint32_t size;
};

struct fake_socket {
    in_port_t port;
    struct keys tx, rx;
};

struct fake_ktls_refusals fake_ktls_refusals;
static struct fake_socket sockets[SOCKETS_MAX];
static unsigned n_sockets;

void fake_ktls_reset(void)
{
    memset(sockets, 0, sizeof sockets);
    n_sockets = 0;
    fake_ktls_refusals = (struct fake_ktls_refusals){0};
}

static struct fake_socket *find(int fd)
{
    struct sockaddr_in sa;
    socklen_t n = sizeof sa;

    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&sa, &n), 0);
    /* the last: ports are used again */
    for (unsigned i = n_sockets; i-- > 0;)
        if (sockets[i].port == sa.sin_port)
            return &sockets[i];
    return NULL;
}

static int refuse(int error)
{
    errno = error;
    return -1;
}

static int set_ulp(int fd)
{
    struct sockaddr_in sa;
    socklen_t n = sizeof sa;

    if (fake_ktls_refusals.ulp)
        return refuse(fake_ktls_refusals.ulp);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&sa, &n), 0);
    sockets[n_sockets++ % SOCKETS_MAX] = (struct fake_socket){.port = sa.sin_port};
    n_sockets = n_sockets > SOCKETS_MAX ? SOCKETS_MAX : n_sockets;
    return 0;
}

static int set_keys(int fd, int direction, const void *info, socklen_t n)
{
    struct fake_socket *s = find(fd);
    struct keys *keys;

    if (!s)
        return refuse(ENOPROTOOPT); /* no ULP */
    if (direction == TLS_RX ? fake_ktls_refusals.rx : fake_ktls_refusals.tx)
        return refuse(direction == TLS_RX ? fake_ktls_refusals.rx : fake_ktls_refusals.tx);
    keys = direction == TLS_RX ? &s->rx : &s->tx;
    if (keys->is_set)
        return refuse(EBUSY);
    ck_assert_uint_le(n, sizeof keys->masked);
    for (socklen_t i = 0; i < n; i++)
        keys->masked[i] = ((const uint8_t *)info)[i] ^ SECRET_MASK;
    keys->size = n;
    keys->is_set = true;
    return 0;
}

/* In the place of the C library's. */
int setsockopt(int fd, int level, int name, const void *value, socklen_t n)
{
    if (level == IPPROTO_TCP && name == TCP_ULP)
        return set_ulp(fd);
    if (level == SOL_TLS)
        return set_keys(fd, name, value, n);
    return (int)syscall(SYS_setsockopt, fd, level, name, value, n);
}

unsigned fake_ktls_count_sealed(void)
{
    return n_sockets;
}

unsigned fake_ktls_count(void)
{
    unsigned n = 0;

    for (unsigned i = 0; i < n_sockets; i++)
        n += sockets[i].tx.is_set && sockets[i].rx.is_set;
    return n;
}

static void unmask(struct tls_kernel_keys *ret, const struct keys *keys)
{
    ck_assert(keys->is_set);
    ret->size = keys->size;
    for (uint32_t i = 0; i < keys->size; i++)
        ret->info[i] = keys->masked[i] ^ SECRET_MASK;
}

void fake_ktls_init(struct fake_ktls *k, int fd)
{
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    const struct fake_socket *s = find(fd);
    struct tls_kernel_keys keys;

    ck_assert_ptr_nonnull(s);
    *k = (struct fake_ktls){.fd = fd, .in = malloc(IN_MAX)};
    ck_assert_ptr_nonnull(k->in);
    unmask(&keys, &s->tx);
    kernel_set_keys(&k->tx, &keys);
    unmask(&keys, &s->rx);
    kernel_set_keys(&k->rx, &keys);
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
}

void fake_ktls_deinit(struct fake_ktls *k)
{
    free(k->in);
}

int fake_ktls_receive(struct fake_ktls *k, uint8_t *out, size_t *ret_n)
{
    for (;;) {
        uint8_t type, record[KERNEL_RECORD_MAX];
        int used = kernel_open(&k->rx, k->in, k->n_in, record, ret_n, &type);
        ssize_t n;

        ck_assert_msg(used >= 0, "record %u is not what the keys open", (unsigned)k->rx.sequence);
        if (used > 0) {
            k->n_in -= (size_t)used;
            memmove(k->in, k->in + used, k->n_in);
            memcpy(out, record, *ret_n);
            return type;
        }
        n = recv(k->fd, k->in + k->n_in, IN_MAX - k->n_in, 0);
        ck_assert_msg(n >= 0, "nothing comes: %s", strerror(errno));
        if (n == 0) {
            ck_assert_uint_eq(k->n_in, 0);
            return -1;
        }
        k->n_in += (size_t)n;
    }
}

void fake_ktls_send(struct fake_ktls *k, uint8_t type, const void *data, size_t n)
{
    uint8_t record[KERNEL_RECORD_MAX];
    size_t size = kernel_seal(&k->tx, type, data, n, record);

    ck_assert_int_eq(send(k->fd, record, size, MSG_NOSIGNAL), size);
}

/* Behind version and type there is the iv: 8 bytes of AES-GCM, 12 of CHACHA20-POLY1305. */
static const uint8_t *masked_key(const struct keys *keys)
{
    uint8_t type = keys->masked[2] ^ SECRET_MASK;

    return keys->masked + sizeof(struct tls_crypto_info) +
           (type == TLS_CIPHER_CHACHA20_POLY1305 ? 12 : 8);
}

bool fake_ktls_keys_are_gone(char place[SECRET_PLACE_MAX])
{
    for (unsigned i = 0; i < n_sockets; i++)
        if (secret_is_in_memory(masked_key(&sockets[i].tx), KEY_FOUND_BY, place) ||
            secret_is_in_memory(masked_key(&sockets[i].rx), KEY_FOUND_BY, place))
            return false;
    return true;
}
