/* A hash table by uid. A user is there as long as he has a session or relay in this worker, or
 * there is something to be logged about him.
 *
 * Of a worker's places for sessions he may have no more than are left to others. So there are
 * always some for one who has none yet, or few, however many users take what they can get. */
#include "daemon/front/user.h"

#include <stdlib.h>

static struct list *bucket_of(struct front *front, uid_t uid)
{
    return &front->users[uid % USER_BUCKETS];
}

static struct user *find(struct front *front, uid_t uid)
{
    list_for_each (bucket_of(front, uid), node) {
        struct user *user = container_of(node, struct user, node);

        if (user->uid == uid)
            return user;
    }
    return NULL;
}

static struct user *add(struct front *front, uid_t uid)
{
    struct user *user = calloc(1, sizeof *user);

    if (!user)
        return NULL;
    user->uid = uid;
    user->quota = quota_get(front->quotas, uid, "");
    if (!user->quota) {
        free(user);
        return NULL;
    }
    fair_lane_init(&user->handshakes);
    fair_lane_init(&user->questions);
    user->front = front;
    list_init(&user->untaken);
    timer_init(&user->untaken_timer, untaken_timer_rang);
    list_init(&user->left_out_node);
    list_append(bucket_of(front, uid), &user->node);
    return user;
}

struct user *user_get(struct front *front, uid_t uid)
{
    struct user *user = find(front, uid);

    if (!user)
        user = add(front, uid);
    if (user)
        user->n_references++;
    return user;
}

struct user *user_ref(struct user *user)
{
    user->n_references++;
    return user;
}

struct user *user_put(struct user *user)
{
    if (!user || --user->n_references > 0)
        return NULL;
    list_remove(&user->node);
    quota_put(user->quota);
    free(user);
    return NULL;
}

bool user_has_room(const struct user *user)
{
    return user->n_sessions + counter_get(&user->front->counters->sessions_now) < SESSIONS_MAX;
}

void user_add_session(struct user *user)
{
    user->n_sessions++;
    counter_add(&user->front->counters->sessions_now, 1);
}

void user_remove_session(struct user *user)
{
    user->n_sessions--;
    counter_sub(&user->front->counters->sessions_now, 1);
}
