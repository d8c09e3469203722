/* POP3: RFC 1939, CAPA of RFC 2449, STLS of RFC 2595, 4. */
#include "daemon/dialog/starttls_protocols.h"

static const struct dialog_type pop3_type =
    STARTTLS_TYPE("pop3", starttls_lines_sent, starttls_lines_received);

static enum line_verdict judge_status(struct starttls *s, struct text line)
{
    struct text rest = line;

    if (line_take_word(&rest, "-ERR"))
        return line_refuse(s, line);
    return line_take_word(&rest, "+OK") ? LINE_NEXT : line_break(s, line);
}

static enum line_verdict judge_capa(struct starttls *s, struct text line)
{
    struct text rest = line;
    enum line_verdict verdict;

    if (!s->lines.is_listing) {
        verdict = judge_status(s, line);
        s->lines.is_listing = true;
        return verdict == LINE_NEXT ? LINE_MORE : verdict;
    }
    if (line.n == 1 && line.data[0] == '.')
        return LINE_NEXT;
    if (line_take_word(&rest, "STLS"))
        s->is_offered = true;
    return LINE_MORE;
}

static const struct line_phase phases[] = {
    {.judge = judge_status},
    {.command = "CAPA\r\n", .judge = judge_capa},
    {.command = "STLS\r\n", .judge = judge_status, .is_request = true},
    {0},
};

void starttls_init_pop3(struct starttls *s)
{
    starttls_init_lines(s, &pop3_type, phases);
}
