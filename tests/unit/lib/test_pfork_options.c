/* SPDX-License-Identifier: MIT */
/*
 * test_pfork_options -- each option of ptools_pfork() does what it says, and what is no option is refused. Those that
 * stop children are in test_pfork_death.
 */
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/unit/lib/pfork_rig.h"

/* ints: how many run; the largest number ever seen; until how many have come, all wait. */
static ptools_err count_running(int i, void *arg, ptools_child *child)
{
    int *ints = arg;
    int now = __atomic_add_fetch(&ints[0], 1, __ATOMIC_SEQ_CST);

    for (int seen = ints[1]; seen < now; seen = ints[1])
        __atomic_compare_exchange_n(&ints[1], &seen, now, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    if (__atomic_add_fetch(&ints[2], 1, __ATOMIC_SEQ_CST) == ints[3])
        set_and_wake(&ints[4], 1);
    await_change(&ints[4], 0);
    __atomic_sub_fetch(&ints[0], 1, __ATOMIC_SEQ_CST);
    return give_index(i, NULL, child);
}

/* As many as may run at once do, and never more. */
START_TEST(at_once)
{
    ptools_pfork_options o = PTOOLS_PFORK_OPTIONS_INIT;
    int *ints = shared_ints(5);
    ptools_children *c;

    ints[3] = 3;
    o.at_once = 3;
    c = pfork_as(PTOOLS_OK, 20, count_running, ints, &o);
    for (int i = 1; i <= 20; i++)
        ck_value(c, i, i);
    ck_assert_int_eq(ints[1], 3);
    ptools_children_free(c);
    shared_free(ints, 5);
}
END_TEST

START_TEST(as_many_as_processors)
{
    ptools_pfork_options o = PTOOLS_PFORK_OPTIONS_INIT;
    int *ints = shared_ints(5);
    cpu_set_t set;
    ptools_children *c;

    ck_assert_int_eq(sched_getaffinity(0, sizeof set, &set), 0);
    ints[3] = CPU_COUNT(&set);
    o.flags = PTOOLS_PFORK_PROCESSORS;
    c = pfork_as(PTOOLS_OK, 3 * CPU_COUNT(&set), count_running, ints, &o);
    ck_assert_int_eq(ints[1], CPU_COUNT(&set));
    ptools_children_free(c);
    shared_free(ints, 5);
}
END_TEST

static ptools_err give_random(int i, void *arg, ptools_child *child)
{
    ptools_pack *p = ptools_child_result(child);

    (void)i;
    (void)arg;
    ptools_pack_u64(p, ptools_child_seed(child));
    ptools_pack_i64(p, random());
    ptools_pack_i64(p, lrand48());
    return PTOOLS_OK;
}

static uint64_t random_of(const ptools_children *c, int i, uint32_t which)
{
    ptools_value v;
    uint64_t u;

    ck_assert_int_eq(ptools_get_item(outcome_of(c, i)->value, which, &v), PTOOLS_OK);
    ck_assert_int_eq(ptools_get_u64(v, &u), PTOOLS_OK);
    return u;
}

/* Distinct in each child; the same again for the same seed, and others for another or none. */
START_TEST(seeds)
{
    ptools_pfork_options o = PTOOLS_PFORK_OPTIONS_INIT;
    ptools_children *c[4];

    o.flags = PTOOLS_PFORK_SEED;
    o.seed = 42;
    c[0] = pfork_as(PTOOLS_OK, 20, give_random, NULL, &o);
    c[1] = pfork_as(PTOOLS_OK, 20, give_random, NULL, &o);
    o.seed = 43;
    c[2] = pfork_as(PTOOLS_OK, 20, give_random, NULL, &o);
    c[3] = pfork_as(PTOOLS_OK, 20, give_random, NULL, NULL);
    for (uint32_t which = 0; which < 3; which++) {
        for (int i = 1; i <= 20; i++) {
            ck_assert_uint_eq(random_of(c[0], i, which), random_of(c[1], i, which));
            for (int run = 0; run < 4; run += run ? 1 : 2)
                for (int k = 1; k <= 20; k++)
                    ck_assert(random_of(c[0], i, which) != random_of(c[run], k, which) || (run == 0 && i == k));
        }
    }
    for (int run = 0; run < 4; run++)
        ptools_children_free(c[run]);
}
END_TEST

static ptools_err give_circumstances(int i, void *arg, ptools_child *child)
{
    ptools_pack *p = ptools_child_result(child);
    struct rlimit limit;
    cpu_set_t set;
    int signal = 0;

    (void)i;
    (void)arg;
    if (sched_getaffinity(0, sizeof set, &set) < 0 || getrlimit(RLIMIT_CORE, &limit) < 0 ||
        prctl(PR_GET_PDEATHSIG, &signal) < 0)
        return ptools_child_fail(child, "cannot look");
    ptools_pack_i64(p, getpriority(PRIO_PROCESS, 0));
    ptools_pack_i64(p, CPU_COUNT(&set));
    ptools_pack_bool(p, CPU_ISSET(0, &set));
    ptools_pack_u64(p, limit.rlim_cur);
    ptools_pack_i64(p, signal);
    ptools_pack_bool(p, getpgrp() == getpid());
    ptools_pack_i64(p, getpid());
    return PTOOLS_OK;
}

static int64_t circumstance(const ptools_children *c, int i, uint32_t which)
{
    int64_t v = -1;
    ptools_value item;
    bool yes;

    ck_code(c, i, PTOOLS_OK);
    ck_assert_int_eq(ptools_get_item(outcome_of(c, i)->value, which, &item), PTOOLS_OK);
    if (ptools_get_bool(item, &yes) == PTOOLS_OK)
        return yes;
    ck_assert_int_eq(ptools_get_i64(item, &v), PTOOLS_OK);
    return v;
}

START_TEST(circumstances)
{
    const ptools_pfork_limit limit = { RLIMIT_CORE, 0, 0 };
    const uint32_t cpus[] = { 0 };
    ptools_pfork_options o = PTOOLS_PFORK_OPTIONS_INIT;
    int nice_before = getpriority(PRIO_PROCESS, 0);
    ptools_children *c;

    o.nice = 2;
    o.cpus = cpus;
    o.n_cpus = 1;
    o.limits = &limit;
    o.n_limits = 1;
    c = pfork_as(PTOOLS_OK, 2, give_circumstances, NULL, &o);
    for (int i = 1; i <= 2; i++) {
        ck_assert_int_eq(circumstance(c, i, 0), nice_before + 2 > 19 ? 19 : nice_before + 2);
        ck_assert_int_eq(circumstance(c, i, 1), 1);
        ck_assert_int_eq(circumstance(c, i, 2), 1);
        ck_assert_int_eq(circumstance(c, i, 3), 0);
        ck_assert_int_eq(circumstance(c, i, 4), SIGKILL);
        ck_assert_int_eq(circumstance(c, i, 5), 1);
        ck_assert_int_eq(circumstance(c, i, 6), outcome_of(c, i)->pid);
        ck_assert_uint_gt(outcome_of(c, i)->peak_bytes, 0);
        ck_assert_uint_gt(outcome_of(c, i)->run_us, 0);
        ck_assert_int_eq(outcome_of(c, i)->exit_status, -1);
        ck_assert_int_eq(outcome_of(c, i)->signal, 0);
    }
    ptools_children_free(c);
    ck_assert_int_eq(getpriority(PRIO_PROCESS, 0), nice_before);
}
END_TEST

START_TEST(spread_over_processors)
{
    ptools_pfork_options o = PTOOLS_PFORK_OPTIONS_INIT;
    uint32_t cpus[CPU_SETSIZE], n = 0;
    cpu_set_t set;
    ptools_children *c;

    ck_assert_int_eq(sched_getaffinity(0, sizeof set, &set), 0);
    for (uint32_t i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &set))
            cpus[n++] = i;
    o.flags = PTOOLS_PFORK_SPREAD;
    o.cpus = cpus;
    o.n_cpus = n;
    c = pfork_as(PTOOLS_OK, (int)n + 1, give_circumstances, NULL, &o);
    for (int i = 1; i <= (int)n + 1; i++) {
        ck_assert_int_eq(circumstance(c, i, 1), 1);
        ck_assert_int_eq(circumstance(c, i, 2), cpus[(uint32_t)(i - 1) % n] == 0);
    }
    ptools_children_free(c);
}
END_TEST

