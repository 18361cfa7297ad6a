/* SPDX-License-Identifier: MIT */
/*
 * qtask -- what one event makes of thousands of tasks is done in pieces: so much in a turn, and the rest in the next
 * ones, which the core wants at once. What is counted is work, not time.
 */
#include "tests/unit/core/rig_queue.h"

enum { MANY = 3 * TURN_WORK + 7, VERY_MANY = 100000 };

static struct rig r;
static uint64_t ids[MANY];

static void setup(void)
{
    rig_limits(&r);
    rig_queue_start(&r, 1);
}

static void setup_keeping(uint32_t kept_max)
{
    rig_limits(&r);
    r.limits.user_kept_max = kept_max;
    rig_queue_start(&r, 1);
}

/* So often, without looking at all after each. ret_ids may be NULL. */
static void queue_times(const struct msg_submit *m, size_t n, uint64_t *ret_ids)
{
    const struct msg_request request = { .kind = MSG_TASK_SUBMIT, .id = 1, .submit = *m };
    AUTO(blob) spec = NULL;
    struct bytes bytes;

    bytes_init(&bytes, ENVELOPE_BYTES_MAX);
    msg_request_encode(&request, &bytes);
    spec = blob_new(bytes.data, bytes.n);
    bytes_deinit(&bytes);
    for (size_t i = 0; i < n; i++) {
        if (ret_ids)
            ret_ids[i] = r.core->next_task;
        ck_assert_int_eq(core_queue(r.core, r.now, r.client, ++r.request, m, spec, NULL, &r.out), 0);
    }
    rig_check(&r);
}

static void queue_many(const struct msg_submit *m)
{
    queue_times(m, MANY, ids);
}

static size_t count_shown(uint32_t shown)
{
    size_t n = 0;

    for (size_t i = 0; i < MANY; i++)
        n += rig_shown(&r, ids[i]) == shown;
    return n;
}

static bool wants_more(void)
{
    return core_next_us(r.core) <= r.now;
}

/* Turn by turn, until there is no more; each makes as much as it may, and no more, of so many. */
static void go_on(uint32_t shown, size_t all)
{
    size_t before = count_shown(shown);

    ck_assert_uint_gt(before, 0);
    ck_assert_uint_le(before, TURN_WORK);
    for (unsigned turns = 1; before < all; turns++) {
        size_t now;

        ck_assert_uint_le(turns, MANY / TURN_WORK + 1);
        ck_assert(wants_more());
        rig_tick(&r, 1);
        now = count_shown(shown);
        ck_assert_uint_le(now - before, TURN_WORK);
        before = now;
    }
    rig_tick(&r, 1);
    ck_assert(!wants_more());
    ck_assert_uint_eq(before, all);
}

START_TEST(a_cascade)
{
    uint64_t first;

    setup();
    first = rig_queued(&r, SUBMIT());
    queue_many(SUBMIT(.n_after = 1, .after = &first));
    r.now++;
    rig_change(&r, CHANGE_CANCEL, first);
    go_on(SHOWN_CANCELLED, MANY);
    rig_end(&r);
}
END_TEST

/* ... of one that is done: all go on. */
START_TEST(those_that_waited)
{
    uint64_t first;

    setup();
    first = rig_queued(&r, SUBMIT());
    queue_many(SUBMIT(.n_after = 1, .after = &first));
    rig_assign(&r);
    r.now++;
    rig_qdone(&r, first);
    go_on(SHOWN_QUEUED, MANY);
    rig_end(&r);
}
END_TEST

START_TEST(a_chain)
{
    setup();
    for (size_t i = 0; i < MANY; i++) {
        const struct msg_submit m = { .function = TEXT("m.f"), .n_after = i > 0, .after = &ids[i - (i > 0)] };
        const struct msg_request request = { .kind = MSG_TASK_SUBMIT, .id = 1, .submit = m };
        AUTO(blob) spec = NULL;
        struct bytes bytes;

        bytes_init(&bytes, ENVELOPE_BYTES_MAX);
        msg_request_encode(&request, &bytes);
        spec = blob_new(bytes.data, bytes.n);
        bytes_deinit(&bytes);
        ids[i] = r.core->next_task;
        ck_assert_int_eq(core_queue(r.core, r.now, r.client, ++r.request, &m, spec, NULL, &r.out), 0);
    }
    r.now++;
    rig_change(&r, CHANGE_CANCEL, ids[0]);
    ck_assert(wants_more());
    for (unsigned turns = 0; wants_more(); turns++) {
        ck_assert_uint_le(turns, 2 * MANY / TURN_WORK + 2); /* each is two pieces: its end, and what follows */
        rig_tick(&r, 1);
    }
    ck_assert_uint_eq(count_shown(SHOWN_CANCELLED), MANY);
    rig_end(&r);
}
END_TEST

