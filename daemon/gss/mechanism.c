/* The only file that knows GSSAPI.
 *
 * Credentials are made for each context, from what the question names. Tickets that a keytab has
 * got are kept in memory, in a cache for each lane: one that is shared is empty for a moment while
 * another thread renews it. Negotiate is restricted to Kerberos: SPNEGO would else take whatever
 * mechanisms are installed, and NTLM is a scheme of its own that has to be named. */
#include <errno.h>
#include <gssapi/gssapi.h>
#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/gss/internal.h"
#include "proto/cleanup.h"

/* In a challenge of NTLM's: where the length of the name of its target is, and the flags that say
 * of what kind that is. */
#define NTLM_NAME  12
#define NTLM_FLAGS 22
#define NTLM_KINDS 0x07

#define CACHE_NAME_MAX (2 * QUESTION_TEXT_MAX + 64)

static char spnego[] = "\x2b\x06\x01\x05\x05\x02";
static char krb5[] = "\x2a\x86\x48\x86\xf7\x12\x01\x02\x02";
static char ntlm[] = "\x2b\x06\x01\x04\x01\x82\x37\x02\x02\x0a";
static gss_OID_desc oid_spnego = {sizeof spnego - 1, spnego};
static gss_OID_desc oid_krb5 = {sizeof krb5 - 1, krb5};
static gss_OID_desc oid_ntlm = {sizeof ntlm - 1, ntlm};

struct gss_state {
    enum gss_mechanism mechanism;
    gss_OID oid;
    gss_name_t service;
    gss_cred_id_t credential;
    gss_ctx_id_t context;
};

static gss_OID oid_of(enum gss_mechanism mechanism)
{
    switch (mechanism) {
    case GSS_NEGOTIATE:
        return &oid_spnego;
    case GSS_KERBEROS:
        return &oid_krb5;
    case GSS_NTLM:
        return &oid_ntlm;
    }
    return GSS_C_NO_OID;
}

/* ---- reasons ---- */

static bool add_status(char why[QUESTION_WHY_MAX], OM_uint32 status, int type, gss_OID oid)
{
    gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
    OM_uint32 more = 0, minor;

    if (GSS_ERROR(gss_display_status(&minor, status, type, oid, &more, &text)))
        return false;
    snprintf(why, QUESTION_WHY_MAX, "%.*s", (int)text.length, (const char *)text.value);
    gss_release_buffer(&minor, &text);
    return why[0] != '\0';
}

/* The mechanism's own words say more. */
static int fail(char why[QUESTION_WHY_MAX], OM_uint32 major, OM_uint32 minor, gss_OID oid)
{
    if (GSS_ROUTINE_ERROR(major) == GSS_S_BAD_MECH && oid == &oid_ntlm)
        snprintf(why, QUESTION_WHY_MAX, "GSSAPI has no mechanism for NTLM (package gss-ntlmssp)");
    else if ((minor == 0 || !add_status(why, minor, GSS_C_MECH_CODE, oid)) &&
             !add_status(why, major, GSS_C_GSS_CODE, GSS_C_NO_OID))
        snprintf(why, QUESTION_WHY_MAX, "GSSAPI failed with %#x, %u", major, minor);
    return -ENOENT;
}

static int say(char why[QUESTION_WHY_MAX], const char *text)
{
    snprintf(why, QUESTION_WHY_MAX, "%s", text);
    return -ENOENT;
}

/* ---- names and credentials ---- */

static gss_buffer_desc buffer_of(struct text text)
{
    return (gss_buffer_desc){text.n, (void *)(uintptr_t)text.data};
}

static int import_name(struct text text, gss_OID type, gss_name_t *ret, char *why)
{
    gss_buffer_desc buffer = buffer_of(text);
    OM_uint32 minor, major = gss_import_name(&minor, &buffer, type, ret);

    return GSS_ERROR(major) ? fail(why, major, minor, GSS_C_NO_OID) : 0;
}

static OM_uint32 acquire(gss_OID oid, gss_name_t name, gss_const_key_value_set_t store,
                         gss_cred_id_t *ret, OM_uint32 *ret_minor)
{
    gss_OID_set_desc mechanisms = {1, oid};

    return gss_acquire_cred_from(ret_minor, name, GSS_C_INDEFINITE, &mechanisms, GSS_C_INITIATE,
                                 store, ret, NULL, NULL);
}

