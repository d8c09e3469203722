/* TLS records of a server by hand, once OpenSSL has done the handshake: both directions' keys and
 * numbers, and one record sealed or opened (RFC 8446 section 5, RFC 5246 section 6.2, RFC 5288,
 * RFC 7905). For a server that says what no TLS library would. Whatever fails ends the process. */
#pragma once

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RECORD_HEAD   5
#define RECORD_DATA   16384
#define RECORD_MAX    (RECORD_HEAD + RECORD_DATA + 256)
#define RECORD_SECRET 48 /* bytes of a traffic secret, at most */

enum record_type {
    RECORD_CCS = 20,
    RECORD_ALERT = 21,
    RECORD_HANDSHAKE = 22,
    RECORD_APPLICATION = 23,
};

struct record_keys {
    uint8_t secret[RECORD_SECRET]; /* 1.3 */
    uint8_t key[32];
    uint8_t iv[12];
    uint64_t number;
};

struct records {
    int version; /* TLS1_2_VERSION, TLS1_3_VERSION */
    const EVP_CIPHER *cipher;
    const EVP_MD *digest;
    struct record_keys out, in;
};

void must(bool is_so, const char *what);

/* TLS 1.2: after the handshake. 1.3: as soon as the server's secret is in the key log; the client's
 * comes with its Finished. */
void records_init(struct records *r, const SSL *ssl);
void records_set_secret(const struct records *r, struct record_keys *keys, const uint8_t *secret);
/* Writes a whole record, at most RECORD_MAX bytes; returns how many. */
size_t records_seal(struct records *r, uint8_t type, const void *data, size_t n, uint8_t *out);
/* Decrypts a whole record in place. Returns the size of its content, which begins at *ret_data, or
 * -1: it is not in order. */
int records_open(struct records *r, uint8_t *record, size_t n, uint8_t *ret_type,
                 uint8_t **ret_data);
/* What a KeyUpdate does to one direction. */
void records_update(const struct records *r, struct record_keys *keys);
