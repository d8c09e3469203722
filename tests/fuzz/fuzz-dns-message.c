/* What a name server might answer. The first byte chooses name and family, the rest is the
 * message. */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

#include "daemon/resolve/dns_message.h"
#include "proto/cleanup.h"

static void check_answer(const struct dns_answer *answer, int family)
{
    if (answer->n > RESOLVE_ADDRESSES_MAX || (answer->n > 0) != (answer->verdict == DNS_ADDRESSES))
        abort();
    if (!answer->reason != (answer->verdict != DNS_FAILED))
        abort();
    for (size_t i = 0; i < answer->n; i++)
        if (answer->items[i].family != family)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char *const names[] = {"www.example.org", "a.test", "localhost", "x"};
    struct dns_answer answer;
    int family;

    if (n == 0)
        return 0;
    family = data[0] & 1 ? AF_INET6 : AF_INET;
    dns_message_parse(data + 1, n - 1, names[data[0] >> 1 & 3], family, &answer);
    check_answer(&answer, family);
    return 0;
}
