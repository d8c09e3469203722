/* A client of the library for the machines of tests/vm: gets a connection to $TARGET as
 * kernel TLS and nothing else, does with it what its words say, and prints what came of it in one
 * line. No word waits forever, and none may spin.
 *
 *     ktls-client [--poll | --poll-first] WORD...
 *
 * --poll: the fd is made non-blocking, and waited for with poll() when it has nothing.
 * --poll-first: the same, but waited for before each call too.
 *
 *     send=TEXT   fdial_send
 *     recv[=N]    one fdial_recv, of at most N bytes: the data, 0, or the error's name
 *     limit=MS    the time limit SO_RCVTIMEO
 *     read        the same with a plain read(2)
 *     line        fdial_recv up to an empty line (a response head), and its first line
 *     get=FILE    fdial_recv until the end, into the file: how many bytes, and how it ended
 *     same=FILE   the same, compared with the file
 *     put=FILE    fdial_send of a whole file
 *     echo=IN:OUT sends the file, and receives as many bytes meanwhile
 *     shut        fdial_shutdown(SHUT_WR)
 *     sent        waits until the peer has all that was sent
 *     keys        the cipher that getsockopt(TLS_RX) tells, and whether it gives the key
 *     meet=FIFO   waits until somebody opens it to read
 */
#include "client/fdial.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <linux/tls.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#define MS_PER_S   1000
#define US_PER_MS  1000
#define LIMIT_S    100 /* for all */
#define SILENCE_MS 20000
#define SHOWN_MAX  40 /* bytes of data in the line */
/* Times that poll() says there is something and there is not: Linux 6.1 says so of a part of a
 * record until its rest has come. */
#define IN_VAIN_MAX 1000000
#define CPU_MAX_MS  20000 /* 200 MB under emulation on a busy machine, and nothing that spins */

static int fd = -1;
static bool is_polling, is_polling_first;
static unsigned n_in_vain;
static char buffer[65536];

static void fail(const char *what, int error)
{
    printf(" failed: %s: %s\n", what, strerror(error < 0 ? -error : error));
    exit(1);
}

static void note_end(ssize_t r)
{
    if (r == 0)
        printf(" 0");
    else if (-r < FDIAL_ALERT)
        printf(" %s", strerrorname_np((int)-r));
    else
        printf(" (%s)", fdial_strerror((int)r));
}

static void note_data(ssize_t n)
{
    printf(" ");
    for (ssize_t i = 0; i < n && i < SHOWN_MAX; i++)
        printf(isgraph((unsigned char)buffer[i]) ? "%c" : "\\%02x", (unsigned char)buffer[i]);
    if (n > SHOWN_MAX)
        printf("...%zd", n);
}

/* ---- waiting ---- */

/* Or ends the process. */
static void wait_for(short events)
{
    struct pollfd p = {.fd = fd, .events = events};

    if (poll(&p, 1, SILENCE_MS) != 1)
        fail("stalled", ETIMEDOUT);
}

static ssize_t receive(char *buf, size_t n)
{
    for (;;) {
        ssize_t r;

        if (is_polling_first)
            wait_for(POLLIN);
        r = fdial_recv(fd, buf, n, 0);
        if (r != -EAGAIN || !is_polling)
            return r;
        wait_for(POLLIN);
        if (++n_in_vain > IN_VAIN_MAX)
            fail("spins", ELOOP);
    }
}

static void send_all(const char *data, size_t n)
{
    while (n > 0) {
        ssize_t r = fdial_send(fd, data, n, 0);

        if (r == -EAGAIN && is_polling) {
            wait_for(POLLOUT);
            continue;
        }
        if (r <= 0) {
            printf(" send:");
            note_end(r);
            return;
        }
        data += r;
        n -= (size_t)r;
    }
}

/* ---- words ---- */

static int open_file(const char *path, int flags)
{
    int file = open(path, flags | O_CLOEXEC, 0644);

    if (file < 0)
        fail(path, errno);
    return file;
}

static void write_file(int file, const char *data, size_t n)
{
    if (write(file, data, n) != (ssize_t)n)
        fail("write", errno);
}

