/* What the suites about resumption share: connections with one OpenSSL server and one cache. */
#pragma once

#include "daemon/tls/internal.h"
#include "tests/lib/tls-pair.h"

extern SSL_CTX *resume_server;               /* of all servers of a test */
extern struct tls_context *resume_context;   /* of all clients, if not another */
extern struct pair_options resume_options;   /* of the next pair */
extern const struct certs_pair *resume_root; /* that the context trusts */

#define RESUME_VERSIONS 2
extern const int resume_versions[RESUME_VERSIONS]; /* TLS 1.2 and 1.3 */

/* A cache and a server for one test. */
void resume_begin(int version);
void resume_end(void);
/* Makes a context with these settings, which trusts resume_root. */
void resume_renew_context(struct tls_settings settings);
/* Makes a connection of the options. */
void resume_connect(struct pair *p);
/* Of one that is connected; both sides say the same. */
bool resume_is_resumed(const struct pair *p);
/* A whole connection, which must succeed; the tickets that come with it are read. Returns whether
 * it was resumed. */
bool resume_run(void);
/* Sessions in the context's cache. */
size_t resume_count(void);
