/* recvmsg() follows tls_sw_recvmsg(): bytes of one type in each call; what does not fit, or is of
 * another type than what came before it in the same call, is kept decrypted on a list, from which
 * the next call begins. */
#include "tests/unit/fake-fd.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define TLS_LEVEL     282
#define DATA          23
#define HANDSHAKE     22
#define KEY_UPDATE    24
#define CALLS_MAX     20000
#define CLOCK_START_S 1000
#define MS_PER_S      1000
#define US_PER_MS     1000
#define NS_PER_US     1000

struct fake_fd fake_fd;

void fake_fd_reset(unsigned version)
{
    memset(&fake_fd, 0, sizeof fake_fd);
    fake_fd.version = version;
    fake_fd.getsockopt_errno = EBUSY;
}

void fake_fd_add(struct fake_event event)
{
    ck_assert_uint_lt(fake_fd.n_events, FAKE_EVENTS_MAX);
    fake_fd.events[fake_fd.n_events++] = event;
}

void fake_fd_add_record(int type, const void *bytes, size_t n)
{
    fake_fd_add((struct fake_event){FAKE_RECORD, type, bytes, n});
}

static const struct fake_event *event_next(void)
{
    static const struct fake_event fin = {.kind = FAKE_FIN};

    return fake_fd.next < fake_fd.n_events ? &fake_fd.events[fake_fd.next] : &fin;
}

static void event_done(void)
{
    fake_fd.next++;
    fake_fd.offset = 0;
    fake_fd.slept_us = 0;
    fake_fd.is_decrypted = false;
}

void fake_fd_wait(void)
{
    if (event_next()->kind != FAKE_PAUSE)
        return;
    fake_fd.skew_us += (int64_t)event_next()->number * US_PER_MS;
    event_done();
}

int64_t fake_fd_waited_ms(void)
{
    return fake_fd.skew_us / US_PER_MS;
}

struct receipt {
    struct msghdr *header;
    uint8_t *to;
    size_t n, copied;
    int control; /* 0: none yet */
    bool is_peek;
};

/* As put_cmsg(): what does not fit is cut off. */
static bool put_type(struct receipt *r, int type)
{
    uint8_t byte = (uint8_t)type;
    struct cmsghdr head = {
        .cmsg_len = CMSG_LEN(sizeof byte), .cmsg_level = TLS_LEVEL, .cmsg_type = 2};

    if (fake_fd.version == 0)
        return true;
    if (r->header->msg_controllen < CMSG_LEN(sizeof byte)) {
        r->header->msg_flags |= MSG_CTRUNC;
        return type == DATA;
    }
    memcpy(r->header->msg_control, &head, sizeof head);
    memcpy((char *)r->header->msg_control + CMSG_LEN(0), &byte, sizeof byte);
    return true;
}

/* 1: go on, 0: of another type, or -errno. */
static int take_type(struct receipt *r, int type)
{
    fake_fd.is_decrypted = true;
    if (r->control == 0) {
        r->control = type;
        return put_type(r, type) ? 1 : -EIO;
    }
    return r->control == type;
}

static void copy(struct receipt *r, const struct fake_event *e)
{
    size_t left = e->n - fake_fd.offset, n = r->n < left ? r->n : left;

    if (n > 0)
        memcpy(r->to, e->bytes + fake_fd.offset, n);
    r->to += n;
    r->n -= n;
    r->copied += n;
    if (r->is_peek)
        return;
    fake_fd.offset += n;
    if (n < left)
        return;
    if (!fake_fd.hides_ends)
        r->header->msg_flags |= MSG_EOR;
    event_done();
}

static int take_listed(struct receipt *r)
{
    int e = take_type(r, event_next()->number);

    if (e == 1)
        copy(r, event_next());
    return e < 0 ? e : 0;
}

static bool has_record(void)
{
    return !fake_fd.has_expired && event_next()->kind == FAKE_RECORD;
}

/* 1: a record is there, 0: the end, or -errno. */
static int await_record(int flags)
{
    for (;;) {
        const struct fake_event *e = event_next();

        if (fake_fd.has_expired)
            return -EKEYEXPIRED;
        switch (e->kind) {
        case FAKE_RECORD:
            return 1;
        case FAKE_FIN:
            return 0;
        case FAKE_ERROR:
            event_done();
            return -e->number;
        case FAKE_PAUSE:
            if (fake_fd.is_shut)
                return 0;
            if (!fake_fd.is_blocking || (flags & MSG_DONTWAIT))
                return -EAGAIN;
            if (fake_fd.limit_ms > 0 && e->number > fake_fd.limit_ms) {
                fake_fd.skew_us += fake_fd.limit_ms * US_PER_MS;
                return -EAGAIN;
            }
            fake_fd_wait();
            break;
        case FAKE_SIGNAL:
            if (!fake_fd.is_blocking || (flags & MSG_DONTWAIT))
                return -EAGAIN;
            event_done();
            return -EINTR;
        case FAKE_LATE:
            event_done();
            break;
        }
    }
}

