/* SPDX-License-Identifier: MIT */
/*
 * test_queued_list -- client/lib/queued_list.c and priorities.c: looks at queued tasks, and what is decided for all
 * that wait.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "proto/value.h"
#include "tests/support/suite.h"
#include "tests/unit/lib/fake.h"

static struct fake f;
static ptools *pt;

static void begin(int via, fake_script *script)
{
    fake_begin(&f);
    fake_run(&f, script);
    pt = fake_open(&f, via);
}

static void end(void)
{
    ptools_close(pt);
    fake_end(&f);
}

static bool text_is(struct text t, const char *s)
{
    return t.n == strlen(s) && memcmp(t.data, s, t.n) == 0;
}

static void reply_counts(struct fake *s, uint64_t id, uint32_t count, uint32_t skipped)
{
    fake_reply(s, &(struct msg_answer){ .id = id, .reply = { .count = count, .skipped = skipped } }, NULL);
}

/* -- looks ----------------------------------------------------------------------------------------------------- */

static void pack_pair_u64(ptools_pack *p, const char *key, uint64_t v)
{
    ptools_pack_str(p, key);
    ptools_pack_u64(p, v);
}

static void pack_pair_str(ptools_pack *p, const char *key, const char *v)
{
    ptools_pack_str(p, key);
    ptools_pack_str(p, v);
}

/* A task with as little as there is; args: ["argument", id]. */
static void pack_task(ptools_pack *p, uint64_t id, const char *state, bool args)
{
    ptools_pack *list = ptools_pack_new();
    const uint8_t *data;
    size_t n;

    ptools_pack_map(p, 5u + args);
    pack_pair_u64(p, "id", id);
    pack_pair_str(p, "state", state);
    pack_pair_str(p, "function", "t.f");
    pack_pair_str(p, "target", id % 2 ? "any" : "worker 2");
    ptools_pack_str(p, "priority");
    ptools_pack_f64(p, (double)id / 2);
    if (args) {
        ptools_pack_str(list, "argument");
        ptools_pack_u64(list, id);
        FAKE_CHECK(pack_finish_arguments(list, &data, &n) == PTOOLS_OK);
        ptools_pack_str(p, "args");
        ptools_pack_bytes(p, data, n);
    }
    ptools_pack_free(list);
}

static void pack_full_task(ptools_pack *p)
{
    static const char *const numbers[] = { "id",          "parent", "attempt",    "attempts",   "kills",  "worker",
                                           "queued_ms",   "due_ms", "started_ms", "ended_ms",   "run_us", "args_bytes",
                                           "value_bytes", "code",   "progress",   "progress_of" };

    ptools_pack_map(p, (uint32_t)(sizeof numbers / sizeof *numbers) + 17);
    pack_pair_u64(p, "nobody-knows", 1);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        pack_pair_u64(p, numbers[i], i + 1);
    pack_pair_u64(p, "parts", 4);
    pack_pair_u64(p, "cpu_us", 17);
    pack_pair_u64(p, "peak_bytes", 18);
    pack_pair_str(p, "phase", "sorting");
    pack_pair_str(p, "log", "one\ntwo\n");
    pack_pair_str(p, "message", "out of ink");
    pack_pair_str(p, "target", "host a b");
    pack_pair_str(p, "function", "t.f");
    pack_pair_str(p, "state", "failed");
    pack_pair_str(p, "durability", "durable");
    ptools_pack_str(p, "hold");
    ptools_pack_bool(p, true);
    ptools_pack_str(p, "idempotent");
    ptools_pack_bool(p, true);
    ptools_pack_str(p, "maybe_executed");
    ptools_pack_bool(p, true);
    ptools_pack_str(p, "key");
    ptools_pack_bytes(p, "k\0y", 3);
    ptools_pack_str(p, "tags");
    ptools_pack_list(p, 2);
    ptools_pack_str(p, "a");
    ptools_pack_str(p, "b/c");
    ptools_pack_str(p, "after");
    ptools_pack_list(p, 2);
    ptools_pack_u64(p, 7);
    ptools_pack_u64(p, 8);
}

