/* Kernel versions do not tell whether sealing works (backports, CONFIG_TLS, the module's absence),
 * so it is tried: on a connected pair the ULP must attach and connect(AF_UNSPEC) must then fail. */
#include "daemon/conn/seal.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "proto/cleanup.h"

/* They end at once, or each start would leave ports behind that nobody can bind for a minute. What
 * is accepted has it from its listener. */
static int end_without_trace(int fd)
{
    const struct linger at_once = {.l_onoff = 1};

    return setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

int seal_make_pair(int *ret_client, int *ret_server)
{
    CLEANUP(fd_closep) int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CLEANUP(fd_closep) int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CLEANUP(fd_closep) int server = -1;
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof sa;

    if (listener < 0 || client < 0 || end_without_trace(listener) < 0 ||
        end_without_trace(client) < 0 || bind(listener, (struct sockaddr *)&sa, sizeof sa) < 0 ||
        listen(listener, 1) < 0 || getsockname(listener, (struct sockaddr *)&sa, &n) < 0 ||
        connect(client, (struct sockaddr *)&sa, sizeof sa) < 0)
        return -errno;
    server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (server < 0)
        return -errno;
    *ret_client = TAKE_FD(client);
    *ret_server = TAKE_FD(server);
    return 0;
}

int seal_attach(int fd)
{
    return setsockopt(fd, IPPROTO_TCP, TCP_ULP, SEAL_ULP, sizeof SEAL_ULP) < 0 ? -errno : 0;
}

void seal_probe(struct capabilities *ret)
{
    CLEANUP(fd_closep) int client = -1;
    CLEANUP(fd_closep) int server = -1;
    const struct sockaddr unspec = {.sa_family = AF_UNSPEC};

    ret->can_seal = false;
    ret->seal_reason = NULL;
    if (seal_make_pair(&client, &server) < 0)
        ret->seal_reason = "no loopback TCP connection to try it on";
    else if (seal_attach(client) < 0)
        ret->seal_reason = "no kernel TLS: " SEAL_ULP_MISSING;
    else if (connect(client, &unspec, sizeof unspec) == 0 || errno != EOPNOTSUPP)
        ret->seal_reason = "this kernel lets a sealed socket be disconnected";
    else
        ret->can_seal = true;
}
