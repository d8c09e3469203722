/* Secrets, by name: a password, a token, a passphrase, a key or a certificate, each in a file of
 * its own. Where the environment variable CREDENTIALS_DIRECTORY is set (systemd.exec(5),
 * LoadCredential=), they are the files of that folder, and nothing else is looked at; otherwise
 * those of /etc/fdial/credentials, which must be out of others' reach. Reading may block. What was
 * read is wiped before its memory is given back. */
#pragma once

#include <stddef.h>

#include "proto/message.h"

#define CREDENTIAL_DIRECTORY "/etc/fdial/credentials"
#define CREDENTIAL_MAX       (256 * 1024) /* bytes of one */
#define CREDENTIAL_NAME_MAX  255
#define CREDENTIAL_ERROR_MAX 256 /* a longer sentence is cut */

struct credential {
    char *data; /* a NUL stands behind it; NULL: none */
    size_t n;   /* 1 at least */
};

/* Returns 0, or -errno with a sentence that names the file, never what is in it: -EINVAL for a name
 * that cannot be, -EPERM for a file that others can read or that a third user could change. */
int credential_read(struct credential *ret, const char *name, char error[CREDENTIAL_ERROR_MAX]);
/* The same from a folder that is no service manager's, and so as strict as for ours. */
int credential_read_private(struct credential *ret, const char *directory, const char *name,
                            char error[CREDENTIAL_ERROR_MAX]);
/* The path of the file that credential_read() looks at, on the heap; NULL without memory. */
char *credential_path(const char *name);
/* Wipes it. Zeroed, or not whole, will do. */
void credential_deinit(struct credential *credential);

/* What is text ends without the newline that an editor puts there: one is left out. */
struct text credential_text(const struct credential *credential);
