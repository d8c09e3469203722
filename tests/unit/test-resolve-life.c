/* The resolver's life: cancelled, freed in the middle, its servers gone, changed or many, its polls
 * failing. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/resolve/dns_sockets.h"
#include "proto/cleanup.h"
#include "tests/lib/resolve_rig.h"

START_TEST(test_cancel)
{
    struct probe a, b, never;

    say("www.example 60 A 192.0.2.1");
    lookup_init(&never.lookup, AF_UNSPEC, NULL, NULL);
    resolver_cancel(rig.resolver, &never.lookup); /* was never waiting */
    begin(&a, "www.example");
    begin(&b, "www.example");
    resolver_cancel(rig.resolver, &a.lookup);
    wait_for(&b);
    resolver_cancel(rig.resolver, &b.lookup); /* is done already */
    ck_assert_uint_eq(a.calls, 0);
    begin(&a, "other.example");
    resolver_cancel(rig.resolver, &a.lookup);
    wait_for_questions();
    ck_assert_uint_eq(a.calls, 0);
    ck_assert(begin(&b, "other.example")); /* the answer came all the same */
}
END_TEST

struct chatty {
    struct lookup lookup;
    struct probe *victim, *next;
    unsigned calls;
};

/* Cancels another waiter of the same question, and looks up again, from inside. */
static void on_chatty(struct lookup *lookup, const struct address_list *addresses,
                      const struct failure *failure)
{
    struct chatty *c = container_of(lookup, struct chatty, lookup);

    (void)addresses;
    (void)failure;
    c->calls++;
    resolver_cancel(rig.resolver, &c->victim->lookup);
    begin(c->next, "www.example");
    free(c);
}

START_TEST(test_calls_from_inside_the_callback)
{
    struct chatty *c = calloc(1, sizeof *c);
    struct probe victim, next = {.calls = 0};

    say("www.example 0 A 192.0.2.1");
    c->victim = &victim;
    c->next = &next;
    lookup_init(&c->lookup, AF_UNSPEC, NULL, on_chatty);
    ck_assert(!resolver_lookup(rig.resolver, &c->lookup, "www.example"));
    begin(&victim, "www.example");
    wait_for(&next);
    ck_assert_uint_eq(victim.calls, 0);
    ck_assert_uint_eq(questions(), 0);
    ck_assert_uint_eq(asked("www.example"), 4); /* TTL 0: a new question */
}
END_TEST

/* Freed after each number of turns, over UDP and over TCP, with a silent server and one that
 * answers. */
START_TEST(test_free_in_every_state)
{
    static const char *const names[] = {"silent.example", "tcp.example", "www.example",
                                        "bad.example"};
    struct resolver_options options = usual_options();
    size_t fds;

    say("silent.example - SILENT");
    say("tcp.example - TRUNCATE");
    say("tcp.example - DELAY 30");
    say("tcp.example 60 A 192.0.2.1");
    say("www.example 60 A 192.0.2.1");
    say("bad.example - RCODE 2");
    rig.resolver = resolver_free(rig.resolver);
    fds = count_fds();
    for (unsigned n = 0; n < 12; n++) {
        struct probe probes[ARRAY_SIZE(names)];

        open_resolver(&options);
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
            begin(&probes[i], names[i]);
        for (unsigned i = 0; i < n; i++)
            turn();
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
            resolver_cancel(rig.resolver, &probes[i].lookup);
        rig.resolver = resolver_free(rig.resolver);
        wait_for_fds(fds);
    }
}
END_TEST

START_TEST(test_server_vanishes)
{
    struct probe p;

    reopen_with_short_timeout();
    say("silent.example - SILENT");
    begin(&p, "silent.example");
    run_for_ms(TIMEOUT_MS / 4);
    rig.server = dns_server_free(rig.server);
    wait_for(&p);
    ck_assert_int_eq(strncmp(p.text, "RESOLVE_FAILED: silent.example: ", 32), 0);
    ck_assert_ptr_nonnull(strstr(resolve("www.example"),
                                 "RESOLVE_FAILED: www.example: no name server could be reached, "
                                 "asked: 127.0.0.1:"));
}
END_TEST

