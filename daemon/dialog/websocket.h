/* The upgrade to WebSocket: RFC 6455, 4.1. The request with what the client wants in it, then the
 * answer, checked in full; a 101 that is right is told as `response`, with the status line and the
 * empty line. What comes behind it are frames, which are the client's.
 *
 * A server may agree to no subprotocol although some were asked for (RFC 6455, 4.2.2): whether that
 * will do is the client's to say, who sees it in the response. An answer other than 101 is a
 * refusal, and its head is told too. Its body is not waited for. */
#pragma once

#include "daemon/base/builder.h"
#include "daemon/base/hash.h"
#include "daemon/dialog/dialog.h"
#include "proto/target.h"

#define WEBSOCKET_KEY_SIZE    16                   /* RFC 6455, 4.1, 7. */
#define WEBSOCKET_HEAD_MAX    MESSAGE_RESPONSE_MAX /* of an answer; a longer one is an error */
#define WEBSOCKET_INTERIM_MAX 8                    /* answers 1xx before the one that counts */
/* All that a client can ask for in one message, and our own fields. */
#define WEBSOCKET_REQUEST_MAX (WIRE_REQUEST_MAX + 1024)

/* What a client may add to the request. */
struct websocket_options {
    const struct text *headers; /* "Name: value" */
    size_t n_headers;
    const struct text *subprotocols; /* in order of preference */
    size_t n_subprotocols;
};

struct websocket_setup {
    const struct target *target; /* ws or wss */
    struct websocket_options options;
    uint8_t key[WEBSOCKET_KEY_SIZE]; /* random */
    hash_function *hash;
};

struct websocket {
    struct dialog dialog;
    struct builder request; /* with the client's headers, which may hold its secrets */
    size_t asked_at;        /* where in it the list of subprotocols begins */
    size_t n_asked;         /* its length; 0: none were asked for */
    char accept[32];        /* the answer to the key */
    unsigned n_interim;
};

/* Whether all of it may stand in a request: headers of a right form that are neither ours (Host,
 * Sec-WebSocket-…) nor about the connection or a body; subprotocols that are tokens, each once.
 * Otherwise fails with BAD_OPTION, and says nothing of a header's value. */
bool websocket_check_options(const struct websocket_options *options, struct failure *ret_failure);

/* All of the setup is copied. Options that do not pass the check fail the dialog with BAD_OPTION
 * before a byte is sent. */
void websocket_init(struct websocket *websocket, const struct websocket_setup *setup);
