/* Challenges taken apart, and what digest authentication answers: the RFCs' examples, and values
 * made by another implementation (Python's hashlib) for what they leave out. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/dialog/auth/challenge.h"
#include "daemon/dialog/auth/digest.h"
#include "daemon/tls/hash.h"
#include "proto/cleanup.h"
#include "tests/lib/suite.h"

/* ---- challenges ---- */

/* What is read, written again: "scheme", "scheme:token68" or "scheme(name=value)". */
static const char *const lists[][2] = {
    {"", ""},
    {" , ,", ""},
    {"Negotiate", "Negotiate"},
    {"Negotiate, NTLM", "Negotiate NTLM"},
    {"Negotiate ,NTLM ", "Negotiate NTLM"},
    {"Negotiate oYG+/-._~12==, NTLM", "Negotiate:oYG+/-._~12== NTLM"},
    {"NTLM a=", "NTLM:a="},
    {"Basic realm=\"a\"", "Basic(realm=a)"},
    {"Basic realm=a", "Basic(realm=a)"},
    {"Basic  realm = \"a\" ,charset=\"UTF-8\"", "Basic(realm=a;charset=UTF-8)"},
    {"Basic realm=\"a, Digest nonce=\\\"x\\\"\"", "Basic(realm=a, Digest nonce=\"x\")"},
    {"Basic realm=\"a\\\\\"", "Basic(realm=a\\)"},
    {"Basic realm=\"\"", "Basic(realm=)"},
    {"Basic realm=\"a\", Digest realm=\"b\", nonce=\"c\"",
     "Basic(realm=a) Digest(realm=b;nonce=c)"},
    {"Digest realm=\"b\", nonce=\"c\", Basic realm=\"a\"",
     "Digest(realm=b;nonce=c) Basic(realm=a)"},
    {"Digest realm=a, Negotiate, Basic realm=c", "Digest(realm=a) Negotiate Basic(realm=c)"},
    {"Digest realm=a,,, nonce=c, ,Negotiate abc=", "Digest(realm=a;nonce=c) Negotiate:abc="},
    {"Digest stale=FALSE,qop=\"auth,auth-int\"", "Digest(stale=FALSE;qop=auth,auth-int)"},
    {"New a=b, c=\"d\"", "New(a=b;c=d)"},
    /* what cannot be understood, and all behind it */
    {"Basic realm=", "Basic:realm="},
    {"Basic realm=\"a", ""},
    {"Basic realm=\"a\\\"", ""},
    {"Negotiate, Basic realm=\"a", "Negotiate"},
    {"Basic realm=\"a\"x, Negotiate", ""},
    {"Basic realm=\"a\" realm2=\"b\"", ""},
    {"Basic realm=a b", ""},
    {"Basic realm=\"a\", Realm=\"b\", Negotiate", ""},
    {"Basic\trealm=a", ""},
    {"Basic, realm=a", "Basic"},
    {"=a", ""},
    {"\"Basic\" realm=a", ""},
    {"Basic =a", ""},
    {"Basic a b=c", ""},
    {"N a=1,b=1,c=1,d=1,e=1,f=1,g=1,h=1,i=1,j=1,k=1,l=1,m=1,n=1,o=1,p=1",
     "N(a=1;b=1;c=1;d=1;e=1;f=1;g=1;h=1;i=1;j=1;k=1;l=1;m=1;n=1;o=1;p=1)"},
    {"N a=1,b=1,c=1,d=1,e=1,f=1,g=1,h=1,i=1,j=1,k=1,l=1,m=1,n=1,o=1,p=1,q=1", ""},
};

static void write_params(struct builder *out, const struct challenge *c)
{
    char name[64], value[256];

    for (size_t i = 0; i < c->n_params; i++) {
        ck_assert_uint_lt(c->params[i].name.n, sizeof name);
        memcpy(name, c->params[i].name.data, c->params[i].name.n);
        name[c->params[i].name.n] = '\0';
        ck_assert_int_eq(challenge_get(c, name, value, sizeof value), 0);
        builder_format(out, "%s%s=%s", i == 0 ? "(" : ";", name, value);
    }
    if (c->n_params > 0)
        builder_add_string(out, ")");
}

