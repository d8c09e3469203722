/* A pass over the text before libConfuse sees it. libConfuse counts lines wrongly behind comments,
 * takes a file whose last brace is missing, lets the last of two equal keys win, expands ${…},
 * skips characters it does not know, and cuts a bare word at "//". So comments are blanked here,
 * and everything else that is wrong with the form is refused here, at its line:
 *
 *     file    = { key "=" value | kind title "{" { key "=" value } "}" }
 *     value   = word | string | "{" word-or-string { "," word-or-string } [ "," ] "}"
 *
 * What is left to libConfuse is well-formed, has known keys only, and each of them once. */
#include "daemon/policy/config_scan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/cleanup.h"

static bool is_equal(const char *text, size_t n, const char *name)
{
    return strlen(name) == n && memcmp(text, name, n) == 0;
}

static bool is_mark(const struct scanner *s, char mark)
{
    return s->token.kind == TOKEN_MARK && s->token.mark == mark;
}

static bool is_value(const struct scanner *s)
{
    return s->token.kind == TOKEN_WORD || s->token.kind == TOKEN_STRING;
}

static struct place token_place(const struct scanner *s)
{
    return (struct place){s->here.file, s->token.line};
}

#define refuse_token(s, ...)                                                                       \
    ({                                                                                             \
        struct place place_ = token_place(s);                                                      \
        config_refuse((s)->error, &place_, __VA_ARGS__);                                           \
    })

/* After "{" of a list, up to and with its "}". */
static int check_list(struct scanner *s, const char *name)
{
    size_t n = 0;
    int r;

    for (;;) {
        if (is_mark(s, '}') && n == 0)
            return refuse_token(s, "the list of '%s' is empty; write a value, or remove the key",
                                name);
        if (is_mark(s, '}'))
            return scanner_advance(s);
        if (!is_value(s))
            return refuse_token(s, "a value of '%s' or '}' is missing here", name);
        if (++n > CONFIG_LIST_MAX)
            return refuse_token(s, "the list of '%s' is too long; at most %d values", name,
                                CONFIG_LIST_MAX);
        s->text->n_values++;
        r = scanner_advance(s);
        if (r < 0)
            return r;
        if (is_mark(s, '}'))
            continue;
        if (!is_mark(s, ','))
            return refuse_token(s, "a ',' or '}' is missing in the list of '%s'", name);
        r = scanner_advance(s);
        if (r < 0)
            return r;
    }
}

/* After "=". */
static int check_value(struct scanner *s, const char *name, enum config_form form)
{
    int r;

    if (is_value(s)) {
        s->text->n_values++;
        return scanner_advance(s);
    }
    if (!is_mark(s, '{'))
        return refuse_token(s, "the value of '%s' is missing", name);
    if (form == FORM_ONE)
        return refuse_token(s, "'%s' takes one value; remove the braces", name);
    r = scanner_advance(s);
    return r < 0 ? r : check_list(s, name);
}

static bool is_section_name(const struct token *token, enum section_kind *ret)
{
    for (unsigned kind = SECTION_TLS; kind < SECTION_COUNT; kind++) {
        if (!is_equal(token->text, token->n, config_section_name((enum section_kind)kind)))
            continue;
        *ret = (enum section_kind)kind;
        return true;
    }
    return false;
}

/* Where a key of this name may stand; NULL: nowhere. */
static const char *find_elsewhere(const struct token *token)
{
    static const char *const places[] = {
        [SECTION_ROOT] = "outside of sections",
        [SECTION_TLS] = "in a section tls \"name\" { ... }",
        [SECTION_PROXY] = "in a section proxy \"name\" { ... }",
        [SECTION_RULE] = "in a section rule \"name\" { ... }",
    };
    enum config_form form;
    enum config_key key;

    for (unsigned i = 0; i < sizeof places / sizeof *places; i++)
        if (config_key_find((enum section_kind)i, token->text, token->n, &key, &form) &&
            form != FORM_LATER)
            return places[i];
    return NULL;
}

/* What stands where a key should: its name is unknown here, or no "=" follows. */
static int refuse_key(struct scanner *s, enum section_kind section, const struct token *token)
{
    struct place here = {s->here.file, token->line};
    enum section_kind kind;
    const char *where;
    int r;

    if (section != SECTION_ROOT && is_section_name(token, &kind)) {
        r = s->token.text == token->text ? scanner_advance(s) : 0;
        if (r < 0)
            return r;
        if (is_mark(s, '='))
            return config_refuse(s->error, &here, "'%s' begins a section and is no key here%s",
                                 config_section_name(kind),
                                 kind == SECTION_PROXY ? "; a rule names its proxies in 'via'"
                                                       : "; see fdiald.conf(5)");
        return config_refuse(s->error, &here,
                             "a section begins inside another; close the one before "
                             "with '}'");
    }
    if (s->token.text != token->text)
        return refuse_token(s, "write '=' after '%.*s'", scanner_shown(token->n), token->text);
    where = find_elsewhere(token);
    if (where)
        return config_refuse(s->error, &here, "'%.*s' stands %s, not here%s",
                             scanner_shown(token->n), token->text, where,
                             is_equal(token->text, token->n, "ktls")
                                 ? "; for one rule leave it out of its 'handoff'"
                                 : "");
    return config_refuse(s->error, &here, "unknown key '%.*s'; see fdiald.conf(5)",
                         scanner_shown(token->n), token->text);
}

