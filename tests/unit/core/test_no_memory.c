/* SPDX-License-Identifier: MIT */
/*
 * A script that comes by every place where the core asks for memory, run with its 1st, 2nd, 3rd ... request failing,
 * until one run needs no more. What must hold: core_new() gives NULL; core_submit() and core_client_add() give
 * -ENOMEM, nothing has changed, and the same call works afterwards; whoever wants to map an array is refused it;
 * everything else says so in actions.no_memory. Never a crash, a leak, or a core that does not agree with itself.
 *
 * Queued tasks have their own: test_queue_no_memory.c.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/core/rig_shared.h"
#include "tests/support/scarce.h"

static struct rig r;
static uint64_t clean_failures, loud_failures;

#define CORE(call)                                                                                                     \
    do {                                                                                                               \
        scarce_armed = true;                                                                                           \
        call;                                                                                                          \
        scarce_armed = false;                                                                                          \
        ck_assert_ptr_null(core_check(r.core));                                                                        \
        if (r.out.no_memory)                                                                                           \
            return false;                                                                                              \
    } while (0)

static size_t modules(void)
{
    struct core_module_view v;
    size_t n = 0;

    while (core_view_module(r.core, n, &v))
        n++;
    return n;
}

static bool submit_call(const struct msg_call *c, struct blob *payload)
{
    const struct msg_call call = *c;
    struct core_stats before, after;
    size_t actions = r.out.n, known = modules();
    uint32_t set = call.set_id, cursor = set ? r.core->sets->cursor : 0;
    uint64_t next_us = core_next_us(r.core);
    int e;

    core_view_stats(r.core, &before);
    CORE(e = core_submit(r.core, r.now, r.client, ++r.request, &call, payload, &r.out));
    if (e == 0)
        return true;
    ck_assert_int_eq(e, -ENOMEM);
    clean_failures++;
    core_view_stats(r.core, &after);
    ck_assert_mem_eq(&before, &after, sizeof before);
    ck_assert_uint_eq(r.out.n, actions);
    ck_assert_uint_eq(modules(), known);
    ck_assert_uint_eq(set ? r.core->sets->cursor : 0, cursor);
    ck_assert_uint_eq(core_next_us(r.core), next_us);
    ck_assert_uint_eq(payload ? payload->refs : 1, 1);
    ck_assert_int_eq(core_submit(r.core, r.now, r.client, r.request, &call, payload, &r.out), 0);
    ck_assert_ptr_null(core_check(r.core));
    return true;
}

static bool submit(const char *function, uint32_t set, uint64_t deadline_ms, bool detached)
{
    const struct msg_call call = { .function = { function, strlen(function) },
                                   .set_id = set,
                                   .deadline_ms = deadline_ms,
                                   .detached = detached,
                                   .has_priority = set > 0,
                                   .priority = -2 };
    AUTO(blob) payload = blob_new("x", 1);

    return submit_call(&call, payload);
}

static bool loaded(const char *module, ptools_err code)
{
    struct report_function functions[] = { { (char *)"f", (char *)"", 0 }, { (char *)"g", (char *)"", 0 } };
    const struct report report = { .module = (char *)module,
                                   .help = (char *)"",
                                   .path = (char *)"",
                                   .problem = (char *)"why",
                                   .code = code,
                                   .n = 2,
                                   .functions = functions };

    CORE(core_module_loaded(r.core, r.now, &report, &r.out));
    return true;
}

static bool set(uint32_t mode, const char *name, enum msg_kind kind, uint32_t id, uint32_t *members, uint32_t n)
{
    const struct msg_set m = {
        .name = { name, name ? strlen(name) : 0 }, .set_id = id, .mode = mode, .n = n, .members = members
    };

    CORE(core_set(r.core, r.now, r.client, ++r.request, kind, &m, &r.out));
    return true;
}

static bool calls(void)
{
    for (int i = 0; i < 40; i++) {
        if (!submit(i % 3 ? "m.f" : "m.g", (uint32_t)(i % 4 == 0), (uint64_t)(i % 2) * (uint64_t)(i + 1), i % 5 == 0))
            return false;
    }
    return submit("x.f", 0, 10, false) && submit("x.f", 0, 0, true) && submit("y.f", 0, 0, false);
}

/* From inside of a worker, when none is idle: it needs a stand-in. */
static bool nested(void)
{
    core_client_inside(r.core, r.client, 1, rig_worker(&r, 1)->oldest);
    if (!submit("m.f", 0, 0, false))
        return false;
    core_client_inside(r.core, r.client, 0, 0);
    CORE(core_assign(r.core, r.now, &r.out));
    ck_assert(r.core->n_stand_ins == 1 || r.core->n_nested == 0); /* refused for lack of memory */
    return true;
}

