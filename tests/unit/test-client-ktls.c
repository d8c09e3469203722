/* fdial_recv with kernel TLS: each conversation with buffers of every size, split at every byte,
 * with pauses and signals in between, cut at every byte. What the real kernel does is for tests/vm.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>

#include "client/fdial.h"
#include "tests/lib/suite.h"
#include "tests/unit/fake-fd.h"
#include "tests/unit/ktls-talks.h"

#define STREAM_MAX  64
#define BUFFER_MAX  20000
#define FLOOD_LIMIT 32
#define WAIT_MS     5000

static const size_t sizes[] = {1, 2, 3, 4, 5, 7, BUFFER_MAX};

#define N_SIZES (sizeof sizes / sizeof *sizes)

/* What comes between two records. */
enum gap { GAP_NONE, GAP_PAUSE, GAP_SIGNAL, GAP_KINDS };

static int64_t waited_ms(void)
{
    return fake_fd.skew_us / 1000;
}

static int poll_now(void)
{
    const struct timespec at_once = {0};
    struct pollfd polled = {.fd = FAKE_FD, .events = POLLIN};

    return ppoll(&polled, 1, &at_once, NULL);
}

static void add_gap(enum gap gap)
{
    if (gap == GAP_PAUSE)
        fake_fd_add((struct fake_event){.kind = FAKE_PAUSE, .number = 1000});
    else if (gap == GAP_SIGNAL)
        fake_fd_add((struct fake_event){.kind = FAKE_SIGNAL});
}

/* Reads until the end: what it is. The data is left in `stream`. */
static int read_all(size_t size, char stream[STREAM_MAX], size_t *ret_n)
{
    static char buf[BUFFER_MAX];
    size_t n = 0;

    for (unsigned calls = 0; calls < 200; calls++) {
        ssize_t r = fdial_recv(FAKE_FD, buf, size, 0);

        if (r == -EAGAIN) {
            if (fake_fd.next < fake_fd.n_events && fake_fd.events[fake_fd.next].kind == FAKE_SIGNAL)
                fake_fd.next++;
            fake_fd_wait();
            continue;
        }
        if (r == -EINTR)
            continue;
        if (r <= 0) {
            *ret_n = n;
            return (int)r;
        }
        ck_assert_uint_le(n + (size_t)r, STREAM_MAX);
        memcpy(stream + n, buf, (size_t)r);
        n += (size_t)r;
    }
    ck_abort_msg("no end");
}

static void expect_talk(const struct talk *talk, const char *how, size_t size)
{
    char stream[STREAM_MAX];
    size_t n = 0;
    int end = read_all(size, stream, &n);

    ck_assert_msg(end == talk->end, "%s, %s, buffer %zu: ends in %d, not %d", talk->name, how, size,
                  end, talk->end);
    ck_assert_msg(n == strlen(talk->data) && memcmp(stream, talk->data, n) == 0,
                  "%s, %s, buffer %zu: got \"%.*s\"", talk->name, how, size, (int)n, stream);
}

START_TEST(test_talk)
{
    const struct talk *talk = &talks[_i];

    for (unsigned v = 0; v < N_SIZES * GAP_KINDS * 8; v++) {
        fake_fd_reset(talk->version);
        fake_fd.is_blocking = v & 1;
        fake_fd.is_old = v & 2;
        fake_fd.expires_keys = v & 4;
        for (const struct part *p = talk->parts; p->bytes; p++) {
            add_gap(v / 8 % GAP_KINDS);
            fake_fd_add_record(p->type, p->bytes, p->n);
        }
        expect_talk(talk, "whole", sizes[v / 8 / GAP_KINDS]);
    }
}
END_TEST

/* Handshake messages may be split over records anywhere, and interrupted there. */
START_TEST(test_split)
{
    static const char message[] = TICKET TICKET;
    static const struct talk talk = {.name = "tickets", .data = "ab", .end = 0};
    size_t n = sizeof message - 1;

    for (size_t cut = 1; cut < n; cut++) {
        for (unsigned v = 0; v < N_SIZES * GAP_KINDS * 4; v++) {
            fake_fd_reset(TLS_1_3);
            fake_fd.is_blocking = v & 1;
            fake_fd.is_old = v & 2;
            fake_fd_add_record(DATA, "a", 1);
            fake_fd_add_record(HANDSHAKE, message, cut);
            add_gap(v / 4 % GAP_KINDS);
            fake_fd_add_record(HANDSHAKE, message + cut, n - cut);
            fake_fd_add_record(DATA, "b", 1);
            fake_fd_add_record(ALERT, CLOSE, 2);
            expect_talk(&talk, "split", sizes[v / 4 / GAP_KINDS]);
        }
    }
}
END_TEST

