/* SPDX-License-Identifier: MIT */
/*
 * test_queue -- client/lib/queue.c: what is refused before it is sent, what is sent, and what comes of it: acceptance,
 * callbacks, and the end that _execute_ waits for.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

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

static void idle(struct fake *s)
{
    fake_accept_hello(s);
    fake_until_closed(s);
}

/* -- what is refused ------------------------------------------------------------------------------------------- */

static void refused(const ptools_worker_task *task, const char *why)
{
    uint64_t id = 77;
    ptools_future *future = NULL;

    ck_assert_int_eq(ptools_queue_worker_task(pt, task, &id), PTOOLS_ERR_INVALID);
    ck_assert_msg(strstr(ptools_error_message(pt), why) != NULL, "\"%s\" lacks \"%s\"", ptools_error_message(pt), why);
    ck_assert_uint_eq(id, 77);
    ck_assert_int_eq(ptools_queue_worker_task_start(pt, task, &future), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_execute_worker_task(pt, task, 1000, &future, NULL), PTOOLS_ERR_INVALID);
    ck_assert_ptr_null(future);
}

#define REFUSED(why, ...)                                                                                              \
    do {                                                                                                               \
        ptools_worker_task t = PTOOLS_WORKER_TASK_INIT;                                                                \
        t.function = "t.f";                                                                                            \
        __VA_ARGS__;                                                                                                   \
        refused(&t, why);                                                                                              \
    } while (0)

START_TEST(what_is_wrong_is_refused_before_it_is_sent)
{
    static const char *const names[] = { "a b", "ok", NULL };
    static const uint32_t workers[] = { 1, 0, UINT32_MAX };
    static const uint64_t after[] = { 5, 0 };
    static char long_text[300];
    ptools_pack *unfinished = ptools_pack_new();

    memset(long_text, 'x', sizeof long_text - 1);
    ptools_pack_list(unfinished, 3);
    begin(VIA_UNIX, idle);
    refused(NULL, "NULL");
    REFUSED("function is \"(NULL)\"", t.function = NULL);
    REFUSED("MODULE.FUNCTION", t.function = "f");
    REFUSED("a list or map lacks items", t.args = unfinished);
    REFUSED("unknown bits 0x80 in flags", t.flags = 128);
    REFUSED("target is 5", t.target = (ptools_target)5);
    REFUSED("target is -1", t.target = (ptools_target)-1);
    REFUSED("0 workers", t.target = PTOOLS_TARGET_WORKERS, t.workers = workers);
    REFUSED("1025 workers", t.target = PTOOLS_TARGET_WORKERS, t.workers = workers, t.n_targets = 1025);
    REFUSED("workers is NULL", t.target = PTOOLS_TARGET_WORKERS, t.n_targets = 1);
    REFUSED("workers[1] is 0", t.target = PTOOLS_TARGET_WORKERS, t.workers = workers, t.n_targets = 2);
    REFUSED("workers[0] is 4294967295", t.target = PTOOLS_TARGET_WORKERS, t.workers = workers + 2, t.n_targets = 1);
    REFUSED("hosts is NULL", t.target = PTOOLS_TARGET_HOSTS, t.n_targets = 1);
    REFUSED("hosts[0] is \"a b\"", t.target = PTOOLS_TARGET_HOSTS, t.hosts = names, t.n_targets = 1);
    REFUSED("hosts[1] is \"(NULL)\"", t.target = PTOOLS_TARGET_HOSTS, t.hosts = names + 1, t.n_targets = 2);
    REFUSED("65 hosts", t.target = PTOOLS_TARGET_HOSTS, t.hosts = names, t.n_targets = 65);
    REFUSED("set is NULL", t.target = PTOOLS_TARGET_SET);
    REFUSED("belong to their own targets", t.workers = workers);
    REFUSED("belong to their own targets", t.target = PTOOLS_TARGET_ALL, t.n_targets = 1);
    REFUSED("belong to their own targets", t.target = PTOOLS_TARGET_WORKERS, t.workers = workers, t.n_targets = 1,
            t.hosts = names);
    REFUSED("not both", t.flags = PTOOLS_TASK_WAIT_TARGET | PTOOLS_TASK_ANY_TARGET);
    REFUSED("priority is not a number", t.priority = (double)NAN);
    REFUSED("durability is 4", t.durability = (ptools_durability)4);
    REFUSED("durability is -1", t.durability = (ptools_durability)-1);
    REFUSED("attempts is 256", t.attempts = 256);
    REFUSED("unknown bits 0x8 in retry_on", t.retry_on = 8);
    REFUSED("backoff_ms is -1", t.backoff_ms = -1);
    REFUSED("backoff_max_ms is -2", t.backoff_max_ms = -2);
    REFUSED("delay_ms is -3", t.delay_ms = -3);
    REFUSED("start_ms is -4", t.start_ms = -4);
    REFUSED("expire_ms is -5", t.expire_ms = -5);
    REFUSED("deadline_ms is -6", t.deadline_ms = -6);
    REFUSED("keep_ms is -7", t.keep_ms = -7);
    REFUSED("delay_ms or start_ms", t.delay_ms = 1, t.start_ms = 1);
    REFUSED("key_bytes is 65", t.key = long_text, t.key_bytes = 65);
    REFUSED("key_bytes is 0", t.key = long_text);
    REFUSED("key is NULL", t.key_bytes = 3);
    REFUSED("n_tags is 17", t.tags = names, t.n_tags = 17);
    REFUSED("tags is NULL", t.n_tags = 1);
    REFUSED("tags[0] is \"a b\"", t.tags = names, t.n_tags = 1);
    REFUSED("tags[1] is \"(NULL)\"", t.tags = names + 1, t.n_tags = 2);
    REFUSED("n_after is 65", t.after = after, t.n_after = 65);
    REFUSED("after is NULL", t.n_after = 2);
    REFUSED("after[1] is 0", t.after = after, t.n_after = 2);
    ptools_pack_free(unfinished);
    end();
}
END_TEST

