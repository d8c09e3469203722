/* IMAP: RFC 3501 and RFC 9051, 6.2.1. The capabilities are asked for unless the greeting says that
 * STARTTLS is among them; with PREAUTH we are logged in, and STARTTLS is not possible any more.
 * Untagged lines may come at any time; what they do not say of capabilities, or BYE, is passed
 * over. */
#include "daemon/dialog/starttls_protocols.h"

#include <string.h>

/* Tags that the client, who goes on with its own, will not use by chance. */
#define TAG_CAPABILITY "fdial1"
#define TAG_STARTTLS   "fdial2"

static const struct dialog_type imap_type =
    STARTTLS_TYPE("imap", starttls_lines_sent, starttls_lines_received);

/* `CAPABILITY …`, or as the code of a status, `[CAPABILITY …] …` */
static void look_for_offer(struct starttls *s, struct text line)
{
    if (line.n > 0 && line.data[0] == '[') {
        const char *end = memchr(line.data, ']', line.n);

        if (!end)
            return;
        line = (struct text){line.data + 1, (size_t)(end - line.data - 1)};
    }
    if (line_take_word(&line, "CAPABILITY") && line_has_word(line, "STARTTLS"))
        s->is_offered = true;
}

static enum line_verdict judge_greeting(struct starttls *s, struct text line)
{
    struct text rest = line;

    if (!line_take_word(&rest, "*"))
        return line_break(s, line);
    if (line_take_word(&rest, "BYE"))
        return line_refuse(s, line);
    if (line_take_word(&rest, "PREAUTH")) {
        dialog_fail(&s->dialog, ERROR_STARTTLS_REFUSED,
                    "it takes us for logged in, after which there is no STARTTLS: it says '%.*s'",
                    (int)line.n, line.data);
        return LINE_FAILED;
    }
    if (!line_take_word(&rest, "OK"))
        return line_break(s, line);
    look_for_offer(s, rest);
    return LINE_NEXT;
}

static enum line_verdict judge_untagged(struct starttls *s, struct text line, struct text rest)
{
    if (line_take_word(&rest, "BYE"))
        return line_refuse(s, line);
    line_take_word(&rest, "OK");
    look_for_offer(s, rest);
    return LINE_MORE;
}

static enum line_verdict judge_answer(struct starttls *s, struct text line, const char *tag)
{
    struct text rest = line;

    if (line_take_word(&rest, "*"))
        return judge_untagged(s, line, rest);
    if (!line_take_word(&rest, tag))
        return line_break(s, line);
    if (line_take_word(&rest, "OK"))
        return LINE_NEXT;
    if (line_take_word(&rest, "NO") || line_take_word(&rest, "BAD"))
        return line_refuse(s, line);
    return line_break(s, line);
}

static enum line_verdict judge_capability(struct starttls *s, struct text line)
{
    return judge_answer(s, line, TAG_CAPABILITY);
}

static enum line_verdict judge_starttls(struct starttls *s, struct text line)
{
    return judge_answer(s, line, TAG_STARTTLS);
}

static const struct line_phase phases[] = {
    {.judge = judge_greeting},
    {.command = TAG_CAPABILITY " CAPABILITY\r\n", .judge = judge_capability, .is_question = true},
    {.command = TAG_STARTTLS " STARTTLS\r\n", .judge = judge_starttls, .is_request = true},
    {0},
};

void starttls_init_imap(struct starttls *s)
{
    starttls_init_lines(s, &imap_type, phases);
}
