/* SMTP: RFC 5321, RFC 3207. Greeting 220, EHLO 250 with STARTTLS among its keywords, STARTTLS 220.
 * Each may have several lines, all with one code (RFC 5321, 4.2.1). There is no way back to HELO,
 * which could not offer it. */
#include "daemon/dialog/starttls_protocols.h"

#include <stdio.h>

static const struct dialog_type smtp_type =
    STARTTLS_TYPE("smtp", starttls_lines_sent, starttls_lines_received);

static enum line_verdict judge_reply(struct starttls *s, struct text line, unsigned good)
{
    bool is_last;
    unsigned code = line_reply_code(line, &is_last);

    if (code >= 400)
        return line_refuse(s, line);
    if (code != good)
        return line_break(s, line);
    s->lines.code = code;
    return is_last ? LINE_NEXT : LINE_MORE;
}

static enum line_verdict judge_ready(struct starttls *s, struct text line)
{
    return judge_reply(s, line, 220);
}

static enum line_verdict judge_ehlo(struct starttls *s, struct text line)
{
    bool is_first = s->lines.code == 0; /* its own name and a greeting, no keyword */
    enum line_verdict verdict = judge_reply(s, line, 250);
    struct text keyword = {line.data + 4, line.n - 4};

    if (verdict != LINE_FAILED && !is_first && line.n > 4 && line_take_word(&keyword, "STARTTLS"))
        s->is_offered = true;
    return verdict;
}

static const struct line_phase phases[] = {
    {.judge = judge_ready},
    {.judge = judge_ehlo},
    {.command = "STARTTLS\r\n", .judge = judge_ready, .is_request = true},
    {0},
};

void starttls_init_smtp(struct starttls *s, const char *our_name)
{
    starttls_init_lines(s, &smtp_type, phases);
    snprintf(s->out, sizeof s->out, "EHLO %s\r\n", our_name);
}
