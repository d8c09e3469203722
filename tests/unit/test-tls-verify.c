/* Whom a session believes: the matrix of certificates, names, addresses, and what is told of those
 * refused. */
#include <check.h>
#include <openssl/err.h>
#include <string.h>

#include "tests/lib/tls-pair.h"

/* What the detail must tell, beyond the code. */
static const struct {
    const char *name;
    const char *detail[4];
} details[] = {
    {"expired", {"expired 20", " UTC", "subject CN=expired, issuer CN=Test CA", "depth 0"}},
    {"expired-intermediate",
     {"expired 20", "subject CN=Old middle CA, issuer CN=Test CA", "depth 1"}},
    {"not-yet-valid", {"valid only from 20", "CN=not-yet-valid", "depth 0"}},
    {"wrong-name", {"not for localhost, but for other.example, *.other.example, 192.0.2.1"}},
    {"unknown-issuer", {"its issuer is not in the trust store", "issuer CN=Other CA", "depth 0"}},
    {"unknown-root", {"the root of the chain is not in the trust store", "CN=Other CA", "depth 1"}},
    {"missing-intermediate", {"nor sent along by the peer", "issuer CN=Middle CA"}},
    {"self-signed", {"nobody else vouches", "subject CN=self-signed, issuer CN=self-signed"}},
    {"bad-purpose", {"not for TLS servers", "CN=bad-purpose"}},
    {"issuer-not-a-ca", {"not for a CA", "CN=not-a-ca", "depth 1"}},
    {"weak-key", {"its RSA key has only 1024 bits", "depth 0"}},
    {"weak-signature", {"signed with ecdsa-with-SHA1", "CN=weak-signature"}},
    {"bad-signature", {"signature", "CN=bad-signature", "depth 0"}},
    {"path-too-long", {"more CAs stand below it", "CN=Lowest CA"}},
    {"name-constraint", {"may not issue for its names", "CN=name-constraint"}},
};

static void check_detail(const char *name, const char *detail)
{
    for (size_t i = 0; i < sizeof details / sizeof details[0]; i++) {
        if (strcmp(details[i].name, name) != 0)
            continue;
        for (size_t k = 0; k < 4 && details[i].detail[k]; k++)
            ck_assert_msg(strstr(detail, details[i].detail[k]) != NULL,
                          "%s: \"%s\" is not in \"%s\"", name, details[i].detail[k], detail);
        return;
    }
    ck_abort_msg("%s: no detail is expected, but it failed with %s", name, detail);
}

static void check_case(const struct certs_case *c, int version)
{
    struct pair_options options = {.server = c, .context = pair_context, .version = version};
    struct pair p;

    pair_init(&p, &options);
    if (strcmp(c->error, "OK") == 0) {
        ck_assert_msg(pair_run(&p) == TLS_DONE, "%s: %s", c->name, p.failure.detail);
    } else {
        ck_assert_msg(pair_run(&p) == TLS_FAILED, "%s is trusted", c->name);
        ck_assert_msg(strcmp(error_name(p.failure.code), c->error) == 0, "%s: %s: %s", c->name,
                      error_name(p.failure.code), p.failure.detail);
        ck_assert_int_eq(p.failure.stage, STAGE_TLS);
        check_detail(c->name, p.failure.detail);
        /* It is final, and the peer was told by an alert. */
        ck_assert_int_eq(tls_session_handshake(p.client, &p.failure), TLS_FAILED);
        ck_assert_int_eq(SSL_do_handshake(p.server), -1);
        ERR_clear_error();
    }
    pair_deinit(&p);
}

START_TEST(every_case)
{
    const struct certs_case *c;
    size_t i;

    for (i = 0; (c = certs_matrix_get(pair_matrix, i)); i++) {
        check_case(c, TLS1_2_VERSION);
        check_case(c, TLS1_3_VERSION);
    }
    ck_assert_uint_ge(i, 19);
}
END_TEST

/* One certificate of its own, for other names than the matrix has. */
static void check_spec(const struct certs_spec *spec, const struct tls_params *params,
                       struct tls_context *client_context, enum error_code code,
                       struct failure *ret_failure)
{
    struct certs_pair *server = certs_new(spec, certs_matrix_ca(pair_matrix));
    struct certs_case c = {.name = "own", .chain = {server}, .n_chain = 1};
    struct pair_options options = {
        .server = &c, .context = client_context ? client_context : pair_context, .params = *params};
    enum tls_progress progress;
    struct pair p;

    pair_init(&p, &options);
    progress = pair_run(&p);
    ck_assert_msg((progress == TLS_DONE) == (code == ERROR_NONE), "%s for %s: %s",
                  params->name ? params->name : "address", spec->names, p.failure.detail);
    if (code != ERROR_NONE)
        ck_assert_str_eq(error_name(p.failure.code), error_name(code));
    if (ret_failure)
        *ret_failure = p.failure;
    pair_deinit(&p);
    certs_free(server);
}

