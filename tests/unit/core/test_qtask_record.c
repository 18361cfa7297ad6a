/* SPDX-License-Identifier: MIT */
/* qtask_record -- what is written before what, and what comes back after a restart. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "tests/unit/core/rig_restart.h"

static struct rig r;

static void setup(uint32_t workers)
{
    rig_limits(&r);
    rig_queue_start(&r, workers);
}

static const struct core_row *last_row(enum core_row_kind kind)
{
    const struct core_row *row = NULL;

    for (size_t i = 0; i < r.out.n; i++)
        if (r.out.v[i].type == ACT_RECORD && r.out.v[i].row && r.out.v[i].row->kind == kind)
            row = r.out.v[i].row;
    ck_assert_ptr_nonnull(row);
    return row;
}

START_TEST(accepted_when_it_is_recorded)
{
    const struct core_row *row;
    uint64_t request;

    setup(1);
    request = rig_queue(&r, SUBMIT(.durability = TASK_DURABLE));
    ck_assert_ptr_null(rig_answer(&r, request));
    row = last_row(ROW_NEW);
    ck_assert(row->durable && row->refusable);
    ck_assert_uint_eq(row->uid, 1000);
    ck_assert_mem_eq(row->args->data, "argument", 8);
    rig_assign(&r);
    ck_assert_uint_eq(rig_count(&r, ACT_RUN), 0); /* and it does not run before */
    core_recorded(r.core, r.now, row->number - 1, &r.out);
    ck_assert_ptr_null(rig_answer(&r, request));
    rig_recorded(&r);
    rig_queue_id(&r, request);
    rig_end(&r);
}
END_TEST

START_TEST(a_volatile_one_is_not_written)
{
    uint64_t id;

    setup(1);
    id = rig_queued(&r, SUBMIT());
    rig_assign(&r);
    rig_qdone(&r, id);
    rig_tick(&r, r.limits.keep_volatile_us);
    ck_assert_uint_eq(rig_count(&r, ACT_RECORD), 0);
    rig_end(&r);
}
END_TEST

START_TEST(the_attempt_is_written_before_the_worker_gets_it)
{
    uint64_t id;

    setup(1);
    id = rig_queued(&r, SUBMIT(.durability = TASK_DURABLE));
    rig_assign(&r);
    ck_assert_uint_eq(rig_count(&r, ACT_RUN), 0);
    ck_assert_uint_eq(last_row(ROW_LIFE)->life.attempt, 1);
    ck_assert_uint_eq(last_row(ROW_LIFE)->life.state, SHOWN_RUNNING);
    ck_assert(last_row(ROW_LIFE)->durable); /* it must not be run twice, whatever happens */
    ck_has(rig_why(&r, id), "gets it as soon as the journal has its attempt");
    rig_recorded(&r);
    ck_assert_uint_eq(rig_count(&r, ACT_RUN), 1);
    rig_end(&r);
}
END_TEST

START_TEST(one_that_may_be_repeated_needs_no_sync)
{
    setup(1);
    rig_queued(&r, SUBMIT(.durability = TASK_DURABLE, .idempotent = true));
    rig_assign(&r);
    ck_assert(!last_row(ROW_LIFE)->durable);
    rig_end(&r);
}
END_TEST

