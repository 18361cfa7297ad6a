/* SPDX-License-Identifier: MIT */
/* breaker -- functions that kill their workers wait; all others go on. */
#include <string.h>

#include "tests/unit/core/rig_queue.h"

#define SECOND UINT64_C(1000000)

enum { KILLS = 5 };

static struct rig r;

static void setup(uint32_t workers)
{
    rig_limits(&r);
    rig_queue_start(&r, workers);
}

static struct breaker *breaker(void)
{
    return client_find(r.core, r.client)->user->breakers;
}

/* One of that function, and it kills its worker, which must be free. */
static uint64_t one_that_kills(const struct msg_submit *m)
{
    const uint64_t id = rig_queued(&r, m);

    rig_assign(&r);
    ck_assert_uint_eq(rig_shown(&r, id), SHOWN_RUNNING);
    rig_qdies(&r, id, true);
    rig_clear(&r);
    return id;
}

static void open_breaker(void)
{
    for (int i = 0; i < KILLS; i++) {
        ck_assert(!breaker() || !breaker()->open);
        one_that_kills(SUBMIT());
    }
    ck_assert(breaker()->open);
}

/* What was given since the last time: m.f kills, all others are done. How many killed. */
static unsigned carry_out(void)
{
    uint64_t ids[64];
    unsigned kills = 0;
    const size_t n = rig_runs(&r, ids, ELEMENTS(ids));

    rig_clear(&r);
    for (size_t i = 0; i < n; i++) {
        const bool bad = strcmp(rig_qtask(&r, ids[i])->function->name, "m.f") == 0;

        kills += bad;
        if (bad)
            rig_qdies(&r, ids[i], true);
        else
            rig_qdone(&r, ids[i]);
    }
    return kills;
}

/* Until nothing runs any more, without any time. */
static unsigned until_quiet(void)
{
    unsigned kills = 0;

    for (;;) {
        rig_clear(&r);
        rig_assign(&r);
        if (rig_count(&r, ACT_RUN) == 0)
            return kills;
        kills += carry_out();
    }
}

/* F05: a thousand that kill, a thousand that are good. */
START_TEST(a_poisonous_function_does_not_take_the_pool)
{
    static uint64_t good[1000], bad[1000];
    const uint64_t waits_s[] = { 60, 120, 240, 480, 900, 900 };
    unsigned kills, ended = 0;

    setup(4);
    for (int i = 0; i < 1000; i++) {
        bad[i] = rig_queued(&r, SUBMIT());
        good[i] = rig_queued(&r, SUBMIT_OF("m.g", ));
        rig_clear(&r);
    }
    kills = until_quiet();
    ck_assert_uint_ge(kills, KILLS);
    ck_assert_uint_lt(kills, KILLS + 4); /* those that had begun */
    for (int i = 0; i < 1000; i++) {
        ck_assert_uint_eq(rig_shown(&r, good[i]), SHOWN_DONE);
        ended += rig_shown(&r, bad[i]) == SHOWN_FAILED;
    }
    ck_assert_uint_eq(ended, kills);
    for (size_t i = 0; i < ELEMENTS(waits_s); i++) {
        ck_assert_uint_eq(core_next_us(r.core), r.now + waits_s[i] * SECOND);
        rig_tick(&r, waits_s[i] * SECOND - 1);
        ck_assert_uint_eq(until_quiet(), 0);
        rig_tick(&r, 1);
        ck_assert_uint_eq(until_quiet(), 1); /* a single one is tried */
    }
    rig_end(&r);
}
END_TEST

