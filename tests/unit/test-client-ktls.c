/* fdial_recv with kernel TLS: each conversation with buffers of every size, split at every byte,
 * with pauses and signals in between, cut at every byte. What the real kernel does is for tests/vm.
 * (Waiting: test-client-ktls-wait.c; peers that do not stop: test-client-ktls-flood.c.)
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "client/fdial.h"
#include "tests/lib/suite.h"
#include "tests/unit/fake-fd.h"
#include "tests/unit/ktls-talks.h"

#define STREAM_MAX 64
#define BUFFER_MAX 20000
#define WAIT_MS    5000

static const size_t sizes[] = {1, 2, 3, 4, 5, 7, BUFFER_MAX};

#define N_SIZES (sizeof sizes / sizeof *sizes)

/* What comes between two records. */
enum gap { GAP_NONE, GAP_PAUSE, GAP_SIGNAL, GAP_KINDS };

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
            ck_assert_int_eq(fake_fd_waited_ms(), expected_ms);
        }
    }
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

int main(void)
{
    Suite *suite = suite_create("client-ktls");
    TCase *tcase = tcase_create("client-ktls");

    tcase_add_loop_test(tcase, test_talk, 0, N_TALKS);
    tcase_add_test(tcase, test_split);
    tcase_add_test(tcase, test_split_into_bytes);
    tcase_add_test(tcase, test_cut);
    tcase_add_test(tcase, test_nothing_in_a_message);
    tcase_add_test(tcase, test_longest_ticket);
    tcase_add_loop_test(tcase, test_error, 0, sizeof errors / sizeof *errors);
    tcase_add_test(tcase, test_no_room);
    tcase_add_test(tcase, test_flags);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
