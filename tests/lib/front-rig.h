/* The whole of one worker in the test's thread, and its client beside it: requests over a real
 * session, each answered while the test turns the ring. What hangs fails the test. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/front/front.h"
#include "proto/message.h"

#define RIG_FDS_MAX 8 /* in one result */

extern struct front rig_front;
extern struct counters rig_counters;
extern struct capabilities rig_caps; /* the test's to set, before rig_start() */

/* config: the whole text of one. */
void rig_start(const char *config);
void rig_stop(void);
/* From now on it takes no longer than some seconds until … */
void rig_be_patient(void);
/* A turn of the ring, for a tick at the most: client and origin are not in it. */
void rig_turn(void);
/* Until nothing of a client is left in the worker. */
void rig_wait_until_quiet(void);
size_t rig_count_fds(void);

/* A session. */
int rig_client_open(void);
/* One that a grant gave, whose maker is gone; -1: it could not be had. */
int rig_client_open_granted(void);
/* Says hello, and asks as request 1. */
void rig_client_connect(int fd, const struct message_connect *connect);
/* The answer, whose texts live until the next call. Returns how many fds came with it, or -1 when
 * the session ended instead. */
int rig_client_result(int fd, struct message_result *ret, int *fds);
