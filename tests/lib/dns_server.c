/* One thread polls a UDP socket, a listener, its connections and a pipe by which it is ended. A
 * mutex guards script and counters. Answers are built in one buffer, without name compression save
 * for the question's own name; late ones are kept with their time. */
#include "tests/lib/dns_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "daemon/base/clock.h"
#include "proto/cleanup.h"

#define NAME_TEXT_MAX 255
#define MESSAGE_MAX   65535
#define HEAD_SIZE     12
#define CHAIN_MAX     32

#define TYPE_CNAME 5
#define TYPE_SOA   6

enum kind {
    KIND_RECORD, /* A, AAAA, CNAME */
    KIND_NXDOMAIN,
    KIND_NODATA,
    KIND_RCODE,
    KIND_SILENT,
    KIND_GARBAGE,
    KIND_WRONG_NAME,
    KIND_TRUNCATE,
    KIND_DELAY,
    KIND_RESET,
};

struct line {
    char name[NAME_TEXT_MAX + 1];
    enum kind kind;
    uint16_t type; /* of the record; or the type this is limited to, DNS_ANY: all */
    int64_t ttl_s; /* -1: none */
    unsigned number;
    char target[NAME_TEXT_MAX + 1];
    uint8_t data[16];
};

struct seen {
    char name[NAME_TEXT_MAX + 1];
    uint16_t type;
    unsigned n;
};

struct connection {
    int fd;
    uint8_t buf[2 + MESSAGE_MAX];
    size_t n;
};

struct late {
    uint64_t at_us;
    struct sockaddr_in to;
    int fd; /* the connection; -1: UDP */
    uint8_t *message;
    size_t n;
};

struct dns_server {
    pthread_t thread;
    pthread_mutex_t lock;
    int udp, listener, end[2];
    uint16_t port;
    FILE *log;
    struct line *lines;
    size_t n_lines;
    struct seen *seen;
    size_t n_seen;
    unsigned n_tcp;
    struct connection *connections[DNS_SERVER_TCP_MAX];
    size_t n_connections;
    struct late late[DNS_SERVER_LATE_MAX];
    size_t n_late;
};

/* The script. */

static const struct {
    const char *word;
    enum kind kind;
    bool has_number;
} kinds[] = {
    {"NXDOMAIN", KIND_NXDOMAIN, false}, {"NODATA", KIND_NODATA, false},
    {"RCODE", KIND_RCODE, true},        {"SILENT", KIND_SILENT, false},
    {"GARBAGE", KIND_GARBAGE, false},   {"WRONG-NAME", KIND_WRONG_NAME, false},
    {"TRUNCATE", KIND_TRUNCATE, false}, {"DELAY", KIND_DELAY, true},
    {"RESET", KIND_RESET, false},
};

static uint16_t type_parse(const char *word)
{
    if (strcmp(word, "A") == 0)
        return DNS_A;
    if (strcmp(word, "AAAA") == 0)
        return DNS_AAAA;
    if (strcmp(word, "CNAME") == 0)
        return TYPE_CNAME;
    return DNS_ANY;
}

static bool record_parse(struct line *line, const char *type, const char *value)
{
    line->kind = KIND_RECORD;
    line->type = type_parse(type);
    if (line->type == DNS_A)
        return inet_pton(AF_INET, value, line->data) == 1;
    if (line->type == DNS_AAAA)
        return inet_pton(AF_INET6, value, line->data) == 1;
    if (line->type != TYPE_CNAME || strlen(value) > NAME_TEXT_MAX)
        return false;
    strcpy(line->target, value);
    return true;
}

static bool line_parse(struct line *line, char *words[5], size_t n)
{
    size_t next = 3;

    *line = (struct line){.ttl_s = -1};
    if (n < 3 || strlen(words[0]) > NAME_TEXT_MAX)
        return false;
    strcpy(line->name, words[0]);
    if (strcmp(words[1], "-") != 0)
        line->ttl_s = strtoll(words[1], NULL, 10);
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        if (strcmp(words[2], kinds[i].word) != 0)
            continue;
        line->kind = kinds[i].kind;
        if (kinds[i].has_number) {
            if (n < 4)
                return false;
            line->number = (unsigned)strtoul(words[next++], NULL, 10);
        }
        line->type = n > next ? type_parse(words[next++]) : DNS_ANY;
        return n == next;
    }
    return n == 4 && record_parse(line, words[2], words[3]);
}