START_TEST(test_split_into_bytes)
{
    static const struct talk talk = {.name = "ticket", .data = "b", .end = 0};

    for (unsigned v = 0; v < N_SIZES * GAP_KINDS * 4; v++) {
        fake_fd_reset(TLS_1_3);
        fake_fd.is_blocking = v & 1;
        fake_fd.is_old = v & 2;
        for (size_t i = 0; i < sizeof TICKET - 1; i++)
            fake_fd_add_record(HANDSHAKE, &(TICKET)[i], 1);
        add_gap(v / 4 % GAP_KINDS);
        fake_fd_add_record(DATA, "b", 1);
        fake_fd_add_record(ALERT, CLOSE, 2);
        expect_talk(&talk, "in bytes", sizes[v / 4 / GAP_KINDS]);
    }
}
END_TEST

/* Behind each byte of a ticket: the end, an error, or nothing more. At the boundary of two messages
 * the call has left nothing behind, and says so by EAGAIN. */
START_TEST(test_cut)
{
    static const struct fake_event cuts[] = {{.kind = FAKE_FIN},
                                             {.kind = FAKE_ERROR, .number = ECONNRESET},
                                             {.kind = FAKE_PAUSE, .number = 600000}};
    static const int ends[] = {-ECONNABORTED, -ECONNRESET, -EPROTO};
    size_t n = sizeof TICKET - 1;

    for (size_t cut = 1; cut <= n; cut++) {
        for (unsigned v = 0; v < N_SIZES * 3; v++) {
            int end = ends[v % 3];
            char buf[BUFFER_MAX];
            int64_t expected_ms;

            fake_fd_reset(TLS_1_3);
            fake_fd_add_record(HANDSHAKE, TICKET, cut);
            fake_fd_add(cuts[v % 3]);
            fake_fd_add_record(DATA, "never", 5);
            expected_ms = cut < n && end == -EPROTO ? WAIT_MS : 0;
            if (cut == n && end == -EPROTO)
                end = -EAGAIN;
            ck_assert_int_eq(fdial_recv(FAKE_FD, buf, sizes[v / 3], 0), end);
            ck_assert_int_eq(waited_ms(), expected_ms);
        }
    }
}
END_TEST

/* A peer that drips a ticket gets five seconds for all of it, and signals do not add to them. */
START_TEST(test_drip)
{
    char c;

    fake_fd_reset(TLS_1_3);
    for (size_t i = 0; i < sizeof TICKET - 1; i++) {
        fake_fd_add_record(HANDSHAKE, &(TICKET)[i], 1);
        fake_fd_add((struct fake_event){.kind = FAKE_SIGNAL});
        fake_fd_add((struct fake_event){.kind = FAKE_PAUSE, .number = 700});
    }
    ck_assert_int_eq(fdial_recv(FAKE_FD, &c, 1, MSG_DONTWAIT), -EPROTO);
    ck_assert_int_eq(waited_ms(), WAIT_MS);
}
END_TEST

/* What poll() announces all the time is not asked for all the time. */
START_TEST(test_announced_part)
{
    char c;

    fake_fd_reset(TLS_1_3);
    fake_fd.announces_parts = true;
    fake_fd_add_record(HANDSHAKE, TICKET, 3);
    fake_fd_add((struct fake_event){.kind = FAKE_PAUSE, .number = 600000});
    ck_assert_int_eq(fdial_recv(FAKE_FD, &c, 1, 0), -EPROTO);
    ck_assert_int_eq(waited_ms(), WAIT_MS);
    ck_assert_uint_lt(fake_fd.n_recvs, 200);
    ck_assert_uint_gt(fake_fd.n_recvs, WAIT_MS / 105);
}
END_TEST

/* … and for the next record anew it is asked for soon. */
START_TEST(test_announced_rest)
{
    char c;

    fake_fd_reset(TLS_1_3);
    fake_fd.is_blocking = true;
    fake_fd.announces_parts = true;
    fake_fd_add_record(HANDSHAKE, TICKET, 3);
    fake_fd_add((struct fake_event){.kind = FAKE_PAUSE, .number = 200});
    fake_fd_add_record(HANDSHAKE, &(TICKET)[3], sizeof TICKET - 1 - 3);
    fake_fd_add((struct fake_event){.kind = FAKE_PAUSE, .number = 1});
    fake_fd_add_record(DATA, "x", 1);
    ck_assert_int_eq(fdial_recv(FAKE_FD, &c, 1, 0), 1);
    ck_assert_int_lt(waited_ms(), 210);
}
END_TEST

