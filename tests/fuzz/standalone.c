/* main() of a fuzz target in an ordinary build: runs its corpus, and a fixed number of mutations of
 * each file. They come from a small generator with a fixed seed, so that a failure comes back in
 * the next run.
 *
 *     fuzz-NAME [corpus directory or file...]      default: $srcdir/tests/fuzz/corpus/NAME */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "proto/cleanup.h"

#define INPUT_MAX         (256 * 1024)
#define MUTATIONS         1000 /* of one file */
#define EDITS_MAX         4    /* in one mutation */
#define INSERTION_MAX     16
#define EXIT_HARD_FAILURE 99 /* automake: the test itself is broken */

static uint64_t state = UINT64_C(0x9e3779b97f4a7c15);
static unsigned n_inputs;
static unsigned n_runs;

/* xorshift64* (Vigna, 2016) */
static uint64_t next_random(void)
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * UINT64_C(0x2545f4914f6cdd1d);
}

static size_t below(size_t n)
{
    return n == 0 ? 0 : (size_t)(next_random() % n);
}

/* A copy of the exact size, so that a read behind the end is seen by the sanitizers. */
static void run(const uint8_t *data, size_t n)
{
    CLEANUP(freep) uint8_t *copy = malloc(n ? n : 1);

    if (!copy)
        exit(EXIT_HARD_FAILURE);
    memcpy(copy, data, n);
    LLVMFuzzerTestOneInput(copy, n);
    n_runs++;
}

static size_t remove_bytes(uint8_t *data, size_t n)
{
    size_t at = below(n);
    size_t length = 1 + below(n - at < INSERTION_MAX ? n - at : INSERTION_MAX);

    if (at + length > n)
        return n;
    memmove(data + at, data + at + length, n - at - length);
    return n - length;
}

/* Bytes from elsewhere in the input go in front of `at`. */
static size_t repeat_bytes(uint8_t *data, size_t n)
{
    uint8_t piece[INSERTION_MAX];
    size_t from = below(n);
    size_t length = 1 + below(INSERTION_MAX);
    size_t at = below(n + 1);

    if (length > n - from)
        length = n - from;
    if (n + length > INPUT_MAX)
        return n;
    memcpy(piece, data + from, length);
    memmove(data + at + length, data + at, n - at);
    memcpy(data + at, piece, length);
    return n + length;
}

static size_t edit(uint8_t *data, size_t n)
{
    static const uint8_t special[] = {0,   1,   0x7f, 0x80, 0xff, ' ', '"',
                                      '*', '/', ':',  '{',  '}',  '\n'};

    if (n == 0)
        return n;
    switch (below(6)) {
    case 0:
        data[below(n)] ^= (uint8_t)(1u << below(8));
        return n;
    case 1:
        data[below(n)] = (uint8_t)below(256);
        return n;
    case 2:
        data[below(n)] = special[below(sizeof special)];
        return n;
    case 3:
        return remove_bytes(data, n);
    case 4:
        return repeat_bytes(data, n);
    }
    return below(n); /* cut */
}

static void run_mutations(const uint8_t *data, size_t n)
{
    CLEANUP(freep) uint8_t *mutated = malloc(INPUT_MAX);

    if (!mutated)
        exit(EXIT_HARD_FAILURE);
    for (unsigned i = 0; i < MUTATIONS; i++) {
        size_t n_edits = 1 + below(EDITS_MAX);
        size_t length = n;

        memcpy(mutated, data, n);
        while (n_edits-- > 0)
            length = edit(mutated, length);
        run(mutated, length);
    }
}

static void run_file(const char *path)
{
    CLEANUP(freep) uint8_t *data = malloc(INPUT_MAX);
    FILE *file = fopen(path, "rb");
    size_t n;

    if (!data || !file) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        exit(EXIT_HARD_FAILURE);
    }
    n = fread(data, 1, INPUT_MAX, file);
    fclose(file);
    n_inputs++;
    run(data, n);
    run_mutations(data, n);
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static int compare_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static void run_path(const char *path)
{
    struct dirent **entries;
    struct stat st;
    int n;

    if (stat(path, &st) == 0 && S_ISREG(st.st_mode)) {
        run_file(path);
        return;
    }
    n = scandir(path, &entries, is_visible, compare_bytes);
    if (n < 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        exit(EXIT_HARD_FAILURE);
    }
    for (int i = 0; i < n; i++) {
        char file[PATH_MAX];

        snprintf(file, sizeof file, "%s/%s", path, entries[i]->d_name);
        run_file(file);
        free(entries[i]);
    }
    free(entries);
}

static void run_own_corpus(const char *program)
{
    const char *srcdir = getenv("srcdir");
    const char *slash = strrchr(program, '/');
    const char *name = slash ? slash + 1 : program;
    char path[PATH_MAX];

    if (strncmp(name, "lt-", 3) == 0) /* libtool's name for it */
        name += 3;
    if (strncmp(name, "fuzz-", 5) == 0)
        name += 5;
    snprintf(path, sizeof path, "%s/tests/fuzz/corpus/%s", srcdir ? srcdir : ".", name);
    run_path(path);
}

int main(int argc, char **argv)
{
    if (argc < 2)
        run_own_corpus(argv[0]);
    for (int i = 1; i < argc; i++)
        run_path(argv[i]);
    printf("%u inputs, %u runs\n", n_inputs, n_runs);
    return n_inputs > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
