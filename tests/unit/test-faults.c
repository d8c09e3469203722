/* The whole of one worker in one thread, against an origin in another, with the n-th ring operation
 * failing: for every n until a run needs fewer, and for each of several errors. Whatever happens,
 * the client gets an answer or the end of its session, nothing hangs, and afterwards there are as
 * many fds and as much memory as before. */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/cleanup.h"
#include "tests/lib/certs.h"
#include "tests/lib/front-rig.h"
#include "tests/lib/front-walk.h"
#include "tests/lib/suite.h"
#include "tests/lib/valgrind.h"

/* The origin: agrees to what its kind of target asks for, says "hello\n", then reads until the end,
 * then closes. */

static int origin_fd;
static uint16_t origin_port;
static SSL_CTX *origin_tls;
static pthread_t origin_thread;
static void (*origin_agree)(int fd); /* in the clear; NULL: to nothing */

static void say(int fd, const char *text)
{
    send(fd, text, strlen(text), MSG_NOSIGNAL);
}

/* A line without its end, or what was there of it; false at the end of everything. */
static bool hear_line(int fd, char *line, size_t size)
{
    size_t n = 0;

    while (n < size - 1 && read(fd, line + n, 1) == 1 && line[n] != '\n')
        n++;
    line[n > 0 && line[n - 1] == '\r' ? n - 1 : n] = '\0';
    return n > 0;
}

static void agree_smtp(int fd)
{
    char line[256];

    say(fd, "220 mx\r\n");
    if (!hear_line(fd, line, sizeof line))
        return;
    say(fd, "250-mx\r\n250 STARTTLS\r\n");
    if (hear_line(fd, line, sizeof line))
        say(fd, "220 go\r\n");
}

static void agree_websocket(int fd)
{
    static const char key_field[] = "Sec-WebSocket-Key: ";
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    char line[256], key[128] = "", accept[64], head[512];
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n_digest;

    while (hear_line(fd, line, sizeof line) && line[0])
        if (strncmp(line, key_field, strlen(key_field)) == 0)
            snprintf(key, sizeof key, "%.80s%s", line + strlen(key_field), guid);
    EVP_Digest(key, strlen(key), digest, &n_digest, EVP_sha1(), NULL);
    EVP_EncodeBlock((unsigned char *)accept, digest, (int)n_digest);
    snprintf(head, sizeof head,
             "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             "Sec-WebSocket-Accept: %s\r\n\r\n",
             accept);
    say(fd, head);
}

static void serve_plain(int fd)
{
    char buf[256];

    if (write(fd, "hello\n", 6) == 6)
        while (read(fd, buf, sizeof buf) > 0)
            ;
}

static void serve_tls(int fd)
{
    SSL *ssl = SSL_new(origin_tls);
    char buf[256];

    SSL_set_fd(ssl, fd);
    if (SSL_accept(ssl) == 1 && SSL_write(ssl, "hello\n", 6) == 6) {
        while (SSL_read(ssl, buf, sizeof buf) > 0)
            ;
        SSL_shutdown(ssl);
    }
    SSL_free(ssl);
}

static void *origin_run(void *data)
{
    (void)data;
    for (;;) {
        int fd = accept4(origin_fd, NULL, NULL, SOCK_CLOEXEC);

        if (fd < 0)
            return NULL;
        if (origin_agree)
            origin_agree(fd);
        if (origin_tls)
            serve_tls(fd);
        else
            serve_plain(fd);
        close(fd);
    }
}

static void origin_start(void)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof sa;

    origin_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(origin_fd, (struct sockaddr *)&sa, n), 0);
    ck_assert_int_eq(listen(origin_fd, 64), 0);
    ck_assert_int_eq(getsockname(origin_fd, (struct sockaddr *)&sa, &n), 0);
    origin_port = ntohs(sa.sin_port);
    ck_assert_int_eq(pthread_create(&origin_thread, NULL, origin_run, NULL), 0);
}

static void origin_stop(void)
{
    shutdown(origin_fd, SHUT_RDWR);
    pthread_join(origin_thread, NULL);
    close(origin_fd);
    SSL_CTX_free(origin_tls);
    origin_tls = NULL;
}

static char ca_path[] = "/tmp/fdial-faults-XXXXXX";

static void worker_start(const char *seal)
{
    char text[1024];

    snprintf(text, sizeof text,
             "tls \"t\" { ca-file = \"%s\" resumption = false }\n" /* all is freed */
             "rule \"r\" { client = { \"uid:%u\" } allow = { \"*://*:*\" }"
             " addresses = { \"loopback\" } seal = \"%s\" tls = \"t\" }\n",
             ca_path, getuid(), seal);
    rig_start(text);
}

/* The client. */

static bool is_by_grant; /* the session comes from a grant */

