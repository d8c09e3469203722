/* c-ares wants to be told when its sockets are readable and to be called when time has passed; it
 * opens and closes sockets itself, in the middle of its other work. The rules that make this safe:
 *
 * - Its sockets are ours (ares_set_socket_functions, dns_sockets.h).
 * - c-ares is entered in three places only (ask, socket ready, timer). Inside, its callbacks just
 *   note: what a socket waits for, which queries are answered. dns_settle(), after each entry,
 *   does the rest: arms polls, sets the timer, destroys a channel that is not needed any more.
 * - The owners' callbacks run from `delivery`, a timer, with c-ares left: they may ask again.
 *
 * A new resolv.conf, or new servers of the configuration, make a new channel. The old one stays in
 * `channels` until its last query is answered; c-ares bounds that time. */
#include "daemon/resolve/dns.h"

#include <ares.h>
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "daemon/base/clock.h"
#include "daemon/resolve/dns_servers.h"
#include "daemon/resolve/dns_sockets.h"
#include "daemon/resolve/file_stamp.h"
#include "proto/cleanup.h"

#define TYPE_A    1
#define TYPE_AAAA 28
#define CLASS_IN  1

#define PORT_DNS   53
#define RCODE_NONE -1
#define REASON_MAX (DNS_SERVERS_TEXT_MAX + 40)

struct dns_channel {
    struct dns *dns;
    struct list node; /* of dns->channels */
    ares_channel ares;
    struct timer timer;
    size_t n_queries;
    int last_rcode; /* of the datagram being worked on: c-ares does not hand it on */
};

struct dns {
    struct ring *ring;
    char *servers; /* NULL: resolv.conf */
    char *resolv_conf_path;
    unsigned timeout_ms, tries;
    uint16_t port;
    struct file_stamp stamp;
    struct dns_channel *current;
    struct list channels;
    struct dns_sockets sockets;
    struct list answered;
    struct timer delivery;
    bool is_closing;
    char timed_out[REASON_MAX]; /* reasons, with the servers of the newest channel */
    char unreachable[REASON_MAX];
};

static void dns_channel_free(struct dns_channel *channel)
{
    ring_timer_clear(channel->dns->ring, &channel->timer);
    if (channel->ares)
        ares_destroy(channel->ares); /* closes its sockets */
    list_remove(&channel->node);
    free(channel);
}

static void dns_settle(struct dns *dns)
{
    list_for_each (&dns->channels, node) {
        struct dns_channel *channel = container_of(node, struct dns_channel, node);
        uint64_t at_us = ring_now_us(dns->ring) + dns->timeout_ms * US_PER_MS;

        if (channel->n_queries > 0) {
            /* No query begun or sent again just now can be due before that. */
            if (!channel->timer.is_set || channel->timer.at_us > at_us)
                ring_timer_set(dns->ring, &channel->timer, at_us);
        } else {
            ring_timer_clear(dns->ring, &channel->timer);
            if (channel != dns->current)
                dns_channel_free(channel);
        }
    }
    dns_sockets_arm(&dns->sockets);
    if (!list_is_empty(&dns->answered) && !dns->delivery.is_set)
        ring_timer_set(dns->ring, &dns->delivery, ring_now_us(dns->ring));
}

static void dns_channel_process(struct dns_channel *channel, int read_fd, int write_fd)
{
    channel->last_rcode = RCODE_NONE;
    ares_process_fd(channel->ares, read_fd, write_fd);
}

static void on_ready(struct dns_channel *channel, int fd, int events)
{
    struct dns *dns = channel->dns;

    if (events)
        dns_channel_process(channel, events & POLLIN ? fd : ARES_SOCKET_BAD,
                            events & POLLOUT ? fd : ARES_SOCKET_BAD);
    dns_settle(dns);
}

