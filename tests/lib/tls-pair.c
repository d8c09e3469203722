/* The server is an SSL over OpenSSL's own memory BIOs. Around each call of ours the thread's error
 * queue is filled with a foreign error first and must be empty afterwards. */
#include "tests/lib/suite.h"
#include "tests/lib/tls-pair.h"
#include "tests/lib/valgrind.h"

#include <check.h>
#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROUNDS_MAX 100000

struct certs_matrix *pair_matrix;
struct tls_context *pair_context;
static unsigned kernel_ciphers; /* of all sessions that have none of their own */

static void set_up(void)
{
    const struct certs_pair *ca;

    pair_matrix = certs_matrix_new();
    ca = certs_matrix_ca(pair_matrix);
    pair_context = pair_context_new(&ca, 1, (struct tls_settings){0});
}

static void tear_down(void)
{
    pair_context = tls_context_unref(pair_context);
    pair_matrix = certs_matrix_free(pair_matrix);
}

static void set_up_kernel(void)
{
    kernel_ciphers = (1U << TLS_KERNEL_CIPHERS) - 1;
    set_up();
}

static void tear_down_kernel(void)
{
    tear_down();
    kernel_ciphers = 0;
}

static void add_case(Suite *suite, const char *name, void (*set)(void), void (*tear)(void),
                     void (*add_tests)(TCase *tcase))
{
    TCase *tcase = tcase_create(name);

    tcase_set_timeout(tcase, 300);
    tcase_add_unchecked_fixture(tcase, set, tear);
    add_tests(tcase);
    suite_add_tcase(suite, tcase);
}

int pair_run_suite(const char *name, void (*add_tests)(TCase *tcase))
{
    Suite *suite = suite_create(name);

    add_case(suite, "all", set_up, tear_down, add_tests);
    return suite_run_sharing(suite);
}

int pair_run_suite_twice(const char *name, void (*add_tests)(TCase *tcase))
{
    Suite *suite = suite_create(name);

    add_case(suite, "ours", set_up, tear_down, add_tests);
    if (!is_under_valgrind()) /* which is slow, and sees the same code */
        add_case(suite, "the kernel's", set_up_kernel, tear_down_kernel, add_tests);
    return suite_run_sharing(suite);
}

static void spoil_errors(void)
{
    ERR_raise(ERR_LIB_SSL, SSL_R_BAD_LENGTH);
}

static void check_errors(void)
{
    ck_assert_uint_eq(ERR_peek_error(), 0);
}

struct tls_context *pair_context_new(const struct certs_pair *const *anchors, size_t n,
                                     struct tls_settings settings)
{
    struct tls_context *context = NULL;
    char path[] = "/tmp/fdial-test-XXXXXX";
    struct tls_problem problem;
    int fd = mkstemp(path);

    ck_assert_int_ge(fd, 0);
    close(fd);
    certs_write_chain(path, anchors, n);
    settings.ca_file = path;
    spoil_errors();
    ck_assert_msg(tls_context_new(&context, &settings, &problem) == 0, "%s", problem.text);
    check_errors();
    unlink(path);
    return context;
}

static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *n,
                       const unsigned char *in, unsigned n_in, void *arg)
{
    const struct pair *p = arg;

    (void)ssl, (void)in, (void)n_in;
    if (!p->alpn)
        return SSL_TLSEXT_ERR_NOACK;
    *out = (const unsigned char *)p->alpn;
    *n = (unsigned char)strlen(p->alpn);
    return SSL_TLSEXT_ERR_OK;
}

static int accept_any(int is_ok, X509_STORE_CTX *store)
{
    (void)is_ok, (void)store;
    return 1;
}

static int give_staple(SSL *ssl, void *arg)
{
    const struct pair *p = arg;

    SSL_set_tlsext_status_ocsp_resp(ssl, OPENSSL_memdup(p->staple.data, p->staple.n),
                                    (long)p->staple.n);
    return SSL_TLSEXT_ERR_OK;
}

static void init_server(struct pair *p, const struct pair_options *options)
{
    SSL_CTX *ctx = options->server_ctx;

    if (ctx)
        SSL_CTX_up_ref(ctx);
    else
        ctx = SSL_CTX_new(TLS_server_method());
    ck_assert_ptr_nonnull(ctx);
    SSL_CTX_set_security_level(ctx, 0);
    ck_assert(
        SSL_CTX_set_cipher_list(ctx, options->ciphers ? options->ciphers : "DEFAULT:@SECLEVEL=0"));
    ck_assert(SSL_CTX_set_min_proto_version(ctx, options->version));
    ck_assert(SSL_CTX_set_max_proto_version(ctx, options->version));
    ck_assert(SSL_CTX_use_certificate(ctx, options->server->chain[0]->cert));
    ck_assert(SSL_CTX_use_PrivateKey(ctx, options->server->chain[0]->key));
    SSL_CTX_clear_chain_certs(ctx);
    for (size_t i = 1; i < options->server->n_chain; i++)
        ck_assert(SSL_CTX_add1_chain_cert(ctx, options->server->chain[i]->cert));
    if (options->suites)
        ck_assert(SSL_CTX_set_ciphersuites(ctx, options->suites));
    if (options->groups)
        ck_assert(SSL_CTX_set1_groups_list(ctx, options->groups));
    SSL_CTX_set_alpn_select_cb(ctx, choose_alpn, p);
    SSL_CTX_set_mode(ctx, SSL_MODE_AUTO_RETRY);
    if (options->wants_client_certificate)
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, accept_any);
    if (options->staple.data) {
        SSL_CTX_set_tlsext_status_cb(ctx, give_staple);
        SSL_CTX_set_tlsext_status_arg(ctx, p);
    }
    p->server_ctx = ctx;
    p->server = SSL_new(ctx);
    ck_assert_ptr_nonnull(p->server);
    SSL_set_bio(p->server, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_accept_state(p->server);
}

