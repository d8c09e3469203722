/* When there are no keys, and that they do not stay behind. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/tls/internal.h"
#include "tests/lib/tls-wire.h"

#define ALL         ((1U << TLS_KERNEL_CIPHERS) - 1)
#define MAPPING_MAX (64 * 1024 * 1024)

/* Returns nothing else, and the session goes on. */
static void check_refused(struct pair *p)
{
    struct tls_kernel_keys tx, rx, untouched;
    uint8_t buf[16];

    memset(&untouched, 0xaa, sizeof untouched);
    tx = rx = untouched;
    ck_assert_int_eq(tls_session_export(p->client, &tx, &rx), -EOPNOTSUPP);
    ck_assert_mem_eq(&tx, &untouched, sizeof tx);
    ck_assert_mem_eq(&rx, &untouched, sizeof rx);
    ck_assert_int_eq(pair_write(p, "ping", 4), 4);
    pair_move_to_server(p);
    ck_assert_int_eq(SSL_read(p->server, buf, sizeof buf), 4);
    ck_assert_int_eq(SSL_write(p->server, "pong", 4), 4);
    pair_move_to_client(p);
    ck_assert_int_eq(pair_read(p, buf, sizeof buf), 4);
}

static void open_pair(struct pair *p, const struct pair_options *options)
{
    pair_init(p, options);
    ck_assert_int_eq(pair_run(p), TLS_DONE);
}

/* Not asked for; and negotiated was one that is not among those asked for. */
START_TEST(not_asked_for)
{
    static const unsigned masks[] = {0, ALL};
    struct pair p;

    for (size_t i = 0; i < sizeof masks / sizeof masks[0]; i++) {
        struct pair_options options = wire_options_of(_i);

        options.params.kernel_ciphers = masks[i] & ~(1U << _i);
        open_pair(&p, &options);
        ck_assert_int_eq(tls_session_kernel_cipher(p.client), _i);
        check_refused(&p);
        pair_deinit(&p);
    }
}
END_TEST

static const struct {
    const char *name;
    int version;
} foreign[] = {
    {"TLS_AES_128_CCM_SHA256", TLS1_3_VERSION},
    {"TLS_AES_128_CCM_8_SHA256", TLS1_3_VERSION},
    {"ECDHE-ECDSA-AES128-CCM", TLS1_2_VERSION},
    {"ECDHE-ECDSA-AES128-SHA256", TLS1_2_VERSION},
};

START_TEST(foreign_cipher)
{
    struct pair_options options = pair_options_of("server-ecdsa", foreign[_i].version);
    const struct certs_pair *ca = certs_matrix_ca(pair_matrix);
    char *names[] = {(char *)foreign[_i].name};
    struct pair p;

    options.ciphers = "ALL:@SECLEVEL=0";
    if (foreign[_i].version == TLS1_3_VERSION)
        options.suites = foreign[_i].name;
    options.context =
        pair_context_new(&ca, 1, (struct tls_settings){.ciphers = names, .n_ciphers = 1});
    options.params = (struct tls_params){.name = "localhost", .kernel_ciphers = ALL};
    open_pair(&p, &options);
    ck_assert_int_eq(tls_session_kernel_cipher(p.client), -EOPNOTSUPP);
    check_refused(&p);
    pair_deinit(&p);
    tls_context_unref(options.context);
}
END_TEST

/* Whatever was done with the session, the record numbers are no longer those of its start. */
START_TEST(session_was_used)
{
    struct pair_options options = wire_options_of(_i);
    struct tls_kernel_keys tx, rx;
    uint8_t buf[16];
    struct pair p;

    for (int use = 0; use < 4; use++) {
        open_pair(&p, &options);
        if (use == 0)
            ck_assert_int_eq(pair_read(&p, buf, sizeof buf), -EAGAIN);
        else if (use == 1)
            ck_assert_int_eq(tls_session_peek(p.client, buf, sizeof buf), -EAGAIN);
        else if (use == 2)
            ck_assert_int_eq(pair_write(&p, "x", 1), 1);
        else
            ck_assert_int_eq(tls_session_export(p.client, &tx, &rx), 0);
        if (use == 2) {
            pair_move_to_server(&p);
            ck_assert_int_eq(SSL_read(p.server, buf, sizeof buf), 1);
        }
        check_refused(&p);
        pair_deinit(&p);
    }
    open_pair(&p, &options);
    tls_session_close(p.client);
    ck_assert_int_eq(tls_session_export(p.client, &tx, &rx), -EOPNOTSUPP);
    pair_deinit(&p);
}
END_TEST