START_TEST(expiries)
{
    setup();
    queue_many(SUBMIT(.expire_ms = 1000, .hold = true));
    rig_tick(&r, 1000000);
    go_on(SHOWN_EXPIRED, MANY);
    rig_end(&r);
}
END_TEST

START_TEST(what_is_recorded)
{
    uint64_t first, request = 0;

    setup();
    first = rig_queued(&r, SUBMIT(.durability = TASK_CRASHSAFE));
    queue_many(SUBMIT(.durability = TASK_CRASHSAFE, .n_after = 1, .after = &first));
    request = r.request;
    r.now++;
    rig_clear(&r);
    core_recorded(r.core, r.now, r.core->row_number, &r.out);
    ck_assert_uint_eq(rig_count(&r, ACT_ANSWER), TURN_WORK); /* accepted so far */
    while (wants_more())
        rig_tick(&r, 1);
    ck_assert_uint_eq(rig_count(&r, ACT_ANSWER), MANY);
    rig_queue_id(&r, request);
    r.now++;
    rig_clear(&r);
    rig_change(&r, CHANGE_CANCEL, first);
    rig_recorded(&r);
    ck_assert_uint_lt(rig_count(&r, ACT_RECORD), TURN_WORK + 2); /* the ends go to the journal in pieces ... */
    while (wants_more())
        rig_tick(&r, 1);
    ck_assert_uint_eq(rig_count(&r, ACT_RECORD), MANY + 1);
    ck_assert_uint_eq(count_shown(SHOWN_CANCELLED), 0);
    r.now++;
    rig_recorded(&r); /* ... and when all are there, they are told in pieces */
    go_on(SHOWN_CANCELLED, MANY);
    rig_end(&r);
}
END_TEST

/* The journal fails when not all has been made of what it has: that counts all the same. */
START_TEST(what_is_recorded_before_the_journal_fails)
{
    setup();
    queue_many(SUBMIT(.durability = TASK_DURABLE));
    r.now++;
    core_recorded(r.core, r.now, r.core->row_number - 1, &r.out);
    core_record_failed(r.core, r.now, "the disk is gone", &r.out);
    rig_check(&r);
    for (size_t i = 0; i < MANY - 1; i++)
        ck_assert_uint_eq(rig_queue_id(&r, r.request - MANY + 1 + i), ids[i]);
    rig_failure(&r, r.request, PTOOLS_ERR_STORAGE);
    rig_end(&r);
}
END_TEST

/* What came first is forgotten while those behind it go on, in turns: it failed, was done, or failed, and they come
 * after any end of it. */
START_TEST(forgotten_between_two_turns)
{
    for (int how = 0; how < 3; how++) {
        uint64_t first;

        setup();
        first = rig_queued(&r, SUBMIT());
        queue_many(SUBMIT(.n_after = 1, .after = &first, .after_any = how == 2));
        rig_assign(&r);
        r.now++;
        if (how == 1)
            rig_qdone(&r, first);
        else
            rig_qfailed(&r, first, PTOOLS_ERR_FAILED, "no");
        ck_assert_uint_eq(count_shown(SHOWN_WAITING), MANY - TURN_WORK);
        rig_change(&r, CHANGE_FORGET, first);
        while (wants_more())
            rig_tick(&r, 1);
        ck_assert_uint_eq(count_shown(how ? SHOWN_QUEUED : SHOWN_CANCELLED), MANY);
        rig_end(&r);
    }
}
END_TEST