START_TEST(structs_of_other_libraries)
{
    struct {
        ptools_worker_task task;
        uint64_t newer;
    } later = { .task = PTOOLS_WORKER_TASK_INIT };
    ptools_worker_task task = PTOOLS_WORKER_TASK_INIT;

    begin(VIA_UNIX, idle);
    task.function = "t.f";
    task.struct_size = 8;
    refused(&task, "struct_size is 8");
    later.task.struct_size = sizeof later;
    later.task.function = "t.f";
    later.newer = 1;
    refused(&later.task, "does not know");
    end();
}
END_TEST

static void callback_never(uint64_t task, ptools_future *result, void *arg)
{
    (void)task, (void)result, (void)arg;
    ck_abort_msg("called");
}

START_TEST(arguments_of_the_calls)
{
    ptools_worker_task task = PTOOLS_WORKER_TASK_INIT;
    ptools_value value;
    ptools_future *future = NULL;
    uint32_t n;
    int status;
    pid_t child;

    begin(VIA_UNIX, idle);
    task.function = "t.f";
    ck_assert_int_eq(ptools_queue_worker_task(NULL, &task, NULL), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_queue_worker_task_start(pt, &task, NULL), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_execute_worker_task(pt, &task, -3, &future, NULL), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_execute_worker_task(pt, &task, 10, NULL, &value), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_num_remotes(pt, NULL), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_num_remotes(NULL, &n), PTOOLS_ERR_INVALID);
    task.callback = callback_never;
    ck_assert_int_eq(ptools_execute_worker_task(pt, &task, 10, &future, NULL), PTOOLS_ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(ptools_error_message(pt), "callback"));
    child = fork();
    if (child == 0)
        _exit(ptools_queue_worker_task(pt, &task, NULL) == PTOOLS_ERR_FORKED &&
                      ptools_prep_remotes(pt, true) == PTOOLS_ERR_FORKED
                  ? 0
                  : 1);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    end();
}
END_TEST