static void reply_page(struct fake *s, const struct msg_request *r, uint64_t first, uint32_t n, uint64_t next)
{
    ptools_pack *p = ptools_pack_new();

    ptools_pack_map(p, 2);
    ptools_pack_str(p, "tasks");
    ptools_pack_list(p, n);
    for (uint32_t i = 0; i < n; i++)
        pack_task(p, first + i, i % 2 ? "queued" : "waiting", r->task.args);
    pack_pair_u64(p, "next", next);
    fake_reply(s, &(struct msg_answer){ .id = r->id }, p);
    ptools_pack_free(p);
}

static void shows(struct fake *s)
{
    ptools_pack *p = ptools_pack_new();
    struct msg_request r;

    fake_accept_hello(s);
    for (int i = 0; i < 2; i++) { /* by id, by key */
        fake_next_of(s, MSG_TASK_GET, &r);
        FAKE_CHECK(i == 0 ? r.task.task == 1 : text_is(r.task.key, "mine"));
        FAKE_CHECK(!r.task.args);
        ptools_pack_reset(p);
        ptools_pack_map(p, 1);
        ptools_pack_str(p, "tasks");
        ptools_pack_list(p, 1);
        pack_full_task(p);
        fake_reply(s, &(struct msg_answer){ .id = r.id, .reply = { .task = 1 } }, p);
    }
    fake_next_of(s, MSG_TASK_GET, &r);
    fake_error(s, r.id, PTOOLS_ERR_NO_TASK, "there is no task 2");
    fake_next_of(s, MSG_TASK_LIST, &r); /* two pages and none */
    FAKE_CHECK(r.task.states == (1u << SHOWN_WAITING | 1u << SHOWN_DONE) && text_is(r.task.tag, "x") && r.task.args);
    FAKE_CHECK(r.task.after == 0);
    reply_page(s, &r, 10, 5, 14);
    fake_next_of(s, MSG_TASK_LIST, &r);
    FAKE_CHECK(r.task.after == 14 && r.task.args && text_is(r.task.tag, "x"));
    reply_page(s, &r, 20, 2, 21);
    fake_next_of(s, MSG_TASK_LIST, &r);
    FAKE_CHECK(r.task.after == 21);
    reply_page(s, &r, 0, 0, 0);
    fake_until_closed(s);
    ptools_pack_free(p);
}

static void check_full(const ptools_queued_info *info)
{
    ck_assert_ptr_nonnull(info);
    ck_assert(info->id == 1 && info->parent == 2 && info->attempt == 3 && info->attempts == 4 && info->kills == 5);
    ck_assert(info->worker == 6 && info->queued_ms == 7 && info->due_ms == 8 && info->started_ms == 9);
    ck_assert(info->ended_ms == 10 && info->run_us == 11 && info->args_bytes == 12 && info->value_bytes == 13);
    ck_assert((int)info->code == 14 && info->progress == 15 && info->progress_of == 16 && info->parts == 4);
    ck_assert(info->cpu_us == 17 && info->peak_bytes == 18);
    ck_assert(info->state == PTOOLS_QUEUED_FAILED && info->durability == PTOOLS_DURABLE && info->hold);
    ck_assert(info->idempotent && info->maybe_executed && isinf(info->priority) && info->priority > 0);
    ck_assert_str_eq(info->phase, "sorting");
    ck_assert_str_eq(info->log, "one\ntwo\n");
    ck_assert_str_eq(info->message, "out of ink");
    ck_assert_str_eq(info->target, "host a b");
    ck_assert_str_eq(info->function, "t.f");
    ck_assert(info->key_bytes == 3 && memcmp(info->key, "k\0y", 3) == 0);
    ck_assert(info->n_tags == 2 && strcmp(info->tags[0], "a") == 0 && strcmp(info->tags[1], "b/c") == 0);
    ck_assert(info->n_after == 2 && info->after[0] == 7 && info->after[1] == 8);
    ck_assert_int_eq(ptools_value_kind(info->args), PTOOLS_NIL);
    ck_assert_str_eq(ptools_queued_state_name(info->state), "failed");
}

