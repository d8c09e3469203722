/* One request, one reply of eight bytes, of which the last six say nothing: they are taken, because
 * what comes behind them is the client's. The first two are judged before the rest is waited for,
 * so that a proxy that says no and closes early is quoted all the same. */
#include "daemon/dialog/socks4.h"

#include <arpa/inet.h>
#include <string.h>

#include "daemon/base/list.h"

#define VERSION         4
#define COMMAND_CONNECT 1
#define REPLY_VERSION   0
#define N_REPLY_HEAD    2
#define N_REPLY_REST    6 /* port and address */

enum reply {
    REPLY_GRANTED = 90,
    REPLY_REJECTED = 91,
    REPLY_NO_IDENTD = 92,
    REPLY_OTHER_USER = 93,
};

static void hear_head(struct dialog *d, uint8_t version, uint8_t reply)
{
    if (version != REPLY_VERSION) {
        socks_fail_version(d, version, REPLY_VERSION);
        return;
    }
    switch (reply) {
    case REPLY_GRANTED:
        dialog_want_exact(d, N_REPLY_REST);
        return;
    case REPLY_REJECTED:
        dialog_fail(d, ERROR_PROXY_REFUSED, "request rejected or failed (reply 91)");
        return;
    case REPLY_NO_IDENTD:
        dialog_fail(d, ERROR_PROXY_AUTH, "it cannot reach an identd on this host (reply 92)");
        return;
    case REPLY_OTHER_USER:
        dialog_fail(d, ERROR_PROXY_AUTH, "this host's identd names another user (reply 93)");
        return;
    }
    dialog_fail(d, ERROR_PROXY_PROTOCOL, "it sent the unknown reply %u", reply);
}

static void socks4_received(struct dialog *d, const uint8_t *data, size_t n)
{
    if (n == N_REPLY_HEAD) /* the rest has another length */
        hear_head(d, data[0], data[1]);
    else
        dialog_done(d);
}

static void socks4_sent(struct dialog *d)
{
    dialog_want_exact(d, N_REPLY_HEAD);
}

static void socks4_deinit(struct dialog *d)
{
    struct socks4 *s = container_of(d, struct socks4, dialog);

    explicit_bzero(s->request, sizeof s->request);
}

static const struct dialog_type socks4_type = {.name = "socks4",
                                               .stage = STAGE_PROXY,
                                               .unclear = ERROR_PROXY_PROTOCOL,
                                               .sent = socks4_sent,
                                               .received = socks4_received,
                                               .deinit = socks4_deinit};
static const struct dialog_type socks4a_type = {.name = "socks4a",
                                                .stage = STAGE_PROXY,
                                                .unclear = ERROR_PROXY_PROTOCOL,
                                                .sent = socks4_sent,
                                                .received = socks4_received,
                                                .deinit = socks4_deinit};

static bool check_address(struct dialog *d, const struct address *address)
{
    if (address->family != AF_INET) {
        dialog_fail(d, ERROR_BAD_TARGET, "IPv6 addresses need a socks5 proxy");
        return false;
    }
    /* 0.0.0.x tells a 4a proxy that a name follows. */
    if (ntohl(address->ipv4.s_addr) >> 8 == 0) {
        dialog_fail(d, ERROR_BAD_TARGET, "it cannot be asked for 0.0.0.0/24");
        return false;
    }
    return true;
}

static bool check_setup(struct dialog *d, const struct socks4_setup *setup)
{
    if (setup->user.n > SOCKS4_USER_MAX ||
        (setup->user.n > 0 && memchr(setup->user.data, '\0', setup->user.n))) {
        dialog_fail(d, ERROR_PROXY_AUTH, "the user id has at most %u bytes and no NUL",
                    SOCKS4_USER_MAX);
        return false;
    }
    if (!setup->to.name.data)
        return check_address(d, &setup->to.address);
    if (!setup->is_4a) {
        dialog_fail(d, ERROR_BAD_TARGET, "names need a socks4a or socks5 proxy");
        return false;
    }
    return socks_check_name(d, setup->to.name);
}

/* With the NUL. */
static size_t put_string(uint8_t *out, struct text text)
{
    if (text.n > 0)
        memcpy(out, text.data, text.n);
    out[text.n] = '\0';
    return text.n + 1;
}

static size_t put_request(uint8_t *out, const struct socks4_setup *setup)
{
    static const uint8_t name_follows[sizeof(struct in_addr)] = {0, 0, 0, 1};
    const struct socks_destination *to = &setup->to;
    size_t n = 0;

    out[n++] = VERSION;
    out[n++] = COMMAND_CONNECT;
    n += socks_put_port(out + n, to->port);
    memcpy(out + n, to->name.data ? name_follows : (const uint8_t *)&to->address.ipv4,
           sizeof name_follows);
    n += sizeof name_follows;
    n += put_string(out + n, setup->user);
    if (to->name.data)
        n += put_string(out + n, to->name);
    return n;
}

void socks4_init(struct socks4 *s, const struct socks4_setup *setup)
{
    dialog_init(&s->dialog, setup->is_4a ? &socks4a_type : &socks4_type);
    if (check_setup(&s->dialog, setup))
        dialog_want_send(&s->dialog, s->request, put_request(s->request, setup));
}
