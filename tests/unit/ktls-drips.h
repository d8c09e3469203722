/* Records of kernel TLS without data, for tests of fdial_recv(). */
#pragma once

#include "tests/unit/fake-fd.h"
#include "tests/unit/ktls-talks.h"

static const struct part drips[] = {PART(DATA, ""), PART(HANDSHAKE, TICKET), PART(ALERT, "\1\x5a")};

/* n records without data, each behind a pause. */
static inline void add_drips(const struct part *drip, unsigned n, int pause_ms)
{
    for (unsigned i = 0; i < n; i++) {
        fake_fd_add((struct fake_event){.kind = FAKE_PAUSE, .number = pause_ms});
        fake_fd_add_record(drip->type, drip->bytes, drip->n);
    }
    fake_fd_add((struct fake_event){.kind = FAKE_PAUSE, .number = pause_ms});
}