START_TEST(test_resolv_conf_changes)
{
    struct resolver_options options = usual_options();
    struct dns_server *second;
    struct probe p;

    say("www.example 60 A 192.0.2.1");
    say("slow.example 60 A 192.0.2.1");
    say("slow.example - DELAY 1900");
    ck_assert_int_eq(dns_server_new(&second, "127.0.0.2", dns_server_port(rig.server), NULL), 0);
    ck_assert_int_eq(dns_server_add(second, "* 60 A 192.0.2.2"), 0);
    write_file(rig.resolv_conf_path, "nameserver 127.0.0.1\n");
    options.servers = NULL;
    options.resolv_conf_path = rig.resolv_conf_path;
    options.port = dns_server_port(rig.server);
    reopen_resolver(&options);
    ck_assert_str_eq(resolve("www.example"), "192.0.2.1");
    begin(&p, "slow.example");
    write_file(rig.resolv_conf_path, "nameserver 127.0.0.2\n");
    ck_assert_str_eq(resolve("www.example"), "192.0.2.1"); /* not looked at so soon, and cached */
    run_for_ms(1050);
    ck_assert_str_eq(resolve("www.example"), "192.0.2.2"); /* the cache was emptied */
    ck_assert_uint_eq(p.calls, 0);
    ck_assert_str_eq(resolve("slow.example"), "192.0.2.2"); /* does not join what is under way … */
    ck_assert_uint_eq(p.calls, 0);
    wait_for(&p); /* … at the old server */
    ck_assert_str_eq(p.text, "192.0.2.1");
    ck_assert_str_eq(resolve("slow.example"), "192.0.2.2"); /* and its answer is not kept */
    ck_assert_uint_eq(dns_server_count_all(second), 4);
    dns_server_free(second);
}
END_TEST

/* As a reload of the configuration does it, from and to resolv.conf. */
START_TEST(test_set_servers)
{
    struct resolver_options options = usual_options();
    struct dns_server *second;
    struct probe p, q;
    char other[64];

    say("www.example 60 A 192.0.2.1");
    say("slow.example 60 A 192.0.2.1");
    say("slow.example - DELAY 1500");
    ck_assert_int_eq(dns_server_new(&second, "127.0.0.2", dns_server_port(rig.server), NULL), 0);
    ck_assert_int_eq(dns_server_add(second, "* 60 A 192.0.2.2"), 0);
    snprintf(other, sizeof other, "127.0.0.2:%u", dns_server_port(rig.server));
    write_file(rig.resolv_conf_path, "nameserver 127.0.0.1\n");
    options.resolv_conf_path = rig.resolv_conf_path;
    options.port = dns_server_port(rig.server);
    reopen_resolver(&options);
    ck_assert_str_eq(resolve("www.example"), "192.0.2.1");
    begin(&p, "slow.example");

    ck_assert_int_eq(resolver_set_servers(rig.resolver, rig.servers), 0);
    ck_assert_str_eq(resolve("www.example"), "192.0.2.1"); /* nothing is new, so from the cache */
    ck_assert_uint_eq(dns_server_count(rig.server, "www.example", DNS_A), 1);

    ck_assert_int_eq(resolver_set_servers(rig.resolver, other), 0);
    ck_assert_str_eq(resolve("www.example"), "192.0.2.2");
    ck_assert_str_eq(resolve("slow.example"), "192.0.2.2");
    ck_assert_uint_eq(p.calls, 0);

    ck_assert_int_eq(resolver_set_servers(rig.resolver, NULL), 0);
    ck_assert_str_eq(resolve("www.example"), "192.0.2.1");
    ck_assert_int_eq(resolver_set_servers(rig.resolver, other), 0);
    begin(&q, "slow.example");
    wait_for(&q);
    ck_assert_str_eq(q.text, "192.0.2.2");
    wait_for(&p);
    ck_assert_str_eq(p.text, "192.0.2.1");
    ck_assert_str_eq(resolve("slow.example"), "192.0.2.2");

    /* Every form that the configuration gives. */
    ck_assert_int_eq(resolver_set_servers(rig.resolver,
                                          "[::1]:53,2001:db8::1,192.0.2.1,192.0.2.1:5,"
                                          "::ffff:192.0.2.1,::1:53"),
                     0);
    ck_assert_int_eq(resolver_set_servers(rig.resolver, other), 0);
    ck_assert_int_eq(resolver_set_servers(rig.resolver, "nonsense"), -EINVAL);
    ck_assert_str_eq(resolve("again.example"), "192.0.2.2");
    ck_assert_int_eq(resolver_set_servers(rig.resolver, NULL), 0);
    write_file(rig.resolv_conf_path, "nameserver 127.0.0.2\n");
    run_for_ms(1050);
    ck_assert_str_eq(resolve("www.example"), "192.0.2.2"); /* it is watched again */
    dns_server_free(second);
}
END_TEST

