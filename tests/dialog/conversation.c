/* The peer of a dialog is a stream of bytes, of which it may take what it asks for. In a strict run
 * the peer says its next words only when it has heard what it waits for, and compares that to the
 * letter; in a loose one (bytes changed, fuzzing) it does not listen. */
#include "tests/dialog/conversation.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "proto/cleanup.h"

#define MEASURED_MAX 256

struct peer_words {
    const uint8_t *data;
    size_t n; /* where the connection ends */
    size_t next;
    const size_t *ends; /* of the connections after, counted from the start of the data; 0: the last
                         * one. NULL: all that there is goes on after a reconnect. */
    const struct turn *turn; /* where the answers are looked for; NULL: they are made up */
};

static void reconnect(struct dialog *d, struct peer_words *words)
{
    if (words->ends) {
        words->next = words->n;
        if (*words->ends)
            words->n = *words->ends++;
    }
    dialog_reconnected(d);
}

/* However much of it was measured before. */
static bool is_measured_alike(const struct dialog *d, const uint8_t *data, size_t n_there, size_t n)
{
    for (size_t i = 1; i < n && i < MEASURED_MAX; i++)
        if (dialog_measure(d, data, n_there, i) != n)
            return false;
    return true;
}

static void feed(struct dialog *d, struct peer_words *words)
{
    size_t n_there = words->n - words->next;
    size_t n = dialog_measure(d, words->data + words->next, n_there, 0);
    uint8_t *copy;

    if (!is_measured_alike(d, words->data + words->next, n_there, n))
        abort(); /* of fuzzers, too, which know no ck_assert() */
    if (n == 0) {
        dialog_broken(d, n_there < d->n ? DIALOG_CLOSED : DIALOG_TOO_LONG);
        return;
    }
    /* Of the exact size, so that a read behind the end is seen by the sanitizers. */
    copy = malloc(n);
    if (!copy)
        abort();
    memcpy(copy, words->data + words->next, n);
    words->next += n;
    dialog_received(d, copy, n);
    free(copy);
}

static bool wants_bytes(const struct dialog *d)
{
    return d->want == DIALOG_RECV_EXACT || d->want == DIALOG_RECV_LINE ||
           d->want == DIALOG_RECV_UNTIL || d->want == DIALOG_RECV_HEAD;
}

static void check_silence(struct dialog *d, const struct peer_words *words)
{
    if (d->want == DIALOG_DONE && d->type->is_last_word_ours && words->next < words->n)
        dialog_broken(d, DIALOG_INJECTED);
}

static bool has_ended(const struct dialog *d)
{
    return d->want == DIALOG_DONE || d->want == DIALOG_FAILED;
}

/* ---- questions ---- */

static void tell(struct dialog *d, const struct turn *turn)
{
    struct gss_answer answer = {.is_complete = turn->is_complete};
    char *copy = malloc(turn->n + 1);

    if (!copy)
        abort();
    memcpy(copy, turn->data, turn->n);
    copy[turn->n] = '\0';
    answer.token = (struct text){copy, turn->n};
    if (turn->kind == TURN_NOT_TOLD)
        dialog_unanswered(d, copy);
    else
        dialog_answered(d, &answer);
    free(copy);
}

static bool is_told(const struct turn *turn)
{
    return turn->kind == TURN_TOLD || turn->kind == TURN_NOT_TOLD;
}

/* Reads all of the question, so that the sanitizers see whether it is there. */
static unsigned add_up(const struct gss_question *q)
{
    unsigned sum = q->kind + q->mechanism + (q->settings->service ? 1 : 0);

    for (size_t i = 0; i < q->token.n; i++)
        sum += (uint8_t)q->token.data[i];
    return sum;
}

/* The answers of a conversation, one after the other, and when there are no more, none; without a
 * conversation, any. */
static void answer_loosely(struct dialog *d, struct peer_words *words)
{
    static const struct turn made_up[] = {TOLD("first"), TOLD_ALL("last"), TOLD_ALL(""),
                                          NOT_TOLD("nobody knows")};
    unsigned sum = add_up(d->question);

    if (!words->turn) {
        tell(d, &made_up[sum % ARRAY_SIZE(made_up)]);
        return;
    }
    while (words->turn->kind != TURN_END && !is_told(words->turn))
        words->turn++;
    if (words->turn->kind == TURN_END)
        dialog_unanswered(d, "there are no more answers");
    else
        tell(d, words->turn++);
}

/* ---- loose ---- */

/* Returns whether it has ended. */
static bool play_loosely(struct dialog *d, struct peer_words *words)
{
    for (unsigned i = 0; i < CONVERSATION_STEPS_MAX && !has_ended(d); i++) {
        if (wants_bytes(d))
            feed(d, words);
        else if (d->want == DIALOG_SEND)
            dialog_sent(d);
        else if (d->want == DIALOG_ASK)
            answer_loosely(d, words);
        else
            reconnect(d, words);
    }
    check_silence(d, words);
    return has_ended(d);
}

