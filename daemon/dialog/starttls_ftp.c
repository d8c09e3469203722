/* FTP: RFC 959, RFC 4217. Greeting 220, perhaps 120 before it; AUTH TLS 234. It is not asked what
 * the server can (FEAT), since its answer to AUTH says it. */
#include "daemon/dialog/starttls_protocols.h"

static const struct dialog_type ftp_type =
    STARTTLS_TYPE("ftp", starttls_lines_sent, starttls_lines_received);

/* A reply of several lines goes on until one with its code and a space; what is between may look
 * like anything, even like another reply (RFC 959, 4.2). Gives the reply's code at its end. */
static enum line_verdict judge_reply(struct starttls *s, struct text line, unsigned good)
{
    bool is_last;
    unsigned code = line_reply_code(line, &is_last);

    if (s->lines.code != 0)
        return code == s->lines.code && is_last ? LINE_NEXT : LINE_MORE;
    if (code >= 400)
        return line_refuse(s, line);
    if (code == 0 || code != good)
        return line_break(s, line);
    s->lines.code = code;
    return is_last ? LINE_NEXT : LINE_MORE;
}

static enum line_verdict judge_greeting(struct starttls *s, struct text line)
{
    bool is_last;
    bool is_late = s->lines.code == 120 ||
                   (s->lines.code == 0 && line.n > 0 && line_reply_code(line, &is_last) == 120);
    enum line_verdict verdict = judge_reply(s, line, is_late ? 120 : 220);

    if (!is_late || verdict != LINE_NEXT)
        return verdict;
    s->lines.code = 0;
    return LINE_MORE;
}

static enum line_verdict judge_auth(struct starttls *s, struct text line)
{
    return judge_reply(s, line, 234);
}

static const struct line_phase phases[] = {
    {.judge = judge_greeting},
    {.command = "AUTH TLS\r\n", .judge = judge_auth},
    {0},
};

void starttls_init_ftp(struct starttls *s)
{
    starttls_init_lines(s, &ftp_type, phases);
}
