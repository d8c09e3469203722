/* How OpenSSL reaches a session's queues, and what the session learns on the way. */
#pragma once

#include <openssl/ssl.h>

struct tls_session;

/* NULL when out of memory; BIO_meth_free. */
BIO_METHOD *tls_bio_method_new(void);
/* Lets sessions of ctx see the messages that their peers send. */
void tls_bio_watch(SSL_CTX *ctx);
/* Connects s->ssl with s's queues. Returns 0 or -ENOMEM. */
int tls_bio_attach(struct tls_session *s);
