/* Kernel TLS: how many records without data came in a row.
 *
 * A peer may send as many as it likes, and each costs a wake-up, so a row that gets too long ends
 * the connection. Most callers do not block and are told EAGAIN behind each record or two, so the
 * row has to outlast the call. It is kept in a small table of the process, of which an entry is
 * written when a call ends behind such a record, and cleared when data comes. The entry is found by
 * the fd, so that data costs no system call; the socket's cookie tells whether it is about this
 * connection. Connections whose fds share an entry, or processes that share a connection, do not
 * count together: then a peer may send more, and nothing else comes of it.
 *
 * Threads need no lock for it: what two of them write to one entry at the same time is one or the
 * other's, or one's row with the other's time.
 */
#include <stdatomic.h>
#include <sys/socket.h>

#include "client/ktls.h"
#include "client/session.h"

#define ROWS_MAX 64
#define N_BITS   8
#define N_MASK   0xff

_Static_assert(KTLS_ROW_MAX < N_MASK, "a row has its place");

struct kept_row {
    _Atomic uint64_t cookie_and_n; /* the latter in the last bits; 0: no row */
    _Atomic int64_t last_ms;
};

static struct kept_row rows[ROWS_MAX];

static struct kept_row *place_of(int fd)
{
    return &rows[(unsigned)fd % ROWS_MAX];
}

static uint64_t cookie_of(int fd)
{
    uint64_t cookie = 0;
    socklen_t n = sizeof cookie;

    if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &n) < 0)
        return 0;
    return cookie & (UINT64_MAX >> N_BITS); /* which are counted up from 1 */
}

static void recall(struct ktls_input *in)
{
    struct kept_row *kept = place_of(in->fd);
    uint64_t cookie_and_n = atomic_load(&kept->cookie_and_n);

    if (cookie_and_n >> N_BITS == in->cookie)
        in->row =
            (struct ktls_row){.n = cookie_and_n & N_MASK, .last_ms = atomic_load(&kept->last_ms)};
}

void ktls_row_count(struct ktls_input *in)
{
    int64_t now_ms = session_now_ms();

    if (!in->has_row) {
        in->has_row = true;
        in->cookie = cookie_of(in->fd);
        recall(in);
    }
    if (now_ms - in->row.last_ms >= KTLS_ROW_PAUSE_MS)
        in->row.n = 0;
    in->row.n++;
    in->row.last_ms = now_ms;
}

void ktls_row_keep(const struct ktls_input *in)
{
    if (!in->has_row)
        return;
    atomic_store(&place_of(in->fd)->last_ms, in->row.last_ms);
    atomic_store(&place_of(in->fd)->cookie_and_n, in->cookie << N_BITS | in->row.n);
}

void ktls_row_forget(int fd)
{
    struct kept_row *kept = place_of(fd);

    if (atomic_load_explicit(&kept->cookie_and_n, memory_order_relaxed) != 0)
        atomic_store(&kept->cookie_and_n, 0);
}