void conversation_fuzz(struct dialog *d, const uint8_t *data, size_t n)
{
    struct peer_words words = {data, n, 0, NULL, NULL};

    if (!play_loosely(d, &words))
        abort();
    if (d->want == DIALOG_FAILED && d->failure.code == ERROR_NONE)
        abort();
}

/* ---- strict ---- */

/* The peer's words from this turn on, until it waits for ours. */
static size_t gather(const struct turn *turn, uint8_t **ret, const struct turn **ret_next)
{
    uint8_t *data = NULL;
    size_t n = 0;

    for (; turn->kind == TURN_HEARS; turn++) {
        data = realloc(data, n + turn->n + 1);
        if (!data)
            abort();
        memcpy(data + n, turn->data, turn->n);
        n += turn->n;
    }
    *ret = data;
    *ret_next = turn;
    return n;
}

/* A failed dialog may have a response that the table does not care for. */
static void check_response(const struct conversation *c, const struct dialog *d)
{
    if (!c->response && d->want == DIALOG_FAILED)
        return;
    ck_assert_msg(!!c->response == !!d->response.data, "%s: the response", c->name);
    if (c->response) {
        size_t n = c->n_response ? c->n_response : strlen(c->response);

        ck_assert_msg(d->response.n == n && memcmp(d->response.data, c->response, n) == 0,
                      "%s: the response is '%.*s'", c->name, (int)d->response.n, d->response.data);
    }
}

static void check_end(const struct conversation *c, const struct dialog *d)
{
    bool is_done = d->want == DIALOG_DONE;

    ck_assert_msg(has_ended(d), "%s: it wants %d after the last turn", c->name, d->want);
    ck_assert_msg(is_done == (c->code == ERROR_NONE), "%s: %s: %s", c->name,
                  is_done ? "done" : error_name(d->failure.code), d->failure.detail);
    check_response(c, d);
    if (is_done)
        return;
    ck_assert_msg(d->failure.code == c->code, "%s: %s instead of %s: %s", c->name,
                  error_name(d->failure.code), error_name(c->code), d->failure.detail);
    ck_assert_int_eq(d->failure.stage, d->type->stage);
    if (c->detail)
        ck_assert_msg(strstr(d->failure.detail, c->detail) != NULL, "%s: '%s' is not in '%s'",
                      c->name, c->detail, d->failure.detail);
}

static void check_rest(const struct conversation *c, const struct peer_words *words)
{
    const char *rest = c->rest ? c->rest : "";

    ck_assert_msg(words->n - words->next == strlen(rest), "%s: %zu bytes are left instead of %zu",
                  c->name, words->n - words->next, strlen(rest));
    if (*rest)
        ck_assert_mem_eq(words->data + words->next, rest, strlen(rest));
}

static const struct turn *answer_question(const struct conversation *c, struct dialog *d,
                                          const struct turn *turn)
{
    static const char kinds[] = {[QUESTION_FIRST] = '1',
                                 [QUESTION_NEXT] = '+',
                                 [QUESTION_WRAP] = 'w',
                                 [QUESTION_UNWRAP] = 'u'};
    static const char mechanisms[] = {
        [GSS_NEGOTIATE] = 'n', [GSS_KERBEROS] = 'k', [GSS_NTLM] = 'N'};
    const struct gss_question *q = d->question;

    ck_assert_msg(turn->kind == TURN_ASKS, "%s: it asks '%c%.*s', turn %td", c->name,
                  kinds[q->kind], (int)q->token.n, q->token.data, turn - c->turns);
    ck_assert_msg(mechanisms[q->mechanism] == turn->mechanism && kinds[q->kind] == turn->data[0] &&
                      q->token.n == turn->n - 1 &&
                      (turn->n == 1 || memcmp(q->token.data, turn->data + 1, turn->n - 1) == 0),
                  "%s: it asks %c '%c%.*s' instead of '%s', turn %td", c->name,
                  mechanisms[q->mechanism], kinds[q->kind], (int)q->token.n, q->token.data,
                  turn->data, turn - c->turns);
    ck_assert(is_told(turn + 1));
    tell(d, turn + 1);
    return turn + 2;
}

static const struct turn *answer(const struct conversation *c, struct dialog *d,
                                 const struct turn *turn, struct peer_words *words)
{
    if (d->want == DIALOG_ASK)
        return answer_question(c, d, turn);
    if (d->want == DIALOG_SEND) {
        ck_assert_msg(turn->kind == TURN_SAYS, "%s: it sends '%.*s', turn %td", c->name,
                      (int)d->n_out, (const char *)d->out, turn - c->turns);
        ck_assert_msg(d->n_out == turn->n && memcmp(d->out, turn->data, turn->n) == 0,
                      "%s: it sends '%.*s' instead of '%s', turn %td", c->name, (int)d->n_out,
                      (const char *)d->out, turn->data, turn - c->turns);
        dialog_sent(d);
    } else {
        ck_assert_msg(turn->kind == TURN_AGAIN, "%s: it reconnects, turn %td", c->name,
                      turn - c->turns);
        words->next = words->n;
        reconnect(d, words);
    }
    return turn + 1;
}

