/* Which scheme is used when, what is remembered, and what is never said. */
#include "daemon/dialog/auth/auth.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/tls/hash.h"
#include "proto/cleanup.h"
#include "tests/lib/suite.h"

#define ASKS(fields)  "HTTP/1.1 407 Who\r\n" fields "\r\n"
#define OFFERS(value) ASKS("Proxy-Authenticate: " value "\r\n")
#define ACCEPTS       "HTTP/1.1 200 OK\r\n\r\n"

#define BASIC "Basic dXNlcjpzZWNyZXQ=" /* user:secret */

static const struct auth_request request = {"CONNECT", "host.example:443"};

static struct auth_settings settings_of(size_t n, const enum auth_scheme *schemes)
{
    struct auth_settings s = {.n_schemes = n,
                              .user = text_of("user"),
                              .password = text_of("secret"),
                              .token = text_of("to.ken=="),
                              .hash = tls_hash};

    memcpy(s.schemes, schemes, n * sizeof *schemes);
    return s;
}

#define SETTINGS(...)                                                                              \
    settings_of(sizeof((enum auth_scheme[]){__VA_ARGS__}) / sizeof(enum auth_scheme),              \
                (enum auth_scheme[]){__VA_ARGS__})

static struct http_head head_of(const char *text)
{
    struct http_head head;
    const char *error = "";

    ck_assert_msg(http_head_parse(text, strlen(text), &head, &error) == 0, "%s", error);
    return head;
}

/* What the builder has, and it starts anew. Good until the next call. */
static const char *take(struct builder *out)
{
    static char text[AUTH_VALUE_MAX + 1];

    ck_assert(!out->has_failed);
    if (out->n > 0)
        memcpy(text, out->data, out->n);
    text[out->n] = '\0';
    builder_deinit(out);
    return text;
}

static const char *begin(struct auth *auth)
{
    struct builder out;
    bool is_said;

    builder_init(&out, AUTH_VALUE_MAX);
    is_said = auth_begin(auth, &request, &out) == AUTH_READY;
    ck_assert_int_eq(is_said, out.n > 0);
    return take(&out);
}

/* What is said to the 407; the reason with "-" in front where nothing is. */
static const char *answer(struct auth *auth, const char *asked)
{
    static char reason[256];
    struct http_head head = head_of(asked);
    enum auth_verdict verdict;
    struct builder out;

    builder_init(&out, AUTH_VALUE_MAX);
    verdict = auth_answer(auth, &head, &request, &out);
    http_head_deinit(&head);
    if (verdict == AUTH_READY)
        return take(&out);
    ck_assert_uint_eq(out.n, 0);
    builder_deinit(&out);
    snprintf(reason, sizeof reason, "-%s", auth->reason);
    return reason;
}

static void accept_it(struct auth *auth, const char *text)
{
    struct http_head head = head_of(text);

    auth_accept(auth, &head);
    http_head_deinit(&head);
}

static void check_starts(const char *text, const char *expected)
{
    ck_assert_msg(strncmp(text, expected, strlen(expected)) == 0, "'%s' does not start with '%s'",
                  text, expected);
}

static void check_has(const char *text, const char *expected)
{
    ck_assert_msg(strstr(text, expected) != NULL, "'%s' is not in '%s'", expected, text);
}

/* ---- one connection ---- */

START_TEST(test_unasked)
{
    struct auth_settings s;
    struct auth auth;

    auth_init(&auth, NULL, NULL, "c");
    ck_assert_str_eq(begin(&auth), "");
    s = SETTINGS(AUTH_BASIC);
    auth_init(&auth, &s, NULL, "c");
    ck_assert_str_eq(begin(&auth), BASIC);
    s = SETTINGS(AUTH_BEARER);
    auth_init(&auth, &s, NULL, "c");
    ck_assert_str_eq(begin(&auth), "Bearer to.ken==");
    s = SETTINGS(AUTH_DIGEST);
    auth_init(&auth, &s, NULL, "c");
    ck_assert_str_eq(begin(&auth), "");
    s = SETTINGS(AUTH_BASIC, AUTH_DIGEST);
    auth_init(&auth, &s, NULL, "c");
    ck_assert_str_eq(begin(&auth), "");
}
END_TEST