START_TEST(a_probe_that_is_done_closes_it)
{
    uint64_t ids[20], runs[20];

    setup(2);
    open_breaker();
    for (int i = 0; i < 20; i++)
        ids[i] = rig_queued(&r, SUBMIT(.has_priority = true, .priority = 20 - i));
    rig_clear(&r);
    rig_assign(&r);
    ck_assert_uint_eq(rig_count(&r, ACT_RUN), 0);
    ck_assert_uint_eq(rig_shown(&r, ids[0]), SHOWN_QUEUED);
    ck_has(rig_why(&r, ids[0]), "its function has killed 5 workers in the last 60 s; it is tried again at ");
    ck_has(rig_why(&r, ids[0]), " UTC, in 60 s");
    rig_tick(&r, 60 * SECOND);
    rig_clear(&r);
    rig_assign(&r);
    ck_assert_uint_eq(rig_runs(&r, runs, 20), 1);
    ck_assert_uint_eq(runs[0], ids[19]); /* the best of them */
    ck_has(rig_why(&r, ids[19]), "it runs, at worker");
    ck_has(rig_why(&r, ids[0]), "is tried now: this one goes on if that kills none");
    rig_qdone(&r, ids[19]);
    rig_clear(&r);
    rig_assign(&r);
    ck_assert_uint_eq(rig_runs(&r, runs, 20), 2); /* as many as there are workers */
    ck_assert_uint_eq(runs[0], ids[18]);
    ck_assert_uint_eq(runs[1], ids[17]);
    ck_has(rig_why(&r, ids[0]), "it waits for a worker");
    ck_assert(!breaker()->open);
    rig_end(&r);
}
END_TEST

START_TEST(the_time_at_which_it_is_tried)
{
    uint64_t id;

    setup(1);
    core_wall(r.core, r.now, UINT64_C(1700000000) * 1000); /* 22:13:20 */
    open_breaker();
    id = rig_queued(&r, SUBMIT());
    rig_tick(&r, 20 * SECOND);
    ck_has(rig_why(&r, id), "; it is tried again at 22:14:20 UTC, in 40 s");
    rig_end(&r);
}
END_TEST

START_TEST(one_that_kills_when_it_is_tried_opens_it_again)
{
    uint64_t id;

    setup(1);
    open_breaker();
    rig_tick(&r, 60 * SECOND);
    one_that_kills(SUBMIT()); /* nobody waited: the first that comes is tried */
    one_that_kills(SUBMIT_OF("m.g", ));
    id = rig_queued(&r, SUBMIT());
    ck_has(rig_why(&r, id),
           "its function had killed 5 workers, and has killed one each of the 1 times it was tried again");
    ck_has(rig_why(&r, id), "in 120 s");
    rig_end(&r);
}
END_TEST

START_TEST(kills_that_are_far_between_do_not_count)
{
    setup(1);
    for (int i = 0; i < 20; i++) {
        one_that_kills(SUBMIT());
        rig_tick(&r, 15 * SECOND + 1); /* the fifth is a little later than 60 s */
    }
    ck_assert(!breaker()->open);
    rig_end(&r);
}
END_TEST

START_TEST(never_if_it_was_said)
{
    rig_limits(&r);
    r.limits.breaker_kills = 0;
    rig_queue_start(&r, 1);
    for (int i = 0; i < 20; i++)
        one_that_kills(SUBMIT());
    ck_assert_ptr_null(breaker());
    rig_end(&r);
}
END_TEST

START_TEST(one_kill_may_be_enough)
{
    rig_limits(&r);
    r.limits.breaker_kills = 1;
    rig_queue_start(&r, 1);
    one_that_kills(SUBMIT());
    ck_assert(breaker()->open);
    rig_end(&r);
}
END_TEST

START_TEST(it_is_one_users_and_only_for_what_is_queued)
{
    uint32_t other;
    uint64_t call, theirs;

    setup(1);
    ck_assert_int_eq(core_client_add(r.core, 1001, &other), 0);
    for (int i = 0; i < 2 * KILLS; i++) { /* calls do not count */
        call = rig_call(&r, "m.f");
        rig_assign(&r);
        rig_dies(&r, 1, 9, call);
        rig_ready(&r, 1);
    }
    ck_assert_ptr_null(breaker());
    open_breaker();
    theirs = rig_queue_id(&r, rig_queue_of(&r, other, SUBMIT(), "argument"));
    rig_assign(&r);
    ck_assert_uint_eq(rig_shown(&r, theirs), SHOWN_RUNNING);
    rig_qdone(&r, theirs);
    call = rig_call(&r, "m.f"); /* nor do they wait */
    rig_assign(&r);
    rig_done(&r, call, 10);
    ck_assert(breaker()->open);
    rig_end(&r);
}
END_TEST

START_TEST(an_end_on_request_is_no_kill)
{
    setup(1);
    for (int i = 0; i < 2 * KILLS; i++) {
        const uint64_t id = rig_queued(&r, SUBMIT());

        rig_assign(&r);
        task_find(r.core, id)->begun = true;
        rig_change(&r, CHANGE_CANCEL, id);
        rig_qdies(&r, id, true);
        ck_assert_uint_eq(rig_shown(&r, id), SHOWN_CANCELLED);
        rig_clear(&r);
    }
    ck_assert_ptr_null(breaker());
    rig_end(&r);
}
END_TEST

