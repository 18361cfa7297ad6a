/* SPDX-License-Identifier: MIT */
/*
 * A script that comes by every place where the core asks for memory, run with its 1st, 2nd, 3rd ... request failing,
 * until one run needs no more. What must hold: core_new() gives NULL; core_submit() and core_client_add() give
 * -ENOMEM, nothing has changed, and the same call works afterwards; everything else says so in
 * actions.no_memory. Never a crash, a leak, or a core that does not agree with itself.
 *
 * Linked with --wrap for the functions below.
 */
#include <errno.h>
#include <string.h>

#include "tests/unit/core/rig.h"

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t n);

static bool armed;     /* only while the core runs */
static uint64_t count; /* requests so far */
static uint64_t fails; /* the one that fails */

static bool fail_now(void)
{
    return armed && ++count == fails;
}

void *__wrap_malloc(size_t n)
{
    return fail_now() ? NULL : __real_malloc(n);
}
void *__wrap_calloc(size_t n, size_t size)
{
    return fail_now() ? NULL : __real_calloc(n, size);
}
void *__wrap_realloc(void *p, size_t n)
{
    return fail_now() ? NULL : __real_realloc(p, n);
}
char *__wrap_strdup(const char *s)
{
    return fail_now() ? NULL : __real_strdup(s);
}
char *__wrap_strndup(const char *s, size_t n)
{
    return fail_now() ? NULL : __real_strndup(s, n);
}

static struct rig r;
static uint64_t clean_failures, loud_failures;

#define CORE(call)                                                                                                     \
    do {                                                                                                               \
        armed = true;                                                                                                  \
        call;                                                                                                          \
        armed = false;                                                                                                 \
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

static bool submit(const char *function, uint32_t set, uint64_t deadline_ms, bool detached)
{
    const struct msg_call call = {
        .function = { function, strlen(function) }, .set_id = set, .deadline_ms = deadline_ms, .detached = detached
    };
    struct core_stats before, after;
    AUTO(blob) payload = blob_new("x", 1);
    size_t actions = r.out.n, known = modules();
    uint32_t cursor = set ? r.core->sets->cursor : 0;
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
    ck_assert_uint_eq(payload->refs, 1);
    ck_assert_int_eq(core_submit(r.core, r.now, r.client, r.request, &call, payload, &r.out), 0);
    ck_assert_ptr_null(core_check(r.core));
    return true;
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
    if (!loaded("m", PTOOLS_OK) || !set(SET_RR, "named", MSG_SET_CREATE, 0, members, 3) ||
        !set(SET_FF, NULL, MSG_SET_CREATE, 0, members, 1) || !calls())
        return false;
    CORE(core_assign(r.core, r.now, &r.out));
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

    for (fails = 1; !whole; fails++) {
        rig_limits(&r);
        actions_init(&r.out);
        count = 0;
        armed = true;
        r.core = core_new(&r.limits, 1, 3, r.now, &r.out);
        armed = false;
        if (!r.core) {
            clean_failures++;
        } else if (!r.out.no_memory && script()) {
            whole = count < fails;
        } else {
            loud_failures++;
        }
        r.core = core_free(r.core);
        actions_deinit(&r.out);
        ck_assert_uint_lt(fails, 10000);
    }
    ck_assert_uint_gt(clean_failures, 60);
    ck_assert_uint_gt(loud_failures, 20);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core without memory");
    TCase *tc = suite_case(suite, "no memory");

    tcase_add_test(tc, every_single_one);
    return suite_run(suite);
}
