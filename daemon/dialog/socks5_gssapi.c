/* First tokens go to and fro, each in a message of its own, until the context is complete:
 *
 *     ask ─▶ take_token ─▶ send ─▶ hear_head ─▶ hear_length ─▶ hear_token ─┐
 *      ▲                                                                  │
 *      └──────────────────────────────────────────────────────────────────┘
 *
 * Then the level of protection, wrapped, in one message each way, which is heard like a token. A
 * proxy that aborts says so in two bytes, without a length. */
#include "daemon/dialog/socks5_gssapi.h"

#include <stdlib.h>
#include <string.h>

#define VERSION       1 /* of RFC 1961's messages */
#define MESSAGE_TOKEN 1
#define MESSAGE_LEVEL 2
#define MESSAGE_ABORT 0xff
#define N_HEAD        2
#define N_LENGTH      2

static const char level_none[1] = {0};

static void ask(struct socks5 *s, enum gss_question_kind kind, struct text token,
                void (*answered)(struct socks5 *s, const struct gss_answer *answer,
                                 const char *why))
{
    struct socks5_gssapi *g = &s->gssapi;

    g->question = (struct gss_question){kind, GSS_KERBEROS, g->settings, token};
    g->answered = answered;
    dialog_want_answer(&s->dialog, &g->question);
}

/* No, or not now: another method may do. */
static void give_up(struct socks5 *s, const char *why)
{
    if (!socks5_try_others(s, SOCKS5_METHOD_GSSAPI))
        dialog_fail(&s->dialog, ERROR_PROXY_AUTH, "GSSAPI: %s", why);
}

/* ---- what it says ---- */

static void take_token(struct socks5 *s, const struct gss_answer *answer, const char *why);
static void take_level(struct socks5 *s, const struct gss_answer *answer, const char *why);

static void hear_token(struct socks5 *s, const uint8_t *data)
{
    struct socks5_gssapi *g = &s->gssapi;
    size_t n = s->dialog.n;

    free(g->heard);
    g->heard = malloc(n);
    if (!g->heard) {
        dialog_fail(&s->dialog, ERROR_NO_RESOURCES, "no memory");
        return;
    }
    memcpy(g->heard, data, n);
    if (g->is_complete)
        ask(s, QUESTION_UNWRAP, (struct text){g->heard, n}, take_level);
    else
        ask(s, QUESTION_NEXT, (struct text){g->heard, n}, take_token);
}

static void hear_length(struct socks5 *s, const uint8_t *data)
{
    size_t n = (size_t)data[0] << 8 | data[1];

    if (n == 0 || n > QUESTION_TOKEN_MAX)
        dialog_fail(&s->dialog, ERROR_PROXY_PROTOCOL, "it sends a token of %zu bytes", n);
    else
        socks5_listen(s, n, hear_token);
}

static void hear_head(struct socks5 *s, const uint8_t *data)
{
    uint8_t expected = s->gssapi.is_complete ? MESSAGE_LEVEL : MESSAGE_TOKEN;

    if (data[0] != VERSION)
        socks_fail_version(&s->dialog, data[0], VERSION);
    else if (data[1] == MESSAGE_ABORT && s->gssapi.is_complete)
        give_up(s, "it does not let data go unprotected");
    else if (data[1] == MESSAGE_ABORT)
        give_up(s, "it refused the credentials");
    else if (data[1] != expected)
        dialog_fail(&s->dialog, ERROR_PROXY_PROTOCOL, "its message is of type %u instead of %u",
                    data[1], expected);
    else
        socks5_listen(s, N_LENGTH, hear_length);
}

/* ---- what we say ---- */

static void wipe(struct socks5_gssapi *g)
{
    if (g->said)
        explicit_bzero(g->said, g->n_said);
    free(g->said);
    g->said = NULL;
}

static void say_message(struct socks5 *s, uint8_t type, struct text token, size_t n_answer,
                        void (*hear)(struct socks5 *s, const uint8_t *data))
{
    struct socks5_gssapi *g = &s->gssapi;

    wipe(g);
    g->n_said = N_HEAD + N_LENGTH + token.n;
    g->said = malloc(g->n_said);
    if (!g->said) {
        dialog_fail(&s->dialog, ERROR_NO_RESOURCES, "no memory");
        return;
    }
    g->said[0] = VERSION;
    g->said[1] = type;
    g->said[2] = (uint8_t)(token.n >> 8);
    g->said[3] = (uint8_t)token.n;
    memcpy(g->said + N_HEAD + N_LENGTH, token.data, token.n);
    socks5_say(s, g->said, g->n_said, n_answer, hear);
}

static bool can_be_said(struct socks5 *s, struct text token)
{
    if (token.n > 0 && token.n <= QUESTION_TOKEN_MAX)
        return true;
    dialog_fail(&s->dialog, ERROR_PROXY_AUTH, "GSSAPI: a token of %zu bytes cannot be said",
                token.n);
    return false;
}

static void take_level(struct socks5 *s, const struct gss_answer *answer, const char *why)
{
    if (!answer)
        dialog_fail(&s->dialog, ERROR_PROXY_AUTH, "GSSAPI: its level of protection: %s", why);
    else if (answer->token.n != 1)
        dialog_fail(&s->dialog, ERROR_PROXY_PROTOCOL, "its level of protection has %zu bytes",
                    answer->token.n);
    else if (answer->token.data[0] != 0)
        dialog_fail(&s->dialog, ERROR_PROXY_AUTH,
                    "GSSAPI: it insists on protecting all data (level %u): it has to allow none",
                    (uint8_t)answer->token.data[0]);
    else
        socks5_say_request(s);
}

static void say_level(struct socks5 *s, const struct gss_answer *answer, const char *why)
{
    if (!answer)
        give_up(s, why);
    else if (can_be_said(s, answer->token))
        say_message(s, MESSAGE_LEVEL, answer->token, N_HEAD, hear_head);
}

static void ask_level(struct socks5 *s, const uint8_t *data)
{
    (void)data;
    ask(s, QUESTION_WRAP, (struct text){level_none, sizeof level_none}, say_level);
}

/* When it is complete, the proxy has nothing more to say to our last token. */
static void take_token(struct socks5 *s, const struct gss_answer *answer, const char *why)
{
    struct socks5_gssapi *g = &s->gssapi;

    if (!answer) {
        give_up(s, why);
        return;
    }
    g->is_complete = answer->is_complete;
    if (g->is_complete && answer->token.n == 0)
        ask_level(s, NULL);
    else if (!g->is_complete && ++g->n_rounds > SOCKS5_ROUNDS_MAX)
        dialog_fail(&s->dialog, ERROR_PROXY_PROTOCOL, "GSSAPI does not come to an end");
    else if (!can_be_said(s, answer->token))
        return;
    else if (g->is_complete)
        say_message(s, MESSAGE_TOKEN, answer->token, 0, ask_level);
    else
        say_message(s, MESSAGE_TOKEN, answer->token, N_HEAD, hear_head);
}

void socks5_gssapi_start(struct socks5 *s)
{
    s->gssapi.is_complete = false;
    s->gssapi.n_rounds = 0;
    ask(s, QUESTION_FIRST, (struct text){0}, take_token);
}

void socks5_gssapi_deinit(struct socks5 *s)
{
    wipe(&s->gssapi);
    free(s->gssapi.heard);
    s->gssapi.heard = NULL;
}
