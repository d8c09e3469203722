/* fdial check: the connection test. One record is filled by dial(); printed for people, or as JSON
 * whose keys are documented in fdial(1) and stay. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "client/certificate.h"
#include "client/dial.h"
#include "proto/cleanup.h"
#include "proto/error.h"

struct check {
    const char *target;
    int status;
    struct problem problem;            /* set when status is not EXIT_DONE */
    const struct fdial_result *result; /* NULL: it never came so far */
    struct sockaddr_storage local;
    uint64_t elapsed_us;
};

static uint64_t now_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static json_t *text_to_json(const char *data, size_t n)
{
    CLEANUP(freep) char *escaped = escape_text(data, n);

    return json_string(escaped);
}

static json_t *string_to_json(const char *text)
{
    return text_to_json(text, strlen(text));
}

static json_t *address_to_json(const struct sockaddr_storage *ss)
{
    char text[REPORT_ADDRESS_MAX];

    format_address(ss, text);
    return *text ? json_string(text) : json_null();
}

static json_t *stages_to_json(const struct fdial_result *r)
{
    json_t *array = json_array();
    int stage, hop;
    uint32_t us;

    for (unsigned i = 0; fdial_result_time_us(r, i, &stage, &hop, &us) == 0; i++)
        json_array_append_new(array,
                              json_pack("{s:s, s:i, s:I}", "stage", stage_name((uint32_t)stage),
                                        "hop", hop, "us", (json_int_t)us));
    return array;
}

static json_t *certificate_to_json(const struct certificate *c)
{
    json_t *names = json_array();

    for (size_t i = 0; i < c->n_names; i++)
        json_array_append_new(names, json_string(c->names[i]));
    return json_pack("{s:s, s:s, s:o, s:s, s:s, s:s}", "subject", c->subject, "issuer", c->issuer,
                     "names", names, "not_before", c->not_before, "not_after", c->not_after,
                     "sha256", c->sha256);
}

static json_t *chain_to_json(const struct fdial_result *r)
{
    json_t *array = json_array();
    const void *der;
    size_t n;

    for (unsigned i = 0; (der = fdial_result_certificate(r, i, &n)); i++) {
        struct certificate *c = certificate_new(der, n);

        json_array_append_new(array, c ? certificate_to_json(c) : json_null());
        certificate_free(c);
    }
    return array;
}

static json_t *tls_to_json(const struct fdial_result *r)
{
    if (fdial_result_tls_version(r) == 0)
        return json_null();
    return json_pack("{s:s, s:o, s:o, s:b}", "version",
                     tls_version_name(fdial_result_tls_version(r)), "cipher",
                     string_to_json(fdial_result_tls_cipher(r)), "alpn",
                     string_to_json(fdial_result_alpn(r)), "resumed", fdial_result_is_resumed(r));
}

/* The reason is printable as it is. */
static json_t *reason_to_json(const struct fdial_result *r)
{
    const char *reason = fdial_result_handoff_reason(r);

    return *reason ? json_string(reason) : json_null();
}

static json_t *response_to_json(const struct fdial_result *r)
{
    const char *data;
    size_t n;

    data = fdial_result_response(r, &n);
    if (!data)
        return json_null();
    return json_pack("{s:o, s:b}", "text", text_to_json(data, n), "is_authenticated",
                     !fdial_result_response_is_clear(r));
}

static json_t *error_to_json(const struct check *check)
{
    const struct problem *p = &check->problem;

    if (check->status == EXIT_DONE)
        return json_null();
    /* The sentence is printable as it is, see problem_from_result(). */
    return json_pack("{s:s, s:i, s:i, s:s, s:s}", "stage", p->stage, "hop", p->hop, "code",
                     (int)p->code, "name", p->code ? error_name(p->code) : "LOCAL", "message",
                     p->what);
}

static int print_json(const struct check *check)
{
    const struct fdial_result *r = check->result;
    json_t *object;
    int e;

    object = json_pack("{s:o, s:b, s:i, s:I, s:o}", "target", string_to_json(check->target), "ok",
                       check->status == EXIT_DONE, "status", check->status, "elapsed_us",
                       (json_int_t)check->elapsed_us, "error", error_to_json(check));
    if (object && r) {
        json_object_set_new(object, "stages", stages_to_json(r));
        json_object_set_new(object, "peer", address_to_json(fdial_result_peer(r)));
        json_object_set_new(object, "local", address_to_json(&check->local));
        json_object_set_new(object, "handoff",
                            check->status == EXIT_DONE
                                ? json_string(handoff_name(fdial_result_handoff(r)))
                                : json_null());
        json_object_set_new(object, "handoff_reason", reason_to_json(r));
        json_object_set_new(object, "warm", json_boolean(fdial_result_is_warm(r)));
        json_object_set_new(object, "tls", tls_to_json(r));
        json_object_set_new(object, "certificates", chain_to_json(r));
        json_object_set_new(object, "response", response_to_json(r));
    }
    e = object ? json_dumpf(object, stdout, JSON_INDENT(2)) : -1;
    putchar('\n');
    json_decref(object);
    return e;
}