/* -- arrays ------------------------------------------------------------------------------------------------ */

static bool array(enum msg_kind kind, const struct msg_array *m)
{
    CORE(core_array(r.core, r.now, r.client, ++r.request, kind, m, &r.out));
    return true;
}

static bool made(uint64_t id, ptools_err code)
{
    const struct core_memory memory = { .mapped_bytes = RIG_PAGE };

    CORE(core_array_made(r.core, r.now, id, code, "why", &memory, &r.out));
    return true;
}

/* Without memory it is refused, and can be asked for again. */
static bool take(bool is_client, uint32_t who, uint64_t task, uint64_t id)
{
    const struct fds_request request = { .kind = FDS_ARRAY, .id = id, .task = task, .owner = FDS_OWN };
    struct fds_answer answer;

    CORE(core_array_take(r.core, is_client, who, &request, &answer));
    if (answer.code != PTOOLS_OK) {
        ck_assert_uint_eq(answer.code, PTOOLS_ERR_LIMIT);
        ck_assert_str_eq(answer.text, "the daemon is out of memory");
        clean_failures++;
        core_array_take(r.core, is_client, who, &request, &answer);
        ck_assert_uint_eq(answer.code, PTOOLS_OK);
        ck_assert_ptr_null(core_check(r.core));
    }
    return true;
}

/* One that a call needs, or a value. *ret is its number. */
static bool array_made(const char *name, uint64_t keep_ms, bool everywhere, uint64_t *ret)
{
    struct msg_array m = rig_shape(name, 10);

    m.keep = keep_ms > 0;
    m.keep_ms = keep_ms;
    m.everywhere = everywhere;
    m.replace = true;
    if (!array(MSG_ARRAY_CREATE, &m))
        return false;
    *ret = r.core->last_array;
    return made(*ret, PTOOLS_OK);
}

/* A call whose arguments and value lie in arrays, and one whose value gets no room. */
static bool large_calls(void)
{
    struct msg_call call = { .function = TEXT("m.f"), .worker = 2, .args_bytes = 10, .large = 1 };
    const struct msg_failure facts = { 0 };
    struct core_value value = { .bytes = 10 };
    uint64_t task;

    if (!array_made(NULL, 0, false, &call.args) || !array_made(NULL, 0, false, &call.room) || !submit_call(&call, NULL))
        return false;
    CORE(core_assign(r.core, r.now, &r.out));
    task = rig_worker(&r, 2)->oldest;
    if (!take(false, 2, task, call.args))
        return false;
    CORE(core_array_for_value(r.core, r.now, 2, 0, task, 10, &r.out));
    value.array = r.core->last_array;
    if (!made(value.array, PTOOLS_OK) || !take(false, 2, task, value.array))
        return false;
    CORE(core_worker_done(r.core, r.now, 2, task, 1, PTOOLS_OK, &value, &facts, 1000, 0, 0, &r.out));
    if (!take(true, r.client, 0, value.array) || !submit_call(&call, NULL))
        return false;
    CORE(core_assign(r.core, r.now, &r.out));
    task = rig_worker(&r, 2)->oldest;
    CORE(core_array_for_value(r.core, r.now, 2, 0, task, 10, &r.out));
    if (!made(r.core->last_array, PTOOLS_ERR_NO_SPACE))
        return false;
    CORE(core_array_for_value(r.core, r.now, 2, 0, task, UINT64_MAX, &r.out));
    CORE(core_worker_done(r.core, r.now, 2, task, 1, PTOOLS_OK, NULL, &facts, 1000, 0, 0, &r.out));
    return true;
}

