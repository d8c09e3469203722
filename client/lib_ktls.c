/* Kernel TLS: what a connection says besides its data.
 *
 * recvmsg() gives bytes of one type at a time, and the type in a control message. What is not data
 * is taken out of the socket here: alerts become an end or an error, tickets are dropped, a
 * KeyUpdate is an error because nobody here has the secrets to follow it.
 *
 * Nothing of the stream is kept between two calls. That works because a call never leaves the
 * socket in the middle of a message: what has begun is read to its end, record by record, if need
 * be by waiting on a socket that does not block. Between two messages a call may end anywhere, in
 * the middle of a record too, since the kernel gives the type again with its rest.
 *
 * The kernel drops records of data without a byte and goes on inside of recvmsg(), which ends when
 * there is data, or nothing more: on a socket that blocks perhaps never. So it is not let wait
 * (lib_ktls_wait.c), and what came is counted (lib_ktls_row.c): the type of what it dropped stands
 * in the room for control messages though it says EAGAIN.
 */
#include "client/ktls.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "client/fdial.h"

#define SOL_TLS_LEVEL   282 /* SOL_TLS */
#define SET_RECORD_TYPE 1   /* TLS_SET_RECORD_TYPE */
#define GET_RECORD_TYPE 2   /* TLS_GET_RECORD_TYPE */

#define VERSION_1_2 0x0303

/* Of struct tls12_crypto_info_aes_gcm_128; of that of AES-256-GCM, and of CHACHA20-POLY1305. */
static const socklen_t keys_sizes[] = {40, 56};
#define KEYS_MAX 56

#define ALERT_SIZE  2
#define SCRATCH_MAX 1024

/* RFC 8446, 6, and RFC 5246, 7.2. */
enum { LEVEL_WARNING = 1, CLOSE_NOTIFY = 0, USER_CANCELED = 90 };

/* RFC 8446, 4, and RFC 5246, 7.4. */
enum { HELLO_REQUEST = 0, NEW_SESSION_TICKET = 4, KEY_UPDATE = 24, HEAD_SIZE = 4 };

/* No byte longer than the record's type needs: with room for an int the kernel would make fds of
 * this process out of what a Unix socket's peer sends along. */
union control {
    struct cmsghdr align;
    char bytes[CMSG_LEN(sizeof(uint8_t))];
};

unsigned ktls_get_version(int fd, enum ktls_direction direction)
{
    struct {
        uint16_t version, cipher;
    } info; /* struct tls_crypto_info: without the keys */
    socklen_t n = sizeof info;

    return getsockopt(fd, SOL_TLS_LEVEL, (int)direction, &info, &n) == 0 ? info.version : 0;
}

static uint8_t type_of(struct msghdr *header)
{
    const struct cmsghdr *c = CMSG_FIRSTHDR(header);

    if (!c || c->cmsg_level != SOL_TLS_LEVEL || c->cmsg_type != GET_RECORD_TYPE ||
        c->cmsg_len < CMSG_LEN(sizeof(uint8_t)))
        return KTLS_NONE;
    return *CMSG_DATA(c);
}

/* Not authentic, too long, of another version: with kernel TLS these are the peer's. */
static int error_of(int fd, int number)
{
    bool may_be_record = number == EBADMSG || number == EMSGSIZE || number == EINVAL;

    return may_be_record && ktls_get_version(fd, KTLS_RX) != 0 ? -EPROTO : -number;
}

