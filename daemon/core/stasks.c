/* SPDX-License-Identifier: MIT */
/*
 * stasks -- see stasks.h: the life of server tasks. What clients ask is in stasks_request.c.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "daemon/core/state.h"

enum { LOSSES_MAX = 5 };

struct stask *stask_by_process(const struct core *core, uint32_t process)
{
    struct stask *t;

    HASH_FIND(hh, core->processes, &process, sizeof process, t);
    return t;
}

struct stasks *stasks_find(const struct core *core, uint64_t id)
{
    struct stasks *s;

    HASH_FIND(hh, core->stasks, &id, sizeof id, s);
    return s;
}

struct array *stasks_array(const struct core *core, uint32_t uid, uint64_t id, uint32_t index)
{
    const struct stasks *s = stasks_find(core, id);

    return s && s->user->uid == uid && index < s->n_arrays ? s->arrays[index] : NULL;
}

bool core_stask_where(const struct core *core, uint32_t process, struct core_stask_place *ret)
{
    const struct stask *t = stask_by_process(core, process);

    if (t)
        *ret = (struct core_stask_place){ t->index, t->handle->n, t->handle->user->uid, t->handle->prefix };
    return t != NULL;
}

uint32_t core_stask_processes(const struct core *core)
{
    return HASH_COUNT(core->processes);
}

int stask_wait(struct stask_waiter **list, uint32_t client, uint64_t request, uint64_t call)
{
    struct stask_waiter *w = calloc(1, sizeof *w);

    if (!w)
        return -ENOMEM;
    *w = (struct stask_waiter){ client, request, call, NULL };
    LL_APPEND(*list, w);
    return 0;
}

void stask_waiters_free(struct stask_waiter **list)
{
    struct stask_waiter *w;

    while ((w = *list)) {
        *list = w->next;
        free(w);
    }
}

void stask_set_timer(struct core *core, struct stask *t, uint64_t at_us, uint64_t call)
{
    heap_remove(&core->stask_timers, &t->timer);
    t->stopping_call = call;
    if (at_us != CORE_NEVER)
        (void)heap_push(&core->stask_timers, &t->timer, at_us); /* stasks_new() has reserved room for it */
}

/* -- coming and going ------------------------------------------------------------------------------------------- */

struct stasks *stasks_new(struct core *core, struct client *client, uint32_t n, const struct msg_stasks *m)
{
    struct stasks *s;

    if (heap_reserve(&core->stask_timers, core->n_stasks + n) < 0 ||
        heap_reserve(&core->fate_timers, core->n_stasks + n) < 0)
        return NULL;
    s = calloc(1, sizeof *s + n * sizeof s->tasks[0]);
    if (!s)
        return NULL;
    s->id = core->last_stasks + 1;
    s->n = n;
    HASH_ADD(hh, core->stasks, id, sizeof s->id, s);
    if (!s->hh.tbl) {
        free(s);
        return NULL;
    }
    core->last_stasks++;
    s->user = client->user;
    s->user->n_stasks += n;
    core->n_stasks += n;
    if (m->name.data)
        memcpy(s->name, m->name.data, m->name.n);
    if (m->prefix.data)
        memcpy(s->prefix, m->prefix.data, m->prefix.n);
    if (!m->name.data) {
        s->owner = client;
        DL_APPEND2(client->stasks, s, owner_prev, owner_next);
    }
    for (uint32_t i = 0; i < n; i++) {
        s->tasks[i].handle = s;
        s->tasks[i].index = i;
    }
    return s;
}

static void stask_forget_process(struct core *core, struct stask *t)
{
    if (t->state == STASK_DEAD)
        return;
    HASH_DELETE(hh, core->processes, t);
    heap_remove(&core->stask_timers, &t->timer);
    heap_remove(&core->fate_timers, &t->fate_timer);
    holds_drop(core, &t->holds);
    t->state = STASK_DEAD;
    t->pid = 0;
}

/* Without a word to anybody. */
static void stasks_free(struct core *core, struct stasks *s)
{
    HASH_DELETE(hh, core->stasks, s);
    if (s->owner)
        DL_DELETE2(s->owner->stasks, s, owner_prev, owner_next);
    for (uint32_t i = 0; i < s->n; i++) {
        stask_forget_process(core, &s->tasks[i]);
        stask_waiters_free(&s->tasks[i].fates);
        free(s->tasks[i].fate_texts);
    }
    stask_waiters_free(&s->starter);
    stask_waiters_free(&s->stoppers);
    s->user->n_stasks -= s->n;
    core->n_stasks -= s->n;
    user_release(core, s->user);
    free(s);
}

