/* See resolve_rig.h. */
#include "tests/lib/resolve_rig.h"

#include <arpa/inet.h>
#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "tests/lib/suite.h"

#define WAIT_MAX_US (20 * US_PER_S)

struct resolve_rig rig;

size_t count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    size_t n = 0;

    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

void wait_for_fds(size_t n)
{
    for (unsigned i = 0; i < 1000 && count_fds() > n; i++)
        usleep(1000);
    ck_assert_uint_eq(count_fds(), n);
}

void open_resolver(const struct resolver_options *options)
{
    ck_assert_int_eq(resolver_new(&rig.resolver, rig.ring, options), 0);
}

struct resolver_options usual_options(void)
{
    return (struct resolver_options){.servers = rig.servers,
                                     .hosts_path = rig.hosts_path,
                                     .timeout_ms = 4000, /* machines may be slow */
                                     .tries = 2,
                                     .cache_max = 100};
}

void reopen_resolver(const struct resolver_options *options)
{
    rig.resolver = resolver_free(rig.resolver);
    open_resolver(options);
}

void reopen_with_short_timeout(void)
{
    struct resolver_options options = usual_options();

    options.timeout_ms = TIMEOUT_MS;
    reopen_resolver(&options);
}

static void set_up(void)
{
    struct resolver_options options;
    const char *error;

    rig.fds_before = count_fds();
    strcpy(rig.directory, "/tmp/test-resolve-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(rig.directory));
    snprintf(rig.hosts_path, sizeof rig.hosts_path, "%s/hosts", rig.directory);
    snprintf(rig.resolv_conf_path, sizeof rig.resolv_conf_path, "%s/resolv.conf", rig.directory);
    ck_assert_int_eq(ring_new(&rig.ring, &(struct ring_options){0}, &error), 0);
    ck_assert_int_eq(dns_server_new(&rig.server, NULL, 0, NULL), 0);
    snprintf(rig.servers, sizeof rig.servers, "127.0.0.1:%u", dns_server_port(rig.server));
    options = usual_options();
    open_resolver(&options);
}

static void tear_down(void)
{
    rig.resolver = resolver_free(rig.resolver);
    rig.server = dns_server_free(rig.server);
    rig.ring = ring_free(rig.ring);
    unlink(rig.hosts_path);
    unlink(rig.resolv_conf_path);
    rmdir(rig.directory);
    ck_assert_uint_eq(count_fds(), rig.fds_before);
}

void say(const char *line)
{
    ck_assert_msg(dns_server_add(rig.server, line) == 0, "%s", line);
}

void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");

    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

static void on_answer(struct lookup *lookup, const struct address_list *addresses,
                      const struct failure *failure)
{
    struct probe *p = container_of(lookup, struct probe, lookup);
    size_t n = 0;

    p->calls++;
    p->text[0] = '\0';
    if (failure->code != ERROR_NONE) {
        ck_assert_uint_eq(addresses->n, 0);
        snprintf(p->text, sizeof p->text, "%s: %s", error_name(failure->code), failure->detail);
    }
    for (size_t i = 0; i < addresses->n; i++) {
        char buf[INET6_ADDRSTRLEN];

        inet_ntop(addresses->items[i].family, &addresses->items[i].ipv6, buf, sizeof buf);
        n += (size_t)snprintf(p->text + n, sizeof p->text - n, "%s%s", i > 0 ? " " : "", buf);
    }
}

static void tick(struct timer *timer)
{
    (void)timer;
}

void turn(void)
{
    struct timer timer;

    timer_init(&timer, tick);
    ring_timer_set(rig.ring, &timer, clock_now_us() + 20 * US_PER_MS); /* never wait for ever */
    ck_assert_int_eq(ring_turn(rig.ring), 0);
    ring_timer_clear(rig.ring, &timer);
}

void run_for_ms(unsigned ms)
{
    uint64_t end_us = clock_now_us() + ms * US_PER_MS;

    while (clock_now_us() < end_us)
        turn();
}

void wait_for_questions(void)
{
    uint64_t end_us = clock_now_us() + WAIT_MAX_US;

    while (questions() > 0 && clock_now_us() < end_us)
        turn();
    ck_assert_uint_eq(questions(), 0);
}

bool begin(struct probe *p, const char *name)
{
    return begin_family(p, name, AF_UNSPEC);
}

bool begin_family(struct probe *p, const char *name, sa_family_t family)
{
    p->calls = 0;
    lookup_init(&p->lookup, family, NULL, on_answer);
    return resolver_lookup(rig.resolver, &p->lookup, name);
}

void wait_for(struct probe *p)
{
    uint64_t end_us = clock_now_us() + WAIT_MAX_US;

    while (p->calls == 0 && clock_now_us() < end_us)
        turn();
    ck_assert_uint_eq(p->calls, 1);
}

const char *resolve(const char *name)
{
    static struct probe p;
    bool was_at_hand = begin(&p, name);

    ck_assert_uint_eq(p.calls, was_at_hand);
    wait_for(&p);
    return p.text;
}

unsigned asked(const char *name)
{
    return dns_server_count(rig.server, name, DNS_ANY);
}

size_t questions(void)
{
    struct resolver_stats stats;

    resolver_stats(rig.resolver, &stats);
    return stats.questions;
}

int rig_run(const char *name, void (*add_tests)(TCase *tcase))
{
    Suite *suite = suite_create(name);
    TCase *tcase = tcase_create(name);

    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    add_tests(tcase);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
