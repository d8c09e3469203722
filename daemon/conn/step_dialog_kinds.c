/* From a step of the plan to the dialog that it is: who is spoken to, what is asked for, what is
 * presented. A proxy's credentials reach its own dialog and no other. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "daemon/conn/conn.h"
#include "daemon/tls/hash.h"
#include "proto/cleanup.h"

#define RANDOM_SIZE 16

static bool fill_random(uint8_t bytes[RANDOM_SIZE])
{
    return getrandom(bytes, RANDOM_SIZE, GRND_NONBLOCK) == RANDOM_SIZE;
}

static bool random_hex(char ret[2 * RANDOM_SIZE + 1])
{
    uint8_t bytes[RANDOM_SIZE];

    if (!fill_random(bytes))
        return false;
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(ret + 2 * i, 3, "%02x", bytes[i]);
    return true;
}

static const struct proxy *proxy_of(const struct conn *conn)
{
    return plan_proxy(&conn->params->plan, conn_step(conn)->hop);
}

/* Whom the current hop is to connect to. */
static const struct target *next_endpoint(const struct conn *conn, bool *ret_is_target)
{
    const struct plan *plan = &conn->params->plan;
    unsigned hop = conn_step(conn)->hop;

    *ret_is_target = hop == plan->n_via;
    return plan_endpoint(plan, &conn->params->target, *ret_is_target ? 0 : hop + 1);
}

/* The address that is asked for; false: the name. */
static bool next_address(const struct conn *conn, struct address *ret)
{
    bool is_target;
    const struct target *endpoint = next_endpoint(conn, &is_target);

    if (is_target && conn->targets) {
        *ret = conn->targets->items[0];
        return true;
    }
    return address_of_target(endpoint, ret);
}

static struct socks_destination next_destination(const struct conn *conn)
{
    bool is_target;
    const struct target *endpoint = next_endpoint(conn, &is_target);
    struct socks_destination to = {.port = endpoint->port};

    if (!next_address(conn, &to.address))
        to.name = text_of(endpoint->host);
    return to;
}

/* ---- proxies ---- */

static bool init_http(struct step_dialog *d, const struct conn *conn)
{
    const struct proxy *proxy = proxy_of(conn);
    bool is_target, is_anonymous = conn->params->plan.is_anonymous;
    const struct target *endpoint = next_endpoint(conn, &is_target);
    char cnonce[2 * RANDOM_SIZE + 1], host[ADDRESS_TEXT_MAX];
    struct address address;
    bool has_address = next_address(conn, &address);

    if (!random_hex(cnonce))
        return false;
    if (has_address)
        address_format(&address, host);
    d->http = proxy->http;
    if (is_anonymous)
        d->http.auth = (struct auth_settings){0};
    http_connect_init(&d->http_connect, &d->http,
                      is_anonymous || !proxy->memories ? NULL : &proxy->memories[conn->env->worker],
                      has_address ? host : endpoint->host, endpoint->port, cnonce);
    return true;
}

static void init_socks4(struct step_dialog *d, const struct conn *conn)
{
    const struct proxy *proxy = proxy_of(conn);
    struct socks4_setup setup = {.to = next_destination(conn),
                                 .is_4a = proxy->kind == PROXY_SOCKS4A};

    if (!conn->params->plan.is_anonymous)
        setup.user = proxy->user;
    socks4_init(&d->socks4, &setup);
}

static void init_socks5(struct step_dialog *d, const struct conn *conn)
{
    const struct proxy *proxy = proxy_of(conn);
    struct socks5_setup setup = {.to = next_destination(conn),
                                 .may_be_anonymous = proxy->may_be_anonymous};

    if (!conn->params->plan.is_anonymous) {
        setup.user = proxy->user;
        setup.password = proxy->password;
        setup.gss = proxy->has_gssapi ? &proxy->http.auth.gss : NULL;
    }
    socks5_init(&d->socks5, &setup);
}

static bool init_proxy(struct step_dialog *d, const struct conn *conn)
{
    switch (proxy_of(conn)->kind) {
    case PROXY_HTTP:
        return init_http(d, conn);
    case PROXY_SOCKS4:
    case PROXY_SOCKS4A:
        init_socks4(d, conn);
        return true;
    case PROXY_SOCKS5:
        init_socks5(d, conn);
        return true;
    }
    return false;
}

/* ---- the PROXY header ---- */

