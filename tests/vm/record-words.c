/* What record-server can be told to play.
 *
 * The words are played one after the other; N*WORD is as many times WORD. Records are put together
 * and leave in one send() before the next word that is no record.
 *
 *     data=TEXT     application data
 *     long          a record with as much data as there may be, all of it x
 *     empty         application data without a byte
 *     ticket        NewSessionTicket
 *     half-ticket, other-half   the same, as two records
 *     lone-empty=MS, lone-ticket=MS   the same, so many milliseconds later than all before
 *     update, update-asked   KeyUpdate, and with update_requested: the keys change
 *     ticket+update both in one record
 *     request       HelloRequest (TLS 1.2: may the client negotiate anew)
 *     alert=L,D     of this level and description
 *     half-alert=B  a record with one byte of an alert
 *     close         close_notify
 *     type=N        a record of this content type
 *     bad-tag, clear, oversized, wrong-version   not records of this connection
 *     cut=TEXT      application data whose record lacks its last byte
 *     slow=TEXT     application data, each byte of the record in a send() of its own
 *     flush
 *     hear=N        reads until the client has sent N bytes of data
 *     count         reads until something that is not data, and tells how many bytes that were
 *     echo          sends the client's data back, until its close_notify
 *     fin           TCP's end of what the server sends
 *     rst           a reset
 *     wait          reads until the client's end
 */
#include "tests/vm/record-server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define REPEAT_MAX 5000
#define US_PER_MS  1000

static void play_data(struct peer *p, const char *value)
{
    peer_queue_record(p, RECORD_APPLICATION, value, strlen(value));
}

static void play_long(struct peer *p, const char *value)
{
    char data[RECORD_DATA];

    (void)value;
    memset(data, 'x', sizeof(data));
    peer_queue_record(p, RECORD_APPLICATION, data, sizeof(data));
}

/* Lifetime, age_add, nonce, ticket, extensions. */
static const uint8_t ticket[] = {4, 0,  0, 19, 0, 0, 28, 32, 1, 2, 3, 4,
                                 1, 24, 0, 5,  1, 2, 3,  4,  5, 0, 0};
#define TICKET_SIZE sizeof(ticket)
#define TICKET_HALF 12
static const uint8_t update[] = {24, 0, 0, 1, 0};

static void play_ticket(struct peer *p, const char *value)
{
    (void)value;
    peer_queue_record(p, RECORD_HANDSHAKE, ticket, TICKET_SIZE);
}

static void play_pause(struct peer *p, const char *value)
{
    peer_flush(p);
    usleep((useconds_t)atoi(value) * US_PER_MS);
}

static void play_lone_empty(struct peer *p, const char *value)
{
    play_pause(p, value);
    play_data(p, "");
    peer_flush(p);
}

static void play_lone_ticket(struct peer *p, const char *value)
{
    play_pause(p, value);
    play_ticket(p, "");
    peer_flush(p);
}

static void play_half_ticket(struct peer *p, const char *value)
{
    (void)value;
    peer_queue_record(p, RECORD_HANDSHAKE, ticket, TICKET_HALF);
}

static void play_other_half(struct peer *p, const char *value)
{
    (void)value;
    peer_queue_record(p, RECORD_HANDSHAKE, ticket + TICKET_HALF, TICKET_SIZE - TICKET_HALF);
}

static void play_update(struct peer *p, const char *value)
{
    (void)value;
    peer_queue_record(p, RECORD_HANDSHAKE, update, sizeof(update));
    records_update(&p->records, &p->records.out);
}

static void play_update_asked(struct peer *p, const char *value)
{
    (void)value;
    peer_queue_record(p, RECORD_HANDSHAKE, "\x18\0\0\1\1", sizeof(update));
    records_update(&p->records, &p->records.out);
}

static void play_ticket_update(struct peer *p, const char *value)
{
    uint8_t both[TICKET_SIZE + sizeof(update)];

    (void)value;
    memcpy(both, ticket, TICKET_SIZE);
    memcpy(both + TICKET_SIZE, update, sizeof(update));
    peer_queue_record(p, RECORD_HANDSHAKE, both, sizeof(both));
    records_update(&p->records, &p->records.out);
}

static void play_request(struct peer *p, const char *value)
{
    (void)value;
    peer_queue_record(p, RECORD_HANDSHAKE, "\0\0\0", 4);
}

static void play_alert(struct peer *p, const char *value)
{
    uint8_t alert[2];

    must(sscanf(value, "%hhu,%hhu", &alert[0], &alert[1]) == 2, value);
    peer_queue_record(p, RECORD_ALERT, alert, 2);
}

static void play_half_alert(struct peer *p, const char *value)
{
    uint8_t byte = (uint8_t)atoi(value);

    peer_queue_record(p, RECORD_ALERT, &byte, 1);
}

