/* LDAP: the extended operation StartTLS (RFC 4511, 4.14), in BER (5.1: definite lengths only).
 * Lengths need not be the shortest; some servers always write four bytes. */
#include "daemon/dialog/starttls_protocols.h"

#include <string.h>

#define START_TLS_OID     "1.3.6.1.4.1.1466.20037"
#define DISCONNECTION_OID "1.3.6.1.4.1.1466.20036" /* RFC 4511, 4.4.1 */
#define MESSAGE_ID        1

#define TAG_INTEGER       0x02
#define TAG_OCTET_STRING  0x04
#define TAG_ENUMERATED    0x0a
#define TAG_SEQUENCE      0x30
#define TAG_RESPONSE      0x78 /* [APPLICATION 24] ExtendedResponse */
#define TAG_RESPONSE_NAME 0x8a

#define LENGTH_LONG      0x80 /* and how many bytes of length follow */
#define LENGTH_BYTES_MAX 4

static const char request[] = "\x30\x1d"
                              "\x02\x01\x01"            /* messageID 1 */
                              "\x77\x18"                /* [APPLICATION 23] ExtendedRequest */
                              "\x80\x16" START_TLS_OID; /* [0] requestName */

struct ber {
    const uint8_t *at;
    size_t n;
};

struct response {
    uint32_t id;
    uint32_t code;
    struct ber diagnostic;
    struct ber name; /* at NULL: absent */
};

static uint32_t big_endian(const uint8_t *at, size_t n)
{
    uint32_t value = 0;

    for (size_t i = 0; i < n; i++)
        value = value << 8 | at[i];
    return value;
}

/* How many bytes of length follow its first; 0 when that is the length; -1 when it is neither. */
static int count_length(uint8_t first)
{
    int n = first - LENGTH_LONG;

    if (n < 0)
        return 0;
    return n >= 1 && n <= LENGTH_BYTES_MAX ? n : -1;
}

static bool take_any(struct ber *from, uint8_t *ret_tag, struct ber *ret)
{
    size_t n_head = 2, length;
    int n;

    if (from->n < n_head)
        return false;
    n = count_length(from->at[1]);
    if (n < 0 || from->n - n_head < (size_t)n)
        return false;
    length = n == 0 ? from->at[1] : big_endian(from->at + n_head, (size_t)n);
    n_head += (size_t)n;
    if (from->n - n_head < length)
        return false;
    *ret_tag = from->at[0];
    *ret = (struct ber){from->at + n_head, length};
    from->at += n_head + length;
    from->n -= n_head + length;
    return true;
}

static bool take(struct ber *from, uint8_t tag, struct ber *ret)
{
    struct ber value;
    uint8_t found;

    if (!take_any(from, &found, &value) || found != tag)
        return false;
    *ret = value;
    return true;
}

/* 0 to 2^31 - 1, as both a messageID and all result codes are. */
static bool take_number(struct ber *from, uint8_t tag, uint32_t *ret)
{
    struct ber value;

    if (!take(from, tag, &value) || value.n < 1 || value.n > 4 || value.at[0] >= 0x80)
        return false;
    *ret = big_endian(value.at, value.n);
    return true;
}

/* What comes behind, with a tag not known here, is to be passed over (RFC 4511, 4). */
static bool take_rest(struct ber *from, struct ber *ret_name)
{
    struct ber value;
    uint8_t tag;

    while (from->n > 0) {
        if (!take_any(from, &tag, &value))
            return false;
        if (tag == TAG_RESPONSE_NAME)
            *ret_name = value;
    }
    return true;
}

static bool read_response(struct ber message, struct response *ret)
{
    struct ber response, dn, none = {0};

    *ret = (struct response){0};
    return take_number(&message, TAG_INTEGER, &ret->id) &&
           take(&message, TAG_RESPONSE, &response) && take_rest(&message, &none) &&
           take_number(&response, TAG_ENUMERATED, &ret->code) &&
           take(&response, TAG_OCTET_STRING, &dn) &&
           take(&response, TAG_OCTET_STRING, &ret->diagnostic) && take_rest(&response, &ret->name);
}

static bool is_named(const struct response *response, const char *oid)
{
    return response->name.at && response->name.n == strlen(oid) &&
           memcmp(response->name.at, oid, response->name.n) == 0;
}

static void judge(struct starttls *s, struct ber message)
{
    struct response r;

    if (!read_response(message, &r))
        dialog_fail(&s->dialog, ERROR_STARTTLS_PROTOCOL, "its answer is no extended response");
    else if (r.id == 0 && is_named(&r, DISCONNECTION_OID))
        dialog_fail(&s->dialog, ERROR_STARTTLS_REFUSED,
                    "it disconnects with result code %u, '%.*s'", r.code, (int)r.diagnostic.n,
                    (const char *)r.diagnostic.at);
    else if (r.id != MESSAGE_ID)
        dialog_fail(&s->dialog, ERROR_STARTTLS_PROTOCOL,
                    "it answers message %u, which was not sent", r.id);
    else if (r.name.at && !is_named(&r, START_TLS_OID))
        dialog_fail(&s->dialog, ERROR_STARTTLS_PROTOCOL, "it answers another operation, '%.*s'",
                    (int)r.name.n, (const char *)r.name.at);
    else if (r.code != 0)
        dialog_fail(&s->dialog, ERROR_STARTTLS_REFUSED, "it answers with result code %u, '%.*s'",
                    r.code, (int)r.diagnostic.n, (const char *)r.diagnostic.at);
    else
        starttls_agree(s, 0);
}

static void want_message(struct starttls *s, uint32_t n)
{
    if (n == 0 || n > STARTTLS_LDAP_MAX) {
        dialog_fail(&s->dialog, ERROR_STARTTLS_PROTOCOL,
                    "it announces a message of %u bytes, not 1 to %d", n, STARTTLS_LDAP_MAX);
        return;
    }
    s->ldap.step = LDAP_MESSAGE;
    dialog_want_exact(&s->dialog, n);
}

static void judge_head(struct starttls *s, const uint8_t head[2])
{
    int n = count_length(head[1]);

    if (head[0] != TAG_SEQUENCE || n < 0) {
        dialog_fail(&s->dialog, ERROR_STARTTLS_PROTOCOL,
                    "its answer starts with 0x%02x%02x, which is not LDAP", head[0], head[1]);
    } else if (n > 0) {
        s->ldap.step = LDAP_LENGTH;
        dialog_want_exact(&s->dialog, (size_t)n);
    } else {
        want_message(s, head[1]);
    }
}

static void ldap_sent(struct dialog *d)
{
    dialog_want_exact(d, 2);
}

static void ldap_received(struct dialog *d, const uint8_t *data, size_t n)
{
    struct starttls *s = starttls_of(d);

    switch (s->ldap.step) {
    case LDAP_HEAD:
        judge_head(s, data);
        return;
    case LDAP_LENGTH:
        want_message(s, big_endian(data, n));
        return;
    case LDAP_MESSAGE:
        judge(s, (struct ber){data, n});
        return;
    }
}

static const struct dialog_type ldap_type = STARTTLS_TYPE("ldap", ldap_sent, ldap_received);

void starttls_init_ldap(struct starttls *s)
{
    dialog_init(&s->dialog, &ldap_type);
    s->ldap.step = LDAP_HEAD;
    dialog_want_send(&s->dialog, request, sizeof request - 1);
}