START_TEST(a_probe_that_shows_nothing_is_followed_by_the_next)
{
    uint64_t first, second, third;

    setup(1);
    open_breaker();
    first = rig_queued(&r, SUBMIT());
    second = rig_queued(&r, SUBMIT());
    third = rig_queued(&r, SUBMIT());
    rig_tick(&r, 60 * SECOND);
    rig_assign(&r);
    task_find(r.core, first)->begun = true;
    rig_change(&r, CHANGE_CANCEL, first);
    rig_qdies(&r, first, true);
    ck_assert_uint_eq(core_next_us(r.core), r.now);
    rig_clear(&r);
    rig_assign(&r);
    ck_assert_uint_eq(rig_shown(&r, second), SHOWN_RUNNING);
    ck_assert_uint_eq(rig_shown(&r, third), SHOWN_QUEUED);
    rig_qfailed(&r, second, PTOOLS_ERR_FAILED, "no"); /* an error is no kill */
    ck_assert(!breaker()->open);
    rig_assign(&r);
    ck_assert_uint_eq(rig_shown(&r, third), SHOWN_RUNNING);
    rig_end(&r);
}
END_TEST

START_TEST(one_that_is_kicked_is_tried_at_once)
{
    uint64_t first, second;

    setup(2);
    open_breaker();
    first = rig_queued(&r, SUBMIT());
    second = rig_queued(&r, SUBMIT());
    ck_has(rig_failure(&r, rig_change(&r, CHANGE_KICK, rig_queued(&r, SUBMIT_OF("m.g", ))), PTOOLS_ERR_NOT_NOW),
           "can be kicked"); /* its function is another */
    rig_assign(&r);
    ck_assert_uint_eq(rig_shown(&r, second), SHOWN_QUEUED);
    rig_queue_id(&r, rig_change(&r, CHANGE_KICK, second));
    ck_has(rig_why(&r, first), "is tried first");
    ck_has(rig_failure(&r, rig_change(&r, CHANGE_KICK, first), PTOOLS_ERR_NOT_NOW),
           "another task of its function is tried first");
    rig_assign(&r);
    ck_assert_uint_eq(rig_shown(&r, second), SHOWN_RUNNING);
    ck_assert_uint_eq(rig_shown(&r, first), SHOWN_QUEUED);
    ck_has(rig_failure(&r, rig_change(&r, CHANGE_KICK, first), PTOOLS_ERR_NOT_NOW), "is tried first");
    rig_qdone(&r, second);
    rig_assign(&r);
    ck_assert_uint_eq(rig_shown(&r, first), SHOWN_RUNNING);
    rig_end(&r);
}
END_TEST

/* The one that would have been tried is at a worker that is busy: whoever is kicked goes before it. */
START_TEST(one_that_is_kicked_goes_before_the_one_that_is_due)
{
    const uint32_t one = 1;
    uint64_t busy, first, second;

    setup(2);
    open_breaker();
    busy = rig_queued(&r, SUBMIT_OF("m.g", .n_workers = 1, .workers = (uint32_t *)&one));
    rig_assign(&r);
    first = rig_queued(&r, SUBMIT(.n_workers = 1, .workers = (uint32_t *)&one));
    second = rig_queued(&r, SUBMIT());
    rig_tick(&r, 60 * SECOND);
    rig_assign(&r);
    ck_has(rig_why(&r, first), "it waits for a worker: 1 of the 1 that may run it");
    ck_assert_uint_eq(rig_shown(&r, second), SHOWN_QUEUED);
    rig_queue_id(&r, rig_change(&r, CHANGE_KICK, second));
    rig_assign(&r);
    ck_assert_uint_eq(rig_shown(&r, second), SHOWN_RUNNING);
    rig_qdone(&r, busy);
    rig_clear(&r);
    rig_assign(&r);
    ck_assert_uint_eq(rig_count(&r, ACT_RUN), 0);
    ck_has(rig_why(&r, first), "is tried now");
    rig_qdies(&r, second, true);
    rig_assign(&r);
    ck_has(rig_why(&r, first), "in 120 s");
    rig_end(&r);
}
END_TEST

