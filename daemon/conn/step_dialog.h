/* A dialog with the peer of a connection, while it is carried out and as long as something of it is
 * kept. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/base/builder.h"
#include "daemon/dialog/http_connect.h"
#include "daemon/dialog/proxy_header.h"
#include "daemon/dialog/socks4.h"
#include "daemon/dialog/socks5.h"
#include "daemon/dialog/starttls.h"
#include "daemon/dialog/websocket.h"
#include "daemon/gss/gss.h"

struct conn;

struct step_dialog {
    struct step_dialog *next; /* of conn->dialogs */
    struct conn *conn;
    struct gss_context gss; /* whom it asks */
    size_t step;
    size_t n_sent;                     /* of what it wants sent */
    struct builder heard;              /* of what it wants to receive: seen, or taken */
    size_t n_left;                     /* seen, and to be taken */
    bool has_end;                      /* then that is all */
    struct http_connect_settings http; /* without the credentials, where none may be presented */
    union {
        struct dialog dialog;
        struct http_connect http_connect;
        struct socks4 socks4;
        struct socks5 socks5;
        struct proxy_header proxy_header;
        struct starttls starttls;
        struct websocket websocket;
    };
};

/* The dialog of the current step, as the plan and the parameters say; `answered` is for what it
 * asks. NULL without memory or random bytes. */
struct step_dialog *step_dialog_new(struct conn *conn, gss_fn *answered);
/* Returns the next one. */
struct step_dialog *step_dialog_free(struct step_dialog *d);