/* It failed, and is run anew between two turns: those that were not looked at wait for its next end. */
START_TEST(run_anew_between_two_turns)
{
    uint64_t first;

    setup();
    first = rig_queued(&r, SUBMIT());
    queue_many(SUBMIT(.n_after = 1, .after = &first));
    rig_assign(&r);
    r.now++;
    rig_qfailed(&r, first, PTOOLS_ERR_FAILED, "no");
    rig_change(&r, CHANGE_RERUN, first);
    while (wants_more())
        rig_tick(&r, 1);
    ck_assert_uint_eq(count_shown(SHOWN_CANCELLED), TURN_WORK);
    rig_assign(&r);
    rig_qdone(&r, first);
    while (wants_more())
        rig_tick(&r, 1);
    ck_assert_uint_eq(count_shown(SHOWN_QUEUED), MANY - TURN_WORK);
    rig_end(&r);
}
END_TEST

/* -- and room is made ------------------------------------------------------------------------------------------ */

static void all_turns(void)
{
    while (wants_more())
        core_tick(r.core, ++r.now, &r.out);
    rig_check(&r);
}

START_TEST(many_end_with_one_that_makes_room)
{
    uint64_t first, last;

    setup_keeping(10);
    first = rig_queued(&r, SUBMIT());
    rig_assign(&r);
    queue_times(SUBMIT(.n_after = 1, .after = &first), VERY_MANY, NULL);
    last = r.core->next_task - 1;
    rig_qfailed(&r, first, PTOOLS_ERR_FAILED, "no");
    ck_assert_uint_eq(rig_shown(&r, first), SHOWN_FAILED); /* not all that wait for it know yet */
    all_turns();
    ck_assert_uint_eq(rig_shown(&r, first), 0);
    ck_assert_uint_eq(rig_shown(&r, last), SHOWN_CANCELLED);
    ck_assert_uint_eq(client_find(r.core, r.client)->user->n_kept, 10);
    rig_end(&r);
}
END_TEST

START_TEST(many_hoped_for_one_that_makes_room)
{
    uint64_t first, last, other;

    setup_keeping(10);
    first = rig_queued(&r, SUBMIT());
    rig_assign(&r);
    rig_qfailed(&r, first, PTOOLS_ERR_FAILED, "no");
    queue_times(SUBMIT(.n_after = 1, .after = &first, .after_keep = true), VERY_MANY, NULL);
    last = r.core->next_task - 1;
    for (int i = 0; i < 10; i++) {
        ck_assert_uint_eq(rig_shown(&r, last), SHOWN_WAITING);
        other = rig_queued(&r, SUBMIT());
        rig_assign(&r);
        rig_qdone(&r, other);
    }
    all_turns();
    ck_assert_uint_eq(rig_shown(&r, first), 0);
    ck_assert_uint_eq(rig_shown(&r, last), SHOWN_CANCELLED);
    ck_assert_uint_eq(client_find(r.core, r.client)->user->n_kept, 10);
    rig_end(&r);
}
END_TEST

/* Before all that waited for it know, one that is to make room stays, and who queues meanwhile is not refused. */
START_TEST(room_is_made_in_the_next_turn)
{
    uint64_t first, then;

    setup_keeping(1);
    first = rig_queued(&r, SUBMIT());
    rig_assign(&r);
    queue_many(SUBMIT(.n_after = 1, .after = &first));
    r.now++;
    rig_qfailed(&r, first, PTOOLS_ERR_FAILED, "no");
    ck_assert_uint_gt(client_find(r.core, r.client)->user->n_kept, 1);
    then = rig_queued(&r, SUBMIT());
    ck_assert_uint_eq(rig_shown(&r, then), SHOWN_QUEUED);
    all_turns();
    ck_assert_uint_eq(client_find(r.core, r.client)->user->n_kept, 1);
    rig_end(&r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core qtask turns");
    TCase *tc = suite_case(suite, "turns");

    tcase_add_test(tc, a_cascade);
    tcase_add_test(tc, those_that_waited);
    tcase_add_test(tc, a_chain);
    tcase_add_test(tc, expiries);
    tcase_add_test(tc, what_is_recorded);
    tcase_add_test(tc, what_is_recorded_before_the_journal_fails);
    tcase_add_test(tc, forgotten_between_two_turns);
    tcase_add_test(tc, run_anew_between_two_turns);
    tc = suite_case(suite, "room");
    tcase_add_test(tc, many_end_with_one_that_makes_room);
    tcase_add_test(tc, many_hoped_for_one_that_makes_room);
    tcase_add_test(tc, room_is_made_in_the_next_turn);
    return suite_run(suite);
}