/* Who waits for data is told of the signal that came in the middle of a ticket, when that is whole;
 * EAGAIN it would not expect. */
START_TEST(test_signal_in_a_message)
{
    char c;

    for (unsigned v = 0; v < 4; v++) {
        bool has_data = v & 1;
        int flags = v & 2 ? MSG_WAITALL : 0;

        fake_fd_reset(TLS_1_3);
        fake_fd.is_blocking = true;
        fake_fd_add_record(HANDSHAKE, TICKET, 3);
        fake_fd_add((struct fake_event){.kind = FAKE_SIGNAL});
        fake_fd_add((struct fake_event){.kind = FAKE_PAUSE, .number = 1000});
        fake_fd_add_record(HANDSHAKE, &(TICKET)[3], sizeof TICKET - 1 - 3);
        if (!has_data)
            fake_fd_add((struct fake_event){.kind = FAKE_PAUSE, .number = 1000});
        fake_fd_add_record(DATA, "x", 1);
        ck_assert_int_eq(fdial_recv(FAKE_FD, &c, 1, flags), -EINTR);
        ck_assert_int_eq(fdial_recv(FAKE_FD, &c, 1, flags), 1);
        ck_assert_int_eq(c, 'x');
    }
}
END_TEST

/* A message of a silent peer on a blocking socket is waited for, as data is. */
START_TEST(test_blocking_waits)
{
    char c;

    fake_fd_reset(TLS_1_3);
    fake_fd.is_blocking = true;
    fake_fd_add_record(HANDSHAKE, TICKET, 3);
    fake_fd_add((struct fake_event){.kind = FAKE_PAUSE, .number = 600000});
    fake_fd_add_record(HANDSHAKE, &(TICKET)[3], sizeof TICKET - 1 - 3);
    fake_fd_add_record(DATA, "x", 1);
    ck_assert_int_eq(fdial_recv(FAKE_FD, &c, 1, 0), 1);
    ck_assert_int_eq(c, 'x');
    ck_assert_int_eq(waited_ms(), 600000);
}
END_TEST

/* … but not after a signal: whoever sets an alarm does not wait for ever. */
START_TEST(test_blocking_is_interrupted)
{
    char c;

    fake_fd_reset(TLS_1_3);
    fake_fd.is_blocking = true;
    fake_fd_add_record(HANDSHAKE, TICKET, 3);
    fake_fd_add((struct fake_event){.kind = FAKE_SIGNAL});
    fake_fd_add((struct fake_event){.kind = FAKE_PAUSE, .number = 1000});
    fake_fd_add_record(HANDSHAKE, &(TICKET)[3], 1);
    fake_fd_add((struct fake_event){.kind = FAKE_PAUSE, .number = 600000});
    ck_assert_int_eq(fdial_recv(FAKE_FD, &c, 1, _i ? MSG_WAITALL : 0), -EPROTO);
    ck_assert_int_le(waited_ms(), WAIT_MS);
}
END_TEST

static const struct part floods[] = {PART(HANDSHAKE, TICKET), PART(ALERT, "\1\x5a"),
                                     PART(HANDSHAKE, "\4\0\0\0")};

/* As many records without data as are allowed, and one more. */
START_TEST(test_flood)
{
    const struct part *flood = &floods[_i];
    char buf[100];

    for (unsigned n = FLOOD_LIMIT; n <= FLOOD_LIMIT + 1; n++) {
        for (size_t size = 1; size <= sizeof buf; size += sizeof buf - 1) {
            fake_fd_reset(TLS_1_3);
            for (unsigned i = 0; i < n; i++)
                fake_fd_add_record(flood->type, flood->bytes, flood->n);
            fake_fd_add_record(DATA, "x", 1);
            ck_assert_int_eq(fdial_recv(FAKE_FD, buf, size, 0), n == FLOOD_LIMIT ? 1 : -EPROTO);
        }
    }
}
END_TEST

