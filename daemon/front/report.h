/* Answers about the daemon itself: explain and status. */
#pragma once

#include "daemon/front/peer.h"
#include "proto/message.h"

void report_explain(struct peer *peer, uint64_t id, const struct message_explain *message);
void report_status(struct peer *peer, uint64_t id, const struct message_status *message);
/* Whether the peer may see what is not his own: root and the daemon's user. */
bool report_may_tell_all(const struct peer *peer);
