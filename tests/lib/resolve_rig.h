/* What the tests of the resolver stand on: a ring, a scripted name server on loopback, a resolver
 * that asks it, files in a private directory. Set up and torn down around each test; at the end
 * there must be as many fds as at the beginning. */
#pragma once

#include <check.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

#include "daemon/resolve/resolve.h"
#include "tests/lib/dns_server.h"

#define TIMEOUT_MS 100 /* of the first try, where a test is about timeouts */

struct resolve_rig {
    char directory[32], hosts_path[64], resolv_conf_path[64];
    char servers[64]; /* the server, for struct resolver_options */
    struct ring *ring;
    struct dns_server *server;
    struct resolver *resolver;
    size_t fds_before;
};

extern struct resolve_rig rig;

/* For main(): its exit status. */
int rig_run(const char *name, void (*add_tests)(TCase *tcase));

struct resolver_options usual_options(void);
void open_resolver(const struct resolver_options *options);
void reopen_resolver(const struct resolver_options *options);
void reopen_with_short_timeout(void);

/* Adds a line to the server's script. */
void say(const char *line);
/* Questions that came to the server for a name, of both types. */
unsigned asked(const char *name);
/* Names that are under way in the resolver. */
size_t questions(void);

/* A lookup and what came of it, as text: "addr addr" or "CODE: detail". */
struct probe {
    struct lookup lookup;
    unsigned calls;
    char text[RESOLVE_ADDRESSES_MAX * (INET6_ADDRSTRLEN + 1)];
};
/* True: it was at hand. */
bool begin(struct probe *p, const char *name);
bool begin_family(struct probe *p, const char *name, sa_family_t family);
void wait_for(struct probe *p);
/* Both, and the text, valid until the next call. */
const char *resolve(const char *name);

/* One turn of the ring, of at most 20 ms. */
void turn(void);
void run_for_ms(unsigned ms);
/* Until no question is under way, of cancelled lookups either. */
void wait_for_questions(void);

size_t count_fds(void);
/* The server's ends of TCP connections are among them, and closed by its thread in its own time. */
void wait_for_fds(size_t n);
void write_file(const char *path, const char *text);
