/* Messages: PROTOCOL.md's examples and error list are what the code does; every message survives
 * its round trip; nothing malformed is taken. And fd messages, with what cmsg(3) leaves to its
 * users. */
#include <arpa/inet.h>
#include <assert.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/cleanup.h"
#include "proto/fdmsg.h"
#include "proto/message.h"
#include "tests/lib/suite.h"
#include "tests/lib/valgrind.h"

struct example {
    const char *name;
    ssize_t n;
    uint8_t bytes[512];
};

enum { EXAMPLES_MAX = 20 };

static struct example examples[EXAMPLES_MAX];
static size_t n_examples;

static uint8_t *begin_example(const char *name)
{
    examples[n_examples].name = name;
    return examples[n_examples].bytes;
}

#define SIZE sizeof examples[0].bytes

static void add_example(ssize_t n)
{
    assert(n > 0);
    examples[n_examples++].n = n;
}

static struct message_result result_example(void)
{
    struct message_result m = {
        .handoff = HANDOFF_RELAY,
        .alpn = text_of("http/1.1"),
        .tls_version = 0x0304,
        .tls_cipher = text_of("TLS_AES_128_GCM_SHA256"),
        .chain = {{"\x30\x03\x02\x01\x00", 5}},
        .n_chain = 1,
        .times = {{STAGE_RESOLVE, 0, 1500}, {STAGE_CONNECT, 0, 12000}, {STAGE_TLS, 0, 25000}},
        .n_times = 3};
    struct sockaddr_in *in = (struct sockaddr_in *)&m.peer;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&m.local;

    in->sin_family = AF_INET;
    in->sin_port = htons(443);
    inet_pton(AF_INET, "192.0.2.1", &in->sin_addr);
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(40000);
    inet_pton(AF_INET6, "2001:db8::2", &in6->sin6_addr);
    return m;
}

static void make_examples(void)
{
    const struct message_connect connect = {.target = text_of("https://example.org"),
                                            .timeout_ms = 5000,
                                            .handoff = HANDOFF_TCP | HANDOFF_RELAY,
                                            .alpn = {text_of("http/1.1")},
                                            .n_alpn = 1};
    const struct message_result result = result_example();
    const struct message_result failed = {.code = ERROR_REFUSED,
                                          .stage = STAGE_CONNECT,
                                          .sys_errno = ECONNREFUSED,
                                          .detail = text_of("192.0.2.1 port 22")};
    const struct message_grant grant = {
        .patterns = {text_of("https://*.example.org"), text_of("tcp://192.0.2.1:22")},
        .n_patterns = 2};
    const struct message_status lines = {STATUS_LINES}, metrics = {STATUS_OPENMETRICS};
    struct wire_writer w;

    n_examples = 0;
    add_example(
        message_encode_hello(begin_example("hello"), SIZE,
                             &(struct message_hello){.version = 1, .software = text_of("demo/1")}));
    add_example(message_encode_welcome(begin_example("welcome"), SIZE,
                                       &(struct message_welcome){.version = 1,
                                                                 .software = text_of("fdiald/1"),
                                                                 .message_max = 16384,
                                                                 .pending_max = 4096,
                                                                 .count_max = 64}));
    add_example(message_encode_connect(begin_example("connect"), SIZE, 1, &connect));
    add_example(message_encode_result(begin_example("result"), SIZE, 1, &result));
    add_example(message_encode_result(begin_example("result, failed"), SIZE, 2, &failed));
    add_example(message_encode_cancel(begin_example("cancel"), SIZE, 2));
    add_example(message_encode_ended(begin_example("ended"), SIZE, 1,
                                     &(struct message_ended){.end = RELAY_END_CLEAN,
                                                             .bytes_sent = 78,
                                                             .bytes_received = 70000}));
    add_example(
        message_encode_explain(begin_example("explain"), SIZE, 3,
                               &(struct message_explain){.target = text_of("tcp://192.0.2.1:22"),
                                                         .as_user = text_of("build")}));
    add_example(message_encode_explained(
        begin_example("explained"), SIZE, 3,
        &(struct message_explained){
            .who = text_of("uid 1001 gid 1001"),
            .rule = text_of("ci"),
            .plan = text_of("address(192.0.2.1) connect(22) seal handoff(tcp)")}));
    add_example(message_encode_status(begin_example("status"), SIZE, 4, &lines));
    wire_begin(&w, begin_example("status reply"), SIZE, WIRE_STATUS_REPLY, 4);
    wire_put_bytes(&w, ATTR_STAT, "version=1", 9);
    wire_put_bytes(&w, ATTR_STAT, "sessions=7", 10);
    assert(wire_end(&w) == 0);
    add_example((ssize_t)w.length);
    add_example(message_encode_status(begin_example("status, as metrics"), SIZE, 5, &metrics));
    wire_begin(&w, begin_example("status reply, the first of several"), SIZE, WIRE_STATUS_REPLY, 5);
    wire_put_bytes(&w, ATTR_TEXT, "fdial_sessions 7\n", 17);
    wire_put_u8(&w, ATTR_MORE, 1);
    assert(wire_end(&w) == 0);
    add_example((ssize_t)w.length);
    add_example(message_encode_grant(begin_example("grant"), SIZE, 5, &grant));
    add_example(
        message_encode_granted(begin_example("granted"), SIZE, 5, &(struct message_answer){0}));
    add_example(message_encode_granted(
        begin_example("granted, refused"), SIZE, 5,
        &(struct message_answer){.code = ERROR_BAD_OPTION,
                                 .detail = text_of("no-pattern: the scheme is missing")}));
    add_example(message_encode_open(begin_example("open"), SIZE));
    add_example(message_encode_opened(begin_example("opened"), SIZE, &(struct message_answer){0}));
    add_example(
        message_encode_error(begin_example("error"), SIZE, 0,
                             &(struct message_error){.code = ERROR_BAD_MESSAGE,
                                                     .detail = text_of("unknown message type")}));
}