int dns_server_add(struct dns_server *s, const char *text)
{
    CLEANUP(freep) char *copy = strdup(text);
    char *words[5], *saved, *word;
    struct line line;
    size_t n = 0;
    int r = 0;

    if (!copy)
        return -ENOMEM;
    copy[strcspn(copy, "#\n")] = '\0';
    for (word = strtok_r(copy, " \t\r", &saved); word && n < ARRAY_SIZE(words);
         word = strtok_r(NULL, " \t\r", &saved))
        words[n++] = word;
    if (n == 0)
        return 0;
    if (word || !line_parse(&line, words, n))
        return -EINVAL;
    pthread_mutex_lock(&s->lock);
    if (s->n_lines == DNS_SERVER_LINES_MAX)
        r = -ENOSPC;
    else {
        struct line *lines = reallocarray(s->lines, s->n_lines + 1, sizeof *lines);

        if (lines) {
            s->lines = lines;
            s->lines[s->n_lines++] = line;
        } else
            r = -ENOMEM;
    }
    pthread_mutex_unlock(&s->lock);
    return r;
}

void dns_server_clear(struct dns_server *s)
{
    pthread_mutex_lock(&s->lock);
    s->n_lines = 0;
    pthread_mutex_unlock(&s->lock);
}

/* The next line of this name after `from`, of this kind and type; NULL: none. */
static const struct line *find_line(const struct dns_server *s, const char *name, enum kind kind,
                                    uint16_t type, const struct line *from)
{
    for (size_t i = from ? (size_t)(from - s->lines) + 1 : 0; i < s->n_lines; i++) {
        const struct line *line = &s->lines[i];

        if (line->kind == kind && (line->type == type || line->type == DNS_ANY) &&
            strcasecmp(line->name, name) == 0)
            return line;
    }
    return NULL;
}

static bool is_known(const struct dns_server *s, const char *name)
{
    for (size_t i = 0; i < s->n_lines; i++) {
        if (strcasecmp(s->lines[i].name, name) == 0)
            return true;
    }
    return false;
}

/* Counting. */

static void count(struct dns_server *s, const char *name, uint16_t type, bool is_tcp)
{
    struct seen *seen = NULL;

    s->n_tcp += is_tcp;
    if (s->log) {
        fprintf(s->log, "%s %s %s\n", is_tcp ? "tcp" : "udp",
                type == DNS_A      ? "A"
                : type == DNS_AAAA ? "AAAA"
                                   : "other",
                name);
        fflush(s->log);
    }
    for (size_t i = 0; i < s->n_seen; i++) {
        if (s->seen[i].type == type && strcasecmp(s->seen[i].name, name) == 0)
            seen = &s->seen[i];
    }
    if (!seen) {
        struct seen *larger = reallocarray(s->seen, s->n_seen + 1, sizeof *larger);

        if (!larger)
            return;
        s->seen = larger;
        seen = &s->seen[s->n_seen++];
        *seen = (struct seen){.type = type};
        snprintf(seen->name, sizeof seen->name, "%s", name);
    }
    seen->n++;
}

unsigned dns_server_count(struct dns_server *s, const char *name, uint16_t type)
{
    unsigned n = 0;

    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < s->n_seen; i++) {
        if ((type == DNS_ANY || s->seen[i].type == type) &&
            (!name || strcasecmp(s->seen[i].name, name) == 0))
            n += s->seen[i].n;
    }
    pthread_mutex_unlock(&s->lock);
    return n;
}

unsigned dns_server_count_all(struct dns_server *s)
{
    return dns_server_count(s, NULL, DNS_ANY);
}

unsigned dns_server_count_tcp(struct dns_server *s)
{
    unsigned n;

    pthread_mutex_lock(&s->lock);
    n = s->n_tcp;
    pthread_mutex_unlock(&s->lock);
    return n;
}

/* Messages. */

struct writer {
    uint8_t bytes[MESSAGE_MAX];
    size_t n;
};

static void put(struct writer *w, const void *data, size_t n)
{
    if (n <= sizeof w->bytes - w->n) {
        memcpy(w->bytes + w->n, data, n);
        w->n += n;
    }
}

static void put_u16(struct writer *w, unsigned value)
{
    uint8_t bytes[2] = {(uint8_t)(value >> 8), (uint8_t)value};

    put(w, bytes, sizeof bytes);
}