struct pair_options pair_options_of(const char *server, int version)
{
    return (struct pair_options){.server = certs_matrix_find(pair_matrix, server),
                                 .context = pair_context,
                                 .version = version};
}

void pair_init(struct pair *p, const struct pair_options *options)
{
    struct tls_params params = options->params;

    *p = (struct pair){.alpn = options->alpn,
                       .staple = options->staple,
                       .chunk_size = SIZE_MAX,
                       .limit = SIZE_MAX,
                       .flipped = SIZE_MAX,
                       .progress = TLS_WANT_INPUT};
    if (!params.name && !params.address)
        params.name = "localhost";
    if (params.kernel_ciphers == 0)
        params.kernel_ciphers = kernel_ciphers;
    spoil_errors();
    ck_assert_int_eq(tls_session_new(&p->client, options->context, &params), 0);
    check_errors();
    init_server(p, options);
    ERR_clear_error();
}

void pair_deinit(struct pair *p)
{
    spoil_errors();
    p->client = tls_session_free(p->client);
    check_errors();
    SSL_free(p->server);
    SSL_CTX_free(p->server_ctx);
}

static void drive_client(struct pair *p)
{
    if (p->progress != TLS_WANT_INPUT)
        return;
    spoil_errors();
    p->progress = tls_session_handshake(p->client, &p->failure);
    check_errors();
}

static void drive_server(struct pair *p)
{
    if (!SSL_is_init_finished(p->server))
        SSL_do_handshake(p->server);
    ERR_clear_error();
}

size_t pair_move_to_server(struct pair *p)
{
    size_t n_moved = 0, n;
    const uint8_t *data;

    while ((n = tls_session_output(p->client, &data)) > 0) {
        ck_assert_int_eq(BIO_write(SSL_get_rbio(p->server), data, (int)n), (int)n);
        tls_session_sent(p->client, n);
        n_moved += n;
    }
    return n_moved;
}

void pair_inject(struct pair *p, const void *data, size_t n)
{
    spoil_errors();
    ck_assert_int_eq(tls_session_feed(p->client, data, n), 0);
    ERR_clear_error();
    p->n_received += n;
}

size_t pair_move_to_client(struct pair *p)
{
    size_t n_moved = 0;
    char buf[4096];

    while (p->n_received < p->limit) {
        size_t n = p->chunk_size < sizeof buf ? p->chunk_size : sizeof buf;
        int r;

        if (n > p->limit - p->n_received)
            n = p->limit - p->n_received;
        r = BIO_read(SSL_get_wbio(p->server), buf, (int)n);
        if (r <= 0)
            break;
        if (p->flipped - p->n_received < (size_t)r)
            buf[p->flipped - p->n_received] ^= 1;
        pair_inject(p, buf, (size_t)r);
        n_moved += (size_t)r;
        if (p->chunk_size != SIZE_MAX)
            drive_client(p);
    }
    return n_moved;
}

enum tls_progress pair_run(struct pair *p)
{
    for (int i = 0; i < ROUNDS_MAX; i++) {
        size_t n_moved;

        drive_client(p);
        n_moved = pair_move_to_server(p);
        drive_server(p);
        n_moved += pair_move_to_client(p);
        drive_client(p);
        if (n_moved == 0)
            return p->progress;
    }
    ck_abort_msg("the handshake does not end");
}

ssize_t pair_read(struct pair *p, void *buf, size_t n)
{
    ssize_t result;

    spoil_errors();
    result = tls_session_read(p->client, buf, n);
    check_errors();
    return result;
}

ssize_t pair_write(struct pair *p, const void *buf, size_t n)
{
    ssize_t result;

    spoil_errors();
    result = tls_session_write(p->client, buf, n);
    check_errors();
    return result;
}

void pair_open(struct pair *p, int version)
{
    struct pair_options options = pair_options_of("server-ecdsa", version);

    pair_init(p, &options);
    ck_assert_int_eq(pair_run(p), TLS_DONE);
}

void pair_check_failure(const struct failure *f, enum error_code code, const char *detail)
{
    ck_assert_msg(f->code == code, "%s: %s", error_name(f->code), f->detail);
    ck_assert_int_eq(f->stage, STAGE_TLS);
    ck_assert_msg(strstr(f->detail, detail) != NULL, "\"%s\" is not in \"%s\"", detail, f->detail);
}
