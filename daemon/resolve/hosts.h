/* The static table of names, /etc/hosts (hosts(5)): read when it has changed, looked at once a
 * second at most. Lines that make no sense are passed over, as everybody does. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "daemon/resolve/resolve.h"

#define HOSTS_SIZE_MAX (16u << 20) /* a larger file is not read */

struct hosts;

/* Returns 0 or -ENOMEM; the file need not exist. */
int hosts_new(struct hosts **ret, const char *path);
struct hosts *hosts_free(struct hosts *hosts);
/* All addresses of a canonical name, both families, in the order of the file. False: not listed. */
bool hosts_find(struct hosts *hosts, const char *name, uint64_t now_us, struct address_list *ret);