/* The server's keys of TLS 1.2 with CHACHA20-POLY1305 before it has sent anything with them. */
static void derive_from_server(struct wire *w)
{
    uint8_t master[SSL_MAX_MASTER_KEY_LENGTH], seed[2 * SSL3_RANDOM_SIZE], block[88];
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "TLS1-PRF", NULL);
    EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
    OSSL_PARAM params[5] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)"SHA256", 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SECRET, master, sizeof master),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, (char *)"key expansion", 13),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, seed, sizeof seed),
        OSSL_PARAM_construct_end(),
    };

    SSL_SESSION_get_master_key(SSL_get_session(w->p.server), master, sizeof master);
    SSL_get_server_random(w->p.server, seed, SSL3_RANDOM_SIZE);
    SSL_get_client_random(w->p.server, seed + SSL3_RANDOM_SIZE, SSL3_RANDOM_SIZE);
    ck_assert_int_eq(EVP_KDF_derive(ctx, block, sizeof block, params), 1);
    w->rx = (struct kernel_direction){.cipher = EVP_chacha20_poly1305()};
    memcpy(w->rx.key, block + 32, 32);
    memcpy(w->rx.iv, block + 76, 12);
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
}

/* A HelloRequest in the record of the server's Finished: OpenSSL has read the record as a whole, so
 * half of it could not be given back to the socket. */
START_TEST(half_a_record_behind_the_handshake)
{
    struct pair_options options = wire_options_of(TLS_KERNEL_12_CHACHA20_POLY1305);
    uint8_t finished[KERNEL_RECORD_MAX], record[KERNEL_RECORD_MAX];
    struct tls_kernel_keys tx, rx;
    struct kernel_direction again;
    size_t n, offset;
    struct wire w;

    wire_init(&w, &options);
    for (int i = 0; i < 2; i++) {
        wire_drive_client(&w);
        wire_drive_server(&w);
    }
    ck_assert(SSL_is_init_finished(w.p.server));
    derive_from_server(&w);
    again = w.rx;
    offset = KERNEL_HEAD_SIZE + 1; /* its ChangeCipherSpec */
    pair_inject(&w.p, w.queue, offset);
    wire_drop(&w, offset);
    n = wire_receive(&w, WIRE_HANDSHAKE, finished);
    ck_assert_uint_eq(n, 16);
    ck_assert_uint_eq(w.n, 0);
    memcpy(finished + n, (const uint8_t[]){SSL3_MT_HELLO_REQUEST, 0, 0, 0}, 4);
    n = kernel_seal(&again, WIRE_HANDSHAKE, finished, n + 4, record);
    pair_inject(&w.p, record, n);
    ck_assert_int_eq(tls_session_handshake(w.p.client, &w.p.failure), TLS_DONE);
    ck_assert_uint_eq(tls_session_unread(w.p.client), 0);
    ck_assert_int_eq(tls_session_export(w.p.client, &tx, &rx), -EOPNOTSUPP);
    ck_assert_int_eq(pair_read(&w.p, record, sizeof record), -EPROTO);
    pair_check_failure(tls_session_failure(w.p.client), ERROR_TLS_PROTOCOL, "renegotiation");
    wire_deinit(&w);
}
END_TEST

/* A secret that the sessions have, masked so that it is not found here. */
#define MASK 0x5a
static uint8_t masked[32];

static void mask(const uint8_t *secret)
{
    for (size_t i = 0; i < sizeof masked; i++)
        masked[i] = secret[i] ^ MASK;
}

static void see_key_log(const SSL *ssl, const char *line)
{
    static const char label[] = "CLIENT_TRAFFIC_SECRET_0 ";
    const char *digits = strrchr(line, ' ') + 1;
    uint8_t secret[sizeof masked];

    (void)ssl;
    if (strncmp(line, label, sizeof label - 1) != 0)
        return;
    for (size_t i = 0; i < sizeof secret; i++)
        ck_assert_int_eq(sscanf(digits + 2 * i, "%2hhx", &secret[i]), 1);
    mask(secret);
    explicit_bzero(secret, sizeof secret);
}

static unsigned count_secrets(const uint8_t *data, size_t n)
{
    const uint8_t *at = data, *end = data + n;
    unsigned n_found = 0;

    while ((at = memchr(at, masked[0] ^ MASK, (size_t)(end - at))) != NULL) {
        size_t i = 0;

        while (i < sizeof masked && at + i < end && (at[i] ^ MASK) == masked[i])
            i++;
        n_found += i == sizeof masked;
        at++;
    }
    return n_found;
}