static void spawn(struct core *core, struct stask *t, struct actions *out)
{
    do
        t->process = STASK_PROCESS_BIT | (++core->last_process & ~STASK_PROCESS_BIT);
    while (stask_by_process(core, t->process));
    HASH_ADD(hh, core->processes, process, sizeof t->process, t);
    if (!t->hh.tbl) {
        out->no_memory = true;
        return;
    }
    t->state = STASK_STARTING;
    t->n_mapped = 0;
    t->killed = false;
    action_worker(out, ACT_SPAWN, t->process, 0);
}

void stasks_spawn(struct core *core, struct stasks *s, struct actions *out)
{
    for (uint32_t i = 0; i < s->n; i++) {
        if (s->tasks[i].state != STASK_DEAD)
            continue;
        s->tasks[i].losses = 0;
        spawn(core, &s->tasks[i], out);
    }
}

static void kill_process(struct core *core, struct stask *t, struct actions *out)
{
    heap_remove(&core->stask_timers, &t->timer);
    if (t->killed)
        return;
    t->killed = true;
    action_worker(out, ACT_KILL, t->process, 0);
}

/* Its last process is gone: so is the handle, with its arrays. */
static void stasks_end(struct core *core, struct stasks *s, struct actions *out)
{
    const struct msg_reply reply = { 0 };
    struct stask_waiter *w;

    for (uint32_t i = 0; i < s->n_arrays; i++)
        array_end(core, s->arrays[i], "its server tasks ended", out);
    s->n_arrays = 0;
    action_note(out, NOTE_STASKS_ENDED, 0, 0, "server tasks %" PRIu64 "%s%s of uid %" PRIu32 " ended", s->id,
                s->name[0] ? " " : "", s->name, s->user->uid);
    LL_FOREACH(s->stoppers, w)
        answer_reply(out, w->client, w->request, &reply, NULL);
    stasks_free(core, s);
}

static bool all_dead(const struct stasks *s)
{
    for (uint32_t i = 0; i < s->n; i++)
        if (s->tasks[i].state != STASK_DEAD)
            return false;
    return true;
}

static void refuse_starter(struct stasks *s, ptools_err code, const char *why, struct actions *out)
{
    if (s->starter)
        answer_refusal(out, s->starter->client, s->starter->request, code, "%s", why);
    stask_waiters_free(&s->starter);
}

/* Whether the process is to be killed by then already: nobody's patience gains it more time. */
static bool ends_before(const struct core *core, const struct stask *t, uint64_t at_us)
{
    return t->state == STASK_STOPPING && heap_holds(&t->timer) && t->stopping_call == 0 &&
           heap_key(&core->stask_timers, &t->timer) <= at_us;
}

void stasks_stop(struct core *core, uint64_t now_us, struct stasks *s, uint64_t kill_us, bool politely,
                 struct actions *out)
{
    const bool first = !s->stopping;

    s->stopping = true;
    refuse_starter(s, PTOOLS_ERR_CANCELLED, "the server tasks were stopped before they were up", out);
    for (uint32_t i = 0; i < s->n; i++) {
        struct stask *t = &s->tasks[i];

        if (t->state == STASK_DEAD)
            continue;
        if (t->state == STASK_STARTING || t->state == STASK_MAPPING || kill_us == 0) {
            kill_process(core, t, out);
        } else {
            struct action *act = first || politely ? action_add(out, ACT_STOP) : NULL;

            if (act) {
                act->worker = t->process;
                act->kill_politely = politely;
            }
            if (kill_us != CORE_NEVER && !t->killed && !ends_before(core, t, now_us + kill_us))
                stask_set_timer(core, t, now_us + kill_us, 0);
        }
        t->state = STASK_STOPPING;
    }
    if (all_dead(s))
        stasks_end(core, s, out);
}

void stasks_of_client_end(struct core *core, uint64_t now_us, struct client *c, struct actions *out)
{
    while (c->stasks) {
        struct stasks *s = c->stasks;

        DL_DELETE2(c->stasks, s, owner_prev, owner_next);
        s->owner = NULL;
        stasks_stop(core, now_us, s, core->limits.kill_grace_us, true, out);
    }
}

void stasks_drain(struct core *core, uint64_t now_us, bool hurry, struct actions *out)
{
    struct stasks *s, *next;

    HASH_ITER(hh, core->stasks, s, next)
        stasks_stop(core, now_us, s, hurry ? core->limits.kill_grace_us : CORE_NEVER, hurry, out);
}

