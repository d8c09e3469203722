/* The message is walked once to check that it holds together; then the CNAME chain is followed from
 * the name asked for, whatever the order of the records, and the addresses of its last name are
 * taken. Records of other names are not looked at: a server cannot slip in what was not asked.
 *
 * Names are compared in wire form: uncompressed, lower case, with their length bytes. */
#include "daemon/resolve/dns_message.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#define HEADER_SIZE   12
#define NAME_SIZE_MAX 255 /* RFC 1035, 2.3.4 */
#define LABEL_MAX     63
#define POINTERS_MAX  64  /* in one name */
#define RECORDS_MAX   512 /* in one section; each step along the chain walks all of them */

#define TYPE_A     1
#define TYPE_CNAME 5
#define TYPE_SOA   6
#define TYPE_AAAA  28
#define CLASS_IN   1

#define RCODE_NXDOMAIN 3

struct wire_name {
    uint8_t bytes[NAME_SIZE_MAX];
    size_t n;
};

struct message {
    const uint8_t *data;
    size_t n;
    unsigned rcode;
    size_t n_answers, n_authorities;
    size_t answers_at, authorities_at; /* offsets */
};

struct record {
    struct wire_name owner;
    uint16_t type, class;
    uint32_t ttl_s;
    size_t data_at, data_n; /* inside the message */
    size_t next_at;
};

static uint16_t u16_at(const struct message *m, size_t at)
{
    return (uint16_t)(m->data[at] << 8 | m->data[at + 1]);
}

static uint32_t u32_at(const struct message *m, size_t at)
{
    return (uint32_t)u16_at(m, at) << 16 | u16_at(m, at + 2);
}

static bool wire_name_add_label(struct wire_name *name, const uint8_t *label, size_t n)
{
    if (n + 1 > sizeof name->bytes - name->n)
        return false;
    name->bytes[name->n++] = (uint8_t)n;
    for (size_t i = 0; i < n; i++)
        name->bytes[name->n++] = (uint8_t)tolower(label[i]);
    return true;
}

static bool wire_name_from_text(const char *text, struct wire_name *ret)
{
    ret->n = 0;
    while (*text) {
        size_t n = strcspn(text, ".");

        if (n == 0 || n > LABEL_MAX || !wire_name_add_label(ret, (const uint8_t *)text, n))
            return false;
        text += n;
        if (*text == '.')
            text++;
    }
    return wire_name_add_label(ret, NULL, 0);
}

static bool wire_name_equals(const struct wire_name *a, const struct wire_name *b)
{
    return a->n == b->n && memcmp(a->bytes, b->bytes, a->n) == 0;
}

/* Reads a name that may be compressed (RFC 1035, 4.1.4). Returns the offset behind it, or 0. */
static size_t name_read(const struct message *m, size_t at, struct wire_name *ret)
{
    size_t behind = 0;
    unsigned n_pointers = 0;

    ret->n = 0;
    while (at < m->n) {
        size_t n = m->data[at];

        if ((n & 0xc0) == 0xc0) {
            if (m->n - at < 2 || ++n_pointers > POINTERS_MAX)
                return 0;
            behind = behind ? behind : at + 2;
            at = u16_at(m, at) & 0x3fff;
            continue;
        }
        if (n > LABEL_MAX || n >= m->n - at || !wire_name_add_label(ret, m->data + at + 1, n))
            return 0;
        at += n + 1;
        if (n == 0)
            return behind ? behind : at;
    }
    return 0;
}

static bool record_read(const struct message *m, size_t at, struct record *ret)
{
    at = name_read(m, at, &ret->owner);
    if (at == 0 || m->n - at < 10)
        return false;
    ret->type = u16_at(m, at);
    ret->class = u16_at(m, at + 2);
    ret->ttl_s = u32_at(m, at + 4);
    if (ret->ttl_s > INT32_MAX)
        ret->ttl_s = 0; /* RFC 2181, 8 */
    ret->data_n = u16_at(m, at + 8);
    ret->data_at = at + 10;
    if (m->n - ret->data_at < ret->data_n)
        return false;
    ret->next_at = ret->data_at + ret->data_n;
    return true;
}

/* Returns the offset behind `count` records, or 0. */
static size_t records_skip(const struct message *m, size_t at, size_t count)
{
    struct record record;

    for (size_t i = 0; i < count; i++) {
        if (!record_read(m, at, &record))
            return 0;
        at = record.next_at;
    }
    return at;
}

/* Checks the head, the question and the shape of both sections. */
static bool message_open(struct message *m, const struct wire_name *name, uint16_t type)
{
    struct wire_name asked;
    size_t at;

    if (m->n < HEADER_SIZE || !(m->data[2] & 0x80) || u16_at(m, 4) != 1)
        return false;
    m->rcode = m->data[3] & 0x0f;
    m->n_answers = u16_at(m, 6);
    m->n_authorities = u16_at(m, 8);
    if (m->n_answers > RECORDS_MAX || m->n_authorities > RECORDS_MAX)
        return false;
    at = name_read(m, HEADER_SIZE, &asked);
    if (at == 0 || m->n - at < 4 || !wire_name_equals(&asked, name) || u16_at(m, at) != type ||
        u16_at(m, at + 2) != CLASS_IN)
        return false;
    m->answers_at = at + 4;
    m->authorities_at = records_skip(m, m->answers_at, m->n_answers);
    return m->authorities_at != 0 && records_skip(m, m->authorities_at, m->n_authorities) != 0;
}

