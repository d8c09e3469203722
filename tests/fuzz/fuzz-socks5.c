/* What a SOCKS 5 proxy might answer: only whole answers, each of them a yes to what was said, are
 * success. The first byte chooses what is asked for, and how. */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

#include "daemon/dialog/socks5.h"
#include "proto/cleanup.h"
#include "tests/dialog/conversation.h"

static const struct gss_settings gss = {.service = "rcmd@proxy.example"};

static const struct socks5_setup setups[] = {
    {.to = {.address = {.family = AF_INET6}, .port = 22}},
    {.to = {.name = {"example.org", 11}, .port = 443}, .user = {"user", 4}, .password = {"pw", 2}},
    {.to = {.address = {.family = AF_INET}, .port = 22},
     .user = {"user", 4},
     .password = {"pw", 2},
     .may_be_anonymous = true},
    {.to = {.address = {.family = AF_INET}, .port = 22}, .gss = &gss},
    {.to = {.address = {.family = AF_INET}, .port = 22},
     .gss = &gss,
     .user = {"user", 4},
     .password = {"pw", 2},
     .may_be_anonymous = true},
};

static bool is_yes(const uint8_t *data, size_t n, uint8_t version, uint8_t second)
{
    return n >= 2 && data[0] == version && data[1] == second;
}

static bool is_whole_reply(const uint8_t *data, size_t n)
{
    if (n < 5 || !is_yes(data, n, 5, 0))
        return false;
    return (data[3] == 1 && n >= 4 + 4 + 2) || (data[3] == 4 && n >= 4 + 16 + 2) ||
           (data[3] == 3 && n >= (size_t)4 + 1 + data[4] + 2);
}

static bool is_granted(const struct socks5_setup *setup, const uint8_t *data, size_t n)
{
    bool has_login = setup->user.data != NULL;

    if (has_login && is_yes(data, n, 5, 2))
        return is_yes(data + 2, n - 2, 1, 0) && is_whole_reply(data + 4, n - 4);
    if ((setup->may_be_anonymous || !has_login) && is_yes(data, n, 5, 0))
        return is_whole_reply(data + 2, n - 2);
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const struct socks5_setup *setup;
    struct socks5 s;

    if (n == 0)
        return 0;
    setup = &setups[data[0] % ARRAY_SIZE(setups)];
    socks5_init(&s, setup);
    conversation_fuzz(&s.dialog, data + 1, n - 1);
    /* With GSSAPI it also depends on answers that are made up. */
    if (!setup->gss && (s.dialog.want == DIALOG_DONE) != is_granted(setup, data + 1, n - 1))
        abort();
    dialog_deinit(&s.dialog);
    return 0;
}
