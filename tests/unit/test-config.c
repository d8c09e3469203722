/* What a configuration gives, from memory and from files; and that the manual's examples are right.
 */
#include "tests/unit/test-config.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/base/address.h"
#include "daemon/conn/source.h"
#include "daemon/policy/config_tree.h"
#include "proto/cleanup.h"
#include "proto/message.h"
#include "tests/lib/suite.h"

#define MANUAL "daemon/fdiald.conf.5"

static char scratch[128];

static struct config *parse(const char *text)
{
    struct config *config = NULL;
    char error[CONFIG_ERROR_MAX] = "";
    int r = config_parse(&config, "c", text, strlen(text), error);

    ck_assert_msg(r == 0, "%s", error);
    return config;
}

START_TEST(test_defaults)
{
    struct config *config =
        parse("rule \"a\" { client = \"uid:1001\" allow = \"https://example.org\" }");
    const struct rule *rule = config->rules;

    ck_assert_uint_eq(config->workers, 0);
    ck_assert(!config->sqpoll);
    ck_assert(config->ktls);
    ck_assert_uint_eq(config->drain_timeout_us, 30000000);
    ck_assert_ptr_null(config->nameservers);
    ck_assert_ptr_null(config->metrics);
    ck_assert_uint_eq(config->metrics_group, (gid_t)-1);
    ck_assert_uint_eq(config->n_rules, 1);
    ck_assert_str_eq(rule->name, "a");
    ck_assert_uint_eq(rule->n_clients, 1);
    ck_assert_ptr_null(rule->socket);
    ck_assert_uint_eq(rule->n_allow, 1);
    ck_assert_uint_eq(rule->n_deny, 0);
    ck_assert_uint_eq(rule->addresses, ADDRESS_CLASS_PUBLIC);
    ck_assert_uint_eq(rule->handoff, HANDOFF_TCP | HANDOFF_KTLS | HANDOFF_RELAY);
    ck_assert_ptr_null(rule->source);
    ck_assert_int_eq(rule->seal, SEAL_REQUIRED);
    ck_assert_int_eq(rule->mode, MODE_ENFORCE);
    ck_assert_ptr_nonnull(rule->tls);
    ck_assert_uint_eq(rule->max_pending, CONFIG_PENDING_DEFAULT);
    ck_assert_uint_eq(rule->max_relays, CONFIG_RELAYS_DEFAULT);
    ck_assert_uint_eq(rule->max_rate.n, 0);
    ck_assert_uint_eq(rule->idle_timeout_us, 0);
    ck_assert_uint_eq(rule->max_lifetime_us, 0);
    config_unref(config);
}
END_TEST