/* What a call before has counted is counted once. */
START_TEST(test_flood_behind_a_drip)
{
    char c;

    fake_fd_reset(TLS_1_3);
    fake_fd_add_record(HANDSHAKE, TICKET, sizeof TICKET - 1);
    fake_fd_add((struct fake_event){.kind = FAKE_PAUSE, .number = 1});
    for (unsigned i = 0; i < FLOOD_LIMIT - 1 + (unsigned)_i; i++)
        fake_fd_add_record(HANDSHAKE, TICKET, sizeof TICKET - 1);
    fake_fd_add_record(DATA, "x", 1);
    ck_assert_int_eq(fdial_recv(FAKE_FD, &c, 1, 0), -EAGAIN);
    fake_fd_wait();
    ck_assert_int_eq(fdial_recv(FAKE_FD, &c, 1, 0), _i == 0 ? 1 : -EPROTO);
}
END_TEST

/* Empty records between tickets, of which the kernel tells only that there were some. */
START_TEST(test_flood_of_empty_records)
{
    char c;

    fake_fd_reset(TLS_1_3);
    fake_fd.hides_ends = _i;
    for (unsigned i = 0; i <= FLOOD_LIMIT; i++) {
        fake_fd_add_record(DATA, "", 0);
        fake_fd_add_record(HANDSHAKE, TICKET, sizeof TICKET - 1);
    }
    ck_assert_int_eq(fdial_recv(FAKE_FD, &c, 1, 0), -EPROTO);
}
END_TEST

static const struct part drips[] = {PART(DATA, ""), PART(HANDSHAKE, TICKET), PART(ALERT, "\1\x5a")};

/* n records without data, each behind a pause. */
static void add_drips(const struct part *drip, unsigned n, int pause_ms)
{
    for (unsigned i = 0; i < n; i++) {
        fake_fd_add((struct fake_event){.kind = FAKE_PAUSE, .number = pause_ms});
        fake_fd_add_record(drip->type, drip->bytes, drip->n);
    }
    fake_fd_add((struct fake_event){.kind = FAKE_PAUSE, .number = pause_ms});
}

/* Calls until there is something else than EAGAIN, and each time once more than is needed. */
static ssize_t receive_polled(unsigned *n_calls)
{
    char buf[100];
    ssize_t r;

    while ((r = fdial_recv(FAKE_FD, buf, sizeof buf, 0)) == -EAGAIN) {
        (*n_calls)++;
        ck_assert_int_eq(fdial_recv(FAKE_FD, buf, sizeof buf, 0), -EAGAIN);
        fake_fd_wait();
    }
    return r;
}

/* A peer that keeps a caller busy: in one call or over many, but not too fast and not too slow. */
START_TEST(test_drips)
{
    const struct part *drip = &drips[_i / 2];
    unsigned n_calls;

    for (unsigned n = FLOOD_LIMIT; n <= FLOOD_LIMIT + 1; n++) {
        fake_fd_reset(TLS_1_3);
        fake_fd.is_blocking = _i & 1;
        fake_fd.cookie = n;
        add_drips(drip, n, 9999);
        fake_fd_add_record(DATA, "x", 1);
        n_calls = 0;
        ck_assert_int_eq(receive_polled(&n_calls), n == FLOOD_LIMIT ? 1 : -EPROTO);
        ck_assert_uint_eq(n_calls, fake_fd.is_blocking ? 0 : FLOOD_LIMIT + 1);
    }
    fake_fd_reset(TLS_1_3);
    fake_fd.is_blocking = _i & 1;
    add_drips(drip, 3 * FLOOD_LIMIT, 10000);
    fake_fd_add_record(DATA, "x", 1);
    ck_assert_int_eq(receive_polled(&n_calls), 1);
}
END_TEST

static void *receive_and_tell(void *ret)
{
    unsigned n_calls = 0;

    *(ssize_t *)ret = receive_polled(&n_calls);
    return NULL;
}

