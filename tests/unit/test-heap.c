/* That a thread's memory goes back to the system when it was freed, also that at its heap's end.
 * Pins what heap.c knows of the C library. */
#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/heap.h"
#include "proto/cleanup.h"
#include "tests/lib/suite.h"
#include "tests/lib/valgrind.h"

#define BLOCKS      65536
#define SMALL_BYTES 100                        /* waits in a list of its own when it is freed */
#define BLOCK_BYTES 2000                       /* is joined at once with what is free beside it */
#define LARGE_BYTES ((size_t)16 * 1024 * 1024) /* mapped; when freed, heaps may keep as much */
#define KEPT_MAX    (4 * HEAP_TOP_KEPT_MAX)

static void *blocks[BLOCKS];

static size_t resident(void)
{
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");

    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(fscanf(f, "%*u %lu", &pages), 1);
    fclose(f);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void *take(size_t n)
{
    void *block = malloc(n);

    ck_assert_ptr_nonnull(block);
    memset(block, 'x', n);
    return block;
}

static void burst(size_t n)
{
    for (size_t i = 0; i < BLOCKS; i++)
        blocks[i] = take(n);
    for (size_t i = 0; i < BLOCKS; i++)
        free(blocks[i]);
}

static void *run(void *data)
{
    static const size_t sizes[] = {SMALL_BYTES, BLOCK_BYTES};
    size_t before;

    (void)data;
    free(take(LARGE_BYTES));
    free(take(BLOCK_BYTES));
    memset(blocks, 0, sizeof blocks);
    before = resident();
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        burst(sizes[i]);
        heap_trim();
        ck_assert_uint_le(resident(), before + KEPT_MAX);
    }
    return NULL;
}

START_TEST(test_heap_of_a_thread)
{
    pthread_t thread;

    if (is_under_valgrind() || getenv("FDIAL_SLOW")) /* a C library's heap of their own */
        return;
    ck_assert_int_eq(pthread_create(&thread, NULL, run, NULL), 0);
    pthread_join(thread, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("heap");
    TCase *test = tcase_create("heap");

    heap_init();
    tcase_add_test(test, test_heap_of_a_thread);
    suite_add_tcase(suite, test);
    return suite_run(suite);
}