static char *read_protocol(void)
{
    const char *srcdir = getenv("abs_top_srcdir");
    char path[4096];
    char *text = calloc(1, 1 << 20);
    FILE *file;

    snprintf(path, sizeof path, "%s/proto/PROTOCOL.md", srcdir ? srcdir : ABS_TOP_SRCDIR);
    file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_gt(fread(text, 1, (1 << 20) - 1, file), 0);
    fclose(file);
    return text;
}

static void print_hex(const struct example *e, char *text, size_t size)
{
    size_t n = 0;

    for (ssize_t i = 0; i < e->n; i++)
        n += (size_t)snprintf(text + n, size - n, "%s%02x",
                              i == 0   ? "    "
                              : i % 16 ? " "
                                       : "\n    ",
                              e->bytes[i]);
}

START_TEST(test_examples_are_those_of_the_text)
{
    char *protocol = read_protocol();

    make_examples();
    for (size_t i = 0; i < n_examples; i++) {
        char expected[4096], hex[3000];

        print_hex(&examples[i], hex, sizeof hex);
        snprintf(expected, sizeof expected, "\n%s\n\n%s\n", examples[i].name, hex);
        ck_assert_msg(strstr(protocol, expected) != NULL, "PROTOCOL.md lacks:\n%s", expected);
    }
    free(protocol);
}
END_TEST