static const struct {
    const char *names; /* of the certificate; NULL: only a common name, www.example.com */
    const char *name;
    bool is_match;
} names[] = {
    {"DNS:www.example.com", "www.example.com", true},
    {"DNS:www.example.com", "WWW.Example.COM", true},
    {"DNS:WWW.example.com", "www.example.com", true},
    {"DNS:www.example.com", "www.example.com.", true},
    {"DNS:www.example.com", "example.com", false},
    {"DNS:example.com", "www.example.com", false},
    {"DNS:a.example,DNS:b.example", "b.example", true},
    {"DNS:*.example.com", "www.example.com", true},
    {"DNS:*.example.com", "example.com", false},
    {"DNS:*.example.com", "a.b.example.com", false},
    {"DNS:*.example.com", ".example.com", false},
    {"DNS:w*.example.com", "www.example.com", false},
    {"DNS:*w.example.com", "www.example.com", false},
    {"DNS:www.*.com", "www.example.com", false},
    {"DNS:*", "localhost", false},
    {"DNS:*.com", "example.com", false},
    {NULL, "www.example.com", false},
    {"email:www.example.com@example.com", "www.example.com", false},
    {"URI:https://www.example.com", "www.example.com", false},
    {"IP:192.0.2.1", "192.0.2.1", true},
    {"DNS:192.0.2.1", "192.0.2.1", false},
    {"IP:2001:db8::1", "2001:db8::1", true},
    {"IP:2001:db8::1", "2001:db8:0:0::1", true},
    {"IP:2001:db8::1", "2001:db8::2", false},
};

START_TEST(host_names)
{
    struct certs_spec spec = {.common_name = "www.example.com", .names = names[_i].names};
    struct tls_params params = {.name = names[_i].name};
    struct tls_session *s = NULL;

    if (params.name[0] == '.') { /* OpenSSL would take this as any subdomain */
        ck_assert_int_ne(tls_session_new(&s, pair_context, &params), 0);
        return;
    }
    check_spec(&spec, &params, NULL, names[_i].is_match ? ERROR_NONE : ERROR_CERT_WRONG_NAME, NULL);
}
END_TEST

START_TEST(addresses)
{
    static const uint8_t v4[] = {192, 0, 2, 1}, other_v4[] = {192, 0, 2, 2};
    static const uint8_t v6[16] = {0x20, 1, 0xd, 0xb8, [15] = 1}, other_v6[16] = {[15] = 1};
    struct certs_spec spec = {.common_name = "192.0.2.1", .names = "IP:192.0.2.1,IP:2001:db8::1"};
    struct failure failure;

    check_spec(&spec, &(struct tls_params){.address = v4, .address_size = 4}, NULL, ERROR_NONE,
               NULL);
    check_spec(&spec, &(struct tls_params){.address = v6, .address_size = 16}, NULL, ERROR_NONE,
               NULL);
    check_spec(&spec, &(struct tls_params){.address = other_v6, .address_size = 16}, NULL,
               ERROR_CERT_WRONG_NAME, NULL);
    check_spec(&spec, &(struct tls_params){.address = other_v4, .address_size = 4}, NULL,
               ERROR_CERT_WRONG_NAME, &failure);
    ck_assert_ptr_nonnull(
        strstr(failure.detail, "not for 192.0.2.2, but for 192.0.2.1, 2001:db8::1;"));
    spec.names = "DNS:192.0.2.1";
    check_spec(&spec, &(struct tls_params){.address = v4, .address_size = 4}, NULL,
               ERROR_CERT_WRONG_NAME, NULL);
}
END_TEST

static void check_server_name(const struct tls_params *params, const char *expected)
{
    struct pair_options options = {.server = certs_matrix_find(pair_matrix, "server-ecdsa"),
                                   .context = pair_context,
                                   .params = *params};
    const char *name;
    struct pair p;

    pair_init(&p, &options);
    ck_assert_int_eq(pair_run(&p), TLS_DONE);
    name = SSL_get_servername(p.server, TLSEXT_NAMETYPE_host_name);
    if (expected)
        ck_assert_str_eq(name, expected);
    else
        ck_assert_ptr_null(name);
    pair_deinit(&p);
}

START_TEST(server_name_indication)
{
    static const uint8_t v4[] = {127, 0, 0, 1}, v6[16] = {[15] = 1};

    check_server_name(&(struct tls_params){.name = "localhost"}, "localhost");
    check_server_name(&(struct tls_params){.name = "localhost."}, "localhost");
    check_server_name(&(struct tls_params){.name = "127.0.0.1"}, NULL);
    check_server_name(&(struct tls_params){.name = "::1"}, NULL);
    check_server_name(&(struct tls_params){.address = v4, .address_size = 4}, NULL);
    check_server_name(&(struct tls_params){.address = v6, .address_size = 16}, NULL);
}
END_TEST

