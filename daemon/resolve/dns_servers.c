/* As c-ares has them, which is where those of resolv.conf are known too. */
#include "daemon/resolve/dns_servers.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static void add(const struct ares_addr_port_node *server, uint16_t port, char *text)
{
    size_t used = strlen(text);
    char address[INET6_ADDRSTRLEN] = "";

    inet_ntop(server->family, &server->addr, address, sizeof address);
    snprintf(text + used, DNS_SERVERS_TEXT_MAX - used,
             server->family == AF_INET6 ? "%s[%s]:%d" : "%s%s:%d", used > 0 ? ", " : "", address,
             server->udp_port ? server->udp_port : port);
}

void dns_servers_format(ares_channel channel, uint16_t port, char text[DNS_SERVERS_TEXT_MAX])
{
    struct ares_addr_port_node *servers;
    size_t n = 0, used;

    text[0] = '\0';
    if (ares_get_servers_ports(channel, &servers) != ARES_SUCCESS)
        return;
    for (const struct ares_addr_port_node *s = servers; s; s = s->next)
        if (n++ < DNS_SERVERS_SHOWN_MAX)
            add(s, port, text);
    ares_free_data(servers);
    used = strlen(text);
    if (n > DNS_SERVERS_SHOWN_MAX)
        snprintf(text + used, DNS_SERVERS_TEXT_MAX - used, " and %zu more",
                 n - DNS_SERVERS_SHOWN_MAX);
}