static ptools_err write_both(int i, void *arg, ptools_child *child)
{
    (void)arg;
    (void)child;
    printf("child %d", i); /* no newline: it is flushed at the end */
    for (int k = 0; k < i; k++)
        fputs("0123456789", stderr);
    if (i == 3)
        exit(4);
    return PTOOLS_OK;
}

START_TEST(captured)
{
    ptools_pfork_options o = PTOOLS_PFORK_OPTIONS_INIT;
    ptools_children *c;
    char text[32];

    o.output = o.errors = PTOOLS_PFORK_CAPTURE;
    o.capture_bytes = 25;
    c = pfork_as(PTOOLS_ERR_WORKER_DIED, 4, write_both, NULL, &o);
    for (int i = 1; i <= 4; i++) {
        const ptools_child_outcome *out = outcome_of(c, i);

        snprintf(text, sizeof text, "child %d", i);
        ck_assert_str_eq(out->output, text);
        ck_assert_uint_eq(out->output_bytes, strlen(text));
        ck_assert_uint_eq(out->output_dropped, 0);
        ck_assert_uint_eq(out->errors_bytes, i < 3 ? (size_t)i * 10 : 25);
        ck_assert_uint_eq(out->errors_bytes + out->errors_dropped, (size_t)i * 10);
        ck_assert_int_eq(strncmp(out->errors, "01234567890123456789012345678901234567890", out->errors_bytes), 0);
        ck_assert_int_eq(out->errors[out->errors_bytes], '\0');
    }
    ck_assert_int_eq(outcome_of(c, 3)->exit_status, 4);
    ptools_children_free(c);
}
END_TEST

