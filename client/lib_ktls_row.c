/* Kernel TLS: how many records without data came in a row.
 *
 * A peer may send as many as it likes, and each costs a wake-up, so a row that gets too long ends
 * the connection. Most callers do not block and are told EAGAIN behind each record or two, so the
 * row has to outlast the call. It is kept in a small table of each thread, of which an entry is
 * written when a call ends behind such a record, and cleared when data comes. It is found by the
 * fd, so that data costs no system call; the socket's cookie tells whether the fd is still the same
 * connection. What another thread, another process, or an fd in the same place has counted is not
 * known here: then the peer may send more, and nothing else comes of it.
 */
#include <sys/socket.h>

#include "client/ktls.h"
#include "client/session.h"

#define ROWS_MAX 64

struct kept_row {
    int fd;
    uint64_t cookie;
    struct ktls_row row;
};

static _Thread_local struct kept_row rows[ROWS_MAX];

static struct kept_row *place_of(int fd)
{
    return &rows[(unsigned)fd % ROWS_MAX];
}

static uint64_t cookie_of(int fd)
{
    uint64_t cookie = 0;
    socklen_t n = sizeof cookie;

    return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &n) == 0 ? cookie : 0;
}

void ktls_row_count(struct ktls_input *in)
{
    const struct kept_row *kept = place_of(in->fd);
    int64_t now_ms = session_now_ms();

    if (!in->has_row) {
        in->has_row = true;
        in->cookie = cookie_of(in->fd);
        if (kept->fd == in->fd && kept->cookie == in->cookie)
            in->row = kept->row;
    }
    if (now_ms - in->row.last_ms >= KTLS_ROW_PAUSE_MS)
        in->row.n = 0;
    in->row.n++;
    in->row.last_ms = now_ms;
}

void ktls_row_keep(const struct ktls_input *in)
{
    if (in->has_row)
        *place_of(in->fd) = (struct kept_row){in->fd, in->cookie, in->row};
}

void ktls_row_forget(int fd)
{
    struct kept_row *kept = place_of(fd);

    if (kept->fd == fd)
        kept->row.n = 0;
}
