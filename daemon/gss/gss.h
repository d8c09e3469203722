/* GSSAPI for those on a ring. It blocks: it reads files, resolves names and talks to key
 * distribution centres. So it runs in processes of its own, which a crash or a hang of it does not
 * leave:
 *
 *     fdiald ─── keeper ─┬─ helper of a worker, with some threads
 *                        ├─ another for its NTLM
 *                        └─ …
 *
 * The keeper is forked before there are threads or secrets. It starts a helper when the first
 * question for it comes from the worker, and again when the old one has died; what that was asked
 * then fails, its contexts are lost, and all else goes on. Both see of the daemon's secrets what
 * they are told in questions. They find krb5.conf, keytabs and caches by the daemon's environment
 * (KRB5_CONFIG, KRB5_CLIENT_KTNAME, KRB5CCNAME), unless the question names them. They end when the
 * daemon does. */
#pragma once

#include "daemon/base/list.h"
#include "daemon/dialog/question.h"
#include "daemon/ring/ring.h"

#define GSS_CONTEXTS_MAX    512  /* of one helper; what more are asked for fail */
#define GSS_THREADS_MAX     16   /* of one helper */
#define GSS_HELPER_CONTEXTS 1024 /* made by one helper before another takes its place */
#define GSS_SERVICE_THREADS 4    /* of these for one service, as its KDC may be slow */

struct gss_keeper;

/* Forks the keeper: before the process has threads, secrets, or fds that it must not keep (it
 * closes all but 0 to 2). Returns 0 or -errno. */
int gss_keeper_new(struct gss_keeper **ret);
/* Ends the keeper and all helpers. NULL is allowed. Returns NULL. */
struct gss_keeper *gss_keeper_free(struct gss_keeper *keeper);

/* A worker's connection to its helpers. */
struct gss_link;

/* The keeper outlives it. May be called in the ring's thread. Returns 0 or -errno. */
int gss_link_new(struct gss_link **ret, struct ring *ring, struct gss_keeper *keeper);
/* Stops it: nothing may be asked any more. It calls no context back. */
void gss_link_stop(struct gss_link *link);
/* Whether it may be freed: what it had in flight on the ring has ended after gss_link_stop(). Also
 * when the ring does not turn any more and is freed next. */
bool gss_link_has_stopped(const struct gss_link *link);
struct gss_link *gss_link_free(struct gss_link *link);

struct gss_context;
/* The answer, or NULL and why there is none: a sentence for people, which may have words of a KDC's
 * in it, and never a secret. The context may be asked again, or ended, in here. */
typedef void gss_fn(struct gss_context *context, const struct gss_answer *answer, const char *why);

/* Embedded in whoever carries out a dialog. */
struct gss_context {
    struct gss_link *link; /* NULL: it was never asked */
    gss_fn *fn;
    uint64_t id; /* of the context as the helper knows it; 0: it knows none */
    uint32_t n_asked;
    bool is_ntlm;
    bool is_waiting;
    struct list node; /* among the link's */
};

void gss_context_init(struct gss_context *context, struct gss_link *link, gss_fn *fn);
/* Asks; fn is called later, once, unless the context is ended before. One question at a time. The
 * question is copied. Returns 0, -EAGAIN (too many at once), -ENOMEM, -EMSGSIZE (longer than
 * question.h allows), or -ENOTCONN (there is no keeper any more). */
int gss_context_ask(struct gss_context *context, const struct gss_question *question);
/* Ends it: fn is not called any more. Takes back what was asked. */
void gss_context_deinit(struct gss_context *context);