START_TEST(test_errors_are_those_of_the_text)
{
    char *protocol = read_protocol();
    char line[512];

#define X(name, number, text)                                                                      \
    snprintf(line, sizeof line, "\n| %d | %s |\n", number, text);                                  \
    ck_assert_msg(strstr(protocol, line) != NULL, "PROTOCOL.md lacks:%s", line);                   \
    ck_assert_str_eq(stage_name(number), text);
    STAGE_LIST(X)
#undef X
#define X(name, number, stage, error, text)                                                        \
    snprintf(line, sizeof line, "\n| %d | %s | %s | %s |\n", number, stage_name(STAGE_##stage),    \
             text, #error);                                                                        \
    ck_assert_msg(strstr(protocol, line) != NULL, "PROTOCOL.md lacks:%s", line);                   \
    ck_assert_str_eq(error_text(number), text);                                                    \
    ck_assert_str_eq(error_name(number), #name);                                                   \
    ck_assert_int_eq(error_to_errno(number), error);                                               \
    ck_assert_int_eq(error_stage(ERROR_##name), STAGE_##stage);
    ERROR_LIST(X)
#undef X
    ck_assert_str_eq(error_text(9999), "unknown error");
    ck_assert_int_eq(error_to_errno(9999), EPROTO);
    ck_assert_str_eq(relay_end_name(RELAY_END_TRUNCATED), "truncated");
    free(protocol);
}
END_TEST

static int decode(const void *bytes, size_t n, const char **error)
{
    union {
        struct message_hello hello;
        struct message_welcome welcome;
        struct message_connect connect;
        struct message_result result;
        struct message_ended ended;
        struct message_explain explain;
        struct message_status status;
        struct message_explained explained;
        struct message_grant grant;
        struct message_answer answer;
        struct message_error error;
    } m;
    struct wire_reader r;
    struct wire_head head;

    *error = "the head";
    if (wire_read_head(&r, bytes, n, &head) < 0)
        return -EBADMSG;
    switch (head.type) {
    case WIRE_HELLO:
        return message_decode_hello(r, &m.hello, error);
    case WIRE_WELCOME:
        return message_decode_welcome(r, &m.welcome, error);
    case WIRE_CONNECT:
        return message_decode_connect(r, &m.connect, error);
    case WIRE_RESULT:
        return message_decode_result(r, &m.result, error);
    case WIRE_ENDED:
        return message_decode_ended(r, &m.ended, error);
    case WIRE_EXPLAIN:
        return message_decode_explain(r, &m.explain, error);
    case WIRE_EXPLAINED:
        return message_decode_explained(r, &m.explained, error);
    case WIRE_GRANT:
        return message_decode_grant(r, &m.grant, error);
    case WIRE_GRANTED:
    case WIRE_OPENED:
        return message_decode_answer(r, &m.answer, error);
    case WIRE_ERROR:
        return message_decode_error(r, &m.error, error);
    case WIRE_STATUS:
        return message_decode_status(r, &m.status, error);
    case WIRE_CANCEL:
    case WIRE_OPEN:
        return message_decode_empty(r, error);
    }
    *error = "the type";
    return -EBADMSG;
}

START_TEST(test_truncations_and_changes)
{
    const char *error;

    make_examples();
    for (size_t i = 0; i < n_examples; i++) {
        struct example *e = &examples[i];
        uint32_t length;

        if (strncmp(e->name, "status reply", 12) == 0)
            continue;
        ck_assert_msg(decode(e->bytes, (size_t)e->n, &error) == 0, "%s: %s", e->name, error);
        /* cut short: the length no longer fits */
        for (size_t n = 0; n < (size_t)e->n; n++)
            ck_assert_int_eq(decode(e->bytes, n, &error), -EBADMSG);
        /* with a length that fits, whatever is inside the last attribute is missing */
        for (size_t n = WIRE_HEAD_SIZE; n < (size_t)e->n; n++) {
            uint8_t copy[SIZE];

            memcpy(copy, e->bytes, n);
            length = (uint32_t)n;
            memcpy(copy + 4, &length, 4);
            error = NULL;
            if (decode(copy, n, &error) < 0)
                ck_assert_ptr_nonnull(error);
        }
        /* each bit of the head but the id's matters */
        for (size_t bit = 0; bit < 64; bit++) {
            e->bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
            if (bit >= 16)
                ck_assert_int_eq(decode(e->bytes, (size_t)e->n, &error), -EBADMSG);
            e->bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
    }
}
END_TEST

/* A connect request with one more attribute, given as bytes. */
static int connect_with(const void *attribute, size_t n, const char **error)
{
    uint8_t bytes[4096];
    struct wire_writer w;

    wire_begin(&w, bytes, sizeof bytes, WIRE_CONNECT, 1);
    wire_put_bytes(&w, ATTR_TARGET, "tcp://h:1", 9);
    memcpy(bytes + w.length, attribute, n);
    w.length += n;
    ck_assert_int_eq(wire_end(&w), 0);
    return decode(bytes, w.length, error);
}

START_TEST(test_malformed_attributes)
{
    static const struct malformed {
        const char *bytes;
        size_t n;
        const char *why; /* NULL: accepted */
    } table[] = {
        {"\x10\0\x09\0tcp://h:2", 13, "twice"},
        {"\x63\0\0\0", 4, "unknown"},
        {"\x63\x80\0\0", 4, NULL},
        {"\x63\x80\x03\0abc", 7, NULL},
        {"\x63\x80\x04\0abc", 7, "does not end"},
        {"\x01\0\x02\0\x01\0", 6, "unknown"},
        {"\x11\0\x04\0\x01\0\0\0", 8, NULL},
        {"\x11\0\x04\0\0\0\0\0", 8, "range"},
        {"\x11\0\x04\0\xff\xff\xff\xff", 8, "range"},
        {"\x11\0\x02\0\x01\0", 6, "size"},
        {"\x12\0\x01\0\x06", 5, NULL},
        {"\x12\0\x01\0\x05", 5, "range"},
        {"\x15\0\x01\0\x08", 5, "range"},
        {"\x15\0\x01\0\0", 5, "range"},
        {"\x18\0\x04\0\x40\0\0\0", 8, NULL},
        {"\x18\0\x04\0\x41\0\0\0", 8, "range"},
        {"\x13\0\0\0", 4, "empty"},
        {"\x13\0\x03\0a\0b", 7, "NUL"},
        {"\x13\0\x02\0h2\x13\0\x02\0h3", 12, NULL},
        {"\x13\0\x01\0a\x13\0\x01\0a\x13\0\x01\0a\x13\0\x01\0a\x13\0\x01\0a\x13\0\x01\0a\x13\0"
         "\x01\0a\x13\0\x01\0a\x13\0\x01\0a",
         45, "too often"},
        {"\x11\0\x04", 3, "does not end"},
        {"\x11", 1, "does not end"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        const char *error = NULL;
        int r = connect_with(table[i].bytes, table[i].n, &error);

        if (!table[i].why) {
            ck_assert_msg(r == 0, "row %zu: %s", i, error);
            continue;
        }
        ck_assert_msg(r == -EBADMSG, "row %zu is accepted", i);
        ck_assert_msg(strstr(error, table[i].why) != NULL, "row %zu: %s", i, error);
    }
}
END_TEST

START_TEST(test_required_attributes)
{
    static const enum wire_type types[] = {WIRE_HELLO, WIRE_WELCOME, WIRE_CONNECT,   WIRE_RESULT,
                                           WIRE_ENDED, WIRE_EXPLAIN, WIRE_EXPLAINED, WIRE_ERROR,
                                           WIRE_GRANT, WIRE_GRANTED, WIRE_OPENED};

    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        uint8_t bytes[WIRE_HEAD_SIZE];
        struct wire_writer w;
        const char *error;

        wire_begin(&w, bytes, sizeof bytes, types[i], 0);
        ck_assert_int_eq(wire_end(&w), 0);
        ck_assert_int_eq(decode(bytes, sizeof bytes, &error), -EBADMSG);
        ck_assert_ptr_nonnull(strstr(error, " without "));
    }
}
END_TEST

/* n patterns of `length` bytes each. */
static int decode_grant_of(size_t n, size_t length, const char **error)
{
    static uint8_t bytes[MESSAGE_PATTERNS_MAX * (MESSAGE_PATTERN_MAX + 8)];
    static char pattern[MESSAGE_PATTERN_MAX + 1];
    struct wire_writer w;

    memset(pattern, 'x', sizeof pattern);
    wire_begin(&w, bytes, sizeof bytes, WIRE_GRANT, 1);
    for (size_t i = 0; i < n; i++)
        wire_put_bytes(&w, ATTR_PATTERN, pattern, length);
    ck_assert_int_eq(wire_end(&w), 0);
    return decode(bytes, w.length, error);
}

START_TEST(test_limits_of_a_grant)
{
    const char *error;

    ck_assert_int_eq(decode_grant_of(MESSAGE_PATTERNS_MAX, 1, &error), 0);
    ck_assert_int_eq(decode_grant_of(MESSAGE_PATTERNS_MAX + 1, 1, &error), -EBADMSG);
    ck_assert_ptr_nonnull(strstr(error, "too often"));
    ck_assert_int_eq(decode_grant_of(1, MESSAGE_PATTERN_MAX, &error), 0);
    ck_assert_int_eq(decode_grant_of(1, MESSAGE_PATTERN_MAX + 1, &error), -EBADMSG);
    ck_assert_int_eq(decode_grant_of(1, 0, &error), -EBADMSG);
    ck_assert_ptr_nonnull(strstr(error, "empty or too long"));
}
END_TEST

START_TEST(test_result_round_trip)
{
    struct message_result m = result_example(), got;
    struct sockaddr_un *un = (struct sockaddr_un *)&m.peer;
    static uint8_t bytes[WIRE_MESSAGE_MAX];
    struct wire_reader r;
    struct wire_head head;
    const char *error;
    ssize_t n;

    memset(un, 0, sizeof m.peer);
    un->sun_family = AF_UNIX;
    memset(un->sun_path, 'a', TARGET_UNIX_MAX);
    m.response = (struct text){"HTTP/1.1 101\r\n\r\n", 16};
    m.is_response_clear = m.is_warm = m.is_resumed = true;
    m.handoff_reason = text_of("the kernel cannot");
    n = message_encode_result(bytes, sizeof bytes, 77, &m);
    ck_assert_int_gt(n, 0);
    ck_assert_int_eq(wire_read_head(&r, bytes, (size_t)n, &head), 0);
    ck_assert_uint_eq(head.id, 77);
    ck_assert_int_eq(message_decode_result(r, &got, &error), 0);
    ck_assert_mem_eq(&got.peer, &m.peer, sizeof m.peer);
    ck_assert_mem_eq(&got.local, &m.local, sizeof m.local);
    ck_assert_mem_eq(got.times, m.times, sizeof m.times);
    ck_assert_uint_eq(got.n_times, 3);
    ck_assert_uint_eq(got.handoff, HANDOFF_RELAY);
    ck_assert_uint_eq(got.tls_version, 0x0304);
    ck_assert_uint_eq(got.n_chain, 1);
    ck_assert_mem_eq(got.chain[0].data, m.chain[0].data, 5);
    ck_assert_uint_eq(got.response.n, 16);
    ck_assert(got.is_response_clear && got.is_warm && got.is_resumed);
    ck_assert_uint_eq(got.handoff_reason.n, m.handoff_reason.n);
    ck_assert_mem_eq(got.handoff_reason.data, m.handoff_reason.data, m.handoff_reason.n);
}
END_TEST

START_TEST(test_a_chain_that_does_not_fit_is_cut)
{
    static uint8_t bytes[WIRE_MESSAGE_MAX], certificate[20000];
    struct message_result m = {.handoff = HANDOFF_RELAY}, got;
    struct wire_reader r;
    struct wire_head head;
    const char *error;
    ssize_t n;

    for (m.n_chain = 0; m.n_chain < 5; m.n_chain++)
        m.chain[m.n_chain] = (struct text){(char *)certificate, sizeof certificate};
    n = message_encode_result(bytes, sizeof bytes, 1, &m);
    ck_assert_int_gt(n, 0);
    ck_assert_int_eq(wire_read_head(&r, bytes, (size_t)n, &head), 0);
    ck_assert_int_eq(message_decode_result(r, &got, &error), 0);
    ck_assert_uint_eq(got.n_chain, 3);
    ck_assert_int_eq(message_encode_result(bytes, 20, 1, &m), -EMSGSIZE);
}
END_TEST

/* The lowest free fd tells whether anything leaked. */
static int lowest_fd(void)
{
    int fd = dup(0);

    close(fd);
    return fd;
}

START_TEST(test_fds_arrive_and_surplus_is_closed)
{
    int pair[2], fds[4], before, null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int sent[3] = {null, null, null};
    size_t n_fds = 9;
    char buf[16];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    before = lowest_fd();
    ck_assert_int_eq(fdmsg_send(pair[0], "abc", 3, sent, 2, 0), 0);
    ck_assert_int_eq(fdmsg_recv(pair[1], buf, sizeof buf, fds, 4, &n_fds, 0), 3);
    ck_assert_uint_eq(n_fds, 2);
    ck_assert_int_eq(fcntl(fds[0], F_GETFD), FD_CLOEXEC);
    close(fds[0]);
    close(fds[1]);
    ck_assert_int_eq(fdmsg_send(pair[0], "abc", 3, sent, 3, 0), 0);
    ck_assert_int_eq(fdmsg_recv(pair[1], buf, sizeof buf, fds, 2, &n_fds, 0), -EBADMSG);
    ck_assert_int_eq(fdmsg_send(pair[0], "abcd", 4, sent, 1, 0), 0);
    ck_assert_int_eq(fdmsg_recv(pair[1], buf, 3, fds, 2, &n_fds, 0), -EMSGSIZE);
    ck_assert_int_eq(fdmsg_send(pair[0], "abcd", 4, NULL, 0, 0), 0);
    ck_assert_int_eq(fdmsg_recv(pair[1], buf, sizeof buf, fds, 2, &n_fds, 0), 4);
    ck_assert_uint_eq(n_fds, 0);
    ck_assert_int_eq(lowest_fd(), before);
    close(pair[0]);
    ck_assert_int_eq(fdmsg_recv(pair[1], buf, sizeof buf, fds, 2, &n_fds, 0), 0);
    close(pair[1]);
    close(null);
}
END_TEST

/* Pins the kernel: at RLIMIT_NOFILE only MSG_CTRUNC tells that an fd was lost. */
START_TEST(test_fds_lost_at_the_limit_are_noticed)
{
    int pair[2], fd;
    size_t n_fds;
    struct rlimit old, low;
    char buf[16];

    if (is_under_valgrind()) /* it keeps the limit to itself */
        return;
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    ck_assert_int_eq(fdmsg_send(pair[0], "abc", 3, &pair[0], 1, 0), 0);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
    low = old;
    low.rlim_cur = (rlim_t)lowest_fd();
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
    ck_assert_int_eq(fdmsg_recv(pair[1], buf, sizeof buf, &fd, 1, &n_fds, 0), -EMFILE);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
    close(pair[0]);
    close(pair[1]);
}
END_TEST

int main(int argc, char **argv)
{
    Suite *suite = suite_create("message");
    TCase *tcase = tcase_create("message");

    if (argc == 2 && strcmp(argv[1], "--print-examples") == 0) {
        make_examples();
        for (size_t i = 0; i < n_examples; i++) {
            char hex[3000];

            print_hex(&examples[i], hex, sizeof hex);
            printf("%s\n\n%s\n\n", examples[i].name, hex);
        }
        return 0;
    }
    tcase_add_test(tcase, test_examples_are_those_of_the_text);
    tcase_add_test(tcase, test_errors_are_those_of_the_text);
    tcase_add_test(tcase, test_truncations_and_changes);
    tcase_add_test(tcase, test_malformed_attributes);
    tcase_add_test(tcase, test_required_attributes);
    tcase_add_test(tcase, test_limits_of_a_grant);
    tcase_add_test(tcase, test_result_round_trip);
    tcase_add_test(tcase, test_a_chain_that_does_not_fit_is_cut);
    tcase_add_test(tcase, test_fds_arrive_and_surplus_is_closed);
    tcase_add_test(tcase, test_fds_lost_at_the_limit_are_noticed);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