/* Reads until the end while the ring turns. Returns whether all of "hello\n" came. */
static bool client_use(int fd)
{
    char got[64];
    size_t n_got = 0;

    shutdown(fd, SHUT_WR);
    for (;;) {
        ssize_t n = recv(fd, got + n_got, sizeof got - n_got, MSG_DONTWAIT);

        if (n == 0 || (n < 0 && errno != EAGAIN))
            break;
        if (n > 0)
            n_got += (size_t)n;
        else
            rig_turn();
    }
    return n_got == 6 && memcmp(got, "hello\n", 6) == 0;
}

static bool run_once(void *target)
{
    const struct message_connect connect = {.target = text_of(target), .timeout_ms = 5000};
    int client, n_fds = -1, fds[RIG_FDS_MAX];
    struct message_result result;
    bool is_complete = false;

    rig_be_patient();
    client = is_by_grant ? rig_client_open_granted() : rig_client_open();
    if (client >= 0) {
        rig_client_connect(client, &connect);
        n_fds = rig_client_result(client, &result, fds);
    }
    if (n_fds > 0) {
        is_complete = client_use(fds[0]);
        close(fds[0]);
    }
    fd_close(client);
    rig_wait_until_quiet();
    return is_complete;
}

static void walk_target(const char *seal, const char *scheme, unsigned ops_min)
{
    char target[64];

    origin_start();
    worker_start(seal);
    snprintf(target, sizeof target, "%s://127.0.0.1:%u", scheme, origin_port);
    rig_walk(run_once, target, ops_min);
    rig_stop();
    origin_stop();
}

START_TEST(test_socket_itself)
{
    walk_target("off", "tcp", 5);
}
END_TEST

START_TEST(test_sealed_socket)
{
    /* Where the kernel cannot seal, the step fails and a relay takes over: tested all the same. */
    rig_caps.can_seal = true;
    walk_target("required", "tcp", 6);
}
END_TEST

START_TEST(test_session_from_a_grant)
{
    is_by_grant = true;
    walk_target("off", "tcp", 10);
    is_by_grant = false;
}
END_TEST

START_TEST(test_plain_relay)
{
    walk_target("required", "tcp", 9);
}
END_TEST

START_TEST(test_websocket)
{
    origin_agree = agree_websocket;
    walk_target("off", "ws", 8);
    origin_agree = NULL;
}
END_TEST

static void walk_tls(const char *scheme, unsigned ops_min)
{
    struct certs_matrix *matrix = certs_matrix_new();
    const struct certs_case *good = certs_matrix_find(matrix, "server-ecdsa");
    const struct certs_pair *ca = certs_matrix_ca(matrix);

    ck_assert_ptr_nonnull(good);
    certs_write_chain(ca_path, &ca, 1);
    origin_tls = SSL_CTX_new(TLS_server_method());
    ck_assert_int_eq(SSL_CTX_use_certificate(origin_tls, good->chain[0]->cert), 1);
    ck_assert_int_eq(SSL_CTX_use_PrivateKey(origin_tls, good->chain[0]->key), 1);
    walk_target("required", scheme, ops_min);
    certs_matrix_free(matrix);
}

START_TEST(test_tls_relay)
{
    walk_tls("tls", 12);
}
END_TEST

START_TEST(test_starttls)
{
    origin_agree = agree_smtp;
    walk_tls("smtp+starttls", 20);
    origin_agree = NULL;
}
END_TEST

static void make_ca(void)
{
    const struct certs_spec spec = {.common_name = "test", .is_ca = true};
    struct certs_pair *ca = certs_new(&spec, NULL);
    const struct certs_pair *chain = ca;
    int fd = mkstemp(ca_path);

    close(fd);
    certs_write_chain(ca_path, &chain, 1);
    certs_free(ca);
}

int main(int argc, char **argv)
{
    Suite *suite = suite_create("faults");
    TCase *tcase = tcase_create("faults");
    int failed;

    (void)argc;
    rig_walk_prepare(argv);
    signal(SIGPIPE, SIG_IGN); /* the origin writes to whom it may concern */
    make_ca();
    tcase_set_timeout(tcase, 100);
    tcase_add_test(tcase, test_socket_itself);
    tcase_add_test(tcase, test_sealed_socket);
    if (!is_under_valgrind()) /* 3.19 knows no pidfd_open(2) */
        tcase_add_test(tcase, test_session_from_a_grant);
    tcase_add_test(tcase, test_plain_relay);
    tcase_add_test(tcase, test_websocket);
    tcase_add_test(tcase, test_tls_relay);
    tcase_add_test(tcase, test_starttls);
    suite_add_tcase(suite, tcase);
    failed = suite_run(suite);
    unlink(ca_path);
    return failed;
}
