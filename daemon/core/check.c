/* SPDX-License-Identifier: MIT */
/*
 * check -- do all parts of the core agree? Every number that is kept is counted anew, every pointer is looked at
 * from its other end. For tests. Arrays and server tasks are looked at in check_shared.c.
 */
#include "daemon/core/check.h"

#include <string.h>

static bool comes_before(const struct heap_entry *a, const struct heap_entry *b)
{
    if (a->key != b->key)
        return a->key < b->key;
    return a->turn != b->turn ? a->turn < b->turn : a->number < b->number;
}

const char *check_heap(const struct heap *h)
{
    HOLDS(h->n <= h->cap, "a heap holds more than it has room for");
    for (size_t i = 0; i < h->n; i++) {
        HOLDS(h->v[i].node->place == i + 1, "a node does not know its place in the heap");
        HOLDS(i == 0 || !comes_before(&h->v[i], &h->v[(i - 1) / 2]), "a heap is out of order");
    }
    return NULL;
}

static const char *check_queue(const struct queue *q)
{
    const char *wrong = check_heap(&q->heap);

    for (size_t i = 0; !wrong && i < q->heap.n; i++) {
        const struct task *t = CONTAINER_OF(q->heap.v[i].node, struct task, queue_node);

        HOLDS(t->state == TASK_WAITING && t->queue == q, "a queue holds a task that does not wait there");
        HOLDS(heap_holds(&t->urgent_node) == (t->priority < INFINITY), "a priority is not known, or none is");
        HOLDS(q->heap.v[i].key == t->rank, "a task waits under another rank");
    }
    for (size_t i = 0; !wrong && i < q->nested.n; i++) {
        const struct task *t = CONTAINER_OF(q->nested.v[i].node, struct task, nested_node);

        HOLDS(t->queue == q && t->depth > 0 && q->nested.v[i].number == t->id, "a queue holds a strange nested task");
    }
    return wrong ? wrong : check_heap(&q->nested);
}

/* What it is inside of, and who waits for it. */
static const char *check_nested(const struct task *t)
{
    const struct task *other = t->lender ? t->lender->nested : NULL;

    HOLDS(t->depth <= NESTING_MAX, "a task is nested too deep");
    HOLDS(heap_holds(&t->nested_node) == (t->depth > 0 && t->state == TASK_WAITING),
          "a task waits among the nested ones, or not, against its state");
    HOLDS(!t->lender || (t->client && t->depth > 0), "somebody waits for a task that is not nested");
    HOLDS(!t->lender || worker_held(t->lender, t->outer), "a worker waits for a task and does not run the outer one");
    while (other && other != t)
        other = other->nested_next;
    HOLDS(!t->lender || other == t, "a worker does not know for what it waits");
    return NULL;
}

static const char *check_task(const struct core *core, const struct task *t)
{
    const struct worker *w = t->worker;

    HOLDS(t->state != TASK_NEW && t->state != TASK_ENDED, "a task in the table is new or has ended");
    HOLDS((t->state == TASK_HELD) == (t->module != NULL), "a task is held by a module, or not, against its state");
    HOLDS((t->state == TASK_HELD) == (t->function == NULL), "a held task has a function, or another has none");
    HOLDS((t->state == TASK_HELD) == (t->wanted != NULL), "a held task has no name, or another keeps one");
    HOLDS((t->state == TASK_WAITING) == (t->queue != NULL), "a task is in a queue, or not, against its state");
    HOLDS((t->state == TASK_WAITING) == heap_holds(&t->queue_node), "a task is in a heap, or not, against its state");
    HOLDS((t->state >= TASK_BOOKED) == (w != NULL), "a task has a worker, or not, against its state");
    HOLDS(!w || t->state == TASK_BOOKED || worker_held(w, t->id) == t, "a worker does not hold the task that names it");
    HOLDS(!t->in_requests || t->client, "nobody waits for a task that is in the table of requests");
    HOLDS(t->detached || !t->client || t->in_requests, "somebody waits for a task that is in no table");
    HOLDS(!t->in_requests || task_find_request(core, t->client->id, t->key.request) == t, "a request is not found");
    HOLDS(t->state != TASK_STOPPING || t->stop != STOP_NONE, "a task stops without a reason");
    HOLDS(t->stop == STOP_NONE || t->state == TASK_RECALLED || t->state == TASK_STOPPING,
          "a task that is to stop goes on");
    HOLDS(!heap_holds(&t->deadline_node) || (t->deadline_ms && t->stop == STOP_NONE), "a deadline nobody asked for");
    if (t->state == TASK_WAITING) {
        HOLDS(t->set, "a task waits without a set");
        HOLDS(function_usable(t->function), "a task waits for a function that cannot be called");
        HOLDS(!t->pinned || t->bound == t->pinned, "a task waits for another worker than was asked for");
        if (t->bound) {
            w = worker_find(core, t->bound);
            HOLDS(w && w->leave != LEAVE_REMOVED, "a task waits for a worker that is gone");
            HOLDS(t->queue == &w->queue, "a bound task waits elsewhere");
            HOLDS(t->pinned || set_has(t->set, w), "a task was dealt to a stranger");
            HOLDS(t->pinned || t->set->mode == SET_RR || task_isolated(t), "a task waits for one of a first-free set");
        } else {
            HOLDS(t->set->mode == SET_FF && t->queue == &t->set->queue, "a task waits outside its set");
            HOLDS(t->set->n > 0, "a task waits in an empty set");
        }
    }
    return check_nested(t);
}

