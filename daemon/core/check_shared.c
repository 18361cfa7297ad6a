/* SPDX-License-Identifier: MIT */
/*
 * check_shared -- the part of core_check() that looks at arrays, at who maps them, and at server tasks. What a user
 * is charged is counted anew from the arrays and handles themselves, what an array is used for from the tasks, and
 * each hold is looked for from both of its ends.
 */
#include "daemon/core/check.h"

#include <string.h>

/* -- holds ------------------------------------------------------------------------------------------------ */

/* The list of whoever holds it; NULL: there is none such. */
static struct hold *const *list_of(const struct core *core, enum core_holder kind, uint32_t id)
{
    const struct client *c;
    const struct worker *w;
    const struct stask *s;

    switch (kind) {
    case HOLDER_CLIENT:
        c = client_find(core, id);
        return c ? &c->holds : NULL;
    case HOLDER_WORKER:
        w = worker_or_stand_in(core, id);
        return w ? &w->holds : NULL;
    case HOLDER_STASK:
        s = stask_by_process(core, id);
        return s ? &s->holds : NULL;
    }
    return NULL;
}

static const char *check_array_holds(const struct core *core, const struct array *a, uint32_t *ret_n)
{
    const struct hold *h, *other;

    DL_FOREACH2(a->holds, h, array_next) {
        HOLDS(h->array == a, "an array has the hold of another");
        HOLDS(h->count > 0, "a hold was given back and is still there");
        HOLDS(h->list && h->list == list_of(core, h->kind, h->id), "a hold does not know the list of its holder");
        for (other = h->array_next; other; other = other->array_next)
            HOLDS(other->kind != h->kind || other->id != h->id, "somebody has two holds of one array");
        ++*ret_n;
    }
    return NULL;
}

static const char *check_list(const struct core *core, struct hold *const *list, enum core_holder kind, uint32_t id,
                              uint32_t *ret_n)
{
    const struct hold *h, *seen;

    DL_FOREACH2(*list, h, holder_next) {
        HOLDS(h->kind == kind && h->id == id && h->list == list, "somebody has the hold of another");
        HOLDS(array_find(core, h->array->id) == h->array, "somebody holds an array that there is not");
        DL_FOREACH2(h->array->holds, seen, array_next)
            if (seen == h)
                break;
        HOLDS(seen, "an array does not know who maps it");
        ++*ret_n;
    }
    return NULL;
}

static const char *check_holders(const struct core *core, uint32_t holds)
{
    const char *wrong = NULL;
    uint32_t n = 0;

    for (const struct client *c = core->clients; !wrong && c; c = c->hh.next)
        wrong = check_list(core, &c->holds, HOLDER_CLIENT, c->id, &n);
    for (uint32_t i = 0; !wrong && i < core->n_workers + core->n_stand_ins; i++) {
        const struct worker *w = worker_at(core, i);

        HOLDS(w->state != WORKER_DEAD || !w->holds, "a worker without a process maps an array");
        wrong = check_list(core, &w->holds, HOLDER_WORKER, w->id, &n);
    }
    for (const struct stask *t = core->processes; !wrong && t; t = t->hh.next)
        wrong = check_list(core, &t->holds, HOLDER_STASK, t->process, &n);
    HOLDS(wrong || n == holds, "a hold is in no list of a holder");
    return wrong;
}

/* -- arrays ----------------------------------------------------------------------------------------------- */

static const char *check_uses(const struct core *core, const struct array *a)
{
    const struct task *t;
    uint32_t uses = 0;

    for (t = core->tasks; t; t = t->hh.next)
        uses += (t->args == a) + (t->room == a) + (t->made == a) + (t->batch && t->batch->captured == a);
    HOLDS(uses == a->uses, "the uses of an array are miscounted");
    if (a->for_task) {
        t = task_find(core, a->for_task);
        HOLDS(t && t->made == a, "an array was made for the value of a task that does not know it");
    }
    return NULL;
}

static const char *check_owner(const struct core *core, const struct array *a)
{
    const struct array *of_owner;
    uint32_t n = 0;

    HOLDS(!a->owner || !a->stasks, "an array has two owners");
    HOLDS(a->state != ARRAY_MAKING || a->owner, "nobody wants an array that is being made");
    HOLDS(a->state != ARRAY_READY || a->owner || a->stasks || a->keep, "an array is kept for nobody");
    HOLDS(a->state != ARRAY_READY || !a->keep || (!a->owner && !a->stasks), "an array that is kept has an owner");
    if (a->owner) {
        HOLDS(client_find(core, a->owner->id) == a->owner && a->owner->user == a->user, "an array has a strange owner");
        DL_FOREACH2(a->owner->arrays, of_owner, owner_next)
            if (of_owner == a)
                break;
        HOLDS(of_owner, "the owner of an array does not know it");
    }
    if (a->stasks) {
        HOLDS(stasks_find(core, a->stasks->id) == a->stasks, "an array is of server tasks that there are not");
        HOLDS(a->stasks->n_arrays <= STASKS_ARRAYS_MAX, "server tasks have too many arrays");
        for (uint32_t i = 0; i < a->stasks->n_arrays; i++)
            n += a->stasks->arrays[i] == a;
        HOLDS(n == 1, "server tasks do not know their array");
    }
    return NULL;
}

