/* libConfuse takes the checked text apart: it unquotes, and groups values by key and section. Every
 * option is given to it as a list of opaque values, made by take_value with the line they stand on;
 * numbers, which libConfuse would read as octal or negative, are ours to parse. Each file is parsed
 * by itself and copied to the tree. A section's own line is the one the check has seen it begin on:
 * libConfuse knows only where it ended. */
#include "daemon/policy/config_tree.h"

#include <assert.h>
#include <confuse.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/cleanup.h"

struct located {
    unsigned line;
    char text[];
};

/* libConfuse's callbacks have no argument of ours. Set while it parses. */
static char *parse_error;

__attribute__((format(printf, 2, 0))) static void report(cfg_t *cfg, const char *format,
                                                         va_list args)
{
    int n = snprintf(parse_error, CONFIG_ERROR_MAX, "%s:%d: ", cfg->filename, cfg->line);

    if (n > 0 && n < CONFIG_ERROR_MAX)
        vsnprintf(parse_error + n, CONFIG_ERROR_MAX - (size_t)n, format, args);
}

static int take_value(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
    size_t n = strlen(value) + 1;
    struct located *located = malloc(sizeof *located + n);

    (void)opt;
    if (!located)
        return -1;
    located->line = (unsigned)cfg->line;
    memcpy(located->text, value, n);
    *(void **)result = located;
    return 0;
}

#define OPTION(name, text, form) CFG_PTR_LIST_CB(text, NULL, CFGF_NODEFAULT, take_value, free),

static cfg_opt_t tls_options[] = {CONFIG_TLS_KEYS(OPTION) CFG_END()};
static cfg_opt_t proxy_options[] = {CONFIG_PROXY_KEYS(OPTION) CFG_END()};
static cfg_opt_t rule_options[] = {CONFIG_RULE_KEYS(OPTION) CFG_END()};
static cfg_opt_t root_options[] = {
    CFG_SEC("tls", tls_options, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES),
    CFG_SEC("proxy", proxy_options, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES),
    CFG_SEC("rule", rule_options, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES),
    CONFIG_ROOT_KEYS(OPTION) CFG_END(),
};

static void cfg_freep(cfg_t **cfg)
{
    if (*cfg)
        cfg_free(*cfg);
}

static void closep(FILE **file)
{
    if (*file)
        fclose(*file);
}

static int add_value(struct value_list *list, const char *file, const struct located *located)
{
    struct value *more = realloc(list->values, (list->n + 1) * sizeof *more);
    char *text;

    if (!more)
        return -ENOMEM;
    list->values = more;
    text = strdup(located->text);
    if (!text)
        return -ENOMEM;
    more[list->n++] = (struct value){{file, located->line}, text};
    return 0;
}

/* Adds the number of values to *n_values. */
static int copy_values(struct section *section, cfg_t *cfg, size_t *n_values)
{
    for (unsigned key = 0; key < KEY_COUNT; key++) {
        const char *name = config_key_name((enum config_key)key);
        enum config_form form;
        enum config_key found;
        cfg_opt_t *opt;

        if (!config_key_find(section->kind, name, strlen(name), &found, &form) || found != key)
            continue;
        opt = cfg_getopt(cfg, name);
        for (unsigned i = 0; i < cfg_opt_size(opt); i++)
            if (add_value(&section->keys[key], section->place.file, cfg_opt_getnptr(opt, i)) < 0)
                return -ENOMEM;
        *n_values += cfg_opt_size(opt);
    }
    return 0;
}

static void section_deinit(struct section *section)
{
    free(TAKE_PTR(section->title));
    for (unsigned key = 0; key < KEY_COUNT; key++) {
        struct value_list *list = &section->keys[key];

        for (size_t i = 0; i < list->n; i++)
            free(list->values[i].text);
        free(TAKE_PTR(list->values));
        list->n = 0;
    }
}

static int add_section(struct config_tree *tree, const struct opening *opening, const char *file,
                       cfg_t *cfg)
{
    struct section *more = realloc(tree->sections, (tree->n_sections + 1) * sizeof *more);
    struct section *section;

    if (!more)
        return -ENOMEM;
    tree->sections = more;
    section = &more[tree->n_sections];
    *section = (struct section){.kind = opening->kind, .place = {file, opening->line}};
    tree->n_sections++; /* from here on the tree frees it, whole or not */
    section->title = strdup(cfg_title(cfg));
    return section->title ? copy_values(section, cfg, &tree->n_values) : -ENOMEM;
}

/* The check saw the sections in the order of the text, libConfuse has those of a kind in this
 * order. */
static int copy_sections(struct config_tree *tree, const struct config_text *text, const char *file,
                         cfg_t *cfg)
{
    unsigned n[SECTION_COUNT] = {0};
    int r;

    for (size_t i = 0; i < text->n_sections; i++) {
        const struct opening *opening = &text->sections[i];
        cfg_t *section = cfg_getnsec(cfg, config_section_name(opening->kind), n[opening->kind]++);

        assert(section);
        r = add_section(tree, opening, file, section);
        if (r < 0)
            return r;
    }
    for (unsigned kind = SECTION_TLS; kind < SECTION_COUNT; kind++)
        assert(cfg_size(cfg, config_section_name((enum section_kind)kind)) == n[kind]);
    return 0;
}

