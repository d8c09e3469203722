/* Which steps a target takes. Everything is decided here; the steps only do. */
#include "daemon/conn/plan.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "daemon/conn/source.h"

static void add(struct plan *plan, enum step_kind kind)
{
    assert(plan->n_steps < PLAN_STEPS_MAX);
    plan->steps[plan->n_steps++] = kind;
}

static bool is_supported(enum scheme scheme)
{
    switch (scheme) {
    case SCHEME_TCP:
    case SCHEME_TLS:
    case SCHEME_HTTP:
    case SCHEME_HTTPS:
    case SCHEME_UNIX:
        return true;
    case SCHEME_WS:
    case SCHEME_WSS:
    case SCHEME_SMTP:
    case SCHEME_IMAP:
    case SCHEME_POP3:
    case SCHEME_FTP:
    case SCHEME_LDAP:
    case SCHEME_XMPP:
    case SCHEME_POSTGRES:
    case SCHEME_MYSQL:
        return false;
    }
    return false;
}

/* The socket itself may go out when its top layer is plain and it is sealed, needs no seal (a Unix
 * socket cannot be disconnected), or the rule waives it. */
static bool plan_plain(const struct target *target, const struct route *route,
                       const struct capabilities *caps, struct plan *plan, struct failure *failure)
{
    bool needs_seal = target->scheme != SCHEME_UNIX && route->rule->seal == SEAL_REQUIRED;

    plan->may_relay = route->handoff & HANDOFF_RELAY;
    if (route->handoff & HANDOFF_TCP && (!needs_seal || caps->can_seal)) {
        if (needs_seal)
            add(plan, STEP_SEAL);
        plan->handoff = HANDOFF_TCP;
        return true;
    }
    if (plan->may_relay) {
        plan->handoff = HANDOFF_RELAY;
        return true;
    }
    if (route->handoff & HANDOFF_TCP)
        failure_format(failure, ERROR_HANDOFF_KIND, 0,
                       "the socket must be sealed and this kernel cannot (%s); accept relay, or"
                       " set seal = \"off\" in the rule",
                       caps->seal_reason);
    else
        failure_format(failure, ERROR_HANDOFF_KIND, 0,
                       "a plain connection is handed over as tcp or relay");
    return false;
}

static bool plan_tls(const struct route *route, struct plan *plan, struct failure *failure)
{
    add(plan, STEP_TLS);
    plan->handoff = HANDOFF_RELAY;
    if (route->handoff & HANDOFF_RELAY)
        return true;
    failure_format(failure, ERROR_HANDOFF_KIND, 0, "a TLS connection is handed over as relay");
    return false;
}

bool plan_make(const struct target *target, const struct route *route,
               const struct capabilities *caps, struct plan *ret, struct failure *ret_failure)
{
    struct plan plan = {0};
    bool is_planned;

    if (!is_supported(target->scheme)) {
        failure_format(ret_failure, ERROR_UNSUPPORTED, 0, "scheme %s", scheme_name(target->scheme));
        return false;
    }
    if (target->scheme != SCHEME_UNIX) {
        plan.source = route->rule->source;
        add(&plan, STEP_RESOLVE);
    }
    add(&plan, STEP_CONNECT);
    if (scheme_is_tls(target->scheme))
        is_planned = plan_tls(route, &plan, ret_failure);
    else
        is_planned = plan_plain(target, route, caps, &plan, ret_failure);
    if (is_planned)
        *ret = plan;
    return is_planned;
}

struct printer {
    char *text;
    size_t n;
};

__attribute__((format(printf, 2, 3))) static void print(struct printer *p, const char *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(p->text + p->n, PLAN_TEXT_MAX - p->n, format, args);
    va_end(args);
    p->n += (size_t)n;
    if (p->n >= PLAN_TEXT_MAX)
        p->n = PLAN_TEXT_MAX - 1;
}

static void print_connect(struct printer *p, const struct plan *plan, const struct target *target)
{
    char source[SOURCE_TEXT_MAX];

    if (target->scheme == SCHEME_UNIX) {
        print(p, "connect(%s) ", target->path);
    } else if (plan->source) {
        source_format(plan->source, source);
        print(p, "connect(%u from %s) ", target->port, source);
    } else {
        print(p, "connect(%u) ", target->port);
    }
}

void plan_format(const struct plan *plan, const struct target *target, const char *tls_name,
                 char text[PLAN_TEXT_MAX])
{
    struct printer p = {.text = text};

    for (size_t i = 0; i < plan->n_steps; i++) {
        switch (plan->steps[i]) {
        case STEP_RESOLVE:
            print(&p, "%s(%s) ", target->host_kind == HOST_NAME ? "resolve" : "address",
                  target->host);
            break;
        case STEP_CONNECT:
            print_connect(&p, plan, target);
            break;
        case STEP_SEAL:
            print(&p, "seal ");
            break;
        case STEP_TLS:
            print(&p, "tls(%s) ", tls_name ? tls_name : target->host);
            break;
        }
    }
    print(&p, "handoff(%s)", handoff_name(plan->handoff));
}