static const char *check_tasks(const struct core *core)
{
    uint64_t held = 0, queued = 0, given = 0, booked = 0, requests = 1, bytes = 0, deadlines = 0, nested = 0;
    const struct task *t;
    const char *wrong;

    for (t = core->tasks; t; t = t->hh.next) {
        if (t == &core->keeper)
            continue;
        wrong = check_task(core, t);
        if (wrong)
            return wrong;
        held += t->state == TASK_HELD;
        queued += t->state == TASK_WAITING;
        nested += t->state == TASK_WAITING && t->depth > 0;
        given += t->state >= TASK_GIVEN;
        booked += t->state == TASK_BOOKED;
        requests += t->in_requests;
        bytes += t->payload && !t->is_attempt ? t->payload->n : 0;
        deadlines += heap_holds(&t->deadline_node);
    }
    HOLDS(held == core->n_held && queued == core->n_queued && given == core->n_given, "tasks by place are miscounted");
    HOLDS(booked == core->n_booked, "booked tasks are miscounted");
    HOLDS(nested == core->n_nested, "nested tasks are miscounted");
    HOLDS(held + queued + booked + given == core_tasks(core), "a task is in no place");
    HOLDS(requests == HASH_CNT(hh_request, core->requests), "the table of requests holds others");
    HOLDS(bytes == core->stats.payload_bytes, "payload bytes are miscounted");
    HOLDS(deadlines == core->deadlines.n, "the heap of deadlines holds others");
    HOLDS(core->stats.submitted == core->stats.done + core->stats.failed + core->stats.cancelled + core_tasks(core),
          "a task was lost, or ended twice");
    return check_heap(&core->deadlines);
}

