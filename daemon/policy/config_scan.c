/* Takes the text apart into words, strings and marks, one at a time; whatever libConfuse would skip
 * or read in another way than it looks is refused. Comments become spaces in the copy that
 * libConfuse is given; line ends stay, so that lines are the same. */
#include "daemon/policy/config_scan.h"

#include <string.h>

int scanner_shown(size_t n)
{
    return n < 60 ? (int)n : 60;
}

bool scanner_is_word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("-_.:/@%", c));
}

static char peek(const struct scanner *s, size_t ahead)
{
    return s->at + ahead < s->text->n ? s->text->data[s->at + ahead] : '\0';
}

static bool is_comment_here(const struct scanner *s)
{
    char c = peek(s, 0);

    return c == '#' || (c == '/' && (peek(s, 1) == '/' || peek(s, 1) == '*'));
}

static void blank(struct scanner *s)
{
    char *c = &s->text->data[s->at++];

    if (*c == '\n')
        s->here.line++;
    else
        *c = ' ';
}

static int blank_comment(struct scanner *s)
{
    struct place start = s->here;

    if (peek(s, 0) == '#' || peek(s, 1) == '/') {
        while (s->at < s->text->n && peek(s, 0) != '\n')
            blank(s);
        return 0;
    }
    blank(s);
    blank(s);
    while (s->at < s->text->n) {
        if (peek(s, 0) == '*' && peek(s, 1) == '/') {
            blank(s);
            blank(s);
            return 0;
        }
        blank(s);
    }
    return config_refuse(s->error, &start, "the comment that begins here has no end; write '*/'");
}

static int skip_space(struct scanner *s)
{
    while (s->at < s->text->n) {
        char c = peek(s, 0);
        int r;

        if (c == ' ' || c == '\t') {
            s->at++;
        } else if (c == '\n') {
            s->at++;
            s->here.line++;
        } else if (is_comment_here(s)) {
            r = blank_comment(s);
            if (r < 0)
                return r;
        } else {
            return 0;
        }
    }
    return 0;
}

static int refuse_character(struct scanner *s)
{
    char c = peek(s, 0);

    if (c == '\r')
        return config_refuse(s->error, &s->here,
                             "the line ends with a carriage return; save the file "
                             "with Unix line ends");
    if (c == '$' && peek(s, 1) == '{')
        return config_refuse(s->error, &s->here,
                             "nothing is expanded here; write the value instead "
                             "of ${...}");
    if (c == '+' && peek(s, 1) == '=')
        return config_refuse(s->error, &s->here, "'+=' is not known; write one list with '='");
    if (c > ' ' && c < 0x7f)
        return config_refuse(s->error, &s->here,
                             "unexpected '%c'; put values with such characters in "
                             "quotes",
                             c);
    return config_refuse(s->error, &s->here, "unexpected byte 0x%02x; put text in quotes",
                         (unsigned)(unsigned char)c);
}

static int scan_string(struct scanner *s)
{
    char quote = peek(s, 0);
    size_t start = ++s->at;

    for (;; s->at++) {
        char c = peek(s, 0);

        if (s->at == s->text->n || c == '\n')
            return config_refuse(s->error, &s->here,
                                 "the string that begins on this line has no "
                                 "closing quote");
        if (c == quote)
            break;
        if (c == '\\')
            return config_refuse(s->error, &s->here,
                                 "there are no escapes in strings; remove the "
                                 "backslash");
        if (c == '$' && peek(s, 1) == '{')
            return refuse_character(s);
        if ((c >= 0 && c < ' ') || c == 0x7f)
            return config_refuse(s->error, &s->here,
                                 "control character 0x%02x in a string; remove it", (unsigned)c);
    }
    s->token = (struct token){
        .kind = TOKEN_STRING,
        .text = s->text->data + start,
        .n = s->at - start,
        .line = s->here.line,
    };
    s->at++;
    return 0;
}

static int scan_word(struct scanner *s)
{
    size_t start = s->at;

    while (scanner_is_word_char(peek(s, 0)) && !is_comment_here(s))
        s->at++;
    s->token = (struct token){
        .kind = TOKEN_WORD,
        .text = s->text->data + start,
        .n = s->at - start,
        .line = s->here.line,
    };
    if (is_comment_here(s))
        return config_refuse(s->error, &s->here,
                             "a comment begins inside '%.*s'; put the value in "
                             "quotes, or a space before the comment",
                             scanner_shown(s->token.n), s->token.text);
    return 0;
}

int scanner_advance(struct scanner *s)
{
    int r = skip_space(s);
    char c = peek(s, 0);

    if (r < 0)
        return r;
    if (s->at == s->text->n) {
        s->token = (struct token){.kind = TOKEN_END, .line = s->here.line};
        return 0;
    }
    if (c == '"' || c == '\'') {
        r = scan_string(s);
    } else if (scanner_is_word_char(c)) {
        r = scan_word(s);
    } else if (c && strchr("{}=,", c)) {
        s->token = (struct token){.kind = TOKEN_MARK, .mark = c, .line = s->here.line};
        s->at++;
    } else {
        return refuse_character(s);
    }
    if (r == 0 && s->token.n > CONFIG_STRING_MAX)
        return config_refuse(s->error, &s->here, "the value is too long; at most %d bytes",
                             CONFIG_STRING_MAX);
    return r;
}