/* How often the secret is in what malloc() has to give, used or not. Read through a file, which
 * neither the sanitizers nor valgrind mind. */
static unsigned find_secret(void)
{
    static uint8_t buf[1 << 20];
    FILE *maps = fopen("/proc/self/maps", "re");
    int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    unsigned n_found = 0;
    char line[512];

    ck_assert(maps && fd >= 0);
    while (fgets(line, sizeof line, maps)) {
        uintptr_t start, end;
        char name[2] = "";

        ck_assert_int_ge(sscanf(line, "%lx-%lx %*s %*s %*s %*s %1s", &start, &end, name), 2);
        if (!strstr(line, " rw") || (name[0] != '\0' && !strstr(line, "[heap]")))
            continue;
        if (end - start > MAPPING_MAX)
            continue; /* a sanitizer's own */
        for (ssize_t n; start < end && (n = pread(fd, buf, sizeof buf, (off_t)start)) > 0;
             start += (size_t)n)
            n_found += count_secrets(buf, (size_t)n < end - start ? (size_t)n : end - start);
    }
    explicit_bzero(buf, sizeof buf);
    close(fd);
    fclose(maps);
    return n_found;
}

/* Once the kernel has the keys nothing of them is in our memory. */
START_TEST(nothing_stays)
{
    struct pair_options options = wire_options_of(_i);
    uint8_t master[SSL_MAX_MASTER_KEY_LENGTH];
    struct wire w;

    wire_init(&w, &options);
    SSL_CTX_set_keylog_callback(w.p.server_ctx, see_key_log);
    wire_shake_hands(&w);
    if (options.version == TLS1_2_VERSION) {
        SSL_SESSION_get_master_key(SSL_get_session(w.p.server), master, sizeof master);
        mask(master);
        explicit_bzero(master, sizeof master);
    }
    wire_export(&w, _i);
    tls_memory_begin_wiping();
    SSL_free(w.p.server);
    SSL_CTX_free(w.p.server_ctx);
    tls_memory_end_wiping();
    ck_assert_uint_ge(find_secret(), 1);
    tls_session_free(w.p.client);
    ck_assert_uint_eq(find_secret(), 0);
    free(w.queue);
}
END_TEST

START_TEST(made_up_keys)
{
    static const char *const names[TLS_KERNEL_CIPHERS] = {
        "tls1.2-aes-128-gcm", "tls1.2-aes-256-gcm", "tls1.2-chacha20-poly1305",
        "tls1.3-aes-128-gcm", "tls1.3-aes-256-gcm", "tls1.3-chacha20-poly1305"};
    struct kernel_direction sender, receiver;
    uint8_t record[256], out[256], type;
    struct tls_kernel_keys keys;
    size_t size, n;

    ck_assert_str_eq(tls_kernel_cipher_name(_i), names[_i]);
    memset(&keys, 0xaa, sizeof keys);
    tls_kernel_keys_make_up(&keys, _i);
    kernel_set_keys(&sender, &keys);
    kernel_set_keys(&receiver, &keys);
    ck_assert_int_eq(sender.is_13, _i >= TLS_KERNEL_13_AES_128_GCM);
    ck_assert_int_eq(strstr(names[_i], "128") != NULL, sender.cipher == EVP_aes_128_gcm());
    ck_assert_int_eq(strstr(names[_i], "256") != NULL, sender.cipher == EVP_aes_256_gcm());
    size = kernel_seal(&sender, WIRE_DATA, "hello", 5, record);
    ck_assert_int_eq(kernel_open(&receiver, record, size, out, &n, &type), size);
    ck_assert_uint_eq(n, 5);
    ck_assert_mem_eq(out, "hello", 5);
}
END_TEST

static void add_tests(TCase *tcase)
{
    tcase_add_loop_test(tcase, not_asked_for, 0, TLS_KERNEL_CIPHERS);
    tcase_add_loop_test(tcase, foreign_cipher, 0, sizeof foreign / sizeof foreign[0]);
    tcase_add_loop_test(tcase, session_was_used, 0, TLS_KERNEL_CIPHERS);
    tcase_add_test(tcase, half_a_record_behind_the_handshake);
    tcase_add_loop_test(tcase, nothing_stays, 0, TLS_KERNEL_CIPHERS);
    tcase_add_loop_test(tcase, made_up_keys, 0, TLS_KERNEL_CIPHERS);
}

int main(void)
{
    return pair_run_suite("tls-export-refused", add_tests);
}
