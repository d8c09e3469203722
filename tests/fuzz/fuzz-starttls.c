/* Whatever a server says before TLS: an end within bounds, and of what it said no more is told than
 * may be. The first byte picks the protocol. */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

#include "daemon/dialog/starttls.h"
#include "proto/cleanup.h"
#include "tests/dialog/conversation.h"

static const enum scheme schemes[] = {SCHEME_SMTP, SCHEME_IMAP, SCHEME_POP3,     SCHEME_FTP,
                                      SCHEME_LDAP, SCHEME_XMPP, SCHEME_POSTGRES, SCHEME_MYSQL};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct starttls s;

    if (n == 0)
        return 0;
    starttls_init(&s, schemes[data[0] % ARRAY_SIZE(schemes)], "client.example", "im.example");
    conversation_fuzz(&s.dialog, data + 1, n - 1);
    if (s.dialog.response.n > MESSAGE_RESPONSE_MAX ||
        (s.dialog.want == DIALOG_FAILED && s.dialog.failure.stage != STAGE_STARTTLS &&
         s.dialog.failure.code != ERROR_STARTTLS_INJECTION))
        abort();
    dialog_deinit(&s.dialog);
    return 0;
}
