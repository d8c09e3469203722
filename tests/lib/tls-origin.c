/* The SSL is between memory BIOs, so nothing is sent before the script says how. Each connection
 * has a process, so that several can be had at once; what they have seen is in shared memory. */
#include "tests/lib/tls-origin.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/find-secret.h"

#define RECORD 16384

struct connection {
    const struct tls_origin_script *script;
    SSL *ssl;
    int fd;
    size_t n_written; /* of the script's data */
    size_t n_read;
};

static struct tls_origin_seen *seen;
static pid_t origin;

uint8_t tls_origin_byte(size_t i)
{
    return (uint8_t)(i * 7 + i / 251);
}

const struct tls_origin_seen *tls_origin_seen(void)
{
    return seen;
}

static bool send_all(int fd, const char *data, size_t n, size_t chunk_size)
{
    while (n > 0) {
        size_t k = chunk_size > 0 && chunk_size < n ? chunk_size : n;
        ssize_t sent = send(fd, data, k, MSG_NOSIGNAL);

        if (sent < 0)
            return false;
        data += sent;
        n -= (size_t)sent;
    }
    return true;
}

/* All that the SSL wants sent. */
static bool put_out(struct connection *c)
{
    BIO *out = SSL_get_wbio(c->ssl);
    char *data;
    long n = BIO_get_mem_data(out, &data);
    bool is_sent = send_all(c->fd, data, (size_t)n, c->script->chunk_size);

    (void)BIO_reset(out);
    return is_sent;
}

static bool take_in(struct connection *c)
{
    char data[RECORD];
    ssize_t n = recv(c->fd, data, sizeof data, 0);

    return n > 0 && BIO_write(SSL_get_rbio(c->ssl), data, (int)n) == n;
}

/* The script's data, one record of them. */
static void write_some(struct connection *c, bool is_early)
{
    uint8_t data[RECORD];
    size_t n = c->script->n_data - c->n_written, n_done = 0;

    if (n > sizeof data)
        n = sizeof data;
    for (size_t i = 0; i < n; i++)
        data[i] = tls_origin_byte(c->n_written + i);
    if (n > 0 && (is_early ? SSL_write_early_data(c->ssl, data, n, &n_done)
                           : SSL_write_ex(c->ssl, data, n, &n_done)))
        c->n_written += n_done;
}

/* Behind its Finished, as soon as that is made: TLS 1.3 only. */
static void write_early(struct connection *c)
{
    uint8_t none[1];
    size_t n;

    if (c->script->is_early && c->n_written == 0 &&
        SSL_read_early_data(c->ssl, none, sizeof none, &n) == SSL_READ_EARLY_DATA_FINISH)
        write_some(c, true);
}

static bool shake_hands(struct connection *c)
{
    for (;;) {
        int r;

        write_early(c);
        r = SSL_accept(c->ssl);
        if (r == 1)
            return true; /* what it wants sent goes with what follows */
        if (!put_out(c) || SSL_get_error(c->ssl, r) != SSL_ERROR_WANT_READ || !take_in(c))
            return false;
    }
}

static void note(struct connection *c, const uint8_t *data, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (data[i] != tls_origin_byte(c->n_read + i))
            __atomic_fetch_add(&seen->n_spoiled, 1, __ATOMIC_RELAXED);
    c->n_read += n;
    __atomic_fetch_add(&seen->n_received, n, __ATOMIC_RELAXED);
}

static void read_until_closed(struct connection *c)
{
    uint8_t data[RECORD];
    size_t n;

    for (;;) {
        if (SSL_read_ex(c->ssl, data, sizeof data, &n)) {
            note(c, data, n);
            continue;
        }
        if (SSL_get_shutdown(c->ssl) & SSL_RECEIVED_SHUTDOWN)
            __atomic_fetch_add(&seen->n_closed, 1, __ATOMIC_RELAXED);
        else if (SSL_get_error(c->ssl, 0) == SSL_ERROR_WANT_READ && put_out(c) && take_in(c))
            continue;
        return;
    }
}