/* -- what is sent ---------------------------------------------------------------------------------------------- */

static void looks_at_all_fields(struct fake *s)
{
    struct msg_request r;
    struct msg_submit *m = &r.submit;
    struct span payload;

    fake_accept_hello(s);
    fake_next_of(s, MSG_TASK_SUBMIT, &r); /* as little as possible */
    FAKE_CHECK(text_is(m->function, "t.f") && m->target <= TARGET_ANY && !m->has_priority && m->durability == 0);
    FAKE_CHECK(m->key.n == 16 && m->key_passing && !m->wait && !m->block && m->n_tags == 0 && m->n_after == 0);
    payload = fake_payload(s);
    FAKE_CHECK(payload.n == 1 && payload.data[0] == 0x90);
    fake_reply(s, &(struct msg_answer){ .id = r.id, .reply = { .task = 11, .state = SHOWN_QUEUED } }, NULL);

    fake_next_of(s, MSG_TASK_SUBMIT, &r); /* as much */
    FAKE_CHECK(m->n_workers == 2 && m->workers[0] == 3 && m->workers[1] == 9 && m->any_target && !m->wait_target);
    FAKE_CHECK(m->has_priority && m->priority == -2.5 && m->durability == TASK_DURABLE && m->attempts == 7);
    FAKE_CHECK(m->retry_on == (RETRY_FAILED | RETRY_TIMEOUT) && m->backoff_ms == 10 && m->backoff_max_ms == 20);
    FAKE_CHECK(m->delay_ms == 30 && m->start_ms == 0 && m->expire_ms == 40 && m->deadline_ms == 50 && m->keep_ms == 60);
    FAKE_CHECK(m->result_max == 70 && text_is(m->key, "mine") && !m->key_passing && m->idempotent && m->hold);
    FAKE_CHECK(m->n_tags == 2 && text_is(m->tags[0], "a:b") && text_is(m->tags[1], "c/d@e"));
    FAKE_CHECK(m->n_after == 2 && m->after[0] == 5 && m->after[1] == 6 && m->after_any && m->after_keep && m->block);
    fake_reply(s, &(struct msg_answer){ .id = r.id, .reply = { .task = 12, .duplicate = true } }, NULL);

    fake_next_of(s, MSG_TASK_SUBMIT, &r); /* hosts */
    FAKE_CHECK(m->n_hosts == 2 && text_is(m->hosts[0], "node-1.example") && text_is(m->hosts[1], "::1"));
    FAKE_CHECK(m->wait_target && m->start_ms == 1234);
    fake_reply(s, &(struct msg_answer){ .id = r.id, .reply = { .task = 13 } }, NULL);
    fake_next_of(s, MSG_TASK_SUBMIT, &r); /* all */
    FAKE_CHECK(m->target == TARGET_ALL);
    fake_reply(s, &(struct msg_answer){ .id = r.id, .reply = { .task = 14, .count = 3 } }, NULL);
    fake_until_closed(s);
}