static const char *check_array(const struct core *core, const struct array *a)
{
    const struct text prefix = { a->key.prefix, strlen(a->key.prefix) }, name = { a->key.name, strlen(a->key.name) };
    const struct stask *process = a->for_process ? stask_by_process(core, a->for_process) : NULL;
    const char *wrong = check_owner(core, a);

    HOLDS(!wrong, wrong);
    HOLDS(array_find(core, a->id) == a && a->id <= core->last_array, "an array is not found by its number");
    HOLDS(a->key.uid == a->user->uid, "an array has the name of another user");
    HOLDS(!a->replaces || a->state != ARRAY_READY, "an array is there, and has yet to replace another");
    HOLDS(a->in_names == (name.n && a->state != ARRAY_ENDED && !a->replaces),
          "an array has a name, or none, against its state");
    HOLDS(!a->in_names || array_named(core, a->key.uid, prefix, name) == a, "an array is not found by its name");
    HOLDS(a->state != ARRAY_ENDED || (!a->owner && !a->stasks), "an array that has ended belongs to somebody");
    HOLDS(a->state != ARRAY_ENDED || (a->dropped ? a->holds && !a->uses : a->uses),
          "an array that has ended stays for nobody");
    HOLDS(!a->dropped || a->state == ARRAY_ENDED, "an array has no memory and has not ended");
    HOLDS(!a->asked_client || !a->asked_process, "two wait for one array");
    HOLDS((a->state == ARRAY_MAKING) == (a->asked_client || a->asked_process),
          "somebody waits for an array that is there, or nobody for one that is not");
    HOLDS(!a->file || !a->charged, "an array in a file is charged");
    HOLDS(a->file || a->charged == (a->memory.mapped_bytes ? a->memory.mapped_bytes : a->layout.bytes),
          "an array is charged wrongly");
    HOLDS(a->charged >= (a->file ? 0 : a->layout.bytes), "an array is charged for less than it has");
    HOLDS(a->state == ARRAY_READY ? heap_holds(&a->lease) == (a->keep && a->keep_ms) : !heap_holds(&a->lease),
          "an array has a time, or none, against what was asked for");
    HOLDS(a->n_share <= SHARE_MAX, "an array is shared with too many");
    HOLDS(!a->for_process || process || a->state != ARRAY_MAKING, "an array is made for a process that is gone");
    HOLDS(!process || process->handle->user == a->user, "an array is for a process of another user");
    HOLDS(!a->untaken || (a->state == ARRAY_READY && a->owner && !a->for_task), "a value waits for nobody");
    return check_uses(core, a);
}

static const char *check_array_sums(const struct core *core)
{
    const struct array *a;

    for (const struct user *u = core->users; u; u = u->hh.next) {
        uint64_t bytes = 0;
        uint32_t n = 0;

        for (a = core->arrays; a; a = a->hh.next) {
            n += a->user == u;
            bytes += a->user == u ? a->charged : 0;
        }
        HOLDS(n == u->n_arrays && bytes == u->shm_bytes, "a user is charged for other arrays than their own");
    }
    for (const struct client *c = core->clients; c; c = c->hh.next)
        DL_FOREACH2(c->arrays, a, owner_next)
            HOLDS(a->owner == c && array_find(core, a->id) == a, "a client has the array of another");
    return NULL;
}

const char *check_arrays(const struct core *core)
{
    uint32_t names = 0, leases = 0, holds = 0, untaken = 0;
    const char *wrong = check_heap(&core->leases);
    uint64_t bytes = 0;

    for (const struct array *a = core->arrays; !wrong && a; a = a->hh.next) {
        wrong = check_array(core, a);
        if (!wrong)
            wrong = check_array_holds(core, a, &holds);
        names += a->in_names;
        leases += heap_holds(&a->lease);
        untaken += a->untaken;
        bytes += a->charged;
    }
    HOLDS(!wrong, wrong);
    HOLDS(names == HASH_CNT(hh_name, core->named_arrays), "the table of names holds others");
    HOLDS(leases == core->leases.n, "the heap of leases holds others");
    HOLDS(untaken == core->n_untaken, "values that nobody has come for are miscounted");
    HOLDS(bytes == core->shm_bytes, "the bytes of all arrays are miscounted");
    wrong = check_array_sums(core);
    return wrong ? wrong : check_holders(core, holds);
}

/* -- server tasks ------------------------------------------------------------------------------------------ */