/* The first of mine that is among theirs, wherever it stands there. */
static const struct choice {
    enum auth_scheme schemes[3];
    size_t n;
    const char *asked;
    const char *said;
} choices[] = {
    {{AUTH_DIGEST, AUTH_BASIC}, 2, OFFERS("Basic realm=a, Digest realm=a, nonce=b"), "Digest "},
    {{AUTH_BASIC, AUTH_DIGEST}, 2, OFFERS("Digest realm=a, nonce=b, Basic realm=a"), BASIC},
    {{AUTH_DIGEST, AUTH_BASIC}, 2, OFFERS("Negotiate, NTLM, bAsIc realm=a"), BASIC},
    {{AUTH_BEARER, AUTH_DIGEST, AUTH_BASIC},
     3,
     ASKS("Proxy-Authenticate: Negotiate\r\nproxy-authenticate: Digest realm=a,\r\n nonce=b\r\n"
          "Proxy-Authenticate: Basic realm=a\r\n"),
     "Digest "},
    {{AUTH_BEARER, AUTH_BASIC}, 2, OFFERS("Basic realm=a, Bearer"), "Bearer to.ken=="},
    /* a digest that cannot be answered */
    {{AUTH_DIGEST, AUTH_BASIC}, 2, OFFERS("Digest realm=a, Basic realm=a"), BASIC},
    {{AUTH_DIGEST, AUTH_BASIC},
     2,
     OFFERS("Digest realm=a, nonce=b, algorithm=MD4, Basic realm=a"),
     BASIC},
    /* the strongest of several, and only what can be answered */
    {{AUTH_DIGEST},
     1,
     OFFERS("Digest realm=a, nonce=1, qop=auth, Digest realm=a, nonce=2, qop=auth, "
            "algorithm=SHA-512-256, Digest realm=a, nonce=3, qop=auth, algorithm=SHA-256"),
     "Digest username=\"user\", realm=\"a\", nonce=\"2\""},
    {{AUTH_DIGEST},
     1,
     ASKS("Proxy-Authenticate: Digest realm=a, nonce=1, algorithm=SHA-256, qop=auth-int\r\n"
          "Proxy-Authenticate: Digest realm=a, nonce=2\r\n"),
     "Digest username=\"user\", realm=\"a\", nonce=\"2\""},
    /* of equals the first */
    {{AUTH_DIGEST},
     1,
     OFFERS("Digest realm=a, nonce=1, Digest realm=a, nonce=2"),
     "Digest username=\"user\", realm=\"a\", nonce=\"1\""},
    /* what is not in my list is not said */
    {{AUTH_DIGEST},
     1,
     OFFERS("Basic realm=a"),
     "-no configured scheme (digest) can be used; it offers Basic"},
    {{AUTH_BASIC, AUTH_BEARER},
     2,
     OFFERS("Digest realm=a, nonce=b, NTLM"),
     "-no configured scheme (basic, bearer) can be used; it offers Digest, NTLM"},
    {{0},
     0,
     OFFERS("Basic realm=a"),
     "-it wants credentials, and none are configured; it offers Basic"},
    /* it does not say what it wants */
    {{AUTH_BASIC, AUTH_DIGEST},
     2,
     ASKS(""),
     "-no configured scheme (basic, digest) can be used; it offers nothing that can be read"},
    {{AUTH_BASIC, AUTH_DIGEST},
     2,
     ASKS("WWW-Authenticate: Basic realm=a\r\n"),
     "-no configured scheme (basic, digest) can be used; it offers nothing that can be read"},
    {{AUTH_BASIC, AUTH_DIGEST},
     2,
     OFFERS("Basic realm=\"a"),
     "-no configured scheme (basic, digest) can be used; it offers nothing that can be read"},
    {{AUTH_DIGEST},
     1,
     OFFERS("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb, ccccccccccccc"),
     "-no configured scheme (digest) can be used; it offers aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, bb"},
};

