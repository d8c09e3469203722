/* Memory is read through a file, as not all that is mapped can be read, and not all that can be may
 * be touched under the sanitizers. */
#include "tests/lib/find-secret.h"

#include <check.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CHUNK       65536
#define MAPPING_MAX (64 * UINT64_C(1048576)) /* what is larger is the sanitizers' own */

static bool is_at(const uint8_t *memory, const uint8_t *masked, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (memory[i] != (masked[i] ^ SECRET_MASK))
            return false;
    return true;
}

static bool is_in(const uint8_t *memory, size_t size, const uint8_t *masked, size_t n)
{
    const uint8_t *end = memory + size, *p;
    size_t k = 0;

    /* by a byte that memory is not full of */
    while (k < n - 1 && (masked[k] == SECRET_MASK || masked[k] == (0xff ^ SECRET_MASK)))
        k++;
    for (p = memory + k; end - p >= (ptrdiff_t)(n - k); p++) {
        p = memchr(p, masked[k] ^ SECRET_MASK, (size_t)(end - p));
        if (!p || end - p < (ptrdiff_t)(n - k))
            return false;
        if (is_at(p - k, masked, n))
            return true;
    }
    return false;
}

static bool is_between(int memory, uint64_t from, uint64_t to, const uint8_t *masked, size_t n)
{
    static uint8_t chunk[CHUNK];
    bool is_found = false;

    while (!is_found && to - from >= n) {
        ssize_t k = pread(memory, chunk, to - from < CHUNK ? to - from : CHUNK, (off_t)from);

        if (k < (ssize_t)n)
            break;
        is_found = is_in(chunk, (size_t)k, masked, n);
        from += (uint64_t)k - (n - 1);
    }
    explicit_bzero(chunk, sizeof chunk);
    return is_found;
}

bool secret_is_in_memory(const uint8_t *masked, size_t n, char place[SECRET_PLACE_MAX])
{
    int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    FILE *maps = fopen("/proc/self/maps", "re");
    bool is_found = false;
    char line[512];

    ck_assert_int_ge(memory, 0);
    ck_assert_ptr_nonnull(maps);
    while (!is_found && fgets(line, sizeof line, maps)) {
        uint64_t from, to;
        char rights[5];

        ck_assert_int_eq(sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s", &from, &to, rights), 3);
        if (strncmp(rights, "rw", 2) != 0 || to - from > MAPPING_MAX)
            continue;
        is_found = is_between(memory, from, to, masked, n);
        if (is_found)
            snprintf(place, SECRET_PLACE_MAX, "%.*s", (int)strcspn(line, "\n"), line);
    }
    fclose(maps);
    close(memory);
    return is_found;
}