START_TEST(test_every_key)
{
    struct config *config = parse(
        "workers = 4\nsqpoll = true\nktls = false\ndrain-timeout = \"5m\"\n"
        "nameservers = { \"192.0.2.1\", '192.0.2.2:5353', \"2001:db8::1\", \"[2001:db8::2]:53\" }\n"
        "metrics = \"/run/a b/metrics.sock\"\nmetrics-group = ci\n"
        "rule first {\n"
        "  client = { \"user:build\", \"uid:7\", \"group:ci\", \"gid:8\", \"user:large\",\n"
        "    \"unit:ci@1.service\", \"cgroup:/ci.slice/a b\" }\n"
        "  socket = agents\n"
        "  allow = { \"https://*.example.org\", \"unix:/run/a b.sock\", }\n"
        "  deny = \"https://private.example.org\"\n"
        "  addresses = { private, loopback, link-local, host }\n"
        "  source = 192.0.2.7\n"
        "  handoff = { tcp, relay }\n"
        "  seal = off\n"
        "  mode = report\n"
        "  tls = partner\n"
        "  max-pending = 1\n  max-relays = 65536\n  max-rate = 30/min\n  idle-timeout = 90\n  "
        "max-lifetime = \"1h\"\n"
        "}\n"
        "rule second { client = \"uid:0\" allow = \"tcp://*:*\" mode = enforce }\n"
        "tls partner { ca-file = \"/dev/null\" min-version = 1.3 verify-name = \"DB.example.\" "
        "}\n");
    static const struct {
        enum client_kind kind;
        uint32_t id;
        const char *name;
    } clients[] = {
        {CLIENT_UID, 1001, NULL},
        {CLIENT_UID, 7, NULL},
        {CLIENT_GID, 2001, NULL},
        {CLIENT_GID, 8, NULL},
        {CLIENT_UID, 3001, NULL},
        {CLIENT_UNIT, 0, "ci@1.service"},
        {CLIENT_CGROUP, 0, "/ci.slice/a b"},
    };
    const struct rule *rule = config->rules;

    ck_assert_uint_eq(config->workers, 4);
    ck_assert(config->sqpoll);
    ck_assert(!config->ktls);
    ck_assert_uint_eq(config->drain_timeout_us, UINT64_C(300000000));
    ck_assert_str_eq(config->metrics, "/run/a b/metrics.sock");
    ck_assert_uint_eq(config->metrics_group, 2001);
    ck_assert_str_eq(config->nameservers, "192.0.2.1,192.0.2.2:5353,2001:db8::1,[2001:db8::2]:53");
    ck_assert_uint_eq(config->n_rules, 2);
    ck_assert_str_eq(rule->name, "first");
    ck_assert(config->needs_cgroup);
    ck_assert_uint_eq(rule->n_clients, ARRAY_SIZE(clients));
    for (size_t i = 0; i < ARRAY_SIZE(clients); i++) {
        ck_assert_int_eq(rule->clients[i].kind, clients[i].kind);
        ck_assert_uint_eq(rule->clients[i].id, clients[i].id);
        ck_assert_pstr_eq(rule->clients[i].name, clients[i].name);
    }
    ck_assert_str_eq(rule->socket, "agents");
    ck_assert_uint_eq(rule->n_allow, 2);
    ck_assert_str_eq(rule->allow[1].host, "/run/a b.sock");
    ck_assert_uint_eq(rule->n_deny, 1);
    ck_assert_uint_eq(rule->addresses, ADDRESS_CLASS_PRIVATE | ADDRESS_CLASS_LOOPBACK |
                                           ADDRESS_CLASS_LINK_LOCAL | ADDRESS_CLASS_HOST);
    ck_assert_uint_eq(rule->handoff, HANDOFF_TCP | HANDOFF_RELAY);
    ck_assert_int_eq(rule->source->address.family, AF_INET);
    ck_assert_uint_eq(rule->source->address.ipv4.s_addr, htonl(0xc0000207));
    ck_assert_str_eq(rule->source->interface, "");
    ck_assert_int_eq(rule->seal, SEAL_OFF);
    ck_assert_int_eq(rule->mode, MODE_REPORT);
    ck_assert_uint_eq(rule->max_pending, 1);
    ck_assert_uint_eq(rule->max_relays, 65536);
    ck_assert_uint_eq(rule->max_rate.n, 30);
    ck_assert_uint_eq(rule->max_rate.period_s, 60);
    ck_assert_uint_eq(rule->idle_timeout_us, 90000000);
    ck_assert_uint_eq(rule->max_lifetime_us, UINT64_C(3600000000));
    ck_assert_str_eq(rule[1].name, "second");
    ck_assert_ptr_nonnull(rule->tls);
    ck_assert_ptr_null(rule[1].tls);
    ck_assert_int_eq(rule[1].mode, MODE_ENFORCE);
    config_unref(config);
}
END_TEST

START_TEST(test_nameservers)
{
    struct config *config = parse("nameservers = { \"[2001:db8::1]\", '192.0.2.1', \"::1\",\n"
                                  "  \"[2001:db8::2]\", \"[::]:1\", \"[::1:53]\" }");

    ck_assert_str_eq(config->nameservers, "2001:db8::1,192.0.2.1,::1,2001:db8::2,[::]:1,::1:53");
    config_unref(config);
}
END_TEST