void stasks_due(struct core *core, uint64_t now_us, struct actions *out)
{
    struct heap_node *node;

    while ((node = heap_top(&core->stask_timers)) && heap_top_key(&core->stask_timers) <= now_us) {
        struct stask *t = CONTAINER_OF(node, struct stask, timer);

        heap_remove(&core->stask_timers, node);
        if (t->stopping_call)
            action_worker(out, ACT_KILL_CALL, t->process, t->stopping_call);
        else
            kill_process(core, t, out);
    }
    fates_due(core, now_us, out);
}

void core_stask_stopping(struct core *core, uint64_t now_us, uint32_t process, uint64_t call)
{
    struct stask *t = stask_by_process(core, process);

    if (!t || (heap_holds(&t->timer) && (t->stopping_call == 0 || t->stopping_call == call)))
        return; /* the process itself is to be killed, or the call has its time already */
    stask_set_timer(core, t, now_us + core->limits.kill_grace_us, call); /* no other runs any more */
}

void stasks_deinit(struct core *core)
{
    struct stasks *s, *next;

    HASH_ITER(hh, core->stasks, s, next)
        stasks_free(core, s);
    heap_deinit(&core->stask_timers);
    heap_deinit(&core->fate_timers);
}

/* -- what processes tell ------------------------------------------------------------------------------------------- */

static bool all_up(const struct stasks *s)
{
    for (uint32_t i = 0; i < s->n; i++)
        if (s->tasks[i].state != STASK_UP)
            return false;
    return true;
}

static void is_up(struct stask *t, struct actions *out)
{
    struct stasks *s = t->handle;
    struct msg_reply reply = { .stasks = s->id, .count = s->n, .arrays = s->n_arrays };

    t->state = STASK_UP;
    if (!all_up(s))
        return;
    if (!s->up)
        action_note(out, NOTE_STASKS_STARTED, 0, 0, "%" PRIu32 " server tasks %" PRIu64 "%s%s of uid %" PRIu32, s->n,
                    s->id, s->name[0] ? " " : "", s->name, s->user->uid);
    s->up = true;
    if (s->starter) {
        reply.process = (uint32_t)s->starter->call;
        answer_reply(out, s->starter->client, s->starter->request, &reply, NULL);
    }
    stask_waiters_free(&s->starter);
}

void core_stask_ready(struct core *core, uint64_t now_us, uint32_t process, int32_t pid, struct actions *out)
{
    struct stask *t = stask_by_process(core, process);

    (void)now_us;
    if (!t || (t->state != STASK_STARTING && t->state != STASK_STOPPING)) {
        action_bug(out, process, 0, "process %" PRIu32 " of a server task is ready, which was not awaited", process);
        return;
    }
    t->pid = pid;
    if (t->state == STASK_STOPPING) { /* SIGKILL went to nobody yet */
        action_worker(out, ACT_KILL, process, 0);
        return;
    }
    t->state = STASK_MAPPING;
    for (uint32_t i = 0; i < t->handle->n_arrays; i++) {
        struct action *act = action_add(out, ACT_ARRAY_MAP);

        if (!act)
            return;
        act->worker = process;
        act->array = t->handle->arrays[i]->id;
    }
    if (t->handle->n_arrays == 0)
        is_up(t, out);
}

void core_array_mapped(struct core *core, uint64_t now_us, uint32_t worker, uint64_t array, ptools_err code,
                       const char *why, struct actions *out)
{
    struct stask *t = stask_by_process(core, worker);
    char text[256];

    if (!is_stask_process(worker)) { /* a task that asks for it is told by itself */
        if (code != PTOOLS_OK)
            action_note(out, NOTE_ARRAY_NOT_MAPPED, worker, 0, "array %" PRIu64 " could not be mapped: %.200s", array,
                        why);
        return;
    }
    if (!t || t->state != STASK_MAPPING)
        return;
    if (code == PTOOLS_OK) {
        if (++t->n_mapped == t->handle->n_arrays)
            is_up(t, out);
        return;
    }
    snprintf(text, sizeof text, "server task %" PRIu32 " cannot map array %" PRIu64 ": %.160s", t->index, array, why);
    refuse_starter(t->handle, code, text, out);
    if (t->handle->up) /* it was started anew: the state of the others is not to be lost for it */
        kill_process(core, t, out);
    else
        stasks_stop(core, now_us, t->handle, 0, false, out);
}