static void check_argument(const ptools_queued_info *info)
{
    ptools_value item;
    uint64_t n;

    ck_assert_int_eq(ptools_get_item(info->args, 1, &item), PTOOLS_OK);
    ck_assert_int_eq(ptools_get_u64(item, &n), PTOOLS_OK);
    ck_assert_uint_eq(n, info->id);
}

START_TEST(looks_tell_all)
{
    ptools_queued *list = NULL;

    begin(_i, shows);
    ck_assert_int_eq(ptools_queued_get(pt, 0, 0, &list), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_queued_get(pt, 1, 0, NULL), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_queued_get(pt, 1, 4, &list), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_queued_find(pt, NULL, 3, 0, &list), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_queued_find(pt, "x", 65, 0, &list), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_queued_list(pt, 1, NULL, 0, &list), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_queued_list(pt, 1u << 11, NULL, 0, &list), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_queued_list(pt, 0, "a b", 0, &list), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_queued_list(pt, 0, NULL, 0, NULL), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_queued_list(NULL, 0, NULL, 0, &list), PTOOLS_ERR_INVALID);
    ck_assert_ptr_null(list);

    ck_assert_int_eq(ptools_queued_get(pt, 1, 0, &list), PTOOLS_OK);
    ck_assert_uint_eq(ptools_queued_count(list), 1);
    check_full(ptools_queued_at(list, 0));
    ck_assert_ptr_null(ptools_queued_at(list, 1));
    ck_assert_ptr_null(ptools_queued_free(list));
    ck_assert_int_eq(ptools_queued_find(pt, "mine", 4, 0, &list), PTOOLS_OK);
    check_full(ptools_queued_at(list, 0));
    ptools_queued_free(list);
    ck_assert_int_eq(ptools_queued_get(pt, 2, 0, &list), PTOOLS_ERR_NO_TASK);

    ck_assert_int_eq(
        ptools_queued_list(pt, 1u << PTOOLS_QUEUED_WAITING | 1u << PTOOLS_QUEUED_DONE, "x", PTOOLS_LIST_ARGS, &list),
        PTOOLS_OK);
    end(); /* the list outlives its handle */
    ck_assert_uint_eq(ptools_queued_count(list), 7);
    for (size_t i = 0; i < 7; i++) {
        const ptools_queued_info *info = ptools_queued_at(list, i);

        ck_assert_uint_eq(info->id, i < 5 ? 10 + i : 15 + i);
        ck_assert_double_eq(info->priority, (double)info->id / 2);
        check_argument(info);
        check_argument(ptools_queued_at(list, i));
        ck_assert_str_eq(info->message, "");
        ck_assert_ptr_null(info->key);
    }
    ptools_queued_free(list);
    ck_assert_uint_eq(ptools_queued_count(NULL), 0);
    ck_assert_ptr_null(ptools_queued_at(NULL, 0));
    ck_assert_ptr_null(ptools_queued_free(NULL));
}
END_TEST

/* Documents that are not what the protocol says. */
static void pack_wrong(ptools_pack *p, int which)
{
    if (which == 0) {
        ptools_pack_str(p, "tasks");
        return;
    }
    if (which == 1) {
        ptools_pack_map(p, 0);
        return;
    }
    ptools_pack_map(p, 2);
    pack_pair_u64(p, "next", which == 2 ? 0 : 3); /* 3: not after what was asked for, the second time */
    ptools_pack_str(p, "tasks");
    if (which == 2) {
        ptools_pack_u64(p, 1);
        return;
    }
    ptools_pack_list(p, 1);
    if (which == 3) {
        ptools_pack_nil(p);
        return;
    }
    ptools_pack_map(p, which == 4 ? 1 : 3);
    pack_pair_u64(p, "id", which == 5 ? 0 : 1);
    if (which == 4)
        return;
    pack_pair_str(p, "state", which == 6 ? "asleep" : "done");
    switch (which) {
    case 7:
        pack_pair_str(p, "worker", "two");
        break;
    case 8:
        pack_pair_u64(p, "worker", UINT64_C(1) << 32);
        break;
    case 9:
        pack_pair_u64(p, "function", 1);
        break;
    case 10:
        pack_pair_str(p, "durability", "eternal");
        break;
    case 11:
        pack_pair_str(p, "tags", "a");
        break;
    case 12:
        ptools_pack_str(p, "after");
        ptools_pack_list(p, 1);
        ptools_pack_str(p, "x");
        break;
    case 13:
        pack_pair_str(p, "key", "text");
        break;
    case 14:
        pack_pair_str(p, "args", "text");
        break;
    case 15:
        ptools_pack_u64(p, 1);
        ptools_pack_u64(p, 1);
        break;
    default:
        pack_pair_str(p, "hold", "yes");
    }
}
enum { WRONG_DOCUMENTS = 17 };

