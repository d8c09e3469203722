/* One outgoing connection: runs a plan, one step after the other.
 *
 * A step returns DONE, WAIT or FAIL and does not know its successor. However it ends, the callback
 * comes exactly once, when nothing of the connection is in flight any more: the owner then takes
 * the channel, or deinits it all.
 */
#pragma once

#include "daemon/base/failure.h"
#include "daemon/conn/channel.h"
#include "daemon/conn/plan.h"
#include "daemon/conn/step_dialog.h"
#include "daemon/dialog/websocket.h"
#include "daemon/resolve/class.h"
#include "daemon/resolve/resolve.h"
#include "daemon/ring/ring.h"

#define CONNECT_ATTEMPTS_MAX 6                      /* at once, to one target */
#define CONNECT_STAGGER_US   (250 * UINT64_C(1000)) /* RFC 8305, 8: Connection Attempt Delay */
#define KEEPALIVE_IDLE_S     60

/* What a worker has for all its connections. */
struct conn_env {
    struct ring *ring;
    unsigned worker; /* its number */
    struct resolver *resolver;
    struct gss_link *gss;
    struct own_addresses *own;
    const struct capabilities *caps;
};

/* What a request asks for; the owner keeps it, shared by all connections of the request. */
struct conn_params {
    struct quota *payer;    /* for names that are looked up */
    struct fair_lane *lane; /* for handshakes */
    const char *rule;       /* its name */
    struct target target;
    struct plan plan;
    unsigned addresses; /* mask of enum address_class */
    uint8_t family;     /* 0 any, 4, 6 */
    struct tls_context *tls;
    const char *tls_name; /* NULL: the target's host */
    struct text alpn[MESSAGE_ALPN_MAX];
    size_t n_alpn;
    struct websocket_options websocket;
};

enum step_result {
    STEP_DONE,
    STEP_WAIT,
    STEP_AGAIN, /* from the connect step on, on a new connection */
    STEP_FAIL,  /* conn->failure is set */
};

struct conn;
typedef void conn_fn(struct conn *conn);

struct connect_attempt {
    struct op op;
    struct conn *conn;
    int fd;
    bool is_active;
    uint8_t candidate;
};

struct step_connect {
    struct connect_attempt attempts[CONNECT_ATTEMPTS_MAX];
    struct timer stagger;
    unsigned n_active;
    size_t next; /* candidate */
    int error;   /* the most telling so far, positive */
    uint8_t error_candidate;
    int source_error; /* of the last attempt to use the rule's source, positive */
    bool has_winner;
};

struct step_tls {
    struct task task;
    bool is_finished; /* only the rest of the output has to go */
};

struct conn {
    const struct conn_env *env;
    const struct conn_params *params;
    conn_fn *fn;
    size_t step;
    bool is_ending;
    struct failure failure; /* code ERROR_NONE: connected */
    enum handoff handoff;
    enum handoff_reason handoff_reason;
    const char *handoff_cipher; /* negotiated when it fell back: the session is the relay's then */
    struct channel channel;
    struct address candidates[RESOLVE_ADDRESSES_MAX]; /* permitted, in the order of attempts */
    size_t n_candidates;
    struct address_list *targets; /* those of a target behind proxies, the next to try first; NULL:
                                   * none, or the proxy resolves it */
    struct step_dialog *dialogs;  /* those with something to keep, and the running one first */
    size_t connected;             /* index of the candidate */
    uint64_t step_start_us;
    uint32_t times_us[PLAN_STEPS_MAX];
    union {
        struct lookup lookup;
        struct step_connect connect;
        struct op seal_op;
        struct step_tls tls;
    };
};

void conn_init(struct conn *conn, const struct conn_env *env, const struct conn_params *params,
               conn_fn *fn);
/* Closes whatever was not taken. Only before the start or after the callback. */
void conn_deinit(struct conn *conn);
/* The callback may come from inside. */
void conn_start(struct conn *conn);
/* Ends it early with this error in the current stage; the callback may come from inside. */
void conn_abort(struct conn *conn, enum error_code code);
/* Where the socket goes: the target, or the first proxy. */
const struct target *conn_first_endpoint(const struct conn *conn);
/* The address connected to, of the target or the first proxy; only once it is connected. */
void conn_peer(const struct conn *conn, struct sockaddr_storage *ret);
/* Its TLS session with the target, also while that is being made; NULL: none. */
struct tls_session *conn_tls_of_target(const struct conn *conn);
/* Why it is a relay and nothing better; "" where there is nothing to say. */
void conn_explain_handoff(const struct conn *conn, char text[HANDOFF_REASON_MAX + 1]);
/* What the peer of a dialog said, for the client; NULL: nothing. */
const struct dialog *conn_response(const struct conn *conn);
enum stage step_stage(enum step_kind kind);
/* Whether a rule with these `addresses` lets connect to the target, as far as it is known without
 * asking DNS. */
bool conn_may_reach(const struct conn_env *env, const struct target *target, unsigned addresses,
                    struct failure *ret_failure);

/* For the steps. conn_continue: what was waited for has happened. */
void conn_continue(struct conn *conn, enum step_result result);

struct step {
    enum step_result (*start)(struct conn *conn);
    void (*cancel)(struct conn *conn); /* hurry; ops still call back */
    bool (*is_idle)(const struct conn *conn);
};

extern const struct step step_resolve, step_connect, step_seal, step_tls, step_dialog, step_ktls;

/* It becomes a relay, or has to fail where that is not acceptable. */
enum step_result conn_fall_back(struct conn *conn, enum handoff_reason reason, int error);

const struct plan_step *conn_step(const struct conn *conn);
/* Where the hop of the current step is; the connect step's, where the socket goes. */
const struct target *conn_endpoint(const struct conn *conn);

/* For connect: fills in the socket address of candidate i. Returns its size. */
socklen_t conn_candidate_sockaddr(const struct conn *conn, size_t i, struct sockaddr_storage *ret);
