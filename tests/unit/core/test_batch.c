/* SPDX-License-Identifier: MIT */
/*
 * batch -- calls with many items, as the core sees them: what it refuses, what the worker is told, what becomes of
 * the items that are done when the batch ends, however it ends; and the time of each item.
 */
#include "tests/unit/core/rig.h"

static struct rig r;

static void setup(uint32_t workers)
{
    rig_limits(&r);
    rig_start(&r, workers);
}

static uint64_t batch(const char *function, uint32_t items, uint64_t item_ms)
{
    const struct msg_call call = { .function = { function, strlen(function) }, .items = items, .item_ms = item_ms };

    return rig_call_with(&r, r.client, &call);
}

/* One that its worker has. */
static uint64_t given(uint32_t items, uint64_t item_ms)
{
    uint64_t q = batch("m.f", items, item_ms);

    rig_assign(&r);
    ck_assert_uint_ne(rig_where(&r, q), 0);
    rig_clear(&r);
    return q;
}

static void tell(uint64_t request, uint32_t items, uint32_t failed)
{
    AUTO(blob) records = blob_new("records", 7);
    struct task *t = rig_task(&r, request);

    core_items(r.core, t->worker->id, t->id, items, failed, records);
}

static void looked(uint64_t request, bool running, uint32_t items)
{
    struct task *t = rig_task(&r, request);

    core_looked(r.core, r.now, t->worker->id, t->id, running, items, &r.out);
    rig_check(&r);
}

static void check_records(const struct action *answer, uint32_t items)
{
    ck_assert_ptr_nonnull(answer);
    ck_assert_uint_eq(answer->answer.failed ? answer->answer.failure.items : answer->answer.reply.items, items);
    if (items == 0) {
        ck_assert_ptr_null(answer->payload);
    } else {
        ck_assert_uint_eq(answer->payload->n, 7);
        ck_assert_mem_eq(answer->payload->data, "records", 7);
    }
}

START_TEST(a_worker_is_told_what_is_different)
{
    const struct msg_call call = { .function = TEXT("m.f"),
                                   .items = 9,
                                   .item_ms = 50,
                                   .hand_back_ms = 40,
                                   .map = 3,
                                   .init = TEXT("m.g"),
                                   .reduce = TEXT("m.h"),
                                   .values = 2,
                                   .large = 1000 };
    const struct action *run;
    uint64_t q;

    setup(1);
    q = rig_call_with(&r, r.client, &call);
    rig_assign(&r);
    run = rig_find(&r, ACT_RUN, 0);
    ck_assert_uint_eq(run->batch.items, 9);
    ck_assert_uint_eq(run->batch.hand_back_ms, 40);
    ck_assert_uint_eq(run->batch.map, (uint64_t)r.client << 32 | 3); /* another client's third is another one */
    ck_assert_str_eq(run->batch.init, "m.g");
    ck_assert_str_eq(run->batch.op, "m.h");
    ck_assert_uint_eq(run->batch.values, 2);
    ck_assert_uint_eq(run->large.limit, 0); /* values of a batch do not go through arrays */
    tell(q, 9, 2);
    rig_done(&r, q, 900);
    check_records(rig_answer(&r, q), 9);
    ck_assert_uint_eq(rig_answer(&r, q)->answer.reply.items_failed, 2);
    ck_assert_uint_eq(rig_answer(&r, q)->answer.reply.workers, 1);
    q = rig_call(&r, "m.f");
    rig_clear(&r);
    rig_assign(&r);
    ck_assert_uint_eq(rig_find(&r, ACT_RUN, 0)->batch.items, 0);
    rig_done(&r, q, 1);
    rig_end(&r);
}
END_TEST