static int take_new(struct receipt *r, int flags)
{
    const struct fake_event *e;
    int error = await_record(flags);

    if (error <= 0)
        return error;
    e = event_next();
    if (fake_fd.expires_keys && e->number == HANDSHAKE && e->n > 0 && e->bytes[0] == KEY_UPDATE)
        fake_fd.has_expired = true;
    error = take_type(r, e->number);
    if (error == 1)
        copy(r, e);
    return error;
}

/* As tls_sw_recvmsg(), but that a peek sees one record at most. */
static ssize_t play_recvmsg(struct msghdr *header, int flags)
{
    struct receipt r = {.header = header,
                        .to = header->msg_iov[0].iov_base,
                        .n = header->msg_iov[0].iov_len,
                        .is_peek = flags & MSG_PEEK};
    size_t target = flags & MSG_WAITALL ? r.n : r.n > 0;
    int e = 0;

    ck_assert_uint_lt(fake_fd.n_recvs++, CALLS_MAX);
    header->msg_flags = 0;
    if (r.n > 0 && fake_fd.is_decrypted)
        e = take_listed(&r);
    if (r.copied > 0 && ((r.control != DATA && !fake_fd.is_old) || r.is_peek))
        target = r.n = 0;
    while (e >= 0 && r.n > 0 && (r.copied < target || has_record())) {
        e = take_new(&r, flags);
        if (e <= 0 || r.control != DATA || r.is_peek)
            break;
    }
    if (r.copied == 0 && e < 0)
        return e;
    header->msg_controllen = r.control && fake_fd.version ? CMSG_LEN(1) : 0;
    return (ssize_t)r.copied;
}

static ssize_t play_sendmsg(const struct msghdr *header, int flags)
{
    struct fake_sent *sent = &fake_fd.sent[fake_fd.n_sent];
    size_t call = fake_fd.n_send_calls++;

    if (call < 4 && fake_fd.send_errnos[call])
        return -fake_fd.send_errnos[call];
    ck_assert_uint_lt(fake_fd.n_sent, FAKE_SENT_MAX);
    ck_assert_uint_le(header->msg_iov[0].iov_len, sizeof sent->bytes);
    sent->n = header->msg_iov[0].iov_len;
    sent->flags = flags;
    memcpy(sent->bytes, header->msg_iov[0].iov_base, sent->n);
    if (header->msg_controllen > 0) {
        struct cmsghdr head;

        ck_assert_uint_ge(header->msg_controllen, CMSG_LEN(1));
        memcpy(&head, header->msg_control, sizeof head);
        ck_assert_uint_eq(head.cmsg_len, CMSG_LEN(1));
        ck_assert_int_eq(head.cmsg_level, TLS_LEVEL);
        ck_assert_int_eq(head.cmsg_type, 1);
        sent->type = ((const uint8_t *)header->msg_control)[CMSG_LEN(0)];
    }
    fake_fd.n_sent++;
    return (ssize_t)sent->n;
}

/* What a socket that is waited for without limit does not get is a failure. */
static int play_silence(int64_t timeout_us)
{
    ck_assert_int_ne(timeout_us, INT64_MAX);
    fake_fd.skew_us += timeout_us;
    return 0;
}

/* poll() has no use where it announces what is not there. */
static int play_sleep(int64_t timeout_us)
{
    const struct fake_event *e = event_next();

    ck_assert(fake_fd.announces_parts);
    ck_assert_int_eq(e->kind, FAKE_PAUSE);
    fake_fd.slept_us += timeout_us;
    if (fake_fd.slept_us >= (int64_t)e->number * US_PER_MS)
        event_done();
    return play_silence(timeout_us);
}

static int play_poll(struct pollfd *polled, int64_t timeout_us)
{
    const struct fake_event *e = event_next();

    ck_assert_uint_lt(fake_fd.n_polls++, CALLS_MAX);
    ck_assert_int_eq(polled->events, POLLIN);
    ck_assert_int_ge(timeout_us, 0);
    if (fake_fd.is_signalled) {
        fake_fd.is_signalled = false;
        return -EINTR;
    }
    if (e->kind == FAKE_LATE) {
        event_done();
        return play_silence(timeout_us);
    }
    if (!fake_fd.announces_parts && !fake_fd.is_shut) {
        if (fake_fd.has_expired || (e->kind == FAKE_SIGNAL && timeout_us == 0) ||
            (e->kind == FAKE_PAUSE && (int64_t)e->number * US_PER_MS >= timeout_us))
            return play_silence(timeout_us);
        if (e->kind == FAKE_SIGNAL) {
            event_done();
            return -EINTR;
        }
        fake_fd_wait();
    }
    polled->revents = POLLIN;
    return 1;
}

static int answer(void *value, socklen_t *n, const void *answer, size_t size)
{
    ck_assert_uint_eq(*n, size);
    memcpy(value, answer, size);
    return 0;
}