static void play_close(struct peer *p, const char *value)
{
    (void)value;
    peer_queue_record(p, RECORD_ALERT, "\1", 2);
}

static void play_type(struct peer *p, const char *value)
{
    peer_queue_record(p, (uint8_t)atoi(value), "x", 1);
}

static size_t last_record(struct peer *p, const char *text, uint8_t record[RECORD_MAX])
{
    return records_seal(&p->records, RECORD_APPLICATION, text, strlen(text), record);
}

static void play_bad_tag(struct peer *p, const char *value)
{
    uint8_t record[RECORD_MAX];
    size_t n = last_record(p, "bad", record);

    (void)value;
    record[n - 1] ^= 1;
    peer_queue_bytes(p, record, n);
}

static void play_clear(struct peer *p, const char *value)
{
    (void)value;
    peer_queue_bytes(p, "HTTP/1.1 400 Bad Request\r\n\r\n", 28);
}

static void play_oversized(struct peer *p, const char *value)
{
    static const uint8_t zeros[RECORD_DATA + 257];
    static const uint8_t head[] = {23, 3, 3, sizeof(zeros) >> 8, sizeof(zeros) & 0xff};

    (void)value;
    peer_queue_bytes(p, head, sizeof(head));
    peer_queue_bytes(p, zeros, sizeof(zeros));
}

static void play_wrong_version(struct peer *p, const char *value)
{
    uint8_t record[RECORD_MAX];
    size_t n = last_record(p, "old", record);

    (void)value;
    record[1] = 2;
    peer_queue_bytes(p, record, n);
}

static void play_cut(struct peer *p, const char *value)
{
    uint8_t record[RECORD_MAX];
    size_t n = last_record(p, value, record);

    peer_queue_bytes(p, record, n - 1);
}

static void play_slow(struct peer *p, const char *value)
{
    uint8_t record[RECORD_MAX];
    size_t n = last_record(p, value, record);

    for (size_t i = 0; i < n; i++) {
        peer_queue_bytes(p, &record[i], 1);
        peer_flush(p);
    }
}

static void play_flush(struct peer *p, const char *value)
{
    (void)value;
    peer_flush(p);
}

static void play_hear(struct peer *p, const char *value)
{
    peer_hear(p, (size_t)atoi(value));
}

static void play_count(struct peer *p, const char *value)
{
    (void)value;
    peer_count(p);
}

static void play_echo(struct peer *p, const char *value)
{
    (void)value;
    peer_echo(p);
}

static void play_fin(struct peer *p, const char *value)
{
    (void)value;
    peer_flush(p);
    shutdown(p->fd, SHUT_WR);
}

void peer_reset(int fd)
{
    struct linger linger = {.l_onoff = 1};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    close(fd);
}

static void play_rst(struct peer *p, const char *value)
{
    (void)value;
    peer_flush(p);
    peer_reset(p->fd);
    p->fd = -1;
    p->is_over = true;
}

static void play_wait(struct peer *p, const char *value)
{
    (void)value;
    peer_hear(p, SIZE_MAX);
}

static const struct {
    const char *name;
    void (*play)(struct peer *p, const char *value);
} words[] = {
    {"data", play_data},
    {"long", play_long},
    {"empty", play_data},
    {"ticket", play_ticket},
    {"lone-empty", play_lone_empty},
    {"lone-ticket", play_lone_ticket},
    {"half-ticket", play_half_ticket},
    {"other-half", play_other_half},
    {"update", play_update},
    {"update-asked", play_update_asked},
    {"ticket+update", play_ticket_update},
    {"request", play_request},
    {"alert", play_alert},
    {"half-alert", play_half_alert},
    {"close", play_close},
    {"type", play_type},
    {"bad-tag", play_bad_tag},
    {"clear", play_clear},
    {"oversized", play_oversized},
    {"wrong-version", play_wrong_version},
    {"cut", play_cut},
    {"slow", play_slow},
    {"flush", play_flush},
    {"hear", play_hear},
    {"count", play_count},
    {"echo", play_echo},
    {"fin", play_fin},
    {"rst", play_rst},
    {"wait", play_wait},
};

void peer_play(struct peer *p, char *word)
{
    char *star = strchr(word, '*');
    long times = star ? strtol(word, NULL, 10) : 1;
    char *name = star ? star + 1 : word, *value = strchr(name, '=');
    size_t i = 0;

    must(times > 0 && times <= REPEAT_MAX, word);
    if (value)
        *value++ = '\0';
    while (i < sizeof(words) / sizeof(*words) && strcmp(words[i].name, name) != 0)
        i++;
    must(i < sizeof(words) / sizeof(*words), name);
    while (times-- > 0 && p->fd >= 0)
        words[i].play(p, value ? value : "");
}
