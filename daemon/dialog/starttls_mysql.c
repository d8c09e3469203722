/* MySQL and MariaDB: the server's handshake packet, version 10, and our SSLRequest, to which there
 * is no answer: TLS starts behind it ("Connection Phase", SSL Handshake; MariaDB, "Connecting").
 *
 * MySQL's servers take the capabilities, the packet size and the character set from the SSLRequest
 * and do not read them again in the client's HandshakeResponse. So the choice made here is the
 * client's too: what every client of today does, and nothing that only some want (a database in the
 * login, several statements, local files, a compressed connection). */
#include "daemon/dialog/starttls_protocols.h"

#include <string.h>

#define HEAD_SIZE    4 /* u24 length · u8 sequence id */
#define VERSION      10
#define ERROR_PACKET 0xff

#define CLIENT_LONG_PASSWORD     0x00000001u /* in MariaDB: no extended capabilities */
#define CLIENT_LONG_FLAG         0x00000004u
#define CLIENT_PROTOCOL_41       0x00000200u
#define CLIENT_SSL               0x00000800u
#define CLIENT_TRANSACTIONS      0x00002000u
#define CLIENT_SECURE_CONNECTION 0x00008000u
#define CLIENT_MULTI_RESULTS     0x00020000u
#define CLIENT_PLUGIN_AUTH       0x00080000u

#define MUST_HAVE (CLIENT_PROTOCOL_41 | CLIENT_SECURE_CONNECTION)
#define MAY_HAVE                                                                                   \
    (MUST_HAVE | CLIENT_SSL | CLIENT_LONG_FLAG | CLIENT_TRANSACTIONS | CLIENT_MULTI_RESULTS |      \
     CLIENT_PLUGIN_AUTH)

#define PACKET_SIZE_MAX 0xffffffu /* of later packets, as told to the server */
#define UTF8MB4         45        /* utf8mb4_general_ci */

static void write_u32(char *to, uint32_t value)
{
    for (size_t i = 0; i < 4; i++)
        to[i] = (char)(value >> 8 * i);
}

static void want_request(struct starttls *s, uint32_t capabilities)
{
    const size_t n = HEAD_SIZE + 32;

    memset(s->out, 0, n);
    s->out[0] = 32;
    s->out[3] = 1; /* the sequence goes on from the server's 0 */
    write_u32(s->out + HEAD_SIZE, (capabilities & MAY_HAVE) | CLIENT_LONG_PASSWORD);
    write_u32(s->out + HEAD_SIZE + 4, PACKET_SIZE_MAX);
    s->out[HEAD_SIZE + 8] = UTF8MB4;
    dialog_want_send(&s->dialog, s->out, n);
}

/* Behind the version: u32 thread · 8 of the salt · 0 · u16 capabilities · u8 character set ·
 * u16 status · u16 capabilities · u8 length of the salt · 10 reserved · at least 13 of the salt. */
static bool read_capabilities(const uint8_t *data, size_t n, uint32_t *ret)
{
    const uint8_t *end = memchr(data + 1, '\0', n - 1);
    const uint8_t *fixed;

    if (!end)
        return false;
    fixed = end + 1;
    if (n - (size_t)(fixed - data) < STARTTLS_MYSQL_MIN - 2 || fixed[12] != 0)
        return false;
    *ret = (uint32_t)fixed[13] | (uint32_t)fixed[14] << 8 | (uint32_t)fixed[18] << 16 |
           (uint32_t)fixed[19] << 24;
    return true;
}

static void judge_greeting(struct starttls *s, const uint8_t *data, size_t n)
{
    uint32_t capabilities;

    if (data[0] != VERSION)
        dialog_fail(&s->dialog, ERROR_STARTTLS_PROTOCOL, "it speaks version %u of the protocol",
                    data[0]);
    else if (!read_capabilities(data, n, &capabilities))
        dialog_fail(&s->dialog, ERROR_STARTTLS_PROTOCOL, "its handshake packet is malformed");
    else if ((capabilities & MUST_HAVE) != MUST_HAVE)
        dialog_fail(&s->dialog, ERROR_STARTTLS_PROTOCOL, "it is older than MySQL 4.1");
    else if (!(capabilities & CLIENT_SSL))
        dialog_fail(&s->dialog, ERROR_STARTTLS_REFUSED, "it does not offer TLS");
    else
        want_request(s, capabilities);
}

/* u8 0xff · u16 number · text, before the handshake without `#` and SQL state in MySQL, with them
 * in MariaDB. */
static void judge_error(struct starttls *s, const uint8_t *data, size_t n)
{
    if (n < 3) {
        dialog_fail(&s->dialog, ERROR_STARTTLS_PROTOCOL, "its error packet is malformed");
        return;
    }
    dialog_fail(&s->dialog, ERROR_STARTTLS_REFUSED, "it says error %d, '%.*s'",
                data[1] | data[2] << 8, (int)(n - 3), (const char *)data + 3);
}

static void judge_head(struct starttls *s, const uint8_t head[HEAD_SIZE])
{
    uint32_t n = (uint32_t)head[0] | (uint32_t)head[1] << 8 | (uint32_t)head[2] << 16;

    if (n == 0 || n > STARTTLS_MYSQL_MAX || head[3] != 0) {
        dialog_fail(&s->dialog, ERROR_STARTTLS_PROTOCOL,
                    "it starts with packet %u of %u bytes, not packet 0 of 1 to %d", head[3], n,
                    STARTTLS_MYSQL_MAX);
        return;
    }
    s->mysql.n_payload = n;
    dialog_want_exact(&s->dialog, n);
}

static void mysql_received(struct dialog *d, const uint8_t *data, size_t n)
{
    struct starttls *s = starttls_of(d);

    if (!starttls_tell(s, data, n))
        return;
    if (s->mysql.n_payload == 0)
        judge_head(s, data);
    else if (data[0] == ERROR_PACKET)
        judge_error(s, data, n);
    else
        judge_greeting(s, data, n);
}

static void mysql_sent(struct dialog *d)
{
    struct starttls *s = starttls_of(d);

    starttls_agree(s, s->n_told);
}

static const struct dialog_type mysql_type = STARTTLS_TYPE("mysql", mysql_sent, mysql_received);

void starttls_init_mysql(struct starttls *s)
{
    dialog_init(&s->dialog, &mysql_type);
    dialog_want_exact(&s->dialog, HEAD_SIZE);
}