static void put_u32(struct writer *w, uint32_t value)
{
    put_u16(w, value >> 16);
    put_u16(w, value & 0xffff);
}

static void put_name(struct writer *w, const char *name)
{
    while (*name) {
        uint8_t n = (uint8_t)strcspn(name, ".");

        put(w, &n, 1);
        put(w, name, n);
        name += n;
        name += *name == '.';
    }
    put(w, "", 1);
}

static void put_record_head(struct writer *w, const char *name, unsigned type, uint32_t ttl_s,
                            unsigned n)
{
    put_name(w, name);
    put_u16(w, type);
    put_u16(w, 1);
    put_u32(w, ttl_s);
    put_u16(w, n);
}

static void set_count(struct writer *w, size_t at, unsigned value)
{
    w->bytes[at] = (uint8_t)(value >> 8);
    w->bytes[at + 1] = (uint8_t)value;
}

static void put_soa(struct writer *w, int64_t ttl_s)
{
    if (ttl_s < 0)
        return;
    put_record_head(w, "example", TYPE_SOA, (uint32_t)ttl_s, 2 + 20);
    put(w, "\0", 2); /* both names are the root */
    for (unsigned i = 0; i < 4; i++)
        put_u32(w, 3600);
    put_u32(w, (uint32_t)ttl_s);
    set_count(w, 8, 1);
}

struct request {
    const uint8_t *data;
    size_t n, question_end;
    char name[NAME_TEXT_MAX + 1];
    uint16_t type;
};

static bool request_parse(struct request *q, const uint8_t *data, size_t n)
{
    size_t at = HEAD_SIZE, length = 0;

    *q = (struct request){.data = data, .n = n};
    while (at < n && data[at] != 0) {
        size_t label = data[at];

        if (label > 63 || at + 1 + label >= n || length + label + 1 > NAME_TEXT_MAX)
            return false;
        if (length > 0)
            q->name[length++] = '.';
        memcpy(q->name + length, data + at + 1, label);
        length += label;
        at += label + 1;
    }
    if (at + 5 > n)
        return false;
    q->type = (uint16_t)(data[at + 1] << 8 | data[at + 2]);
    q->question_end = at + 5;
    return true;
}

/* Everything of the type at the end of the chain that begins at the script's `name`, which goes by
 * the name of `owner`. */
static void put_records(const struct dns_server *s, struct writer *w, const char *owner,
                        const char *name, uint16_t type)
{
    const struct line *line, *negative;
    unsigned n = 0;

    for (unsigned i = 0;
         i < CHAIN_MAX && (line = find_line(s, name, KIND_RECORD, TYPE_CNAME, NULL)); i++) {
        put_record_head(w, owner, TYPE_CNAME, (uint32_t)line->ttl_s,
                        (unsigned)strlen(line->target) + 2);
        put_name(w, line->target);
        owner = name = line->target;
        n++;
    }
    set_count(w, 6, n);
    for (line = NULL; (line = find_line(s, name, KIND_RECORD, type, line));) {
        unsigned size = type == DNS_A ? 4 : 16;

        if (n == DNS_SERVER_RECORDS_MAX)
            break;
        put_record_head(w, owner, type, (uint32_t)line->ttl_s, size);
        put(w, line->data, size);
        set_count(w, 6, ++n);
    }
    if (n > 0 && find_line(s, name, KIND_RECORD, type, NULL))
        return;
    negative = find_line(s, name, KIND_NXDOMAIN, type, NULL);
    if (negative || !is_known(s, name))
        w->bytes[3] |= 3;
    if (!negative)
        negative = find_line(s, name, KIND_NODATA, type, NULL);
    put_soa(w, negative ? negative->ttl_s : 30);
}

/* The name whose lines count for this question. */
static const char *script_name(const struct dns_server *s, const struct request *q)
{
    return !is_known(s, q->name) && is_known(s, "*") ? "*" : q->name;
}

/* Returns false: no answer at all. */
static bool answer_build(const struct dns_server *s, const struct request *q, bool is_tcp,
                         struct writer *w)
{
    const char *name = script_name(s, q);
    const struct line *rcode = find_line(s, name, KIND_RCODE, q->type, NULL);

