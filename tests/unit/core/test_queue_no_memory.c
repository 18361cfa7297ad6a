/* SPDX-License-Identifier: MIT */
/*
 * What clients ask of the queue, without memory: submissions of all kinds, and requests about tasks. See deeds.h.
 */
#include <string.h>

#include "tests/unit/core/deeds.h"

/* -- submissions ------------------------------------------------------------------------------------------------ */

/* It is accepted, or will be when its rows are written; and it is found by its number. */
static void accepted(uint64_t parts)
{
    uint64_t id;

    rig_recorded(&r);
    id = rig_queue_id(&r, r.request);
    ck_assert_uint_eq(rig_qtask(&r, id)->id, id);
    for (uint64_t i = 1; i <= parts; i++)
        ck_assert_ptr_nonnull(rig_qtask(&r, id + i));
}

static void after_submit(void)
{
    accepted(0);
    ck_assert_uint_eq(rig_shown(&r, rig_queue_id(&r, r.request)), SHOWN_QUEUED);
}

static void after_submit_waiting(void)
{
    accepted(0);
    ck_assert_uint_eq(rig_shown(&r, rig_queue_id(&r, r.request)), SHOWN_WAITING);
}

static void after_submit_all(void)
{
    accepted(WORKERS);
}

static void before_volatile(void)
{
    deed_encode(SUBMIT(.has_priority = true, .priority = 2));
}

/* So many that none of the tables has room for one more. */
static void before_full(void)
{
    for (int i = 0; i < 64; i++)
        rig_queued(&r, SUBMIT(.durability = TASK_CRASHSAFE, .expire_ms = 100000));
    deed_encode(SUBMIT(.durability = TASK_CRASHSAFE));
}

/* Everything that a submission can say, and others before and behind it. */
static void before_everything(void)
{
    struct text tags[TAGS_MAX];
    uint64_t after[TASK_AFTER_MAX];

    for (uint32_t i = 0; i < TAGS_MAX; i++)
        tags[i] = TEXT("x");
    for (uint32_t i = 0; i < TASK_AFTER_MAX; i++)
        after[i] = rig_queued(&r, SUBMIT(.durability = TASK_DURABLE));
    deed_encode(SUBMIT(.durability = TASK_DURABLE, .key = TEXT("a key"), .n_tags = TAGS_MAX, .tags = tags,
                       .n_after = TASK_AFTER_MAX, .after = after, .expire_ms = 50000, .deadline_ms = 1000, .keep_ms = 5,
                       .attempts = 3, .retry_on = RETRY_FAILED, .idempotent = true, .backoff_ms = 1,
                       .result_max = 100));
}

static void after_everything(void)
{
    struct qtask *q;

    accepted(0);
    q = rig_qtask(&r, rig_queue_id(&r, r.request));
    ck_assert_uint_eq(qtask_shown(q), SHOWN_WAITING);
    ck_assert(q->x->after && q->x->key && q->x->expire_us > r.now && q->has_times);
    ck_assert_ptr_eq(qtask_by_key(r.core, q->user, TEXT("a key"), false), q);
    rig_change(&r, CHANGE_CANCEL, q->id - 1); /* one of those that come first: it ends with that */
    rig_recorded(&r);
    rig_recorded(&r);
    ck_assert_uint_eq(rig_shown(&r, q->id), SHOWN_CANCELLED);
}

static void before_delayed(void)
{
    deed_encode(SUBMIT(.delay_ms = 1000, .durability = TASK_CRASHSAFE));
}

static void before_all(void)
{
    deed_encode(SUBMIT(.target = TARGET_ALL, .key = TEXT("all of them")));
}

static void before_all_durable(void)
{
    deed_encode(SUBMIT(.target = TARGET_ALL, .durability = TASK_DURABLE, .expire_ms = 1000));
}

/* More than a decoder begins with room for: whoever decodes it again must not find it empty. */
static void before_listed(void)
{
    static uint32_t list[WORKERS_MAX];

    for (uint32_t i = 0; i < WORKERS_MAX; i++)
        list[i] = i % 2 + 1;
    some_tasks(TASK_VOLATILE);
    deed_encode(SUBMIT(.n_workers = WORKERS_MAX, .workers = list, .n_after = 1, .after = tasks));
}