START_TEST(what_is_described_is_sent)
{
    static const uint32_t workers[] = { 3, 9 };
    static const char *const tags[] = { "a:b", "c/d@e" }, *const hosts[] = { "node-1.example", "::1" };
    static const uint64_t after[] = { 5, 6 };
    ptools_worker_task task = PTOOLS_WORKER_TASK_INIT, plain = PTOOLS_WORKER_TASK_INIT;
    uint64_t id = 0;

    begin(_i, looks_at_all_fields);
    plain.function = task.function = "t.f";
    ck_assert_int_eq(ptools_queue_worker_task(pt, &plain, &id), PTOOLS_OK);
    ck_assert_uint_eq(id, 11);
    task.flags = PTOOLS_TASK_IDEMPOTENT | PTOOLS_TASK_ANY_TARGET | PTOOLS_TASK_AFTER_ANY | PTOOLS_TASK_AFTER_KEEP |
                 PTOOLS_TASK_HOLD | PTOOLS_TASK_BLOCK;
    task.target = PTOOLS_TARGET_WORKERS;
    task.n_targets = 2;
    task.workers = workers;
    task.priority = -2.5;
    task.durability = PTOOLS_DURABLE;
    task.attempts = 7;
    task.retry_on = PTOOLS_RETRY_FAILED | PTOOLS_RETRY_TIMEOUT;
    task.backoff_ms = 10;
    task.backoff_max_ms = 20;
    task.delay_ms = 30;
    task.expire_ms = 40;
    task.deadline_ms = 50;
    task.keep_ms = 60;
    task.result_max = 70;
    task.key = "mine";
    task.key_bytes = 4;
    task.tags = tags;
    task.n_tags = 2;
    task.after = after;
    task.n_after = 2;
    ck_assert_int_eq(ptools_queue_worker_task(pt, &task, &id), PTOOLS_OK);
    ck_assert_uint_eq(id, 12);
    plain.target = PTOOLS_TARGET_HOSTS;
    plain.hosts = hosts;
    plain.n_targets = 2;
    plain.flags = PTOOLS_TASK_WAIT_TARGET;
    plain.start_ms = 1234;
    ck_assert_int_eq(ptools_queue_worker_task(pt, &plain, NULL), PTOOLS_OK);
    plain = (ptools_worker_task)PTOOLS_WORKER_TASK_INIT;
    plain.function = "t.f";
    plain.target = PTOOLS_TARGET_ALL;
    ck_assert_int_eq(ptools_queue_worker_task(pt, &plain, &id), PTOOLS_OK);
    ck_assert_uint_eq(id, 14);
    end();
}
END_TEST

static void looks_at_sets(struct fake *s)
{
    struct msg_request r;

    fake_accept_hello(s);
    for (int i = 0; i < 2; i++) {
        fake_next_of(s, MSG_SET_CREATE, &r);
        fake_reply(s, &(struct msg_answer){ .id = r.id, .reply = { .set_id = 40 + (uint32_t)i } }, NULL);
        fake_next_of(s, MSG_TASK_SUBMIT, &r);
        FAKE_CHECK(i == 0 ? text_is(r.submit.set, "box") && r.submit.set_id == 0
                          : !r.submit.set.data && r.submit.set_id == 41);
        fake_reply(s, &(struct msg_answer){ .id = r.id, .reply = { .task = 1 } }, NULL);
    }
    fake_until_closed(s);
}

START_TEST(sets_go_by_name_or_number)
{
    static const uint32_t ids[] = { 1, 2 };
    ptools_worker_task task = PTOOLS_WORKER_TASK_INIT;
    ptools *other;
    struct fake g;

    begin(VIA_UNIX, looks_at_sets);
    task.function = "t.f";
    task.target = PTOOLS_TARGET_SET;
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(ptools_workerset_create(pt, i == 0 ? "box" : NULL, ids, 2, PTOOLS_WS_FF, &task.set),
                         PTOOLS_OK);
        ck_assert_int_eq(ptools_queue_worker_task(pt, &task, NULL), PTOOLS_OK);
        if (i == 0)
            ptools_workerset_free(task.set);
    }
    fake_begin(&g);
    fake_run(&g, idle);
    other = fake_open(&g, VIA_UNIX);
    ck_assert_int_eq(ptools_queue_worker_task(other, &task, NULL), PTOOLS_ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(ptools_error_message(other), "another handle"));
    ptools_close(pt);
    ck_assert_int_eq(ptools_queue_worker_task(other, &task, NULL), PTOOLS_ERR_CLOSED);
    ptools_workerset_free(task.set);
    ptools_close(other);
    fake_end(&f);
    fake_end(&g);
}
END_TEST