__attribute__((format(printf, 2, 3))) static void append(char text[256], const char *format, ...)
{
    const size_t n = strlen(text);
    va_list args;

    va_start(args, format);
    vsnprintf(text + n, 256 - n, format, args);
    va_end(args);
}

static void describe_death(struct stask *t, const struct msg_failure *facts, int32_t pid)
{
    const char *name = facts->signal ? sigdescr_np(facts->signal) : NULL;

    t->why[0] = '\0';
    append(t->why, "server task %" PRIu32 " ", t->index);
    if (pid)
        append(t->why, "(pid %" PRId32 ") ", pid);
    if (facts->code == PTOOLS_ERR_OUT_OF_MEMORY)
        append(t->why, "was killed for lack of memory");
    else if (facts->signal)
        append(t->why, "was killed by signal %" PRId32 " (%s)", facts->signal, name ? name : "unknown");
    else if (facts->exited)
        append(t->why, "exited with status %" PRId32, facts->exit_status);
    else
        append(t->why, pid ? "ended" : "could not be made");
    if (facts->message.n)
        append(t->why, ": %.*s", (int)MIN(facts->message.n, 120), facts->message.data);
}

/* The process could not even be made: nothing of it has run. */
static bool was_not_made(const struct stask *t, const struct msg_failure *facts)
{
    return t->state == STASK_STARTING && !t->killed && !facts->exited && !facts->signal;
}

void core_stask_gone(struct core *core, uint64_t now_us, uint32_t process, const struct msg_failure *facts,
                     const struct core_calls *calls, struct actions *out)
{
    struct stask *t = stask_by_process(core, process);
    const int32_t pid = t && t->pid ? t->pid : facts->pid;
    bool again, stopping;

    if (!t) {
        action_bug(out, process, 0, "process %" PRIu32 " of a server task is gone, which there was not", process);
        return;
    }
    again = was_not_made(t, facts) && ++t->losses < LOSSES_MAX && !t->handle->stopping && !core->draining;
    stopping = t->state == STASK_STOPPING;
    stask_forget_process(core, t);
    arrays_of_process_end(core, process, out);
    describe_death(t, facts, pid);
    if (again) {
        fate_of_death(core, t, process, facts, calls, out); /* somebody may ask for that of any number */
        spawn(core, t, out);
        return;
    }
    if (!stopping)
        action_note(out, NOTE_STASK_DIED, process, calls->running, "%s", t->why);
    fate_of_death(core, t, process, facts, calls, out);
    if (t->handle->starter)
        refuse_starter(t->handle, facts->code == PTOOLS_OK ? PTOOLS_ERR_WORKER_DIED : facts->code, t->why, out);
    if (!t->handle->up && !t->handle->stopping)
        stasks_stop(core, now_us, t->handle, 0, false, out);
    else if (t->handle->stopping && all_dead(t->handle))
        stasks_end(core, t->handle, out);
}

/* -- looking ----------------------------------------------------------------------------------------------- */

bool core_view_stasks(const struct core *core, size_t index, struct core_stasks_view *ret)
{
    const struct stasks *s = core->stasks;

    while (s && index-- > 0)
        s = s->hh.next;
    if (!s)
        return false;
    *ret = (struct core_stasks_view){
        .id = s->id,
        .name = s->name,
        .prefix = s->prefix,
        .uid = s->user->uid,
        .client = s->owner ? s->owner->id : 0,
        .count = s->n,
        .n_arrays = s->n_arrays,
    };
    for (uint32_t i = 0; i < s->n; i++)
        ret->alive += s->tasks[i].state != STASK_DEAD;
    return true;
}

bool core_view_stask(const struct core *core, uint64_t stasks, uint32_t index, struct core_stask_view *ret)
{
    static const char *const states[] = {
        [STASK_DEAD] = "dead", [STASK_STARTING] = "starting",  [STASK_MAPPING] = "starting",
        [STASK_UP] = "up",     [STASK_STOPPING] = "stopping",
    };
    const struct stasks *s = stasks_find(core, stasks);

    if (!s || index >= s->n)
        return false;
    *ret = (struct core_stask_view){
        .process = s->tasks[index].process,
        .pid = s->tasks[index].pid,
        .state = states[s->tasks[index].state],
        .why = s->tasks[index].state == STASK_DEAD ? s->tasks[index].why : "",
    };
    return true;
}

uint64_t core_view_stasks_array(const struct core *core, uint64_t stasks, uint32_t index)
{
    const struct stasks *s = stasks_find(core, stasks);

    return s && index < s->n_arrays ? s->arrays[index]->id : 0;
}
