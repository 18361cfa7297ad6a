/* SPDX-License-Identifier: MIT */
/* qtask_wait -- what a client is told: how far a task is; and if it did not read its events, what it missed, before
 * what follows. */
#include "tests/unit/core/rig_queue.h"

static struct rig r;
static size_t looked;

/* The next event of that subscription among the actions; NULL: none. */
static const struct msg_event *next_of(uint64_t request)
{
    while (looked < r.out.n) {
        const struct action *a = &r.out.v[looked++];

        if (a->type == ACT_EVENT && a->answer.id == request)
            return &a->answer.event;
    }
    return NULL;
}

/* The client's side is full: no event that is there now is sent. How many. */
static unsigned drop_all(void)
{
    unsigned n = 0;

    for (; looked < r.out.n; looked++) {
        const struct action *a = &r.out.v[looked];

        if (a->type != ACT_EVENT)
            continue;
        core_event_missed(r.core, a->client, a->answer.id, &a->answer.event);
        n++;
    }
    return n;
}

static uint64_t watch(void)
{
    const uint64_t request = rig_ask(&r, MSG_EVENTS, &(const struct msg_task){ 0 });

    looked = r.out.n;
    return request;
}

static void expect(uint64_t request, uint64_t seq, enum task_event_kind kind, uint64_t missed)
{
    const struct msg_event *e = next_of(request);

    ck_assert_ptr_nonnull(e);
    ck_assert_uint_eq(e->seq, seq);
    ck_assert_uint_eq(e->event, kind);
    ck_assert_uint_eq(e->missed, missed);
}

static void setup(void)
{
    rig_limits(&r);
    rig_queue_start(&r, 1);
    looked = 0;
}

START_TEST(what_was_missed_is_told_before_what_follows)
{
    uint64_t request, id;

    setup();
    request = watch();
    id = rig_queued(&r, SUBMIT());
    expect(request, 1, EVENT_QUEUED, 0);
    rig_assign(&r);
    rig_qdone(&r, id);
    ck_assert_uint_eq(drop_all(), 2); /* started, ended */
    id = rig_queued(&r, SUBMIT());
    expect(request, 2, EVENT_MISSED, 2);
    expect(request, 3, EVENT_QUEUED, 0);
    rig_assign(&r);
    expect(request, 4, EVENT_STARTED, 0);
    rig_end(&r);
}
END_TEST

START_TEST(that_it_missed_some_may_be_missed_too)
{
    uint64_t request, id;

    setup();
    request = watch();
    id = rig_queued(&r, SUBMIT());
    ck_assert_uint_eq(drop_all(), 1);
    rig_assign(&r);
    ck_assert_uint_eq(drop_all(), 2); /* that one was missed; started */
    rig_qdone(&r, id);
    expect(request, 1, EVENT_MISSED, 2);
    ck_assert_uint_eq(drop_all(), 1); /* only the end is missed now */
    core_events_caught_up(r.core, r.now, r.client, &r.out);
    expect(request, 2, EVENT_MISSED, 1);
    core_events_caught_up(r.core, r.now, r.client, &r.out);
    ck_assert_ptr_null(next_of(request));
    rig_end(&r);
}
END_TEST

START_TEST(each_subscription_is_told_its_own)
{
    struct text tags[] = { TEXT("night") };
    uint64_t all, tagged;
    size_t from;

    setup();
    all = watch();
    tagged = rig_ask(&r, MSG_EVENTS, &(const struct msg_task){ .tag = TEXT("night") });
    rig_queued(&r, SUBMIT(.n_tags = 1, .tags = tags));
    rig_queued(&r, SUBMIT());
    ck_assert_uint_eq(drop_all(), 3);
    from = looked;
    core_events_caught_up(r.core, r.now, r.client, &r.out);
    expect(all, 1, EVENT_MISSED, 2);
    looked = from;
    expect(tagged, 1, EVENT_MISSED, 1);
    rig_end(&r);
}
END_TEST

START_TEST(who_has_ended_it_is_told_nothing)
{
    uint64_t request;

    setup();
    request = watch();
    rig_queued(&r, SUBMIT());
    ck_assert_uint_eq(drop_all(), 1);
    rig_ask(&r, MSG_EVENTS_END, &(const struct msg_task){ .request = request });
    core_event_missed(r.core, r.client, request, &(const struct msg_event){ .event = EVENT_QUEUED });
    core_events_caught_up(r.core, r.now, r.client, &r.out);
    ck_assert_ptr_null(next_of(request));
    rig_end(&r);
}
END_TEST

START_TEST(progress_is_told_when_there_is_some)
{
    static const struct {
        uint64_t n, of;
    } steps[] = { { 3, 10 }, { 3, 10 }, { 4, 12 } };
    const struct msg_event *e;
    uint64_t request, id;

    setup();
    request = watch();
    id = rig_queued(&r, SUBMIT());
    rig_assign(&r);
    looked = r.out.n;
    for (uint32_t worker = 1; worker < 3; worker++) /* a worker may say anything */
        core_progress(r.core, r.now, worker, id + 2 - worker, 3, 10, &r.out);
    ck_assert_ptr_null(next_of(request));
    for (size_t i = 0; i < ELEMENTS(steps); i++) {
        core_progress(r.core, r.now, 1, id, steps[i].n, steps[i].of, &r.out);
        rig_check(&r);
        e = next_of(request);
        ck_assert(!e == (i == 1));
        if (!e)
            continue;
        ck_assert_uint_eq(e->event, EVENT_PROGRESS);
        ck_assert_uint_eq(e->task, id);
        ck_assert_uint_eq(e->progress, steps[i].n);
        ck_assert_uint_eq(e->progress_of, steps[i].of);
    }
    rig_end(&r);
}
END_TEST

/* Also one that had ended before. */
START_TEST(a_wait_for_all_ends_with_the_last)
{
    uint64_t ids[3], wait;

    setup();
    for (int i = 0; i < 3; i++)
        ids[i] = rig_queued(&r, SUBMIT());
    rig_assign(&r);
    rig_qdone(&r, ids[0]);
    wait = rig_ask(&r, MSG_TASK_WAIT, &(const struct msg_task){ .n_tasks = 3, .tasks = ids });
    for (int i = 1; i < 3; i++) {
        ck_assert_ptr_null(rig_answer(&r, wait));
        rig_assign(&r);
        rig_qdone(&r, ids[i]);
    }
    rig_queue_id(&r, wait);
    rig_end(&r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core qtask events");
    TCase *tc = suite_case(suite, "missed");

    tcase_add_test(tc, what_was_missed_is_told_before_what_follows);
    tcase_add_test(tc, that_it_missed_some_may_be_missed_too);
    tcase_add_test(tc, each_subscription_is_told_its_own);
    tcase_add_test(tc, who_has_ended_it_is_told_nothing);
    tcase_add_test(tc, progress_is_told_when_there_is_some);
    tcase_add_test(tc, a_wait_for_all_ends_with_the_last);
    return suite_run(suite);
}
