/* libmicrohttpd with one polling thread, on a listening socket of ours. It reads what is atomic and
 * takes no lock that a worker waits for long, so scrapers may do what they like: they get few
 * connections, little memory each, and an end when they are silent. */
#include "daemon/metrics_server.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/front/metrics.h"

#define BACKLOG      64
#define PATH         "/metrics"
#define CONTENT_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

struct metrics_server {
    const struct status_source *source;
    char *path;
    struct MHD_Daemon *http;
};

static mode_t mode_for(gid_t group)
{
    return group == (gid_t)-1 ? 0600 : 0660;
}

static enum MHD_Result reply(struct MHD_Connection *connection, unsigned status,
                             struct MHD_Response *response, const char *type)
{
    enum MHD_Result result = MHD_NO;

    if (response &&
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type) == MHD_YES)
        result = MHD_queue_response(connection, status, response);
    if (response)
        MHD_destroy_response(response);
    return result;
}

static enum MHD_Result refuse(struct MHD_Connection *connection, unsigned status, const char *text)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(
        strlen(text), (void *)(uintptr_t)text, MHD_RESPMEM_PERSISTENT);

    if (response && status == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    return reply(connection, status, response, "text/plain; charset=utf-8");
}

static enum MHD_Result answer(void *data, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *upload,
                              size_t *n_upload, void **context)
{
    const struct metrics_server *server = data;
    char *text;
    size_t n;

    (void)version;
    (void)upload;
    (void)n_upload;
    (void)context;
    if (strcmp(url, PATH) != 0)
        return refuse(connection, MHD_HTTP_NOT_FOUND, "only " PATH " is here\n");
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return refuse(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD\n");
    if (metrics_render(server->source, true, &text, &n) < 0)
        return refuse(connection, MHD_HTTP_INTERNAL_SERVER_ERROR, "out of memory\n");
    return reply(connection, MHD_HTTP_OK,
                 MHD_create_response_from_buffer(n, text, MHD_RESPMEM_MUST_FREE), CONTENT_TYPE);
}

/* From here on the socket is the library's, whatever comes of it. */
static int start_consume_fd(struct metrics_server *server, int fd)
{
    server->http = MHD_start_daemon(
        MHD_USE_POLL_INTERNAL_THREAD | MHD_USE_ITC, 0, NULL, NULL, answer, server,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, METRICS_CONNECTIONS_MAX,
        MHD_OPTION_CONNECTION_TIMEOUT, METRICS_TIMEOUT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)METRICS_MEMORY_MAX, MHD_OPTION_END);
    return server->http ? 0 : -EIO;
}

int metrics_server_new(struct metrics_server **ret, const struct status_source *source,
                       const char *path, gid_t group, char error[SOCKETS_ERROR_MAX])
{
    const struct socket_options options = {.path = path,
                                           .type = SOCK_STREAM | SOCK_NONBLOCK,
                                           .backlog = BACKLOG,
                                           .directory_mode = 0755,
                                           .mode = mode_for(group),
                                           .group = group};
    struct metrics_server *server = calloc(1, sizeof *server);
    int fd, r;

    if (server)
        server->path = strdup(path);
    if (!server || !server->path) {
        free(server);
        return sockets_fail(error, -ENOMEM, "%s: out of memory", path);
    }
    server->source = source;
    r = sockets_make(&options, &fd, error);
    if (r < 0) {
        free(server->path);
        free(server);
        return r;
    }
    if (start_consume_fd(server, fd) < 0) {
        metrics_server_free(server);
        return sockets_fail(error, -EIO, "%s: the HTTP server does not start", path);
    }
    *ret = server;
    return 0;
}

struct metrics_server *metrics_server_free(struct metrics_server *server)
{
    if (!server)
        return NULL;
    unlink(server->path); /* first: afterwards it may be another daemon's */
    if (server->http)
        MHD_stop_daemon(server->http);
    free(server->path);
    free(server);
    return NULL;
}

int metrics_server_set_group(struct metrics_server *server, gid_t group)
{
    return sockets_give(server->path, mode_for(group), group);
}

const char *metrics_server_path(const struct metrics_server *server)
{
    return server->path;
}
