/* floor connect | uring | tls | resumed: what cannot be had for less.
 *
 * connect: blocking socket, connect, close.
 * uring: `depth` connections at a time, each a chain CONNECT, SENDMSG with the fd, CLOSE, all in
 * one io_uring_enter; the other end of the socket pair, in this process too, receives and closes.
 * It is the least that a connection made by one process for another can cost. tls: connect, and a
 * verified handshake with one SSL_CTX for all. resumed: the same with the session of the connection
 * to this address before, and what comes with the next one is waited for and read. */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/cleanup.h"
#include "proto/fdmsg.h"
#include "tests/bench/measure.h"

#define TICKET_MS 10000

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

/* In place of what was there. */
static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    SSL_SESSION **kept = SSL_get_app_data(ssl);

    SSL_SESSION_free(*kept);
    *kept = session;
    return 1;
}

/* Until it has told OpenSSL's callback of a session. */
static void read_tickets(SSL *ssl)
{
    struct pollfd polled = {.fd = SSL_get_fd(ssl), .events = POLLIN};
    char byte;

    fcntl(polled.fd, F_SETFL, O_NONBLOCK);
    if (poll(&polled, 1, TICKET_MS) != 1 || SSL_read(ssl, &byte, 1) >= 0 ||
        SSL_get_error(ssl, -1) != SSL_ERROR_WANT_READ)
        die("no ticket");
}

/* session: NULL, or where the address has its own. */
static void handshake(const struct measure *m, SSL_CTX *ctx, unsigned i, SSL_SESSION **session)
{
    struct sockaddr_in sa = measure_address(m, i);
    int fd = measure_connect(m, i);
    SSL *ssl = SSL_new(ctx);

    if (session)
        SSL_set_app_data(ssl, session);
    if (session && *session)
        SSL_set_session(ssl, *session);
    if (!ssl || !SSL_set_fd(ssl, fd) ||
        !X509_VERIFY_PARAM_set1_ip(SSL_get0_param(ssl), (const uint8_t *)&sa.sin_addr, 4) ||
        SSL_connect(ssl) != 1) {
        ERR_print_errors_fp(stderr);
        die("handshake");
    }
    if (session)
        read_tickets(ssl);
    SSL_shutdown(ssl);
    SSL_free(ssl);
    close(fd);
}

static SSL_CTX *make_context(const struct measure *m)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

    if (!ctx || !SSL_CTX_load_verify_locations(ctx, m->ca_file, NULL))
        die("CA file %s", m->ca_file ? m->ca_file : "not given");
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    return ctx;
}

static void run_tls(struct measure *m)
{
    SSL_CTX *ctx = make_context(m);

    measure_start(m);
    for (unsigned i = 0; i < m->n; i++)
        handshake(m, ctx, i, NULL);
    measure_stop(m);
    SSL_CTX_free(ctx);
}

/* The first to each address, which is not resumed, is not measured. */
static void run_resumed(struct measure *m)
{
    SSL_SESSION **sessions = calloc(m->n_addresses, sizeof *sessions);
    SSL_CTX *ctx = make_context(m);

    if (!sessions)
        die("no memory");
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, keep_session);
    for (unsigned i = 0; i < m->n_addresses; i++)
        handshake(m, ctx, i, &sessions[i]);
    measure_start(m);
    for (unsigned i = 0; i < m->n; i++)
        handshake(m, ctx, i, &sessions[i % m->n_addresses]);
    measure_stop(m);
    for (unsigned i = 0; i < m->n_addresses; i++)
        SSL_SESSION_free(sessions[i]);
    free(sessions);
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
    else if (strcmp(m.mode, "resumed") == 0)
        run_resumed(&m);
    else
        die("unknown mode %s", m.mode);
    measure_print(&m, "");
    return 0;
}
