/* A TLS 1.3 server for one connection that gives everything back, and with every few pieces changes
 * its keys and asks the client to change its own; for tests in Python, whose ssl cannot.
 *
 *     key-updater CERTIFICATE KEY
 *
 * First line of stdout: the port. Last line: how many updates it started. */
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define PIECE  16384
#define PERIOD 4 /* pieces between two updates */

static int listen_on_loopback(unsigned short *ret_port)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof sa;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof sa) < 0 || listen(fd, 1) < 0 ||
        getsockname(fd, (struct sockaddr *)&sa, &n) < 0)
        return -1;
    *ret_port = ntohs(sa.sin_port);
    return fd;
}

static SSL *accept_tls(const char *certificate, const char *key)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    unsigned short port = 0;
    SSL *ssl;
    int listener = listen_on_loopback(&port);

    if (!ctx || listener < 0 || SSL_CTX_use_certificate_chain_file(ctx, certificate) != 1 ||
        SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1)
        return NULL;
    printf("%u\n", port);
    fflush(stdout);
    ssl = SSL_new(ctx);
    SSL_CTX_free(ctx);
    if (!ssl || SSL_set_fd(ssl, accept(listener, NULL, NULL)) != 1 || SSL_accept(ssl) != 1)
        return NULL;
    return ssl;
}

/* Returns the number of updates, or -1. */
static int echo(SSL *ssl)
{
    static char piece[PIECE];
    int n_updates = 0, n;

    for (unsigned i = 0; (n = SSL_read(ssl, piece, sizeof piece)) > 0; i++) {
        if (i % PERIOD == 0) {
            int kind =
                i % (2 * PERIOD) == 0 ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED;

            if (SSL_key_update(ssl, kind) != 1)
                return -1;
            n_updates++;
        }
        if (SSL_write(ssl, piece, n) != n)
            return -1;
    }
    return SSL_get_error(ssl, n) == SSL_ERROR_ZERO_RETURN ? n_updates : -1;
}

int main(int argc, char **argv)
{
    SSL *ssl;
    int n;

    if (argc != 3) {
        fputs("usage: key-updater CERTIFICATE KEY\n", stderr);
        return 2;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
    alarm(120);
    ssl = accept_tls(argv[1], argv[2]);
    n = ssl ? echo(ssl) : -1;
    if (n < 0) {
        ERR_print_errors_fp(stderr);
        return 1;
    }
    SSL_shutdown(ssl);
    SSL_free(ssl);
    printf("%d\n", n);
    return 0;
}