static void looks_at_keys(struct fake *s)
{
    char keys[3][16];
    struct msg_request r;

    fake_accept_hello(s);
    for (int i = 0; i < 3; i++) {
        fake_next_of(s, MSG_TASK_SUBMIT, &r);
        FAKE_CHECK(r.submit.key.n == 16);
        memcpy(keys[i], r.submit.key.data, 16);
        for (int k = 0; k < i; k++)
            FAKE_CHECK(memcmp(keys[i], keys[k], 16) != 0);
        fake_reply(s, &(struct msg_answer){ .id = r.id, .reply = { .task = 1 } }, NULL);
    }
    fake_until_closed(s);
}

START_TEST(no_two_tasks_have_one_key)
{
    ptools_worker_task task = PTOOLS_WORKER_TASK_INIT;

    begin(VIA_UNIX, looks_at_keys);
    task.function = "t.f";
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(ptools_queue_worker_task(pt, &task, NULL), PTOOLS_OK);
    end();
}
END_TEST

static void refuses(struct fake *s)
{
    static const char text[] = "user 1000 has 10 tasks, at most 10 are allowed";
    struct msg_request r;

    fake_accept_hello(s);
    fake_next_of(s, MSG_TASK_SUBMIT, &r);
    fake_reply(s,
               &(struct msg_answer){
                   .failed = true,
                   .id = r.id,
                   .failure = { .code = PTOOLS_ERR_LIMIT, .message = { text, sizeof text - 1 }, .retry_ms = 250 } },
               NULL);
    fake_until_closed(s);
}

START_TEST(a_limit_tells_when_to_try_again)
{
    ptools_worker_task task = PTOOLS_WORKER_TASK_INIT;
    uint64_t id = 5;

    begin(_i, refuses);
    task.function = "t.f";
    task.callback = callback_never;
    ck_assert_int_eq(ptools_queue_worker_task(pt, &task, &id), PTOOLS_ERR_LIMIT);
    ck_assert_int_eq(ptools_last_failure(pt)->retry_ms, 250);
    ck_assert_ptr_nonnull(strstr(ptools_error_message(pt), "at most 10"));
    ck_assert_uint_eq(id, 5);
    end();
}
END_TEST

START_TEST(no_answer_in_time)
{
    ptools_options options = PTOOLS_OPTIONS_INIT;
    ptools_worker_task task = PTOOLS_WORKER_TASK_INIT;

    fake_begin(&f);
    fake_run(&f, idle);
    options.address = fake_address(&f, _i);
    options.connect_timeout_ms = 1000;
    ck_assert_int_eq(ptools_open(&options, &pt, NULL), PTOOLS_OK);
    task.function = "t.f";
    task.callback = callback_never;
    ck_assert_int_eq(ptools_queue_worker_task(pt, &task, NULL), PTOOLS_ERR_TIMEOUT);
    ck_assert(ptools_last_failure(pt)->maybe_executed);
    end();
}
END_TEST

/* -- the end --------------------------------------------------------------------------------------------------- */

static void answer_result(struct fake *s, const struct msg_request *r, uint64_t number)
{
    ptools_pack *value = ptools_pack_new();

    ptools_pack_u64(value, number);
    fake_reply(s, &(struct msg_answer){ .id = r->id, .reply = { .task = r->task.task, .worker = 2, .attempt = 1 } },
               value);
    ptools_pack_free(value);
}

static void one_and_all(struct fake *s)
{
    struct msg_request r;

    fake_accept_hello(s);
    fake_next_of(s, MSG_TASK_SUBMIT, &r);
    fake_reply(s, &(struct msg_answer){ .id = r.id, .reply = { .task = 100 } }, NULL);
    fake_next_of(s, MSG_TASK_RESULT, &r);
    FAKE_CHECK(r.task.task == 100);
    answer_result(s, &r, 1);
    fake_next_of(s, MSG_TASK_SUBMIT, &r);
    fake_reply(s, &(struct msg_answer){ .id = r.id, .reply = { .task = 200, .count = 3 } }, NULL);
    for (uint64_t i = 1; i <= 3; i++) {
        fake_next_of(s, MSG_TASK_RESULT, &r);
        FAKE_CHECK(r.task.task == 200 + i);
        if (i == 2)
            fake_error(s, r.id, PTOOLS_ERR_FAILED, "no luck");
        else
            answer_result(s, &r, i);
    }
    fake_until_closed(s);
}