static const struct {
    struct msg_call call;
    const char *why;
} refused[] = {
    { { .item_ms = 1 }, "items: it is missing" },
    { { .hand_back_ms = 1 }, "items: it is missing" },
    { { .map = 1 }, "items: it is missing" },
    { { .init = { "m.g", 3 } }, "items: it is missing" },
    { { .captured = 5, .captured_bytes = 1 }, "items: it is missing" },
    { { .isolated = true }, "items: it is missing" },
    { { .reduce = { "m.g", 3 } }, "items: it is missing" },
    { { .items = 2, .values = 1 }, "values: it is for batches with reduce" },
    { { .items = 2, .values = 3, .reduce = { "m.g", 3 } }, "values: it is more than items" },
    { { .items = 2, .isolated = true, .reduce = { "m.g", 3 } }, "isolated: it is not for batches with reduce" },
    { { .items = 2, .detached = true }, "detached: " },
    { { .items = 2, .room = 7 }, "room: " },
    { { .items = 2, .captured = 5, .args = 5, .args_bytes = 1 }, "captured: it must be another array" },
};

START_TEST(what_makes_no_sense_is_refused)
{
    struct msg_call call = refused[_i].call;
    uint64_t q;

    setup(1);
    call.function = TEXT("m.f");
    q = rig_call_with(&r, r.client, &call);
    ck_has(rig_failure(&r, q, PTOOLS_ERR_BAD_REQUEST), refused[_i].why);
    rig_end(&r);
}
END_TEST

START_TEST(what_is_done_outlives_the_worker)
{
    uint64_t q;

    setup(1);
    q = given(10, 0);
    tell(q, 4, 1);
    rig_dies(&r, 1, 9, q);
    ck_has(rig_failure(&r, q, PTOOLS_ERR_WORKER_DIED), "signal 9");
    ck_assert(rig_answer(&r, q)->answer.failure.maybe_executed);
    check_records(rig_answer(&r, q), 4);
    rig_end(&r);
}
END_TEST

START_TEST(a_worker_that_dies_behind_its_batch_has_done_it)
{
    uint64_t q;

    setup(1);
    q = given(10, 0);
    tell(q, 10, 3);
    rig_dies(&r, 1, 9, q);
    ck_assert(!rig_answer(&r, q)->answer.failed);
    check_records(rig_answer(&r, q), 10);
    ck_assert_uint_eq(rig_answer(&r, q)->answer.reply.items_failed, 3);
    rig_end(&r);
}
END_TEST

/* What it was reduced to may be gone with the worker. */
START_TEST(a_worker_that_dies_behind_its_reduction_has_failed)
{
    const struct msg_call call = { .function = TEXT("m.f"), .items = 10, .reduce = TEXT("m.h") };
    uint64_t q;

    setup(1);
    q = rig_call_with(&r, r.client, &call);
    rig_assign(&r);
    rig_clear(&r);
    tell(q, 10, 0);
    rig_dies(&r, 1, 9, q);
    ck_has(rig_failure(&r, q, PTOOLS_ERR_WORKER_DIED), "signal 9");
    ck_assert(rig_answer(&r, q)->answer.failure.maybe_executed);
    check_records(rig_answer(&r, q), 10);
    rig_end(&r);
}
END_TEST

START_TEST(one_that_was_not_begun_waits_for_another_worker)
{
    uint64_t q;

    setup(2);
    q = given(10, 20);
    rig_dies(&r, 1, 9, 0);
    ck_assert_ptr_null(rig_answer(&r, q));
    rig_assign(&r);
    ck_assert_uint_eq(rig_where(&r, q), 2);
    tell(q, 10, 0);
    rig_done(&r, q, 100);
    check_records(rig_answer(&r, q), 10);
    rig_end(&r);
}
END_TEST

START_TEST(more_than_it_was_given_is_not_believed)
{
    uint64_t q;

    setup(1);
    q = given(10, 0);
    tell(q, 11, 0);
    rig_dies(&r, 1, 11, q);
    rig_failure(&r, q, PTOOLS_ERR_WORKER_DIED);
    check_records(rig_answer(&r, q), 0);
    core_items(r.core, 1, 12345, 1, 0, NULL); /* nor of what is not there */
    rig_end(&r);
}
END_TEST