START_TEST(discarded)
{
    ptools_pfork_options o = PTOOLS_PFORK_OPTIONS_INIT;
    ptools_children *c;

    o.output = o.errors = PTOOLS_PFORK_DISCARD;
    c = pfork_as(PTOOLS_OK, 2, write_both, NULL, &o);
    for (int i = 1; i <= 2; i++) {
        ck_assert_str_eq(outcome_of(c, i)->output, "");
        ck_assert_str_eq(outcome_of(c, i)->errors, "");
        ck_assert_uint_eq(outcome_of(c, i)->output_dropped, 0);
    }
    ptools_children_free(c);
}
END_TEST

struct seen {
    int calls;
    int order[10];
    ptools_pfork_progress last;
};

static bool note(const ptools_child_outcome *outcome, const ptools_pfork_progress *progress, void *arg)
{
    struct seen *seen = arg;
    int64_t v;

    ck_assert_int_eq(outcome->code, PTOOLS_OK);
    ck_assert_int_eq(ptools_get_i64(outcome->value, &v), PTOOLS_OK);
    ck_assert_int_eq(v, outcome->index);
    seen->order[seen->calls++] = outcome->index;
    ck_assert_int_eq(progress->done, seen->calls);
    seen->last = *progress;
    return true;
}

/* Each outcome is shown when its child has ended. */
START_TEST(progress)
{
    ptools_pfork_options o = PTOOLS_PFORK_OPTIONS_INIT;
    struct seen seen = { 0 };
    ptools_children *c;

    o.on_done = note;
    o.on_done_arg = &seen;
    o.at_once = 1;
    c = pfork_as(PTOOLS_OK, 5, give_index, NULL, &o);
    ck_assert_int_eq(seen.calls, 5);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(seen.order[i], i + 1);
    ck_assert_int_eq(seen.last.n, 5);
    ck_assert_int_eq(seen.last.begun, 5);
    ck_assert_int_eq(seen.last.failed, 0);
    ptools_children_free(c);
}
END_TEST

