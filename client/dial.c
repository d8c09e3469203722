/* Errors of the session become sentences here that name the socket and, where there is one, the
 * cure. All else that can fail is told by the daemon in its result. */
#include "client/dial.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/idn.h"
#include "client/where.h"
#include "proto/cleanup.h"
#include "proto/error.h"
#include "proto/target.h"

static int explain_open(int error, const char *path, bool is_inherited, struct problem *p)
{
    CLEANUP(freep) char *shown = escape_text(path, strlen(path));
    int status = error == -EACCES ? EXIT_DENIED : EXIT_NO_DAEMON;

    switch (-error) {
    case ENOTCONN:
        problem_set(p, status, "daemon", "no daemon at %s; %s", shown,
                    is_inherited ? "a grant ends with its daemon: make another"
                                 : "is fdiald running?");
        break;
    case EACCES:
        problem_set(p, status, "daemon", "this user may not use %s; is it in the group fdial?",
                    shown);
        break;
    case EPERM:
        problem_set(p, status, "daemon",
                    "the daemon at %s runs as another user, neither root nor fdiald: not trusted",
                    shown);
        break;
    case EBADF:
        problem_set(
            p, status, "daemon",
            "$FDIAL_FD does not name a grant or a socket of the daemon (closed on the way here?)");
        break;
    case EINVAL:
        problem_set(p, status, "daemon", "--socket or $FDIAL_SOCKET is empty");
        break;
    case ENAMETOOLONG:
        problem_set(p, status, "daemon", "--socket or $FDIAL_SOCKET is longer than 107 bytes");
        break;
    case EPROTO:
        problem_set(p, status, "daemon", "%s does not speak fdial's protocol", shown);
        break;
    case EAGAIN:
        problem_set(p, status, "daemon", "the daemon at %s takes no more sessions just now", shown);
        break;
    case ETIMEDOUT:
        problem_set(p, status, "daemon", "the daemon at %s does not answer", shown);
        break;
    default:
        problem_set(p, status, "daemon", "%s: %s", shown, strerror(-error));
    }
    return status;
}

int dial_open(const struct options *o, struct fdial **ret, struct problem *ret_problem)
{
    const char *path = o->socket_path;
    struct where where = {.inherited_fd = -1};
    int r;

    r = fdial_open(ret, o->socket_path);
    if (r == 0)
        return EXIT_DONE;
    if (!path)
        path = where_find(&where) < 0 ? "the socket" : where.path[0] ? where.path : where.source;
    return explain_open(r, path, where.inherited_fd >= 0, ret_problem);
}

int dial_check_target(const char *text, char **ret, struct problem *ret_problem)
{
    CLEANUP(freep) char *converted = NULL;
    const char *sentence = "out of memory";
    struct target target;
    int r;

    r = idn_convert_target(text, &converted, &sentence);
    if (r == 0)
        r = target_parse(converted, strlen(converted), &target, &sentence);
    if (r < 0) {
        problem_set(ret_problem, EXIT_USAGE, stage_name(STAGE_REQUEST), "%s", sentence);
        return EXIT_USAGE;
    }
    *ret = TAKE_PTR(converted);
    return EXIT_DONE;
}

static int set_tls_name(struct fdial_request *r, const char *name)
{
    CLEANUP(freep) char *converted = NULL;
    const char *sentence;
    int e;

    if (!name)
        return 0;
    e = idn_convert_host(name, &converted, &sentence);
    return e < 0 ? e : fdial_request_set_tls_name(r, converted);
}

/* NULL, or the option that the library did not take, and what it takes. */
static const char *shape_request(struct fdial_request *r, const struct options *o)
{
    if (fdial_request_set_timeout_ms(r, o->timeout_ms) < 0)
        return "--timeout";
    if (fdial_request_set_family(r, o->family) < 0)
        return "-4 or -6";
    if (o->handoff != 0 && fdial_request_set_handoff(r, o->handoff) < 0)
        return "--handoff";
    if (set_tls_name(r, o->tls_name) < 0)
        return "--tls-name: it takes a host name or an address";
    for (size_t i = 0; i < o->n_alpn; i++)
        if (fdial_request_add_alpn(r, o->alpn[i]) < 0)
            return "--alpn";
    for (size_t i = 0; i < o->n_headers; i++)
        if (fdial_request_add_header(r, o->headers[i]) < 0)
            return "--header: it takes 'name:value', 32 times at most";
    for (size_t i = 0; i < o->n_subprotocols; i++)
        if (fdial_request_add_subprotocol(r, o->subprotocols[i]) < 0)
            return "--subprotocol: it takes a word, 8 times at most";
    return NULL;
}

