/* Places for sessions: what is left to users who come late, when others take all they can get. */
#include <check.h>
#include <string.h>

#include "daemon/front/user.h"
#include "tests/lib/suite.h"

#define USERS 12

static struct front front;
static struct counters counters;
static struct user *users[USERS];

static void set_up(void)
{
    memset(&front, 0, sizeof front);
    memset(&counters, 0, sizeof counters);
    front_init(&front);
    front.counters = &counters;
    ck_assert_int_eq(quota_table_new(&front.quotas), 0);
    for (unsigned i = 0; i < USERS; i++) {
        users[i] = user_get(&front, 1000 + i);
        ck_assert_ptr_nonnull(users[i]);
    }
}

static void tear_down(void)
{
    for (unsigned i = 0; i < USERS; i++)
        user_put(users[i]);
    quota_table_free(front.quotas);
}

/* As many as he can get. */
static void fill(struct user *user)
{
    while (user->n_sessions < SESSIONS_PER_USER_MAX && user_has_room(user))
        user_add_session(user);
}

START_TEST(test_late_users_find_room)
{
    for (unsigned i = 0; i < USERS; i++) {
        ck_assert(user_has_room(users[i]));
        fill(users[i]);
    }
    ck_assert_uint_eq(users[0]->n_sessions, SESSIONS_PER_USER_MAX);
    ck_assert_uint_eq(users[2]->n_sessions, SESSIONS_PER_USER_MAX);
    ck_assert_uint_eq(users[3]->n_sessions, SESSIONS_PER_USER_MAX / 2);
    ck_assert_uint_lt(counter_get(&counters.sessions_now), SESSIONS_MAX);
    for (unsigned i = 0; i < USERS; i++)
        ck_assert(!user_has_room(users[i]));
}
END_TEST

START_TEST(test_room_comes_back)
{
    for (unsigned i = 0; i < USERS; i++)
        fill(users[i]);
    while (users[0]->n_sessions > 0)
        user_remove_session(users[0]);
    for (unsigned i = 3; i < USERS; i++)
        ck_assert(user_has_room(users[i]));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("user");
    TCase *test = tcase_create("user");

    tcase_add_checked_fixture(test, set_up, tear_down);
    tcase_add_test(test, test_late_users_find_room);
    tcase_add_test(test, test_room_comes_back);
    suite_add_tcase(suite, test);
    return suite_run(suite);
}