START_TEST(booked_and_taken_back)
{
    uint64_t id, better, request;

    setup(1);
    id = rig_queued(&r, SUBMIT(.durability = TASK_CRASHSAFE));
    rig_assign(&r);
    core_workers_remove(r.core, r.now, r.client, ++r.request, 1, &r.out);
    rig_check(&r);
    ck_assert_uint_eq(rig_shown(&r, id), SHOWN_QUEUED);
    ck_assert_uint_eq(rig_qtask(&r, id)->attempt, 0); /* it did not begin */
    ck_assert_uint_eq(last_row(ROW_LIFE)->life.attempt, 0);
    rig_recorded(&r); /* the row of the attempt means nothing any more */
    ck_assert_uint_eq(rig_count(&r, ACT_RUN), 0);
    core_workers_add(r.core, r.now, r.client, ++r.request, 1, &r.out);
    rig_ready(&r, 2);
    rig_assign(&r);
    better = rig_queued(&r, SUBMIT(.has_priority = true)); /* comes while the other is booked: behind it */
    rig_assign(&r);
    ck_assert_uint_eq(rig_shown(&r, better), SHOWN_QUEUED);
    request = rig_change(&r, CHANGE_CANCEL, id);
    ck_assert_ptr_null(rig_answer(&r, request)); /* what is answered is written */
    rig_recorded(&r);
    rig_queue_id(&r, request);
    ck_assert_uint_eq(rig_shown(&r, id), SHOWN_CANCELLED);
    rig_assign(&r);
    ck_assert_uint_eq(rig_shown(&r, better), SHOWN_RUNNING);
    rig_end(&r);
}
END_TEST

START_TEST(nobody_hears_of_an_end_that_is_not_written)
{
    uint64_t id, wait;

    setup(1);
    id = rig_queued(&r, SUBMIT(.durability = TASK_DURABLE));
    wait = rig_result(&r, id);
    rig_assign(&r);
    rig_recorded(&r);
    rig_qdone(&r, id);
    ck_assert_ptr_null(rig_answer(&r, wait));
    ck_assert_uint_eq(rig_shown(&r, id), SHOWN_RUNNING);
    ck_assert_uint_eq(last_row(ROW_LIFE)->life.state, SHOWN_DONE);
    ck_assert_mem_eq(last_row(ROW_LIFE)->value->data, "value", 5);
    rig_recorded(&r);
    rig_queue_id(&r, wait);
    rig_end(&r);
}
END_TEST

START_TEST(refused_for_lack_of_space)
{
    uint64_t request, id;

    setup(1);
    id = rig_queued(&r, SUBMIT(.durability = TASK_CRASHSAFE));
    request = rig_queue(&r, SUBMIT(.durability = TASK_DURABLE, .target = TARGET_ALL));
    core_record_refused(r.core, r.now, r.core->row_number, "no space left in the state directory", &r.out);
    rig_check(&r);
    ck_has(rig_failure(&r, request, PTOOLS_ERR_NO_SPACE), "no space left");
    rig_recorded(&r);
    ck_assert_uint_eq(rig_shown(&r, id), SHOWN_QUEUED); /* what was accepted goes on */
    rig_end(&r);
}
END_TEST

START_TEST(a_journal_that_failed_accepts_nothing)
{
    uint64_t pending, ends, wait, booked, held;

    setup(2);
    held = rig_queued(&r, SUBMIT(.durability = TASK_DURABLE, .hold = true));
    ends = rig_queued(&r, SUBMIT(.durability = TASK_DURABLE));
    wait = rig_result(&r, ends);
    rig_assign(&r);
    rig_recorded(&r);
    booked = rig_queued(&r, SUBMIT(.durability = TASK_CRASHSAFE));
    rig_assign(&r);
    rig_qdone(&r, ends);
    pending = rig_queue(&r, SUBMIT(.durability = TASK_CRASHSAFE));
    held = rig_change(&r, CHANGE_CANCEL, held);
    core_record_failed(r.core, r.now, "the journal cannot be written: I/O error", &r.out);
    rig_check(&r);
    ck_has(rig_failure(&r, pending, PTOOLS_ERR_STORAGE), "I/O error");
    rig_failure(&r, wait, PTOOLS_ERR_STORAGE);
    ck_has(rig_failure(&r, held, PTOOLS_ERR_STORAGE), "I/O error"); /* it would have been told that it is cancelled */
    ck_assert_uint_eq(rig_shown(&r, booked), SHOWN_QUEUED);
    rig_failure(&r, rig_queue(&r, SUBMIT(.durability = TASK_DURABLE)), PTOOLS_ERR_STORAGE);
    rig_queued(&r, SUBMIT()); /* volatile ones go on */
    rig_end(&r);
}
END_TEST