/* All until the end is written to the file, or compared with it. */
static void receive_all(int file, bool is_compared)
{
    static char expected[sizeof(buffer)];
    size_t total = 0;
    ssize_t r;

    while ((r = receive(buffer, sizeof(buffer))) > 0) {
        if (!is_compared)
            write_file(file, buffer, (size_t)r);
        else if (read(file, expected, (size_t)r) != r || memcmp(expected, buffer, (size_t)r) != 0)
            fail("not the same", EILSEQ);
        total += (size_t)r;
    }
    printf(" %zu", total);
    note_end(r);
    close(file);
}

static void play_get(char *value)
{
    receive_all(open_file(value, O_WRONLY | O_CREAT | O_TRUNC), false);
}

static void play_same(char *value)
{
    receive_all(open_file(value, O_RDONLY), true);
}

static void play_put(char *value)
{
    int file = open_file(value, O_RDONLY);
    ssize_t n;

    while ((n = read(file, buffer, sizeof(buffer))) > 0)
        send_all(buffer, (size_t)n);
    close(file);
}

static void play_send(char *value)
{
    send_all(value, strlen(value));
}

static void play_recv(char *value)
{
    ssize_t r = receive(buffer, *value ? (size_t)atoi(value) : sizeof(buffer));

    if (r > 0)
        note_data(r);
    else
        note_end(r);
}

static void play_limit(char *value)
{
    int ms = atoi(value);
    struct timeval limit = {ms / MS_PER_S, ms % MS_PER_S * US_PER_MS};

    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0)
        fail("SO_RCVTIMEO", errno);
}

static void play_read(char *value)
{
    ssize_t r;

    (void)value;
    wait_for(POLLIN);
    r = read(fd, buffer, sizeof(buffer));
    if (r > 0)
        note_data(r);
    else
        note_end(r < 0 ? -errno : 0);
}

static void play_line(char *value)
{
    size_t n = 0;
    char head[4096];

    (void)value;
    while (n < sizeof(head) - 1 && !(n >= 4 && !memcmp(head + n - 4, "\r\n\r\n", 4))) {
        ssize_t r = receive(head + n, 1);

        if (r <= 0) {
            note_end(r);
            return;
        }
        n += (size_t)r;
    }
    head[n] = '\0';
    printf(" %.*s", (int)strcspn(head, "\r"), head);
}

/* Sends of what is left as much as goes; more is read from the file when nothing is. */
static ssize_t send_some(int file, size_t *n_left)
{
    static char out[sizeof(buffer)], *at;
    ssize_t n;

    if (*n_left == 0) {
        n = read(file, out, sizeof(out));
        at = out;
        *n_left = n > 0 ? (size_t)n : 0;
    }
    n = *n_left > 0 ? fdial_send(fd, at, *n_left, MSG_DONTWAIT) : 0;
    if (n > 0) {
        at += n;
        *n_left -= (size_t)n;
    }
    return n;
}

/* Both directions at once, whatever the fd's mode: neither end may have to wait for the other. */
static void play_echo(char *value)
{
    char *colon = strchr(value, ':');
    struct stat st;
    size_t n_left = 0, received = 0;

    if (!colon)
        fail(value, EINVAL);
    *colon = '\0';
    int from = open_file(value, O_RDONLY), to = open_file(colon + 1, O_WRONLY | O_CREAT | O_TRUNC);

    fstat(from, &st);
    while (received < (size_t)st.st_size) {
        ssize_t w = send_some(from, &n_left),
                r = fdial_recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT);

        if ((r <= 0 && r != -EAGAIN) || (w < 0 && w != -EAGAIN)) {
            note_end(r);
            note_end(w);
            break;
        }
        if (r == -EAGAIN && w <= 0)
            wait_for((short)(POLLIN | (n_left > 0 ? POLLOUT : 0)));
        write_file(to, buffer, r > 0 ? (size_t)r : 0);
        received += r > 0 ? (size_t)r : 0;
    }
    printf(" %zu", received);
    close(from);
    close(to);
}

static void play_shut(char *value)
{
    int r = fdial_shutdown(fd, SHUT_WR);

    (void)value;
    if (r < 0)
        note_end(r);
}

static void play_sent(char *value)
{
    int left = 1;

    (void)value;
    for (unsigned ms = 0; left > 0 && ms < SILENCE_MS; ms += 10) {
        if (ioctl(fd, SIOCOUTQ, &left) < 0)
            fail("SIOCOUTQ", errno);
        poll(NULL, 0, left > 0 ? 10 : 0);
    }
    if (left > 0)
        fail("not sent", ETIMEDOUT);
}