static void on_timer(struct timer *timer)
{
    struct dns_channel *channel = container_of(timer, struct dns_channel, timer);
    struct dns *dns = channel->dns;
    struct timeval tv;

    dns_channel_process(channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    if (channel->n_queries > 0 && ares_timeout(channel->ares, NULL, &tv))
        ring_timer_set(dns->ring, timer,
                       clock_now_us() + (uint64_t)tv.tv_sec * US_PER_S + (uint64_t)tv.tv_usec +
                           US_PER_MS);
    dns_settle(dns);
}

static void on_delivery(struct timer *timer)
{
    struct dns *dns = container_of(timer, struct dns, delivery);
    struct list *node;

    while ((node = list_pop(&dns->answered))) {
        struct dns_query *query = container_of(node, struct dns_query, node);

        query->fn(query);
    }
}

/* What c-ares calls. */

static void on_socket_state(void *data, ares_socket_t fd, int readable, int writable)
{
    struct dns_channel *channel = data;

    dns_sockets_want(&channel->dns->sockets, channel, fd,
                     (short)((readable ? POLLIN : 0) | (writable ? POLLOUT : 0)));
}

static ares_socket_t socket_open(int family, int type, int protocol, void *data)
{
    struct dns_channel *channel = data;

    return dns_sockets_open(&channel->dns->sockets, channel, family, type, protocol);
}

static int socket_close(ares_socket_t fd, void *data)
{
    struct dns_channel *channel = data;

    dns_sockets_close(&channel->dns->sockets, channel, fd);
    return 0;
}

static int socket_connect(ares_socket_t fd, const struct sockaddr *sa, ares_socklen_t n, void *data)
{
    (void)data;
    return connect(fd, sa, n);
}

static ares_ssize_t socket_receive(ares_socket_t fd, void *buf, size_t size, int flags,
                                   struct sockaddr *from, ares_socklen_t *from_n, void *data)
{
    struct dns_channel *channel = data;
    ssize_t n = recvfrom(fd, buf, size, flags, from, from_n);

    /* A datagram, or by luck the whole of a message over TCP: its response code (RFC 1035, 4.1.1).
     */
    channel->last_rcode = n >= 12 ? ((const uint8_t *)buf)[3] & 0x0f : RCODE_NONE;
    return n;
}

static ares_ssize_t socket_send(ares_socket_t fd, const struct iovec *iov, int n, void *data)
{
    struct msghdr msg = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n};

    (void)data;
    return sendmsg(fd, &msg, MSG_NOSIGNAL);
}

static const struct ares_socket_functions socket_functions = {
    .asocket = socket_open,
    .aclose = socket_close,
    .aconnect = socket_connect,
    .arecvfrom = socket_receive,
    .asendv = socket_send,
};

/* Why there is no message to look at. Servers that answer SERVFAIL, NOTIMP or REFUSED are passed
 * over by c-ares; when no other is left it says ECONNREFUSED, for those too. */
static const char *failure_reason(const struct dns_channel *channel, int status)
{
    switch (status) {
    case ARES_ETIMEOUT:
        return channel->dns->timed_out;
    case ARES_ECONNREFUSED:
        return channel->last_rcode > 0 ? dns_rcode_name((unsigned)channel->last_rcode)
                                       : channel->dns->unreachable;
    case ARES_ENOMEM:
        return "out of memory";
    case ARES_EBADNAME:
        return "not a name that DNS can be asked for";
    default:
        return ares_strerror(status);
    }
}

static void on_answer(void *data, int status, int n_timeouts, unsigned char *message, int n)
{
    struct dns_query *query = data;
    struct dns_channel *channel = query->channel;

    (void)n_timeouts;
    channel->n_queries--;
    query->channel = NULL;
    if (channel->dns->is_closing)
        return;
    if (message && n > 0)
        dns_message_parse(message, (size_t)n, query->name, query->family, &query->answer);
    else
        query->answer =
            (struct dns_answer){.verdict = DNS_FAILED, .reason = failure_reason(channel, status)};
    list_append(&channel->dns->answered, &query->node);
}

/* Making and changing. */

static void library_init(void)
{
    ares_library_init(ARES_LIB_INIT_ALL);
}

static int errno_from_ares(int status)
{
    switch (status) {
    case ARES_SUCCESS:
        return 0;
    case ARES_ENOMEM:
        return -ENOMEM;
    default:
        return -EINVAL;
    }
}

static int dns_channel_open(struct dns_channel *channel)
{
    struct dns *dns = channel->dns;
    struct ares_options options = {
        .flags = ARES_FLAG_NOALIASES | ARES_FLAG_NOSEARCH | ARES_FLAG_EDNS,
        .timeout = (int)dns->timeout_ms,
        .tries = (int)dns->tries,
        .udp_port = dns->port,
        .tcp_port = dns->port,
        .lookups = (char *)"b",
        .sock_state_cb = on_socket_state,
        .sock_state_cb_data = channel,
        .ednspsz = DNS_UDP_SIZE,
        .resolvconf_path = dns->servers ? (char *)"/dev/null" : dns->resolv_conf_path,
    };
    int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS |
               ARES_OPT_SOCK_STATE_CB | ARES_OPT_EDNSPSZ | ARES_OPT_RESOLVCONF | ARES_OPT_DOMAINS |
               ARES_OPT_UDP_PORT | ARES_OPT_TCP_PORT;
    int r = errno_from_ares(ares_init_options(&channel->ares, &options, mask));

    if (r < 0) {
        channel->ares = NULL;
        return r;
    }
    ares_set_socket_functions(channel->ares, &socket_functions, channel);
    if (!dns->servers)
        return 0;
    return errno_from_ares(ares_set_servers_ports_csv(channel->ares, dns->servers));
}