static void go_by_script(struct connection *c)
{
    if (!shake_hands(c))
        return;
    do {
        write_some(c, false);
        if (c->script->is_closing && c->n_written == c->script->n_data)
            SSL_shutdown(c->ssl);
        if (!put_out(c))
            return;
    } while (c->n_written < c->script->n_data);
    if (c->script->is_closing)
        return;
    read_until_closed(c);
    SSL_shutdown(c->ssl);
    put_out(c);
}

/* In the process of a connection: which of all it is. */
static unsigned number;

/* "LABEL RANDOM SECRET", in hexadecimal digits. The last ones of a connection may come when the
 * next has begun. */
static void keep_secret(const SSL *ssl, const char *line)
{
    const char *digits = strrchr(line, ' ') + 1;
    size_t n = strlen(digits) / 2;

    (void)ssl;
    if (number != seen->n_begun || seen->n_secrets == TLS_ORIGIN_SECRETS_MAX ||
        n > TLS_ORIGIN_SECRET_MAX)
        return;
    for (size_t i = 0; i < n; i++) {
        const char byte[] = {digits[2 * i], digits[2 * i + 1], 0};

        seen->secrets[seen->n_secrets][i] = (uint8_t)strtoul(byte, NULL, 16) ^ SECRET_MASK;
    }
    seen->secret_sizes[seen->n_secrets++] = n;
}

static SSL_CTX *context_of(const struct tls_origin_script *script)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

    if (!SSL_CTX_use_certificate(ctx, script->certificate->cert) ||
        !SSL_CTX_use_PrivateKey(ctx, script->certificate->key) ||
        !SSL_CTX_set_min_proto_version(ctx, script->version) ||
        !SSL_CTX_set_max_proto_version(ctx, script->version) ||
        (script->ciphers && !SSL_CTX_set_cipher_list(ctx, script->ciphers)) ||
        (script->suites && !SSL_CTX_set_ciphersuites(ctx, script->suites)) ||
        (script->groups && !SSL_CTX_set1_groups_list(ctx, script->groups)))
        _exit(EXIT_FAILURE);
    SSL_CTX_set_keylog_callback(ctx, keep_secret);
    if (script->is_early)
        SSL_CTX_set_max_early_data(ctx, RECORD);
    return ctx;
}

static bool hear_line(int fd)
{
    char c = 0;

    while (c != '\n' && read(fd, &c, 1) == 1)
        ;
    return c == '\n';
}

static bool agree_smtp(int fd)
{
    static const char greeting[] = "220 mx\r\n", answer[] = "250-mx\r\n250 STARTTLS\r\n",
                      agreed[] = "220 go\r\n";

    return send_all(fd, greeting, strlen(greeting), 0) && hear_line(fd) &&
           send_all(fd, answer, strlen(answer), 0) && hear_line(fd) &&
           send_all(fd, agreed, strlen(agreed), 0);
}

static void serve(const struct tls_origin_script *script, SSL_CTX *ctx, int fd)
{
    struct connection c = {.script = script, .ssl = SSL_new(ctx), .fd = fd};
    int on = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    number = ++seen->n_begun;
    seen->n_secrets = 0;
    SSL_set_accept_state(c.ssl);
    SSL_set_bio(c.ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    if (!script->is_smtp || agree_smtp(fd))
        go_by_script(&c);
    shutdown(fd, SHUT_WR);
}

static void run(const struct tls_origin_script *script, int listener)
{
    SSL_CTX *ctx = context_of(script);

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

        if (fd < 0)
            _exit(EXIT_FAILURE);
        if (fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            serve(script, ctx, fd);
            _exit(EXIT_SUCCESS);
        }
        close(fd);
    }
}

uint16_t tls_origin_start(const struct tls_origin_script *script)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t n = sizeof sa;

    seen = mmap(NULL, sizeof *seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(seen, MAP_FAILED);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&sa, n), 0);
    ck_assert_int_eq(listen(listener, 64), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&sa, &n), 0);
    origin = fork();
    if (origin == 0)
        run(script, listener);
    ck_assert_int_gt(origin, 0);
    close(listener);
    return ntohs(sa.sin_port);
}

void tls_origin_stop(void)
{
    kill(origin, SIGKILL);
    waitpid(origin, NULL, 0);
    munmap(seen, sizeof *seen);
    seen = NULL;
}
