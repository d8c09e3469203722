/* tls contexts that only count their references. A ca-file has to be readable, as with real ones.
 */
#include "daemon/tls/tls.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct tls_context {
    unsigned n_references;
};

int tls_context_new(struct tls_context **ret, const struct tls_settings *settings,
                    struct tls_problem *ret_problem)
{
    struct tls_context *context;

    if (settings->ca_file && access(settings->ca_file, R_OK) < 0) {
        ret_problem->setting = TLS_SETTING_CA_FILE;
        snprintf(ret_problem->text, sizeof ret_problem->text, "cannot read %s: %s",
                 settings->ca_file, strerror(errno));
        return -errno;
    }
    assert(settings->min_version == 0x0303 || settings->min_version == 0x0304);
    context = calloc(1, sizeof *context);
    if (!context)
        return -ENOMEM;
    context->n_references = 1;
    *ret = context;
    return 0;
}

struct tls_context *tls_context_ref(struct tls_context *context)
{
    context->n_references++;
    return context;
}

struct tls_context *tls_context_unref(struct tls_context *context)
{
    if (context && --context->n_references == 0)
        free(context);
    return NULL;
}

struct tls_context *tls_context_retire(struct tls_context *context)
{
    return tls_context_unref(context);
}
