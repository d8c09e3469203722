/* One context at a time, for the scheme `last` or, while there is a question, `asking`. What the
 * proxy said is kept as long as it may be asked about; what we said, until the end: a refusal must
 * not repeat it. */
#include "daemon/dialog/auth/rounds.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/base/base64.h"

static const char *name_of(enum auth_scheme scheme)
{
    return scheme == AUTH_NTLM ? "NTLM" : "Negotiate";
}

bool rounds_is_of(enum auth_scheme scheme)
{
    return scheme == AUTH_NEGOTIATE || scheme == AUTH_NTLM;
}

static bool hear(struct auth *auth, struct text token68)
{
    size_t n;

    free(auth->heard);
    auth->heard = malloc(token68.n / 4 * 3 + 1);
    if (!auth->heard || base64_decode(auth->heard, token68.data, token68.n, &n) < 0 ||
        n > QUESTION_TOKEN_MAX)
        return false;
    auth->question.token = (struct text){auth->heard, n};
    return true;
}

bool rounds_ask(struct auth *auth, enum auth_scheme scheme, const struct challenge *challenge)
{
    bool is_next =
        auth->is_going_on && auth->asking == scheme && challenge && challenge->token68.data != NULL;

    auth->question = (struct gss_question){
        .kind = is_next ? QUESTION_NEXT : QUESTION_FIRST,
        .mechanism = scheme == AUTH_NTLM ? GSS_NTLM : GSS_NEGOTIATE,
        .settings = &auth->settings->gss,
    };
    auth->asking = scheme;
    auth->n_rounds = is_next ? auth->n_rounds + 1 : 1;
    return auth->n_rounds <= AUTH_ROUNDS_MAX && (!is_next || hear(auth, challenge->token68));
}

bool rounds_is_going_on(const struct auth *auth, const struct challenge *challenge)
{
    return auth->is_going_on && challenge->token68.data;
}

static void forget_said(struct auth *auth)
{
    if (auth->said)
        explicit_bzero(auth->said, strlen(auth->said));
    free(auth->said);
    auth->said = NULL;
}

bool rounds_say(struct auth *auth, const struct gss_answer *answer, struct builder *out)
{
    forget_said(auth);
    auth->is_going_on = !answer->is_complete;
    if (answer->token.n == 0 || answer->token.n > QUESTION_TOKEN_MAX)
        return false;
    auth->said = malloc(BASE64_LENGTH(answer->token.n) + 1);
    if (!auth->said)
        return false;
    base64_encode(auth->said, answer->token.data, answer->token.n);
    builder_add_string(out, name_of(auth->asking));
    builder_add_string(out, " ");
    builder_add_string(out, auth->said);
    return true;
}

void rounds_deinit(struct auth *auth)
{
    forget_said(auth);
    free(auth->heard);
    auth->heard = NULL;
}
