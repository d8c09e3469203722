/* What a SOCKS 4 proxy might answer: only a whole reply that grants is success. The first byte
 * chooses what is asked for. */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

#include "daemon/dialog/socks4.h"
#include "proto/cleanup.h"
#include "tests/dialog/conversation.h"

static const struct socks4_setup setups[] = {
    {.to = {.address = {.family = AF_INET, .ipv6 = {.s6_addr = {192, 0, 2, 7}}}, .port = 22}},
    {.to = {.name = {"example.org", 11}, .port = 443}, .user = {"user", 4}, .is_4a = true},
};

static bool is_granted(const uint8_t *data, size_t n)
{
    return n >= 8 && data[0] == 0 && data[1] == 90;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct socks4 s;

    if (n == 0)
        return 0;
    socks4_init(&s, &setups[data[0] % ARRAY_SIZE(setups)]);
    conversation_fuzz(&s.dialog, data + 1, n - 1);
    if ((s.dialog.want == DIALOG_DONE) != is_granted(data + 1, n - 1))
        abort();
    dialog_deinit(&s.dialog);
    return 0;
}
