/* Has a file changed since it was read? Asked by stat(2), at most once a second. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>

#include "daemon/base/clock.h"

#define FILE_STAMP_AGE_MAX_US US_PER_S

struct file_stamp {
    struct stat seen; /* all zero: there was no file */
    uint64_t checked_at_us;
    bool is_checked; /* ever */
    bool is_fresh;   /* when it was seen, another change could have followed unseen */
};

static inline bool file_stamp_time_equal(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* A file changed so recently that another change might get the same time stamp: the kernel's clock
 * for files ticks every 1 to 10 ms. */
static inline bool file_stamp_is_fresh(const struct stat *st)
{
    struct timespec now;
    int64_t age_ms;

    clock_gettime(CLOCK_REALTIME, &now);
    age_ms =
        (now.tv_sec - st->st_ctim.tv_sec) * 1000 + (now.tv_nsec - st->st_ctim.tv_nsec) / 1000000;
    return age_ms >= 0 && age_ms < 20;
}

/* True when the file should be read (again); to be called before it is read, so that what changes
 * meanwhile is noticed the next time. */
static inline bool file_stamp_has_changed(struct file_stamp *stamp, const char *path,
                                          uint64_t now_us)
{
    struct stat st = {0};
    bool has_changed;

    if (stamp->is_checked && now_us < stamp->checked_at_us + FILE_STAMP_AGE_MAX_US)
        return false;
    if (stat(path, &st) < 0)
        st = (struct stat){0};
    has_changed = !stamp->is_checked || stamp->is_fresh || st.st_dev != stamp->seen.st_dev ||
                  st.st_ino != stamp->seen.st_ino || st.st_size != stamp->seen.st_size ||
                  !file_stamp_time_equal(st.st_mtim, stamp->seen.st_mtim) ||
                  !file_stamp_time_equal(st.st_ctim, stamp->seen.st_ctim);
    stamp->seen = st;
    stamp->is_fresh = file_stamp_is_fresh(&st);
    stamp->checked_at_us = now_us;
    stamp->is_checked = true;
    return has_changed;
}
