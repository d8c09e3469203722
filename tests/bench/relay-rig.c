/* How the ends are set up. The kernel's TLS needs no handshake: both ends are given the same random
 * keys. A session in user space cannot do without; the handshake goes over the socket. */
#include "tests/bench/relay-rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/tls.h>

#include "proto/cleanup.h"
#include "tests/lib/certs.h"

#ifndef SOL_TLS
#define SOL_TLS 282
#endif
#define WAIT_MS 10000

union crypto_info {
    struct tls_crypto_info info;
    struct tls12_crypto_info_aes_gcm_128 aes_gcm_128;
    struct tls12_crypto_info_aes_gcm_256 aes_gcm_256;
    struct tls12_crypto_info_chacha20_poly1305 chacha20_poly1305;
};

static struct tls_context *client_context;
static const struct certs_pair *server_certificate;

void rig_die(const char *what)
{
    perror(what);
    exit(1);
}

static void make_tcp(struct rig *rig)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof sa;
    int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    rig->target_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listener, (struct sockaddr *)&sa, n) < 0 || listen(listener, 1) < 0 ||
        getsockname(listener, (struct sockaddr *)&sa, &n) < 0 ||
        connect(rig->target_fd, (struct sockaddr *)&sa, n) < 0)
        rig_die("loopback");
    rig->peer_fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (rig->peer_fd < 0 || fcntl(rig->target_fd, F_SETFL, O_NONBLOCK) < 0)
        rig_die("accept");
    setsockopt(rig->target_fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(rig->peer_fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    close(listener);
}

static size_t make_keys(const struct rig_suite *suite, union crypto_info *ret)
{
    size_t n;

    if (getrandom(ret, sizeof *ret, 0) != sizeof *ret)
        rig_die("getrandom");
    switch (suite->cipher_type) {
    case TLS_CIPHER_AES_GCM_128:
        n = sizeof ret->aes_gcm_128;
        memset(ret->aes_gcm_128.rec_seq, 0, sizeof ret->aes_gcm_128.rec_seq);
        break;
    case TLS_CIPHER_AES_GCM_256:
        n = sizeof ret->aes_gcm_256;
        memset(ret->aes_gcm_256.rec_seq, 0, sizeof ret->aes_gcm_256.rec_seq);
        break;
    default:
        n = sizeof ret->chacha20_poly1305;
        memset(ret->chacha20_poly1305.rec_seq, 0, sizeof ret->chacha20_poly1305.rec_seq);
    }
    ret->info.version = (uint16_t)suite->version;
    ret->info.cipher_type = suite->cipher_type;
    return n;
}

static int start_ktls(int from, int to, const struct rig_suite *suite)
{
    union crypto_info keys;
    size_t n = make_keys(suite, &keys);

    if (setsockopt(from, SOL_TLS, TLS_TX, &keys, (socklen_t)n) < 0 ||
        setsockopt(to, SOL_TLS, TLS_RX, &keys, (socklen_t)n) < 0)
        return -errno;
    return 0;
}

static int set_up_ktls(struct rig *rig, const struct rig_suite *suite)
{
    int r;

    if (setsockopt(rig->peer_fd, IPPROTO_TCP, TCP_ULP, "tls", 3) < 0 ||
        setsockopt(rig->target_fd, IPPROTO_TCP, TCP_ULP, "tls", 3) < 0)
        return -errno;
    r = start_ktls(rig->peer_fd, rig->target_fd, suite);
    return r < 0 ? r : start_ktls(rig->target_fd, rig->peer_fd, suite);
}

static void make_contexts(void)
{
    char path[] = "/tmp/relay-crypto-XXXXXX";
    struct tls_settings settings = {.ca_file = path, .is_verify_off = true};
    struct tls_problem problem;
    int fd = mkstemp(path);

    if (fd < 0)
        rig_die(path);
    close(fd);
    server_certificate = certs_new(&(struct certs_spec){.names = "DNS:localhost"}, NULL);
    certs_write_chain(path, &server_certificate, 1);
    if (tls_context_new(&client_context, &settings, &problem) < 0) {
        fprintf(stderr, "%s\n", problem.text);
        exit(1);
    }
    unlink(path);
}

static SSL *make_server(int fd, const struct rig_suite *suite)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    SSL *ssl;

    if (!ctx || !SSL_CTX_set_min_proto_version(ctx, suite->version) ||
        !SSL_CTX_set_max_proto_version(ctx, suite->version) ||
        !(suite->version == TLS1_3_VERSION ? SSL_CTX_set_ciphersuites(ctx, suite->openssl_name)
                                           : SSL_CTX_set_cipher_list(ctx, suite->openssl_name)) ||
        !SSL_CTX_use_certificate(ctx, server_certificate->cert) ||
        !SSL_CTX_use_PrivateKey(ctx, server_certificate->key) || !SSL_CTX_set_num_tickets(ctx, 0))
        rig_die("SSL_CTX");
    ssl = SSL_new(ctx);
    SSL_CTX_free(ctx);
    if (!ssl || !SSL_set_fd(ssl, fd))
        rig_die("SSL");
    SSL_set_accept_state(ssl);
    /* One recv() for each time, as the other peers: with two to a record, head and rest, it is the
     * relay's send() that has to deal with the acknowledgements. */
    SSL_set_read_ahead(ssl, 1);
    return ssl;
}