START_TEST(test_choice)
{
    const struct choice *c = &choices[_i];
    struct auth_settings s = settings_of(c->n, c->schemes);
    struct auth auth;

    auth_init(&auth, &s, NULL, "c");
    ck_assert_str_eq(begin(&auth), "");
    check_starts(answer(&auth, c->asked), c->said);
}
END_TEST

START_TEST(test_fallback)
{
    static const char all[] =
        OFFERS("Basic realm=a, Digest realm=a, nonce=b, Bearer, Digest realm=a, nonce=c");
    struct auth_settings s = SETTINGS(AUTH_DIGEST, AUTH_BEARER, AUTH_BASIC);
    struct auth auth;

    auth_init(&auth, &s, NULL, "c");
    check_starts(answer(&auth, all), "Digest ");
    check_starts(answer(&auth, all), "Bearer ");
    check_starts(answer(&auth, all), "Basic ");
    check_starts(answer(&auth, all), "-it refused the credentials (digest, bearer, basic)");
    check_starts(answer(&auth, all), "-it refused the credentials (digest, bearer, basic)");
}
END_TEST

/* After a digest that was wrong, squid offers digest alone. */
START_TEST(test_fallback_to_an_earlier_offer)
{
    struct auth_settings s = SETTINGS(AUTH_DIGEST, AUTH_BEARER, AUTH_BASIC);
    struct auth auth;

    auth_init(&auth, &s, NULL, "c");
    check_starts(answer(&auth, OFFERS("Digest realm=a, nonce=b, Basic realm=a")), "Digest ");
    ck_assert_str_eq(answer(&auth, OFFERS("Digest realm=a, nonce=c")), BASIC);
    ck_assert_str_eq(answer(&auth, OFFERS("Digest realm=a, nonce=c")),
                     "-it refused the credentials (digest, basic); it offers Digest");
}
END_TEST

START_TEST(test_digest_needs_its_challenge)
{
    struct auth_settings s = SETTINGS(AUTH_BASIC, AUTH_DIGEST);
    struct auth auth;

    auth_init(&auth, &s, NULL, "c");
    ck_assert_str_eq(answer(&auth, OFFERS("Digest realm=a, nonce=b, Basic realm=a")), BASIC);
    check_starts(answer(&auth, OFFERS("Basic realm=a")), "-it refused the credentials (basic)");
}
END_TEST

START_TEST(test_same_credentials_are_not_said_twice)
{
    struct auth_settings s = SETTINGS(AUTH_BASIC);
    struct auth auth;

    auth_init(&auth, &s, NULL, "c");
    ck_assert_str_eq(begin(&auth), BASIC);
    ck_assert_str_eq(answer(&auth, OFFERS("Basic realm=other")),
                     "-it refused the credentials (basic); it offers Basic");
}
END_TEST

START_TEST(test_stale)
{
    struct auth_settings s = SETTINGS(AUTH_DIGEST, AUTH_BASIC);
    struct auth auth;

    auth_init(&auth, &s, NULL, "c");
    check_has(answer(&auth, OFFERS("Digest realm=a, nonce=1, qop=auth")), "nonce=\"1\"");
    for (unsigned i = 0; i < AUTH_STALE_MAX; i++)
        check_has(answer(&auth, OFFERS("Digest realm=a, nonce=2, stale=TRUE, qop=auth")),
                  "nonce=\"2\", uri=\"host.example:443\"");
    ck_assert_str_eq(answer(&auth, OFFERS("Digest realm=a, nonce=3, stale=true, Basic realm=a")),
                     BASIC);
    ck_assert_str_eq(answer(&auth, OFFERS("Digest realm=a, nonce=3, stale=true, Basic realm=a")),
                     "-it refused the credentials (digest, basic); it offers Digest, Basic");
}
END_TEST