static ssize_t receive_in_a_thread(void)
{
    pthread_t thread;
    ssize_t r = 0;

    ck_assert_int_eq(pthread_create(&thread, NULL, receive_and_tell, &r), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    return r;
}

/* Data ends a row, whichever thread it was told to. */
START_TEST(test_drips_and_data)
{
    fake_fd_reset(TLS_1_3);
    for (unsigned i = 0; i < 3; i++) {
        add_drips(&drips[_i], FLOOD_LIMIT, 1);
        fake_fd_add_record(DATA, "x", 1);
    }
    add_drips(&drips[_i], FLOOD_LIMIT + 1, 1);
    for (unsigned i = 0; i < 3; i++)
        ck_assert_int_eq(receive_in_a_thread(), 1);
    ck_assert_int_eq(receive_in_a_thread(), -EPROTO);
}
END_TEST

/* One that many threads take turns in is one row. */
START_TEST(test_drips_to_threads)
{
    char c;

    fake_fd_reset(TLS_1_3);
    add_drips(&drips[_i], FLOOD_LIMIT + 1, 1);
    for (unsigned i = 0; i < FLOOD_LIMIT; i++) {
        fake_fd_wait();
        ck_assert_int_eq(fdial_recv(FAKE_FD, &c, 1, 0), -EAGAIN);
    }
    ck_assert_int_eq(receive_in_a_thread(), -EPROTO);
}
END_TEST

/* … and a signal does not. */
START_TEST(test_drips_and_signals)
{
    unsigned n_calls = 0;
    char c;

    fake_fd_reset(TLS_1_3);
    fake_fd.is_blocking = true;
    for (unsigned i = 0; i <= FLOOD_LIMIT; i++) {
        fake_fd_add_record(drips[_i].type, drips[_i].bytes, drips[_i].n);
        add_gap(GAP_SIGNAL);
    }
    while (fdial_recv(FAKE_FD, &c, 1, 0) == -EINTR)
        n_calls++;
    ck_assert_uint_eq(n_calls, FLOOD_LIMIT);
}
END_TEST

/* What one connection has counted is not the next one's, which may have its number. */
START_TEST(test_drips_of_another)
{
    unsigned n_calls = 0;

    for (unsigned i = 1; i < 5; i++) {
        fake_fd_reset(TLS_1_3);
        fake_fd.cookie = i;
        add_drips(&drips[0], FLOOD_LIMIT, 1);
        ck_assert_int_eq(receive_polled(&n_calls), -ECONNABORTED);
    }
}
END_TEST

/* The time limit of a socket that blocks is one for the call, whatever comes without being data. */
START_TEST(test_time_limit)
{
    char c;

    fake_fd_reset(TLS_1_3);
    fake_fd.is_blocking = true;
    fake_fd.limit_ms = 2500;
    add_drips(&drips[_i], 10, 1000);
    ck_assert_int_eq(fdial_recv(FAKE_FD, &c, 1, 0), -EAGAIN);
    ck_assert_int_eq(waited_ms(), 2500);
    fake_fd_reset(TLS_1_3);
    fake_fd.is_blocking = true;
    fake_fd.limit_ms = 1;
    ck_assert_int_eq(fdial_recv(FAKE_FD, &c, 1, 0), -ECONNABORTED);
    ck_assert_int_eq(waited_ms(), 0);
}
END_TEST

/* A limit of thousands of years is none. */
START_TEST(test_endless_time_limit)
{
    static const int64_t limits[] = {INT64_MAX, INT64_MAX / 2, INT64_MAX / 1000};
    char c;

    fake_fd_reset(TLS_1_3);
    fake_fd.is_blocking = true;
    fake_fd.limit_ms = limits[_i];
    add_drips(&drips[0], 1, 1000);
    fake_fd_add_record(DATA, "x", 1);
    ck_assert_int_eq(fdial_recv(FAKE_FD, &c, 1, 0), 1);
    ck_assert_int_eq(waited_ms(), 2000);
}
END_TEST

/* In the middle of a message it is over only when the rest does not come either. */
START_TEST(test_time_limit_in_a_message)
{
    static const int pauses[] = {3000, 7000};
    static const int ends[] = {-EAGAIN, -EPROTO};
    char c;

    fake_fd_reset(TLS_1_3);
    fake_fd.is_blocking = true;
    fake_fd.limit_ms = 1000;
    fake_fd_add_record(HANDSHAKE, TICKET, 3);
    fake_fd_add((struct fake_event){.kind = FAKE_PAUSE, .number = pauses[_i]});
    fake_fd_add_record(HANDSHAKE, &(TICKET)[3], sizeof TICKET - 1 - 3);
    fake_fd_add((struct fake_event){.kind = FAKE_PAUSE, .number = 600000});
    ck_assert_int_eq(fdial_recv(FAKE_FD, &c, 1, 0), ends[_i]);
}
END_TEST

/* Where poll() is silent about a KeyUpdate behind data, or cannot tell, reading is shut down;
 * nowhere else. */
START_TEST(test_announced_update)
{
    char buf[100];

    for (unsigned v = 0; v < 16; v++) {
        size_t room = v & 1 ? sizeof buf : 1;
        bool has_signal = v & 8;

        fake_fd_reset(TLS_1_3);
        fake_fd.is_blocking = v & 2;
        fake_fd.expires_keys = v & 4;
        fake_fd.is_signalled = has_signal;
        fake_fd_add_record(DATA, "x", 1);
        fake_fd_add_record(HANDSHAKE, "\x18\0\0\1\0", 5);
        fake_fd_add_record(DATA, "junk", 4);
        ck_assert_int_eq(fdial_recv(FAKE_FD, buf, room, 0), 1);
        ck_assert_uint_eq(fake_fd.n_renewals, room > 1 && (fake_fd.expires_keys || has_signal));
        ck_assert_uint_eq(fake_fd.n_shutdowns, 0);
        fake_fd.is_signalled = false;
        ck_assert_int_eq(poll_now(), 1);
        ck_assert_int_eq(fdial_recv(FAKE_FD, buf, room, 0), -EKEYEXPIRED);
    }
}
END_TEST

/* Data that fills the buffer costs one system call. */
START_TEST(test_calls)
{
    char buf[4];

    fake_fd_reset(TLS_1_3);
    fake_fd_add_record(DATA, "abcd", 4);
    ck_assert_int_eq(fdial_recv(FAKE_FD, buf, sizeof buf, 0), 4);
    ck_assert_uint_eq(fake_fd.n_recvs, 1);
    ck_assert_uint_eq(fake_fd.n_polls + fake_fd.n_getsockopts, 0);
}
END_TEST

/* A look at what is next changes nothing else. */
START_TEST(test_look_ahead)
{
    static const struct part nexts[] = {PART(DATA, "y"), PART(HANDSHAKE, TICKET),
                                        PART(ALERT, CLOSE)};
    static const int ends[] = {1, -ECONNABORTED, 0};
    char buf[100];

    for (unsigned has_pause = 0; has_pause < 2; has_pause++) {
        fake_fd_reset(TLS_1_3);
        fake_fd.is_blocking = true;
        fake_fd_add_record(DATA, "x", 1);
        add_gap(has_pause ? GAP_SIGNAL : GAP_NONE);
        fake_fd_add_record(nexts[_i].type, nexts[_i].bytes, nexts[_i].n);
        if (has_pause) {
            ck_assert_int_eq(fdial_recv(FAKE_FD, buf, sizeof buf, 0), 1);
            ck_assert_int_eq(fdial_recv(FAKE_FD, buf, sizeof buf, 0), -EINTR);
        } else {
            ck_assert_int_eq(fdial_recv(FAKE_FD, buf, 1, 0), 1);
        }
        ck_assert_int_eq(fdial_recv(FAKE_FD, buf, sizeof buf, 0), ends[_i]);
        ck_assert_uint_eq(fake_fd.n_renewals, 0);
    }
}
END_TEST

/* An error that comes between poll() and the look is not told by its name, but it is one. */
START_TEST(test_late_error)
{
    char buf[100];

    fake_fd_reset(TLS_1_3);
    fake_fd_add_record(DATA, "x", 1);
    fake_fd_add((struct fake_event){.kind = FAKE_LATE});
    fake_fd_add((struct fake_event){.kind = FAKE_ERROR, .number = EBADMSG});
    fake_fd_add((struct fake_event){.kind = FAKE_PAUSE, .number = 600000});
    ck_assert_int_eq(fdial_recv(FAKE_FD, buf, sizeof buf, 0), 1);
    ck_assert_int_eq(poll_now(), 1);
    ck_assert_int_eq(fdial_recv(FAKE_FD, buf, sizeof buf, 0), -ECONNABORTED);
}
END_TEST

/* What comes between poll() and the look. */
START_TEST(test_late)
{
    static const struct part nexts[] = {PART(DATA, "\x18"), PART(HANDSHAKE, TICKET),
                                        PART(DATA, "")};
    static const int ends[] = {1, -ECONNABORTED, -ECONNABORTED};
    char buf[100];

    fake_fd_reset(TLS_1_3);
    fake_fd_add_record(DATA, "x", 1);
    fake_fd_add((struct fake_event){.kind = FAKE_LATE});
    fake_fd_add_record(nexts[_i].type, nexts[_i].bytes, nexts[_i].n);
    ck_assert_int_eq(fdial_recv(FAKE_FD, buf, sizeof buf, 0), 1);
    /* A KeyUpdate may be behind what is empty. */
    ck_assert_uint_eq(fake_fd.n_renewals, nexts[_i].n == 0);
    ck_assert_uint_eq(fake_fd.n_shutdowns, 0);
    ck_assert_int_eq(fdial_recv(FAKE_FD, buf, sizeof buf, 0), ends[_i]);
}
END_TEST

/* An error is told once by the kernel: it is for the next call. */
START_TEST(test_error_behind_data)
{
    char buf[100];

    fake_fd_reset(TLS_1_3);
    fake_fd_add_record(DATA, "x", 1);
    fake_fd_add((struct fake_event){.kind = FAKE_ERROR, .number = ECONNRESET});
    ck_assert_int_eq(fdial_recv(FAKE_FD, buf, sizeof buf, 0), 1);
    ck_assert_int_eq(fdial_recv(FAKE_FD, buf, sizeof buf, 0), -ECONNRESET);
}
END_TEST

/* RFC 8446, 5.1: no empty records of the handshake, whatever follows. */
START_TEST(test_nothing_in_a_message)
{
    char c;

    fake_fd_reset(TLS_1_3);
    fake_fd_add_record(HANDSHAKE, TICKET, 3);
    fake_fd_add_record(HANDSHAKE, "", 0);
    fake_fd_add_record(HANDSHAKE, &(TICKET)[3], sizeof TICKET - 1 - 3);
    fake_fd_add_record(DATA, "x", 1);
    ck_assert_int_eq(fdial_recv(FAKE_FD, &c, 1, 0), -EPROTO);
}
END_TEST

START_TEST(test_flood_inside_message)
{
    static uint8_t bytes[65536] = {4, 0, 0xff, 0xfc};
    char c;

    fake_fd_reset(TLS_1_3);
    for (unsigned i = 0; i <= FLOOD_LIMIT; i++)
        fake_fd_add_record(HANDSHAKE, bytes + i, 1);
    ck_assert_int_eq(fdial_recv(FAKE_FD, &c, 1, 0), -EPROTO);
    ck_assert_uint_eq(fake_fd.next, FLOOD_LIMIT + 1);
}
END_TEST

START_TEST(test_longest_ticket)
{
    static uint8_t bytes[131337] = {4, 2, 1, 5};
    const size_t piece = 16384;

    for (unsigned i = 0; i < N_SIZES; i++) {
        char buf[BUFFER_MAX];

        fake_fd_reset(TLS_1_3);
        for (size_t at = 0; at < sizeof bytes; at += piece)
            fake_fd_add_record(HANDSHAKE, bytes + at,
                               sizeof bytes - at < piece ? sizeof bytes - at : piece);
        fake_fd_add_record(DATA, "x", 1);
        ck_assert_int_eq(fdial_recv(FAKE_FD, buf, sizes[i], 0), 1);
        ck_assert_int_eq(buf[0], 'x');
    }
}
END_TEST

static const struct {
    unsigned version;
    int error, expected;
} errors[] = {
    {TLS_1_3, EBADMSG, -EPROTO},
    {TLS_1_3, EMSGSIZE, -EPROTO},
    {TLS_1_2, EINVAL, -EPROTO},
    {TLS_1_3, ECONNRESET, -ECONNRESET},
    {TLS_1_3, ETIMEDOUT, -ETIMEDOUT},
    {TLS_1_3, EKEYEXPIRED, -EKEYEXPIRED},
    {0, EINVAL, -EINVAL},
    {0, ECONNRESET, -ECONNRESET},
};

/* Behind empty records too, of which the kernel leaves the type. */
START_TEST(test_error)
{
    char c;

    for (unsigned has_empty = 0; has_empty < 2; has_empty++) {
        fake_fd_reset(errors[_i].version);
        if (has_empty)
            fake_fd_add_record(DATA, "", 0);
        fake_fd_add((struct fake_event){.kind = FAKE_ERROR, .number = errors[_i].error});
        ck_assert_int_eq(fdial_recv(FAKE_FD, &c, 1, 0), errors[_i].expected);
    }
}
END_TEST

/* Nothing is asked for, so nothing is an end, and nothing is taken. */
START_TEST(test_no_room)
{
    char c;

    fake_fd_reset(TLS_1_3);
    ck_assert_int_eq(fdial_recv(FAKE_FD, &c, 0, 0), 0);
    fake_fd_add_record(ALERT, "\2\x28", 2);
    ck_assert_int_eq(fdial_recv(FAKE_FD, &c, 0, 0), 0);
    ck_assert_int_eq(fdial_recv(FAKE_FD, &c, 1, 0), -(FDIAL_ALERT + 40));
}
END_TEST

START_TEST(test_flags)
{
    static const int refused[] = {MSG_PEEK, MSG_TRUNC, MSG_OOB, MSG_ERRQUEUE,
                                  MSG_PEEK | MSG_DONTWAIT};
    char buf[4];

    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        fake_fd_reset(TLS_1_3);
        fake_fd_add_record(DATA, "x", 1);
        ck_assert_int_eq(fdial_recv(FAKE_FD, buf, 1, refused[i]), -EINVAL);
        ck_assert_uint_eq(fake_fd.n_recvs, 0);
    }
    fake_fd_reset(TLS_1_3);
    fake_fd.is_blocking = true;
    fake_fd_add((struct fake_event){.kind = FAKE_PAUSE, .number = 1});
    ck_assert_int_eq(fdial_recv(FAKE_FD, buf, 4, MSG_DONTWAIT), -EAGAIN);
    fake_fd_add_record(DATA, "ab", 2);
    fake_fd_add_record(DATA, "c", 1);
    fake_fd_add_record(HANDSHAKE, TICKET, sizeof TICKET - 1);
    fake_fd_add_record(DATA, "d", 1);
    ck_assert_int_eq(fdial_recv(FAKE_FD, buf, 4, MSG_WAITALL), 3);
    ck_assert_int_eq(fdial_recv(FAKE_FD, buf, 1, MSG_WAITALL | MSG_NOSIGNAL), 1);
}
END_TEST

