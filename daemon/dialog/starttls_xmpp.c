/* XMPP, client to server: RFC 6120, 5. Stream header, the server's header and features,
 * <starttls/>, <proceed/>; then the client starts a new stream.
 *
 * Of XML only as much is understood as RFC 6120, 11.1 leaves over: elements with attributes, and
 * text; no comments, processing instructions, sections. Each want is for all up to the next '>'.
 * When that is within an attribute's value, the tag goes on in the next piece; so pieces are put
 * together in `told`, and a server that says more than this may hold is given up. Prefixes are not
 * resolved: `stream:features` is known by its local name, `starttls` by its own xmlns. */
#include "daemon/dialog/starttls_protocols.h"

#include <stdio.h>
#include <string.h>

#define TLS_NAMESPACE "urn:ietf:params:xml:ns:xmpp-tls"
#define SPACES        " \t\r\n"

enum tag_kind { TAG_OPEN, TAG_CLOSE, TAG_EMPTY, TAG_DECLARATION };

struct tag {
    enum tag_kind kind;
    struct text name;    /* without its prefix */
    struct text xmlns;   /* data NULL: not there */
    struct text version; /* likewise */
};

static const char starttls_element[] = "<starttls xmlns='" TLS_NAMESPACE "'/>";

/* ---- one tag ---- */

static bool is_text(struct text text, const char *string)
{
    return text.n == strlen(string) && memcmp(text.data, string, text.n) == 0;
}

static bool is_space(char c)
{
    return c != '\0' && strchr(SPACES, c);
}

static void skip_spaces(struct text *text)
{
    while (text->n > 0 && is_space(text->data[0]))
        *text = (struct text){text->data + 1, text->n - 1};
}

/* All up to one of the spaces or `ends`, at least a byte. */
static bool take_name(struct text *from, char end, struct text *ret)
{
    size_t n = 0;

    while (n < from->n && !is_space(from->data[n]) && from->data[n] != end &&
           !strchr("<>'\"&", from->data[n]))
        n++;
    if (n == 0)
        return false;
    *ret = (struct text){from->data, n};
    *from = (struct text){from->data + n, from->n - n};
    return true;
}

/* `= 'value'` */
static bool take_value(struct text *from, struct text *ret)
{
    const char *end;

    skip_spaces(from);
    if (from->n == 0 || from->data[0] != '=')
        return false;
    *from = (struct text){from->data + 1, from->n - 1};
    skip_spaces(from);
    if (from->n == 0 || (from->data[0] != '\'' && from->data[0] != '"'))
        return false;
    end = memchr(from->data + 1, from->data[0], from->n - 1);
    if (!end)
        return false;
    *ret = (struct text){from->data + 1, (size_t)(end - from->data - 1)};
    *from = (struct text){end + 1, from->n - ret->n - 2};
    return !memchr(ret->data, '<', ret->n);
}

static bool read_attributes(struct text from, struct tag *tag)
{
    struct text name, value;

    for (;;) {
        size_t n = from.n;

        skip_spaces(&from);
        if (from.n == 0)
            return true;
        if (from.n == n) /* nothing between it and what was before */
            return false;
        if (!take_name(&from, '=', &name) || !take_value(&from, &value))
            return false;
        if (is_text(name, "xmlns"))
            tag->xmlns = value;
        else if (is_text(name, "version"))
            tag->version = value;
    }
}

static void drop_prefix(struct text *name)
{
    const char *colon = memchr(name->data, ':', name->n);

    if (colon)
        *name = (struct text){colon + 1, name->n - (size_t)(colon + 1 - name->data)};
}

/* From its '<' to its '>'. */
static bool read_tag(struct text text, struct tag *ret)
{
    struct text in = {text.data + 1, text.n - 2};
    struct tag tag = {.kind = TAG_OPEN};

    if (in.n > 0 && in.data[0] == '/') {
        tag.kind = TAG_CLOSE;
        in = (struct text){in.data + 1, in.n - 1};
    } else if (in.n > 1 && in.data[0] == '?' && in.data[in.n - 1] == '?') {
        tag.kind = TAG_DECLARATION;
        in = (struct text){in.data + 1, in.n - 2};
    } else if (in.n > 0 && in.data[in.n - 1] == '/') {
        tag.kind = TAG_EMPTY;
        in.n--;
    }
    if (!take_name(&in, '/', &tag.name) || strchr("!?", tag.name.data[0]))
        return false;
    if (tag.kind == TAG_DECLARATION && !is_text(tag.name, "xml"))
        return false;
    drop_prefix(&tag.name);
    if (!read_attributes(in, &tag) ||
        (tag.kind == TAG_CLOSE && (tag.xmlns.data || tag.version.data)))
        return false;
    *ret = tag;
    return true;
}

/* ---- what it means ---- */

static void want_piece(struct starttls *s)
{
    dialog_want_until(&s->dialog, '>', MESSAGE_RESPONSE_MAX - s->n_told);
}

static void fail_unknown(struct starttls *s)
{
    dialog_fail(&s->dialog, ERROR_STARTTLS_PROTOCOL, "it says '%.*s', which is no answer here",
                (int)(s->n_told - s->xmpp.piece_at), s->told + s->xmpp.piece_at);
}

static void fail_refused(struct starttls *s)
{
    dialog_fail(&s->dialog, ERROR_STARTTLS_REFUSED, "it says '%.*s'",
                (int)(s->n_told - s->xmpp.refusal_at), s->told + s->xmpp.refusal_at);
}

static bool is_tls(const struct tag *tag, const char *name)
{
    return is_text(tag->name, name) && tag->xmlns.data && is_text(tag->xmlns, TLS_NAMESPACE);
}

