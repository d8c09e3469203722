/* The servers of a channel, for people. */
#pragma once

#include <ares.h>
#include <stddef.h>
#include <stdint.h>

#define DNS_SERVERS_SHOWN_MAX 3
#define DNS_SERVERS_TEXT_MAX  192 /* bytes, more than these take */

/* "192.0.2.1:53, [2001:db8::1]:53 and 2 more". port: of those that have none of their own. */
void dns_servers_format(ares_channel channel, uint16_t port, char text[DNS_SERVERS_TEXT_MAX]);
