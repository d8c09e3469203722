/* The proxies that the conversations and the fuzzer have to do with. */
#pragma once

#include <stdlib.h>

#include "daemon/dialog/http_connect.h"
#include "daemon/tls/hash.h"
#include "proto/cleanup.h"

#define SECRET "Swordfish"
#define BASE64 "dXNlcjpTd29yZGZpc2g=" /* user:Swordfish */
#define TOKEN  "to.ken_of-mine=="

struct setup {
    struct http_connect_settings proxy;
    struct auth_memory memory; /* copied for each connection */
    const char *host;
    uint16_t port;
};

#define CREDENTIALS                                                                                \
    .user = {"user", 4}, .password = {SECRET, sizeof SECRET - 1},                                  \
    .token = {TOKEN, sizeof TOKEN - 1}, .hash = tls_hash,                                          \
    .gss = {.service = "HTTP@proxy.example",                                                       \
            .user = {"user", 4},                                                                   \
            .password = {SECRET, sizeof SECRET - 1}}

static const struct text extra_headers[] = {{"User-Agent: fdial", 17}, {"X-Tenant:\ta b", 13}};

enum {
    PLAIN,
    OLD,
    EXTRA,
    IPV6,
    BASIC_ONLY,
    DIGEST_ONLY,
    BEARER_ONLY,
    DIGEST_BASIC,
    ALL_SCHEMES,
    KNOWN_BASIC,
    KNOWN_NONCE,
    OLD_DIGEST,
    NEGOTIATE_ONLY,
    NTLM_ONLY,
    NEGOTIATE_BASIC,
    NTLM_NEGOTIATE,
    KNOWN_NTLM,
    N_SETUPS,
};

static const struct setup setups[N_SETUPS] = {
    [PLAIN] = {.host = "host.example", .port = 443},
    [OLD] = {.proxy = {.is_http_1_0 = true}, .host = "host.example", .port = 443},
    [EXTRA] = {.proxy = {.headers = extra_headers, .n_headers = ARRAY_SIZE(extra_headers)},
               .host = "192.0.2.1",
               .port = 1},
    [IPV6] = {.host = "2001:db8::1", .port = 65535},
    [BASIC_ONLY] = {.proxy = {.auth = {.schemes = {AUTH_BASIC}, .n_schemes = 1, CREDENTIALS}},
                    .host = "host.example",
                    .port = 443},
    [DIGEST_ONLY] = {.proxy = {.auth = {.schemes = {AUTH_DIGEST}, .n_schemes = 1, CREDENTIALS}},
                     .host = "host.example",
                     .port = 443},
    [BEARER_ONLY] = {.proxy = {.auth = {.schemes = {AUTH_BEARER}, .n_schemes = 1, CREDENTIALS}},
                     .host = "host.example",
                     .port = 443},
    [DIGEST_BASIC] =
        {.proxy = {.auth = {.schemes = {AUTH_DIGEST, AUTH_BASIC}, .n_schemes = 2, CREDENTIALS}},
         .host = "host.example",
         .port = 443},
    [ALL_SCHEMES] = {.proxy = {.auth = {.schemes = {AUTH_BEARER, AUTH_DIGEST, AUTH_BASIC},
                                        .n_schemes = 3,
                                        CREDENTIALS}},
                     .host = "host.example",
                     .port = 443},
    [KNOWN_BASIC] =
        {.proxy = {.auth = {.schemes = {AUTH_DIGEST, AUTH_BASIC}, .n_schemes = 2, CREDENTIALS}},
         .memory = {.is_known = true, .scheme = AUTH_BASIC},
         .host = "host.example",
         .port = 443},
    [KNOWN_NONCE] =
        {.proxy = {.auth = {.schemes = {AUTH_DIGEST, AUTH_BASIC}, .n_schemes = 2, CREDENTIALS}},
         .memory = {.is_known = true,
                    .scheme = AUTH_DIGEST,
                    .digest = {.challenge = {.algorithm = HASH_SHA256,
                                             .has_algorithm = true,
                                             .has_qop = true,
                                             .realm = "r",
                                             .nonce = "known"},
                               .cnonce = "before",
                               .count = 6}},
         .host = "host.example",
         .port = 443},
    [OLD_DIGEST] = {.proxy = {.is_http_1_0 = true,
                              .auth = {.schemes = {AUTH_DIGEST}, .n_schemes = 1, CREDENTIALS}},
                    .host = "host.example",
                    .port = 443},
    [NEGOTIATE_ONLY] =
        {.proxy = {.auth = {.schemes = {AUTH_NEGOTIATE}, .n_schemes = 1, CREDENTIALS}},
         .host = "host.example",
         .port = 443},
    [NTLM_ONLY] = {.proxy = {.auth = {.schemes = {AUTH_NTLM}, .n_schemes = 1, CREDENTIALS}},
                   .host = "host.example",
                   .port = 443},
    [NEGOTIATE_BASIC] =
        {.proxy = {.auth = {.schemes = {AUTH_NEGOTIATE, AUTH_BASIC}, .n_schemes = 2, CREDENTIALS}},
         .host = "host.example",
         .port = 443},
    [NTLM_NEGOTIATE] =
        {.proxy = {.auth = {.schemes = {AUTH_NTLM, AUTH_NEGOTIATE}, .n_schemes = 2, CREDENTIALS}},
         .host = "host.example",
         .port = 443},
    [KNOWN_NTLM] =
        {.proxy = {.auth = {.schemes = {AUTH_BASIC, AUTH_NTLM}, .n_schemes = 2, CREDENTIALS}},
         .memory = {.is_known = true, .scheme = AUTH_NTLM},
         .host = "host.example",
         .port = 443},
};

/* The dialog with its own memory. */
struct connection {
    struct http_connect connect;
    struct auth_memory memory;
};

static inline struct dialog *make_connection(const void *setup)
{
    const struct setup *s = setup;
    struct connection *c = malloc(sizeof *c);

    if (!c)
        abort();
    c->memory = s->memory;
    http_connect_init(&c->connect, &s->proxy, &c->memory, s->host, s->port, "c0ffee");
    return &c->connect.dialog;
}

static inline void free_connection(struct dialog *dialog)
{
    free(dialog);
}
