/* A seccomp filter that lets nobody make, pair or connect sockets, for `bwrap --seccomp FD`.
 *
 * no-sockets errno|kill: prints the filter; such a call fails with EPERM, or is the process's end.
 * no-sockets: whether the filter of the first kind is on (0). */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define REFUSE(call)                                                                               \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##call, 0, 1), BPF_STMT(BPF_RET | BPF_K, action)

static int print_filter(unsigned action)
{
    const struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        REFUSE(socket),
        REFUSE(socketpair),
        REFUSE(connect),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };

    return fwrite(filter, sizeof filter, 1, stdout) == 1 && fflush(stdout) == 0 ? 0 : 1;
}

static int check(void)
{
    int pair[2];

    if (socket(AF_UNIX, SOCK_SEQPACKET, 0) >= 0 || errno != EPERM)
        return 3;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) >= 0 || errno != EPERM)
        return 4;
    return connect(0, NULL, 0) == 0 || errno != EPERM ? 5 : 0;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return check();
    if (strcmp(argv[1], "errno") == 0)
        return print_filter(SECCOMP_RET_ERRNO | EPERM);
    return strcmp(argv[1], "kill") == 0 ? print_filter(SECCOMP_RET_KILL_PROCESS) : 2;
}