static const char *check_stask(const struct core *core, const struct stasks *s, uint32_t index)
{
    const struct stask *t = &s->tasks[index];

    HOLDS(t->handle == s && t->index == index, "a server task does not know its place");
    if (t->state == STASK_DEAD) {
        HOLDS(stask_by_process(core, t->process) != t, "a dead server task has a process");
        HOLDS(!t->pid && !t->holds && !t->fates && !heap_holds(&t->timer), "something waits for a dead server task");
        return NULL;
    }
    HOLDS(is_stask_process(t->process), "a server task has the number of a worker");
    HOLDS(stask_by_process(core, t->process) == t, "a server task is not found by its process");
    HOLDS((t->state == STASK_STOPPING) == s->stopping, "a server task goes on, or stops, against its handle");
    HOLDS(t->state != STASK_STARTING || (!t->pid && !t->n_mapped), "a server task that starts is too far");
    HOLDS(t->state != STASK_MAPPING || (t->pid && t->n_mapped < s->n_arrays), "a server task that maps has mapped all");
    HOLDS(t->state != STASK_UP || (t->pid && t->n_mapped == s->n_arrays), "a server task is up and has not mapped all");
    HOLDS((t->fates != NULL) == heap_holds(&t->fate_timer), "a fate is awaited for ever, or its time is nobody's");
    return NULL;
}

static const char *check_handle(const struct core *core, const struct stasks *s)
{
    const struct stasks *of_owner;
    const char *wrong = NULL;
    uint32_t dead = 0, up = 0;

    HOLDS(stasks_find(core, s->id) == s && s->id <= core->last_stasks, "server tasks are not found by their number");
    HOLDS(s->n > 0 && s->n_arrays <= STASKS_ARRAYS_MAX, "server tasks are none, or have too many arrays");
    HOLDS(!s->owner || !s->name[0], "server tasks with a name have an owner");
    HOLDS(s->owner || s->name[0] || s->stopping, "server tasks without a name outlive their owner");
    if (s->owner) {
        HOLDS(client_find(core, s->owner->id) == s->owner && s->owner->user == s->user,
              "server tasks have a strange owner");
        DL_FOREACH2(s->owner->stasks, of_owner, owner_next)
            if (of_owner == s)
                break;
        HOLDS(of_owner, "the owner of server tasks does not know them");
    }
    for (uint32_t i = 0; !wrong && i < s->n; i++) {
        wrong = check_stask(core, s, i);
        dead += s->tasks[i].state == STASK_DEAD;
        up += s->tasks[i].state == STASK_UP;
    }
    HOLDS(!wrong, wrong);
    for (uint32_t i = 0; i < s->n_arrays; i++) {
        const struct array *a = s->arrays[i];

        HOLDS(a->stasks == s && a->state == ARRAY_READY && a->user == s->user, "server tasks have a strange array");
    }
    HOLDS(!s->stopping || dead < s->n, "server tasks have ended and are still there");
    HOLDS(!s->starter || (!s->stopping && up < s->n && !s->starter->next), "a start waits for nothing");
    HOLDS(s->up || s->stopping || s->starter, "server tasks come up for nobody");
    HOLDS(!s->stoppers || s->stopping, "a stop waits for server tasks that go on");
    return NULL;
}

static const char *check_stask_sums(const struct core *core)
{
    const struct stasks *s;

    for (const struct user *u = core->users; u; u = u->hh.next) {
        uint32_t n = 0;

        for (s = core->stasks; s; s = s->hh.next)
            n += s->user == u ? s->n : 0;
        HOLDS(n == u->n_stasks, "a user is charged for other server tasks than their own");
    }
    for (const struct client *c = core->clients; c; c = c->hh.next)
        DL_FOREACH2(c->stasks, s, owner_next)
            HOLDS(s->owner == c && stasks_find(core, s->id) == s, "a client has the server tasks of another");
    return NULL;
}

const char *check_stasks(const struct core *core)
{
    uint32_t n = 0, processes = 0, timers = 0;
    const char *wrong = check_heap(&core->stask_timers);
    uint32_t fates = 0;

    for (const struct stasks *s = core->stasks; !wrong && s; s = s->hh.next) {
        wrong = check_handle(core, s);
        n += s->n;
        for (uint32_t i = 0; i < s->n; i++) {
            processes += s->tasks[i].state != STASK_DEAD;
            timers += heap_holds(&s->tasks[i].timer);
            fates += heap_holds(&s->tasks[i].fate_timer);
        }
    }
    HOLDS(!wrong, wrong);
    HOLDS(n == core->n_stasks, "server tasks are miscounted");
    HOLDS(n <= core->stask_timers.cap, "a server task has no room for a timer");
    wrong = check_heap(&core->fate_timers);
    HOLDS(!wrong, wrong);
    HOLDS(n <= core->fate_timers.cap, "a server task has no room for the time of a fate");
    HOLDS(fates == core->fate_timers.n, "the heap of fates holds others");
    HOLDS(processes == HASH_COUNT(core->processes), "the table of processes holds others");
    HOLDS(timers == core->stask_timers.n, "the heap of timers holds others");
    return check_stask_sums(core);
}