static const char *check_worker(const struct core *core, const struct worker *w)
{
    uint64_t slots = w->free_slots | w->revoked_slots, usual_us = 0;
    uint32_t n = 0, n_long = 0, stopping = 0, booked = 0;
    const struct worker *idle;
    const struct client *c;
    const struct task *t;

    HOLDS((w->free_slots & w->revoked_slots) == 0, "a slot is free and revoked");
    DL_FOREACH2(w->held, t, place_next) {
        HOLDS(t->worker == w && t->state >= TASK_GIVEN && t->state <= TASK_STOPPING, "a worker holds a foreign task");
        HOLDS(!(slots >> t->slot & 1) && w->slot_task[t->slot] == t->id, "a slot is not that of its task");
        slots |= UINT64_C(1) << t->slot;
        n++;
        n_long += !t->is_short;
        usual_us += t->usual_us;
        stopping += t->state == TASK_STOPPING;
    }
    DL_FOREACH2(w->booked, t, place_next) {
        HOLDS(t->worker == w && t->state == TASK_BOOKED, "a worker has a foreign task booked");
        HOLDS(!(slots >> t->slot & 1), "a slot is booked twice");
        slots |= UINT64_C(1) << t->slot;
        booked++;
        n_long += !t->is_short;
        usual_us += t->usual_us;
    }
    HOLDS(booked == w->n_booked, "what is booked at a worker is miscounted");
    HOLDS(slots == UINT64_MAX, "a slot was lost");
    HOLDS(n == w->n_held && n_long == w->n_long && usual_us == w->usual_us, "what a worker holds is miscounted");
    HOLDS(w->oldest == (w->held ? w->held->id : 0), "a worker does not know its oldest task");
    HOLDS(w->state != WORKER_IDLE || n == 0, "an idle worker holds a task");
    HOLDS(w->state != WORKER_BUSY || n > 0, "a busy worker holds nothing");
    HOLDS(w->state != WORKER_STOPPING || stopping > 0, "a worker stops nothing");
    HOLDS(stopping == 0 || w->state == WORKER_STOPPING || w->state == WORKER_KILLED,
          "a worker goes on with a stopped task");
    HOLDS(n == 0 || w->state == WORKER_BUSY || w->state == WORKER_STOPPING || w->state == WORKER_KILLED,
          "a worker that cannot work holds a task");
    HOLDS((w->state != WORKER_STOPPING && w->state != WORKER_LEAVING) || heap_holds(&w->timer),
          "nobody will kill a worker");
    HOLDS(!(w->state == WORKER_IDLE && w->leave != LEAVE_NOT), "a worker is to leave and was not told");
    HOLDS(w->state == WORKER_DEAD || w->state == WORKER_STARTING || w->pid != 0, "a worker without a process");
    DL_FOREACH2(core->idle, idle, idle_next)
        if (idle == w)
            break;
    HOLDS((idle != NULL) == (w->state == WORKER_IDLE), "the list of idle workers is wrong");
    HOLDS(w->stands_for || set_has(&core->all, w) == (w->leave != LEAVE_REMOVED), "the set of all workers is wrong");
    DL_FOREACH2(w->nested, t, nested_next)
        HOLDS(t->lender == w, "a worker waits for a foreign task");
    DL_FOREACH2(w->clients, c, inside_next)
        HOLDS(c->inside == w && client_find(core, c->id) == c, "a foreign client is inside of a worker");
    return check_queue(&w->queue);
}

static const char *check_stand_in(const struct core *core, const struct worker *w)
{
    const struct task *t;

    HOLDS(w->id > WORKER_ID_MAX && w->stands_for && w->stands_for <= WORKER_ID_MAX, "a stand-in is none");
    HOLDS(w->leave != LEAVE_NOT || worker_find(core, w->stands_for), "a stand-in stands for nobody");
    HOLDS(w->leave != LEAVE_RECYCLE, "a stand-in is to be replaced");
    HOLDS(w->queue.heap.n == 0 && w->backlog.n == 0, "something waits for a stand-in");
    HOLDS(w->n_held <= 1 && w->n_booked == 0, "a stand-in has more than it runs");
    DL_FOREACH2(w->held, t, place_next)
        HOLDS(t->depth > 0, "a stand-in runs a call that is not nested");
    HOLDS(w->state != WORKER_IDLE || heap_holds(&w->timer), "a stand-in stays for ever");
    HOLDS(w->state != WORKER_DEAD || heap_holds(&w->timer) || core->draining, "nobody will free a stand-in");
    return NULL;
}

static const char *check_workers(const struct core *core)
{
    uint32_t holding = 0, recycling = 0;
    const char *wrong = check_heap(&core->timers);

    for (uint32_t i = 0; !wrong && i < core->n_workers; i++) {
        const struct worker *w = core->workers[i];

        HOLDS(i == 0 || core->workers[i - 1]->id < w->id, "workers are out of order");
        holding += w->n_held > 0;
        recycling += w->leave == LEAVE_RECYCLE && !w->outdated;
        HOLDS(w->id <= WORKER_ID_MAX && !w->stands_for, "a stand-in is among the workers");
        wrong = check_worker(core, w);
    }
    HOLDS(core->n_stand_ins <= core->limits.stand_ins_max, "there are more stand-ins than allowed");
    for (uint32_t i = 0; !wrong && i < core->n_stand_ins; i++) {
        const struct worker *w = core->stand_ins[i];

        HOLDS(i == 0 || core->stand_ins[i - 1]->id < w->id, "stand-ins are out of order");
        holding += w->n_held > 0;
        wrong = check_worker(core, w);
        if (!wrong)
            wrong = check_stand_in(core, w);
    }
    HOLDS(wrong || holding == core->n_holding, "workers that hold tasks are miscounted");
    HOLDS(wrong || recycling <= 1, "two workers are being recycled");
    return wrong;
}

