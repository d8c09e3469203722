/* floor connect | uring | tls: what cannot be had for less.
 *
 * connect: blocking socket, connect, close.
 * uring: `depth` connections at a time, each a chain CONNECT, SENDMSG with the fd, CLOSE, all in
 * one io_uring_enter; the other end of the socket pair, in this process too, receives and closes.
 * It is the least that a connection made by one process for another can cost. tls: connect, and a
 * verified handshake with one SSL_CTX for all. */
#include <errno.h>
#include <liburing.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/cleanup.h"
#include "proto/fdmsg.h"
#include "tests/bench/measure.h"

static void run_connect(struct measure *m)
{
    measure_start(m);
    for (unsigned i = 0; i < m->n; i++)
        close(measure_connect(m, i));
    measure_stop(m);
}

/* One in flight: what the kernel reads until the end of the chain. */
struct slot {
    int fd;
    struct sockaddr_in sa;
    struct fdmsg msg;
};

/* The queue is larger than what is ever in it. */
static struct io_uring_sqe *get_sqe(struct io_uring *ring)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

    if (!sqe)
        die("the submission queue is full");
    return sqe;
}

static void start_chain(struct io_uring *ring, struct slot *slot, int to)
{
    struct io_uring_sqe *sqe = get_sqe(ring);

    io_uring_prep_connect(sqe, slot->fd, (struct sockaddr *)&slot->sa, sizeof slot->sa);
    sqe->flags |= IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS;
    sqe = get_sqe(ring);
    fdmsg_build(&slot->msg, "fd", 2, &slot->fd, 1);
    io_uring_prep_sendmsg(sqe, to, &slot->msg.header, MSG_NOSIGNAL);
    sqe->flags |= IOSQE_IO_LINK;
    sqe = get_sqe(ring);
    io_uring_prep_close(sqe, slot->fd);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
}

static void wait_all(struct io_uring *ring, unsigned n)
{
    struct io_uring_cqe *cqe;
    unsigned head, seen = 0;

    if (io_uring_submit_and_wait(ring, n) < 0)
        die("io_uring_enter");
    io_uring_for_each_cqe(ring, head, cqe)
    {
        if (cqe->res < 0)
            die("io_uring: %s", strerror(-cqe->res));
        seen++;
    }
    io_uring_cq_advance(ring, seen);
}

static void receive(int from)
{
    char buf[16];
    size_t n_fds;
    int fd;

    if (fdmsg_recv(from, buf, sizeof buf, &fd, 1, &n_fds, 0) < 0 || n_fds != 1)
        die("no fd");
    close(fd);
}

static void run_uring(struct measure *m)
{
    struct io_uring_params params = {.flags = IORING_SETUP_SINGLE_ISSUER |
                                              IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL};
    struct slot *slots = calloc(m->depth, sizeof *slots);
    struct io_uring ring;
    int pair[2];

    if (!slots || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0 ||
        io_uring_queue_init_params(m->depth * 4, &ring, &params) < 0)
        die("cannot set up");
    measure_start(m);
    for (unsigned i = 0; i < m->n; i += m->depth) {
        unsigned n = m->n - i < m->depth ? m->n - i : m->depth;

        for (unsigned k = 0; k < n; k++) {
            slots[k].fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
            slots[k].sa = measure_address(m, i + k);
            start_chain(&ring, &slots[k], pair[0]);
        }
        wait_all(&ring, n);
        for (unsigned k = 0; k < n; k++)
            receive(pair[1]);
    }
    measure_stop(m);
    io_uring_queue_exit(&ring);
    fd_close(pair[0]);
    fd_close(pair[1]);
    free(slots);
}

static void handshake(const struct measure *m, SSL_CTX *ctx, unsigned i)
{
    struct sockaddr_in sa = measure_address(m, i);
    int fd = measure_connect(m, i);
    SSL *ssl = SSL_new(ctx);

    if (!ssl || !SSL_set_fd(ssl, fd) ||
        !X509_VERIFY_PARAM_set1_ip(SSL_get0_param(ssl), (const uint8_t *)&sa.sin_addr, 4) ||
        SSL_connect(ssl) != 1) {
        ERR_print_errors_fp(stderr);
        die("handshake");
    }
    SSL_shutdown(ssl);
    SSL_free(ssl);
    close(fd);
}

static void run_tls(struct measure *m)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

    if (!ctx || !SSL_CTX_load_verify_locations(ctx, m->ca_file, NULL))
        die("CA file %s", m->ca_file ? m->ca_file : "not given");
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    measure_start(m);
    for (unsigned i = 0; i < m->n; i++)
        handshake(m, ctx, i);
    measure_stop(m);
    SSL_CTX_free(ctx);
}

int main(int argc, char **argv)
{
    struct measure m;

    measure_parse(&m, argc, argv);
    if (strcmp(m.mode, "connect") == 0)
        run_connect(&m);
    else if (strcmp(m.mode, "uring") == 0)
        run_uring(&m);
    else if (strcmp(m.mode, "tls") == 0)
        run_tls(&m);
    else
        die("unknown mode %s", m.mode);
    measure_print(&m, "");
    return 0;
}
