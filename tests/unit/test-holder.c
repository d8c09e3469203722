/* Which process holds a session, with SO_PEERPIDFD and without it, as on Linux before 6.5; and the
 * cgroup that is read of it. */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/base/cgroup.h"
#include "daemon/front/holder.h"
#include "daemon/front/identity.h"
#include "proto/cleanup.h"
#include "tests/lib/suite.h"

static int (*const init_fns[])(struct holder *, int) = {holder_init, holder_init_by_pid};

/* A child that connects, sends what it is told, and ends when `order` is closed. */
struct child {
    pid_t pid;
    int order;
    int socket; /* our end */
};

static void *wait_and_leave(void *arg)
{
    char c;

    (void)!read(*(int *)arg, &c, 1);
    _exit(0);
}

static void be_child(int listener, int order, const char *early, bool leaves_thread)
{
    struct sockaddr_un sa;
    socklen_t n = sizeof sa;
    pthread_t thread;
    char c;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

    if (fd < 0 || getsockname(listener, (struct sockaddr *)&sa, &n) < 0 ||
        connect(fd, (struct sockaddr *)&sa, n) < 0 ||
        (early[0] && send(fd, early, strlen(early), 0) < 0))
        _exit(1);
    if (leaves_thread) {
        pthread_create(&thread, NULL, wait_and_leave, &order);
        pthread_exit(NULL);
    }
    (void)!read(order, &c, 1);
    _exit(0);
}

static void start_child(struct child *child, const char *early, bool leaves_thread)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    int order[2], listener = socket(AF_UNIX, SOCK_SEQPACKET, 0);

    ck_assert_int_ge(listener, 0);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&sa, sizeof sa.sun_family), 0);
    ck_assert_int_eq(listen(listener, 1), 0);
    ck_assert_int_eq(pipe(order), 0);
    child->pid = fork();
    ck_assert_int_ge(child->pid, 0);
    if (child->pid == 0) {
        close(order[1]);
        be_child(listener, order[0], early, leaves_thread);
    }
    close(order[0]);
    child->order = order[1];
    child->socket = accept(listener, NULL, NULL);
    ck_assert_int_ge(child->socket, 0);
    close(listener);
    if (early[0]) {
        struct pollfd in = {.fd = child->socket, .events = POLLIN};

        ck_assert_int_eq(poll(&in, 1, 20000), 1);
    }
}

static void end_child(struct child *child, bool is_reaped)
{
    siginfo_t info;

    child->order = fd_close(child->order);
    ck_assert_int_eq(waitid(P_PID, (id_t)child->pid, &info, WEXITED | (is_reaped ? 0 : WNOWAIT)),
                     0);
}

static void close_child(struct child *child, struct holder *holder)
{
    fd_close(child->socket);
    close(holder->pidfd);
    waitpid(child->pid, NULL, 0);
}

/* _i: which function, and whether it is waited for. */
START_TEST(test_life)
{
    struct holder holder = {0};
    struct child child;

    start_child(&child, "", false);
    ck_assert_int_eq(init_fns[_i % 2](&holder, child.socket), 0);
    ck_assert_int_eq(holder.pid, child.pid);
    ck_assert(holder.is_opener);
    ck_assert(holder_is_alive(&holder, 1));
    end_child(&child, _i / 2);
    ck_assert(holder_is_alive(&holder, 1)); /* seen in this turn */
    ck_assert(!holder_is_alive(&holder, 2));
    ck_assert(!holder_is_alive(&holder, 2));
    ck_assert(!holder_is_alive(&holder, 1));
    close_child(&child, &holder);
}
END_TEST

/* A process lives as long as one of its threads. */
START_TEST(test_first_thread_ends)
{
    struct holder holder = {0};
    struct child child;
    char path[64], state = '?';

    start_child(&child, "", true);
    ck_assert_int_eq(init_fns[_i](&holder, child.socket), 0);
    snprintf(path, sizeof path, "/proc/%d/stat", child.pid);
    for (int i = 0; i < 2000 && state != 'Z'; i++) {
        FILE *f = fopen(path, "r");

        ck_assert_ptr_nonnull(f);
        ck_assert_int_eq(fscanf(f, "%*d (%*[^)]) %c", &state), 1);
        fclose(f);
        usleep(10000);
    }
    ck_assert_int_eq(state, 'Z');
    ck_assert(holder_is_alive(&holder, 1));
    end_child(&child, true);
    ck_assert(!holder_is_alive(&holder, 2));
    close_child(&child, &holder);
}
END_TEST

/* One that has ended is noticed at once, or at the first look. */
START_TEST(test_ended_before)
{
    struct holder holder = {0};
    struct child child;
    int r;

    start_child(&child, "hello", false);
    end_child(&child, _i / 2);
    r = init_fns[_i % 2](&holder, child.socket);
    if (r < 0) {
        ck_assert_int_eq(r, -ESRCH);
        ck_assert_int_eq(holder.pid, 0);
        holder.pidfd = -1;
    } else {
        ck_assert(!holder_is_alive(&holder, 1));
    }
    if (init_fns[_i % 2] == holder_init_by_pid && _i / 2)
        ck_assert_int_eq(r, -ESRCH);
    close_child(&child, &holder);
}
END_TEST

START_TEST(test_early)
{
    struct holder holder = {0};
    struct child child;

    start_child(&child, "0123456789", false);
    ck_assert_int_eq(holder_init(&holder, child.socket), 0);
    if (holder.n_early == 0) { /* SO_PEERPIDFD is there */
        ck_assert(!holder_takes_early(&holder, 10));
        close(holder.pidfd);
    }
    ck_assert_int_eq(holder_init_by_pid(&holder, child.socket), 0);
    ck_assert_uint_eq(holder.n_early, 10);
    ck_assert(holder_takes_early(&holder, 4));
    ck_assert(holder_takes_early(&holder, 6));
    ck_assert(!holder_takes_early(&holder, 6));
    ck_assert(!holder_takes_early(&holder, 0));
    end_child(&child, true);
    close_child(&child, &holder);
}
END_TEST