static void shows_nonsense(struct fake *s)
{
    ptools_pack *p = ptools_pack_new();
    struct msg_request r;

    fake_accept_hello(s);
    for (int i = 0; i < WRONG_DOCUMENTS; i++) {
        fake_next_of(s, MSG_TASK_LIST, &r);
        ptools_pack_reset(p);
        pack_wrong(p, i);
        fake_reply(s, &(struct msg_answer){ .id = r.id }, p);
    }
    for (int i = 0; i < 2; i++) { /* a list without an end */
        fake_next_of(s, MSG_TASK_LIST, &r);
        reply_page(s, &r, 3, 1, 3);
    }
    fake_until_closed(s);
    ptools_pack_free(p);
}

START_TEST(malformed_documents_are_told_apart)
{
    ptools_queued *list = NULL;

    begin(VIA_UNIX, shows_nonsense);
    for (int i = 0; i < WRONG_DOCUMENTS + 1; i++) {
        ck_assert_msg(ptools_queued_list(pt, 0, NULL, PTOOLS_LIST_ARGS, &list) == PTOOLS_ERR_PROTOCOL, "document %d",
                      i);
        ck_assert_ptr_nonnull(strstr(ptools_error_message(pt), "list of tasks"));
    }
    ck_assert_ptr_null(list);
    end();
}
END_TEST

static void shows_odd_arguments(struct fake *s)
{
    ptools_pack *p = ptools_pack_new();
    struct msg_request r;

    fake_accept_hello(s);
    fake_next_of(s, MSG_TASK_LIST, &r);
    ptools_pack_map(p, 1);
    ptools_pack_str(p, "tasks");
    ptools_pack_list(p, 1);
    ptools_pack_map(p, 3);
    pack_pair_u64(p, "id", 1);
    pack_pair_str(p, "state", "queued");
    ptools_pack_str(p, "args");
    ptools_pack_bytes(p, "\xdd\xff\xff\xff\xff", 5); /* a list of 4 billion */
    fake_reply(s, &(struct msg_answer){ .id = r.id }, p);
    fake_until_closed(s);
    ptools_pack_free(p);
}

START_TEST(arguments_that_are_none_are_nil)
{
    ptools_queued *list;

    begin(VIA_UNIX, shows_odd_arguments);
    ck_assert_int_eq(ptools_queued_list(pt, 0, NULL, PTOOLS_LIST_ARGS, &list), PTOOLS_OK);
    ck_assert_int_eq(ptools_value_kind(ptools_queued_at(list, 0)->args), PTOOLS_NIL);
    ptools_queued_free(list);
    end();
}
END_TEST

/* -- decisions ------------------------------------------------------------------------------------------------- */

static double priority_at(struct span payload, size_t i, uint64_t *ret_task)
{
    double priority;

    memcpy(ret_task, payload.data + 16 * i, 8);
    memcpy(&priority, payload.data + 16 * i + 8, 8);
    return priority;
}