ssize_t ktls_receive(struct ktls_input *in, void *buf, size_t n)
{
    struct iovec iov = {.iov_base = buf, .iov_len = n};
    union control control = {0};
    struct msghdr header = {.msg_iov = &iov,
                            .msg_iovlen = 1,
                            .msg_control = control.bytes,
                            .msg_controllen = sizeof control.bytes};
    ssize_t r;

    if (in->row.n > KTLS_ROW_MAX)
        return -EPROTO;
    r = recvmsg(in->fd, &header, in->flags);
    if (r < 0 && errno == EAGAIN && type_of(&header) == KTLS_DATA)
        r = 0; /* there were empty ones, and then nothing more */
    if (r < 0)
        return error_of(in->fd, errno);
    in->type = type_of(&header);
    in->is_whole = (header.msg_flags & MSG_EOR) != 0;
    in->was_announced = false;
    in->pause_us = 0;
    if (in->type != KTLS_NONE && (r == 0 || (in->is_whole && in->type != KTLS_DATA)))
        ktls_row_count(in);
    return r;
}

/* More of a message that has begun: neither EAGAIN nor EINTR can be told, for the next call would
 * begin in its middle. Records of another type must not come in between (RFC 8446, 5.1). At least
 * one byte, or -errno. */
static ssize_t fetch(struct ktls_input *in, void *buf, size_t n)
{
    uint8_t type = in->type;

    for (;;) {
        ssize_t r = ktls_receive(in, buf, n);

        if (r == -EAGAIN || r == -EINTR) {
            in->is_interrupted |= r == -EINTR;
            r = ktls_await_rest(in);
            if (r > 0)
                continue;
        }
        if (r < 0)
            return r;
        if (in->type == KTLS_NONE)
            return -ECONNABORTED;
        return r > 0 && in->type == type ? r : -EPROTO;
    }
}

static int fetch_all(struct ktls_input *in, uint8_t *buf, size_t n)
{
    while (n > 0) {
        ssize_t r = fetch(in, buf, n);

        if (r < 0)
            return (int)r;
        buf += r;
        n -= (size_t)r;
    }
    return 0;
}

static int drop(struct ktls_input *in, size_t n)
{
    uint8_t scratch[SCRATCH_MAX];

    while (n > 0) {
        ssize_t r = fetch(in, scratch, n < sizeof scratch ? n : sizeof scratch);

        if (r < 0)
            return (int)r;
        n -= (size_t)r;
    }
    return 0;
}

/* In TLS 1.3 the level says nothing, and all but two are errors; in TLS 1.2 a warning does not end
 * the connection unless it is the end itself (RFC 5246, 7.2.2). */
static int judge_alert(unsigned version, uint8_t level, uint8_t description)
{
    bool is_ignored =
        version == VERSION_1_2 ? level == LEVEL_WARNING : description == USER_CANCELED;

    if (description == CLOSE_NOTIFY)
        return 0;
    return is_ignored ? 1 : -(FDIAL_ALERT + description);
}

/* An alert is one record, and the record nothing else (RFC 8446, 5.1). */
static int take_alert(struct ktls_input *in, const uint8_t *data, size_t n)
{
    uint8_t alert[ALERT_SIZE];
    int r;

    if (n > sizeof alert)
        return -EPROTO;
    memcpy(alert, data, n);
    if (n < sizeof alert) {
        if (in->is_whole)
            return -EPROTO;
        r = fetch_all(in, alert + n, sizeof alert - n);
        if (r < 0)
            return r;
    }
    if (!in->is_whole)
        return -EPROTO;
    return judge_alert(ktls_get_version(in->fd, KTLS_RX), alert[0], alert[1]);
}

static int judge_message(unsigned version, uint8_t type)
{
    if (version == VERSION_1_2)
        return type == HELLO_REQUEST ? 0 : -EPROTO; /* may be ignored: RFC 5246, 7.4.1.1 */
    if (type == KEY_UPDATE)
        return -EKEYEXPIRED;
    return type == NEW_SESSION_TICKET ? 0 : -EPROTO;
}

/* One message that begins at data; what of it is not there is fetched. How much was used of data,
 * or an error. */