static const char *const cipher_names[] = {
    [TLS_CIPHER_AES_GCM_128] = "AES-128-GCM",
    [TLS_CIPHER_AES_GCM_256] = "AES-256-GCM",
    [TLS_CIPHER_CHACHA20_POLY1305] = "CHACHA20-POLY1305",
};

static void play_keys(char *value)
{
    union {
        struct tls_crypto_info info;
        struct tls12_crypto_info_aes_gcm_128 aes_128;
        struct tls12_crypto_info_aes_gcm_256 aes_256;
        struct tls12_crypto_info_chacha20_poly1305 chacha;
    } keys = {0};
    socklen_t n = sizeof(keys.info);

    (void)value;
    if (getsockopt(fd, SOL_TLS, TLS_RX, &keys, &n) < 0) {
        note_end(-errno);
        return;
    }
    printf(" %s", cipher_names[keys.info.cipher_type]);
    n = keys.info.cipher_type == TLS_CIPHER_AES_GCM_128   ? sizeof(keys.aes_128)
        : keys.info.cipher_type == TLS_CIPHER_AES_GCM_256 ? sizeof(keys.aes_256)
                                                          : sizeof(keys.chacha);
    if (getsockopt(fd, SOL_TLS, TLS_RX, &keys, &n) < 0)
        note_end(-errno);
    else /* eight zeros in a key: hardly ever */
        printf(memcmp(keys.aes_128.key, (char[8]){0}, 8) ? " readable" : " none");
}

static void play_meet(char *value)
{
    fflush(stdout);
    close(open_file(value, O_WRONLY));
}

static const struct {
    const char *name;
    void (*play)(char *value);
} words[] = {
    {"send", play_send}, {"recv", play_recv}, {"read", play_read}, {"line", play_line},
    {"get", play_get},   {"same", play_same}, {"put", play_put},   {"echo", play_echo},
    {"shut", play_shut}, {"keys", play_keys}, {"meet", play_meet}, {"limit", play_limit},
    {"sent", play_sent},
};

static void play(char *word)
{
    static char nothing[1];
    char *value = strchr(word, '=');
    size_t i = 0;

    if (value)
        *value++ = '\0';
    while (i < sizeof(words) / sizeof(*words) && strcmp(words[i].name, word) != 0)
        i++;
    if (i == sizeof(words) / sizeof(*words))
        fail(word, EINVAL);
    words[i].play(value ? value : nothing);
}

/* ---- the connection ---- */

static void dial(void)
{
    const char *target = getenv("TARGET");
    struct fdial *d;
    struct fdial_request *request;
    struct fdial_result *result;
    int r = fdial_open(&d, NULL);

    if (r < 0)
        fail("fdial_open", r);
    r = fdial_request_new(&request, target ? target : "");
    if (r < 0 || (r = fdial_request_set_handoff(request, FDIAL_KTLS)) < 0)
        fail("fdial_request_new", r);
    if ((r = fdial_submit(d, request, 1)) < 0 || (r = fdial_next(d, &result, -1)) < 1)
        fail("fdial_submit", r);
    if (fdial_result_error(result)) {
        printf(" failed: stage %d: %s\n", fdial_result_stage(result), fdial_result_message(result));
        exit(1);
    }
    fd = fdial_result_take_fd(result, 0);
    fdial_result_free(result);
    fdial_request_free(request);
    fdial_close(d);
}

static unsigned cpu_ms(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (unsigned)((usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 +
                      (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000);
}

int main(int argc, char **argv)
{
    int i = 1;

    alarm(LIMIT_S);
    printf("client:");
    for (; i < argc && !strncmp(argv[i], "--", 2); i++) {
        if (!strncmp(argv[i], "--poll", 6)) {
            is_polling = true;
            is_polling_first = !strcmp(argv[i], "--poll-first");
        } else
            fail(argv[i], EINVAL);
    }
    dial();
    if (is_polling && fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0)
        fail("fcntl", errno);
    for (; i < argc; i++)
        play(argv[i]);
    if (cpu_ms() > CPU_MAX_MS)
        printf(" busy");
    printf("\n");
    return 0;
}
