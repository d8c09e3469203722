/* The client's end is not in the ring: its sends go at once, and while it waits the ring turns. A
 * lost event is a failed test, not one that hangs. */
#include "tests/lib/front-rig.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "daemon/base/log.h"
#include "daemon/front/listener.h"
#include "daemon/front/peer.h"
#include "proto/cleanup.h"
#include "proto/fdmsg.h"

#define PATIENCE_US (10 * US_PER_S)
#define TICK_US     (2 * US_PER_MS)

struct front rig_front;
struct counters rig_counters;
struct capabilities rig_caps = {.seal_reason = "not tried"};

static struct counters *all_counters[] = {&rig_counters};
static struct status_source status = {.counters = all_counters, .n_workers = 1};
static struct stats_table *stats;
static uint8_t buffer[WIRE_MESSAGE_MAX];
static uint64_t patient_until_us;

void rig_start(const char *config)
{
    char error[CONFIG_ERROR_MAX];
    const char *ring_error = "";

    log_init(LOG_LEVEL_ERROR);
    memset(&rig_front, 0, sizeof rig_front);
    memset(&rig_counters, 0, sizeof rig_counters);
    front_init(&rig_front);
    ck_assert_msg(ring_new(&rig_front.env.ring, &(struct ring_options){0}, &ring_error) == 0, "%s",
                  ring_error);
    ck_assert_int_eq(own_addresses_new(&rig_front.env.own), 0);
    ck_assert_int_eq(
        resolver_new(&rig_front.env.resolver, rig_front.env.ring, &(struct resolver_options){0}),
        0);
    ck_assert_int_eq(quota_table_new(&rig_front.quotas), 0);
    rig_front.env.caps = &rig_caps;
    rig_front.counters = &rig_counters;
    rig_front.status = &status;
    ck_assert_int_eq(stats_table_new(&stats), 0);
    rig_front.undecided = stats_get(stats, "");
    ck_assert_msg(config_parse(&rig_front.config, "test", config, strlen(config), error) == 0, "%s",
                  error);
    ck_assert_int_eq(config_prepare(rig_front.config, stats, 1), 0);
}

void rig_stop(void)
{
    audit_deinit(&rig_front);
    resolver_free(rig_front.env.resolver);
    own_addresses_free(rig_front.env.own);
    ring_free(rig_front.env.ring);
    config_unref(rig_front.config);
    stats_put(rig_front.undecided);
    stats_table_free(stats);
    quota_table_free(rig_front.quotas);
}

void rig_be_patient(void)
{
    patient_until_us = clock_now_us() + PATIENCE_US;
}

static void ticked(struct timer *timer)
{
    (void)timer;
}

void rig_turn(void)
{
    struct timer tick;

    timer_init(&tick, ticked);
    ring_timer_set(rig_front.env.ring, &tick, clock_now_us() + TICK_US);
    ck_assert_int_eq(ring_turn(rig_front.env.ring), 0);
    ring_timer_clear(rig_front.env.ring, &tick);
    ck_assert_msg(clock_now_us() < patient_until_us, "hangs");
}

void rig_wait_until_quiet(void)
{
    while (!list_is_empty(&rig_front.peers) || !list_is_empty(&rig_front.grants) ||
           !list_is_empty(&rig_front.relays))
        rig_turn();
    /* what is being closed is closed with the next submission */
    rig_turn();
}

size_t rig_count_fds(void)
{
    DIR *directory = opendir("/proc/self/fd");
    size_t n = 0;

    while (readdir(directory))
        n++;
    closedir(directory);
    return n;
}

int rig_client_open(void)
{
    int pair[2], on = 1;

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    ck_assert_int_eq(setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on), 0);
    peer_new_consume_fd(&rig_front, pair[0], NULL);
    return pair[1];
}

static void say_hello(int fd)
{
    ssize_t n = message_encode_hello(buffer, sizeof buffer, &(struct message_hello){.version = 1});

    ck_assert_int_eq(send(fd, buffer, (size_t)n, MSG_NOSIGNAL), n);
}

void rig_client_connect(int fd, const struct message_connect *connect)
{
    ssize_t n;

    say_hello(fd);
    n = message_encode_connect(buffer, sizeof buffer, 1, connect);
    ck_assert_int_eq(send(fd, buffer, (size_t)n, MSG_NOSIGNAL), n);
}

/* The next message, with at most RIG_FDS_MAX fds; false at the session's end. */
static bool receive(int fd, struct wire_reader *ret_reader, struct wire_head *ret_head, int *fds,
                    size_t *ret_n_fds)
{
    for (;;) {
        ssize_t n =
            fdmsg_recv(fd, buffer, sizeof buffer, fds, RIG_FDS_MAX, ret_n_fds, MSG_DONTWAIT);

        if (n > 0) {
            ck_assert_int_eq(wire_read_head(ret_reader, buffer, (size_t)n, ret_head), 0);
            return true;
        }
        if (n != -EAGAIN)
            return false;
        rig_turn();
    }
}

/* The fd of the next message that is no welcome; -1 when it has none, or the session ended. */
static int take_fd(int fd)
{
    struct wire_reader reader;
    struct wire_head head;
    int fds[RIG_FDS_MAX];
    size_t n_fds = 0;

    do {
        if (!receive(fd, &reader, &head, fds, &n_fds))
            return -1;
    } while (head.type == WIRE_WELCOME);
    ck_assert_uint_le(n_fds, 1);
    return n_fds > 0 ? fds[0] : -1;
}

int rig_client_open_granted(void)
{
    const struct message_grant all = {.patterns = {text_of("*://*:*")}, .n_patterns = 1};
    int maker = rig_client_open(), grant, client = -1;
    ssize_t n;

    say_hello(maker);
    n = message_encode_grant(buffer, sizeof buffer, 2, &all);
    ck_assert_int_eq(send(maker, buffer, (size_t)n, MSG_NOSIGNAL), n);
    grant = take_fd(maker);
    n = message_encode_open(buffer, sizeof buffer);
    if (grant >= 0 && send(grant, buffer, (size_t)n, MSG_NOSIGNAL) == n)
        client = take_fd(grant);
    fd_close(grant);
    close(maker);
    return client;
}

int rig_client_result(int fd, struct message_result *ret, int *fds)
{
    struct wire_reader reader;
    struct wire_head head;
    const char *error;
    size_t n_fds = 0;

    do {
        if (!receive(fd, &reader, &head, fds, &n_fds))
            return -1;
    } while (head.type != WIRE_RESULT);
    ck_assert_int_eq(message_decode_result(reader, ret, &error), 0);
    ck_assert_int_eq(n_fds > 0, ret->code == 0);
    return (int)n_fds;
}