START_TEST(test_challenges)
{
    const char *text = lists[_i][0];
    /* Of the exact size, so that a read behind the end is seen by the sanitizers. */
    CLEANUP(freep) char *copy = malloc(strlen(text) + 1);
    struct text rest = {memcpy(copy, text, strlen(text)), strlen(text)};
    struct challenge c;
    struct builder out;

    builder_init(&out, 4096);
    while (challenge_next(&rest, &c)) {
        if (out.n > 0)
            builder_add_string(&out, " ");
        builder_add(&out, c.scheme);
        if (c.token68.data) {
            builder_add_string(&out, ":");
            builder_add(&out, c.token68);
        }
        write_params(&out, &c);
    }
    builder_add(&out, (struct text){"", 1});
    ck_assert_str_eq(out.data, lists[_i][1]);
    builder_deinit(&out);
}
END_TEST

START_TEST(test_params)
{
    struct challenge c;
    char value[4] = "old";

    ck_assert(challenge_parse_params(text_of("nextnonce=\"a\\\"c\", qop=auth"), &c));
    ck_assert_uint_eq(c.n_params, 2);
    ck_assert(challenge_says(&c, "QOP", "AUTH"));
    ck_assert(!challenge_says(&c, "qop", "auth-int"));
    ck_assert(!challenge_says(&c, "absent", ""));
    ck_assert_int_eq(challenge_get(&c, "absent", value, sizeof value), -ENOENT);
    ck_assert_int_eq(challenge_get(&c, "qop", value, sizeof value), -EMSGSIZE);
    ck_assert_str_eq(value, "old");
    ck_assert(challenge_parse_params(text_of(""), &c));
    ck_assert(!challenge_parse_params(text_of("Basic realm=a"), &c));
    ck_assert(!challenge_parse_params(text_of("a=b, Basic realm=a"), &c));
    ck_assert(!challenge_parse_params(text_of("a=\"b"), &c));
}
END_TEST

/* ---- digest ---- */

#define RFC_NONCE  "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
#define RFC_CNONCE "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
#define OLD_NONCE  "dcd98b7102dd2f0e8b11d0f600bfb0c093"
#define DOE        "J\xc3\xa4s\xc3\xb8n Doe"
#define DOE_NONCE  "5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK"
#define DOE_OPAQUE "HRPCssKJSGjCrkzDg8OhwpzCiGPChXYjwrI2QmXDnsOS"
#define DOE_CNONCE "NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v"