/* What the session has to say goes out, what has come goes in. */
static void move(struct rig *rig)
{
    const uint8_t *output;
    uint8_t input[4096];
    size_t size = tls_session_output(rig->session, &output);
    ssize_t n;

    if (size > 0) {
        n = send(rig->target_fd, output, size, MSG_NOSIGNAL);
        if (n < 0)
            rig_die("send");
        tls_session_sent(rig->session, (size_t)n);
    }
    n = recv(rig->target_fd, input, sizeof input, 0);
    if (n > 0 && tls_session_feed(rig->session, input, (size_t)n) < 0)
        rig_die("feed");
}

static void set_up_session(struct rig *rig, const struct rig_suite *suite)
{
    struct tls_params params = {.name = "localhost"};
    enum tls_progress progress;
    struct failure failure;

    if (!client_context)
        make_contexts();
    if (tls_session_new(&rig->session, client_context, &params) < 0)
        rig_die("session");
    rig->peer = make_server(rig->peer_fd, suite);
    do {
        progress = tls_session_handshake(rig->session, &failure);
        if (progress == TLS_FAILED)
            rig_die("handshake");
        move(rig);
        SSL_do_handshake(rig->peer);
    } while (progress != TLS_DONE || !SSL_is_init_finished(rig->peer));
}

/* Sockets that have already been answered, as after a handshake, acknowledge at another time than
 * fresh ones; whether it is the relay's send() that has to deal with it is not the relay's doing.
 */
static void delay_acknowledgements(const struct rig *rig)
{
    int zero = 0;

    setsockopt(rig->peer_fd, IPPROTO_TCP, TCP_QUICKACK, &zero, sizeof zero);
    setsockopt(rig->target_fd, IPPROTO_TCP, TCP_QUICKACK, &zero, sizeof zero);
}

int rig_init(struct rig *rig, enum rig_way way, const struct rig_suite *suite)
{
    int pair[2], r = 0;

    *rig = (struct rig){.way = way};
    make_tcp(rig);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0 ||
        pipe2(rig->pipe_fds, O_CLOEXEC | O_NONBLOCK) < 0)
        rig_die("socketpair");
    rig->relay_fd = pair[0];
    rig->client_fd = pair[1];
    if (way == RIG_SESSION)
        set_up_session(rig, suite);
    else if (way == RIG_KTLS_COPIED || way == RIG_KTLS_SPLICED)
        r = set_up_ktls(rig, suite);
    if (r < 0)
        rig_deinit(rig);
    else
        delay_acknowledgements(rig);
    return r;
}

void rig_deinit(struct rig *rig)
{
    int *fds[] = {&rig->peer_fd,   &rig->target_fd,   &rig->relay_fd,
                  &rig->client_fd, &rig->pipe_fds[0], &rig->pipe_fds[1]};

    SSL_free(rig->peer);
    tls_session_free(rig->session);
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
        close(*fds[i]);
}

static ssize_t ssl_result(SSL *ssl, int r)
{
    if (r > 0)
        return r;
    switch (SSL_get_error(ssl, r)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return -EAGAIN;
    default:
        rig_die("the peer's TLS");
    }
}

static ssize_t result(ssize_t n, const char *what)
{
    if (n < 0 && errno != EAGAIN)
        rig_die(what);
    return n < 0 ? -EAGAIN : n;
}

ssize_t rig_send(struct rig *rig, bool is_peer, const void *data, size_t n)
{
    if (is_peer && rig->peer)
        return ssl_result(rig->peer, SSL_write(rig->peer, data, (int)n));
    return result(send(is_peer ? rig->peer_fd : rig->client_fd, data, n, MSG_NOSIGNAL), "send");
}

ssize_t rig_recv(struct rig *rig, bool is_peer, void *buf, size_t n)
{
    if (is_peer && rig->peer)
        return ssl_result(rig->peer, SSL_read(rig->peer, buf, (int)n));
    return result(recv(is_peer ? rig->peer_fd : rig->client_fd, buf, n, 0), "recv");
}

void rig_wait(const struct rig *rig, bool is_down)
{
    struct pollfd p = {.fd = is_down ? rig->target_fd : rig->relay_fd, .events = POLLIN};

    if (poll(&p, 1, WAIT_MS) != 1)
        rig_die("nothing comes");
}