/* verify-name replaces what is verified, and only that. */
START_TEST(verify_name)
{
    static const uint8_t v4[] = {192, 0, 2, 9};
    const struct certs_pair *ca = certs_matrix_ca(pair_matrix);
    char name[] = "backend.example", address[] = "192.0.2.7";
    struct tls_context *by_name =
        pair_context_new(&ca, 1, (struct tls_settings){.verify_name = name});
    struct tls_context *by_address =
        pair_context_new(&ca, 1, (struct tls_settings){.verify_name = address});
    struct certs_spec spec = {.common_name = "x", .names = "DNS:backend.example,IP:192.0.2.7"};
    struct tls_params params = {.name = "front.example"};
    struct failure failure;

    memset(name, 'x', sizeof name - 1); /* the context has a copy */
    check_spec(&spec, &params, NULL, ERROR_CERT_WRONG_NAME, NULL);
    check_spec(&spec, &params, by_name, ERROR_NONE, NULL);
    check_spec(&spec, &params, by_address, ERROR_NONE, NULL);
    check_spec(&spec, &(struct tls_params){.address = v4, .address_size = 4}, by_name, ERROR_NONE,
               NULL);
    spec.names = "DNS:front.example,IP:192.0.2.9";
    check_spec(&spec, &params, by_name, ERROR_CERT_WRONG_NAME, &failure);
    ck_assert_ptr_nonnull(strstr(failure.detail, "not for backend.example"));
    check_spec(&spec, &params, by_address, ERROR_CERT_WRONG_NAME, NULL);
    tls_context_unref(by_name);
    tls_context_unref(by_address);
}
END_TEST

/* What a ca-file names is trusted: an intermediate without its root, a server's own certificate. */
START_TEST(anchors_need_not_be_roots)
{
    const char *cases[] = {"missing-intermediate", "self-signed", "server-ecdsa"};

    for (size_t i = 0; i < 3; i++) {
        const struct certs_case *with = certs_matrix_find(pair_matrix, "server-intermediate");
        const struct certs_case *c = certs_matrix_find(pair_matrix, cases[i]);
        const struct certs_pair *anchor = i == 0 ? with->chain[1] : c->chain[0];
        struct pair_options options = {.server = c, .context = NULL};
        struct pair p;

        options.context = pair_context_new(&anchor, 1, (struct tls_settings){0});
        pair_init(&p, &options);
        ck_assert_msg(pair_run(&p) == TLS_DONE, "%s: %s", c->name, p.failure.detail);
        pair_deinit(&p);
        tls_context_unref(options.context);
    }
}
END_TEST

/* Text of a certificate is the enemy's. */
START_TEST(hostile_text)
{
    char many[4000] = "DNS:a.example", longest[64] = {0};
    struct certs_spec spec = {.common_name = "\xc3\xa4\n\x1b[31m, depth 7\\", .names = many};
    struct tls_params params = {.name = "localhost"};
    struct failure failure;

    for (int i = 0; i < 150; i++)
        snprintf(many + strlen(many), sizeof many - strlen(many), ",DNS:host-%d.example", i);
    check_spec(&spec, &params, NULL, ERROR_CERT_WRONG_NAME, &failure);
    for (const char *c = failure.detail; *c; c++)
        ck_assert(*c >= 0x20 && *c < 0x7f);
    ck_assert_ptr_nonnull(strstr(failure.detail, "CN=\\xc3\\xa4\\x0a\\x1b[31m, depth 7\\x5c"));
    ck_assert_ptr_nonnull(strstr(failure.detail, "a.example, host-0.example"));
    ck_assert_ptr_nonnull(strstr(failure.detail, " more; subject"));
    ck_assert_uint_lt(strlen(failure.detail), sizeof failure.detail);

    memset(longest, 'x', 63);
    spec = (struct certs_spec){.common_name = longest, .names = NULL};
    check_spec(&spec, &params, NULL, ERROR_CERT_WRONG_NAME, &failure);
    ck_assert_ptr_nonnull(strstr(failure.detail, "but for no name at all; subject CN=xxx"));
    ck_assert_ptr_nonnull(strstr(failure.detail, "..., issuer CN=Test CA, depth 0"));
}
END_TEST

static void add_tests(TCase *tcase)
{
    tcase_add_test(tcase, every_case);
    tcase_add_loop_test(tcase, host_names, 0, sizeof names / sizeof names[0]);
    tcase_add_test(tcase, addresses);
    tcase_add_test(tcase, server_name_indication);
    tcase_add_test(tcase, verify_name);
    tcase_add_test(tcase, anchors_need_not_be_roots);
    tcase_add_test(tcase, hostile_text);
}

int main(void)
{
    return pair_run_suite_twice("tls-verify", add_tests);
}