static void after_listed(void)
{
    const struct qtask *q;

    after_submit_waiting();
    q = rig_qtask(&r, rig_queue_id(&r, r.request));
    ck_assert_ptr_nonnull(q->set);
    ck_assert_uint_eq(q->set->n, 2);
}

static void before_worker(void)
{
    deed_encode(SUBMIT(.n_workers = 1, .workers = (uint32_t[]){ 2 }));
}

static void before_host(void)
{
    deed_encode(SUBMIT(.n_hosts = 1, .hosts = (struct text[]){ TEXT("here") }));
}

static void before_set(void)
{
    rig_set(&r, SET_RR, "named", (const uint32_t[]){ 1, 2, 0 });
    deed_encode(SUBMIT(.set = TEXT("named"), .durability = TASK_CRASHSAFE));
}

static void before_unknown(void)
{
    deed_encode(SUBMIT_OF("new.f", .durability = TASK_CRASHSAFE, .deadline_ms = 50));
}

static void after_unknown(void)
{
    static const char *const functions[] = { "f" };

    ck_assert_uint_eq(r.core->n_qtasks[QT_HELD], 1);
    ck_assert_uint_eq(rig_count(&r, ACT_LOAD), 1);
    rig_loaded(&r, "new", PTOOLS_OK, functions, 1);
    after_submit();
}

static void before_unknown_all(void)
{
    deed_encode(SUBMIT_OF("new.f", .target = TARGET_ALL));
}

static void after_unknown_all(void)
{
    static const char *const functions[] = { "f" };

    rig_loaded(&r, "new", PTOOLS_OK, functions, 1);
    accepted(WORKERS);
}

#define PASSING(number) ((struct text){ number "\0\0\0\0\0\0\0session!", 16 })

static void before_passing(void)
{
    deed_encode(SUBMIT(.key = PASSING("\1"), .key_passing = true));
}

static void after_passing(void)
{
    const struct user *u = client_find(r.core, r.client)->user;

    after_submit();
    ck_assert_uint_eq(qtask_by_key(r.core, u, deed_submit->key, true)->id, rig_queue_id(&r, r.request));
}

/* One that was overtaken on the way, in a list without room. */
static void before_passing_earlier(void)
{
    static const char *const numbers[] = { "\11", "\12", "\13", "\14" };

    for (size_t i = 0; i < ELEMENTS(numbers); i++) {
        char key[16] = "\0\0\0\0\0\0\0\0session";

        key[15] = '!';
        key[0] = numbers[i][0];
        rig_queued(&r, SUBMIT(.key = { key, sizeof key }, .key_passing = true));
    }
    deed_encode(SUBMIT(.key = PASSING("\7"), .key_passing = true));
}

static void before_again(void)
{
    rig_queued(&r, SUBMIT(.key = TEXT("mine")));
    deed_encode(SUBMIT(.key = TEXT("mine"), .wait = true));
}

static void after_again(void)
{
    const struct user *u = client_find(r.core, r.client)->user;
    const struct qtask *q = qtask_by_key(r.core, u, TEXT("mine"), false);

    ck_assert(request_in_use(r.core, client_find(r.core, r.client), r.request));
    rig_change(&r, CHANGE_CANCEL, q->id);
    ck_assert_ptr_nonnull(rig_answer(&r, r.request - 1));
}

static void before_blocked(void)
{
    r.core->limits.user_queued_max = 1;
    tasks[0] = rig_queued(&r, SUBMIT());
    deed_encode(SUBMIT(.block = true));
}

static void after_blocked(void)
{
    const uint64_t request = r.request;

    ck_assert_uint_eq(client_find(r.core, r.client)->user->n_blocked, 1);
    rig_change(&r, CHANGE_CANCEL, tasks[0]);
    ck_assert_uint_eq(rig_shown(&r, rig_queue_id(&r, request)), SHOWN_QUEUED);
}

