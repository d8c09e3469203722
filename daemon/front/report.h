/* Answers about the daemon itself: explain and status. */
#pragma once

#include "daemon/front/peer.h"
#include "proto/message.h"

message_fn report_explain, report_status;
/* Whether the peer may see what is not his own: root and the daemon's user. */
bool report_may_tell_all(const struct peer *peer);