START_TEST(a_dead_one_that_is_kicked_is_tried_at_once)
{
    uint64_t dead, other;

    setup(1);
    dead = rig_queued(&r, SUBMIT(.idempotent = true, .attempts = 9));
    for (int i = 0; i < DEAD_KILLS; i++) {
        rig_assign(&r);
        rig_qdies(&r, dead, true);
        rig_tick(&r, SECOND * (i + 1));
    }
    ck_assert_uint_eq(rig_shown(&r, dead), SHOWN_DEAD);
    one_that_kills(SUBMIT());
    one_that_kills(SUBMIT());
    other = rig_queued(&r, SUBMIT());
    rig_queue_id(&r, rig_change(&r, CHANGE_KICK, dead));
    rig_assign(&r);
    ck_assert_uint_eq(rig_shown(&r, dead), SHOWN_RUNNING);
    ck_assert_uint_eq(rig_shown(&r, other), SHOWN_QUEUED);
    rig_qdone(&r, dead);
    rig_assign(&r);
    ck_assert_uint_eq(rig_shown(&r, other), SHOWN_RUNNING);
    rig_end(&r);
}
END_TEST

START_TEST(what_was_given_and_has_not_begun_is_taken_back)
{
    uint64_t bad[KILLS], ahead, booked, theirs;
    uint32_t other;

    setup(2);
    ck_assert_int_eq(core_client_add(r.core, 1001, &other), 0);
    for (int i = 0; i < KILLS - 1; i++)
        one_that_kills(SUBMIT_OF("m.short", ));
    bad[0] = rig_queued(&r, SUBMIT_OF("m.short", ));
    bad[1] = rig_queued(&r, SUBMIT_OF("m.short", ));
    rig_assign(&r);
    ahead = rig_queued(&r, SUBMIT_OF("m.short", ));
    booked = rig_queued(&r, SUBMIT_OF("m.short", .durability = TASK_CRASHSAFE));
    rig_assign(&r);
    theirs = rig_queue_id(&r, rig_queue_of(&r, other, SUBMIT_OF("m.short", ), NULL)); /* another user's */
    rig_assign(&r);
    ck_assert_uint_eq(rig_shown(&r, ahead), SHOWN_RUNNING);
    ck_assert_uint_eq(rig_qtask(&r, theirs)->worker, rig_qtask(&r, ahead)->worker);
    ck_assert_uint_eq(rig_shown(&r, booked), SHOWN_RUNNING);
    rig_clear(&r);
    task_find(r.core, bad[0])->begun = task_find(r.core, bad[1])->begun = true;
    rig_qdies(&r, task_find(r.core, ahead)->worker->id == task_find(r.core, bad[0])->worker->id ? bad[1] : bad[0],
              true);
    ck_assert(breaker()->open);
    ck_assert_uint_eq(rig_revoke(&r, true), 1);
    ck_assert_uint_eq(rig_shown(&r, theirs), SHOWN_RUNNING);
    ck_assert_uint_eq(rig_shown(&r, ahead), SHOWN_QUEUED);
    ck_assert_uint_eq(rig_shown(&r, booked), SHOWN_QUEUED);
    ck_assert_uint_eq(rig_qtask(&r, ahead)->losses, 0);
    rig_end(&r);
}
END_TEST

static const char *name_of(unsigned i, bool module)
{
    static char name[2][16];

    if (module)
        snprintf(name[1], sizeof name[1], "n%u", i / 16);
    else
        snprintf(name[0], sizeof name[0], "n%u.f%u", i / 16, i % 16);
    return name[module];
}