/* For the mechanism itself first, as its words are clearer than SPNEGO's. */
static int acquire_kerberos(struct gss_state *s, gss_name_t name, gss_const_key_value_set_t store,
                            char *why)
{
    gss_OID_set_desc kerberos = {1, &oid_krb5};
    OM_uint32 minor, major = acquire(&oid_krb5, name, store, &s->credential, &minor);

    if (GSS_ERROR(major))
        return fail(why, major, minor, &oid_krb5);
    if (s->mechanism == GSS_KERBEROS)
        return 0;
    gss_release_cred(&minor, &s->credential);
    major = acquire(&oid_spnego, name, store, &s->credential, &minor);
    if (!GSS_ERROR(major))
        major = gss_set_neg_mechs(&minor, s->credential, &kerberos);
    return GSS_ERROR(major) ? fail(why, major, minor, &oid_spnego) : 0;
}

/* libkrb5 would say that it has no cache, and not why. Other types than files are its own. */
static int check_file(const char *what, const char *name, char *why)
{
    const char *path = strncmp(name, "FILE:", 5) == 0 ? name + 5 : name;

    if (path[0] != '/' || access(path, R_OK) == 0)
        return 0;
    snprintf(why, QUESTION_WHY_MAX, "%s %s: %s", what, path, strerror(errno));
    return -ENOENT;
}

/* libkrb5 says what it did not find, and not where. */
static void name_source(char *why, const char *path, const char *principal)
{
    char text[QUESTION_WHY_MAX];
    int n;

    snprintf(text, sizeof text, "%s", why);
    n = snprintf(why, QUESTION_WHY_MAX, "%.75s%s%.40s: ", path, *principal ? ", " : "", principal);
    snprintf(why + n, QUESTION_WHY_MAX - (size_t)n, "%.*s", QUESTION_WHY_MAX - 1 - n, text);
}

static int take_kerberos(struct gss_state *s, const struct text *texts, unsigned lane, char *why)
{
    const char *keytab = texts[GSS_TEXT_KEYTAB].data, *ccache = texts[GSS_TEXT_CCACHE].data;
    const char *principal = texts[GSS_TEXT_PRINCIPAL].data;
    gss_key_value_element_desc elements[2];
    gss_key_value_set_desc store = {0, elements};
    gss_name_t name = GSS_C_NO_NAME;
    char cache_name[CACHE_NAME_MAX];
    OM_uint32 minor;
    int r = 0;

    if ((*keytab && check_file("keytab", keytab, why) < 0) ||
        (*ccache && check_file("credential cache", ccache, why) < 0))
        return -ENOENT;
    if (*principal)
        r = import_name(texts[GSS_TEXT_PRINCIPAL], GSS_C_NT_USER_NAME, &name, why);
    if (r < 0)
        return r;
    if (*keytab) {
        snprintf(cache_name, sizeof cache_name, "MEMORY:fdiald-%u-%s#%s", lane, keytab, principal);
        elements[store.count++] = (gss_key_value_element_desc){"client_keytab", keytab};
        elements[store.count++] = (gss_key_value_element_desc){"ccache", cache_name};
    } else if (*ccache) {
        elements[store.count++] = (gss_key_value_element_desc){"ccache", ccache};
    }
    r = acquire_kerberos(s, name, store.count > 0 ? &store : GSS_C_NO_CRED_STORE, why);
    if (r < 0 && store.count > 0)
        name_source(why, *keytab ? keytab : ccache, principal);
    gss_release_name(&minor, &name);
    return r;
}

static int take_password(struct gss_state *s, const struct text *texts, char *why)
{
    gss_buffer_desc password = buffer_of(texts[GSS_TEXT_PASSWORD]);
    gss_OID_set_desc mechanisms = {1, s->oid};
    OM_uint32 minor, major;
    gss_name_t name;
    int r;

    r = import_name(texts[GSS_TEXT_USER], GSS_C_NT_USER_NAME, &name, why);
    if (r < 0)
        return r;
    major = gss_acquire_cred_with_password(&minor, name, &password, GSS_C_INDEFINITE, &mechanisms,
                                           GSS_C_INITIATE, &s->credential, NULL, NULL);
    if (GSS_ERROR(major))
        r = fail(why, major, minor, s->oid);
    gss_release_name(&minor, &name);
    return r;
}

static int start(struct gss_state *s, const struct gss_message *ask, unsigned lane, char *why)
{
    int r;

    s->mechanism = ask->mechanism;
    s->oid = oid_of(ask->mechanism);
    if (s->oid == GSS_C_NO_OID || ask->texts[GSS_TEXT_SERVICE].n == 0)
        return say(why, "there is no name of a service to ask for");
    r = import_name(ask->texts[GSS_TEXT_SERVICE], GSS_C_NT_HOSTBASED_SERVICE, &s->service, why);
    if (r < 0)
        return r;
    if (s->mechanism == GSS_NTLM)
        return take_password(s, ask->texts, why);
    return take_kerberos(s, ask->texts, lane, why);
}

/* ---- tokens ---- */