static int no_md5(enum hash_algorithm algorithm, const struct text *pieces, size_t n,
                  uint8_t ret[HASH_SIZE_MAX])
{
    return algorithm == HASH_MD5 ? -ENOTSUP : tls_hash(algorithm, pieces, n, ret);
}

START_TEST(test_no_hash_falls_back)
{
    struct auth_settings s = SETTINGS(AUTH_DIGEST, AUTH_BASIC);
    struct auth auth;

    s.hash = no_md5;
    auth_init(&auth, &s, NULL, "c");
    ck_assert_str_eq(answer(&auth, OFFERS("Digest realm=a, nonce=b, Basic realm=a")), BASIC);
}
END_TEST

/* ---- the next connection ---- */

START_TEST(test_basic_is_remembered)
{
    struct auth_settings s = SETTINGS(AUTH_DIGEST, AUTH_BASIC);
    struct auth_memory memory = {0};
    struct auth auth;

    auth_init(&auth, &s, &memory, "c");
    ck_assert_str_eq(begin(&auth), "");
    ck_assert_str_eq(answer(&auth, OFFERS("Basic realm=a")), BASIC);
    ck_assert(!memory.is_known);
    accept_it(&auth, ACCEPTS);
    auth_init(&auth, &s, &memory, "c");
    ck_assert_str_eq(begin(&auth), BASIC);
    accept_it(&auth, ACCEPTS);
    /* what once went and goes no more is not tried by the connection after */
    auth_init(&auth, &s, &memory, "c");
    ck_assert_str_eq(begin(&auth), BASIC);
    check_starts(answer(&auth, OFFERS("Basic realm=a")), "-it refused the credentials (basic)");
    auth_init(&auth, &s, &memory, "c");
    ck_assert_str_eq(begin(&auth), "");
}
END_TEST

/* The caller should have made a new memory for new settings; nothing is said all the same. */
START_TEST(test_memory_of_what_is_not_allowed)
{
    struct auth_settings s = SETTINGS(AUTH_DIGEST, AUTH_BEARER);
    struct auth_memory memory = {.is_known = true, .scheme = AUTH_BASIC};
    struct auth auth;

    auth_init(&auth, &s, &memory, "c");
    ck_assert_str_eq(begin(&auth), "");
}
END_TEST

static void learn(const struct auth_settings *s, struct auth_memory *memory, const char *asked,
                  const char *accepted)
{
    struct auth auth;

    auth_init(&auth, s, memory, "first");
    ck_assert_str_eq(begin(&auth), "");
    check_has(answer(&auth, asked), "nc=00000001, cnonce=\"first\"");
    accept_it(&auth, accepted);
}

START_TEST(test_nonce_is_used_again)
{
    struct auth_settings s = SETTINGS(AUTH_DIGEST);
    struct auth_memory memory = {0};
    struct auth auth, other;

    learn(&s, &memory, OFFERS("Digest realm=a, nonce=1, qop=auth, opaque=o"), ACCEPTS);
    auth_init(&auth, &s, &memory, "second");
    auth_init(&other, &s, &memory, "third");
    check_has(begin(&auth), "nc=00000002, cnonce=\"first\", opaque=\"o\"");
    check_has(begin(&other), "nc=00000003, cnonce=\"first\"");
    accept_it(&other, ACCEPTS);
    accept_it(&auth, ACCEPTS);
    auth_init(&auth, &s, &memory, "fourth");
    check_has(begin(&auth), "nonce=\"1\"");
    auth_init(&auth, &s, &memory, "fifth");
    check_has(begin(&auth), "nc=00000005, ");
}
END_TEST