/* The stream's own header, perhaps behind an XML declaration. */
static void judge_header(struct starttls *s, const struct tag *tag)
{
    if (tag->kind == TAG_DECLARATION && s->n_pieces == 1)
        return;
    if (tag->kind != TAG_OPEN || !is_text(tag->name, "stream")) {
        fail_unknown(s);
        return;
    }
    /* RFC 6120, 4.7.5: without a version it is 0.9, and there will be no features. */
    if (!tag->version.data || tag->version.n < 3 || memcmp(tag->version.data, "1.", 2) != 0) {
        dialog_fail(&s->dialog, ERROR_STARTTLS_REFUSED, "it does not speak XMPP 1.0");
        return;
    }
    s->xmpp.step = XMPP_FEATURES;
    s->xmpp.depth = 1;
}

/* An element right below the stream has started, or has ended at once. */
static void judge_start(struct starttls *s, const struct tag *tag, size_t at)
{
    bool is_error =
        is_text(tag->name, "error") || (s->xmpp.step == XMPP_PROCEED && is_tls(tag, "failure"));

    if (is_error) {
        s->xmpp.is_refusing = true;
        s->xmpp.refusal_at = at;
    } else if (s->xmpp.step == XMPP_FEATURES ? !is_text(tag->name, "features")
                                             : !is_tls(tag, "proceed")) {
        fail_unknown(s);
    }
}

/* It has ended. */
static void judge_end(struct starttls *s)
{
    if (s->xmpp.is_refusing) {
        fail_refused(s);
    } else if (s->xmpp.step == XMPP_PROCEED) {
        starttls_agree(s, s->xmpp.n_features);
    } else if (!s->is_offered) {
        dialog_fail(&s->dialog, ERROR_STARTTLS_REFUSED, "it does not offer it");
    } else {
        s->xmpp.n_features = s->n_told;
        s->xmpp.step = XMPP_PROCEED;
        dialog_want_send(&s->dialog, starttls_element, sizeof starttls_element - 1);
    }
}

static void judge_tag(struct starttls *s, const struct tag *tag, size_t at)
{
    bool is_start = tag->kind == TAG_OPEN || tag->kind == TAG_EMPTY;

    if (s->xmpp.depth == 0) {
        judge_header(s, tag);
        return;
    }
    if (tag->kind == TAG_DECLARATION) {
        fail_unknown(s);
        return;
    }
    if (is_start && s->xmpp.depth == 1)
        judge_start(s, tag, at);
    if (is_start && s->xmpp.depth == 2 && s->xmpp.step == XMPP_FEATURES && is_tls(tag, "starttls"))
        s->is_offered = true;
    if (tag->kind == TAG_OPEN)
        s->xmpp.depth++;
    else if (tag->kind == TAG_CLOSE)
        s->xmpp.depth--;
    if (s->dialog.want == DIALOG_FAILED)
        return;
    if (s->xmpp.depth == 0)
        dialog_fail(&s->dialog, ERROR_STARTTLS_REFUSED, "it ends the stream");
    else if (s->xmpp.depth == 1)
        judge_end(s);
}

/* ---- pieces ---- */

/* Whether the tag is at its end, and not within a value. */
static bool is_complete(struct text tag)
{
    char quote = '\0';

    for (size_t i = 0; i < tag.n; i++) {
        if (quote != '\0')
            quote = tag.data[i] == quote ? '\0' : quote;
        else if (tag.data[i] == '\'' || tag.data[i] == '"')
            quote = tag.data[i];
    }
    return quote == '\0';
}

static bool is_blank(struct text text)
{
    skip_spaces(&text);
    return text.n == 0;
}

static bool is_text_of_xml(struct text text)
{
    for (size_t i = 0; i < text.n; i++) {
        if ((unsigned char)text.data[i] < ' ' && !is_space(text.data[i]))
            return false;
    }
    return true;
}

static void judge_piece(struct starttls *s)
{
    struct text piece = {s->told + s->xmpp.piece_at, s->n_told - s->xmpp.piece_at};
    const char *start = memchr(piece.data, '<', piece.n);
    struct text before = {piece.data, start ? (size_t)(start - piece.data) : piece.n};
    struct text text = {start, piece.n - before.n};
    struct tag tag;

    if (!is_text_of_xml(piece) || (s->xmpp.depth < 2 && !is_blank(before))) {
        fail_unknown(s);
        return;
    }
    if (start && !is_complete(text))
        return;
    if (start && !read_tag(text, &tag)) {
        fail_unknown(s);
        return;
    }
    if (start)
        judge_tag(s, &tag, (size_t)(start - s->told));
    s->xmpp.piece_at = s->n_told;
}

static void xmpp_received(struct dialog *d, const uint8_t *data, size_t n)
{
    struct starttls *s = starttls_of(d);

    if (!starttls_hear(s, n) || !starttls_tell(s, data, n))
        return;
    judge_piece(s);
    if (d->want != DIALOG_RECV_UNTIL)
        return;
    if (s->n_told == MESSAGE_RESPONSE_MAX)
        dialog_fail(d, ERROR_STARTTLS_PROTOCOL, "it says too much before TLS");
    else
        want_piece(s);
}

static void xmpp_sent(struct dialog *d)
{
    want_piece(starttls_of(d));
}

static const struct dialog_type xmpp_type = STARTTLS_TYPE("xmpp", xmpp_sent, xmpp_received);

void starttls_init_xmpp(struct starttls *s, const char *their_name)
{
    int n = snprintf(s->out, sizeof s->out,
                     "<?xml version='1.0'?><stream:stream to='%s' version='1.0' "
                     "xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>",
                     their_name);

    dialog_init(&s->dialog, &xmpp_type);
    s->xmpp.step = XMPP_STREAM;
    dialog_want_send(&s->dialog, s->out, (size_t)n);
}
