/* A kTLS socket without a kernel that has them: recvmsg() and the other calls of fdial_recv() and
 * friends on the descriptor FAKE_FD, played as net/tls/tls_sw.c plays them. All other descriptors
 * are the system's. One for each process. (The daemon's side is played by tests/lib/fake-ktls.c.)
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FAKE_FD         1000
#define FAKE_EVENTS_MAX 512
#define FAKE_SENT_MAX   16

enum fake_event_kind {
    FAKE_RECORD,
    FAKE_PAUSE,  /* nothing there for `number` milliseconds */
    FAKE_SIGNAL, /* a wait is interrupted */
    FAKE_LATE,   /* poll() does not see yet what comes next */
    FAKE_ERROR,  /* `number` is the errno */
    FAKE_FIN,    /* also behind the last event */
};

struct fake_event {
    enum fake_event_kind kind;
    int number; /* a record's type */
    const uint8_t *bytes;
    size_t n;
};

struct fake_sent {
    uint8_t type; /* 0: plain */
    uint8_t bytes[8];
    size_t n;
    int flags;
};

struct fake_fd {
    unsigned version; /* 0: no kernel TLS, getsockopt() fails with getsockopt_errno */
    int getsockopt_errno;
    bool is_blocking;
    int64_t limit_ms; /* SO_RCVTIMEO; 0: none */
    uint64_t cookie;
    bool is_old;          /* before 6.1.80: joins records of one type behind a rest */
    bool hides_ends;      /* no MSG_EOR; no kernel known does it */
    bool announces_parts; /* as 6.1: poll() does not wait where a record has begun */
    bool expires_keys;    /* from 6.14 on: silent after a KeyUpdate, until keys are set */
    bool is_signalled;    /* the next poll() fails */
    int send_errnos[4];   /* of the first calls of sendmsg() */
    int shutdown_errno;

    struct fake_event events[FAKE_EVENTS_MAX];
    size_t n_events;

    size_t next;       /* event */
    size_t offset;     /* in it, when it is a record */
    bool is_decrypted; /* it is on the list of records that were not delivered wholly */
    bool has_expired;
    bool is_shut; /* to reading */
    struct fake_sent sent[FAKE_SENT_MAX];
    size_t n_sent, n_send_calls;
    int shutdowns[4];
    size_t n_shutdowns;
    unsigned n_renewals; /* of the keys */
    unsigned n_recvs, n_polls, n_getsockopts;
    int64_t skew_us;  /* of the clock: what was waited for */
    int64_t slept_us; /* of the next event's pause, where poll() does not wait */
};

extern struct fake_fd fake_fd;

void fake_fd_reset(unsigned version);
void fake_fd_add(struct fake_event event);
/* The bytes are not copied. */
void fake_fd_add_record(int type, const void *bytes, size_t n);
/* Time passes until there is something. */
void fake_fd_wait(void);
int64_t fake_fd_waited_ms(void);
