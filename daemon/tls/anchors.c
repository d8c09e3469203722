/* Trust anchors, and what reads them and other files of PEM.
 *
 * The system's trust store is read from its bundle file. OpenSSL's hashed directory would mean disk
 * accesses in each handshake, and its environment variables (SSL_CERT_FILE, SSL_CERT_DIR) are not
 * for a daemon that decides trust on behalf of others. The file is read here, not by OpenSSL, so
 * that the error names file and reason. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/tls/internal.h"
#include "proto/cleanup.h"

/* Where systems keep the bundle, after the place OpenSSL was compiled for. */
static const char *const system_bundles[] = {
    "/etc/ssl/certs/ca-certificates.crt",                /* Debian, Arch, Gentoo */
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", /* Fedora, RHEL */
    "/etc/pki/tls/certs/ca-bundle.crt",                  /* older RHEL */
    "/etc/ssl/ca-bundle.pem",                            /* openSUSE */
    "/etc/ssl/cert.pem",                                 /* Alpine */
};

void tls_bio_freep(BIO **bio)
{
    BIO_free(*bio);
}

int tls_pem_open(const char *path, BIO **ret)
{
    CLEANUP(fd_closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    FILE *file;
    BIO *bio;

    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (S_ISDIR(st.st_mode))
        return -EISDIR;
    if (!S_ISREG(st.st_mode))
        return -EINVAL;
    if (st.st_size > TLS_CA_FILE_MAX)
        return -EFBIG;
    file = fdopen(fd, "r");
    if (!file)
        return -errno;
    TAKE_FD(fd);
    bio = BIO_new_fp(file, BIO_CLOSE);
    if (!bio) {
        fclose(file);
        return -ENOMEM;
    }
    *ret = bio;
    return 0;
}

int tls_pem_no_passphrase(char *buf, int size, int is_write, void *data)
{
    (void)buf, (void)size, (void)is_write, (void)data;
    return 0;
}

int tls_pem_end(int n, const char *nothing, const char **ret_reason)
{
    if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE) {
        const char *reason = ERR_reason_error_string(ERR_peek_error());

        *ret_reason = reason ? reason : "malformed PEM";
        return -EBADMSG;
    }
    if (n == 0) {
        *ret_reason = nothing;
        return -ENODATA;
    }
    return n;
}

/* Adds all certificates. Other PEM blocks and text between them are skipped. Returns how many, or
 * -errno; then *ret_reason (static) says more than the number, when it is not NULL. */
static int add_certificates(X509_STORE *store, BIO *bio, const char **ret_reason)
{
    int n = 0;

    for (;; n++) {
        X509 *cert = PEM_read_bio_X509_AUX(bio, NULL, tls_pem_no_passphrase, NULL);
        int is_added;

        if (!cert)
            break;
        is_added = X509_STORE_add_cert(store, cert);
        X509_free(cert);
        if (!is_added)
            return -ENOMEM;
    }
    return tls_pem_end(n, "no certificate in it", ret_reason);
}

static int load_bundle(X509_STORE *store, const char *path, struct tls_problem *problem)
{
    CLEANUP(tls_bio_freep) BIO *bio = NULL;
    const char *reason = NULL;
    int r;

    r = tls_pem_open(path, &bio);
    if (r >= 0)
        r = add_certificates(store, bio, &reason);
    if (r < 0)
        return tls_problem_set(problem, TLS_SETTING_CA_FILE, r, "cannot use CA file %s: %s", path,
                               reason ? reason : strerror(-r));
    return 0;
}

static int load_system_bundle(X509_STORE *store, struct tls_problem *problem)
{
    int r = load_bundle(store, X509_get_default_cert_file(), problem);

    for (size_t i = 0; i < ARRAY_SIZE(system_bundles) && (r == -ENOENT || r == -ENOTDIR); i++)
        r = load_bundle(store, system_bundles[i], problem);
    if (r == -ENOENT || r == -ENOTDIR)
        return tls_problem_set(problem, TLS_SETTING_NONE, r,
                               "the system has no CA bundle (neither %s nor the usual places): "
                               "install ca-certificates or set ca-file",
                               X509_get_default_cert_file());
    return r;
}

int tls_anchors_load(X509_STORE *store, const char *path, struct tls_problem *problem)
{
    return path ? load_bundle(store, path, problem) : load_system_bundle(store, problem);
}
