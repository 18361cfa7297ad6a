/* SPDX-License-Identifier: MIT */
/* pfork_rig -- see pfork_rig.h. */
#include "tests/unit/lib/pfork_rig.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

ptools_err give_index(int i, void *arg, ptools_child *child)
{
    (void)arg;
    ptools_pack_i64(ptools_child_result(child), i);
    return PTOOLS_OK;
}

ptools_children *pfork_as(ptools_err expected, int n, ptools_pfork_fn f, void *arg, const ptools_pfork_options *options)
{
    ptools_children *children = NULL;
    const char *why = "";
    ptools_err err = ptools_pfork(n, f, arg, options, &children, &why);

    ck_assert_msg(err == expected, "%s instead of %s: %s", ptools_errname(err), ptools_errname(expected), why);
    ck_assert_ptr_nonnull(children);
    ck_assert_int_eq(ptools_children_count(children), n);
    return children;
}

const ptools_child_outcome *outcome_of(const ptools_children *c, int i)
{
    const ptools_child_outcome *o = ptools_children_outcome(c, i);

    ck_assert_ptr_nonnull(o);
    ck_assert_int_eq(o->index, i);
    return o;
}

void ck_code(const ptools_children *c, int i, ptools_err code)
{
    const ptools_child_outcome *o = outcome_of(c, i);

    ck_assert_msg(o->code == code, "child %d: %s instead of %s: %s", i, ptools_errname(o->code), ptools_errname(code),
                  o->message);
    ck_assert_msg((o->code == PTOOLS_OK) == (*o->message == '\0'), "child %d says \"%s\"", i, o->message);
}

int64_t value_of(const ptools_children *c, int i)
{
    int64_t v = INT64_MIN;

    ck_code(c, i, PTOOLS_OK);
    ck_assert_int_eq(ptools_get_i64(outcome_of(c, i)->value, &v), PTOOLS_OK);
    return v;
}

void ck_value(const ptools_children *c, int i, int64_t expected)
{
    ck_assert_int_eq(value_of(c, i), expected);
}

void ck_says(const ptools_children *c, int i, const char *part)
{
    ck_assert_msg(strstr(outcome_of(c, i)->message, part), "child %d says \"%s\", not \"%s\"", i,
                  outcome_of(c, i)->message, part);
}

int *shared_ints(size_t n)
{
    int *at = mmap(NULL, n * sizeof *at, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    ck_assert(at != MAP_FAILED);
    return at;
}

void shared_free(int *at, size_t n)
{
    munmap(at, n * sizeof *at);
}

void await_change(const int *at, int old)
{
    while (__atomic_load_n(at, __ATOMIC_ACQUIRE) == old)
        syscall(SYS_futex, at, FUTEX_WAIT, old, NULL, NULL, 0);
}

void set_and_wake(int *at, int value)
{
    __atomic_store_n(at, value, __ATOMIC_RELEASE);
    syscall(SYS_futex, at, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

void ck_no_children(void)
{
    ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
    ck_assert_int_eq(errno, ECHILD);
}
