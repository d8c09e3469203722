/* A connection whose socket carries plain bytes goes out as it is, as tcp. One with exactly one
 * layer of TLS, between the target and a TCP socket of ours, can have that layer moved into the
 * kernel: ktls. For all others the daemon has to stay in between. */
#include "daemon/policy/handoff.h"

#include <stdio.h>

#include "daemon/policy/config.h"

void handoff_shape_add_proxies(struct handoff_shape *shape, const struct proxy *const *via,
                               size_t n)
{
    if (n > 0)
        shape->is_unix = via[0]->endpoint.scheme == SCHEME_UNIX;
    for (size_t i = 0; i < n; i++) {
        if (via[i]->tls) {
            shape->n_tls++;
            shape->is_tls_to_proxy = true;
        }
    }
}

/* HANDOFF_AS_WISHED: nothing. */
static enum handoff_reason why_relay_only(const struct handoff_shape *shape)
{
    if (shape->n_tls > 1)
        return HANDOFF_TLS_IN_TLS;
    if (shape->is_tls_to_proxy)
        return HANDOFF_TLS_TO_PROXY;
    if (shape->n_tls == 0)
        return HANDOFF_AS_WISHED;
    if (shape->is_unix)
        return HANDOFF_UNIX_SOCKET;
    return shape->is_upgraded ? HANDOFF_UPGRADED : HANDOFF_AS_WISHED;
}

unsigned handoff_possible(const struct handoff_shape *shape)
{
    if (why_relay_only(shape) != HANDOFF_AS_WISHED)
        return HANDOFF_RELAY;
    return shape->n_tls == 0 ? HANDOFF_TCP | HANDOFF_RELAY : HANDOFF_KTLS | HANDOFF_RELAY;
}

static bool needs_seal(const struct handoff_shape *shape, const struct rule *rule)
{
    return !shape->is_unix && rule->seal == SEAL_REQUIRED; /* Unix sockets are not disconnected */
}

/* Why not `kind`, which is the best of such a connection. */
static enum handoff_reason why_not(enum handoff kind, const struct handoff_shape *shape,
                                   const struct route *route, const struct capabilities *caps)
{
    enum handoff_reason reason = why_relay_only(shape);

    if (!(route->accepted & kind))
        return HANDOFF_NOT_ACCEPTED;
    if (reason != HANDOFF_AS_WISHED)
        return reason;
    if (kind == HANDOFF_KTLS && route->is_ktls_off)
        return HANDOFF_KTLS_OFF;
    if (!(route->handoff & kind))
        return HANDOFF_NOT_BY_RULE;
    if (kind == HANDOFF_KTLS && capabilities_ciphers(caps) == 0)
        return HANDOFF_NO_KTLS;
    if (needs_seal(shape, route->rule) && !caps->can_seal)
        return HANDOFF_NO_SEAL;
    return HANDOFF_AS_WISHED;
}

/* What would let it be a relay, where it may not be one. */
static const char *advise(const struct route *route)
{
    if (route->rule->handoff & HANDOFF_RELAY)
        return "accept relay";
    return route->accepted & HANDOFF_RELAY ? "add relay to the rule's handoff"
                                           : "accept relay, and add it to the rule's handoff";
}

static void refuse(const struct handoff_shape *shape, enum handoff_reason reason,
                   const struct route *route, const struct capabilities *caps,
                   struct failure *failure)
{
    char text[HANDOFF_REASON_MAX + 1];

    if (reason == HANDOFF_NOT_ACCEPTED) {
        failure_format(failure, ERROR_HANDOFF_KIND, 0, "%s is handed over as %s",
                       shape->n_tls == 0 ? "a plain connection" : "a TLS connection",
                       shape->n_tls == 0 ? "tcp or relay" : "ktls or relay");
        return;
    }
    handoff_explain(reason, caps, "", text);
    failure_format(failure, ERROR_HANDOFF_KIND, 0, "%s; %s%s", text, advise(route),
                   reason == HANDOFF_NO_SEAL ? ", or set seal = \"off\" in the rule" : "");
}

bool handoff_choose(const struct handoff_shape *shape, const struct route *route,
                    const struct capabilities *caps, struct handoff_choice *ret,
                    struct failure *ret_failure)
{
    enum handoff best = shape->n_tls == 0 ? HANDOFF_TCP : HANDOFF_KTLS;
    enum handoff_reason reason = why_not(best, shape, route, caps);
    bool may_relay = route->handoff & HANDOFF_RELAY;

    if (reason == HANDOFF_AS_WISHED) {
        /* Kernel TLS needs the ULP whether the rule asks for a seal or not. */
        *ret = (struct handoff_choice){.kind = best,
                                       .may_relay = may_relay,
                                       .advice = may_relay ? NULL : advise(route),
                                       .is_sealed =
                                           best == HANDOFF_KTLS || needs_seal(shape, route->rule)};
        return true;
    }
    if (!may_relay) {
        refuse(shape, reason, route, caps, ret_failure);
        return false;
    }
    /* Who likes no kind better than a relay, for such a connection, got what he wished. */
    if (reason == HANDOFF_NOT_ACCEPTED && !(route->accepted & HANDOFF_KTLS))
        reason = HANDOFF_AS_WISHED;
    *ret = (struct handoff_choice){.kind = HANDOFF_RELAY, .reason = reason, .may_relay = true};
    return true;
}

static const char *sentence(enum handoff_reason reason)
{
    switch (reason) {
    case HANDOFF_AS_WISHED:
        return "";
    case HANDOFF_NOT_ACCEPTED:
        return "a plain connection goes out as tcp, which is not accepted";
    case HANDOFF_NOT_BY_RULE:
        return "the rule's handoff has no better kind for this target";
    case HANDOFF_NO_SEAL:
        return "the socket must be sealed and this kernel cannot";
    case HANDOFF_SEAL_FAILED:
        return "the socket could not be sealed";
    case HANDOFF_TLS_IN_TLS:
        return "the kernel does no TLS inside TLS";
    case HANDOFF_TLS_TO_PROXY:
        return "the TLS is with a proxy, and something was said in it";
    case HANDOFF_UNIX_SOCKET:
        return "the first proxy is on a Unix socket, and the kernel does TLS over TCP only";
    case HANDOFF_UPGRADED:
        return "the WebSocket upgrade is made inside TLS";
    case HANDOFF_KTLS_OFF:
        return "kernel TLS is switched off in the daemon's configuration";
    case HANDOFF_NO_KTLS:
        return "no kernel TLS here";
    case HANDOFF_NO_CIPHER:
        return "this kernel's TLS cannot do";
    case HANDOFF_KEYS_FAILED:
        return "the keys could not be given to the kernel";
    }
    return "";
}

void handoff_explain(enum handoff_reason reason, const struct capabilities *caps,
                     const char *cipher, char text[HANDOFF_REASON_MAX + 1])
{
    const char *what = sentence(reason);

    if (reason == HANDOFF_NO_SEAL)
        snprintf(text, HANDOFF_REASON_MAX + 1, "%s: %s", what, caps->seal_reason);
    else if (reason == HANDOFF_NO_KTLS)
        snprintf(text, HANDOFF_REASON_MAX + 1, "%s: %s", what, caps->ktls_reason);
    else if (reason == HANDOFF_NO_CIPHER)
        snprintf(text, HANDOFF_REASON_MAX + 1, "%s %s", what, cipher);
    else
        snprintf(text, HANDOFF_REASON_MAX + 1, "%s", what);
}
