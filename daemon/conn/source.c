/* An address is bound without a port, which connect(2) then chooses: the same port serves again for
 * every other destination, and nothing is looked for twice.
 *
 * An interface needs no right since Linux 5.7, unless the socket has one already, so whoever is
 * handed the socket cannot give it another one without CAP_NET_RAW. */
#include "daemon/conn/source.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static int bind_address(const struct address *address, int fd)
{
    const struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = address->ipv4};
    const struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = address->ipv6};
    static const int one = 1;
    int r;

    /* Without it ports merely run out sooner. */
    (void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    if (address->family == AF_INET)
        r = bind(fd, (const struct sockaddr *)&in, sizeof in);
    else
        r = bind(fd, (const struct sockaddr *)&in6, sizeof in6);
    return r < 0 ? -errno : 0;
}

int source_bind(const struct source *source, int fd)
{
    const char *interface = source->interface;

    if (source->address.family != AF_UNSPEC)
        return bind_address(&source->address, fd);
    if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface, (socklen_t)strlen(interface)) < 0)
        return -errno;
    return 0;
}

void source_format(const struct source *source, char text[SOURCE_TEXT_MAX])
{
    const struct address *address = &source->address;

    if (address->family == AF_UNSPEC)
        snprintf(text, SOURCE_TEXT_MAX, "%s", source->interface);
    else
        address_format(address, text);
}