static int reply(gss_buffer_t buffer, bool is_complete, struct gss_reply *ret)
{
    OM_uint32 minor;
    char *token = NULL;
    size_t n = buffer->length;
    int r = 0;

    if (n > QUESTION_TOKEN_MAX)
        r = say(ret->why, "the token is longer than 48 KiB: the ticket has too many groups in it");
    else if (n > 0 && !(token = malloc(n)))
        r = say(ret->why, "no memory");
    if (token) {
        memcpy(token, buffer->value, n);
        ret->token = token;
        ret->n = n;
    }
    ret->is_complete = is_complete;
    if (n > 0)
        explicit_bzero(buffer->value, n);
    gss_release_buffer(&minor, buffer);
    return r;
}

/* A challenge (MS-NLMP, 2.2.1.2) that says what kind of target it names, and the name is empty:
 * gss-ntlmssp 1.2.0 writes to address 0 then. */
static bool is_nameless(struct text token)
{
    static const char start[] = "NTLMSSP\0\2\0\0"; /* and a zero: the type has four bytes */

    return token.n > NTLM_FLAGS && memcmp(token.data, start, sizeof start) == 0 &&
           token.data[NTLM_NAME] == 0 && token.data[NTLM_NAME + 1] == 0 &&
           token.data[NTLM_FLAGS] & NTLM_KINDS;
}

/* NTLM proves the server by nothing that would be of use here. */
static int step(struct gss_state *s, struct text token, struct gss_reply *ret)
{
    OM_uint32 flags = s->mechanism == GSS_NTLM ? 0 : GSS_C_MUTUAL_FLAG | GSS_C_REPLAY_FLAG;
    gss_buffer_desc in = buffer_of(token), out = GSS_C_EMPTY_BUFFER;
    OM_uint32 minor, other, major;

    if (s->mechanism == GSS_NTLM && is_nameless(token))
        return say(ret->why, "the challenge names no target");
    major = gss_init_sec_context(&minor, s->credential, &s->context, s->service, s->oid, flags,
                                 GSS_C_INDEFINITE, GSS_C_NO_CHANNEL_BINDINGS, &in, NULL, &out, NULL,
                                 NULL);
    if (!GSS_ERROR(major))
        return reply(&out, major == GSS_S_COMPLETE, ret);
    fail(ret->why, major, minor, s->oid);
    gss_release_buffer(&other, &out);
    return -ENOENT;
}

static int wrap(struct gss_state *s, struct text token, struct gss_reply *ret)
{
    gss_buffer_desc in = buffer_of(token), out = GSS_C_EMPTY_BUFFER;
    OM_uint32 minor, major;

    major = gss_wrap(&minor, s->context, false, GSS_C_QOP_DEFAULT, &in, NULL, &out);
    return GSS_ERROR(major) ? fail(ret->why, major, minor, s->oid) : reply(&out, true, ret);
}

static int unwrap(struct gss_state *s, struct text token, struct gss_reply *ret)
{
    gss_buffer_desc in = buffer_of(token), out = GSS_C_EMPTY_BUFFER;
    OM_uint32 minor, major;

    major = gss_unwrap(&minor, s->context, &in, &out, NULL, NULL);
    return GSS_ERROR(major) ? fail(ret->why, major, minor, s->oid) : reply(&out, true, ret);
}

static int answer_first(struct gss_state **state, const struct gss_message *ask, unsigned lane,
                        struct gss_reply *ret)
{
    struct gss_state *s = *state ? *state : calloc(1, sizeof *s);
    int r;

    if (!s || *state)
        return say(ret->why, s ? "the context has begun already" : "no memory");
    *state = s;
    r = start(s, ask, lane, ret->why);
    return r < 0 ? r : step(s, (struct text){0}, ret);
}

int gss_state_answer(struct gss_state **state, const struct gss_message *ask, unsigned lane,
                     struct gss_reply *ret)
{
    struct text token = ask->texts[GSS_TEXT_TOKEN];

    if (ask->kind == QUESTION_FIRST)
        return answer_first(state, ask, lane, ret);
    if (!*state || (*state)->context == GSS_C_NO_CONTEXT)
        return say(ret->why, "the context was lost, as GSSAPI had to be started again");
    switch ((enum gss_question_kind)ask->kind) {
    case QUESTION_FIRST:
        break;
    case QUESTION_NEXT:
        return step(*state, token, ret);
    case QUESTION_WRAP:
        return wrap(*state, token, ret);
    case QUESTION_UNWRAP:
        return unwrap(*state, token, ret);
    }
    return say(ret->why, "an unknown kind of question");
}

struct gss_state *gss_state_free(struct gss_state *s)
{
    OM_uint32 minor;

    if (!s)
        return NULL;
    gss_delete_sec_context(&minor, &s->context, GSS_C_NO_BUFFER);
    gss_release_cred(&minor, &s->credential);
    gss_release_name(&minor, &s->service);
    free(s);
    return NULL;
}
