/* getopt_long with one table. An option that a command does not take is refused by name. */
#include "client/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/report.h"
#include "proto/cleanup.h"

enum option_number {
    NUMBER_SOCKET = 256,
    NUMBER_TIMEOUT,
    NUMBER_ALPN,
    NUMBER_TLS_NAME,
    NUMBER_HANDOFF,
    NUMBER_HEADER,
    NUMBER_SUBPROTOCOL,
    NUMBER_JSON,
    NUMBER_METRICS,
    NUMBER_FD,
    NUMBER_AS,
    NUMBER_ALLOW,
};

static const struct option long_options[] = {
    {"socket", required_argument, NULL, NUMBER_SOCKET},
    {"timeout", required_argument, NULL, NUMBER_TIMEOUT},
    {"alpn", required_argument, NULL, NUMBER_ALPN},
    {"tls-name", required_argument, NULL, NUMBER_TLS_NAME},
    {"handoff", required_argument, NULL, NUMBER_HANDOFF},
    {"header", required_argument, NULL, NUMBER_HEADER},
    {"subprotocol", required_argument, NULL, NUMBER_SUBPROTOCOL},
    {"json", no_argument, NULL, NUMBER_JSON},
    {"openmetrics", no_argument, NULL, NUMBER_METRICS},
    {"fd", required_argument, NULL, NUMBER_FD},
    {"as", required_argument, NULL, NUMBER_AS},
    {"allow", required_argument, NULL, NUMBER_ALLOW},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static const char common_help[] = "  --socket PATH       the daemon's socket\n"
                                  "  -v                  connect, exec, fdpass: say what came\n"
                                  "  -h, --help          this text\n";

static const char request_help[] =
    "  --timeout SECONDS   for everything up to the connection (30)\n"
    "  --alpn LIST         protocols to offer in TLS, comma-separated\n"
    "  --tls-name NAME     the name to ask for and to check in TLS\n"
    "  --handoff LIST      kinds of connection to accept: tcp,ktls,relay (tcp,relay)\n"
    "  --header 'N: v'     a header of the WebSocket upgrade request; may be repeated\n"
    "  --subprotocol NAME  a WebSocket subprotocol to offer; may be repeated\n"
    "  -4, -6              IPv4 or IPv6 only\n";

static void print_help(const struct command *command)
{
    printf("usage: fdial %s\n\n%s\n\n", command->usage, command->help);
    if (command->options & OPTION_JSON)
        puts("  --json              machine-readable output");
    if (command->options & OPTION_METRICS)
        puts("  --openmetrics       the counters for a monitoring system");
    if (command->options & OPTION_FD)
        puts("  --fd N              pass the connection as fd N (default: UCSPI, 6 and 7)");
    if (command->options & OPTION_AS)
        puts("  --as USER           for another user (name or uid)");
    if (command->options & OPTION_ALLOW)
        puts("  --allow PATTERN…    targets to allow, like https://*.example.org; may be repeated");
    if (command->options & OPTION_REQUEST)
        fputs(request_help, stdout);
    fputs(common_help, stdout);
}

int usage_error(const struct command *command, const char *format, ...)
{
    va_list args;

    fprintf(stderr, "fdial: %s: ", command->name);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\nusage: fdial %s\n", command->usage);
    return EXIT_USAGE;
}

/* Decimal digits only, 0 to max. */
static int parse_number(const char *text, unsigned max, unsigned *ret)
{
    unsigned long value;
    char *end;

    if (!*text || strspn(text, "0123456789") != strlen(text))
        return -EINVAL;
    errno = 0;
    value = strtoul(text, &end, 10);
    if (errno != 0 || value > max)
        return -ERANGE;
    *ret = (unsigned)value;
    return 0;
}

static bool append(const char **strings, size_t *n, size_t max, const char *string)
{
    if (*n >= max)
        return false;
    strings[(*n)++] = string;
    return true;
}

bool options_add_allow(struct options *o, const char *pattern)
{
    return append(o->allow, &o->n_allow, FDIAL_PATTERNS_MAX, pattern);
}

static bool split_alpn(struct options *o, const char *list)
{
    char *rest, *name;

    free(o->alpn_text);
    o->n_alpn = 0;
    o->alpn_text = rest = strdup(list);
    while (rest && (name = strsep(&rest, ",")))
        if (!*name || !append(o->alpn, &o->n_alpn, MESSAGE_ALPN_MAX, name))
            return false;
    return o->n_alpn > 0;
}

static bool parse_handoff(struct options *o, const char *list)
{
    CLEANUP(freep) char *copy = strdup(list);
    char *rest = copy, *name;

    o->handoff = 0;
    while (rest && (name = strsep(&rest, ","))) {
        if (strcmp(name, "tcp") == 0)
            o->handoff |= FDIAL_TCP;
        else if (strcmp(name, "ktls") == 0)
            o->handoff |= FDIAL_KTLS;
        else if (strcmp(name, "relay") == 0)
            o->handoff |= FDIAL_RELAY;
        else
            return false;
    }
    return o->handoff != 0;
}

static unsigned group_of(int number)
{
    switch (number) {
    case '4':
    case '6':
    case NUMBER_TIMEOUT:
    case NUMBER_ALPN:
    case NUMBER_TLS_NAME:
    case NUMBER_HANDOFF:
    case NUMBER_HEADER:
    case NUMBER_SUBPROTOCOL:
        return OPTION_REQUEST;
    case NUMBER_JSON:
        return OPTION_JSON;
    case NUMBER_METRICS:
        return OPTION_METRICS;
    case NUMBER_FD:
        return OPTION_FD;
    case NUMBER_AS:
        return OPTION_AS;
    case NUMBER_ALLOW:
        return OPTION_ALLOW;
    }
    return 0;
}

/* Those with a value of some form; NULL, or what it should have been. */
static const char *take_value(struct options *o, int number, const char *value)
{
    unsigned n = 0;

    switch (number) {
    case NUMBER_TIMEOUT:
        if (parse_number(value, OPTIONS_TIMEOUT_S_MAX, &n) < 0 || n == 0)
            return "--timeout takes whole seconds, 1 to 3600";
        o->timeout_ms = n * 1000;
        break;
    case NUMBER_ALPN:
        if (!split_alpn(o, value))
            return "--alpn takes 1 to 8 names, comma-separated";
        break;
    case NUMBER_HANDOFF:
        if (!parse_handoff(o, value))
            return "--handoff takes a list of tcp, ktls and relay";
        break;
    case NUMBER_HEADER:
        if (!append(o->headers, &o->n_headers, MESSAGE_HEADERS_MAX, value))
            return "too many --header";
        break;
    case NUMBER_SUBPROTOCOL:
        if (!append(o->subprotocols, &o->n_subprotocols, MESSAGE_SUBPROTOCOL_MAX, value))
            return "too many --subprotocol";
        break;
    case NUMBER_FD:
        if (parse_number(value, OPTIONS_FD_MAX, &n) < 0)
            return "--fd takes a number, 0 to 65535";
        o->fd = (int)n;
        break;
    case NUMBER_ALLOW:
        if (!options_add_allow(o, value))
            return OPTIONS_TOO_MANY_PATTERNS;
        break;
    }
    return NULL;
}

static const char *take(struct options *o, int number, const char *value)
{
    switch (number) {
    case '4':
        o->family = AF_INET;
        return NULL;
    case '6':
        o->family = AF_INET6;
        return NULL;
    case 'v':
        o->is_verbose = true;
        return NULL;
    case NUMBER_SOCKET:
        o->socket_path = value;
        return NULL;
    case NUMBER_TLS_NAME:
        o->tls_name = value;
        return NULL;
    case NUMBER_JSON:
        o->is_json = true;
        return NULL;
    case NUMBER_METRICS:
        o->is_openmetrics = true;
        return NULL;
    case NUMBER_AS:
        o->as_user = value;
        return NULL;
    }
    return take_value(o, number, value);
}

/* By its name: the last argument may be the value, or the whole of several letters. */
static int refuse(const struct command *command, int number, const char *last)
{
    int known = number == '?' ? optopt : number;
    unsigned group = group_of(known);
    bool is_taken = group == 0 || (command->options & group) != 0;

    for (const struct option *option = long_options; option->name; option++) {
        if (option->val != known)
            continue;
        if (is_taken)
            return usage_error(command, "--%s takes no value", option->name);
        return usage_error(command, "no such option here: --%s", option->name);
    }
    if (known > 0 && known < NUMBER_SOCKET)
        return usage_error(command, "no such option here: -%c", known);
    return usage_error(command, "no such option here: %s", last);
}

bool options_parse(struct options *o, const struct command *command, int argc, char **argv,
                   int *ret_first, int *ret_status)
{
    const char *complaint;
    int number;

    *o = (struct options){.fd = -1, .timeout_ms = MESSAGE_TIMEOUT_MS_DEFAULT, .family = AF_UNSPEC};
    opterr = 0;
    optind = 1;
    while ((number = getopt_long(argc, argv, ":46vh", long_options, NULL)) != -1) {
        unsigned group = group_of(number);

        if (number == 'h') {
            print_help(command);
            *ret_status = EXIT_DONE;
            return false;
        }
        if (number == '?' || (group != 0 && (command->options & group) == 0)) {
            *ret_status = refuse(command, number, argv[optind - 1]);
            return false;
        }
        if (number == ':') {
            *ret_status = usage_error(command, "%s needs a value", argv[optind - 1]);
            return false;
        }
        complaint = take(o, number, optarg);
        if (complaint) {
            *ret_status = usage_error(command, "%s", complaint);
            return false;
        }
    }
    *ret_first = optind;
    return true;
}

void options_deinit(struct options *o)
{
    free(o->alpn_text);
    o->alpn_text = NULL;
}