static void play_strictly(const struct conversation_kind *kind, const struct conversation *c)
{
    struct dialog *d = kind->make(c->setup);
    struct peer_words words = {.data = (const uint8_t *)""};
    const struct turn *turn = c->turns;
    uint8_t *data = NULL;

    for (unsigned i = 0; i < CONVERSATION_STEPS_MAX && !has_ended(d); i++) {
        if (wants_bytes(d) && words.next == words.n && turn->kind == TURN_HEARS) {
            free(data);
            words = (struct peer_words){.n = gather(turn, &data, &turn)};
            words.data = data;
        }
        if (wants_bytes(d))
            feed(d, &words);
        else
            turn = answer(c, d, turn, &words);
    }
    /* Words that it did not wait for. */
    if (turn->kind == TURN_HEARS && words.next == words.n) {
        free(data);
        words = (struct peer_words){.n = gather(turn, &data, &turn)};
        words.data = data;
    }
    check_silence(d, &words);
    check_end(c, d);
    ck_assert_msg(turn->kind == TURN_END, "%s: it has ended before turn %td", c->name,
                  turn - c->turns);
    if (c->code == ERROR_NONE)
        check_rest(c, &words);
    dialog_deinit(d);
    kind->free_(d);
    free(data);
}

/* ---- variations ---- */

static void check_secrets(const struct conversation_kind *kind, const struct conversation *c,
                          const struct dialog *d)
{
    for (const char *const *secret = kind->secrets; secret && *secret; secret++) {
        ck_assert_msg(!d->response.data ||
                          !memmem(d->response.data, d->response.n, *secret, strlen(*secret)),
                      "%s: '%s' is in the response", c->name, *secret);
        ck_assert_msg(!strstr(d->failure.detail, *secret), "%s: '%s' is told: %s", c->name, *secret,
                      d->failure.detail);
    }
}

struct script {
    uint8_t *data;
    size_t n;
    size_t ends[CONVERSATION_TURNS_MAX + 1]; /* of its connections; then 0 */
};

static void write_script(const struct conversation *c, struct script *ret)
{
    struct script script = {.data = malloc(1)};
    size_t n_ends = 0;

    for (const struct turn *turn = c->turns; turn->kind != TURN_END; turn++) {
        if (turn->kind == TURN_AGAIN)
            script.ends[n_ends++] = script.n;
        if (turn->kind != TURN_HEARS)
            continue;
        script.data = realloc(script.data, script.n + turn->n + 1);
        if (!script.data)
            abort();
        memcpy(script.data + script.n, turn->data, turn->n);
        script.n += turn->n;
    }
    script.ends[n_ends] = script.n;
    *ret = script;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Plays the first n bytes of what the peer says and returns whether the dialog was done, and how
 * much it took. */
static bool play_script(const struct conversation_kind *kind, const struct conversation *c,
                        const struct script *script, size_t n, size_t *ret_taken)
{
    size_t ends[CONVERSATION_TURNS_MAX + 1];
    struct peer_words words = {script->data, smaller(script->ends[0], n), 0, ends + 1, c->turns};
    struct dialog *d = kind->make(c->setup);
    bool is_done;

    for (size_t i = 0; i < CONVERSATION_TURNS_MAX + 1; i++)
        ends[i] = smaller(script->ends[i], n);
    ck_assert_msg(play_loosely(d, &words), "%s: it does not end", c->name);
    is_done = d->want == DIALOG_DONE;
    ck_assert(is_done || d->failure.code != ERROR_NONE);
    check_secrets(kind, c, d);
    *ret_taken = words.next;
    dialog_deinit(d);
    kind->free_(d);
    return is_done;
}

static void check_cuts(const struct conversation_kind *kind, const struct conversation *c,
                       const struct script *script)
{
    size_t whole, taken;
    bool is_done = play_script(kind, c, script, script->n, &whole);

    ck_assert_msg(is_done == (c->code == ERROR_NONE), "%s: played loosely it ends otherwise",
                  c->name);
    for (size_t cut = 0; cut < whole; cut++)
        ck_assert_msg(!play_script(kind, c, script, cut, &taken), "%s: done after %zu of %zu bytes",
                      c->name, cut, whole);
}

static void check_changes(const struct conversation_kind *kind, const struct conversation *c,
                          const struct script *script)
{
    static const uint8_t changes[] = {0x01, 0x02, 0x10, 0x20, 0x80, 0xff};
    uint8_t *data = script->data;
    size_t taken;

    for (size_t at = 0; at < script->n; at++) {
        uint8_t was = data[at];

        for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
            data[at] = was ^ changes[i];
            play_script(kind, c, script, script->n, &taken);
        }
        data[at] = 0;
        play_script(kind, c, script, script->n, &taken);
        data[at] = was;
    }
}

void conversation_check(const struct conversation_kind *kind, const struct conversation *c)
{
    struct script script;

    play_strictly(kind, c);
    write_script(c, &script);
    check_cuts(kind, c, &script);
    check_changes(kind, c, &script);
    free(script.data);
}
