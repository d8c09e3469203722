/* A plan as one line for people, and for tests. */
#include <stdarg.h>
#include <stdio.h>

#include "daemon/conn/plan.h"
#include "daemon/conn/source.h"

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

static void print_connect(struct printer *p, const struct plan *plan, const struct target *endpoint)
{
    char source[SOURCE_TEXT_MAX];

    if (endpoint->scheme == SCHEME_UNIX) {
        print(p, "connect(%s) ", endpoint->path);
    } else if (plan->source) {
        source_format(plan->source, source);
        print(p, "connect(%u from %s) ", endpoint->port, source);
    } else {
        print(p, "connect(%u) ", endpoint->port);
    }
}

static const char *proxy_protocol(enum proxy_kind kind)
{
    switch (kind) {
    case PROXY_HTTP:
        return "http-connect";
    case PROXY_SOCKS4:
        return "socks4";
    case PROXY_SOCKS4A:
        return "socks4a";
    case PROXY_SOCKS5:
        return "socks5";
    }
    return "?";
}

static void print_step(struct printer *p, const struct plan *plan, const struct plan_step *step,
                       const struct target *target, const char *tls_name)
{
    const struct target *endpoint = plan_endpoint(plan, target, step->hop);

    switch (step->kind) {
    case STEP_RESOLVE:
        print(p, "%s(%s) ", endpoint->host_kind == HOST_NAME ? "resolve" : "address",
              endpoint->host);
        break;
    case STEP_CONNECT:
        print_connect(p, plan, endpoint);
        break;
    case STEP_SEAL:
        print(p, "seal ");
        break;
    case STEP_PROXY_HEADER:
        print(p, "proxy-header(%s) ",
              step->hop > 0 ? plan_proxy(plan, step->hop)->name : target->host);
        break;
    case STEP_TLS:
        if (step->hop > 0)
            print(p, "tls(%s) ", plan_proxy(plan, step->hop)->tls_name);
        else
            print(p, "tls(%s) ", tls_name ? tls_name : target->host);
        break;
    case STEP_PROXY:
        print(p, "%s(%s) ", proxy_protocol(plan_proxy(plan, step->hop)->kind),
              plan_proxy(plan, step->hop)->name);
        break;
    case STEP_STARTTLS:
        print(p, "%s ", scheme_name(target->scheme));
        break;
    case STEP_WEBSOCKET:
        print(p, "websocket(%s) ", target->path);
        break;
    case STEP_KTLS:
        print(p, "ktls ");
        break;
    }
}

void plan_format(const struct plan *plan, const struct target *target, const char *tls_name,
                 char text[PLAN_TEXT_MAX])
{
    struct printer p = {.text = text};

    for (size_t i = 0; i < plan->n_steps; i++)
        print_step(&p, plan, &plan->steps[i], target, tls_name);
    print(&p, "handoff(%s)", handoff_name(plan->handoff));
}
