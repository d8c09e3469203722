/* OpenSSL does the handshake over memory BIOs and is fed one record at a time, so the bytes behind
 * the client's Finished are never in its hands. In TLS 1.3 the server may speak before that has
 * come; it is then read when something is to be heard. */
#include "tests/vm/record-server.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

void peer_note(struct peer *p, const char *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(p->heard + p->n_heard, HEARD_MAX - p->n_heard, format, args);
    va_end(args);
    if (n > 0)
        p->n_heard += (size_t)n < HEARD_MAX - p->n_heard ? (size_t)n : HEARD_MAX - 1 - p->n_heard;
}

/* ---- sending ---- */

void peer_queue_bytes(struct peer *p, const void *data, size_t n)
{
    must(n <= QUEUE_MAX - p->n_queue, "the queue is full");
    memcpy(p->queue + p->n_queue, data, n);
    p->n_queue += n;
}

void peer_queue_record(struct peer *p, uint8_t type, const void *data, size_t n)
{
    uint8_t record[RECORD_MAX];

    must(n <= RECORD_DATA, "the record is too long");
    must(p->is_ready, "no keys for a record");
    peer_queue_bytes(p, record, records_seal(&p->records, type, data, n, record));
}

/* A client that is gone is no failure of the server. */
void peer_flush(struct peer *p)
{
    for (size_t done = 0; done < p->n_queue;) {
        ssize_t n = send(p->fd, p->queue + done, p->n_queue - done, MSG_NOSIGNAL);

        if (n < 0 && errno == EAGAIN)
            peer_note(p, " stuck"); /* SO_SNDTIMEO */
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    p->n_queue = 0;
}

/* ---- receiving ---- */

/* Returns the size of a whole record, or 0: the client's end, which is noted. */
static size_t read_record(struct peer *p, uint8_t record[RECORD_MAX])
{
    size_t wanted = RECORD_HEAD, have = 0;

    while (have < wanted) {
        ssize_t n = recv(p->fd, record + have, wanted - have, 0);

        if (n <= 0) {
            peer_note(p, n == 0 ? " FIN" : " %s", strerrorname_np(errno));
            p->is_over = true;
            return 0;
        }
        have += (size_t)n;
        if (have == RECORD_HEAD) {
            wanted += (size_t)(record[3] << 8 | record[4]);
            must(wanted <= RECORD_MAX, "the client's record is too long");
        }
    }
    return wanted;
}

static void flush_handshake(struct peer *p)
{
    char buf[4096];
    int n;

    while ((n = BIO_read(p->to_client, buf, sizeof(buf))) > 0)
        peer_queue_bytes(p, buf, (size_t)n);
}

/* One round: what OpenSSL has to say is queued, and it is given the client's next record. */
static bool shake_once(struct peer *p)
{
    uint8_t record[RECORD_MAX];
    size_t n;

    if (SSL_do_handshake(p->ssl) == 1) {
        p->is_through = true;
        flush_handshake(p);
        return true;
    }
    flush_handshake(p);
    if (p->has_out_secret && !p->is_ready)
        return true; /* 1.3: the server's flight is complete */
    peer_flush(p);
    n = read_record(p, record);
    if (n > 0)
        BIO_write(p->from_client, record, (int)n);
    return n > 0;
}

static bool is_able_to_speak(const struct peer *p)
{
    return p->is_through || p->has_out_secret;
}

static void finish_handshake(struct peer *p)
{
    if (p->is_through)
        return;
    while (!p->is_through && !p->is_over)
        shake_once(p);
    if (p->is_through)
        records_set_secret(&p->records, &p->records.in, p->in_secret);
}

void peer_shake_hands(struct peer *p, int fd, SSL_CTX *ctx, bool is_glued)
{
    p->fd = fd;
    p->ssl = SSL_new(ctx);
    p->from_client = BIO_new(BIO_s_mem());
    p->to_client = BIO_new(BIO_s_mem());
    must(p->ssl && p->from_client && p->to_client, "SSL_new");
    SSL_set_bio(p->ssl, p->from_client, p->to_client);
    SSL_set_accept_state(p->ssl);
    SSL_set_app_data(p->ssl, p);
    while (!is_able_to_speak(p) && shake_once(p))
        ;
    if (!is_able_to_speak(p)) {
        peer_note(p, " no-handshake");
        return;
    }
    records_init(&p->records, p->ssl);
    if (p->has_out_secret)
        records_set_secret(&p->records, &p->records.out, p->out_secret);
    p->is_ready = true;
    if (is_glued)
        return;
    peer_flush(p);
    finish_handshake(p);
}

static void note_record(struct peer *p, uint8_t type, const uint8_t *data, size_t n)
{
    if (type == RECORD_APPLICATION) {
        peer_note(p, " ");
        for (size_t i = 0; i < n; i++)
            peer_note(p, isgraph(data[i]) ? "%c" : "\\%02x", data[i]);
    } else if (type == RECORD_ALERT && n == 2) {
        peer_note(p, " alert=%u,%u", data[0], data[1]);
    } else {
        peer_note(p, " type=%u", type);
    }
}

/* The content of the next record, or -1: there is none, or garbage, which is noted. */
static int hear_record(struct peer *p, uint8_t record[RECORD_MAX], uint8_t *ret_type,
                       uint8_t **ret_data)
{
    size_t size = read_record(p, record);
    int n = size > 0 ? records_open(&p->records, record, size, ret_type, ret_data) : -1;

    if (size > 0 && n < 0)
        peer_note(p, " garbage");
    return n;
}

void peer_hear(struct peer *p, size_t n)
{
    uint8_t record[RECORD_MAX], type, *data;

    peer_flush(p);
    finish_handshake(p);
    for (size_t have = 0; have < n && !p->is_over;) {
        int r = hear_record(p, record, &type, &data);

        if (r < 0)
            return;
        note_record(p, type, data, (size_t)r);
        have += type == RECORD_APPLICATION ? (size_t)r : 0;
    }
}

void peer_count(struct peer *p)
{
    uint8_t record[RECORD_MAX], type, *data;
    size_t total = 0;
    int n;

    peer_flush(p);
    finish_handshake(p);
    while ((n = hear_record(p, record, &type, &data)) >= 0 && type == RECORD_APPLICATION)
        total += (size_t)n;
    peer_note(p, " %zu bytes", total);
    if (n >= 0)
        note_record(p, type, data, (size_t)n);
}

void peer_echo(struct peer *p)
{
    uint8_t record[RECORD_MAX], type, *data;
    int n;

    peer_flush(p);
    finish_handshake(p);
    while ((n = hear_record(p, record, &type, &data)) >= 0 && type == RECORD_APPLICATION) {
        peer_queue_record(p, RECORD_APPLICATION, data, (size_t)n);
        peer_flush(p);
    }
    if (n >= 0)
        note_record(p, type, data, (size_t)n);
}

/* "SERVER_TRAFFIC_SECRET_0 RANDOM SECRET", in hexadecimal. */
void peer_note_key(const SSL *ssl, const char *line)
{
    struct peer *p = SSL_get_app_data(ssl);
    uint8_t *to = !strncmp(line, "SERVER_TRAFFIC_SECRET_0 ", 24)   ? p->out_secret
                  : !strncmp(line, "CLIENT_TRAFFIC_SECRET_0 ", 24) ? p->in_secret
                                                                   : NULL;
    const char *hex = strrchr(line, ' ') + 1;

    for (size_t i = 0; to && i < RECORD_SECRET && sscanf(hex + 2 * i, "%2hhx", &to[i]) == 1; i++)
        ;
    p->has_out_secret |= to == p->out_secret;
}
