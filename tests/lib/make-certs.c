/* make-certs DIR: writes the matrix of test certificates into a directory that exists.
 *
 * DIR/ca.pem is the root to trust. For each case DIR/NAME.pem is the chain as a server sends it,
 * and DIR/NAME.key its key. Prints a line "NAME ERROR" for each, ERROR being OK or the symbolic
 * name of what a client must say. A server needs security level 0 to load some of them (openssl
 * s_server -cipher DEFAULT:@SECLEVEL=0). */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/certs.h"

static const char *make_path(const char *dir, const char *name, const char *suffix)
{
    static char path[PATH_MAX];

    if ((size_t)snprintf(path, sizeof path, "%s/%s%s", dir, name, suffix) >= sizeof path) {
        fprintf(stderr, "make-certs: path too long\n");
        exit(2);
    }
    return path;
}

int main(int argc, char **argv)
{
    const struct certs_pair *ca;
    const struct certs_case *c;
    struct certs_matrix *m;

    if (argc != 2) {
        fprintf(stderr, "usage: make-certs DIR\n");
        return 2;
    }
    m = certs_matrix_new();
    ca = certs_matrix_ca(m);
    certs_write_chain(make_path(argv[1], "ca", ".pem"), &ca, 1);
    for (size_t i = 0; (c = certs_matrix_get(m, i)); i++) {
        certs_write_chain(make_path(argv[1], c->name, ".pem"), c->chain, c->n_chain);
        certs_write_key(make_path(argv[1], c->name, ".key"), c->chain[0]);
        printf("%s %s\n", c->name, c->error);
    }
    certs_matrix_free(m);
    return 0;
}