START_TEST(test_sources)
{
    static const char *const sources[] = {"192.0.2.7", "127.0.0.2", "2001:db8::7",
                                          "::1",       "eth0",      "wlp3s0.100@x",
                                          "e",         "0x",        "a23456789012345"};

    for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
        struct config *config;
        char shown[SOURCE_TEXT_MAX];
        char text[128];

        snprintf(text, sizeof text,
                 "rule a { client = \"uid:1\" allow = \"tcp://h:1\" source = '%s' }", sources[i]);
        config = parse(text);
        source_format(config->rules->source, shown);
        ck_assert_str_eq(shown, sources[i]);
        config_unref(config);
    }
}
END_TEST

START_TEST(test_accepted)
{
    static const char *const texts[] = {
        "",
        "\n",
        "# only a comment",
        "/* \" ' { ${HOME} */ // \" }\n",
        "nameservers = \"192.0.2.1\" # one\n",
        "drain-timeout = 0",
        "drain-timeout = \"8760h\"",
        "workers = '2'",
        "tls \"a\" {}",
        "tls a { verify-name = \"192.0.2.1\" } tls b { verify-name = \"2001:db8::1\" }",
        "tls \"a\" {} rule \"a\" { client = \"uid:1\" allow = \"tcp://h:1\" tls = a }",
        "rule \"a\" { client = \"uid:4294967294\" allow = \"tcp://h:1\" } # end",
        "rule \"a\" { client = \"uid:1\" allow = \"ws://h\" deny = \"unix:/a#b/c=*d{},\" }",
    };

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        config_unref(parse(texts[i]));
}
END_TEST

/* Lines are right behind every kind of comment, quotes and blank lines. */
START_TEST(test_lines)
{
    struct config *config;
    char error[CONFIG_ERROR_MAX];
    static const char text[] = "# one\n"
                               "// two /* \"\n"
                               "/* three\n four */ workers = 1 # 'four'\n"
                               "\n"
                               "rule \"a\" { # six\n"
                               "  client = { /* seven */ \"uid:1\", # seven\n"
                               "             // eight\n"
                               "             \"uid:2\" }\n"
                               "  allow = { \"https://a\", # ten: https://\n"
                               "            \"https://b//\" } }\n";

    ck_assert_int_eq(config_parse(&config, "c", text, sizeof text - 1, error), -EINVAL);
    ck_assert_str_eq(error, "c:11: bad pattern 'https://b//': a pattern ends with the host or its "
                            "ports; remove the slash");
}
END_TEST

START_TEST(test_builtin)
{
    struct config *config = NULL;
    char error[CONFIG_ERROR_MAX];

    ck_assert_int_eq(config_new_empty(&config, error), 0);
    ck_assert_uint_eq(config->n_rules, 0);
    ck_assert_ptr_eq(config_ref(config), config);
    ck_assert_ptr_null(config_unref(config));
    ck_assert_uint_eq(config->n_references, 1);
    ck_assert_ptr_null(config_unref(config));

    ck_assert_int_eq(config_new_user(&config, 65534, error), -EINVAL);
    ck_assert_int_eq(config_new_user(&config, 1001, error), 0);
    ck_assert_uint_eq(config->n_rules, 1);
    ck_assert_uint_eq(config->rules->clients->id, 1001);
    ck_assert_uint_eq(config->rules->addresses, 31);
    ck_assert_int_eq(config->rules->seal, SEAL_REQUIRED);
    ck_assert_ptr_nonnull(config->rules->tls);
    config_unref(config);
    ck_assert_ptr_null(config_unref(NULL));
}
END_TEST

static const char *path_of(const char *name)
{
    static char path[256];

    snprintf(path, sizeof path, "%s/%s", scratch, name);
    return path;
}

static void write_file(const char *name, const char *text, mode_t mode)
{
    FILE *file = fopen(path_of(name), "w");

    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
    ck_assert_int_eq(chmod(path_of(name), mode), 0);
}

static int load(const char *name, struct config **ret, char *error)
{
    char path[256];

    strcpy(path, path_of(name));
    return config_load(ret, path, error);
}