static void note_servers(struct dns *dns, const struct dns_channel *channel)
{
    char servers[DNS_SERVERS_TEXT_MAX];

    dns_servers_format(channel->ares, dns->port, servers);
    snprintf(dns->timed_out, sizeof dns->timed_out, "timed out, asked: %s", servers);
    snprintf(dns->unreachable, sizeof dns->unreachable,
             "no name server could be reached, asked: %s", servers);
}

static int dns_channel_new(struct dns *dns, struct dns_channel **ret)
{
    struct dns_channel *channel = calloc(1, sizeof *channel);
    int r;

    if (!channel)
        return -ENOMEM;
    channel->dns = dns;
    channel->last_rcode = RCODE_NONE;
    timer_init(&channel->timer, on_timer);
    list_append(&dns->channels, &channel->node);
    r = dns_channel_open(channel);
    if (r < 0) {
        dns_channel_free(channel);
        return r;
    }
    note_servers(dns, channel);
    *ret = channel;
    return 0;
}

bool dns_refresh(struct dns *dns)
{
    struct dns_channel *channel;

    if (dns->servers ||
        !file_stamp_has_changed(&dns->stamp, dns->resolv_conf_path, ring_now_us(dns->ring)))
        return false;
    if (dns_channel_new(dns, &channel) < 0)
        return false; /* the old servers are better than none */
    dns->current = channel;
    dns_settle(dns);
    return true;
}

static bool is_same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

int dns_set_servers(struct dns *dns, const char *servers)
{
    CLEANUP(freep) char *copy = servers ? strdup(servers) : NULL;
    struct dns_channel *channel;
    char *old = dns->servers;
    int r;

    if (is_same(servers, old))
        return 0;
    if (servers && !copy)
        return -ENOMEM;
    if (!servers)
        (void)file_stamp_has_changed(&dns->stamp, dns->resolv_conf_path, ring_now_us(dns->ring));
    dns->servers = copy;
    r = dns_channel_new(dns, &channel);
    if (r < 0) {
        dns->servers = old;
        return r;
    }
    TAKE_PTR(copy);
    free(old);
    dns->current = channel;
    dns_settle(dns);
    return 1;
}

void dns_ask(struct dns *dns, struct dns_query *query, dns_fn *fn, const char *name, int family)
{
    char absolute[TARGET_HOST_MAX + 2];
    struct dns_channel *channel = dns->current;

    assert(strlen(name) <= TARGET_HOST_MAX);
    *query = (struct dns_query){.fn = fn, .name = name, .family = family, .channel = channel};
    list_init(&query->node);
    snprintf(absolute, sizeof absolute, "%s.", name);
    channel->n_queries++;
    channel->last_rcode = RCODE_NONE;
    ares_query(channel->ares, absolute, CLASS_IN, family == AF_INET6 ? TYPE_AAAA : TYPE_A,
               on_answer, query);
    dns_settle(dns);
}

static void dns_freep(struct dns **dns)
{
    dns_free(*dns);
}

int dns_new(struct dns **ret, struct ring *ring, const struct resolver_options *options)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const char *path = options->resolv_conf_path ? options->resolv_conf_path : "/etc/resolv.conf";
    CLEANUP(dns_freep) struct dns *dns = calloc(1, sizeof *dns);
    int r;

    if (!dns)
        return -ENOMEM;
    pthread_once(&once, library_init);
    dns->ring = ring;
    dns->timeout_ms = options->timeout_ms ? options->timeout_ms : RESOLVE_TIMEOUT_MS;
    dns->tries = options->tries ? options->tries : RESOLVE_TRIES;
    dns->port = options->port ? options->port : PORT_DNS;
    list_init(&dns->channels);
    dns_sockets_init(&dns->sockets, ring, on_ready);
    list_init(&dns->answered);
    timer_init(&dns->delivery, on_delivery);
    dns->servers = options->servers ? strdup(options->servers) : NULL;
    dns->resolv_conf_path = strdup(path);
    if (!dns->resolv_conf_path || (options->servers && !dns->servers))
        return -ENOMEM;
    if (!dns->servers)
        (void)file_stamp_has_changed(&dns->stamp, path, clock_now_us());
    r = dns_channel_new(dns, &dns->current);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(dns);
    return 0;
}

struct dns *dns_free(struct dns *dns)
{
    if (!dns)
        return NULL;
    dns->is_closing = true;
    ring_timer_clear(dns->ring, &dns->delivery);
    list_for_each (&dns->channels, node)
        dns_channel_free(container_of(node, struct dns_channel, node));
    dns_sockets_deinit(&dns->sockets);
    free(dns->servers);
    free(dns->resolv_conf_path);
    free(dns);
    return NULL;
}