static void takes_decisions(struct fake *s)
{
    struct msg_request r;
    uint64_t task;

    s->message_max = 70000;
    fake_accept_hello(s);
    for (int i = 0; i < 5; i++) {
        fake_next_of(s, MSG_TASK_LIST, &r);
        FAKE_CHECK(r.task.states == (1u << SHOWN_WAITING | 1u << SHOWN_QUEUED) && r.task.args && r.task.after == 0);
        reply_page(s, &r, 1, 3, 3);
        fake_next_of(s, MSG_TASK_LIST, &r);
        FAKE_CHECK(r.task.after == 3);
        reply_page(s, &r, 4, i == 4 ? 400 : 2, 0);
        switch (i) {
        case 0:
            fake_next_of(s, MSG_TASK_PRIORITIES, &r);
            FAKE_CHECK(fake_payload(s).n == 4 * 16);
            FAKE_CHECK(priority_at(fake_payload(s), 0, &task) == 10.5 && task == 1);
            FAKE_CHECK(priority_at(fake_payload(s), 3, &task) == 12.5 && task == 5); /* 4 is left alone */
            reply_counts(s, r.id, 3, 1);
            break;
        case 1: /* drop_if: the odd ones */
            fake_next_of(s, MSG_TASK_CHANGE, &r);
            FAKE_CHECK(r.task.change == CHANGE_DEQUEUE && r.task.n_tasks == 3 && r.task.tasks[0] == 1);
            reply_counts(s, r.id, 2, 1);
            break;
        case 2: /* keep_if: the even ones */
            fake_next_of(s, MSG_TASK_CHANGE, &r);
            FAKE_CHECK(r.task.n_tasks == 2 && r.task.tasks[0] == 2 && r.task.tasks[1] == 4);
            reply_counts(s, r.id, 2, 0);
            break;
        default: /* nothing; too much */
            break;
        }
    }
    fake_until_closed(s);
}

static double calc(const char *target, const ptools_queued_info *task, double current, void *arg)
{
    ++*(unsigned *)arg;
    ck_assert_str_eq(target, task->id % 2 ? "any" : "worker 2");
    ck_assert_double_eq(current, (double)task->id / 2);
    check_argument(task);
    return task->id == 4 ? (double)NAN : current + 10;
}

static double leave(const char *target, const ptools_queued_info *task, double current, void *arg)
{
    (void)target, (void)task, (void)current, (void)arg;
    return (double)NAN;
}

static double number(const char *target, const ptools_queued_info *task, double current, void *arg)
{
    (void)target, (void)current, (void)arg;
    return (double)task->id;
}

static bool is_odd(const ptools_queued_info *task, void *arg)
{
    ++*(unsigned *)arg;
    check_argument(task);
    return task->id % 2;
}

START_TEST(all_are_decided_here)
{
    uint64_t changed = 77, skipped = 77, removed = 77;
    unsigned calls = 0;

    begin(_i, takes_decisions);
    ck_assert_int_eq(ptools_set_priorities(pt, NULL, NULL, NULL, NULL), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_dequeue_worker_tasks_drop_if(pt, NULL, NULL, NULL), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_dequeue_worker_tasks_keep_if(pt, NULL, NULL, NULL), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_set_priorities(pt, calc, &calls, &changed, &skipped), PTOOLS_OK);
    ck_assert(calls == 5 && changed == 3 && skipped == 1);
    ck_assert_int_eq(ptools_dequeue_worker_tasks_drop_if(pt, is_odd, &calls, &removed), PTOOLS_OK);
    ck_assert(calls == 10 && removed == 2);
    ck_assert_int_eq(ptools_dequeue_worker_tasks_keep_if(pt, is_odd, &calls, &removed), PTOOLS_OK);
    ck_assert(calls == 15 && removed == 2);
    ck_assert_int_eq(ptools_set_priorities(pt, leave, NULL, &changed, &skipped), PTOOLS_OK);
    ck_assert(changed == 0 && skipped == 0);
    ck_assert_int_eq(ptools_set_priorities(pt, number, NULL, &changed, &skipped), PTOOLS_ERR_TOO_LARGE);
    ck_assert_ptr_nonnull(strstr(ptools_error_message(pt), "403 tasks"));
    ck_assert_ptr_nonnull(strstr(ptools_error_message(pt), "at most 70000"));
    ck_assert(changed == 0);
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lib/queued_list");
    TCase *tc = suite_case(suite, "looks");

    tcase_add_loop_test(tc, looks_tell_all, 0, VIAS);
    tcase_add_test(tc, malformed_documents_are_told_apart);
    tcase_add_test(tc, arguments_that_are_none_are_nil);
    tc = suite_case(suite, "decisions");
    tcase_add_loop_test(tc, all_are_decided_here, 0, VIAS);
    return suite_run(suite);
}