START_TEST(test_nonce_is_given_again)
{
    struct auth_settings s = SETTINGS(AUTH_DIGEST);
    struct auth_memory memory = {0};
    struct auth auth, other;

    learn(&s, &memory, OFFERS("Digest realm=a, nonce=1, qop=auth"), ACCEPTS);
    auth_init(&auth, &s, &memory, "second");
    check_has(begin(&auth), "nc=00000002, cnonce=\"first\"");
    check_has(answer(&auth, OFFERS("Digest realm=a, nonce=1, qop=auth")),
              "nc=00000003, cnonce=\"first\"");
    accept_it(&auth, ACCEPTS);
    auth_init(&auth, &s, &memory, "third");
    check_has(begin(&auth), "nc=00000004, ");
    /* also while nobody knows yet that it will be given again */
    memory = (struct auth_memory){0};
    auth_init(&other, &s, &memory, "other");
    ck_assert_str_eq(begin(&other), "");
    check_has(answer(&other, OFFERS("Digest realm=a, nonce=1, qop=auth")), "nc=00000001, ");
    learn(&s, &memory, OFFERS("Digest realm=a, nonce=1, qop=auth"), ACCEPTS);
    auth_init(&auth, &s, &memory, "fourth");
    check_has(begin(&auth), "nc=00000002, ");
    accept_it(&other, ACCEPTS);
    auth_init(&auth, &s, &memory, "fifth");
    check_has(begin(&auth), "nc=00000003, ");
}
END_TEST

START_TEST(test_nonce_has_become_old)
{
    struct auth_settings s = SETTINGS(AUTH_DIGEST);
    struct auth_memory memory = {0};
    struct auth auth, other;

    learn(&s, &memory, OFFERS("Digest realm=a, nonce=1, qop=auth"), ACCEPTS);
    /* whether it says so or not */
    auth_init(&auth, &s, &memory, "second");
    auth_init(&other, &s, &memory, "third");
    check_has(begin(&auth), "nc=00000002");
    check_has(begin(&other), "nc=00000003");
    check_has(answer(&auth, OFFERS("Digest realm=a, nonce=2, qop=auth, stale=true")),
              "nonce=\"2\"");
    accept_it(&auth, ACCEPTS);
    check_has(answer(&other, OFFERS("Digest realm=a, nonce=3, qop=auth")),
              "nc=00000001, cnonce=\"third\"");
    ck_assert(memory.is_known);
    ck_assert_str_eq(memory.digest.challenge.nonce, "2");
    check_starts(answer(&other, OFFERS("Digest realm=a, nonce=4, qop=auth")),
                 "-it refused the credentials (digest)");
    auth_init(&auth, &s, &memory, "fourth");
    check_has(begin(&auth), "nc=00000002, cnonce=\"second\"");
    check_has(answer(&auth, OFFERS("Digest realm=a, nonce=5, qop=auth")), "nonce=\"5\"");
    ck_assert(!memory.is_known);
}
END_TEST

START_TEST(test_counter_ends)
{
    struct auth_settings s = SETTINGS(AUTH_DIGEST);
    struct auth_memory memory = {0};
    struct auth auth;

    learn(&s, &memory, OFFERS("Digest realm=a, nonce=1, qop=auth"), ACCEPTS);
    memory.digest.count = UINT32_MAX - 1;
    auth_init(&auth, &s, &memory, "c");
    check_has(begin(&auth), "nc=ffffffff");
    auth_init(&auth, &s, &memory, "c");
    ck_assert_str_eq(begin(&auth), "");
    check_has(answer(&auth, OFFERS("Digest realm=a, nonce=2, qop=auth")), "nc=00000001");
}
END_TEST