static int make_request(const char *target, const struct options *o, struct fdial_request **ret,
                        struct problem *p)
{
    const char *refused;
    int r;

    r = fdial_request_new(ret, target);
    if (r < 0) {
        problem_set(p, EXIT_CONNECTION, stage_name(STAGE_REQUEST), "%s", strerror(-r));
        return EXIT_CONNECTION;
    }
    refused = shape_request(*ret, o);
    if (refused) {
        *ret = fdial_request_free(*ret);
        problem_set(p, EXIT_USAGE, stage_name(STAGE_REQUEST), "bad value of %s", refused);
        return EXIT_USAGE;
    }
    return EXIT_DONE;
}

static int await_result(struct dial *dial, const struct fdial_request *request, unsigned timeout_ms,
                        struct problem *p)
{
    int r;

    r = fdial_submit(dial->session, request, 1);
    if (r == 0)
        r = fdial_next(dial->session, &dial->result, (int)(timeout_ms + DIAL_GRACE_MS));
    if (r == 0) {
        problem_set(p, EXIT_TIMEOUT, "daemon", "the daemon does not answer");
        return EXIT_TIMEOUT;
    }
    if (r < 0) {
        problem_set(p, exit_status_of(r), "daemon", "%s", strerror(-r));
        return p->status;
    }
    if (fdial_result_error(dial->result) < 0) {
        problem_from_result(p, dial->result);
        return p->status;
    }
    return EXIT_DONE;
}

int dial(struct dial *ret, const struct options *o, const char *target, struct problem *ret_problem)
{
    struct fdial_request *request = NULL;
    int status;

    *ret = (struct dial){0};
    status = dial_check_target(target, &ret->target, ret_problem);
    if (status == EXIT_DONE)
        status = make_request(ret->target, o, &request, ret_problem);
    if (status == EXIT_DONE)
        status = dial_open(o, &ret->session, ret_problem);
    if (status == EXIT_DONE)
        status = await_result(ret, request, o->timeout_ms, ret_problem);
    fdial_request_free(request);
    return status;
}

void dial_deinit(struct dial *dial)
{
    dial->result = fdial_result_free(dial->result);
    dial->session = fdial_close(dial->session);
    free(TAKE_PTR(dial->target));
}

void dial_find_local(const struct fdial_result *r, int fd, struct sockaddr_storage *ret)
{
    socklen_t n = sizeof *ret;

    *ret = *fdial_result_local(r);
    if (ret->ss_family != AF_UNSPEC || fdial_result_handoff(r) == FDIAL_RELAY)
        return;
    if (getsockname(fd, (struct sockaddr *)ret, &n) < 0 ||
        (ret->ss_family != AF_INET && ret->ss_family != AF_INET6))
        *ret = (struct sockaddr_storage){0};
}

static void say_connected(const char *target, const struct fdial_result *r)
{
    CLEANUP(freep) char *shown = escape_text(target, strlen(target));
    char peer[REPORT_ADDRESS_MAX];

    format_address(fdial_result_peer(r), peer);
    fprintf(stderr, "fdial: %s: connected to %s, %s", shown, *peer ? peer : "(no address)",
            handoff_name((enum handoff)fdial_result_handoff(r)));
    if (fdial_result_tls_version(r) != 0) {
        fprintf(stderr, ", TLS %s ", tls_version_name(fdial_result_tls_version(r)));
        print_escaped(stderr, fdial_result_tls_cipher(r), strlen(fdial_result_tls_cipher(r)));
    }
    fputs(fdial_result_is_warm(r) ? ", warm" : "", stderr);
    if (*fdial_result_handoff_reason(r))
        fprintf(stderr, " (%s)", fdial_result_handoff_reason(r));
    fputc('\n', stderr);
}

int dial_take_fd(struct dial *ret, const struct options *o, const char *target, int *ret_fd)
{
    struct problem problem;
    int status;

    status = dial(ret, o, target, &problem);
    if (status != EXIT_DONE)
        return report(target, &problem);
    if (o->is_verbose)
        say_connected(target, ret->result);
    *ret_fd = fdial_result_take_fd(ret->result, 0);
    return EXIT_DONE;
}