    w->n = 0;
    put(w, q->data, 2);
    put(w, "\x81\x80\0\1\0\0\0\0\0\0", 10);
    put(w, q->data + HEAD_SIZE, q->question_end - HEAD_SIZE);
    if (find_line(s, name, KIND_SILENT, q->type, NULL))
        return false;
    if (find_line(s, name, KIND_WRONG_NAME, q->type, NULL))
        w->bytes[HEAD_SIZE + 1] ^= 1;
    if (find_line(s, name, KIND_GARBAGE, q->type, NULL)) {
        set_count(w, 6, 3);
        put(w, "\xc0\xff\x3f\xff\xc0", 5);
    } else if (!is_tcp && find_line(s, name, KIND_TRUNCATE, q->type, NULL)) {
        w->bytes[2] |= 2;
    } else if (rcode) {
        w->bytes[3] |= rcode->number & 15;
    } else {
        put_records(s, w, q->name, name, q->type);
    }
    return true;
}

/* The wire. */

static void send_tcp(int fd, const uint8_t *message, size_t n)
{
    uint8_t head[2] = {(uint8_t)(n >> 8), (uint8_t)n};

    if (send(fd, head, 2, MSG_NOSIGNAL | MSG_MORE) == 2)
        (void)!send(fd, message, n, MSG_NOSIGNAL);
}

static void send_answer(struct dns_server *s, int fd, const struct sockaddr_in *to,
                        const uint8_t *message, size_t n)
{
    if (fd >= 0)
        send_tcp(fd, message, n);
    else
        (void)!sendto(s->udp, message, n, 0, (const struct sockaddr *)to, sizeof *to);
}

static void late_add(struct dns_server *s, int fd, const struct sockaddr_in *to,
                     const struct writer *w, unsigned delay_ms)
{
    struct late late = {.at_us = clock_now_us() + delay_ms * US_PER_MS, .fd = fd, .n = w->n};

    late.message = malloc(w->n);
    if (!late.message)
        return;
    if (s->n_late == DNS_SERVER_LATE_MAX) {
        free(late.message);
        return;
    }
    if (to)
        late.to = *to;
    memcpy(late.message, w->bytes, w->n);
    s->late[s->n_late++] = late;
}

static void late_send_due(struct dns_server *s)
{
    uint64_t now_us = clock_now_us();

    for (size_t i = s->n_late; i-- > 0;) {
        struct late *late = &s->late[i];

        if (late->at_us > now_us)
            continue;
        send_answer(s, late->fd, &late->to, late->message, late->n);
        free(late->message);
        s->late[i] = s->late[--s->n_late];
    }
}

/* A closed connection's answers are dropped. */
static void late_forget(struct dns_server *s, int fd)
{
    for (size_t i = s->n_late; i-- > 0;) {
        if (s->late[i].fd == fd) {
            free(s->late[i].message);
            s->late[i] = s->late[--s->n_late];
        }
    }
}

/* Returns false: close the connection. */
static bool serve(struct dns_server *s, const uint8_t *data, size_t n, int fd,
                  const struct sockaddr_in *to)
{
    static _Thread_local struct writer w;
    const struct line *delay;
    struct request q;
    bool is_open = true;

    if (!request_parse(&q, data, n))
        return false;
    pthread_mutex_lock(&s->lock);
    count(s, q.name, q.type, fd >= 0);
    delay = find_line(s, script_name(s, &q), KIND_DELAY, q.type, NULL);
    if (fd >= 0 && find_line(s, script_name(s, &q), KIND_RESET, q.type, NULL))
        is_open = false;
    else if (answer_build(s, &q, fd >= 0, &w)) {
        if (delay)
            late_add(s, fd, to, &w, delay->number);
        else
            send_answer(s, fd, to, w.bytes, w.n);
    }
    pthread_mutex_unlock(&s->lock);
    return is_open;
}

static void serve_udp(struct dns_server *s)
{
    uint8_t buf[4096];
    struct sockaddr_in from;
    socklen_t from_n = sizeof from;
    ssize_t n = recvfrom(s->udp, buf, sizeof buf, 0, (struct sockaddr *)&from, &from_n);

    if (n > 0)
        serve(s, buf, (size_t)n, -1, &from);
}

static void connection_add(struct dns_server *s)
{
    int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
    struct connection *c;

    if (fd < 0)
        return;
    c = s->n_connections < DNS_SERVER_TCP_MAX ? calloc(1, sizeof *c) : NULL;
    if (!c) {
        fd_close(fd);
        return;
    }
    c->fd = fd;
    s->connections[s->n_connections++] = c;
}