static void expect_error(int code, const char *sentence)
{
    struct config *config = NULL;
    char error[CONFIG_ERROR_MAX] = "";
    char expected[2 * CONFIG_ERROR_MAX];

    ck_assert_int_eq(load("c", &config, error), code);
    snprintf(expected, sizeof expected, "%s/%s", scratch, sentence);
    ck_assert_str_eq(error, expected);
}

#define RULE_TEXT(name) "rule " name " { client = \"uid:1\" allow = \"tcp://h:1\" }\n"

START_TEST(test_drop_ins)
{
    struct config *config = NULL;
    char error[CONFIG_ERROR_MAX] = "";

    write_file("c", "workers = 1\n" RULE_TEXT("m"), 0644);
    ck_assert_int_eq(load("c", &config, error), 0);
    ck_assert_uint_eq(config->n_rules, 1);
    config_unref(config);

    ck_assert_int_eq(mkdir(path_of("c.d"), 0755), 0);
    write_file("c.d/b.conf", RULE_TEXT("b"), 0644);
    write_file("c.d/10-x.conf", RULE_TEXT("x"), 0644);
    write_file("c.d/Z.conf", "ktls = false tls t { }" RULE_TEXT("z"), 0600);
    write_file("c.d/.hidden.conf", "nonsense", 0644);
    write_file("c.d/b.conf.bak", "nonsense", 0644);
    write_file("c.d/.conf", "nonsense", 0644);
    ck_assert_msg(load("c", &config, error) == 0, "%s", error);
    ck_assert_uint_eq(config->n_rules, 4);
    ck_assert_str_eq(config->rules[0].name, "m");
    ck_assert_str_eq(config->rules[1].name, "x");
    ck_assert_str_eq(config->rules[2].name, "z");
    ck_assert_str_eq(config->rules[3].name, "b");
    ck_assert(!config->ktls);
    ck_assert_uint_eq(config->workers, 1);
    config_unref(config);

    write_file("c.d/c.conf", "\n" RULE_TEXT("x"), 0644);
    snprintf(error, sizeof error,
             "c.d/c.conf:2: the title 'x' is given twice, first at "
             "%s/c.d/10-x.conf:1; rename one",
             scratch);
    expect_error(-EINVAL, error);
    write_file("c.d/c.conf", "\n\nworkers = 2", 0644);
    snprintf(error, sizeof error,
             "c.d/c.conf:3: 'workers' is given twice, first at %s/c:1; remove one", scratch);
    expect_error(-EINVAL, error);
    write_file("c.d/c.conf", "}", 0644);
    expect_error(-EINVAL, "c.d/c.conf:1: this '}' closes nothing; remove it");
    unlink(path_of("c.d/c.conf"));
    ck_assert_int_eq(symlink("nowhere", path_of("c.d/c.conf")), 0);
    expect_error(-EINVAL, "c.d/c.conf: cannot open: it is a link to nothing");
    unlink(path_of("c.d/c.conf"));
    unlink(path_of("c"));
    snprintf(error, sizeof error,
             "c: is missing, but there are drop-ins in %s/c.d; make it, an empty file will do",
             scratch);
    expect_error(-EINVAL, error);
}
END_TEST

