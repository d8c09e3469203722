/* Monotonic time in microseconds. */
#pragma once

#include <stdint.h>
#include <time.h>

#define US_PER_S  UINT64_C(1000000)
#define US_PER_MS UINT64_C(1000)

static inline uint64_t clock_now_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * US_PER_S + (uint64_t)ts.tv_nsec / 1000;
}