static bool arrays(void)
{
    struct msg_array unlink = { .name = TEXT("kept") };
    uint64_t id;

    if (!array_made("kept", 5, false, &id) || !take(true, r.client, 0, id) || !array_made("kept", 5, false, &id) ||
        !array_made("all", 0, true, &id) || !take(false, 1, 0, id) || !large_calls())
        return false;
    CORE(core_array_mapped(r.core, r.now, 1, id, PTOOLS_ERR_SYSTEM, "why", &r.out));
    CORE(core_tick(r.core, r.now + 5000, &r.out));
    return array(MSG_ARRAY_UNLINK, &unlink) && array_made("kept", 50, false, &id) && array(MSG_ARRAY_UNLINK, &unlink);
}

/* -- server tasks ------------------------------------------------------------------------------------------ */

static bool stasks(enum msg_kind kind, const struct msg_stasks *m)
{
    CORE(core_stasks(r.core, r.now, r.client, ++r.request, kind, m, &r.out));
    return true;
}

static bool comes_up(uint32_t process, uint64_t shared)
{
    CORE(core_stask_ready(r.core, r.now, process, 7, &r.out));
    if (!take(false, process, 0, shared))
        return false;
    CORE(core_array_mapped(r.core, r.now, process, shared, PTOOLS_OK, "", &r.out));
    return true;
}

static bool dies(uint32_t process, uint64_t call)
{
    const struct msg_failure facts = { .code = PTOOLS_ERR_WORKER_DIED, .signal = 11, .phase = TEXT("counting") };
    const struct core_calls calls = { .running = call, .begun = { call } };

    CORE(core_stask_gone(r.core, r.now, process, &facts, &calls, &r.out));
    return true;
}

static bool server_tasks(void)
{
    const struct msg_failure not_made = { .code = PTOOLS_ERR_WORKER_DIED };
    const struct core_calls none = { 0 };
    struct msg_stasks m = { .count = 2, .n_arrays = 1, .arrays = (uint64_t[1]){ 0 }, .index = 1, .call = 5 };
    struct stask *tasks;

    if (!array_made("shared", 0, false, m.arrays) || !stasks(MSG_STASKS_START, &m))
        return false;
    m.stasks = r.core->last_stasks;
    tasks = stasks_find(r.core, m.stasks)->tasks;
    CORE(core_stask_gone(r.core, r.now, tasks[0].process, &not_made, &none, &r.out));
    if (!comes_up(tasks[0].process, m.arrays[0]) || !comes_up(tasks[1].process, m.arrays[0]))
        return false;
    m.process = tasks[1].process;
    CORE(core_array_for_value(r.core, r.now, m.process, r.client, 5, 10, &r.out));
    if (!made(r.core->last_array, PTOOLS_OK) || !stasks(MSG_STASKS_CANCEL, &m) || !stasks(MSG_STASKS_FATE, &m))
        return false;
    CORE(core_tick(r.core, r.now + 2000000, &r.out));
    if (!dies(m.process, 5) || !stasks(MSG_STASKS_FATE, &m) || !stasks(MSG_STASKS_RESTART, &m) ||
        !comes_up(tasks[1].process, m.arrays[0]) || !stasks(MSG_STASKS_STOP, &m))
        return false;
    m.process = tasks[0].process;
    return dies(tasks[1].process, 0) && dies(m.process, 0);
}

static bool more_server_tasks(void)
{
    struct msg_stasks m = { .count = 1, .name = TEXT("named") };

    return stasks(MSG_STASKS_START, &m) && stasks(MSG_STASKS_START, &m) && stasks(MSG_STASKS_OPEN, &m);
}

/* -- the script ---------------------------------------------------------------------------------------------- */