/* The kernel waits, once for as long as the limit says, and puts together what comes. */
START_TEST(test_wait_all)
{
    char buf[4];

    fake_fd_reset(TLS_1_3);
    fake_fd.is_blocking = true;
    fake_fd.limit_ms = 1000;
    fake_fd_add_record(DATA, "ab", 2);
    fake_fd_add((struct fake_event){.kind = FAKE_PAUSE, .number = 900});
    fake_fd_add_record(DATA, "cd", 2);
    fake_fd_add((struct fake_event){.kind = FAKE_PAUSE, .number = 600000});
    ck_assert_int_eq(fdial_recv(FAKE_FD, buf, 4, MSG_WAITALL), 4);
    ck_assert_int_eq(fdial_recv(FAKE_FD, buf, 4, MSG_WAITALL), -EAGAIN);
    ck_assert_int_eq(waited_ms(), 1900);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("client-ktls");
    TCase *tcase = tcase_create("client-ktls");

    tcase_add_loop_test(tcase, test_talk, 0, N_TALKS);
    tcase_add_test(tcase, test_split);
    tcase_add_test(tcase, test_split_into_bytes);
    tcase_add_test(tcase, test_cut);
    tcase_add_test(tcase, test_drip);
    tcase_add_test(tcase, test_announced_part);
    tcase_add_test(tcase, test_announced_rest);
    tcase_add_test(tcase, test_signal_in_a_message);
    tcase_add_test(tcase, test_blocking_waits);
    tcase_add_loop_test(tcase, test_blocking_is_interrupted, 0, 2);
    tcase_add_loop_test(tcase, test_flood, 0, 3);
    tcase_add_loop_test(tcase, test_flood_behind_a_drip, 0, 2);
    tcase_add_loop_test(tcase, test_flood_of_empty_records, 0, 2);
    tcase_add_loop_test(tcase, test_drips, 0, 6);
    tcase_add_loop_test(tcase, test_drips_and_data, 0, 3);
    tcase_add_loop_test(tcase, test_drips_to_threads, 0, 3);
    tcase_add_loop_test(tcase, test_drips_and_signals, 0, 3);
    tcase_add_test(tcase, test_drips_of_another);
    tcase_add_loop_test(tcase, test_time_limit, 0, 3);
    tcase_add_loop_test(tcase, test_endless_time_limit, 0, 3);
    tcase_add_loop_test(tcase, test_time_limit_in_a_message, 0, 2);
    tcase_add_loop_test(tcase, test_announced_update, 0, 1);
    tcase_add_test(tcase, test_calls);
    tcase_add_loop_test(tcase, test_look_ahead, 0, 3);
    tcase_add_test(tcase, test_late_error);
    tcase_add_loop_test(tcase, test_late, 0, 3);
    tcase_add_test(tcase, test_error_behind_data);
    tcase_add_test(tcase, test_nothing_in_a_message);
    tcase_add_test(tcase, test_flood_inside_message);
    tcase_add_test(tcase, test_longest_ticket);
    tcase_add_loop_test(tcase, test_error, 0, sizeof errors / sizeof *errors);
    tcase_add_test(tcase, test_no_room);
    tcase_add_test(tcase, test_flags);
    tcase_add_test(tcase, test_wait_all);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