START_TEST(what_is_done_when_it_is_cancelled_counts)
{
    uint64_t q;

    setup(1);
    q = given(10, 0);
    rig_cancel(&r, q);
    rig_revoke(&r, false);
    tell(q, 6, 0);
    rig_failed(&r, q, PTOOLS_ERR_CANCELLED, "the batch was stopped");
    rig_failure(&r, q, PTOOLS_ERR_CANCELLED);
    check_records(rig_answer(&r, q), 6);
    rig_end(&r);
}
END_TEST

START_TEST(an_item_that_is_stuck_is_found)
{
    uint64_t q;

    setup(1);
    q = given(10, 100);
    rig_tick(&r, 24999);
    ck_assert_uint_eq(rig_count(&r, ACT_LOOK), 0);
    for (int i = 0; i < 20; i++) { /* it gets on */
        rig_tick(&r, 25000);
        ck_assert_uint_eq(rig_count(&r, ACT_LOOK), 1);
        rig_clear(&r);
        looked(q, true, (uint32_t)i / 3);
    }
    ck_assert_uint_eq(rig_count(&r, ACT_REVOKE), 0);
    rig_tick(&r, 25000);
    looked(q, true, 7);
    rig_clear(&r);
    for (int i = 0; i < 3; i++) {
        rig_tick(&r, 25000);
        looked(q, true, 7);
        ck_assert_uint_eq(rig_count(&r, ACT_REVOKE), 0);
    }
    rig_tick(&r, 25000); /* 100 ms after it was first seen there */
    looked(q, true, 7);
    ck_assert_uint_eq(rig_count(&r, ACT_REVOKE), 1);
    rig_revoke(&r, false);
    tell(q, 7, 0);
    rig_dies(&r, 1, 9, q);
    ck_has(rig_failure(&r, q, PTOOLS_ERR_DEADLINE), "an item of m.f ran for more than 100 ms in worker 1");
    check_records(rig_answer(&r, q), 7);
    rig_end(&r);
}
END_TEST

static const struct action *limit(uint64_t of, uint64_t item_ms)
{
    const uint64_t q = ++r.request;

    core_call_limit(r.core, r.now, r.client, q, &(const struct msg_limit){ of, item_ms }, &r.out);
    rig_check(&r);
    return rig_answer(&r, q);
}

START_TEST(its_time_can_be_changed_while_it_runs)
{
    uint64_t q, later;

    setup(1);
    q = given(1, 0);
    later = batch("m.f", 1, 0); /* waits */
    rig_tick(&r, 10000000);
    ck_assert_uint_eq(rig_count(&r, ACT_LOOK), 0);
    ck_assert(!limit(q, 100)->answer.failed);
    ck_assert(!limit(q, 100)->answer.reply.done);
    ck_assert(!limit(later, 100)->answer.failed);
    for (int i = 0; i < 5; i++) { /* from now on, not from its beginning */
        rig_tick(&r, 25000);
        ck_assert_uint_eq(rig_count(&r, ACT_LOOK), 1);
        ck_assert_uint_eq(rig_count(&r, ACT_REVOKE), 0);
        rig_clear(&r);
        looked(q, true, 0);
    }
    ck_assert_uint_eq(rig_count(&r, ACT_REVOKE), 1);
    ck_assert(!limit(q, 200)->answer.failed); /* it is being stopped, and that stands */
    rig_revoke(&r, false);
    tell(q, 0, 0);
    rig_dies(&r, 1, 9, q);
    ck_has(rig_failure(&r, q, PTOOLS_ERR_DEADLINE), "an item of m.f ran for more than");
    rig_ready(&r, 1);
    rig_assign(&r);
    rig_clear(&r);
    rig_tick(&r, 25000);
    ck_assert_uint_eq(rig_count(&r, ACT_LOOK), 1); /* the other one has it, too, ... */
    ck_assert(!limit(later, 0)->answer.failed);    /* ... until it has none */
    rig_clear(&r);
    rig_tick(&r, 10000000);
    ck_assert_uint_eq(rig_count(&r, ACT_LOOK), 0);
    tell(later, 1, 0);
    rig_done(&r, later, 100);
    ck_assert(limit(later, 5)->answer.reply.done);
    rig_end(&r);
}
END_TEST

