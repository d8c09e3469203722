/* A name server for tests: answers from a script, over UDP and TCP on a free loopback port, in a
 * thread of its own, and counts what it was asked.
 *
 * A script line says what one name answers, for one type or for all; the last `#` begins a comment:
 *
 *     NAME TTL A ADDRESS                 an address; several lines: several addresses
 *     NAME TTL AAAA ADDRESS
 *     NAME TTL CNAME NAME                the chain is put into the answer, as a resolver does
 *     NAME TTL NXDOMAIN                  negative, with an SOA of this TTL; `-`: without SOA
 *     NAME TTL NODATA [TYPE]
 *     NAME - RCODE N [TYPE]              a bare response code (2 SERVFAIL, 5 REFUSED …)
 *     NAME - SILENT [TYPE]               no answer
 *     NAME - GARBAGE [TYPE]              the head and question, then bytes that are no records
 *     NAME - WRONG-NAME [TYPE]           an answer to another question
 *     NAME - TRUNCATE [TYPE]             empty with TC over UDP; over TCP what the script says
 *     NAME - DELAY MS [TYPE]             answers that much later
 *     NAME - RESET [TYPE]                over TCP: closes instead of answering
 *
 * NAME `*` stands for every name without a line of its own. What is nowhere in the script is
 * NXDOMAIN with a TTL of 30. A name of the script without records of the type asked is NODATA. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define DNS_SERVER_LINES_MAX   65536
#define DNS_SERVER_RECORDS_MAX 128 /* in one answer */
#define DNS_SERVER_TCP_MAX     64  /* connections at once */
#define DNS_SERVER_LATE_MAX    256 /* delayed answers at once */

#define DNS_A    1
#define DNS_AAAA 28
#define DNS_ANY  0 /* for counting: all types */

struct dns_server;

/* `address` NULL: 127.0.0.1. port 0: a free one. `log` may be NULL; it gets a line a question,
 * "udp AAAA www.example.org". Returns 0 or -errno. */
int dns_server_new(struct dns_server **ret, const char *address, uint16_t port, FILE *log);
struct dns_server *dns_server_free(struct dns_server *s);
uint16_t dns_server_port(const struct dns_server *s);

/* Adds one line. Returns 0, or -EINVAL for a line that cannot be read. */
int dns_server_add(struct dns_server *s, const char *line);
/* Forgets all lines; counts stay. */
void dns_server_clear(struct dns_server *s);

/* Questions seen, retries included. */
unsigned dns_server_count(struct dns_server *s, const char *name, uint16_t type);
unsigned dns_server_count_tcp(struct dns_server *s);
unsigned dns_server_count_all(struct dns_server *s);
