/* Protocols in which client and server exchange lines: SMTP, IMAP, POP3, FTP. Each is a table of
 * phases; a phase is a command and a judge of the answer's lines. All but the answer to STARTTLS
 * itself is the response. */
#include "daemon/dialog/starttls_protocols.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

void starttls_init_lines(struct starttls *s, const struct dialog_type *type,
                         const struct line_phase *phases)
{
    dialog_init(&s->dialog, type);
    s->lines.phase = phases;
    dialog_want_line(&s->dialog, STARTTLS_LINE_MAX);
}

void starttls_lines_sent(struct dialog *d)
{
    dialog_want_line(d, STARTTLS_LINE_MAX);
}

static void go_on(struct starttls *s)
{
    const struct line_phase *next = s->lines.phase + 1;
    const char *command;

    if (next->is_question && s->is_offered)
        next++;
    if (!next->judge) {
        starttls_agree(s, s->n_told);
        return;
    }
    if (next->is_request && !s->is_offered) {
        dialog_fail(&s->dialog, ERROR_STARTTLS_REFUSED, "it does not offer it");
        return;
    }
    s->lines.phase = next;
    s->lines.code = 0;
    command = next->command ? next->command : s->out;
    dialog_want_send(&s->dialog, command, strlen(command));
}

/* A CR before the LF is not asked for; what else is no text is no such protocol. */
static bool take_line(const uint8_t *data, size_t n, struct text *ret)
{
    size_t length = n - 1;

    if (length > 0 && data[length - 1] == '\r')
        length--;
    for (size_t i = 0; i < length; i++) {
        if ((data[i] < ' ' && data[i] != '\t') || data[i] == 0x7f)
            return false;
    }
    *ret = (struct text){(const char *)data, length};
    return true;
}

void starttls_lines_received(struct dialog *d, const uint8_t *data, size_t n)
{
    struct starttls *s = starttls_of(d);
    const struct line_phase *phase = s->lines.phase;
    struct text line;

    if (!starttls_hear(s, n) || (phase[1].judge && !starttls_tell(s, data, n)))
        return;
    if (!take_line(data, n, &line)) {
        dialog_fail(d, ERROR_STARTTLS_PROTOCOL, "it says '%.*s', which is not a line of text",
                    (int)n, (const char *)data);
        return;
    }
    switch (phase->judge(s, line)) {
    case LINE_MORE:
        dialog_want_line(d, STARTTLS_LINE_MAX);
        return;
    case LINE_NEXT:
        go_on(s);
        return;
    case LINE_FAILED:
        return;
    }
}

/* ---- for the judges ---- */

bool line_take_word(struct text *line, const char *word)
{
    size_t n = strlen(word);

    if (line->n < n || strncasecmp(line->data, word, n) != 0)
        return false;
    if (line->n > n && line->data[n] != ' ')
        return false;
    if (line->n > n)
        n++;
    *line = (struct text){line->data + n, line->n - n};
    return true;
}

bool line_has_word(struct text line, const char *word)
{
    while (line.n > 0) {
        const char *space;

        if (line_take_word(&line, word))
            return true;
        space = memchr(line.data, ' ', line.n);
        if (!space)
            return false;
        line.n -= (size_t)(space + 1 - line.data);
        line.data = space + 1;
    }
    return false;
}

unsigned line_reply_code(struct text line, bool *ret_is_last)
{
    unsigned code = 0;

    if (line.n < 3 || line.data[0] < '1' || line.data[0] > '5')
        return 0;
    for (size_t i = 0; i < 3; i++) {
        if (!isdigit((unsigned char)line.data[i]))
            return 0;
        code = code * 10 + (unsigned)(line.data[i] - '0');
    }
    if (line.n > 3 && line.data[3] != ' ' && line.data[3] != '-')
        return 0;
    *ret_is_last = line.n == 3 || line.data[3] == ' ';
    return code;
}

enum line_verdict line_refuse(struct starttls *s, struct text line)
{
    dialog_fail(&s->dialog, ERROR_STARTTLS_REFUSED, "it says '%.*s'", (int)line.n, line.data);
    return LINE_FAILED;
}

enum line_verdict line_break(struct starttls *s, struct text line)
{
    dialog_fail(&s->dialog, ERROR_STARTTLS_PROTOCOL, "it says '%.*s', which is no answer here",
                (int)line.n, line.data);
    return LINE_FAILED;
}