/* false: an action or more was lost, and the core said so. */
static bool script(void)
{
    const struct msg_failure facts = { .code = PTOOLS_ERR_WORKER_DIED, .signal = 9 };
    uint32_t members[] = { 1, 2, 3 };
    uint64_t id;
    int e;

    for (uint32_t w = 1; w <= 3; w++)
        CORE(core_worker_ready(r.core, r.now, w, 5, &r.out));
    CORE(e = core_client_add(r.core, 1000, &r.client));
    if (e < 0) {
        ck_assert_int_eq(e, -ENOMEM);
        clean_failures++;
        ck_assert_int_eq(core_client_add(r.core, 1000, &r.client), 0);
    }
    if (!loaded("m", PTOOLS_OK) || !arrays() || !server_tasks() || !more_server_tasks())
        return false;
    if (!set(SET_RR, "named", MSG_SET_CREATE, 0, members, 3) ||
        !set(SET_FF, NULL, MSG_SET_CREATE, 0, members, 1) || !calls())
        return false;
    CORE(core_assign(r.core, r.now, &r.out));
    if (!nested())
        return false;
    if (!loaded("x", PTOOLS_OK) || !loaded("y", PTOOLS_ERR_MODULE_BROKEN))
        return false;
    CORE(core_workers_add(r.core, r.now, r.client, ++r.request, 2, &r.out));
    if (!set(SET_FF, NULL, MSG_SET_CHANGE, 1, members, 2) || !set(SET_RR, NULL, MSG_SET_CHANGE, 1, members + 1, 2))
        return false;
    id = rig_worker(&r, 1)->oldest;
    CORE(core_worker_gone(r.core, r.now, 1, &facts, &id, 1, &r.out));
    CORE(core_workers_remove(r.core, r.now, r.client, ++r.request, 2, &r.out));
    CORE(core_worker_gone(r.core, r.now, 3, &facts, NULL, 0, &r.out));
    CORE(core_tick(r.core, r.now + 20000, &r.out));
    CORE(core_drain(r.core, r.now, true, &r.out));
    return true;
}

START_TEST(every_single_one)
{
    bool whole = false;

    for (scarce_fails = 1; !whole; scarce_fails++) {
        rig_limits(&r);
        actions_init(&r.out);
        scarce_count = 0;
        scarce_armed = true;
        r.core = core_new(&r.limits, 1, 3, r.now, &r.out);
        scarce_armed = false;
        if (!r.core) {
            clean_failures++;
        } else if (!r.out.no_memory && script()) {
            whole = scarce_count < scarce_fails;
        } else {
            loud_failures++;
        }
        r.core = core_free(r.core);
        actions_deinit(&r.out);
        ck_assert_uint_lt(scarce_fails, 10000);
    }
    ck_assert_uint_gt(clean_failures, 75);
    ck_assert_uint_gt(loud_failures, 90);
    printf("# each of %u requests for memory failed\n", (unsigned)(clean_failures + loud_failures));
}
END_TEST

/* A pause that the journal tells of at the start: of a user who is not known yet. */
START_TEST(recovered_pause)
{
    int e = -ENOMEM;

    rig_limits(&r);
    actions_init(&r.out);
    r.core = core_new(&r.limits, 1, 3, r.now, &r.out);
    for (scarce_fails = 1; e != 0; scarce_fails++) {
        scarce_count = 0;
        scarce_armed = true;
        e = core_recover_pause(r.core, 1000, (struct text){ "x", 1 });
        scarce_armed = false;
        ck_assert(e == 0 || e == -ENOMEM);
        ck_assert_ptr_null(core_check(r.core));
    }
    ck_assert_uint_gt(scarce_fails, 2);
    ck_assert_str_eq(core_view_pause(r.core, 1000, 0), "x");
    r.core = core_free(r.core);
    actions_deinit(&r.out);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core without memory");
    TCase *tc = suite_case(suite, "no memory");

    tcase_add_test(tc, every_single_one);
    tcase_add_test(tc, recovered_pause);
    return suite_run(suite);
}
