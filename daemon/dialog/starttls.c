/* Which protocol has which dialog, and what they share: the bounds of what is heard, and what of it
 * is kept for the client. */
#include "daemon/dialog/starttls_protocols.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static bool is_name(const char *name)
{
    size_t n = name ? strlen(name) : 0;

    for (size_t i = 0; i < n; i++) {
        if (name[i] <= ' ' || name[i] > '~' || strchr("'\"<&", name[i]))
            return false;
    }
    return n > 0 && n <= STARTTLS_NAME_MAX;
}

void starttls_init(struct starttls *s, enum scheme scheme, const char *our_name,
                   const char *their_name)
{
    *s = (struct starttls){0};
    switch (scheme) {
    case SCHEME_SMTP:
        assert(is_name(our_name));
        starttls_init_smtp(s, our_name);
        return;
    case SCHEME_IMAP:
        starttls_init_imap(s);
        return;
    case SCHEME_POP3:
        starttls_init_pop3(s);
        return;
    case SCHEME_FTP:
        starttls_init_ftp(s);
        return;
    case SCHEME_LDAP:
        starttls_init_ldap(s);
        return;
    case SCHEME_XMPP:
        assert(is_name(their_name));
        starttls_init_xmpp(s, their_name);
        return;
    case SCHEME_POSTGRES:
        starttls_init_postgres(s);
        return;
    case SCHEME_MYSQL:
        starttls_init_mysql(s);
        return;
    case SCHEME_TCP:
    case SCHEME_TLS:
    case SCHEME_HTTP:
    case SCHEME_HTTPS:
    case SCHEME_WS:
    case SCHEME_WSS:
    case SCHEME_UNIX:
        break;
    }
    abort();
}

void starttls_deinit(struct dialog *d)
{
    struct starttls *s = starttls_of(d);

    free(s->told);
    s->told = NULL;
}

bool starttls_hear(struct starttls *s, size_t n)
{
    s->n_heard += n;
    s->n_pieces++;
    if (s->n_heard <= STARTTLS_HEARD_MAX && s->n_pieces <= STARTTLS_PIECES_MAX)
        return true;
    dialog_fail(&s->dialog, ERROR_STARTTLS_PROTOCOL, "it says too much before TLS");
    return false;
}

bool starttls_tell(struct starttls *s, const void *data, size_t n)
{
    char *told;

    if (n > MESSAGE_RESPONSE_MAX - s->n_told)
        n = MESSAGE_RESPONSE_MAX - s->n_told;
    if (n == 0)
        return true;
    told = realloc(s->told, s->n_told + n);
    if (!told) {
        dialog_fail(&s->dialog, ERROR_NO_RESOURCES, "no memory for what it says");
        return false;
    }
    memcpy(told + s->n_told, data, n);
    s->told = told;
    s->n_told += n;
    return true;
}

void starttls_agree(struct starttls *s, size_t n)
{
    if (n > 0)
        s->dialog.response = (struct text){s->told, n};
    s->dialog.is_response_clear = true;
    dialog_done(&s->dialog);
}