/* Where the header goes, as far as it is known. */
static void fill_destination(const struct conn *conn, struct sockaddr_storage *ret)
{
    const struct plan *plan = &conn->params->plan;
    const struct target *endpoint = conn_endpoint(conn);
    unsigned hop = conn_step(conn)->hop;
    struct address address;

    if (plan->n_via == 0 || hop == 1)
        conn_peer(conn, ret);
    else if (hop == 0 && conn->targets)
        address_to_sockaddr(&conn->targets->items[0], endpoint->port, ret);
    else if (address_of_target(endpoint, &address))
        address_to_sockaddr(&address, endpoint->port, ret);
}

static const struct send_proxy *send_proxy_of(const struct conn *conn)
{
    return conn_step(conn)->hop > 0 ? &proxy_of(conn)->send_proxy : conn->params->plan.send_proxy;
}

static bool init_header(struct step_dialog *d, const struct conn *conn)
{
    const struct send_proxy *send_proxy = send_proxy_of(conn);
    const struct target *endpoint = conn_endpoint(conn);
    struct proxy_header_setup setup = {.version = send_proxy->version,
                                       .has_checksum = send_proxy->has_checksum};
    char unique_id[2 * RANDOM_SIZE + 1];

    channel_get_local(&conn->channel, &setup.source);
    fill_destination(conn, &setup.destination);
    if (send_proxy->has_alpn && conn_step(conn)->hop == 0 && conn->params->n_alpn > 0)
        setup.alpn = conn->params->alpn[0];
    if (send_proxy->has_authority && endpoint->host_kind == HOST_NAME)
        setup.authority = text_of(endpoint->host);
    if (send_proxy->has_unique_id) {
        if (!random_hex(unique_id))
            return false;
        setup.unique_id = text_of(unique_id);
    }
    proxy_header_init(&d->proxy_header, &setup);
    return true;
}

/* ---- targets ---- */

/* An address literal (RFC 5321, 4.1.3): names of hosts are nobody's business. */
static void our_name(const struct conn *conn, char name[STARTTLS_NAME_MAX + 1])
{
    struct address address = {.family = AF_INET, .ipv4.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_storage local;
    char text[ADDRESS_TEXT_MAX];

    channel_get_local(&conn->channel, &local);
    if (local.ss_family == AF_INET)
        address.ipv4 = ((struct sockaddr_in *)&local)->sin_addr;
    if (local.ss_family == AF_INET6)
        address = (struct address){.family = AF_INET6,
                                   .ipv6 = ((struct sockaddr_in6 *)&local)->sin6_addr};
    address_format(&address, text);
    snprintf(name, STARTTLS_NAME_MAX + 1, address.family == AF_INET6 ? "[IPv6:%s]" : "[%s]", text);
}

static void init_starttls(struct step_dialog *d, const struct conn *conn)
{
    const struct conn_params *params = conn->params;
    char name[STARTTLS_NAME_MAX + 1];

    our_name(conn, name);
    starttls_init(&d->starttls, params->target.scheme, name,
                  params->tls_name ? params->tls_name : params->target.host);
}

static bool init_websocket(struct step_dialog *d, const struct conn *conn)
{
    struct websocket_setup setup = {
        .target = &conn->params->target, .options = conn->params->websocket, .hash = tls_hash};

    if (!fill_random(setup.key))
        return false;
    websocket_init(&d->websocket, &setup);
    return true;
}

static bool init(struct step_dialog *d, const struct conn *conn)
{
    switch (conn_step(conn)->kind) {
    case STEP_PROXY:
        return init_proxy(d, conn);
    case STEP_PROXY_HEADER:
        return init_header(d, conn);
    case STEP_STARTTLS:
        init_starttls(d, conn);
        return true;
    case STEP_WEBSOCKET:
        return init_websocket(d, conn);
    case STEP_RESOLVE:
    case STEP_CONNECT:
    case STEP_SEAL:
    case STEP_TLS:
    case STEP_KTLS:
        break;
    }
    return false;
}

struct step_dialog *step_dialog_new(struct conn *conn, gss_fn *answered)
{
    struct step_dialog *d = calloc(1, sizeof *d);

    if (!d || !init(d, conn)) {
        free(d);
        return NULL;
    }
    builder_init(&d->heard, DIALOG_HEAD_MAX);
    gss_context_init(&d->gss, conn->env->gss, answered);
    d->conn = conn;
    d->step = conn->step;
    d->next = conn->dialogs;
    conn->dialogs = d;
    return d;
}

struct step_dialog *step_dialog_free(struct step_dialog *d)
{
    struct step_dialog *next = d->next;

    gss_context_deinit(&d->gss);
    dialog_deinit(&d->dialog);
    builder_deinit(&d->heard);
    free(d);
    return next;
}