static const struct answer {
    const char *challenge;
    const char *user, *password, *method, *uri, *cnonce;
    uint32_t count;
    const char *answer;
} answers[] = {
    /* RFC 7616, 3.9.1 */
    {"Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm=MD5, "
     "nonce=\"" RFC_NONCE "\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"",
     "Mufasa", "Circle of Life", "GET", "/dir/index.html", RFC_CNONCE, 1,
     "Digest username=\"Mufasa\", realm=\"http-auth@example.org\", nonce=\"" RFC_NONCE "\", "
     "uri=\"/dir/index.html\", response=\"8ca523f5e9506fed4657c9700eebdbec\", algorithm=MD5, "
     "qop=auth, nc=00000001, cnonce=\"" RFC_CNONCE "\", "
     "opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""},
    {"Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm=SHA-256, "
     "nonce=\"" RFC_NONCE "\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"",
     "Mufasa", "Circle of Life", "GET", "/dir/index.html", RFC_CNONCE, 1,
     "Digest username=\"Mufasa\", realm=\"http-auth@example.org\", nonce=\"" RFC_NONCE "\", "
     "uri=\"/dir/index.html\", response=\"753927fa0e85d155564e2e272a28d1802ca10daf4496794697"
     "cf8db5856cb6c1\", algorithm=SHA-256, qop=auth, nc=00000001, cnonce=\"" RFC_CNONCE "\", "
     "opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""},
    /* RFC 7616, 3.9.2, with erratum 4897: its hashes were of a draft of SHA-512/256 */
    {"Digest realm=\"api@example.org\", qop=\"auth\", algorithm=SHA-512-256, nonce=\"" DOE_NONCE
     "\", opaque=\"" DOE_OPAQUE "\", charset=UTF-8, userhash=true",
     DOE, "Secret, or not?", "GET", "/doe.json", DOE_CNONCE, 1,
     "Digest username=\"793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b\", "
     "userhash=true, realm=\"api@example.org\", nonce=\"" DOE_NONCE "\", uri=\"/doe.json\", "
     "response=\"3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5\", "
     "algorithm=SHA-512-256, qop=auth, nc=00000001, cnonce=\"" DOE_CNONCE "\", opaque=\"" DOE_OPAQUE
     "\""},
    /* the same without userhash, for the tenth time */
    {"Digest realm=\"api@example.org\", qop=\"auth\", algorithm=sha-512-256, nonce=\"" DOE_NONCE
     "\", charset=\"utf-8\", userhash=false",
     DOE, "Secret, or not?", "GET", "/doe.json", DOE_CNONCE, 10,
     "Digest username*=UTF-8''J%C3%A4s%C3%B8n%20Doe, realm=\"api@example.org\", "
     "nonce=\"" DOE_NONCE "\", uri=\"/doe.json\", "
     "response=\"719798a0a45b5f4b23ffb1b04b6f59e9d0869de79c05442596a7a9c6fe99f302\", "
     "algorithm=SHA-512-256, qop=auth, nc=0000000a, cnonce=\"" DOE_CNONCE "\""},
    /* and where nothing is said of UTF-8 */
    {"Digest realm=\"api@example.org\", qop=\"auth\", algorithm=SHA-256, nonce=\"" DOE_NONCE "\"",
     DOE, "Secret, or not?", "GET", "/doe.json", DOE_CNONCE, 10,
     "Digest username=\"" DOE "\", realm=\"api@example.org\", "
     "nonce=\"" DOE_NONCE "\", uri=\"/doe.json\", "
     "response=\"478d9e61d6f4ec77bd1aaddd132857496e0707b9f5a18f180d2d2c6d5c4ccdb9\", "
     "algorithm=SHA-256, qop=auth, nc=0000000a, cnonce=\"" DOE_CNONCE "\""},
    /* RFC 2617, 3.5: without algorithm */
    {"Digest realm=\"testrealm@host.com\", qop=\"auth,auth-int\", nonce=\"" OLD_NONCE "\", "
     "opaque=\"\"",
     "Mufasa", "Circle Of Life", "GET", "/dir/index.html", "0a4f113b", 1,
     "Digest username=\"Mufasa\", realm=\"testrealm@host.com\", nonce=\"" OLD_NONCE "\", "
     "uri=\"/dir/index.html\", response=\"6629fae49393a05397450978507c4ef1\", qop=auth, "
     "nc=00000001, cnonce=\"0a4f113b\", opaque=\"\""},
    /* RFC 2069, 2.4, with its erratum 749: without qop */
    {"Digest realm=\"testrealm@host.com\", nonce=\"" OLD_NONCE "\"", "Mufasa", "CircleOfLife",
     "GET", "/dir/index.html", "0a4f113b", 1,
     "Digest username=\"Mufasa\", realm=\"testrealm@host.com\", nonce=\"" OLD_NONCE "\", "
     "uri=\"/dir/index.html\", response=\"1949323746fe6a43ef61f9606e7febea\""},
    /* sessions */
    {"Digest realm=\"testrealm@host.com\", qop=auth, nonce=\"" OLD_NONCE "\", algorithm=md5-SESS",
     "Mufasa", "Circle Of Life", "GET", "/dir/index.html", "0a4f113b", 1,
     "Digest username=\"Mufasa\", realm=\"testrealm@host.com\", nonce=\"" OLD_NONCE "\", "
     "uri=\"/dir/index.html\", response=\"8e3825c57e897f5a0dec6c2d4e5059d0\", "
     "algorithm=MD5-sess, qop=auth, nc=00000001, cnonce=\"0a4f113b\""},
    {"Digest realm=\"http-auth@example.org\", qop=auth, nonce=\"" RFC_NONCE "\", "
     "algorithm=SHA-256-sess",
     "Mufasa", "Circle of Life", "GET", "/dir/index.html", RFC_CNONCE, 1,
     "Digest username=\"Mufasa\", realm=\"http-auth@example.org\", nonce=\"" RFC_NONCE "\", "
     "uri=\"/dir/index.html\", "
     "response=\"2fd51b3a77ad75bad6afad6003e818d767133c46d9e2749e7f5232ae1ea3efd7\", "
     "algorithm=SHA-256-sess, qop=auth, nc=00000001, cnonce=\"" RFC_CNONCE "\""},
    {"Digest realm=\"http-auth@example.org\", qop=auth, nonce=\"" RFC_NONCE "\", "
     "algorithm=SHA-512-256-sess",
     "Mufasa", "Circle of Life", "GET", "/dir/index.html", RFC_CNONCE, 1,
     "Digest username=\"Mufasa\", realm=\"http-auth@example.org\", nonce=\"" RFC_NONCE "\", "
     "uri=\"/dir/index.html\", "
     "response=\"3f2a34f923c38b0fb26dce2fdfc2ce326c23cecf86fbb1444f3e51fbbc2cb92e\", "
     "algorithm=SHA-512-256-sess, qop=auth, nc=00000001, cnonce=\"" RFC_CNONCE "\""},
    /* quotes within quotes */
    {"Digest realm=\"re\\\"al\\\\m\", qop=auth, nonce=\"n\"", "a\"b\\", "p", "CONNECT", "h:443",
     "c", 1,
     "Digest username=\"a\\\"b\\\\\", realm=\"re\\\"al\\\\m\", nonce=\"n\", uri=\"h:443\", "
     "response=\"f18948ec00302c5a2cbecfa241c38e20\", qop=auth, nc=00000001, cnonce=\"c\""},
};

static void parse(const char *text, struct digest_challenge *ret)
{
    struct text rest = text_of(text);
    struct challenge challenge;

    ck_assert(challenge_next(&rest, &challenge));
    ck_assert_msg(digest_parse_challenge(&challenge, ret) == 0, "%s", text);
}

START_TEST(test_answer)
{
    const struct answer *a = &answers[_i];
    const struct digest_credentials credentials = {text_of(a->user), text_of(a->password),
                                                   a->method, a->uri, tls_hash};
    struct digest_state state = {.count = a->count};
    struct builder out;

    parse(a->challenge, &state.challenge);
    strcpy(state.cnonce, a->cnonce);
    builder_init(&out, 4096);
    ck_assert_int_eq(digest_add_answer(&state, &credentials, &out), 0);
    builder_add(&out, (struct text){"", 1});
    ck_assert(!out.has_failed);
    ck_assert_str_eq(out.data, a->answer);
    builder_deinit(&out);
}
END_TEST

#define X64  "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define X256 X64 X64 X64 X64

static const char *const useless[] = {
    "Digest realm=a",
    "Digest nonce=a",
    "Digest realm=a, nonce=b, algorithm=MD4",
    "Digest realm=a, nonce=b, algorithm=\"\"",
    "Digest realm=a, nonce=b, algorithm=SHA-256-",
    "Digest realm=a, nonce=b, algorithm=MD5-sess",
    "Digest realm=a, nonce=b, qop=auth-int",
    "Digest realm=a, nonce=b, qop=\"\"",
    "Digest realm=a, nonce=b, qop=\"auth auth-int\"",
    "Digest realm=" X256 ", nonce=b",
    "Digest realm=a, nonce=" X256 X256,
    "Digest realm=a, nonce=b, opaque=" X256 X256,
    "Digest abc=",
    "Digest",
};

START_TEST(test_useless)
{
    struct text rest = text_of(useless[_i]);
    struct digest_challenge digest = {.is_stale = true};
    struct challenge challenge;

    ck_assert(challenge_next(&rest, &challenge));
    ck_assert_int_eq(digest_parse_challenge(&challenge, &digest), -EBADMSG);
    ck_assert(digest.is_stale);
}
END_TEST

START_TEST(test_ratings)
{
    struct digest_challenge md5, sha256, sha512_256;

    parse("Digest realm=a, nonce=b", &md5);
    parse("Digest realm=a, nonce=b, algorithm=SHA-256-sess, qop=auth", &sha256);
    parse("Digest realm=a, nonce=b, algorithm=SHA-512-256, stale=\"True\"", &sha512_256);
    ck_assert_int_gt(digest_rate(&md5), 0);
    ck_assert_int_gt(digest_rate(&sha256), digest_rate(&md5));
    ck_assert_int_gt(digest_rate(&sha512_256), digest_rate(&sha256));
    ck_assert(sha512_256.is_stale && !md5.is_stale);
}
END_TEST

static int no_hash(enum hash_algorithm algorithm, const struct text *pieces, size_t n,
                   uint8_t ret[HASH_SIZE_MAX])
{
    (void)algorithm, (void)pieces, (void)n, (void)ret;
    return -ENOTSUP;
}

START_TEST(test_no_hash)
{
    const struct digest_credentials credentials = {text_of("u"), text_of("p"), "CONNECT", "h:1",
                                                   no_hash};
    struct digest_state state = {.count = 1, .cnonce = "c"};
    struct builder out;

    parse("Digest realm=a, nonce=b, userhash=true", &state.challenge);
    builder_init(&out, 4096);
    ck_assert_int_eq(digest_add_answer(&state, &credentials, &out), -ENOTSUP);
    ck_assert_uint_eq(out.n, 0);
    builder_deinit(&out);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("digest");
    TCase *tests = tcase_create("digest");

    tcase_add_loop_test(tests, test_challenges, 0, ARRAY_SIZE(lists));
    tcase_add_test(tests, test_params);
    tcase_add_loop_test(tests, test_answer, 0, ARRAY_SIZE(answers));
    tcase_add_loop_test(tests, test_useless, 0, ARRAY_SIZE(useless));
    tcase_add_test(tests, test_ratings);
    tcase_add_test(tests, test_no_hash);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
