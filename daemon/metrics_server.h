/* The metrics by HTTP over a Unix socket, for scrapers: GET and HEAD of /metrics, nothing else. Who
 * may connect is a matter of the file's mode: the daemon's user, and a group if one is given. */
#pragma once

#include <sys/types.h>

#include "daemon/front/front.h"
#include "daemon/sockets.h"

#define METRICS_CONNECTIONS_MAX 8
#define METRICS_MEMORY_MAX      (16 * 1024) /* bytes of a connection, its request's head included */
#define METRICS_TIMEOUT_S       10          /* without a byte */

struct metrics_server;

/* Starts it, in a thread of its own. group: (gid_t)-1 for none. The source, with the counters of
 * all workers, has to outlive it. Returns 0, or -errno with a sentence. */
int metrics_server_new(struct metrics_server **ret, const struct status_source *source,
                       const char *path, gid_t group, char error[SOCKETS_ERROR_MAX]);
/* Ends it without waiting for scrapers. NULL is fine; returns NULL. */
struct metrics_server *metrics_server_free(struct metrics_server *server);

/* Another group may connect from now on. Returns 0 or -errno. */
int metrics_server_set_group(struct metrics_server *server, gid_t group);
const char *metrics_server_path(const struct metrics_server *server);