/* Moves `name` one step along the chain. False: it is no alias. */
static bool chain_step(const struct message *m, struct wire_name *name, uint32_t *ttl_s)
{
    struct record record;
    size_t at = m->answers_at;

    for (size_t i = 0; i < m->n_answers; i++, at = record.next_at) {
        struct wire_name next;

        if (!record_read(m, at, &record))
            return false;
        if (record.type != TYPE_CNAME || record.class != CLASS_IN ||
            !wire_name_equals(&record.owner, name) ||
            name_read(m, record.data_at, &next) != record.next_at)
            continue;
        *name = next;
        if (record.ttl_s < *ttl_s)
            *ttl_s = record.ttl_s;
        return true;
    }
    return false;
}

static void addresses_take(const struct message *m, const struct wire_name *name, uint16_t type,
                           struct dns_answer *answer)
{
    struct record record;
    size_t at = m->answers_at;
    size_t size = type == TYPE_A ? sizeof(struct in_addr) : sizeof(struct in6_addr);

    for (size_t i = 0; i < m->n_answers && answer->n < RESOLVE_ADDRESSES_MAX;
         i++, at = record.next_at) {
        struct address *address = &answer->items[answer->n];

        if (!record_read(m, at, &record))
            return;
        if (record.type != type || record.class != CLASS_IN || record.data_n != size ||
            !wire_name_equals(&record.owner, name))
            continue;
        *address = (struct address){.family = type == TYPE_A ? AF_INET : AF_INET6};
        memcpy(&address->ipv6, m->data + record.data_at, size); /* ipv4 begins at the same byte */
        answer->n++;
        if (record.ttl_s < answer->ttl_s)
            answer->ttl_s = record.ttl_s;
    }
}

/* How long the absence holds: the smaller of the SOA's TTL and its MINIMUM field, its last four
 * bytes (RFC 2308, 5). Without SOA: the constant. */
static uint32_t negative_ttl_s(const struct message *m)
{
    struct record record;
    size_t at = m->authorities_at;

    for (size_t i = 0; i < m->n_authorities; i++, at = record.next_at) {
        uint32_t minimum_s;

        if (!record_read(m, at, &record))
            break;
        if (record.type != TYPE_SOA || record.class != CLASS_IN || record.data_n < 22)
            continue;
        minimum_s = u32_at(m, record.next_at - 4);
        return minimum_s < record.ttl_s ? minimum_s : record.ttl_s;
    }
    return RESOLVE_NEGATIVE_TTL_S;
}

static void answer_set_negative(const struct message *m, uint32_t chain_ttl_s,
                                struct dns_answer *answer)
{
    uint32_t ttl_s = negative_ttl_s(m);

    answer->verdict = m->rcode == RCODE_NXDOMAIN ? DNS_NO_NAME : DNS_NO_DATA;
    answer->ttl_s = ttl_s < chain_ttl_s ? ttl_s : chain_ttl_s;
}

const char *dns_rcode_name(unsigned rcode)
{
    static const char *const names[] = {"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN",
                                        "NOTIMP",  "REFUSED", "YXDOMAIN", "YXRRSET",
                                        "NXRRSET", "NOTAUTH", "NOTZONE"};

    return rcode < sizeof names / sizeof names[0] ? names[rcode] : "unknown response code";
}

void dns_message_parse(const uint8_t *data, size_t n, const char *name, int family,
                       struct dns_answer *ret)
{
    struct message m = {.data = data, .n = n};
    uint16_t type = family == AF_INET6 ? TYPE_AAAA : TYPE_A;
    struct wire_name current;
    uint32_t ttl_s = UINT32_MAX;

    *ret = (struct dns_answer){.verdict = DNS_FAILED, .reason = "malformed answer"};
    if (!wire_name_from_text(name, &current) || !message_open(&m, &current, type))
        return;
    if (m.rcode != 0 && m.rcode != RCODE_NXDOMAIN) {
        ret->reason = dns_rcode_name(m.rcode);
        return;
    }
    for (unsigned i = 0; chain_step(&m, &current, &ttl_s); i++) {
        if (i == DNS_CHAIN_MAX) {
            ret->reason = "CNAME chain too long or circular";
            return;
        }
    }
    ret->reason = NULL;
    ret->ttl_s = ttl_s;
    if (m.rcode == 0)
        addresses_take(&m, &current, type, ret);
    if (ret->n > 0)
        ret->verdict = DNS_ADDRESSES;
    else
        answer_set_negative(&m, ttl_s, ret);
}