START_TEST(test_files)
{
    expect_error(-ENOENT, "c: cannot open: No such file or directory");
    ck_assert_int_eq(mkdir(path_of("c.d"), 0755), 0);
    expect_error(-ENOENT, "c: cannot open: No such file or directory");
    rmdir(path_of("c.d"));
    ck_assert_int_eq(symlink("nowhere", path_of("c")), 0);
    expect_error(-EINVAL, "c: cannot open: it is a link to nothing");
    unlink(path_of("c"));
    ck_assert_int_eq(mkfifo(path_of("c"), 0600), 0);
    expect_error(-EINVAL, "c: is no regular file; write the configuration to one");
    unlink(path_of("c"));
    ck_assert_int_eq(mkdir(path_of("c"), 0755), 0);
    expect_error(-EINVAL, "c: is no regular file; write the configuration to one");
    rmdir(path_of("c"));

    write_file("c", "", 0666);
    expect_error(-EINVAL, "c: can be written by others than its owner (mode 0666); use chmod go-w");
    write_file("c", "", 0660);
    expect_error(-EINVAL, "c: can be written by others than its owner (mode 0660); use chmod go-w");
    if (geteuid() == 0) {
        write_file("c", "", 0644);
        ck_assert_int_eq(chown(path_of("c"), 1001, 0), 0);
        expect_error(-EINVAL,
                     "c: belongs to uid 1001, who could change the rules; use chown to give it "
                     "to root");
        ck_assert_int_eq(chown(path_of("c"), 0, 0), 0);
    }

    write_file("c", "", 0644);
    ck_assert_int_eq(truncate(path_of("c"), CONFIG_FILE_MAX + 1), 0);
    expect_error(-EINVAL, "c: is larger than 1048576 bytes; split it into drop-ins");
    write_file("c", "", 0644);
    ck_assert_int_eq(mkdir(path_of("c.d"), 0755), 0);
    ck_assert_int_eq(chmod(path_of("c.d"), 0777), 0);
    expect_error(-EINVAL,
                 "c.d: can be written by others than its owner (mode 0777); use chmod go-w");
    rmdir(path_of("c.d"));
    ck_assert_int_eq(symlink("nowhere", path_of("c.d")), 0);
    expect_error(-EINVAL, "c.d: cannot open: it is a link to nothing");
    unlink(path_of("c.d"));
    write_file("c.d", "", 0644);
    expect_error(-ENOTDIR, "c.d: cannot open: Not a directory");
}
END_TEST

/* The manual's examples: each display behind a line `.\" example`. Paths that need not exist are
 * replaced by one that does. */
static char *read_manual(void)
{
    const char *srcdir = getenv("srcdir");
    char path[PATH_MAX];
    FILE *file;
    char *text = calloc(1, CONFIG_FILE_MAX);

    snprintf(path, sizeof path, "%s/%s", srcdir ? srcdir : ".", MANUAL);
    file = fopen(path, "r");
    ck_assert_msg(file != NULL, "cannot open %s: %s", path, strerror(errno));
    ck_assert_uint_gt(fread(text, 1, CONFIG_FILE_MAX - 1, file), 0);
    fclose(file);
    return text;
}

/* `to` is not longer than `from`. */
static void replace(char *text, const char *from, const char *to)
{
    for (char *at = text; (at = strstr(at, from));) {
        memmove(at + strlen(to), at + strlen(from), strlen(at + strlen(from)) + 1);
        memcpy(at, to, strlen(to));
    }
}

static bool has_key(const char *text, const char *key)
{
    size_t n = strlen(key);

    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += strspn(line, " \n");
        if (strncmp(line, key, n) == 0 && line[n + strspn(line + n, " ")] == '=' && line[n] == ' ')
            return true;
    }
    return false;
}

/* NULL: of a later version. */
static const char *const manual_keys[] = {
#define X(name, text, form) form == FORM_LATER ? NULL : text,
    CONFIG_ROOT_KEYS(X) CONFIG_TLS_KEYS(X) CONFIG_PROXY_KEYS(X) CONFIG_RULE_KEYS(X)
#undef X
};

/* Each key that the parser knows is described, and no other. */
START_TEST(test_manual_keys)
{
    char *manual = read_manual();
    size_t n = 0;

    for (const char *at = manual; (at = strstr(at, "\n.It Ic ")); at++)
        n++;
    for (size_t i = 0; i < ARRAY_SIZE(manual_keys); i++) {
        char item[64];

        if (!manual_keys[i])
            continue;
        snprintf(item, sizeof item, "\n.It Ic %s\n", manual_keys[i]);
        ck_assert_msg(strstr(manual, item) != NULL, "%s does not describe '%s'", MANUAL,
                      manual_keys[i]);
        n--;
    }
    ck_assert_uint_eq(n, 0);
    free(manual);
}
END_TEST