START_TEST(without_a_journal_only_volatile_ones)
{
    rig_limits(&r);
    r.limits.journal = false;
    rig_queue_start(&r, 1);
    ck_has(rig_failure(&r, rig_queue(&r, SUBMIT(.durability = TASK_CRASHSAFE)), PTOOLS_ERR_STORAGE), "has no journal");
    rig_queued(&r, SUBMIT());
    rig_end(&r);
}
END_TEST

START_TEST(a_resend_while_it_is_being_written)
{
    uint64_t first, again;

    setup(1);
    first = rig_queue(&r, SUBMIT(.durability = TASK_DURABLE, .key = TEXT("k"), .key_passing = true));
    again = rig_queue(&r, SUBMIT(.durability = TASK_DURABLE, .key = TEXT("k"), .key_passing = true));
    ck_assert_ptr_null(rig_answer(&r, again));
    rig_recorded(&r);
    ck_assert_uint_eq(rig_queue_id(&r, first), rig_queue_id(&r, again));
    ck_assert(rig_answer(&r, again)->answer.reply.duplicate);
    rig_end(&r);
}
END_TEST

/* -- after a restart ----------------------------------------------------------------------------------------- */

static struct rig_journal journal;

static void keep_rows(void)
{
    rig_keep_rows(&journal, &r);
}

static void restart(uint32_t workers, uint64_t later_ms, int64_t clock_ms)
{
    rig_restart(&journal, &r, workers, later_ms, clock_ms);
}

static void forget_rows(void)
{
    rig_forget_rows(&journal);
}

START_TEST(everything_comes_back)
{
    struct text tags[] = { TEXT("t") };
    uint64_t first, prio, delayed, after, done, held, all, request;

    setup(1);
    done = rig_queued(&r, SUBMIT(.durability = TASK_CRASHSAFE));
    rig_assign(&r);
    rig_recorded(&r);
    rig_qdone(&r, done);
    rig_recorded(&r);
    first = rig_queued(&r, SUBMIT(.durability = TASK_DURABLE));
    prio = rig_queued(
        &r, SUBMIT(.durability = TASK_DURABLE, .has_priority = true, .priority = 7, .n_tags = 1, .tags = tags));
    delayed = rig_queued(&r, SUBMIT(.durability = TASK_DURABLE, .delay_ms = 10000));
    after = rig_queued(&r, SUBMIT(.durability = TASK_DURABLE, .n_after = 1, .after = &first, .key = TEXT("key")));
    held = rig_queued(&r, SUBMIT(.durability = TASK_CRASHSAFE));
    all = rig_queued(&r, SUBMIT(.durability = TASK_CRASHSAFE, .target = TARGET_ALL));
    request = rig_change(&r, CHANGE_HOLD, held);
    rig_recorded(&r);
    rig_queue_id(&r, request);
    keep_rows();
    restart(1, 4000, 0);
    ck_assert_uint_eq(rig_shown(&r, first), SHOWN_QUEUED);
    ck_assert(rig_qtask(&r, prio)->priority == 7);
    ck_assert_uint_eq(rig_shown(&r, delayed), SHOWN_WAITING);
    ck_assert_uint_eq(rig_qtask(&r, delayed)->due_us, r.now + 6000000);
    ck_has(rig_why(&r, after), "it waits for task");
    ck_has(rig_why(&r, held), "on hold");
    ck_has(rig_why(&r, all), "1 of its 1 parts");
    request = rig_result(&r, done);
    ck_assert_mem_eq(rig_answer(&r, request)->payload->data, "value", 5);
    request = rig_queue(&r, SUBMIT(.durability = TASK_DURABLE, .key = TEXT("key")));
    ck_assert_uint_eq(rig_queue_id(&r, request), after);
    rig_assign(&r);
    rig_recorded(&r);
    ck_assert_uint_eq(rig_find(&r, ACT_RUN, 0)->task, prio);
    ck_assert_uint_gt(rig_queued(&r, SUBMIT()), all + 1);
    rig_end(&r);
    forget_rows();
}
END_TEST

