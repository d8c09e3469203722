/* PostgreSQL: SSLRequest, answered with one byte ("Frontend/Backend Protocol", SSL Session
 * Encryption). What an error message says is not read: its documentation warns of showing words of
 * a server that nobody has proved (CVE-2024-10977). More than the one byte is what CVE-2021-23222
 * was about. */
#include "daemon/dialog/starttls_protocols.h"

/* Length 8, code 1234·5679 */
static const uint8_t ssl_request[] = {0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f};

static void postgres_sent(struct dialog *d)
{
    dialog_want_exact(d, 1);
}

static void postgres_received(struct dialog *d, const uint8_t *data, size_t n)
{
    (void)n;
    switch (data[0]) {
    case 'S':
        starttls_agree(starttls_of(d), 0);
        return;
    case 'N':
        dialog_fail(d, ERROR_STARTTLS_REFUSED, "it does no TLS");
        return;
    case 'E':
        dialog_fail(d, ERROR_STARTTLS_REFUSED, "it answers the request for TLS with an error");
        return;
    default: /* a byte, not one of ours */
        dialog_fail(d, ERROR_STARTTLS_PROTOCOL, "its answer, byte 0x%02x, is not PostgreSQL's",
                    data[0]);
        return;
    }
}

static const struct dialog_type postgres_type =
    STARTTLS_TYPE("postgres", postgres_sent, postgres_received);

void starttls_init_postgres(struct starttls *s)
{
    dialog_init(&s->dialog, &postgres_type);
    dialog_want_send(&s->dialog, ssl_request, sizeof ssl_request);
}