/* In the size of two ciphers of three. */
static const char keys[56] = "version, cipher, keys and the number of the next record";

static int play_getsockopt(int level, int option, void *value, socklen_t *n)
{
    uint16_t info[2] = {(uint16_t)fake_fd.version, 51};
    struct timeval limit = {fake_fd.limit_ms / MS_PER_S, fake_fd.limit_ms % MS_PER_S * US_PER_MS};

    fake_fd.n_getsockopts++;
    if (level == SOL_SOCKET && option == SO_COOKIE)
        return answer(value, n, &fake_fd.cookie, sizeof fake_fd.cookie);
    if (level == SOL_SOCKET && option == SO_RCVTIMEO)
        return answer(value, n, &limit, sizeof limit);
    ck_assert_int_eq(level, TLS_LEVEL);
    ck_assert(option == 1 || option == 2);
    if (fake_fd.version == 0)
        return -fake_fd.getsockopt_errno;
    if (*n == sizeof info)
        return answer(value, n, info, sizeof info);
    ck_assert_int_eq(option, 2);
    return *n == sizeof keys ? answer(value, n, keys, sizeof keys) : -EINVAL;
}

/* The keys that it has; with those of the peer nobody can come. */
static int play_setsockopt(int level, int option, const void *value, socklen_t n)
{
    ck_assert_int_eq(level, TLS_LEVEL);
    ck_assert_int_eq(option, 2);
    ck_assert_uint_eq(n, sizeof keys);
    ck_assert_int_eq(memcmp(value, keys, n), 0);
    fake_fd.n_renewals++;
    if (!fake_fd.expires_keys)
        return -EBUSY;
    fake_fd.has_expired = false;
    return 0;
}

static int play_shutdown(int how)
{
    ck_assert_uint_lt(fake_fd.n_shutdowns, 4);
    fake_fd.shutdowns[fake_fd.n_shutdowns++] = how;
    fake_fd.is_shut |= how != SHUT_WR;
    return -fake_fd.shutdown_errno;
}

/* ---- in the place of libc's, for the library too ---- */

#pragma GCC visibility push(default)

static ssize_t as_libc(ssize_t r)
{
    if (r >= 0)
        return r;
    errno = (int)-r;
    return -1;
}

ssize_t recvmsg(int fd, struct msghdr *header, int flags)
{
    return fd == FAKE_FD ? as_libc(play_recvmsg(header, flags))
                         : syscall(SYS_recvmsg, fd, header, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *header, int flags)
{
    return fd == FAKE_FD ? as_libc(play_sendmsg(header, flags))
                         : syscall(SYS_sendmsg, fd, header, flags);
}

int ppoll(struct pollfd *polled, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
    int64_t timeout_us =
        timeout ? timeout->tv_sec * MS_PER_S * US_PER_MS + timeout->tv_nsec / NS_PER_US : INT64_MAX;

    __asm__("" : "+r"(polled) : : "memory"); /* libc's header says that it is only written to */
    if (n == 1 && polled->fd == FAKE_FD)
        return (int)as_libc(play_poll(polled, timeout_us));
    if (n == 0)
        return play_sleep(timeout_us);
    return (int)syscall(SYS_ppoll, polled, n, timeout, mask, 0);
}

int getsockopt(int fd, int level, int option, void *value, socklen_t *n)
{
    return fd == FAKE_FD ? (int)as_libc(play_getsockopt(level, option, value, n))
                         : (int)syscall(SYS_getsockopt, fd, level, option, value, n);
}

int setsockopt(int fd, int level, int option, const void *value, socklen_t n)
{
    return fd == FAKE_FD ? (int)as_libc(play_setsockopt(level, option, value, n))
                         : (int)syscall(SYS_setsockopt, fd, level, option, value, n);
}

int shutdown(int fd, int how)
{
    return fd == FAKE_FD ? (int)as_libc(play_shutdown(how)) : (int)syscall(SYS_shutdown, fd, how);
}

/* Stands still but for what was waited for: a machine that is slow is no peer that is. */
int clock_gettime(clockid_t id, struct timespec *ret)
{
    (void)id;
    *ret = (struct timespec){CLOCK_START_S + fake_fd.skew_us / (MS_PER_S * US_PER_MS),
                             fake_fd.skew_us % (MS_PER_S * US_PER_MS) * NS_PER_US};
    return 0;
}

int fcntl(int fd, int command, ...)
{
    va_list arguments;
    long argument;

    va_start(arguments, command);
    argument = va_arg(arguments, long);
    va_end(arguments);
    if (fd != FAKE_FD)
        return (int)syscall(SYS_fcntl, fd, command, argument);
    ck_assert_int_eq(command, F_GETFL);
    return fake_fd.is_blocking ? O_RDWR : O_RDWR | O_NONBLOCK;
}

#pragma GCC visibility pop