START_TEST(no_arguments_are_an_empty_block_of_them)
{
    const struct msg_submit *m = SUBMIT(.durability = TASK_DURABLE, .key = TEXT("key"));
    uint64_t id, request;

    setup(1);
    request = rig_queue_of(&r, r.client, m, NULL);
    rig_recorded(&r);
    id = rig_queue_id(&r, request);
    keep_rows();
    ck_assert_ptr_null(journal.kept[0].row->args);
    journal.kept[0].row->args = blob_new("", 0); /* as another writer of the journal may do */
    restart(1, 1000, 0);
    request = rig_queue_of(&r, r.client, m, NULL);
    ck_assert_uint_eq(rig_queue_id(&r, request), id);
    rig_failure(&r, rig_queue_of(&r, r.client, m, "argument"), PTOOLS_ERR_KEY_REUSED);
    rig_end(&r);
    forget_rows();
}
END_TEST

START_TEST(what_ran_is_lost_or_run_again)
{
    uint64_t once, again, booked, request;

    setup(3);
    once = rig_queued(&r, SUBMIT(.durability = TASK_CRASHSAFE));
    again = rig_queued(&r, SUBMIT(.durability = TASK_CRASHSAFE, .idempotent = true));
    rig_assign(&r);
    rig_recorded(&r);
    booked = rig_queued(&r, SUBMIT(.durability = TASK_CRASHSAFE, .idempotent = true));
    rig_assign(&r); /* its attempt is written, and it has not begun: that cannot be known afterwards */
    restart(3, 1000, 0);
    rig_recorded(&r);
    ck_assert_uint_eq(rig_shown(&r, once), SHOWN_LOST);
    request = rig_result(&r, once);
    rig_failure(&r, request, PTOOLS_ERR_DAEMON_DIED);
    ck_assert(rig_answer(&r, request)->answer.failure.maybe_executed);
    ck_assert_uint_eq(rig_shown(&r, again), SHOWN_WAITING);
    ck_assert_uint_eq(rig_shown(&r, booked), SHOWN_WAITING);
    rig_tick(&r, 1000000);
    rig_assign(&r);
    rig_recorded(&r);
    ck_assert_uint_eq(rig_find(&r, ACT_RUN, 0)->attempt, 2);
    rig_end(&r);
    forget_rows();
}
END_TEST

START_TEST(a_clock_that_jumps_makes_no_delay_longer)
{
    uint64_t id;

    setup(1);
    id = rig_queued(&r, SUBMIT(.durability = TASK_DURABLE, .delay_ms = 10000));
    restart(1, 1000, -3600 * 1000); /* an hour back */
    ck_assert_uint_le(rig_qtask(&r, id)->due_us, r.now + 10000000);
    restart(1, 1000, 86400 * 1000); /* a day ahead */
    ck_assert_uint_eq(rig_shown(&r, id), SHOWN_QUEUED);
    rig_end(&r);
    forget_rows();
}
END_TEST

START_TEST(while_the_machine_runs_its_clock_may_be_set)
{
    uint64_t id, expires;

    setup(1);
    id = rig_queued(&r, SUBMIT(.durability = TASK_DURABLE, .delay_ms = 10000));
    expires = rig_queued(&r, SUBMIT(.durability = TASK_DURABLE, .hold = true, .expire_ms = 20000));
    journal.same_boot = true;
    restart(1, 1000, -3600 * 1000); /* an hour back */
    ck_assert_uint_eq(rig_qtask(&r, id)->due_us, r.now + 9000000);
    rig_change(&r, CHANGE_RELEASE, expires); /* so that there is a row of its life, too */
    restart(1, 1000, 86400 * 1000);          /* a day ahead */
    ck_assert_uint_eq(rig_qtask(&r, id)->due_us, r.now + 8000000);
    ck_assert_uint_eq(rig_qtask(&r, expires)->x->expire_us, r.now + 18000000);
    journal.same_boot = false;
    rig_end(&r);
    forget_rows();
}
END_TEST

