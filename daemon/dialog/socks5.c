/* Three questions, one answer to each: which method (the proxy chooses from those offered), what
 * the method asks, and the request. Each question says who hears its answer and how long that is;
 * the reply to the request is taken in two parts, as its length depends on its address.
 *
 * A method is a row of `methods` with the function that starts it; when it is through, it says the
 * request. */
#include "daemon/dialog/socks5.h"

#include <string.h>

#include "daemon/base/list.h"
#include "daemon/dialog/socks5_gssapi.h"
#include "proto/cleanup.h"

#define VERSION         5
#define COMMAND_CONNECT 1

#define METHOD_NONE           0x00
#define METHOD_PASSWORD       0x02
#define METHOD_NOT_ACCEPTABLE 0xff
#define N_METHOD_ANSWER       2

#define LOGIN_VERSION  1 /* RFC 1929, 2 */
#define N_LOGIN_ANSWER 2

#define N_PORT       2
#define N_REPLY_HEAD 5 /* to the first byte of the address: for a name, its length */
#define REPLY_OK     0

enum address_type {
    ADDRESS_TYPE_IPV4 = 1,
    ADDRESS_TYPE_NAME = 3,
    ADDRESS_TYPE_IPV6 = 4,
};

void socks5_say(struct socks5 *s, const uint8_t *data, size_t n, size_t n_answer,
                void (*hear)(struct socks5 *s, const uint8_t *data))
{
    s->n_answer = n_answer;
    s->hear = hear;
    dialog_want_send(&s->dialog, data, n);
}

void socks5_listen(struct socks5 *s, size_t n, void (*hear)(struct socks5 *s, const uint8_t *data))
{
    s->hear = hear;
    dialog_want_exact(&s->dialog, n);
}

/* ---- the request ---- */

static void hear_rest(struct socks5 *s, const uint8_t *data)
{
    (void)data; /* the proxy's own address on the other side: of no use to anybody */
    dialog_done(&s->dialog);
}

/* RFC 1928, 6 */
static const char *reply_text(uint8_t reply)
{
    static const char *const texts[] = {
        [1] = "general failure",       [2] = "connection not allowed by its rules",
        [3] = "network unreachable",   [4] = "host unreachable",
        [5] = "connection refused",    [6] = "TTL expired",
        [7] = "command not supported", [8] = "address type not supported",
    };

    return reply < ARRAY_SIZE(texts) ? texts[reply] : "refused for a reason without a text";
}

/* The reserved byte is not looked at: it says nothing, and some proxies leave anything there. */
static void hear_reply(struct socks5 *s, const uint8_t *data)
{
    uint8_t version = data[0], reply = data[1], type = data[3], first = data[4];

    if (version != VERSION) {
        socks_fail_version(&s->dialog, version, VERSION);
        return;
    }
    if (reply != REPLY_OK) {
        dialog_fail(&s->dialog, ERROR_PROXY_REFUSED, "%s (reply %u)", reply_text(reply), reply);
        return;
    }
    s->hear = hear_rest;
    switch (type) {
    case ADDRESS_TYPE_IPV4:
        dialog_want_exact(&s->dialog, sizeof(struct in_addr) - 1 + N_PORT);
        return;
    case ADDRESS_TYPE_NAME:
        dialog_want_exact(&s->dialog, (size_t)first + N_PORT);
        return;
    case ADDRESS_TYPE_IPV6:
        dialog_want_exact(&s->dialog, sizeof(struct in6_addr) - 1 + N_PORT);
        return;
    }
    dialog_fail(&s->dialog, ERROR_PROXY_PROTOCOL, "its reply has an address of unknown type %u",
                type);
}

void socks5_say_request(struct socks5 *s)
{
    explicit_bzero(s->login, sizeof s->login);
    socks5_gssapi_deinit(s);
    socks5_say(s, s->request, s->n_request, N_REPLY_HEAD, hear_reply);
}

/* ---- the methods ---- */

static void hear_login(struct socks5 *s, const uint8_t *data)
{
    if (data[0] != LOGIN_VERSION)
        socks_fail_version(&s->dialog, data[0], LOGIN_VERSION);
    else if (data[1] != 0)
        dialog_fail(&s->dialog, ERROR_PROXY_AUTH, "it refused user and password (status %u)",
                    data[1]);
    else
        socks5_say_request(s);
}

static void say_login(struct socks5 *s)
{
    socks5_say(s, s->login, s->n_login, N_LOGIN_ANSWER, hear_login);
}

static bool has_credentials(const struct socks5_setup *setup)
{
    return setup->user.data != NULL;
}

static bool may_be_anonymous(const struct socks5_setup *setup)
{
    return setup->may_be_anonymous || (!has_credentials(setup) && !setup->gss);
}

static bool has_gss(const struct socks5_setup *setup)
{
    return setup->gss != NULL;
}

/* In the order in which they are offered; some proxies take the first they know. */
static const struct method {
    uint8_t number;
    bool (*may_be_used)(const struct socks5_setup *setup);
    void (*start)(struct socks5 *s);
} methods[] = {
    {SOCKS5_METHOD_GSSAPI, has_gss, socks5_gssapi_start},
    {METHOD_PASSWORD, has_credentials, say_login},
    {METHOD_NONE, may_be_anonymous, socks5_say_request},
};

_Static_assert(ARRAY_SIZE(methods) == SOCKS5_METHODS_MAX, "room in the greeting");

static bool is_offered(const struct socks5 *s, uint8_t method)
{
    return memchr(s->greeting + 2, method, s->greeting[1]) != NULL;
}

