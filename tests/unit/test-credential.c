/* Which files are credentials, and what is read of them. */
#include "daemon/policy/credential.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/cleanup.h"
#include "tests/lib/suite.h"

static char scratch[128];
static struct credential credential;
static char error[CREDENTIAL_ERROR_MAX];

/* In place of libc's: what is wiped. */
static const void *wiped;
static size_t n_wiped;

void explicit_bzero(void *data, size_t n)
{
    wiped = data;
    n_wiped = n;
    memset(data, 0, n);
}

static const char *path_of(const char *name)
{
    static char path[256];

    snprintf(path, sizeof path, "%s/%s", scratch, name);
    return path;
}

static void write_file(const char *name, const void *data, size_t n, mode_t mode)
{
    FILE *file = fopen(path_of(name), "w");

    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(data, 1, n, file), n);
    ck_assert_int_eq(fclose(file), 0);
    ck_assert_int_eq(chmod(path_of(name), mode), 0);
}

static void expect_text(const char *expected)
{
    struct text text = credential_text(&credential);

    ck_assert_uint_eq(text.n, strlen(expected));
    ck_assert_mem_eq(text.data, expected, text.n);
    ck_assert_int_eq(credential.data[credential.n], '\0');
    credential_deinit(&credential);
    ck_assert_ptr_null(credential.data);
}

/* `what` is what the sentence says of the file. */
static void expect_refusal(int r, int code, const char *name, const char *what)
{
    char expected[512];

    snprintf(expected, sizeof expected, "credential %s/%s %s", scratch, name, what);
    ck_assert_int_eq(r, code);
    ck_assert_str_eq(error, expected);
    ck_assert_ptr_null(credential.data);
}

START_TEST(test_text)
{
    static const struct {
        const char *text, *expected;
    } texts[] = {
        {"joe:secret", "joe:secret"},
        {"joe:secret\n", "joe:secret"},
        {"a\n\n", "a\n"},
        {"a\r\n", "a\r"},
        {"\n", ""},
        {" a \n", " a "},
    };

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        write_file("a", texts[i].text, strlen(texts[i].text), 0600);
        ck_assert_int_eq(credential_read_private(&credential, scratch, "a", error), 0);
        expect_text(texts[i].expected);
    }
}
END_TEST

/* What is no text stays as it is, with the newline at its end. */
START_TEST(test_bytes)
{
    static const char bytes[] = "\x30\x82\0\n\xff\0\n";

    write_file("a", bytes, sizeof bytes - 1, 0400);
    ck_assert_int_eq(credential_read_private(&credential, scratch, "a", error), 0);
    ck_assert_uint_eq(credential.n, sizeof bytes - 1);
    ck_assert_mem_eq(credential.data, bytes, sizeof bytes - 1);
    credential_deinit(&credential);
}
END_TEST

START_TEST(test_size)
{
    char *bytes = malloc(CREDENTIAL_MAX + 1);

    memset(bytes, 'x', CREDENTIAL_MAX + 1);
    write_file("a", bytes, CREDENTIAL_MAX, 0600);
    ck_assert_int_eq(credential_read_private(&credential, scratch, "a", error), 0);
    ck_assert_uint_eq(credential.n, CREDENTIAL_MAX);
    credential_deinit(&credential);
    write_file("a", bytes, CREDENTIAL_MAX + 1, 0600);
    expect_refusal(credential_read_private(&credential, scratch, "a", error), -EINVAL, "a",
                   "has more than 262144 bytes");
    write_file("a", bytes, 0, 0600);
    expect_refusal(credential_read_private(&credential, scratch, "a", error), -EINVAL, "a",
                   "is empty");
    free(bytes);
}
END_TEST

START_TEST(test_names)
{
    static const char *const names[] = {"", ".", "..", "a/b", "/etc/passwd", "../a", "a/"};
    char name[CREDENTIAL_NAME_MAX + 2];
    char expected[512];

    write_file("a", "x", 1, 0600);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        snprintf(expected, sizeof expected,
                 "a credential is the name of a file in %s, without '/'; '%s' is none", scratch,
                 names[i]);
        ck_assert_int_eq(credential_read_private(&credential, scratch, names[i], error), -EINVAL);
        ck_assert_str_eq(error, expected);
        setenv("CREDENTIALS_DIRECTORY", scratch, 1);
        ck_assert_int_eq(credential_read(&credential, names[i], error), -EINVAL);
        ck_assert_str_eq(error, expected);
    }
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    ck_assert_int_eq(credential_read_private(&credential, scratch, name, error), -EINVAL);
    ck_assert_int_eq(credential_read_private(&credential, scratch, "...", error), -ENOENT);
}
END_TEST