static ssize_t take_message(struct ktls_input *in, unsigned version, const uint8_t *data, size_t n)
{
    uint8_t head[HEAD_SIZE];
    size_t in_head = n < sizeof head ? n : sizeof head, body, in_body;
    int r = judge_message(version, data[0]);

    if (r < 0)
        return r;
    memcpy(head, data, in_head);
    r = fetch_all(in, head + in_head, sizeof head - in_head);
    if (r < 0)
        return r;
    body = (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
    if (body > KTLS_MESSAGE_MAX)
        return -EPROTO;
    in_body = body < n - in_head ? body : n - in_head;
    r = drop(in, body - in_body);
    return r < 0 ? r : (ssize_t)(in_head + in_body);
}

static int take_handshake(struct ktls_input *in, const uint8_t *data, size_t n)
{
    unsigned version = ktls_get_version(in->fd, KTLS_RX);

    if (n == 0)
        return -EPROTO; /* RFC 8446, 5.1 */
    while (n > 0) {
        ssize_t r = take_message(in, version, data, n);

        if (r < 0)
            return (int)r;
        data += r;
        n -= (size_t)r;
    }
    return 1;
}

int ktls_take_record(struct ktls_input *in, const uint8_t *data, size_t n)
{
    switch (in->type) {
    case KTLS_ALERT:
        return take_alert(in, data, n);
    case KTLS_HANDSHAKE:
        return take_handshake(in, data, n);
    default: /* the peer's choice, not an enumerator of ours */
        return -EPROTO;
    }
}

/* Gives the kernel the keys that it has. */
static void renew_keys(int fd)
{
    uint8_t keys[KEYS_MAX];

    for (size_t i = 0; i < sizeof keys_sizes / sizeof *keys_sizes; i++) {
        socklen_t n = keys_sizes[i];

        if (getsockopt(fd, SOL_TLS_LEVEL, KTLS_RX, keys, &n) == 0) {
            setsockopt(fd, SOL_TLS_LEVEL, KTLS_RX, keys, n);
            break;
        }
    }
    explicit_bzero(keys, sizeof keys);
}

/* From Linux 6.14 on poll() says nothing of a KeyUpdate, nor of what is behind it, once the kernel
 * has met it at the end of some data, until new keys are set: a caller that polls after each piece
 * of data would wait for ever. Nobody has the new keys, but the old ones make the kernel go on as
 * those before it do.
 *
 * What poll() does announce is not looked at: even a look takes an error such as ECONNRESET away,
 * and the next call would not see it. Of one that comes in between it sees at least that reading is
 * over. A signal may make poll() fail. */
void ktls_announce_next(int fd)
{
    const struct timespec at_once = {0};
    struct pollfd polled = {.fd = fd, .events = POLLIN};
    struct ktls_input in = {.fd = fd, .flags = MSG_PEEK | MSG_DONTWAIT};
    uint8_t byte;
    ssize_t r;

    if (ppoll(&polled, 1, &at_once, NULL) > 0)
        return;
    r = ktls_receive(&in, &byte, sizeof byte);
    if (r < 0 && r != -EAGAIN)
        shutdown(fd, SHUT_RD);
    else if (r == 0 || (r > 0 && in.type == KTLS_HANDSHAKE && byte == KEY_UPDATE))
        renew_keys(fd);
}

int ktls_send_close(int fd)
{
    uint8_t alert[ALERT_SIZE] = {LEVEL_WARNING, CLOSE_NOTIFY};
    struct iovec iov = {.iov_base = alert, .iov_len = sizeof alert};
    union control control = {.align = {.cmsg_len = CMSG_LEN(sizeof(uint8_t)),
                                       .cmsg_level = SOL_TLS_LEVEL,
                                       .cmsg_type = SET_RECORD_TYPE}};
    struct msghdr header = {.msg_iov = &iov,
                            .msg_iovlen = 1,
                            .msg_control = control.bytes,
                            .msg_controllen = sizeof control.bytes};

    *CMSG_DATA(&control.align) = KTLS_ALERT;
    return sendmsg(fd, &header, MSG_NOSIGNAL) < 0 ? -errno : 0;
}