static void hear_method(struct socks5 *s, const uint8_t *data)
{
    if (data[0] != VERSION) {
        socks_fail_version(&s->dialog, data[0], VERSION);
        return;
    }
    for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
        if (methods[i].number == data[1] && is_offered(s, data[1])) {
            methods[i].start(s);
            return;
        }
    }
    if (data[1] != METHOD_NOT_ACCEPTABLE)
        dialog_fail(&s->dialog, ERROR_PROXY_PROTOCOL, "it chose method %u, which was not offered",
                    data[1]);
    else if (is_offered(s, SOCKS5_METHOD_GSSAPI))
        dialog_fail(&s->dialog, ERROR_PROXY_AUTH, "it does not take GSSAPI%s",
                    s->n_login > 0 ? ", nor user and password" : "");
    else if (s->n_login > 0)
        dialog_fail(&s->dialog, ERROR_PROXY_AUTH, "it does not take user and password");
    else
        dialog_fail(&s->dialog, ERROR_PROXY_AUTH,
                    "it asks for authentication, and there are no user and password for it");
}

/* ---- what is said ---- */

static size_t put_string(uint8_t *out, struct text text)
{
    out[0] = (uint8_t)text.n;
    memcpy(out + 1, text.data, text.n);
    return 1 + text.n;
}

static void put_greeting(uint8_t *out, const struct socks5_setup *setup)
{
    size_t n = 2;

    for (size_t i = 0; i < ARRAY_SIZE(methods); i++)
        if (methods[i].may_be_used(setup))
            out[n++] = methods[i].number;
    out[0] = VERSION;
    out[1] = (uint8_t)(n - 2);
}

static size_t put_login(uint8_t *out, const struct socks5_setup *setup)
{
    size_t n = 0;

    out[n++] = LOGIN_VERSION;
    n += put_string(out + n, setup->user);
    n += put_string(out + n, setup->password);
    return n;
}

static size_t put_address(uint8_t *out, const struct socks_destination *to)
{
    size_t n = to->address.family == AF_INET ? sizeof to->address.ipv4 : sizeof to->address.ipv6;

    if (to->name.data) {
        out[0] = ADDRESS_TYPE_NAME;
        return 1 + put_string(out + 1, to->name);
    }
    out[0] = to->address.family == AF_INET ? ADDRESS_TYPE_IPV4 : ADDRESS_TYPE_IPV6;
    memcpy(out + 1, &to->address.ipv6, n);
    return 1 + n;
}

static size_t put_request(uint8_t *out, const struct socks_destination *to)
{
    size_t n = 0;

    out[n++] = VERSION;
    out[n++] = COMMAND_CONNECT;
    out[n++] = 0; /* reserved */
    n += put_address(out + n, to);
    n += socks_put_port(out + n, to->port);
    return n;
}

/* ---- the dialog ---- */

static void greet(struct socks5 *s)
{
    socks5_say(s, s->greeting, 2 + (size_t)s->greeting[1], N_METHOD_ANSWER, hear_method);
}

bool socks5_try_others(struct socks5 *s, uint8_t method)
{
    uint8_t *methods_said = s->greeting + 2, *found;

    found = memchr(methods_said, method, s->greeting[1]);
    if (!found || s->greeting[1] == 1)
        return false;
    memmove(found, found + 1, (size_t)(methods_said + s->greeting[1] - found - 1));
    s->greeting[1]--;
    dialog_want_reconnect(&s->dialog);
    return true;
}

static void socks5_reconnected(struct dialog *d)
{
    greet(container_of(d, struct socks5, dialog));
}

static void socks5_sent(struct dialog *d)
{
    struct socks5 *s = container_of(d, struct socks5, dialog);

    if (s->n_answer > 0)
        dialog_want_exact(d, s->n_answer);
    else
        s->hear(s, NULL);
}

static void socks5_answered(struct dialog *d, const struct gss_answer *answer, const char *why)
{
    struct socks5 *s = container_of(d, struct socks5, dialog);

    s->gssapi.answered(s, answer, why);
}

static void socks5_received(struct dialog *d, const uint8_t *data, size_t n)
{
    struct socks5 *s = container_of(d, struct socks5, dialog);

    (void)n; /* as many as were asked for */
    s->hear(s, data);
}

static void socks5_deinit(struct dialog *d)
{
    struct socks5 *s = container_of(d, struct socks5, dialog);

    explicit_bzero(s->login, sizeof s->login);
    socks5_gssapi_deinit(s);
}

static const struct dialog_type socks5_type = {.name = "socks5",
                                               .stage = STAGE_PROXY,
                                               .unclear = ERROR_PROXY_PROTOCOL,
                                               .sent = socks5_sent,
                                               .received = socks5_received,
                                               .reconnected = socks5_reconnected,
                                               .answered = socks5_answered,
                                               .deinit = socks5_deinit};

static bool is_length_of_credential(size_t n)
{
    return n > 0 && n <= SOCKS5_CREDENTIAL_MAX;
}

static bool check_setup(struct dialog *d, const struct socks5_setup *setup)
{
    if (has_credentials(setup) &&
        !(is_length_of_credential(setup->user.n) && is_length_of_credential(setup->password.n))) {
        dialog_fail(d, ERROR_PROXY_AUTH, "user and password have 1 to %u bytes each",
                    SOCKS5_CREDENTIAL_MAX);
        return false;
    }
    return !setup->to.name.data || socks_check_name(d, setup->to.name);
}

void socks5_init(struct socks5 *s, const struct socks5_setup *setup)
{
    *s = (struct socks5){0};
    dialog_init(&s->dialog, &socks5_type);
    if (!check_setup(&s->dialog, setup))
        return;
    if (has_credentials(setup))
        s->n_login = put_login(s->login, setup);
    s->n_request = put_request(s->request, &setup->to);
    s->gssapi.settings = setup->gss;
    put_greeting(s->greeting, setup);
    greet(s);
}
