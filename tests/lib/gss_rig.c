#include "tests/lib/gss_rig.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/clock.h"

void gss_rig_init(struct gss_rig *rig)
{
    const char *error;

    *rig = (struct gss_rig){0};
    ck_assert_int_eq(gss_keeper_new(&rig->keeper), 0);
    ck_assert_int_eq(ring_new(&rig->ring, &(struct ring_options){0}, &error), 0);
    ck_assert_int_eq(gss_link_new(&rig->link, rig->ring, rig->keeper), 0);
}

void gss_rig_deinit(struct gss_rig *rig)
{
    gss_link_stop(rig->link);
    while (!gss_link_has_stopped(rig->link))
        ck_assert_int_eq(ring_turn(rig->ring), 0);
    gss_link_free(rig->link);
    ring_free(rig->ring);
    gss_keeper_free(rig->keeper);
}

static void answered(struct gss_context *context, const struct gss_answer *answer, const char *why)
{
    struct gss_asker *asker = container_of(context, struct gss_asker, context);

    asker->n_answers++;
    asker->is_answered = answer != NULL;
    free(asker->token);
    asker->token = NULL;
    asker->n = 0;
    if (!answer) {
        snprintf(asker->why, sizeof asker->why, "%s", why);
        return;
    }
    asker->is_complete = answer->is_complete;
    asker->n = answer->token.n;
    asker->token = malloc(asker->n + 1);
    ck_assert_ptr_nonnull(asker->token);
    memcpy(asker->token, answer->token.data, asker->n);
}

void gss_asker_init(struct gss_asker *asker, struct gss_rig *rig)
{
    *asker = (struct gss_asker){0};
    gss_context_init(&asker->context, rig->link, answered);
}

void gss_asker_deinit(struct gss_asker *asker)
{
    gss_context_deinit(&asker->context);
    free(asker->token);
    asker->token = NULL;
}

int gss_asker_ask(struct gss_asker *asker, enum gss_question_kind kind,
                  enum gss_mechanism mechanism, const struct gss_settings *settings,
                  const void *token, size_t n)
{
    const struct gss_question question = {kind, mechanism, settings, {token, n}};

    return gss_context_ask(&asker->context, &question);
}

static void too_late(struct timer *timer)
{
    (void)timer;
    ck_abort_msg("no answer in %u s", GSS_RIG_WAIT_S);
}

void gss_asker_wait(struct gss_rig *rig, struct gss_asker *asker, unsigned n_answers)
{
    struct timer timer;

    timer_init(&timer, too_late);
    ring_timer_set(rig->ring, &timer, clock_now_us() + GSS_RIG_WAIT_S * UINT64_C(1000000));
    while (asker->n_answers < n_answers)
        ck_assert_int_eq(ring_turn(rig->ring), 0);
    ring_timer_clear(rig->ring, &timer);
}

void gss_asker_get(struct gss_rig *rig, struct gss_asker *asker, enum gss_question_kind kind,
                   enum gss_mechanism mechanism, const struct gss_settings *settings,
                   const void *token, size_t n)
{
    ck_assert_int_eq(gss_asker_ask(asker, kind, mechanism, settings, token, n), 0);
    gss_asker_wait(rig, asker, asker->n_answers + 1);
    ck_assert_msg(asker->is_answered, "%s", asker->why);
}

static char *name_of(gss_name_t name)
{
    gss_buffer_desc text;
    OM_uint32 minor;
    char *copy;

    ck_assert_uint_eq(gss_display_name(&minor, name, &text, NULL), GSS_S_COMPLETE);
    copy = strndup(text.value, text.length);
    gss_release_buffer(&minor, &text);
    gss_release_name(&minor, &name);
    return copy;
}

gss_ctx_id_t gss_rig_establish(struct gss_rig *rig, struct gss_asker *asker,
                               enum gss_mechanism mechanism, const struct gss_settings *settings,
                               char **ret_name)
{
    gss_ctx_id_t acceptor = GSS_C_NO_CONTEXT;
    OM_uint32 minor, major;

    gss_asker_get(rig, asker, QUESTION_FIRST, mechanism, settings, NULL, 0);
    for (int i = 0; i < 10; i++) {
        gss_buffer_desc in = {asker->n, asker->token}, out = GSS_C_EMPTY_BUFFER;
        gss_name_t name = GSS_C_NO_NAME;

        major =
            gss_accept_sec_context(&minor, &acceptor, GSS_C_NO_CREDENTIAL, &in,
                                   GSS_C_NO_CHANNEL_BINDINGS, &name, NULL, &out, NULL, NULL, NULL);
        ck_assert_msg(!GSS_ERROR(major), "the acceptor fails with %#x, %u", major, minor);
        if (out.length > 0)
            gss_asker_get(rig, asker, QUESTION_NEXT, mechanism, settings, out.value, out.length);
        gss_release_buffer(&minor, &out);
        if (major == GSS_S_COMPLETE) {
            ck_assert(asker->is_complete);
            *ret_name = name_of(name);
            return acceptor;
        }
        gss_release_name(&minor, &name);
    }
    ck_abort_msg("it does not end");
    return acceptor;
}

pid_t gss_rig_child(pid_t parent)
{
    char path[64];
    pid_t child = 0;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)parent, (int)parent);
    file = fopen(path, "re");
    if (!file)
        return 0;
    if (fscanf(file, "%d", &child) != 1)
        child = 0;
    fclose(file);
    return child;
}