static void on_ready(struct dns_channel *channel, int fd, int events)
{
    (void)channel;
    (void)fd;
    (void)events;
    ck_abort_msg("nothing was sent");
}

/* The fd of a pending poll outlives its owner's close, so that its number is not given to another.
 */
START_TEST(test_socket_closed_after_its_poll)
{
    struct dns_sockets sockets;
    struct dns_channel *channel = (void *)&sockets;
    int fd;

    dns_sockets_init(&sockets, rig.ring, on_ready);
    fd = dns_sockets_open(&sockets, channel, AF_INET, SOCK_DGRAM, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
    dns_sockets_want(&sockets, channel, fd, POLLIN);
    dns_sockets_arm(&sockets);
    turn();
    dns_sockets_close(&sockets, channel, fd);
    ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
    dns_sockets_deinit(&sockets);
    ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
}
END_TEST

START_TEST(test_bad_servers)
{
    struct resolver_options options = usual_options();
    struct resolver *other = (void *)1;

    options.servers = "not an address";
    ck_assert_int_eq(resolver_new(&other, rig.ring, &options), -EINVAL);
    ck_assert_ptr_eq(other, (void *)1);
}
END_TEST

/* Each poll fails once with each error; questions still end, and well. */
START_TEST(test_failing_polls)
{
    static const int errors[] = {ECANCELED, ENOMEM, EBADF};
    struct resolver_options options = usual_options();

    say("www.example 60 A 192.0.2.1");
    say("www.example 60 AAAA 2001:db8::1");
    say("www.example - TRUNCATE");
    for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
        for (uint64_t nth = 1; nth < 12; nth++) {
            reopen_resolver(&options);
            ring_fail_nth(rig.ring, nth, errors[i]);
            ck_assert_str_eq(resolve("www.example"), "2001:db8::1 192.0.2.1");
            ring_fail_nth(rig.ring, 0, 0);
        }
    }
}
END_TEST

/* Many names, a hundred at once: more would overrun the socket buffer of the server, not ours. */
START_TEST(test_many)
{
    static struct probe probes[100];
    char name[32];

    say("* 60 A 192.0.2.1");
    for (unsigned round = 0; round < 10; round++) {
        for (size_t i = 0; i < ARRAY_SIZE(probes); i++) {
            snprintf(name, sizeof name, "n%zu.r%u.example", i, round);
            begin(&probes[i], name);
        }
        for (size_t i = 0; i < ARRAY_SIZE(probes); i++) {
            wait_for(&probes[i]);
            ck_assert_str_eq(probes[i].text, "192.0.2.1");
        }
        ck_assert_uint_eq(questions(), 0);
    }
}
END_TEST

static void add_tests(TCase *tcase)
{
    tcase_add_test(tcase, test_cancel);
    tcase_add_test(tcase, test_calls_from_inside_the_callback);
    tcase_add_test(tcase, test_free_in_every_state);
    tcase_add_test(tcase, test_server_vanishes);
    tcase_add_test(tcase, test_resolv_conf_changes);
    tcase_add_test(tcase, test_set_servers);
    tcase_add_test(tcase, test_socket_closed_after_its_poll);
    tcase_add_test(tcase, test_bad_servers);
    tcase_add_test(tcase, test_failing_polls);
    tcase_add_test(tcase, test_many);
}

int main(void)
{
    return rig_run("resolve-life", add_tests);
}