START_TEST(test_next_nonce)
{
    struct auth_settings s = SETTINGS(AUTH_DIGEST);
    struct auth_memory memory = {0};
    struct auth auth;

    learn(&s, &memory, OFFERS("Digest realm=a, nonce=1, qop=auth"),
          "HTTP/1.1 200 OK\r\nProxy-Authentication-Info: qop=auth, nextnonce=\"\\2\"\r\n\r\n");
    auth_init(&auth, &s, &memory, "c");
    check_has(begin(&auth), "nonce=\"2\"");
    accept_it(&auth, "HTTP/1.1 200 OK\r\nProxy-Authentication-Info: nextnonce=3\r\n\r\n");
    auth_init(&auth, &s, &memory, "c");
    check_has(begin(&auth), "nc=00000001, cnonce=\"first\"");
    accept_it(&auth, "HTTP/1.1 200 OK\r\nProxy-Authentication-Info: nextnonce=\"4\r\n\r\n");
    ck_assert_str_eq(memory.digest.challenge.nonce, "3");
    /* not with sessions */
    memory = (struct auth_memory){0};
    learn(&s, &memory, OFFERS("Digest realm=a, nonce=1, qop=auth, algorithm=MD5-sess"),
          "HTTP/1.1 200 OK\r\nProxy-Authentication-Info: nextnonce=2\r\n\r\n");
    auth_init(&auth, &s, &memory, "c");
    ck_assert_str_eq(begin(&auth), "");
}
END_TEST

/* ---- settings ---- */

#define X64   "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define X256  X64 X64 X64 X64
#define X1024 X256 X256 X256 X256

static const struct credential {
    enum auth_scheme scheme;
    struct text user, password, token;
    const char *error;
} credentials[] = {
    {AUTH_BASIC, {"u", 1}, {NULL, 0}, {NULL, 0}, NULL},
    {AUTH_BASIC, {"J\xc3\xa4", 3}, {": \"\\ \xc3\xa4", 7}, {NULL, 0}, NULL},
    {AUTH_DIGEST, {X256, 255}, {X1024, 1024}, {NULL, 0}, NULL},
    {AUTH_DIGEST, {"", 0}, {"p", 1}, {NULL, 0}, "the user's name has to be"},
    {AUTH_BASIC, {X256, 256}, {"p", 1}, {NULL, 0}, "the user's name has to be"},
    {AUTH_BASIC, {"u:", 2}, {"p", 1}, {NULL, 0}, "a colon"},
    {AUTH_BASIC, {"u", 1}, {X1024 "x", 1025}, {NULL, 0}, "more than 1024"},
    {AUTH_BASIC, {"u", 1}, {"p\n", 2}, {NULL, 0}, "control character"},
    {AUTH_BASIC, {"u", 1}, {"p\0", 2}, {NULL, 0}, "control character"},
    {AUTH_DIGEST, {"u\r", 2}, {"p", 1}, {NULL, 0}, "control character"},
    {AUTH_DIGEST, {"u\x7f", 2}, {"p", 1}, {NULL, 0}, "control character"},
    {AUTH_BEARER, {NULL, 0}, {NULL, 0}, {"aZ09-._~+/==", 12}, NULL},
    {AUTH_BEARER, {NULL, 0}, {NULL, 0}, {"", 0}, "the token has to be"},
    {AUTH_BEARER, {NULL, 0}, {NULL, 0}, {"a b", 3}, "letters"},
    {AUTH_BEARER, {NULL, 0}, {NULL, 0}, {"a,", 2}, "letters"},
    {AUTH_BEARER, {NULL, 0}, {NULL, 0}, {" a", 2}, "letters"},
    {AUTH_BEARER, {NULL, 0}, {NULL, 0}, {"a ", 2}, "letters"},
    {AUTH_BEARER, {NULL, 0}, {NULL, 0}, {"a=b", 3}, "letters"},
    {AUTH_BEARER, {NULL, 0}, {NULL, 0}, {"=", 1}, "letters"},
    {AUTH_BEARER, {NULL, 0}, {NULL, 0}, {"a\r\nX: y", 7}, "letters"},
    {AUTH_BEARER, {NULL, 0}, {NULL, 0}, {"a\n", 2}, "letters"},
    {AUTH_BEARER, {NULL, 0}, {NULL, 0}, {"\xc3\xa4", 2}, "letters"},
};