struct seen {
    unsigned calls;
    uint64_t tasks[16];
    uint64_t values[16];
    ptools_err codes[16];
};

static void note(uint64_t task, ptools_future *result, void *arg)
{
    struct seen *seen = arg;
    ptools_value value;

    ck_assert(ptools_future_done(result));
    seen->tasks[seen->calls] = task;
    seen->codes[seen->calls] = ptools_future_fetch(result, 0, &value);
    if (seen->codes[seen->calls] == PTOOLS_OK)
        ck_assert_int_eq(ptools_get_u64(value, &seen->values[seen->calls]), PTOOLS_OK);
    seen->calls++;
}

static void dispatch_until(const unsigned *calls, unsigned n)
{
    while (*calls < n)
        ck_assert_int_eq(ptools_dispatch(pt, 5000), PTOOLS_OK);
}

START_TEST(callbacks_come_at_the_end)
{
    ptools_worker_task task = PTOOLS_WORKER_TASK_INIT;
    struct seen seen = { 0 };

    begin(_i, one_and_all);
    task.function = "t.f";
    task.callback = note;
    task.arg = &seen;
    ck_assert_int_eq(ptools_queue_worker_task(pt, &task, NULL), PTOOLS_OK);
    ck_assert_uint_eq(seen.calls, 0);
    dispatch_until(&seen.calls, 1);
    ck_assert_uint_eq(seen.tasks[0], 100);
    ck_assert_uint_eq(seen.values[0], 1);
    task.target = PTOOLS_TARGET_ALL;
    ck_assert_int_eq(ptools_queue_worker_task(pt, &task, NULL), PTOOLS_OK);
    dispatch_until(&seen.calls, 4);
    for (unsigned i = 1; i < 4; i++) {
        ck_assert_uint_eq(seen.tasks[i], 200 + i);
        ck_assert_int_eq(seen.codes[i], i == 2 ? PTOOLS_ERR_FAILED : PTOOLS_OK);
    }
    end();
}
END_TEST

static void many(struct fake *s)
{
    struct msg_request r;
    uint64_t n = 0;

    fake_accept_hello(s);
    while (fake_next(s, &r)) {
        if (r.kind == MSG_TASK_SUBMIT)
            fake_reply(s, &(struct msg_answer){ .id = r.id, .reply = { .task = ++n } }, NULL);
        else
            answer_result(s, &r, r.task.task);
    }
}

static void queue_another(uint64_t task, ptools_future *result, void *arg)
{
    ptools_worker_task next = PTOOLS_WORKER_TASK_INIT;
    ptools_future *accepted;

    (void)task, (void)result;
    if (++*(unsigned *)arg >= 10)
        return;
    next.function = "t.f";
    next.callback = queue_another;
    next.arg = arg;
    ck_assert_int_eq(ptools_queue_worker_task_start(pt, &next, &accepted), PTOOLS_OK);
    ptools_future_free(accepted); /* the callback comes all the same */
}

START_TEST(callbacks_may_queue)
{
    ptools_worker_task task = PTOOLS_WORKER_TASK_INIT;
    unsigned calls = 0;

    begin(_i, many);
    task.function = "t.f";
    task.callback = queue_another;
    task.arg = &calls;
    ck_assert_int_eq(ptools_queue_worker_task(pt, &task, NULL), PTOOLS_OK);
    dispatch_until(&calls, 10);
    end();
}
END_TEST