START_TEST(a_user_has_so_many)
{
    static const char *const functions[] = { "f0", "f1", "f2",  "f3",  "f4",  "f5",  "f6",  "f7",
                                             "f8", "f9", "f10", "f11", "f12", "f13", "f14", "f15" };
    const struct user *user;

    setup(1);
    user = client_find(r.core, r.client)->user;
    for (unsigned i = 0; i < 2 * BREAKERS_MAX; i++) {
        const struct msg_submit m = { .function = { name_of(i, false), strlen(name_of(i, false)) } };
        const uint64_t request = rig_queue(&r, &m);
        uint64_t id;

        if (i % 16 == 0)
            rig_loaded(&r, name_of(i, true), PTOOLS_OK, functions, 16);
        id = rig_queue_id(&r, request);
        rig_assign(&r);
        rig_qdies(&r, id, true);
        rig_clear(&r);
        for (int more = 1; more < KILLS && i >= BREAKERS_MAX; more++)
            one_that_kills(&m);
    }
    ck_assert_uint_eq(HASH_COUNT(user->breakers), BREAKERS_MAX);
    for (const struct breaker *b = user->breakers; b; b = b->hh.next)
        ck_assert(b->open);   /* those that had killed once made room for them */
    one_that_kills(SUBMIT()); /* and now nothing makes room */
    ck_assert_uint_eq(HASH_COUNT(user->breakers), BREAKERS_MAX);
    rig_end(&r);
}
END_TEST

/* Many more than are looked at in a turn: they come to it, and leave it, in slices, and in their order. */
START_TEST(a_turn_does_not_look_at_all_of_them)
{
    enum { MANY = 3 * BREAKER_SLICE };
    static uint64_t ids[MANY];
    uint64_t good, runs[2];

    setup(1);
    for (int i = 0; i < MANY; i++) {
        const struct msg_submit m = { .function = TEXT("m.f") };
        AUTO(blob) spec = NULL;
        const struct msg_request request = { .kind = MSG_TASK_SUBMIT, .id = ++r.request, .submit = m };
        struct bytes bytes;

        bytes_init(&bytes, ENVELOPE_BYTES_MAX);
        msg_request_encode(&request, &bytes);
        spec = blob_new(bytes.data, bytes.n);
        bytes_deinit(&bytes);
        ck_assert_int_eq(core_queue(r.core, r.now, r.client, r.request, &m, spec, NULL, &r.out), 0);
        ids[i] = rig_queue_id(&r, r.request);
        actions_clear(&r.out);
    }
    good = rig_queued(&r, SUBMIT_OF("m.g", ));
    for (int i = 0; i < KILLS; i++) {
        rig_assign(&r);
        rig_qdies(&r, ids[i], true);
        rig_clear(&r);
    }
    for (uint64_t n = 1; n < 3; n++) {
        rig_assign(&r);
        ck_assert_uint_eq(breaker()->backlog.n, n * BREAKER_SLICE);
        ck_assert_uint_eq(rig_count(&r, ACT_RUN), 0);
        ck_assert_uint_le(core_next_us(r.core), r.now);
    }
    ck_has(rig_why(&r, ids[MANY - 1]), "its function has killed 5 workers");
    rig_assign(&r);
    ck_assert_uint_eq(rig_shown(&r, good), SHOWN_RUNNING);
    ck_assert_uint_gt(core_next_us(r.core), r.now);
    rig_qdone(&r, good);
    rig_tick(&r, 60 * SECOND);
    rig_assign(&r);
    rig_qdone(&r, ids[KILLS]);
    ck_assert_uint_eq(breaker()->backlog.n, MANY - KILLS - 1);
    rig_clear(&r);
    rig_assign(&r);
    ck_assert_uint_eq(breaker()->backlog.n, MANY - KILLS - 1 - BREAKER_SLICE);
    ck_assert_uint_le(core_next_us(r.core), r.now);
    ck_assert_uint_eq(rig_runs(&r, runs, 2), 1);
    ck_assert_uint_eq(runs[0], ids[KILLS + 1]);
    good = rig_queued(&r, SUBMIT()); /* it comes to the others, not before them */
    ck_assert_ptr_eq(rig_qtask(&r, good)->lane->backlog, &breaker()->backlog);
    rig_assign(&r);
    rig_assign(&r);
    ck_assert_uint_eq(breaker()->backlog.n, 0);
    ck_assert_uint_gt(core_next_us(r.core), r.now);
    rig_end(&r);
}
END_TEST

