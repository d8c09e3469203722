#include "tests/lib/tls-resume.h"

#include <errno.h>

SSL_CTX *resume_server;
struct tls_context *resume_context;
struct pair_options resume_options;
const struct certs_pair *resume_root;

const int resume_versions[RESUME_VERSIONS] = {TLS1_2_VERSION, TLS1_3_VERSION};

void resume_connect(struct pair *p)
{
    resume_options.server_ctx = resume_server;
    pair_init(p, &resume_options);
    pair_run(p);
}

void resume_renew_context(struct tls_settings settings)
{
    resume_context = tls_context_unref(resume_context);
    resume_context = pair_context_new(&resume_root, 1, settings);
    resume_options.context = resume_context;
}

void resume_begin(int version)
{
    struct pair p;

    resume_root = certs_matrix_ca(pair_matrix);
    resume_options = pair_options_of("server-ecdsa", version);
    resume_renew_context((struct tls_settings){0});
    resume_server = NULL;
    resume_connect(&p);
    resume_server = p.server_ctx;
    SSL_CTX_up_ref(resume_server);
    SSL_CTX_set_session_id_context(resume_server, (const uint8_t *)"test", 4);
    pair_deinit(&p);
    resume_options.params.session_key = (struct text){"rule host", 9};
    resume_options.params.name = "localhost";
}

void resume_end(void)
{
    resume_context = tls_context_unref(resume_context);
    SSL_CTX_free(resume_server);
}

bool resume_is_resumed(const struct pair *p)
{
    struct tls_info info;

    tls_session_info(p->client, &info);
    ck_assert_int_eq(info.is_resumed, SSL_session_reused(p->server));
    return info.is_resumed;
}

bool resume_run(void)
{
    uint8_t buf[16];
    struct pair p;
    bool result;

    resume_connect(&p);
    ck_assert_msg(p.progress == TLS_DONE, "%s", p.failure.detail);
    ck_assert_int_eq(pair_read(&p, buf, sizeof buf), -EAGAIN);
    ck_assert_int_eq(pair_write(&p, "hello", 5), 5);
    pair_move_to_server(&p);
    ck_assert_int_eq(SSL_read(p.server, buf, sizeof buf), 5);
    result = resume_is_resumed(&p);
    /* Or the server's session would be unusable. */
    SSL_set_shutdown(p.server, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    pair_deinit(&p);
    return result;
}

size_t resume_count(void)
{
    return resume_context->tickets.n;
}
