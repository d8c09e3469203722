/* In which way a connection is handed over: decided before the first packet, by a pure function of
 * what the connection will be, what client and rule accept, and what the kernel can. What is only
 * known later (the cipher, a peer that is quick to close) can still turn it into a relay. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "daemon/base/failure.h"
#include "daemon/policy/policy.h"
#include "daemon/tls/tls.h"
#include "proto/message.h"

#define HANDOFF_REASON_MAX MESSAGE_DETAIL_MAX

/* What this kernel can do, found out at start. */
struct capabilities {
    bool can_seal;
    const char *seal_reason; /* why not, for people; NULL when it can */
    /* Masks of enum tls_kernel_cipher. */
    unsigned kernel_tx;
    unsigned kernel_rx;
    const char *ktls_reason; /* why there is no cipher for both; NULL when there is one */
};

/* Both directions or none. */
static inline unsigned capabilities_ciphers(const struct capabilities *caps)
{
    return caps->kernel_tx & caps->kernel_rx;
}

/* What of a connection its hand-over depends on. */
struct handoff_shape {
    bool is_unix;         /* the socket is one of Unix */
    unsigned n_tls;       /* layers of TLS on it */
    bool is_tls_to_proxy; /* one of them, at least, is not the target's */
    bool is_upgraded;     /* something was said, and so decrypted, behind TLS */
};

/* The connection goes through these: to the first of them the socket goes. */
void handoff_shape_add_proxies(struct handoff_shape *shape, const struct proxy *const *via,
                               size_t n);
/* All kinds that could do, where the kernel can everything: a mask. */
unsigned handoff_possible(const struct handoff_shape *shape);

/* Why a relay, and not what the client likes better. */
enum handoff_reason {
    HANDOFF_AS_WISHED,
    HANDOFF_NOT_ACCEPTED, /* the kind that it would be; told who likes ktls, of what is no TLS */
    HANDOFF_NOT_BY_RULE,
    HANDOFF_NO_SEAL,
    HANDOFF_SEAL_FAILED, /* of this very socket */
    HANDOFF_TLS_IN_TLS,
    HANDOFF_TLS_TO_PROXY,
    HANDOFF_UNIX_SOCKET,
    HANDOFF_UPGRADED,
    HANDOFF_KTLS_OFF, /* by the configuration */
    HANDOFF_NO_KTLS,
    HANDOFF_NO_CIPHER, /* the one negotiated */
    HANDOFF_KEYS_FAILED,
};

struct handoff_choice {
    enum handoff kind;
    enum handoff_reason reason;
    bool may_relay;     /* where what was chosen turns out not to work */
    const char *advice; /* where it may not: how it might; static */
    bool is_sealed;     /* the socket gets its seal as soon as it is connected */
};

/* Returns true with a choice, false with a failure (HANDOFF_KIND). */
bool handoff_choose(const struct handoff_shape *shape, const struct route *route,
                    const struct capabilities *caps, struct handoff_choice *ret,
                    struct failure *ret_failure);
/* One sentence without a full stop, "" for HANDOFF_AS_WISHED. cipher: the one negotiated, where it
 * is that; printable. */
void handoff_explain(enum handoff_reason reason, const struct capabilities *caps,
                     const char *cipher, char text[HANDOFF_REASON_MAX + 1]);