/* A key of `section`, up to the end of its value. */
static int check_key(struct scanner *s, enum section_kind section, struct place *places)
{
    struct token token = s->token;
    struct place here = token_place(s);
    enum config_form form;
    enum config_key key;
    int r;

    if (!config_key_find(section, token.text, token.n, &key, &form))
        return refuse_key(s, section, &token);
    if (form == FORM_LATER)
        return config_refuse(s->error, &here, "'%.*s' is not supported by this version; remove it",
                             (int)token.n, token.text);
    if (places[key].file)
        return config_refuse(s->error, &here, "'%s' is given twice, first at %s:%u; remove one",
                             config_key_name(key), places[key].file, places[key].line);
    places[key] = here;
    r = scanner_advance(s);
    if (r < 0)
        return r;
    if (!is_mark(s, '='))
        return refuse_key(s, section, &token);
    r = scanner_advance(s);
    return r < 0 ? r : check_value(s, config_key_name(key), form);
}

static int remember_opening(struct scanner *s, enum section_kind kind, unsigned line)
{
    struct config_text *text = s->text;
    struct opening *more;

    if (text->n_sections == CONFIG_SECTIONS_MAX)
        return refuse_token(s, "too many sections in one file; at most %d", CONFIG_SECTIONS_MAX);
    more = realloc(text->sections, (text->n_sections + 1) * sizeof *more);
    if (!more)
        return config_fail(-ENOMEM, s->error, "out of memory");
    more[text->n_sections++] = (struct opening){.kind = kind, .line = line};
    text->sections = more;
    return 0;
}

static bool is_title(const struct token *token)
{
    if (token->n == 0 || token->n > CONFIG_TITLE_MAX)
        return false;
    for (size_t i = 0; i < token->n; i++)
        if (!scanner_is_word_char(token->text[i]) || strchr(":/@%", token->text[i]))
            return false;
    return true;
}

/* The title and "{". */
static int check_title(struct scanner *s, const char *name)
{
    struct opening *opening = &s->text->sections[s->text->n_sections - 1];
    int r = scanner_advance(s);

    if (r < 0)
        return r;
    if (!is_value(s))
        return refuse_token(s, "a title is missing; write %s \"name\" { ... }", name);
    if (!is_title(&s->token))
        return refuse_token(s, "a title has 1 to %d letters, digits, '.', '_' and '-'",
                            CONFIG_TITLE_MAX);
    opening->title = s->token.text;
    opening->n_title = s->token.n;
    r = scanner_advance(s);
    if (r < 0)
        return r;
    if (!is_mark(s, '{'))
        return refuse_token(s, "write '{' after the title of the section '%s'", name);
    return scanner_advance(s);
}

static int check_section(struct scanner *s, enum section_kind kind)
{
    const char *name = config_section_name(kind);
    struct place places[KEY_COUNT] = {0};
    struct place start = token_place(s);
    int r = remember_opening(s, kind, start.line);

    if (r == 0)
        r = check_title(s, name);
    while (r == 0) {
        if (is_mark(s, '}'))
            return scanner_advance(s);
        if (s->token.kind == TOKEN_END)
            return config_refuse(s->error, &start,
                                 "the section that begins here is not closed; write "
                                 "'}'");
        if (s->token.kind != TOKEN_WORD)
            return refuse_token(s,
                                "a key, or the '}' of the section that begins in line %u, is "
                                "missing here",
                                start.line);
        r = check_key(s, kind, places);
    }
    return r;
}

static int check_file(struct scanner *s, struct place *root_places)
{
    int r = scanner_advance(s);

    while (r == 0 && s->token.kind != TOKEN_END) {
        enum section_kind kind;

        if (is_mark(s, '}'))
            return refuse_token(s, "this '}' closes nothing; remove it");
        if (s->token.kind != TOKEN_WORD)
            return refuse_token(s, "a key or a section is missing here");
        if (is_section_name(&s->token, &kind))
            r = check_section(s, kind);
        else
            r = check_key(s, SECTION_ROOT, root_places);
    }
    return r;
}

void config_text_deinit(struct config_text *text)
{
    free(TAKE_PTR(text->data));
    free(TAKE_PTR(text->sections));
}

int config_text_check(struct config_text *ret, const char *name, const char *text, size_t n,
                      struct place root_places[KEY_COUNT], char error[CONFIG_ERROR_MAX])
{
    CLEANUP(config_text_deinit) struct config_text copy = {.data = malloc(n + 1), .n = n};
    struct scanner s = {.text = &copy, .here = {name, 1}, .error = error};
    int r;

    if (!copy.data)
        return config_fail(-ENOMEM, error, "out of memory");
    if (n > 0)
        memcpy(copy.data, text, n);
    copy.data[n] = '\0';
    r = check_file(&s, root_places);
    if (r < 0)
        return r;
    *ret = copy;
    copy = (struct config_text){0};
    return 0;
}