START_TEST(test_settings)
{
    const struct credential *c = &credentials[_i];
    struct auth_settings s = {.schemes = {c->scheme},
                              .n_schemes = 1,
                              .user = c->user,
                              .password = c->password,
                              .token = c->token};
    const char *error = auth_check_settings(&s);

    if (!c->error)
        ck_assert_msg(!error, "%s", error);
    else
        ck_assert_msg(error && strstr(error, c->error), "%s: %s", c->error, error);
}
END_TEST

START_TEST(test_schemes)
{
    struct auth_settings s = SETTINGS(AUTH_BASIC, AUTH_BEARER, AUTH_BASIC);
    enum auth_scheme scheme = AUTH_BEARER;

    ck_assert_str_eq(auth_check_settings(&s), "a scheme is named twice");
    ck_assert_int_eq(auth_scheme_parse(text_of("digest"), &scheme), 0);
    ck_assert_int_eq(scheme, AUTH_DIGEST);
    ck_assert_int_eq(auth_scheme_parse(text_of("Basic"), &scheme), -EINVAL);
    ck_assert_int_eq(auth_scheme_parse(text_of("basi"), &scheme), -EINVAL);
    ck_assert_int_eq(auth_scheme_parse(text_of(""), &scheme), -EINVAL);
    ck_assert_int_eq(scheme, AUTH_DIGEST);
    ck_assert_str_eq(auth_scheme_name(AUTH_BEARER), "bearer");
}
END_TEST

/* The longest that the settings allow is not cut. */
START_TEST(test_longest)
{
    static char user[AUTH_USER_MAX], password[AUTH_PASSWORD_MAX], token[AUTH_TOKEN_MAX];
    struct auth_settings s = SETTINGS(AUTH_BASIC, AUTH_DIGEST, AUTH_BEARER);
    struct auth auth;

    memset(user, '\\', sizeof user);
    memset(password, 'p', sizeof password);
    memset(token, 't', sizeof token);
    s.user = (struct text){user, sizeof user};
    s.password = (struct text){password, sizeof password};
    s.token = (struct text){token, sizeof token};
    ck_assert_ptr_null(auth_check_settings(&s));
    auth_init(&auth, &s, NULL, "c");
    ck_assert_uint_eq(strlen(answer(&auth, OFFERS("Basic realm=a"))), 6 + 1708);
    check_has(answer(&auth, OFFERS("Digest realm=a, nonce=b")), "\\\\\", realm=\"a\"");
    ck_assert_uint_eq(strlen(answer(&auth, OFFERS("Bearer"))), 7 + sizeof token);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("auth");
    TCase *tests = tcase_create("auth");

    tcase_add_test(tests, test_unasked);
    tcase_add_loop_test(tests, test_choice, 0, ARRAY_SIZE(choices));
    tcase_add_test(tests, test_fallback);
    tcase_add_test(tests, test_fallback_to_an_earlier_offer);
    tcase_add_test(tests, test_digest_needs_its_challenge);
    tcase_add_test(tests, test_same_credentials_are_not_said_twice);
    tcase_add_test(tests, test_stale);
    tcase_add_test(tests, test_no_hash_falls_back);
    tcase_add_test(tests, test_basic_is_remembered);
    tcase_add_test(tests, test_memory_of_what_is_not_allowed);
    tcase_add_test(tests, test_nonce_is_used_again);
    tcase_add_test(tests, test_nonce_is_given_again);
    tcase_add_test(tests, test_nonce_has_become_old);
    tcase_add_test(tests, test_counter_ends);
    tcase_add_test(tests, test_next_nonce);
    tcase_add_loop_test(tests, test_settings, 0, ARRAY_SIZE(credentials));
    tcase_add_test(tests, test_schemes);
    tcase_add_test(tests, test_longest);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