static int parse_text(const struct config_text *text, const char *file, cfg_t *cfg, char *error)
{
    CLEANUP(closep) FILE *stream = NULL;
    int r;

    cfg->filename = strdup(file);
    if (!cfg->filename)
        return config_fail(-ENOMEM, error, "out of memory");
    if (text->n == 0)
        return 0;
    stream = fmemopen(text->data, text->n, "r");
    if (!stream)
        return config_fail(-errno, error, "out of memory");
    cfg_set_error_function(cfg, report);
    parse_error = error;
    config_fail(0, error, "%s: out of memory",
                file); /* what is left when libConfuse says nothing */
    r = cfg_parse_fp(cfg, stream);
    parse_error = NULL;
    return r == CFG_SUCCESS ? 0 : -EINVAL;
}

/* The title of a section names it, whichever file it stands in. */
static int refuse_duplicate(const struct config_tree *tree, const struct config_text *text,
                            size_t i, const char *file, char *error)
{
    const struct opening *opening = &text->sections[i];
    struct place here = {file, opening->line};
    struct place first = {0};

    for (size_t j = 0; j < i && !first.file; j++)
        if (text->sections[j].kind == opening->kind &&
            text->sections[j].n_title == opening->n_title &&
            memcmp(text->sections[j].title, opening->title, opening->n_title) == 0)
            first = (struct place){file, text->sections[j].line};
    for (size_t j = 0; j < tree->n_sections && !first.file; j++)
        if (tree->sections[j].kind == opening->kind &&
            strlen(tree->sections[j].title) == opening->n_title &&
            memcmp(tree->sections[j].title, opening->title, opening->n_title) == 0)
            first = tree->sections[j].place;
    if (!first.file)
        return 0;
    return config_refuse(error, &here,
                         "the title '%.*s' is given twice, first at %s:%u; rename one",
                         (int)opening->n_title, opening->title, first.file, first.line);
}

static const char *add_file(struct config_tree *tree, const char *name)
{
    char **more = realloc(tree->files, (tree->n_files + 1) * sizeof *more);

    if (!more)
        return NULL;
    tree->files = more;
    more[tree->n_files] = strdup(name);
    return more[tree->n_files] ? more[tree->n_files++] : NULL;
}

int config_tree_add(struct config_tree *tree, const char *name, const char *text, size_t n,
                    char error[CONFIG_ERROR_MAX])
{
    CLEANUP(config_text_deinit) struct config_text checked = {0};
    CLEANUP(cfg_freep) cfg_t *cfg = NULL;
    const char *file = add_file(tree, name);
    int r;

    if (!file)
        return config_fail(-ENOMEM, error, "out of memory");
    r = config_text_check(&checked, file, text, n, tree->root_places, error);
    for (size_t i = 0; r == 0 && i < checked.n_sections; i++)
        r = refuse_duplicate(tree, &checked, i, file, error);
    if (r < 0)
        return r;
    cfg = cfg_init(root_options, CFGF_NONE);
    if (!cfg)
        return config_fail(-ENOMEM, error, "out of memory");
    r = parse_text(&checked, file, cfg, error);
    if (r < 0)
        return r;
    tree->root.place.file = file;
    tree->n_values = 0;
    if (copy_values(&tree->root, cfg, &tree->n_values) < 0 ||
        copy_sections(tree, &checked, file, cfg) < 0)
        return config_fail(-ENOMEM, error, "out of memory");
    /* The check and libConfuse have read the same text in the same way, or one of them is wrong. */
    assert(tree->n_values == checked.n_values);
    return 0;
}

struct config_tree *config_tree_new(void)
{
    return calloc(1, sizeof(struct config_tree));
}

struct config_tree *config_tree_free(struct config_tree *tree)
{
    if (!tree)
        return NULL;
    section_deinit(&tree->root);
    for (size_t i = 0; i < tree->n_sections; i++)
        section_deinit(&tree->sections[i]);
    free(tree->sections);
    for (size_t i = 0; i < tree->n_files; i++)
        free(tree->files[i]);
    free(tree->files);
    free(tree);
    return NULL;
}

void config_treep(struct config_tree **tree)
{
    *tree = config_tree_free(*tree);
}

int config_count_sections(const struct config_tree *tree, enum section_kind kind, size_t max,
                          size_t *ret_n, char error[CONFIG_ERROR_MAX])
{
    size_t n = 0;

    for (size_t i = 0; i < tree->n_sections; i++)
        if (tree->sections[i].kind == kind && ++n > max)
            return config_refuse(error, &tree->sections[i].place,
                                 "too many %s sections; at most %zu", config_section_name(kind),
                                 max);
    *ret_n = n;
    return 0;
}
