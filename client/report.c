/* Everything printed that may come from remote goes through escape_text() or print_escaped(); a
 * terminal is never handed a control character that somebody else chose. */
#include "client/report.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "client/cmd.h"
#include "proto/cleanup.h"
#include "proto/error.h"

void problem_set(struct problem *p, int status, const char *stage, const char *format, ...)
{
    va_list args;

    *p = (struct problem){.status = status, .stage = stage};
    va_start(args, format);
    vsnprintf(p->what, sizeof p->what, format, args);
    va_end(args);
}

int exit_status_of(int error)
{
    switch (-error) {
    case EACCES:
        return EXIT_DENIED;
    case EKEYREJECTED:
        return EXIT_NOT_TRUSTED;
    case ETIMEDOUT:
        return EXIT_TIMEOUT;
    case EINVAL:
    case E2BIG:
    case EMSGSIZE:
        return EXIT_USAGE;
    case ENOTCONN:
        return EXIT_NO_DAEMON;
    case EPERM:
        return EXIT_PROXY;
    }
    return EXIT_CONNECTION;
}

static int status_of(const struct fdial_result *r)
{
    int status = exit_status_of(fdial_result_error(r));

    return status == EXIT_CONNECTION && fdial_result_stage(r) == FDIAL_STAGE_PROXY ? EXIT_PROXY
                                                                                   : status;
}

void problem_from_result(struct problem *p, const struct fdial_result *r)
{
    problem_set(p, status_of(r), stage_name((uint32_t)fdial_result_stage(r)), "%s",
                fdial_result_message(r));
    p->hop = fdial_result_hop(r);
    p->code = fdial_result_code(r);
}

int report(const char *subject, const struct problem *p)
{
    CLEANUP(freep) char *escaped = escape_text(subject, strlen(subject));

    if (p->hop > 0)
        fprintf(stderr, "fdial: %s: %s (proxy %d): %s\n", escaped, p->stage, p->hop, p->what);
    else
        fprintf(stderr, "fdial: %s: %s: %s\n", escaped, p->stage, p->what);
    return p->status;
}

int report_error(int status, const char *subject, const char *format, ...)
{
    CLEANUP(freep) char *escaped = escape_text(subject, strlen(subject));
    char what[REPORT_WHAT_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    fprintf(stderr, "fdial: %s: %s\n", escaped, what);
    return status;
}

char *escape_text(const char *data, size_t n)
{
    char *text = malloc(n * 4 + 1);
    size_t length = 0;

    if (!text) {
        fprintf(stderr, "fdial: out of memory\n");
        exit(EXIT_CONNECTION);
    }
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)data[i];

        if (c >= 0x20 && c < 0x7f && c != '\\')
            text[length++] = (char)c;
        else
            length += (size_t)sprintf(text + length, "\\x%02x", c);
    }
    text[length] = '\0';
    return text;
}

void print_escaped(FILE *to, const char *data, size_t n)
{
    CLEANUP(freep) char *escaped = escape_text(data, n);

    fputs(escaped, to);
}

void format_address(const struct sockaddr_storage *ss, char buf[REPORT_ADDRESS_MAX])
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)ss;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)ss;
    const struct sockaddr_un *un = (const struct sockaddr_un *)ss;
    char host[INET6_ADDRSTRLEN];

    buf[0] = '\0';
    if (ss->ss_family == AF_INET && inet_ntop(AF_INET, &in->sin_addr, host, sizeof host)) {
        snprintf(buf, REPORT_ADDRESS_MAX, "%s:%u", host, ntohs(in->sin_port));
    } else if (ss->ss_family == AF_INET6 &&
               inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof host)) {
        snprintf(buf, REPORT_ADDRESS_MAX, "[%s]:%u", host, ntohs(in6->sin6_port));
    } else if (ss->ss_family == AF_UNIX) {
        CLEANUP(freep) char *path = escape_text(un->sun_path, strnlen(un->sun_path, 107));

        snprintf(buf, REPORT_ADDRESS_MAX, "%s", path);
    }
}

const char *tls_version_name(unsigned version)
{
    switch (version) {
    case 0x0303:
        return "1.2";
    case 0x0304:
        return "1.3";
    }
    return "";
}