START_TEST(those_that_wait_can_be_changed)
{
    const uint32_t two = 2;
    struct msg_priority p = { .priority = 1 };
    uint64_t gone, held, removed, better;

    setup(2);
    open_breaker();
    gone = rig_queued(&r, SUBMIT());
    held = rig_queued(&r, SUBMIT());
    removed = rig_queued(&r, SUBMIT(.n_workers = 1, .workers = (uint32_t *)&two));
    better = rig_queued(&r, SUBMIT());
    rig_assign(&r);
    rig_queue_id(&r, rig_change(&r, CHANGE_DEQUEUE, gone));
    ck_assert_uint_eq(rig_shown(&r, gone), SHOWN_CANCELLED);
    rig_queue_id(&r, rig_change(&r, CHANGE_HOLD, held));
    ck_assert_uint_eq(rig_shown(&r, held), SHOWN_WAITING);
    ck_has(rig_why(&r, held), "on hold");
    p.task = better;
    core_priorities(r.core, r.now, r.client, ++r.request, (const uint8_t *)&p, sizeof p, &r.out);
    core_workers_remove(r.core, r.now, r.client, ++r.request, 2, &r.out);
    rig_dies(&r, 2, 0, 0);
    rig_tick(&r, 60 * SECOND);
    rig_clear(&r);
    rig_assign(&r);
    ck_assert_uint_eq(rig_shown(&r, better), SHOWN_RUNNING);
    rig_queue_id(&r, rig_change(&r, CHANGE_RELEASE, held));
    ck_assert_uint_eq(rig_shown(&r, held), SHOWN_QUEUED);
    rig_qdone(&r, better);
    rig_assign(&r);
    ck_assert_uint_eq(rig_shown(&r, removed), SHOWN_FAILED); /* there is no such worker any more */
    ck_assert_uint_eq(rig_shown(&r, held), SHOWN_RUNNING);
    rig_end(&r);
}
END_TEST

START_TEST(the_daemon_ends_while_they_wait)
{
    uint64_t kept, gone;

    setup(1);
    open_breaker();
    kept = rig_queued(&r, SUBMIT(.durability = TASK_DURABLE));
    gone = rig_queued(&r, SUBMIT());
    rig_assign(&r);
    core_drain(r.core, r.now, false, &r.out);
    ck_assert_uint_eq(rig_shown(&r, kept), SHOWN_WAITING);
    ck_assert_uint_eq(rig_shown(&r, gone), SHOWN_CANCELLED);
    rig_tick(&r, 60 * SECOND);
    rig_end(&r);
}
END_TEST

START_TEST(it_goes_with_its_user)
{
    uint32_t other;

    setup(1);
    open_breaker();
    ck_assert_int_eq(core_client_add(r.core, 1001, &other), 0);
    core_client_gone(r.core, r.now, r.client, &r.out);
    ck_assert_uint_eq(r.core->n_breakers, 1);
    r.client = other;
    rig_tick(&r, r.limits.keep_volatile_us); /* its tasks are forgotten */
    rig_tick(&r, 1);
    ck_assert_uint_eq(r.core->n_breakers, 0);
    rig_end(&r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core breaker");
    TCase *tc = suite_case(suite, "opens"), *probe = suite_case(suite, "is tried"),
          *other = suite_case(suite, "others");

    tcase_add_test(tc, a_poisonous_function_does_not_take_the_pool);
    tcase_add_test(tc, kills_that_are_far_between_do_not_count);
    tcase_add_test(tc, never_if_it_was_said);
    tcase_add_test(tc, one_kill_may_be_enough);
    tcase_add_test(tc, it_is_one_users_and_only_for_what_is_queued);
    tcase_add_test(tc, an_end_on_request_is_no_kill);
    tcase_add_test(tc, what_was_given_and_has_not_begun_is_taken_back);
    tcase_add_test(probe, a_probe_that_is_done_closes_it);
    tcase_add_test(probe, the_time_at_which_it_is_tried);
    tcase_add_test(probe, one_that_kills_when_it_is_tried_opens_it_again);
    tcase_add_test(probe, a_probe_that_shows_nothing_is_followed_by_the_next);
    tcase_add_test(probe, one_that_is_kicked_is_tried_at_once);
    tcase_add_test(probe, one_that_is_kicked_goes_before_the_one_that_is_due);
    tcase_add_test(probe, a_dead_one_that_is_kicked_is_tried_at_once);
    tcase_add_test(other, a_user_has_so_many);
    tcase_add_test(other, a_turn_does_not_look_at_all_of_them);
    tcase_add_test(other, those_that_wait_can_be_changed);
    tcase_add_test(other, the_daemon_ends_while_they_wait);
    tcase_add_test(other, it_goes_with_its_user);
    return suite_run(suite);
}