START_TEST(what_its_target_was_is_waited_for)
{
    static const uint32_t three[] = { 3 };
    uint64_t worker, set;

    setup(3);
    rig_set(&r, SET_FF, "crew", (uint32_t[]){ 1, 0 });
    worker = rig_queued(&r, SUBMIT(.durability = TASK_DURABLE, .n_workers = 1, .workers = (uint32_t *)three));
    set = rig_queued(&r, SUBMIT(.durability = TASK_DURABLE, .set = TEXT("crew")));
    restart(1, 10, 0);
    ck_has(rig_why(&r, worker), "its target is not there: worker 3");
    ck_has(rig_why(&r, set), "its target is not there: set crew");
    rig_set(&r, SET_FF, "crew", (uint32_t[]){ 1, 0 });
    ck_assert_uint_eq(rig_shown(&r, set), SHOWN_QUEUED);
    rig_end(&r);
    forget_rows();
}
END_TEST

START_TEST(a_module_that_is_gone_is_waited_for)
{
    static const char *const functions[] = { "f" };
    uint64_t id;

    setup(1);
    rig_loaded(&r, "n", PTOOLS_OK, functions, 1);
    id = rig_queued(&r, SUBMIT_OF("n.f", .durability = TASK_DURABLE));
    restart(1, 10, 0);
    ck_assert_uint_eq(rig_shown(&r, id), SHOWN_WAITING);
    ck_assert_uint_eq(rig_count(&r, ACT_LOAD), 1);
    ck_has(rig_why(&r, id), "it waits for its module to be loaded");
    rig_loaded(&r, "n", PTOOLS_ERR_NO_MODULE, functions, 0);
    ck_has(rig_why(&r, id), "it waits for its module, which cannot be loaded now");
    rig_clear(&r);
    rig_tick(&r, r.limits.backoff_max_us); /* it is looked for again */
    rig_tick(&r, r.limits.backoff_max_us);
    ck_assert_uint_ge(rig_count(&r, ACT_LOAD), 1);
    rig_loaded(&r, "n", PTOOLS_OK, functions, 1);
    ck_assert_uint_eq(rig_shown(&r, id), SHOWN_QUEUED);
    rig_end(&r);
    forget_rows();
}
END_TEST

/* The parts' ends are written, that of the whole is not yet. */
START_TEST(a_whole_whose_parts_have_ended_has_ended)
{
    uint64_t all;

    setup(2);
    all = rig_queued(&r, SUBMIT(.durability = TASK_CRASHSAFE, .target = TARGET_ALL));
    rig_assign(&r);
    rig_recorded(&r);
    rig_qdone(&r, all + 1);
    rig_qfailed(&r, all + 2, PTOOLS_ERR_FAILED, "no");
    rig_failure(&r, rig_change(&r, CHANGE_FORGET, all + 2), PTOOLS_ERR_NOT_NOW); /* its whole counts it */
    restart(2, 1000, 0);
    rig_recorded(&r);
    ck_assert_uint_eq(rig_shown(&r, all), SHOWN_FAILED);
    rig_end(&r);
    forget_rows();
}
END_TEST

START_TEST(what_was_read_stays_read)
{
    uint64_t id[3], request;

    setup(3);
    for (int i = 0; i < 3; i++)
        id[i] = rig_queued(&r, SUBMIT(.durability = TASK_DURABLE));
    rig_assign(&r);
    rig_recorded(&r);
    for (int i = 0; i < 3; i++)
        rig_qdone(&r, id[i]);
    rig_recorded(&r);
    for (int i = 0; i < 2; i++)
        rig_queue_id(&r, rig_result(&r, id[i]));
    ck_assert(last_row(ROW_LIFE)->refusable && !last_row(ROW_LIFE)->durable);
    request = rig_change(&r, CHANGE_RERUN, id[1]); /* its end will be another */
    rig_assign(&r);
    rig_recorded(&r);
    rig_queue_id(&r, request);
    rig_qdone(&r, id[1]);
    restart(3, 1000, 0);
    r.core->limits.user_kept_max = 1;
    rig_failure(&r, rig_queue(&r, SUBMIT()), PTOOLS_ERR_LIMIT);
    ck_assert_uint_eq(rig_shown(&r, id[0]), 0);
    ck_assert_uint_eq(rig_shown(&r, id[1]), SHOWN_DONE);
    ck_assert_uint_eq(rig_shown(&r, id[2]), SHOWN_DONE);
    rig_end(&r);
    forget_rows();
}
END_TEST

