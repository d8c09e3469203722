/* Texts, each with its NUL, and numbers: as no text has a NUL inside, no two peers have one key. A
 * rule's and a proxy's names are unique in a configuration, and the TLS contexts that keep sessions
 * live no longer than it. */
#include "daemon/conn/session_key.h"

#include <assert.h>
#include <stdio.h>

struct text session_key_make(const struct conn *conn, char buf[SESSION_KEY_MAX])
{
    const struct conn_params *params = conn->params;
    const struct target *target = &params->target;
    unsigned hop = conn_step(conn)->hop;
    int n;

    if (hop > 0)
        n = snprintf(buf, SESSION_KEY_MAX, "%s%c%u%c%s", params->rule, '\0', hop, '\0',
                     plan_proxy(&params->plan, hop)->name);
    else
        n = snprintf(buf, SESSION_KEY_MAX, "%s%c%u%c%s%c%s%c%u", params->rule, '\0', hop, '\0',
                     scheme_name(target->scheme), '\0', target->host, '\0', target->port);
    assert(n > 0 && n < SESSION_KEY_MAX);
    return (struct text){buf, (size_t)n};
}
