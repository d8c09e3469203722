/* The maker of seal-test: listens on loopback and makes connected sockets to order. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* Orders: a letter for the state of the socket, capital for IPv6. */
enum order {
    ORDER_BARE = 'b',
    ORDER_SEALED = 's',
    ORDER_FIN = 'f',    /* sealed, then the peer sent FIN */
    ORDER_RESET = 'r',  /* sealed, then the peer sent RST */
    ORDER_HELD = 'h',   /* sealed, the peer says nothing */
    ORDER_MAPPED = 'm', /* sealed, an AF_INET6 socket connected to ::ffff:127.0.0.1 */
};

struct maker {
    int listener_v4, listener_v6; /* accepted by us, for FIN and RST */
    uint16_t port_v4, port_v6;
    uint16_t echo_v4, echo_v6; /* served */
};

/* Ends the test when the result is negative. */
int check(int result, const char *what);
/* is_mapped: ::ffff:127.0.0.1 */
socklen_t loopback(struct sockaddr_storage *ret, int family, uint16_t port, bool is_mapped);

void maker_init(struct maker *m);
/* Answers each order with an fd, until the other end is closed. */
void maker_run(const struct maker *m, int over);
/* An echo service on 127.0.0.1, until it is killed. */
void maker_serve_echo(uint16_t port);
