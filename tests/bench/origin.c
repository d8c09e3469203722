/* origin [--tls CERTIFICATE KEY] ADDRESSES: a server that keeps each connection until the client
 * closes it or says something (a request, which is answered), on 127.0.0.1 and as many following
 * addresses. Prints its port. One thread, epoll. Its CPU time counts for nobody, so it only has to
 * be cheap: plain connections are accepted and watched for their end, on TLS ones it does a
 * handshake. */
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS 256

struct connection {
    int fd;
    bool is_listener;
    SSL *ssl;
};

static int epoll_fd;
static SSL_CTX *ssl_ctx;

static void __attribute__((noreturn)) die(const char *what)
{
    fprintf(stderr, "origin: %s: %s\n", what, strerror(errno));
    ERR_print_errors_fp(stderr);
    exit(1);
}

static void watch(int fd, bool is_listener, SSL *ssl)
{
    struct connection *c = malloc(sizeof *c);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};

    if (!c)
        die("malloc");
    *c = (struct connection){.fd = fd, .is_listener = is_listener, .ssl = ssl};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
        die("epoll_ctl");
}

static void listen_on(unsigned n, in_port_t *port)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = *port};
    socklen_t size = sizeof sa;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;

    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK + n);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof sa) < 0 || listen(fd, 4096) < 0 ||
        getsockname(fd, (struct sockaddr *)&sa, &size) < 0)
        die("listen");
    *port = sa.sin_port;
    watch(fd, true, NULL);
}

static void load_certificate(const char *certificate, const char *key)
{
    ssl_ctx = SSL_CTX_new(TLS_server_method());
    if (!ssl_ctx || !SSL_CTX_set_min_proto_version(ssl_ctx, TLS1_3_VERSION) ||
        SSL_CTX_use_certificate_chain_file(ssl_ctx, certificate) != 1 ||
        SSL_CTX_use_PrivateKey_file(ssl_ctx, key, SSL_FILETYPE_PEM) != 1)
        die("certificate");
    SSL_CTX_set_mode(ssl_ctx, SSL_MODE_RELEASE_BUFFERS);
}

static void accept_all(int listener)
{
    int fd;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        SSL *ssl = NULL;

        if (ssl_ctx) {
            ssl = SSL_new(ssl_ctx);
            if (!ssl || !SSL_set_fd(ssl, fd))
                die("SSL_new");
            SSL_set_accept_state(ssl);
        }
        watch(fd, false, ssl);
    }
}

/* Whether the connection is over. SSL_read does the handshake first. */
static bool read_all(struct connection *c)
{
    static const char answer[] = "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
    char buf[4096];
    ssize_t n;

    ERR_clear_error();
    if (c->ssl)
        n = SSL_read(c->ssl, buf, sizeof buf);
    else
        n = read(c->fd, buf, sizeof buf);
    if (n < 0 && (c->ssl ? SSL_get_error(c->ssl, (int)n) == SSL_ERROR_WANT_READ : errno == EAGAIN))
        return false;
    if (n > 0 && c->ssl)
        SSL_write(c->ssl, answer, sizeof answer - 1);
    else if (n > 0 && write(c->fd, answer, sizeof answer - 1) < 0)
        return true;
    return true;
}

static void serve(struct connection *c)
{
    if (c->is_listener) {
        accept_all(c->fd);
    } else if (read_all(c)) {
        SSL_free(c->ssl);
        close(c->fd);
        free(c);
    }
}

int main(int argc, char **argv)
{
    struct rlimit limit;
    in_port_t port = 0;

    /* It ends with who started it. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    if (argc == 5 && strcmp(argv[1], "--tls") == 0)
        load_certificate(argv[2], argv[3]);
    else if (argc != 2)
        die("usage: origin [--tls CERTIFICATE KEY] ADDRESSES");
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < atoi(argv[argc - 1]); i++)
        listen_on((unsigned)i, &port);
    printf("%u\n", ntohs(port));
    fflush(stdout);
    for (;;) {
        struct epoll_event events[EVENTS];
        int n = epoll_wait(epoll_fd, events, EVENTS, -1);

        for (int i = 0; i < n; i++)
            serve(events[i].data.ptr);
    }
}
