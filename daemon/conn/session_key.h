/* Under which TLS sessions are kept, as far as the connection decides it: by whose rule, with which
 * hop, and where that is. A proxy's session is never a target's. */
#pragma once

#include "daemon/conn/conn.h"

#define SESSION_KEY_MAX (CONFIG_TITLE_MAX + TARGET_HOST_MAX + 64)

/* For the current step; points into buf. */
struct text session_key_make(const struct conn *conn, char buf[SESSION_KEY_MAX]);