static const char *check_set(const struct core *core, const struct set *s)
{
    uint64_t queued = 0, last = 0;
    uint32_t bits = 0;
    const struct set *waiting;
    const struct task *t;

    for (size_t i = 0; i < ELEMENTS(s->has); i++)
        bits += (uint32_t)__builtin_popcountll(s->has[i]);
    HOLDS(bits == s->n, "the bits of a set do not count its members");
    for (uint32_t i = 0; i < s->n; i++)
        HOLDS(worker_find(core, s->ids[i]) == s->members[i] && set_has(s, s->members[i]), "a set has a strange member");
    HOLDS(s->n == 0 ? s->cursor == 0 : s->cursor < s->n, "a set does not know whose turn it is");
    HOLDS(s->mode == SET_FF || s->queue.heap.n == 0, "a task waits in a round robin set");
    DL_FOREACH2(s->tasks, t, set_next) {
        HOLDS(t->set == s && t->id > last, "the tasks of a set are strange or out of order");
        last = t->id;
        queued += t->state == TASK_WAITING;
    }
    HOLDS(queued == s->n_queued, "the waiting tasks of a set are miscounted");
    HOLDS(!s->orphan || s->tasks || s->queued, "a set is kept for nobody");
    DL_FOREACH2(core->waiting, waiting, waiting_next)
        if (waiting == s)
            break;
    HOLDS((waiting != NULL) == (s->queue.heap.n > 0), "the list of sets with waiting tasks is wrong");
    return check_queue(&s->queue);
}

static const char *check_sets(const struct core *core)
{
    const char *wrong = check_set(core, &core->all);

    for (const struct set *s = core->sets; !wrong && s; s = s->hh.next)
        wrong = check_set(core, s);
    return wrong;
}

static const char *check_modules(const struct core *core)
{
    uint64_t held = 0;

    HOLDS(HASH_COUNT(core->modules) <= core->limits.modules_max, "there are more modules than allowed");
    for (const struct module *m = core->modules; m; m = m->hh.next) {
        const struct task *t;

        HOLDS(!m->held || m->state == MODULE_LOADING, "a module holds tasks that nobody will release");
        DL_FOREACH2(m->held, t, place_next) {
            HOLDS(t->module == m && t->state == TASK_HELD, "a module holds a foreign task");
            held++;
        }
    }
    HOLDS(held == core->n_held, "held tasks are miscounted");
    return NULL;
}

static const char *check_users(const struct core *core)
{
    uint64_t tasks = 0, bytes = 0, clients = 0, sets = 0;

    for (const struct user *u = core->users; u; u = u->hh.next) {
        HOLDS(u->n_tasks || u->n_clients || u->n_sets || u->n_arrays || u->n_stasks || u->n_queued ||
                  u->n_kept || u->n_pins || u->n_pauses,
              "a user is kept for nothing");
        HOLDS(HASH_CNT(hh_name, u->named) <= u->n_sets, "a user has more names than sets");
        tasks += u->n_tasks;
        bytes += u->bytes;
        clients += u->n_clients;
        sets += u->n_sets + u->n_hidden;
    }
    HOLDS(tasks == core_tasks(core) && bytes == core->stats.payload_bytes, "tasks are charged wrongly");
    HOLDS(clients == HASH_COUNT(core->clients) && sets == HASH_COUNT(core->sets), "users are miscounted");
    return NULL;
}

const char *core_check(const struct core *core)
{
    static const char *(*const parts[])(const struct core *core) = {
        check_tasks, check_workers, check_sets, check_modules, check_users, check_queued, check_arrays, check_stasks,
    };

    for (size_t i = 0; i < ELEMENTS(parts); i++) {
        const char *wrong = parts[i](core);

        if (wrong)
            return wrong;
    }
    return NULL;
}