START_TEST(acceptance_is_a_future)
{
    ptools_worker_task task = PTOOLS_WORKER_TASK_INIT;
    ptools_future *accepted[8];
    unsigned calls = 0;

    begin(_i, many);
    task.function = "t.f";
    ck_assert_int_eq(ptools_cork(pt), PTOOLS_OK);
    for (int i = 0; i < 8; i++) {
        calls = 9; /* of 10: no further task */
        task.callback = i == 7 ? queue_another : NULL;
        task.arg = &calls;
        ck_assert_int_eq(ptools_queue_worker_task_start(pt, &task, &accepted[i]), PTOOLS_OK);
        ck_assert_uint_eq(ptools_future_task(accepted[i]), 0);
    }
    ck_assert_int_eq(ptools_uncork(pt), PTOOLS_OK);
    ck_assert_int_eq(ptools_wait_all(pt, accepted, 8, 5000), PTOOLS_OK);
    for (int i = 0; i < 8; i++) {
        ck_assert_uint_eq(ptools_future_task(accepted[i]), (uint64_t)i + 1);
        ptools_future_free(accepted[i]);
    }
    dispatch_until(&calls, 10);
    end();
}
END_TEST

static void close_it(uint64_t task, ptools_future *result, void *arg)
{
    (void)task;
    ptools_close(pt);
    ck_assert(ptools_future_done(result));
    ++*(unsigned *)arg;
}

START_TEST(a_callback_may_close_the_handle)
{
    ptools_worker_task task = PTOOLS_WORKER_TASK_INIT;
    ptools_err err = PTOOLS_OK;
    unsigned calls = 0;

    begin(_i, many);
    task.function = "t.f";
    task.callback = close_it;
    task.arg = &calls;
    ck_assert_int_eq(ptools_queue_worker_task(pt, &task, NULL), PTOOLS_OK);
    ck_assert_int_eq(ptools_queue_worker_task(pt, &task, NULL), PTOOLS_OK); /* its callback never runs */
    while (err == PTOOLS_OK)
        err = ptools_dispatch(pt, 5000);
    ck_assert_int_eq(err, PTOOLS_ERR_CLOSED);
    ck_assert_uint_eq(calls, 1);
    fake_end(&f);
}
END_TEST

/* -- execute --------------------------------------------------------------------------------------------------- */

static void executes(struct fake *s)
{
    struct msg_request r, look;
    ptools_pack *value = ptools_pack_new();
    char key[16];

    fake_accept_hello(s);
    fake_next_of(s, MSG_TASK_SUBMIT, &r);
    FAKE_CHECK(r.submit.wait);
    ptools_pack_str(value, "cba");
    fake_reply(s, &(struct msg_answer){ .id = r.id, .reply = { .task = 7, .worker = 3, .attempt = 1 } }, value);
    fake_next_of(s, MSG_TASK_SUBMIT, &r);
    fake_error(s, r.id, PTOOLS_ERR_FAILED, "out of ink");
    fake_next_of(s, MSG_TASK_SUBMIT, &r); /* does not end in time ... */
    memcpy(key, r.submit.key.data, sizeof key);
    fake_next_of(s, MSG_TASK_GET, &look); /* ... so its id is asked for */
    FAKE_CHECK(look.task.key.n == sizeof key && memcmp(look.task.key.data, key, sizeof key) == 0);
    fake_reply(s, &(struct msg_answer){ .id = look.id, .reply = { .task = 9 } }, NULL);
    fake_next_of(s, MSG_CANCEL, &look);
    FAKE_CHECK(look.cancel.request == r.id);
    fake_error(s, r.id, PTOOLS_ERR_CANCELLED, "cancelled on request");
    fake_next_of(s, MSG_TASK_SUBMIT, &r); /* the same, but its end comes before the answer to that */
    fake_next_of(s, MSG_TASK_GET, &look);
    fake_reply(s, &(struct msg_answer){ .id = r.id, .reply = { .task = 10 } }, NULL);
    fake_error(s, look.id, PTOOLS_ERR_NO_TASK, "forgotten");
    fake_until_closed(s);
    ptools_pack_free(value);
}