/* -- requests about tasks ---------------------------------------------------------------------------------------- */

static const struct msg_task *asked;
static enum msg_kind asked_kind;

static void ask(enum msg_kind kind, const struct msg_task *m)
{
    static struct msg_task kept;

    kept = *m;
    asked = &kept;
    asked_kind = kind;
}

static void act_ask(void)
{
    r.request++;
    ARMED(core_queued(r.core, r.now, r.client, r.request, asked_kind, asked, &r.out));
}

static void before_result(void)
{
    some_tasks(TASK_VOLATILE);
    ask(MSG_TASK_RESULT, &(struct msg_task){ .task = tasks[0] });
}

static void after_waits(void)
{
    const uint64_t request = r.request;

    ck_assert_ptr_null(rig_answer(&r, request));
    for (int i = 0; i < TASKS; i++)
        rig_change(&r, CHANGE_CANCEL, tasks[i]);
    rig_recorded(&r);
    rig_recorded(&r);
    ck_assert_ptr_nonnull(rig_answer(&r, request));
}

static void before_wait(void)
{
    some_tasks(TASK_CRASHSAFE);
    ask(MSG_TASK_WAIT, &(struct msg_task){ .n_tasks = TASKS, .tasks = tasks });
}

static void before_wait_any(void)
{
    some_tasks(TASK_VOLATILE);
    ask(MSG_TASK_WAIT, &(struct msg_task){ .n_tasks = TASKS, .tasks = tasks, .any = true });
}

static void before_why(void)
{
    some_tasks(TASK_VOLATILE);
    ask(MSG_TASK_WHY, &(struct msg_task){ .task = tasks[1] });
}

static void before_events(void)
{
    ask(MSG_EVENTS, &(struct msg_task){ .tag = TEXT("x") });
}

static void answered(void)
{
    rig_recorded(&r);
    ck_assert_ptr_nonnull(rig_answer(&r, r.request));
    ck_assert(!rig_answer(&r, r.request)->answer.failed);
}

static void change(enum task_change change)
{
    ask(MSG_TASK_CHANGE, &(struct msg_task){ .n_tasks = TASKS, .tasks = tasks, .change = change });
}

static void before_dequeue(void)
{
    some_tasks(TASK_CRASHSAFE);
    change(CHANGE_DEQUEUE);
}

static void before_dequeue_volatile(void)
{
    some_tasks(TASK_VOLATILE);
    change(CHANGE_DEQUEUE);
}

static void all_are(uint32_t shown)
{
    answered();
    rig_recorded(&r);
    for (int i = 0; i < TASKS; i++)
        ck_assert_uint_eq(rig_shown(&r, tasks[i]), shown);
}

static void all_cancelled(void)
{
    all_are(SHOWN_CANCELLED);
}

static void all_waiting(void)
{
    all_are(SHOWN_WAITING);
}

static void all_queued(void)
{
    all_are(SHOWN_QUEUED);
}

static void all_forgotten(void)
{
    all_are(0);
}

static void before_hold(void)
{
    some_tasks(TASK_CRASHSAFE);
    change(CHANGE_HOLD);
}

static void before_release(void)
{
    some_tasks(TASK_CRASHSAFE);
    for (int i = 0; i < TASKS; i++)
        rig_change(&r, CHANGE_HOLD, tasks[i]);
    rig_recorded(&r);
    change(CHANGE_RELEASE);
}

static void before_kick(void)
{
    for (int i = 0; i < TASKS; i++)
        tasks[i] = rig_queued(&r, SUBMIT(.delay_ms = 10000));
    change(CHANGE_KICK);
}

static void end_them(uint32_t durability)
{
    some_tasks(durability);
    for (int i = 0; i < TASKS; i++)
        rig_change(&r, CHANGE_CANCEL, tasks[i]);
    rig_recorded(&r);
    rig_recorded(&r);
    rig_tick(&r, 1);
}

static void before_rerun(void)
{
    end_them(TASK_CRASHSAFE);
    change(CHANGE_RERUN);
}

