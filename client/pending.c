/* A hash table with linear probing. Ids are the caller's own, so no keyed hash is needed; they are
 * multiplied only so that consecutive or aligned ones spread. Deletion moves the following entries
 * back instead of leaving marks, so that a long-lived session does not slow down. */
#include "client/pending.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define SLOTS_MIN 16

static size_t slot_of(const struct pending *p, uint64_t id)
{
    return (size_t)((id * 0x9e3779b97f4a7c15ULL) >> 32) & (p->n_slots - 1);
}

/* The slot of the id, or the free one where it would go. */
static size_t find_slot(const struct pending *p, uint64_t id)
{
    size_t i = slot_of(p, id);

    while (p->slots[i] && p->slots[i]->id != id)
        i = (i + 1) & (p->n_slots - 1);
    return i;
}

static int grow(struct pending *p)
{
    struct pending bigger = {.n_slots = p->n_slots ? p->n_slots * 2 : SLOTS_MIN};

    bigger.slots = calloc(bigger.n_slots, sizeof *bigger.slots);
    if (!bigger.slots)
        return -ENOMEM;
    for (size_t i = 0; i < p->n_slots; i++)
        if (p->slots[i])
            bigger.slots[find_slot(&bigger, p->slots[i]->id)] = p->slots[i];
    free(p->slots);
    p->slots = bigger.slots;
    p->n_slots = bigger.n_slots;
    return 0;
}

void pending_init(struct pending *p)
{
    *p = (struct pending){.last = &p->first};
}

void pending_deinit(struct pending *p)
{
    for (size_t i = 0; i < p->n_slots; i++)
        fdial_result_free(p->slots[i]);
    free(p->slots);
    pending_init(p);
}

int pending_add(struct pending *p, enum pending_kind kind, uint64_t id, struct fdial_result **ret)
{
    struct fdial_result *entry;
    int r;

    if (pending_find(p, id))
        return -EEXIST;
    if (p->n >= PENDING_MAX)
        return -EAGAIN;
    if ((p->n + 1) * 2 > p->n_slots) {
        r = grow(p);
        if (r < 0)
            return r;
    }
    entry = calloc(1, sizeof *entry);
    if (!entry)
        return -ENOMEM;
    entry->id = id;
    entry->kind = kind;
    entry->message = entry->alpn = entry->cipher = entry->handoff_reason = "";
    p->slots[find_slot(p, id)] = entry;
    p->n++;
    p->n_connects += kind == PENDING_CONNECT;
    *ret = entry;
    return 0;
}

struct fdial_result *pending_find(const struct pending *p, uint64_t id)
{
    return p->n_slots ? p->slots[find_slot(p, id)] : NULL;
}

static void remove_slot(struct pending *p, const struct fdial_result *entry)
{
    size_t hole = find_slot(p, entry->id);
    size_t mask = p->n_slots - 1;

    assert(p->slots[hole] == entry);
    for (size_t i = (hole + 1) & mask; p->slots[i]; i = (i + 1) & mask) {
        size_t home = slot_of(p, p->slots[i]->id);

        /* It may move only where the hole is not before its home, seen round the ring. */
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            p->slots[hole] = p->slots[i];
            hole = i;
        }
    }
    p->slots[hole] = NULL;
    p->n--;
    p->n_connects -= entry->kind == PENDING_CONNECT;
    p->n_cancels_unsent -= entry->is_cancel_unsent;
}

void pending_drop(struct pending *p, struct fdial_result *entry)
{
    assert(!entry->is_finished);
    remove_slot(p, entry);
    fdial_result_free(entry);
}

void pending_finish(struct pending *p, struct fdial_result *entry)
{
    assert(!entry->is_finished && entry->kind == PENDING_CONNECT);
    pending_set_cancel_unsent(p, entry, false);
    entry->is_finished = true;
    entry->next = NULL;
    *p->last = entry;
    p->last = &entry->next;
}

struct fdial_result *pending_fetch(struct pending *p)
{
    struct fdial_result *entry = p->first;

    if (!entry)
        return NULL;
    p->first = entry->next;
    if (!p->first)
        p->last = &p->first;
    entry->next = NULL;
    remove_slot(p, entry);
    return entry;
}

void pending_fail_all(struct pending *p, int error, const char *message)
{
    for (size_t i = 0; i < p->n_slots; i++) {
        struct fdial_result *entry = p->slots[i];

        if (!entry || entry->is_finished)
            continue;
        if (entry->kind == PENDING_CALL) {
            /* What followed may have moved here: look at the slot again. Wrapping round is
             * harmless, since entries seen before are finished. */
            pending_drop(p, entry);
            i--;
            continue;
        }
        entry->error = error;
        entry->message = message;
        pending_finish(p, entry);
    }
}

struct fdial_result *pending_next_cancel(struct pending *p)
{
    if (p->n_cancels_unsent == 0)
        return NULL;
    for (size_t i = 0; i < p->n_slots; i++) {
        struct fdial_result *entry = p->slots[p->cursor & (p->n_slots - 1)];

        if (entry && entry->is_cancel_unsent)
            return entry;
        p->cursor++;
    }
    return NULL;
}

void pending_set_cancel_unsent(struct pending *p, struct fdial_result *entry, bool is_unsent)
{
    assert(!entry->is_finished);
    p->n_cancels_unsent += is_unsent;
    p->n_cancels_unsent -= entry->is_cancel_unsent;
    entry->is_cancel_unsent = is_unsent;
}
