/* The tokens of a configuration, and comments blanked on the way. Internal to config_text.c. */
#pragma once

#include "daemon/policy/config_tree.h"

enum token_kind {
    TOKEN_END,
    TOKEN_WORD,
    TOKEN_STRING,
    TOKEN_MARK, /* one of { } = , */
};

struct token {
    enum token_kind kind;
    char mark;
    const char *text; /* without quotes */
    size_t n;
    unsigned line;
};

struct scanner {
    struct config_text *text;
    struct place here;
    size_t at;
    struct token token; /* the one to be looked at */
    char *error;
};

/* Puts the next token into s->token. Returns 0, or -EINVAL with the place and a sentence. */
int scanner_advance(struct scanner *s);
/* How much of a word an error shows: a line has to stay readable. */
int scanner_shown(size_t n);
/* What a word may consist of without quotes. */
bool scanner_is_word_char(char c);