START_TEST(test_modes)
{
    static const mode_t good[] = {0400, 0440, 0600, 0640};
    static const struct {
        mode_t mode;
        const char *error;
    } bad[] = {
        {0604, "is open to everybody (mode 0604); use chmod o="},
        {0444, "is open to everybody (mode 0444); use chmod o="},
        {0602, "is open to everybody (mode 0602); use chmod o="},
        {0601, "is open to everybody (mode 0601); use chmod o="},
        {0660, "can be changed by its group (mode 0660); use chmod g-w"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        write_file("a", "x", 1, good[i]);
        ck_assert_int_eq(credential_read_private(&credential, scratch, "a", error), 0);
        expect_text("x");
        unlink(path_of("a"));
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        write_file("a", "x", 1, bad[i].mode);
        expect_refusal(credential_read_private(&credential, scratch, "a", error), -EPERM, "a",
                       bad[i].error);
        /* The service manager's modes are its own affair. */
        setenv("CREDENTIALS_DIRECTORY", scratch, 1);
        ck_assert_int_eq(credential_read(&credential, "a", error), 0);
        expect_text("x");
        unlink(path_of("a"));
    }
}
END_TEST

START_TEST(test_owner)
{
    if (geteuid() != 0)
        return; /* nothing can be given away */
    write_file("a", "x", 1, 0600);
    ck_assert_int_eq(chown(path_of("a"), 4711, (gid_t)-1), 0);
    expect_refusal(credential_read_private(&credential, scratch, "a", error), -EPERM, "a",
                   "belongs to uid 4711, who could change it; use chown to give it to root");
    setenv("CREDENTIALS_DIRECTORY", scratch, 1);
    ck_assert_int_eq(credential_read(&credential, "a", error), 0);
    expect_text("x");
}
END_TEST

START_TEST(test_not_readable)
{
    uid_t me = geteuid(), other = me == 0 ? 4711 : me;
    char what[128];
    int r;

    write_file("a", "x", 1, 0);
    ck_assert_int_eq(seteuid(other), 0); /* root could read it */
    r = credential_read_private(&credential, scratch, "a", error);
    ck_assert_int_eq(seteuid(me), 0);
    snprintf(what, sizeof what,
             "cannot be opened: Permission denied; let uid %u, who is the daemon, read it",
             (unsigned)other);
    expect_refusal(r, -EACCES, "a", what);
}
END_TEST

START_TEST(test_no_file)
{
    expect_refusal(credential_read_private(&credential, scratch, "a", error), -ENOENT, "a",
                   "cannot be opened: No such file or directory");
    ck_assert_int_eq(mkdir(path_of("a"), 0700), 0);
    expect_refusal(credential_read_private(&credential, scratch, "a", error), -EINVAL, "a",
                   "is no regular file");
    rmdir(path_of("a"));
    ck_assert_int_eq(mkfifo(path_of("a"), 0600), 0); /* nobody writes: it must not wait */
    expect_refusal(credential_read_private(&credential, scratch, "a", error), -EINVAL, "a",
                   "is no regular file");
    unlink(path_of("a"));
    ck_assert_int_eq(symlink("b", path_of("a")), 0);
    expect_refusal(credential_read_private(&credential, scratch, "a", error), -ENOENT, "a",
                   "cannot be opened: No such file or directory");
    write_file("b", "x", 1, 0644); /* what a link leads to is what counts */
    expect_refusal(credential_read_private(&credential, scratch, "a", error), -EPERM, "a",
                   "is open to everybody (mode 0644); use chmod o=");
}
END_TEST

START_TEST(test_wiped)
{
    const void *data;

    write_file("a", "secret\n", 7, 0600);
    ck_assert_int_eq(credential_read_private(&credential, scratch, "a", error), 0);
    data = credential.data;
    ck_assert_ptr_null(wiped);
    credential_deinit(&credential);
    ck_assert_ptr_eq(wiped, data);
    ck_assert_uint_eq(n_wiped, 7);
}
END_TEST

/* The variable decides alone, whatever it says. */
START_TEST(test_variable)
{
    write_file("a", "x\n", 2, 0644);
    setenv("CREDENTIALS_DIRECTORY", scratch, 1);
    ck_assert_int_eq(credential_read(&credential, "a", error), 0);
    expect_text("x");
    setenv("CREDENTIALS_DIRECTORY", path_of("missing"), 1);
    ck_assert_int_eq(credential_read(&credential, "a", error), -ENOENT);
    setenv("CREDENTIALS_DIRECTORY", "", 1);
    ck_assert_int_eq(credential_read(&credential, "a", error), -EINVAL);
    ck_assert_str_eq(error, "CREDENTIALS_DIRECTORY is set to '', which is no absolute path");
    setenv("CREDENTIALS_DIRECTORY", "a", 1);
    ck_assert_int_eq(credential_read(&credential, "a", error), -EINVAL);
    unsetenv("CREDENTIALS_DIRECTORY");
    ck_assert_int_eq(credential_read(&credential, "no-such-credential", error), -ENOENT);
    ck_assert_str_eq(error, "credential /etc/fdial/credentials/no-such-credential cannot be opened:"
                            " No such file or directory");
}
END_TEST

static void make_scratch(void)
{
    const char *base = getenv("TMPDIR");

    unsetenv("CREDENTIALS_DIRECTORY");
    snprintf(scratch, sizeof scratch, "%s/test-credential-XXXXXX", base ? base : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(scratch));
}

static void remove_scratch(void)
{
    unlink(path_of("a"));
    unlink(path_of("b"));
    rmdir(path_of("a"));
    rmdir(scratch);
}

int main(void)
{
    Suite *suite = suite_create("credential");
    TCase *tcase = tcase_create("credential");

    tcase_add_checked_fixture(tcase, make_scratch, remove_scratch);
    tcase_add_test(tcase, test_text);
    tcase_add_test(tcase, test_bytes);
    tcase_add_test(tcase, test_size);
    tcase_add_test(tcase, test_names);
    tcase_add_test(tcase, test_modes);
    tcase_add_test(tcase, test_owner);
    tcase_add_test(tcase, test_not_readable);
    tcase_add_test(tcase, test_no_file);
    tcase_add_test(tcase, test_wiped);
    tcase_add_test(tcase, test_variable);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