static void connection_remove(struct dns_server *s, size_t i)
{
    struct connection *c = s->connections[i];

    late_forget(s, c->fd);
    fd_close(c->fd);
    free(c);
    s->connections[i] = s->connections[--s->n_connections];
}

/* Returns false when the connection is to be closed. */
static bool connection_read(struct dns_server *s, struct connection *c)
{
    ssize_t n = recv(c->fd, c->buf + c->n, sizeof c->buf - c->n, 0);

    if (n <= 0)
        return false;
    c->n += (size_t)n;
    for (;;) {
        size_t size = c->n >= 2 ? (size_t)(c->buf[0] << 8 | c->buf[1]) : 0;

        if (c->n < 2 || c->n < 2 + size)
            return true;
        if (!serve(s, c->buf + 2, size, c->fd, NULL))
            return false;
        c->n -= 2 + size;
        memmove(c->buf, c->buf + 2 + size, c->n);
    }
}

static void *server_run(void *data)
{
    struct dns_server *s = data;
    struct pollfd fds[3 + DNS_SERVER_TCP_MAX];

    for (;;) {
        size_t n = s->n_connections;

        fds[0] = (struct pollfd){.fd = s->end[0], .events = POLLIN};
        fds[1] = (struct pollfd){.fd = s->udp, .events = POLLIN};
        fds[2] = (struct pollfd){.fd = s->listener, .events = POLLIN};
        for (size_t i = 0; i < n; i++)
            fds[3 + i] = (struct pollfd){.fd = s->connections[i]->fd, .events = POLLIN};
        poll(fds, 3 + n, s->n_late > 0 ? 2 : -1);
        if (fds[0].revents)
            return NULL;
        for (size_t i = n; i-- > 0;) {
            if (fds[3 + i].revents && !connection_read(s, s->connections[i]))
                connection_remove(s, i);
        }
        if (fds[1].revents)
            serve_udp(s);
        if (fds[2].revents)
            connection_add(s);
        late_send_due(s);
    }
}

/* Both sockets on one port: what is free for UDP may be taken for TCP, so several are tried. */
static int open_sockets(struct dns_server *s, const char *address, uint16_t port)
{
    for (unsigned i = 0; i < 50; i++) {
        struct sockaddr_in sa = {
            .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = inet_addr(address)};
        socklen_t n = sizeof sa;
        int on = 1;

        s->udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        (void)setsockopt(s->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (bind(s->udp, (struct sockaddr *)&sa, sizeof sa) == 0 &&
            getsockname(s->udp, (struct sockaddr *)&sa, &n) == 0 &&
            bind(s->listener, (struct sockaddr *)&sa, sizeof sa) == 0 &&
            listen(s->listener, 16) == 0) {
            s->port = ntohs(sa.sin_port);
            return 0;
        }
        s->udp = fd_close(s->udp);
        s->listener = fd_close(s->listener);
        if (port != 0)
            break;
    }
    return -EADDRINUSE;
}

int dns_server_new(struct dns_server **ret, const char *address, uint16_t port, FILE *log)
{
    struct dns_server *s = calloc(1, sizeof *s);
    int r;

    if (!s)
        return -ENOMEM;
    s->udp = s->listener = s->end[0] = s->end[1] = -1;
    s->log = log;
    r = open_sockets(s, address ? address : "127.0.0.1", port);
    if (r == 0 && pipe2(s->end, O_CLOEXEC) < 0)
        r = -errno;
    if (r == 0)
        r = -pthread_mutex_init(&s->lock, NULL);
    if (r == 0)
        r = -pthread_create(&s->thread, NULL, server_run, s);
    if (r < 0) {
        fd_close(s->udp);
        fd_close(s->listener);
        fd_close(s->end[0]);
        fd_close(s->end[1]);
        free(s);
        return r;
    }
    *ret = s;
    return 0;
}

struct dns_server *dns_server_free(struct dns_server *s)
{
    if (!s)
        return NULL;
    (void)!write(s->end[1], "", 1);
    pthread_join(s->thread, NULL);
    while (s->n_connections > 0)
        connection_remove(s, 0);
    late_forget(s, -1);
    fd_close(s->udp);
    fd_close(s->listener);
    fd_close(s->end[0]);
    fd_close(s->end[1]);
    pthread_mutex_destroy(&s->lock);
    free(s->lines);
    free(s->seen);
    free(s);
    return NULL;
}

uint16_t dns_server_port(const struct dns_server *s)
{
    return s->port;
}