/* Nobody has looked while it had none: where it is now it may have come to just before. */
START_TEST(what_was_seen_before_does_not_count_against_it)
{
    uint64_t q;

    setup(1);
    q = given(1, 100);
    rig_tick(&r, 25000);
    looked(q, true, 0);
    limit(q, 0);
    rig_tick(&r, 1000000);
    limit(q, 100);
    for (int i = 0; i < 5; i++) {
        ck_assert_uint_eq(rig_count(&r, ACT_REVOKE), 0);
        rig_tick(&r, 25000);
        looked(q, true, 0);
    }
    ck_assert_uint_eq(rig_count(&r, ACT_REVOKE), 1);
    rig_end(&r);
}
END_TEST

START_TEST(a_call_without_items_has_no_such_time)
{
    uint64_t q;

    setup(1);
    q = rig_call(&r, "m.f");
    ck_assert_int_eq(limit(q, 5)->answer.failure.code, PTOOLS_ERR_BAD_REQUEST);
    rig_end(&r);
}
END_TEST

START_TEST(one_that_has_not_begun_is_not_stuck)
{
    uint64_t q;

    setup(1);
    q = given(10, 100);
    for (int i = 0; i < 20; i++) {
        rig_tick(&r, 25000);
        looked(q, false, 0);
    }
    ck_assert_uint_eq(rig_count(&r, ACT_REVOKE), 0);
    rig_clear(&r);
    tell(q, 10, 0);
    rig_done(&r, q, 100);
    rig_tick(&r, 1000000);
    ck_assert_uint_eq(rig_count(&r, ACT_LOOK), 0); /* nothing is left to look at */
    core_looked(r.core, r.now, 1, 100, true, 3, &r.out);
    rig_end(&r);
}
END_TEST

/* m.short is known to take a microsecond. */
START_TEST(its_time_is_that_of_all_items)
{
    uint64_t q, small, large;

    setup(1);
    q = rig_call(&r, "m.short");
    rig_assign(&r);
    rig_clear(&r);
    small = batch("m.short", 3, 0);
    large = batch("m.short", 60000, 0);
    rig_assign(&r);
    ck_assert_uint_eq(rig_where(&r, small), 1); /* ahead */
    ck_assert_uint_eq(rig_where(&r, large), 0);
    rig_done(&r, q, 1);
    tell(small, 3, 0);
    rig_done(&r, small, 3);
    rig_assign(&r);
    tell(large, 60000, 0);
    rig_done(&r, large, 60000);
    q = rig_call(&r, "m.short");
    small = rig_call(&r, "m.short");
    rig_assign(&r);
    ck_assert_uint_eq(rig_where(&r, small), 1); /* it is still known as short */
    rig_done(&r, q, 1);
    rig_done(&r, small, 1);
    rig_end(&r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core/batch");
    TCase *tc = suite_case(suite, "batch");

    tcase_add_test(tc, a_worker_is_told_what_is_different);
    tcase_add_loop_test(tc, what_makes_no_sense_is_refused, 0, ELEMENTS(refused));
    tcase_add_test(tc, what_is_done_outlives_the_worker);
    tcase_add_test(tc, a_worker_that_dies_behind_its_batch_has_done_it);
    tcase_add_test(tc, a_worker_that_dies_behind_its_reduction_has_failed);
    tcase_add_test(tc, one_that_was_not_begun_waits_for_another_worker);
    tcase_add_test(tc, more_than_it_was_given_is_not_believed);
    tcase_add_test(tc, what_is_done_when_it_is_cancelled_counts);
    tcase_add_test(tc, an_item_that_is_stuck_is_found);
    tcase_add_test(tc, its_time_can_be_changed_while_it_runs);
    tcase_add_test(tc, what_was_seen_before_does_not_count_against_it);
    tcase_add_test(tc, a_call_without_items_has_no_such_time);
    tcase_add_test(tc, one_that_has_not_begun_is_not_stuck);
    tcase_add_test(tc, its_time_is_that_of_all_items);
    return suite_run(suite);
}
