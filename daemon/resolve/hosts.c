/* The whole file is kept as one text whose words end in NUL, and an array of (name, address) that
 * points into it, sorted by name and, for one name, in the order of the file. A new version is
 * built aside; if that fails (no memory, no fd), the old one stays until the next change. */
#include "daemon/resolve/hosts.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/resolve/file_stamp.h"
#include "proto/cleanup.h"

struct host_entry {
    const char *name; /* in the text */
    size_t order;
    struct address address;
};

struct host_table {
    char *text;
    struct host_entry *items;
    size_t n, size;
};

struct hosts {
    char *path;
    struct file_stamp stamp;
    struct host_table table;
};

static void host_table_deinit(struct host_table *table)
{
    free(table->items);
    free(table->text);
    *table = (struct host_table){0};
}

/* Returns the text with a NUL behind it, or a negative errno. No file is an empty text. */
static int file_read(const char *path, char **ret_text)
{
    CLEANUP(freep) char *text = NULL;
    CLEANUP(fd_closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    size_t n = 0, size = 4096;

    if (fd < 0 && errno != ENOENT && errno != ENOTDIR)
        return -errno;
    for (;;) {
        char *larger = realloc(text, size + 1);
        ssize_t r;

        if (!larger)
            return -ENOMEM;
        text = larger;
        r = fd < 0 ? 0 : read(fd, text + n, size - n);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return -errno;
        n += (size_t)r;
        if (n > HOSTS_SIZE_MAX)
            return -EFBIG;
        if (r == 0)
            break;
        if (n == size)
            size *= 2;
    }
    text[n] = '\0';
    *ret_text = TAKE_PTR(text);
    return 0;
}

static bool address_parse(const char *text, struct address *ret)
{
    struct address address = {.family = AF_INET};

    if (inet_pton(AF_INET, text, &address.ipv4) != 1) {
        address.family = AF_INET6;
        if (inet_pton(AF_INET6, text, &address.ipv6) != 1)
            return false; /* with a zone too: the table has no place for one */
    }
    *ret = address;
    return true;
}

/* Folds to lower case and drops one trailing dot, in place. */
static bool name_fold(char *name)
{
    size_t n = strlen(name);

    if (n > 0 && name[n - 1] == '.')
        name[--n] = '\0';
    if (n == 0 || n > TARGET_HOST_MAX)
        return false;
    for (char *c = name; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    return true;
}

static int host_table_add(struct host_table *table, const char *name, const struct address *address)
{
    if (table->n == table->size) {
        size_t size = table->size > 0 ? table->size * 2 : 16;
        struct host_entry *items = reallocarray(table->items, size, sizeof *items);

        if (!items)
            return -ENOMEM;
        table->items = items;
        table->size = size;
    }
    table->items[table->n] = (struct host_entry){name, table->n, *address};
    table->n++;
    return 0;
}

static int host_table_add_line(struct host_table *table, char *line)
{
    struct address address;
    char *saved, *word;

    line[strcspn(line, "#")] = '\0';
    word = strtok_r(line, " \t\r\f\v", &saved);
    if (!word || !address_parse(word, &address))
        return 0;
    while ((word = strtok_r(NULL, " \t\r\f\v", &saved))) {
        int r = name_fold(word) ? host_table_add(table, word, &address) : 0;

        if (r < 0)
            return r;
    }
    return 0;
}

static int host_entry_compare(const void *left, const void *right)
{
    const struct host_entry *a = left, *b = right;
    int r = strcmp(a->name, b->name);

    if (r != 0)
        return r;
    return a->order < b->order ? -1 : a->order > b->order;
}

static int host_table_read(struct host_table *table, const char *path)
{
    char *next, *line;
    int r = file_read(path, &table->text);

    if (r < 0)
        return r;
    next = table->text;
    while ((line = strsep(&next, "\n"))) {
        r = host_table_add_line(table, line);
        if (r < 0)
            return r;
    }
    if (table->n > 0)
        qsort(table->items, table->n, sizeof *table->items, host_entry_compare);
    return 0;
}

static void hosts_refresh(struct hosts *hosts, uint64_t now_us)
{
    struct host_table table = {0};

    if (!file_stamp_has_changed(&hosts->stamp, hosts->path, now_us))
        return;
    if (host_table_read(&table, hosts->path) < 0) {
        host_table_deinit(&table);
        return;
    }
    host_table_deinit(&hosts->table);
    hosts->table = table;
}

int hosts_new(struct hosts **ret, const char *path)
{
    struct hosts *hosts = calloc(1, sizeof *hosts);

    if (hosts)
        hosts->path = strdup(path);
    if (!hosts || !hosts->path) {
        hosts_free(hosts);
        return -ENOMEM;
    }
    *ret = hosts;
    return 0;
}

struct hosts *hosts_free(struct hosts *hosts)
{
    if (hosts) {
        host_table_deinit(&hosts->table);
        free(hosts->path);
        free(hosts);
    }
    return NULL;
}

/* The first entry whose name is not before the one wanted. */
static size_t host_table_lower_bound(const struct host_table *table, const char *name)
{
    size_t low = 0, high = table->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (strcmp(table->items[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool hosts_find(struct hosts *hosts, const char *name, uint64_t now_us, struct address_list *ret)
{
    const struct host_table *table = &hosts->table;
    struct address_list found = {.n = 0};

    hosts_refresh(hosts, now_us);
    for (size_t i = host_table_lower_bound(table, name);
         i < table->n && strcmp(table->items[i].name, name) == 0 && found.n < RESOLVE_ADDRESSES_MAX;
         i++)
        found.items[found.n++] = table->items[i].address;
    if (found.n == 0)
        return false;
    *ret = found;
    return true;
}