/* Rows of one submission are written together: this only shows that half of them would do no harm. */
START_TEST(half_of_a_whole_is_not_run)
{
    uint64_t all = UINT64_MAX, request;

    setup(2);
    request = rig_queue(&r, SUBMIT(.durability = TASK_DURABLE, .target = TARGET_ALL));
    ck_assert_ptr_null(rig_answer(&r, request));
    keep_rows();
    for (size_t k = 0; k < journal.n; k++) {
        ck_assert(journal.kept[k].row->more == (k + 1 < journal.n));
        all = MIN(all, journal.kept[k].task);
    }
    for (size_t k = 0; k < journal.n; k++)
        if (journal.kept[k].task == all)
            journal.kept[k].row = core_row_free(journal.kept[k].row);
    restart(2, 1000, 0);
    rig_assign(&r);
    rig_recorded(&r);
    ck_assert_uint_eq(rig_count(&r, ACT_RUN), 0);
    ck_assert_uint_eq(rig_shown(&r, all + 1), 0);
    rig_end(&r);
    forget_rows();
}
END_TEST

START_TEST(priorities_are_written_as_one)
{
    struct msg_priority p[3];
    uint64_t q[3], first;

    setup(1);
    for (int i = 0; i < 3; i++) {
        q[i] = rig_queued(&r, SUBMIT(.durability = TASK_DURABLE, .hold = true));
        p[i] = (struct msg_priority){ q[i], i };
    }
    first = r.core->row_number + 1;
    core_priorities(r.core, r.now, r.client, ++r.request, (const uint8_t *)p, sizeof p, &r.out);
    ck_assert_ptr_null(rig_answer(&r, r.request)); /* what is answered is written */
    for (size_t i = 0; i < r.out.n; i++)
        if (r.out.v[i].type == ACT_RECORD && r.out.v[i].row->number >= first)
            ck_assert(r.out.v[i].row->more == (r.out.v[i].row->number < first + 2));
    rig_recorded(&r);
    ck_assert_uint_eq(rig_answer(&r, r.request)->answer.reply.count, 3);
    rig_end(&r);
}
END_TEST

START_TEST(a_durable_one_cannot_wait_for_a_volatile_one)
{
    uint64_t first;

    setup(1);
    first = rig_queued(&r, SUBMIT());
    ck_has(rig_failure(&r, rig_queue(&r, SUBMIT(.durability = TASK_DURABLE, .n_after = 1, .after = &first)),
                       PTOOLS_ERR_INVALID),
           "is volatile");
    rig_end(&r);
}
END_TEST

/* It failed, and was forgotten before the one behind it was accepted: that is known after a restart, too. */
START_TEST(what_was_forgotten_before_it_was_accepted)
{
    uint64_t first, then;

    setup(1);
    first = rig_queued(&r, SUBMIT(.durability = TASK_DURABLE));
    rig_assign(&r);
    rig_recorded(&r);
    rig_qfailed(&r, first, PTOOLS_ERR_FAILED, "no");
    rig_recorded(&r);
    rig_queue(&r, SUBMIT(.durability = TASK_DURABLE, .n_after = 1, .after = &first));
    then = r.core->next_task - 1;
    rig_change(&r, CHANGE_FORGET, first);
    restart(1, 0, 0);
    ck_assert_uint_eq(rig_shown(&r, first), 0);
    rig_recorded(&r);
    ck_assert_uint_eq(rig_shown(&r, then), SHOWN_CANCELLED);
    rig_end(&r);
    forget_rows();
}
END_TEST

