/* Hashes and base 64, by the RFCs' and NIST's examples. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/base64.h"
#include "daemon/tls/hash.h"
#include "proto/cleanup.h"
#include "tests/lib/suite.h"

static const struct example {
    enum hash_algorithm algorithm;
    const char *abc; /* the hash of "abc" */
} examples[] = {
    {HASH_MD5, "900150983cd24fb0d6963f7d28e17f72"},          /* RFC 1321 */
    {HASH_SHA1, "a9993e364706816aba3e25717850c26c9cd0d89d"}, /* RFC 6234 */
    {HASH_SHA256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    {HASH_SHA512_256, "53048e2681941ef99b2e29b76b4c7dabe4c2d0c634fc6d46e0e2f13107e7af23"},
};

static void check_hash(enum hash_algorithm algorithm, const struct text *pieces, size_t n,
                       const char *expected)
{
    uint8_t hash[HASH_SIZE_MAX];
    char hex[2 * HASH_SIZE_MAX + 1];
    int size = tls_hash(algorithm, pieces, n, hash);

    ck_assert_int_eq(size, (int)strlen(expected) / 2);
    for (int i = 0; i < size; i++)
        snprintf(hex + 2 * i, sizeof hex - 2 * (size_t)i, "%02x", hash[i]);
    ck_assert_str_eq(hex, expected);
}

START_TEST(test_hash)
{
    struct text whole = text_of("abc");
    struct text pieces[] = {text_of("a"), text_of(""), text_of("bc")};

    check_hash(examples[_i].algorithm, &whole, 1, examples[_i].abc);
    check_hash(examples[_i].algorithm, pieces, ARRAY_SIZE(pieces), examples[_i].abc);
}
END_TEST

START_TEST(test_hash_of_nothing)
{
    check_hash(HASH_MD5, NULL, 0, "d41d8cd98f00b204e9800998ecf8427e");
}
END_TEST

/* RFC 4648, 10 */
static const char *const base64s[][2] = {
    {"", ""},
    {"f", "Zg=="},
    {"fo", "Zm8="},
    {"foo", "Zm9v"},
    {"foob", "Zm9vYg=="},
    {"fooba", "Zm9vYmE="},
    {"foobar", "Zm9vYmFy"},
    {"\xff\xef\xbe\xfb\xf0", "/++++/A="},
};

START_TEST(test_base64)
{
    size_t n = strlen(base64s[_i][0]);
    CLEANUP(freep) char *encoded = malloc(BASE64_LENGTH(n) + 1);

    ck_assert_ptr_nonnull(encoded);
    base64_encode(encoded, base64s[_i][0], n);
    ck_assert_str_eq(encoded, base64s[_i][1]);
}
END_TEST

START_TEST(test_base64_back)
{
    const char *text = base64s[_i][1];
    CLEANUP(freep) char *decoded = malloc(strlen(text) + 1);
    size_t n;

    ck_assert_ptr_nonnull(decoded);
    ck_assert_int_eq(base64_decode(decoded, text, strlen(text), &n), 0);
    ck_assert_uint_eq(n, strlen(base64s[_i][0]));
    ck_assert_int_eq(memcmp(decoded, base64s[_i][0], n), 0);
}
END_TEST

START_TEST(test_no_base64)
{
    static const char *const texts[] = {"A",    "Zg",       "Zg=",  "Zh==", "Zm9=", "====",
                                        "Z===", "Zg==Zg==", "Zm9-", "Zm 9", "=Zg=", "Zm9vY"};
    char decoded[8];
    size_t n;

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        ck_assert_msg(base64_decode(decoded, texts[i], strlen(texts[i]), &n) == -EINVAL, "%s",
                      texts[i]);
    ck_assert_int_eq(base64_decode(decoded, "Zm9\0", 4, &n), -EINVAL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hash");
    TCase *tests = tcase_create("hash");

    tcase_add_loop_test(tests, test_hash, 0, ARRAY_SIZE(examples));
    tcase_add_test(tests, test_hash_of_nothing);
    tcase_add_loop_test(tests, test_base64, 0, ARRAY_SIZE(base64s));
    tcase_add_loop_test(tests, test_base64_back, 0, ARRAY_SIZE(base64s));
    tcase_add_test(tests, test_no_base64);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
