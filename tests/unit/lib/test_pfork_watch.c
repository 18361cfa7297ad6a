/* SPDX-License-Identifier: MIT */
/* How the caller of ptools_pfork() learns what happens: nothing is overlooked, whatever happens besides. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/lib/pfork_rig.h"

/* -- a kernel that refuses ------------------------------------------------------------------------------------- */

static int refusals; /* so many of the next descriptors cannot be watched */

/* The library's calls come here. */
int epoll_ctl(int epoll, int op, int fd, struct epoll_event *event)
{
    if (op == EPOLL_CTL_ADD && refusals > 0) {
        refusals--;
        errno = ENOSPC;
        return -1;
    }
    return (int)syscall(SYS_epoll_ctl, epoll, op, fd, event);
}

enum { LARGE = 3 << 20 };

static ptools_err give_large(int i, void *arg, ptools_child *child)
{
    uint8_t *data = calloc(1, LARGE);

    (void)i;
    (void)arg;
    ptools_pack_bytes(ptools_child_result(child), data, LARGE);
    free(data);
    return PTOOLS_OK;
}

/* A value larger than its pipe, which could not be watched at first, is read all the same. */
START_TEST(not_to_be_watched)
{
    ptools_children *c;

    refusals = _i;
    c = pfork_as(PTOOLS_OK, 1, give_large, NULL, NULL);
    ck_assert_int_eq(refusals, 0);
    ptools_children_free(c);
}
END_TEST

/* -- always something to do ------------------------------------------------------------------------------------ */

static void await_a_death(void)
{
    siginfo_t info;

    waitid(P_ALL, 0, &info, WEXITED | WNOWAIT);
}

static bool ask_to_stop(const ptools_child_outcome *outcome, const ptools_pfork_progress *progress, void *arg)
{
    (void)outcome;
    (void)progress;
    eventfd_write(*(int *)arg, 1);
    return true;
}

/* Whenever the caller looks, a child has ended: that must not keep it from seeing the descriptor. */
START_TEST(stopped_between_quick_children)
{
    ptools_pfork_options o = PTOOLS_PFORK_OPTIONS_INIT;
    int fd = eventfd(0, EFD_CLOEXEC);
    ptools_children *c;

    ck_assert_int_eq(pthread_atfork(NULL, await_a_death, NULL), 0);
    o.flags = PTOOLS_PFORK_STOP_FD;
    o.stop_fd = fd;
    o.at_once = 1;
    o.on_done = ask_to_stop;
    o.on_done_arg = &fd;
    c = pfork_as(PTOOLS_ERR_NOT_RUN, 20, give_index, NULL, &o);
    ck_value(c, 1, 1);
    ck_code(c, 20, PTOOLS_ERR_NOT_RUN);
    ptools_children_free(c);
    close(fd);
}
END_TEST

/* -- an end of its own ----------------------------------------------------------------------------------------- */

static ptools_err first_is_well(int i, void *at, ptools_child *child)
{
    if (i == 1) {
        await_change((int *)at + 2, 0); /* the other has begun */
        return give_index(i, NULL, child);
    }
    set_and_wake((int *)at + 2, (int)getpid());
    await_change(at, 0);
    exit(3);
}

/* When child 1 has ended, lets the second go, and stops all when that has ended, too. */
static bool stop_the_dead(const ptools_child_outcome *outcome, const ptools_pfork_progress *progress, void *at)
{
    siginfo_t info;

    (void)progress;
    if (outcome->index != 1)
        return true;
    set_and_wake(at, 1);
    waitid(P_PID, (id_t)((int *)at)[2], &info, WEXITED | WNOWAIT);
    return false;
}

START_TEST(dead_when_stopped)
{
    ptools_pfork_options o = PTOOLS_PFORK_OPTIONS_INIT;
    int *at = shared_ints(3);
    ptools_children *c;

    o.on_done = stop_the_dead;
    o.on_done_arg = at;
    c = pfork_as(PTOOLS_ERR_WORKER_DIED, 2, first_is_well, at, &o);
    ck_value(c, 1, 1);
    ck_code(c, 2, PTOOLS_ERR_WORKER_DIED);
    ck_assert_int_eq(outcome_of(c, 2)->exit_status, 3);
    ptools_children_free(c);
    shared_free(at, 3);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("pfork_watch");
    TCase *tc = suite_case(s, "watch");

    tcase_add_loop_test(tc, not_to_be_watched, 1, 3);
    tcase_add_test(tc, stopped_between_quick_children);
    tcase_add_test(tc, dead_when_stopped);
    return suite_run(s);
}
