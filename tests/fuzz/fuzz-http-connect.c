/* Whatever a proxy says: the dialog ends, and tells no secret, even if the proxy repeats it. The
 * first byte chooses the setup. */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "tests/dialog/conversation.h"
#include "tests/dialog/http-connect-setups.h"

static void check_secret(const struct dialog *d, const char *secret)
{
    if (strstr(d->failure.detail, secret) ||
        (d->response.data && memmem(d->response.data, d->response.n, secret, strlen(secret))))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const struct setup *setup;
    struct dialog *d;

    if (n == 0)
        return 0;
    setup = &setups[data[0] % N_SETUPS];
    d = make_connection(setup);
    conversation_fuzz(d, data + 1, n - 1);
    if (setup->proxy.auth.n_schemes > 0) {
        check_secret(d, SECRET);
        check_secret(d, BASE64);
        check_secret(d, TOKEN);
    }
    dialog_deinit(d);
    free_connection(d);
    return 0;
}