/* -- what is refused ------------------------------------------------------------------------------------------ */

static void refused(const ptools_pfork_options *o, const char *part)
{
    ptools_children *c = (void *)1;
    const char *why = "";

    ck_assert_int_eq(ptools_pfork(3, give_index, NULL, o, &c, &why), PTOOLS_ERR_INVALID);
    ck_assert_ptr_null(c);
    ck_assert_msg(strstr(why, part), "\"%s\" and not \"%s\"", why, part);
}

#define REFUSED(field, value, part)                        \
    do {                                                   \
        ptools_pfork_options with = PTOOLS_PFORK_OPTIONS_INIT; \
        with.field = value;                                  \
        refused(&with, part);                               \
    } while (0)

START_TEST(bad_options)
{
    static const uint32_t cpus[] = { 0, 70000 };
    static const ptools_pfork_limit bad_resource = { 99, 1, 1 }, upside_down = { RLIMIT_CPU, 2, 1 };
    ptools_pfork_options o = PTOOLS_PFORK_OPTIONS_INIT;
    const char *why = "";

    REFUSED(flags, 1u << 20, "unknown bits 0x100000");
    REFUSED(flags, PTOOLS_PFORK_SPREAD, "needs cpus");
    REFUSED(timeout_ms, -1, "timeout_ms is -1: 0 (none) or more");
    REFUSED(timeout_all_ms, -5, "timeout_all_ms is -5: 0 (none) or more");
    REFUSED(n_cpus, 1, "n_cpus is 1, and cpus is NULL");
    REFUSED(n_limits, 1, "n_limits is 1, and limits is NULL");
    REFUSED(output, (ptools_pfork_output)3, "output is 3");
    REFUSED(errors, (ptools_pfork_output)-1, "errors is -1");
    REFUSED(struct_size, 8, "struct_size is 8");
    REFUSED(reserved, 1, "reserved is 1");
    o.flags = PTOOLS_PFORK_PROCESSORS;
    o.at_once = 2;
    refused(&o, "one of them");
    o = (ptools_pfork_options)PTOOLS_PFORK_OPTIONS_INIT;
    o.cpus = cpus;
    o.n_cpus = 2;
    refused(&o, "cpus[1] is 70000: 0 to 1023");
    o = (ptools_pfork_options)PTOOLS_PFORK_OPTIONS_INIT;
    o.n_limits = 1;
    o.limits = &bad_resource;
    refused(&o, "limits[0] is of resource 99");
    o.limits = &upside_down;
    refused(&o, "a soft limit, 2, above its hard one, 1");
    o = (ptools_pfork_options)PTOOLS_PFORK_OPTIONS_INIT;
    o.flags = PTOOLS_PFORK_STOP_FD;
    o.stop_fd = 9999;
    refused(&o, "stop_fd is 9999");
    ck_assert_int_eq(ptools_pfork(1, NULL, NULL, NULL, NULL, &why), PTOOLS_ERR_INVALID);
    ck_assert_str_eq(why, "pfork: the function is NULL");
    ck_no_children();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("pfork_options");
    TCase *tc = suite_case(s, "options");

    tcase_add_test(tc, at_once);
    tcase_add_test(tc, as_many_as_processors);
    tcase_add_test(tc, seeds);
    tcase_add_test(tc, circumstances);
    tcase_add_test(tc, spread_over_processors);
    tcase_add_test(tc, captured);
    tcase_add_test(tc, discarded);
    tcase_add_test(tc, progress);
    tc = suite_case(s, "refused");
    tcase_add_test(tc, bad_options);
    return suite_run(s);
}
