/* A TLS server that plays records by hand to one client which it starts itself, so that neither
 * waits for the other longer than it must, and the order of all is fixed.
 *
 *     record-server CERTIFICATE KEY VERSION CIPHER WORD... -- COMMAND...
 *
 * VERSION is 1.2 or 1.3, CIPHER a name of OpenSSL's. COMMAND is run with
 * TARGET=tls://127.0.0.1:PORT in its environment and prints what it will; then comes a line
 * `server:` with all that was heard from the client: its data, `alert=1,0` for a close_notify,
 * `FIN`, or the name of an error. The exit status is the command's.
 *
 * The words are in record-words.c; besides these, as the first one:
 *
 *     glued             the records before the next other word leave with the server's Finished
 *     reset, hang-up    (alone) the connection is accepted, and reset or ended, before TLS
 */
#include "tests/vm/record-server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT_S   60 /* for all */
#define SILENCE_S 20 /* of the client */

/* ---- the connection ---- */

static SSL_CTX *make_context(char **args)
{
    int version = !strcmp(args[2], "1.2") ? TLS1_2_VERSION : TLS1_3_VERSION;
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

    must(ctx && SSL_CTX_use_certificate_chain_file(ctx, args[0]) == 1 &&
             SSL_CTX_use_PrivateKey_file(ctx, args[1], SSL_FILETYPE_PEM) == 1 &&
             SSL_CTX_set_min_proto_version(ctx, version) == 1 &&
             SSL_CTX_set_max_proto_version(ctx, version) == 1 &&
             (version == TLS1_2_VERSION ? SSL_CTX_set_cipher_list(ctx, args[3])
                                        : SSL_CTX_set_ciphersuites(ctx, args[3])) == 1 &&
             SSL_CTX_set_num_tickets(ctx, 0) == 1,
         "certificate, key, version or cipher");
    SSL_CTX_set_keylog_callback(ctx, peer_note_key);
    return ctx;
}

static int make_listener(void)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(sa);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char target[64];

    must(fd >= 0 && bind(fd, (void *)&sa, n) == 0 && listen(fd, 1) == 0 &&
             getsockname(fd, (void *)&sa, &n) == 0,
         "listen");
    snprintf(target, sizeof(target), "tls://127.0.0.1:%u", ntohs(sa.sin_port));
    setenv("TARGET", target, 1);
    return fd;
}

static pid_t run_client(char **command)
{
    pid_t pid = fork();

    must(pid >= 0, "fork");
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execvp(command[0], command);
        _exit(127);
    }
    return pid;
}

/* Until the client has connected, or is gone. */
static int accept_client(int listener, pid_t client)
{
    struct timeval silence = {.tv_sec = SILENCE_S};
    struct pollfd polls[] = {{.fd = listener, .events = POLLIN},
                             {.fd = pidfd_open(client, 0), .events = POLLIN}};
    int fd, one = 1;

    must(polls[1].fd >= 0 && poll(polls, 2, SILENCE_S * 1000) > 0, "no client");
    if (!polls[0].revents)
        return -1;
    fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    must(fd >= 0, "accept");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &silence, sizeof(silence));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &silence, sizeof(silence));
    return fd;
}

static void serve(struct peer *p, int fd, SSL_CTX *ctx, char **word)
{
    bool is_glued = *word && !strcmp(*word, "glued");

    if (*word && !strcmp(*word, "reset")) {
        peer_reset(fd);
        return;
    }
    if (*word && !strcmp(*word, "hang-up")) {
        close(fd);
        return;
    }
    peer_shake_hands(p, fd, ctx, is_glued);
    for (word += is_glued; *word && p->is_ready && p->fd >= 0; word++)
        peer_play(p, *word);
    if (p->fd >= 0)
        peer_flush(p);
}

int main(int argc, char **argv)
{
    static struct peer peer;
    int end = 5, listener, status, fd;
    SSL_CTX *ctx;
    pid_t client;

    while (end < argc && strcmp(argv[end], "--") != 0)
        end++;
    if (end >= argc - 1) {
        fprintf(stderr,
                "usage: record-server CERTIFICATE KEY VERSION CIPHER WORD... -- COMMAND...\n");
        return 2;
    }
    argv[end] = NULL;
    alarm(LIMIT_S);
    setvbuf(stdout, NULL, _IONBF, 0);
    ctx = make_context(argv + 1);
    listener = make_listener();
    client = run_client(argv + end + 1);
    fd = accept_client(listener, client);
    if (fd >= 0)
        serve(&peer, fd, ctx, argv + 5);
    must(waitpid(client, &status, 0) == client, "waitpid");
    printf("server:%s\n", fd < 0 ? " no-client" : peer.heard);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 99;
}