/* The credentials that the examples name. */
static void write_credentials(void)
{
    static const struct {
        const char *name;
        const char *text;
    } credentials[] = {
        {"corp-proxy", "joe:secret\n"}, {"corp-keytab", "\5\2"},
        {"api-token", "abc.def\n"},     {"partner-cert", "a certificate\n"},
        {"partner-key", "a key\n"},     {"partner-passphrase", "a passphrase\n"},
    };

    ck_assert_int_eq(mkdir(path_of("c.d"), 0755), 0);
    for (size_t i = 0; i < ARRAY_SIZE(credentials); i++) {
        char name[64];

        snprintf(name, sizeof name, "c.d/%s", credentials[i].name);
        write_file(name, credentials[i].text, 0600);
    }
    setenv("CREDENTIALS_DIRECTORY", path_of("c.d"), 1);
}

START_TEST(test_manual)
{
    char *manual = read_manual();
    bool is_shown[ARRAY_SIZE(manual_keys)] = {0};
    unsigned n = 0;

    write_credentials();
    for (char *at = manual; (at = strstr(at, "\n.\\\" example\n.Bd")); n++) {
        char *text = strchr(at + 2, '\n');
        char *end;

        text = strchr(text + 1, '\n') + 1;
        end = strstr(text, "\n.Ed");
        ck_assert_ptr_nonnull(end);
        *end = '\0';
        at = end + 1;
        replace(text, "/etc/ssl/partner.pem", "/dev/null");
        config_unref(parse(text));
        for (size_t i = 0; i < ARRAY_SIZE(manual_keys); i++)
            is_shown[i] = is_shown[i] || (manual_keys[i] && has_key(text, manual_keys[i]));
    }
    ck_assert_uint_ge(n, 5);
    for (size_t i = 0; i < ARRAY_SIZE(manual_keys); i++)
        ck_assert_msg(!manual_keys[i] || is_shown[i], "%s has no example for '%s'", MANUAL,
                      manual_keys[i]);
    free(manual);
}
END_TEST

/* What is no mistake, but should not go unnoticed. */
START_TEST(test_warnings)
{
    struct config *config = parse("tls a { pin = \"" TLS_PIN_PREFIX
                                  "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\"\n verify = off }"
                                  "\ntls b { verify = on }\ntls c {\n verify = off }");

    ck_assert_uint_eq(config->n_warnings, 2);
    ck_assert_str_eq(config->warnings[0], "c:2: certificates are not verified but for their pins, "
                                          "because 'verify' is off");
    ck_assert_ptr_nonnull(strstr(config->warnings[1], "c:5: certificates are not verified, because "
                                                      "'verify' is off: "));
    config_unref(config);
}
END_TEST

static void make_scratch(void)
{
    const char *base = getenv("TMPDIR");

    umask(022);
    snprintf(scratch, sizeof scratch, "%s/test-config-XXXXXX", base ? base : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(scratch));
}

static void remove_scratch(void)
{
    static const char *const names[] = {"c.d/b.conf",       "c.d/10-x.conf",  "c.d/Z.conf",
                                        "c.d/.hidden.conf", "c.d/b.conf.bak", "c.d/.conf",
                                        "c.d/c.conf",       "c.d/corp-proxy", "c.d/api-token"};

    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        unlink(path_of(names[i]));
    unlink(path_of("c"));
    unlink(path_of("c.d"));
    rmdir(path_of("c.d"));
    rmdir(scratch);
}

int main(void)
{
    Suite *suite = suite_create("config");
    TCase *values = tcase_create("values");
    TCase *files = tcase_create("files");

    tcase_add_test(values, test_defaults);
    tcase_add_test(values, test_every_key);
    tcase_add_test(values, test_accepted);
    tcase_add_test(values, test_nameservers);
    tcase_add_test(values, test_sources);
    tcase_add_test(values, test_lines);
    tcase_add_test(values, test_builtin);
    tcase_add_test(values, test_warnings);
    tcase_add_test(values, test_manual_keys);
    tcase_add_checked_fixture(files, make_scratch, remove_scratch);
    tcase_add_test(files, test_manual);
    tcase_add_test(files, test_drop_ins);
    tcase_add_test(files, test_files);
    suite_add_tcase(suite, values);
    suite_add_tcase(suite, files);
    suite_add_tcase(suite, config_errors_case());
    return suite_run(suite);
}