/* Their set is gone with them, and made anew. */
static void before_rerun_listed(void)
{
    for (int i = 0; i < TASKS; i++) {
        tasks[i] = rig_queued(&r, SUBMIT(.n_workers = 2, .workers = (uint32_t[]){ 1, 2 }));
        rig_change(&r, CHANGE_CANCEL, tasks[i]);
    }
    rig_tick(&r, 1);
    ck_assert_uint_eq(HASH_COUNT(r.core->sets), 0);
    change(CHANGE_RERUN);
}

static void before_forget(void)
{
    end_them(TASK_CRASHSAFE);
    change(CHANGE_FORGET);
}

static void before_cancel_running(void)
{
    some_tasks(TASK_VOLATILE);
    rig_assign(&r);
    change(CHANGE_CANCEL);
}

static struct msg_priority pairs[TASKS];

static void before_priorities(void)
{
    some_tasks(TASK_CRASHSAFE);
    for (int i = 0; i < TASKS; i++)
        pairs[i] = (struct msg_priority){ tasks[i], -i };
}

static void act_priorities(void)
{
    r.request++;
    ARMED(core_priorities(r.core, r.now, r.client, r.request, (const uint8_t *)pairs, sizeof pairs, &r.out));
}

static void after_priorities(void)
{
    answered();
    for (int i = 0; i < TASKS; i++)
        ck_assert(rig_qtask(&r, tasks[i])->priority == -i);
}

/* -- all of them --------------------------------------------------------------------------------------------------- */

static const struct deed submissions[] = {
    { "submit", before_volatile, act_submit, after_submit, false },
    { "submit into full tables", before_full, act_submit, after_submit, false },
    { "submit with everything", before_everything, act_submit, after_everything, false },
    { "submit with a delay", before_delayed, act_submit, after_submit_waiting, false },
    { "submit for all", before_all, act_submit, after_submit_all, false },
    { "submit for all, durable", before_all_durable, act_submit, after_submit_all, false },
    { "submit for some workers", before_listed, act_submit, after_listed, false },
    { "submit for a worker", before_worker, act_submit, after_submit, false },
    { "submit for a host", before_host, act_submit, after_submit, false },
    { "submit for a set", before_set, act_submit, after_submit, false },
    { "submit of an unknown module", before_unknown, act_submit, after_unknown, false },
    { "submit of an unknown module for all", before_unknown_all, act_submit, after_unknown_all, false },
    { "submit with a passing key", before_passing, act_submit, after_passing, false },
    { "submit with an earlier passing key", before_passing_earlier, act_submit, after_passing, false },
    { "submit again", before_again, act_submit, after_again, true },
    { "submit over the limit, blocked", before_blocked, act_submit, after_blocked, true },
};

static const struct deed requests[] = {
    { "result", before_result, act_ask, after_waits, true },
    { "wait for all", before_wait, act_ask, after_waits, true },
    { "wait for any", before_wait_any, act_ask, after_waits, true },
    { "why", before_why, act_ask, answered, true },
    { "events", before_events, act_ask, answered, true },
    { "dequeue", before_dequeue, act_ask, all_cancelled, false },
    { "dequeue volatile ones", before_dequeue_volatile, act_ask, all_cancelled, false },
    { "hold", before_hold, act_ask, all_waiting, false },
    { "release", before_release, act_ask, all_queued, false },
    { "kick", before_kick, act_ask, all_queued, false },
    { "rerun", before_rerun, act_ask, all_queued, false },
    { "rerun for some workers", before_rerun_listed, act_ask, all_queued, false },
    { "forget", before_forget, act_ask, all_forgotten, false },
    { "cancel what runs", before_cancel_running, act_ask, answered, false },
    { "priorities", before_priorities, act_priorities, after_priorities, false },
};

START_TEST(submission)
{
    deed_run(&submissions[_i]);
}
END_TEST

START_TEST(request)
{
    deed_run(&requests[_i]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core queue without memory");
    TCase *tc = suite_case(suite, "asked");

    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, submission, 0, ELEMENTS(submissions));
    tcase_add_loop_test(tc, request, 0, ELEMENTS(requests));
    return suite_run(suite);
}