START_TEST(what_makes_no_sense_is_refused)
{
    AUTO(blob) spec = blob_new("x", 1);
    struct core_row row = { .kind = ROW_NEW, .task = 5, .uid = 1000, .spec = spec };
    struct core_row life = { .kind = ROW_LIFE, .task = 5, .life = { .state = 77 } };
    const struct msg_submit m = { .function = TEXT("m.f"), .durability = TASK_DURABLE };
    char why[256];

    setup(1);
    ck_assert_int_eq(core_recover(r.core, r.now, &row, &life, &m, &r.out, why), -EINVAL);
    ck_has(why, "task 5: its state is none that there is");
    life.life.state = SHOWN_DONE;
    ck_assert_int_eq(core_recover(r.core, r.now, &row, &life, &m, &r.out, why), -EINVAL);
    ck_has(why, "it has ended, and how cannot be read");
    life.life = (struct core_life){ .state = SHOWN_QUEUED, .attempt = 2 };
    ck_assert_int_eq(core_recover(r.core, r.now, &row, &life, &m, &r.out, why), -EINVAL);
    ck_has(why, "it was tried more often than it may be");
    life.life = (struct core_life){ .state = SHOWN_QUEUED, .priority = NAN };
    ck_assert_int_eq(core_recover(r.core, r.now, &row, &life, &m, &r.out, why), -EINVAL);
    ck_has(why, "its priority is no number");
    row.parent = 6;
    ck_assert_int_eq(core_recover(r.core, r.now, &row, NULL, &m, &r.out, why), -EINVAL);
    ck_has(why, "it is no part of what it says");
    row.parent = 0;
    ck_assert_int_eq(core_recover(r.core, r.now, &row, NULL, &m, &r.out, why), 0);
    row.task = 6;
    row.parent = 5; /* which is no whole */
    ck_assert_int_eq(core_recover(r.core, r.now, &row, &life, &m, &r.out, why), -EINVAL);
    ck_has(why, "it is no part of what it says");
    rig_end(&r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core qtask record");
    TCase *tc = suite_case(suite, "written before");

    tcase_add_test(tc, accepted_when_it_is_recorded);
    tcase_add_test(tc, a_volatile_one_is_not_written);
    tcase_add_test(tc, the_attempt_is_written_before_the_worker_gets_it);
    tcase_add_test(tc, one_that_may_be_repeated_needs_no_sync);
    tcase_add_test(tc, booked_and_taken_back);
    tcase_add_test(tc, nobody_hears_of_an_end_that_is_not_written);
    tcase_add_test(tc, refused_for_lack_of_space);
    tcase_add_test(tc, a_journal_that_failed_accepts_nothing);
    tcase_add_test(tc, without_a_journal_only_volatile_ones);
    tcase_add_test(tc, a_resend_while_it_is_being_written);
    tc = suite_case(suite, "restart");
    tcase_add_test(tc, everything_comes_back);
    tcase_add_test(tc, no_arguments_are_an_empty_block_of_them);
    tcase_add_test(tc, what_ran_is_lost_or_run_again);
    tcase_add_test(tc, a_clock_that_jumps_makes_no_delay_longer);
    tcase_add_test(tc, while_the_machine_runs_its_clock_may_be_set);
    tcase_add_test(tc, what_its_target_was_is_waited_for);
    tcase_add_test(tc, a_module_that_is_gone_is_waited_for);
    tcase_add_test(tc, a_whole_whose_parts_have_ended_has_ended);
    tcase_add_test(tc, what_was_read_stays_read);
    tcase_add_test(tc, half_of_a_whole_is_not_run);
    tcase_add_test(tc, priorities_are_written_as_one);
    tcase_add_test(tc, a_durable_one_cannot_wait_for_a_volatile_one);
    tcase_add_test(tc, what_was_forgotten_before_it_was_accepted);
    tcase_add_test(tc, what_makes_no_sense_is_refused);
    return suite_run(suite);
}