START_TEST(test_sender)
{
    struct ucred self = {.pid = getpid(), .uid = 7, .gid = 8};
    struct ucred nobody = {.pid = 0, .uid = 7, .gid = 8};
    struct ucred other = self, ended = self;
    struct holder holder = {0};
    struct child child;

    start_child(&child, "", false);
    other.pid = ended.pid = child.pid;
    ck_assert_int_eq(holder_init_sender(&holder, &nobody), -ESRCH);
    ck_assert_int_eq(holder_init_sender(&holder, &self), 0);
    ck_assert(!holder.is_opener);
    ck_assert(holder_is_alive(&holder, 1));
    ck_assert(holder_is_sender(&holder, &self));
    ck_assert(!holder_is_sender(&holder, &other));
    ck_assert(!holder_is_sender(&holder, &nobody));
    self.gid++;
    ck_assert(!holder_is_sender(&holder, &self));
    close(holder.pidfd);

    /* The first message says which user it is. */
    ck_assert_int_eq(holder_init(&holder, child.socket), 0);
    ck_assert(holder_is_sender(&holder, &other));
    other.uid++;
    ck_assert(!holder_is_sender(&holder, &other));
    close(holder.pidfd);

    end_child(&child, true);
    ck_assert_int_eq(holder_init_sender(&holder, &ended), -ESRCH);
    fd_close(child.socket);
}
END_TEST

static bool find_own_cgroup(char path[CGROUP_PATH_MAX + 1])
{
    char text[CGROUP_FILE_MAX];
    FILE *f = fopen("/proc/self/cgroup", "r");
    size_t n;

    ck_assert_ptr_nonnull(f);
    n = fread(text, 1, sizeof text, f);
    fclose(f);
    return cgroup_parse_file(text, n, path);
}

/* _i: 0 it lives, 1 it is a zombie, 2 it was waited for, 3 it has the session from somebody else.
 */
START_TEST(test_cgroup)
{
    char path[CGROUP_PATH_MAX + 1];
    struct identity *identity = NULL;
    struct holder holder = {0};
    struct child child;

    ck_assert(find_own_cgroup(path)); /* as the child's */
    start_child(&child, "", false);
    ck_assert_int_eq(identity_new(&identity, child.socket, NULL), 0);
    if (_i < 3)
        ck_assert_int_eq(holder_init_by_pid(&holder, child.socket), 0);
    else
        ck_assert_int_eq(holder_init_sender(&holder, &(struct ucred){.pid = child.pid}), 0);
    ck_assert(holder_is_alive(&holder, 1));
    if (_i == 1 || _i == 2)
        end_child(&child, _i == 2);
    identity_read_cgroup(identity, &holder);
    ck_assert_pstr_eq(identity->cgroup, _i == 0 ? path : NULL);
    if (_i > 0)
        ck_assert_ptr_null(identity->unit);
    ck_assert(identity->has_cgroup == (_i < 3));
    if (child.order >= 0)
        end_child(&child, true);
    identity_read_cgroup(identity, &holder); /* as it was then */
    ck_assert_pstr_eq(identity->cgroup, _i == 0 ? path : NULL);
    identity_unref(identity);
    close_child(&child, &holder);
}
END_TEST

/* The process that has the id must have the rights that the socket has. */
START_TEST(test_same_rights)
{
    struct identity *identity = NULL;
    struct holder holder = {0};
    struct child child;
    gid_t *groups;
    size_t n;

    start_child(&child, "", false);
    ck_assert_int_eq(identity_new(&identity, child.socket, NULL), 0);
    ck_assert_int_eq(holder_init_by_pid(&holder, child.socket), 0);
    ck_assert(holder.is_by_id);
    ck_assert(identity_is_of(identity, &holder));
    identity->uid++;
    ck_assert(!identity_is_of(identity, &holder));
    identity->uid--;
    identity->gid++;
    ck_assert(!identity_is_of(identity, &holder));
    identity->gid--;
    groups = identity->groups;
    n = identity->n_groups;
    identity->groups = calloc(n + 1, sizeof *groups);
    ck_assert_ptr_nonnull(identity->groups);
    if (n > 0)
        memcpy(identity->groups, groups, n * sizeof *groups);
    ck_assert(identity_is_of(identity, &holder));
    identity->groups[n] = 4294967294;
    identity->n_groups = n + 1;
    ck_assert(!identity_is_of(identity, &holder));
    identity->n_groups = n;
    if (n > 0) {
        identity->groups[n - 1]++;
        ck_assert(!identity_is_of(identity, &holder));
        identity->groups[n - 1]--;
        identity->n_groups = n - 1;
        ck_assert(!identity_is_of(identity, &holder));
        identity->n_groups = n;
    }
    ck_assert(identity_is_of(identity, &holder));
    end_child(&child, false);
    ck_assert(!identity_is_of(identity, &holder));
    free(groups);
    identity_unref(identity);
    close_child(&child, &holder);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("holder");
    TCase *tcase = tcase_create("holder");

    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, test_life, 0, 4);
    tcase_add_loop_test(tcase, test_first_thread_ends, 0, 2);
    tcase_add_loop_test(tcase, test_ended_before, 0, 4);
    tcase_add_test(tcase, test_early);
    tcase_add_test(tcase, test_sender);
    tcase_add_loop_test(tcase, test_cgroup, 0, 4);
    tcase_add_test(tcase, test_same_rights);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
