/* SPDX-License-Identifier: MIT */
/* core_check() must see what is wrong: here it is made wrong, one thing at a time. */
#include "tests/unit/core/rig.h"

static struct rig r;

#define SEES(wrong, right, part)                                                                                       \
    do {                                                                                                               \
        const char *sentence;                                                                                          \
                                                                                                                       \
        wrong;                                                                                                         \
        sentence = core_check(r.core);                                                                                 \
        right;                                                                                                         \
        ck_assert_msg(sentence &&strstr(sentence, part), "%s: \"%s\"", #wrong, sentence ? sentence : "all is well");   \
        ck_assert_ptr_null(core_check(r.core));                                                                        \
    } while (0)

START_TEST(it_sees)
{
    struct task *given, *waiting;
    struct worker *w;
    struct set *s;

    rig_limits(&r);
    rig_start(&r, 2);
    s = set_find(r.core, client_find(r.core, r.client), (struct text){ 0 },
                 rig_set(&r, SET_RR, "s", (uint32_t[]){ 1, 2, 0 }));
    given = rig_task(&r, rig_call_worker(&r, "m.f", 1));
    rig_assign(&r);
    waiting = rig_task(&r, rig_call_worker(&r, "m.f", 1));
    w = rig_worker(&r, 1);

    SEES(r.core->n_given++, r.core->n_given--, "miscounted");
    SEES(r.core->n_queued--, r.core->n_queued++, "miscounted");
    SEES(r.core->stats.done++, r.core->stats.done--, "lost, or ended twice");
    SEES(given->state = TASK_WAITING, given->state = TASK_GIVEN, "against its state");
    SEES(given->stop = STOP_CANCEL, given->stop = STOP_NONE, "goes on");
    SEES(given->worker = rig_worker(&r, 2), given->worker = w, "does not hold");
    SEES(given->in_requests = false, given->in_requests = true, "in no table");
    SEES(waiting->bound = 2, waiting->bound = 1, "another worker");
    SEES(waiting->queue_node.place++, waiting->queue_node.place--, "place in the heap");
    SEES(w->queue.heap.v[0].key++, w->queue.heap.v[0].key--, "another rank");
    SEES(waiting->priority = 1, waiting->priority = INFINITY, "a priority is not known");
    SEES(w->n_held++, w->n_held--, "holds is miscounted");
    SEES(w->free_slots ^= 1, w->free_slots ^= 1, "slot");
    SEES(w->free_slots ^= 2, w->free_slots ^= 2, "slot was lost");
    SEES(w->oldest = 5, w->oldest = given->id, "oldest");
    SEES(w->state = WORKER_STOPPING, w->state = WORKER_BUSY, "stops nothing");
    SEES(w->state = WORKER_LEAVING, w->state = WORKER_BUSY, "cannot work");
    SEES(rig_worker(&r, 2)->state = WORKER_BUSY, rig_worker(&r, 2)->state = WORKER_IDLE, "busy worker holds nothing");
    SEES(w->leave = LEAVE_REMOVED, w->leave = LEAVE_NOT, "");
    SEES(r.core->n_holding++, r.core->n_holding--, "miscounted");
    SEES(s->n--, s->n++, "bits");
    SEES(s->cursor = 2, s->cursor = 0, "turn");
    SEES(s->orphan = true, s->orphan = false, "for nobody");
    SEES(s->user->n_tasks++, s->user->n_tasks--, "charged");
    SEES(s->user->bytes++, s->user->bytes--, "charged");
    SEES(s->user->n_sets = 0, s->user->n_sets = 1, "names");
    SEES(r.core->limits.modules_max = 0, r.core->limits.modules_max = 256, "more modules");
    rig_end(&r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core check");
    TCase *tc = suite_case(suite, "check");

    tcase_add_test(tc, it_sees);
    return suite_run(suite);
}