static void print_stages(const struct fdial_result *r)
{
    int stage, hop;
    uint32_t us;

    for (unsigned i = 0; fdial_result_time_us(r, i, &stage, &hop, &us) == 0; i++) {
        printf("%-12s%10.3f ms", stage_name((uint32_t)stage), us / 1000.0);
        if (hop > 0)
            printf("  (proxy %d)", hop);
        putchar('\n');
    }
}

static void print_field(const char *key, const char *value)
{
    if (!*value)
        return;
    printf("%-12s", key);
    print_escaped(stdout, value, strlen(value));
    putchar('\n');
}

static void print_certificates(const struct fdial_result *r)
{
    const void *der;
    size_t n;

    for (unsigned i = 0; (der = fdial_result_certificate(r, i, &n)); i++) {
        struct certificate *c = certificate_new(der, n);

        if (!c) {
            printf("certificate %u is not readable\n", i);
            continue;
        }
        /* The names are printable already, and RFC 2253 has backslashes of its own. */
        printf("certificate %u: %s\n  issuer    %s\n  valid     %s to %s\n", i, c->subject,
               c->issuer, c->not_before, c->not_after);
        for (size_t k = 0; k < c->n_names; k++)
            printf("  name      %s\n", c->names[k]);
        printf("  sha256    %s\n", c->sha256);
        certificate_free(c);
    }
}

static void print_response(const struct fdial_result *r)
{
    const char *data, *end;
    size_t n;

    data = fdial_result_response(r, &n);
    if (!data)
        return;
    puts(fdial_result_response_is_clear(r) ? "response (without TLS, unauthenticated):"
                                           : "response:");
    for (end = data + n; data < end;) {
        const char *newline = memchr(data, '\n', (size_t)(end - data));
        size_t length = (size_t)((newline ? newline : end) - data);

        if (length > 0 && data[length - 1] == '\r')
            length--;
        fputs("  ", stdout);
        print_escaped(stdout, data, length);
        putchar('\n');
        data = newline ? newline + 1 : end;
    }
}

/* Then the address connected to is the first one's. */
static bool is_by_proxy(const struct fdial_result *r)
{
    int stage, hop;
    uint32_t us;

    for (unsigned i = 0; fdial_result_time_us(r, i, &stage, &hop, &us) == 0; i++) {
        if (stage == FDIAL_STAGE_CONNECT)
            return hop > 0;
    }
    return false;
}

/* "hand-over   relay, warm (why it is no better kind)" */
static void print_handoff(const struct fdial_result *r)
{
    const char *reason = fdial_result_handoff_reason(r);

    printf("%-12s%s%s", "hand-over", handoff_name(fdial_result_handoff(r)),
           fdial_result_is_warm(r) ? ", warm" : "");
    if (*reason)
        printf(" (%s)", reason);
    putchar('\n');
}

static void print_text(const struct check *check)
{
    const struct fdial_result *r = check->result;
    char address[REPORT_ADDRESS_MAX];

    if (r) {
        print_stages(r);
        format_address(fdial_result_peer(r), address);
        if (*address)
            printf("%-12s%s%s\n", "address", address, is_by_proxy(r) ? "  (proxy 1)" : "");
        format_address(&check->local, address);
        if (*address)
            printf("%-12s%s\n", "from", address);
        if (fdial_result_tls_version(r) != 0) {
            printf("%-12s%s%s\n", "tls", tls_version_name(fdial_result_tls_version(r)),
                   fdial_result_is_resumed(r) ? ", resumed" : "");
            print_field("cipher", fdial_result_tls_cipher(r));
            print_field("alpn", fdial_result_alpn(r));
        }
        print_certificates(r);
        print_response(r);
    }
    if (check->status != EXIT_DONE)
        return;
    print_handoff(r);
    printf("%-12s%10.3f ms\n", "done", (double)check->elapsed_us / 1000.0);
}

int cmd_check(const struct command *command, int argc, char **argv)
{
    CLEANUP(options_deinit) struct options o;
    CLEANUP(dial_deinit) struct dial dialled = {0};
    CLEANUP(fd_closep) int fd = -1;
    struct check check = {0};
    int first, status, e = 0;
    uint64_t start_us;

    if (!options_parse(&o, command, argc, argv, &first, &status))
        return status;
    if (argc - first != 1)
        return usage_error(command, "one target is needed");
    check.target = argv[first];
    start_us = now_us();
    check.status = dial(&dialled, &o, argv[first], &check.problem);
    check.elapsed_us = now_us() - start_us;
    check.result = dialled.result;
    if (check.status == EXIT_DONE) {
        fd = fdial_result_take_fd(dialled.result, 0);
        dial_find_local(dialled.result, fd, &check.local);
        fdial_shutdown(fd, SHUT_WR); /* so that the server of a kTLS socket sees no broken TLS */
    }
    if (o.is_json)
        e = print_json(&check);
    else
        print_text(&check);
    if (fflush(stdout) != 0 || e < 0)
        return report_error(EXIT_CONNECTION, argv[first], "cannot write the report");
    if (check.status != EXIT_DONE)
        report(argv[first], &check.problem);
    return check.status;
}