START_TEST(execute_waits_for_the_end)
{
    ptools_worker_task task = PTOOLS_WORKER_TASK_INIT;
    ptools_future *future = NULL;
    ptools_value value;
    const char *text;
    size_t n;

    begin(_i, executes);
    task.function = "text.reverse";
    ck_assert_int_eq(ptools_execute_worker_task(pt, &task, 5000, &future, &value), PTOOLS_OK);
    ck_assert_int_eq(ptools_get_str(value, &text, &n), PTOOLS_OK);
    ck_assert(n == 3 && memcmp(text, "cba", 3) == 0);
    ck_assert_uint_eq(ptools_future_task(future), 7);
    ck_assert_uint_eq(ptools_future_worker(future), 3);
    future = ptools_future_free(future);
    ck_assert_int_eq(ptools_execute_worker_task(pt, &task, 5000, &future, NULL), PTOOLS_ERR_FAILED);
    ck_assert_ptr_null(future);
    ck_assert_str_eq(ptools_error_message(pt), "out of ink");

    ck_assert_int_eq(ptools_execute_worker_task(pt, &task, 0, &future, &value), PTOOLS_ERR_TIMEOUT);
    ck_assert_ptr_nonnull(strstr(ptools_error_message(pt), "task 9 stays in the queue"));
    ck_assert_uint_eq(ptools_last_failure(pt)->task, 9);
    ck_assert(!ptools_future_done(future));
    ck_assert_uint_eq(ptools_future_task(future), 9);
    ck_assert_int_eq(ptools_future_cancel(future), PTOOLS_OK);
    ck_assert_int_eq(ptools_future_fetch(future, 5000, NULL), PTOOLS_ERR_CANCELLED);
    ck_assert_uint_eq(ptools_future_task(future), 9);
    ptools_future_free(future);

    ck_assert_int_eq(ptools_execute_worker_task(pt, &task, 0, &future, &value), PTOOLS_OK);
    ck_assert_uint_eq(ptools_future_task(future), 10);
    ck_assert_int_eq(ptools_value_kind(value), PTOOLS_NIL);
    ptools_future_free(future);
    end();
}
END_TEST

/* -- remotes --------------------------------------------------------------------------------------------------- */

START_TEST(remotes_are_the_workers)
{
    uint32_t n = 0;

    begin(_i, fake_serve_one);
    ck_assert_int_eq(ptools_num_remotes(pt, &n), PTOOLS_OK);
    ck_assert_uint_eq(n, 2);
    ck_assert_int_eq(ptools_prep_remotes(pt, false), PTOOLS_OK);
    ck_assert_int_eq(ptools_prep_remotes(pt, true), PTOOLS_OK);
    ck_assert_int_eq(ptools_num_remotes(pt, &n), PTOOLS_OK);
    ck_assert_uint_eq(n, 2);
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lib/queue");
    TCase *tc = suite_case(suite, "refused");

    tcase_add_test(tc, what_is_wrong_is_refused_before_it_is_sent);
    tcase_add_test(tc, structs_of_other_libraries);
    tcase_add_test(tc, arguments_of_the_calls);
    tc = suite_case(suite, "sent");
    tcase_add_loop_test(tc, what_is_described_is_sent, 0, VIAS);
    tcase_add_test(tc, sets_go_by_name_or_number);
    tcase_add_test(tc, no_two_tasks_have_one_key);
    tcase_add_loop_test(tc, a_limit_tells_when_to_try_again, 0, VIAS);
    tcase_add_loop_test(tc, no_answer_in_time, 0, VIAS);
    tc = suite_case(suite, "ends");
    tcase_add_loop_test(tc, callbacks_come_at_the_end, 0, VIAS);
    tcase_add_loop_test(tc, callbacks_may_queue, 0, VIAS);
    tcase_add_loop_test(tc, acceptance_is_a_future, 0, VIAS);
    tcase_add_loop_test(tc, a_callback_may_close_the_handle, 0, VIAS);
    tcase_add_loop_test(tc, execute_waits_for_the_end, 0, VIAS);
    tcase_add_loop_test(tc, remotes_are_the_workers, 0, VIAS);
    return suite_run(suite);
}
