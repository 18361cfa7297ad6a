/* SPDX-License-Identifier: MIT */
/*
 * task -- the table of its states, and how a task comes and goes.
 *
 * A task in state s is in exactly the place of s, and in the lists of its client (while that waits), its
 * set (while that exists) and the table by number, from task_register() to task_free(). What it costs its user is
 * charged in task_new() and given back in task_free(). Structs are kept for the next task: a call allocates
 * nothing once there were as many before.
 */
#include <errno.h>
#include <string.h>

#include "daemon/core/state.h"

/* clang-format off */
#define NO TASK_STATES
enum { HELD = TASK_HELD, WAITING = TASK_WAITING, BOOKED = TASK_BOOKED, GIVEN = TASK_GIVEN, RECALLED = TASK_RECALLED,
       STOPPING = TASK_STOPPING, ENDED = TASK_ENDED };
static const uint8_t next_state[TASK_STATES][TASK_EVENTS] = {
    /*                    HOLD      QUEUE     BOOK      GIVE      RECALL    KEPT      STOP      END */
    [TASK_NEW]       = { HELD,     WAITING,  BOOKED,   GIVEN,    NO,       NO,       NO,       ENDED },
    [TASK_HELD]      = { NO,       WAITING,  NO,       NO,       NO,       NO,       NO,       ENDED },
    [TASK_WAITING]   = { NO,       WAITING,  NO,       GIVEN,    NO,       NO,       NO,       ENDED },
    [TASK_BOOKED]    = { NO,       NO,       NO,       GIVEN,    NO,       NO,       NO,       ENDED },
    [TASK_GIVEN]     = { NO,       WAITING,  NO,       NO,       RECALLED, NO,       STOPPING, ENDED },
    [TASK_RECALLED]  = { NO,       WAITING,  NO,       NO,       NO,       GIVEN,    STOPPING, ENDED },
    [TASK_STOPPING]  = { NO,       NO,       NO,       NO,       NO,       NO,       NO,       ENDED },
    [TASK_ENDED]     = { NO,       NO,       NO,       NO,       NO,       NO,       NO,       NO },
};
/* clang-format on */
static const char *const state_names[TASK_STATES] = {
    "new", "held", "waiting", "booked", "given", "recalled", "stopping", "ended",
};
static const char *const event_names[TASK_EVENTS] = {
    "hold", "queue", "book", "give", "recall", "kept", "stop", "end",
};

enum task_state task_next(enum task_state state, enum task_event event)
{
    return next_state[state][event];
}

const char *task_state_name(enum task_state state)
{
    return state_names[state];
}

static void leave_place(struct core *core, struct task *t)
{
    switch (t->state) {
    case TASK_HELD:
        DL_DELETE2(t->module->held, t, place_prev, place_next);
        t->module = NULL;
        core->n_held--;
        break;
    case TASK_WAITING:
        queue_remove(core, t);
        break;
    case TASK_BOOKED:
        worker_unbook(core, t);
        break;
    case TASK_GIVEN:
    case TASK_RECALLED:
    case TASK_STOPPING:
        worker_drop(core, t);
        break;
    case TASK_NEW:
    case TASK_ENDED:
    case TASK_STATES:
        break;
    }
}

bool task_step(struct core *core, struct task *t, enum task_event event, struct actions *out)
{
    enum task_state next = next_state[t->state][event];

    if (next == NO) {
        action_bug(out, t->worker ? t->worker->id : 0, t->id, "refused: event %s for a task that is %s",
                   event_names[event], state_names[t->state]);
        return false;
    }
    if (event != EV_RECALL && event != EV_KEPT && event != EV_STOP) /* these three stay at their worker */
        leave_place(core, t);
    t->state = next;
    return true;
}

static struct task *task_alloc(struct core *core)
{
    struct task *t = core->spare;

    if (t) {
        core->spare = t->place_next;
        memset(t, 0, sizeof *t);
    } else {
        t = calloc(1, sizeof *t);
    }
    if (t)
        t->grace_us = core->limits.kill_grace_us;
    return t;
}

struct task *task_new(struct core *core, struct client *client, struct set *set, const struct msg_call *call,
                      struct blob *payload)
{
    struct task *t = task_alloc(core);

    if (!t)
        return NULL;
    t->user = client->user;
    t->client = client;
    t->set = set;
    t->pinned = t->bound = call->worker;
    t->detached = call->detached;
    t->deadline_ms = call->deadline_ms;
    if (call->grace_ms)
        t->grace_us = call->grace_ms * 1000;
    t->priority = call->has_priority ? call->priority : INFINITY;
    if (!t->detached)
        nested_begin(t, client);
    DL_APPEND2(client->tasks, t, client_prev, client_next);
    DL_APPEND2(set->tasks, t, set_prev, set_next);
    t->user->n_tasks++;
    if (payload) {
        t->payload = blob_ref(payload);
        t->user->bytes += payload->n;
        core->stats.payload_bytes += payload->n;
    }
    return t;
}

struct task *task_new_attempt(struct core *core, struct qtask *q)
{
    struct task *t = task_alloc(core);

    if (!t)
        return NULL;
    t->id = q->id;
    HASH_ADD(hh, core->tasks, id, sizeof t->id, t);
    if (!t->hh.tbl) {
        t->place_next = core->spare;
        core->spare = t;
        return NULL;
    }
    t->user = q->user;
    t->user->n_tasks++;
    t->queued = q;
    t->is_attempt = true;
    t->function = q->function;
    t->payload = q->args ? blob_ref(q->args) : NULL;
    core->stats.submitted++;
    return t;
}

void task_attempt_back(struct core *core, struct task *t, bool lost, struct actions *out)
{
    qtask_back(core, t->queued, lost, out);
    core->stats.submitted--; /* it never was */
    if (task_step(core, t, EV_END, out))
        task_free(core, t);
}

int task_register(struct core *core, struct task *t, uint64_t request)
{
    t->id = t->rank = core->next_task;
    t->key = (struct task_key){ t->client->id, request };
    HASH_ADD(hh, core->tasks, id, sizeof t->id, t);
    if (!t->hh.tbl)
        return -ENOMEM;
    HASH_ADD(hh_request, core->requests, key, sizeof t->key, t);
    if (!t->hh_request.tbl) {
        HASH_DELETE(hh, core->tasks, t);
        t->hh.tbl = NULL;
        return -ENOMEM;
    }
    t->in_requests = true;
    core->next_task++;
    return 0;
}

void task_forget_client(struct core *core, struct task *t)
{
    if (t->in_requests)
        HASH_DELETE(hh_request, core->requests, t);
    t->in_requests = false;
    nested_end(t);
    if (t->client)
        DL_DELETE2(t->client->tasks, t, client_prev, client_next);
    t->client = NULL;
}

void task_release_arrays(struct core *core, struct task *t, struct actions *out)
{
    batch_release_array(core, t, out);
    if (t->args)
        array_unuse(core, t->args, out);
    if (t->room)
        array_unuse(core, t->room, out);
    if (t->made) {
        t->made->asked_process = 0; /* who asked has given up the task, or is gone */
        array_end(core, t->made, "the task that it was made for has ended", out); /* it stays for the use of it */
        array_unuse(core, t->made, out);
    }
    t->args = t->room = t->made = NULL;
}

struct task *task_free(struct core *core, struct task *t)
{
    struct user *user;
    struct set *set;

    if (!t)
        return NULL;
    leave_place(core, t);
    t->state = TASK_ENDED;
    task_forget_client(core, t);
    if (t->hh.tbl)
        HASH_DELETE(hh, core->tasks, t);
    heap_remove(&core->deadlines, &t->deadline_node);
    user = t->user;
    set = t->set;
    if (t->payload) {
        if (!t->is_attempt) {
            user->bytes -= t->payload->n;
            core->stats.payload_bytes -= t->payload->n;
        }
        blob_free(t->payload);
    }
    free(t->wanted);
    batch_free(core, t);
    if (set) {
        DL_DELETE2(set->tasks, t, set_prev, set_next);
        set_release(core, set);
    }
    user->n_tasks--; /* last: until here the task keeps its user */
    user_release(core, user);
    t->place_next = core->spare;
    core->spare = t;
    return NULL;
}

struct task *task_find(const struct core *core, uint64_t id)
{
    struct task *t;

    HASH_FIND(hh, core->tasks, &id, sizeof id, t);
    return t == &core->keeper ? NULL : t;
}

struct task *task_find_request(const struct core *core, uint32_t client, uint64_t request)
{
    const struct task_key key = { client, request };
    struct task *t;

    HASH_FIND(hh_request, core->requests, &key, sizeof key, t);
    return t == &core->keeper ? NULL : t;
}

const char *task_function_name(const struct task *t)
{
    return t->function ? t->function->name : t->wanted;
}

void tasks_deinit(struct core *core)
{
    struct task *t, *next;

    for (t = core->tasks; t; t = next) {
        next = t->hh.next;
        if (t != &core->keeper)
            task_free(core, t);
    }
    while ((t = core->spare)) {
        core->spare = t->place_next;
        free(t);
    }
    if (core->requests)
        HASH_CLEAR(hh_request, core->requests);
    if (core->tasks)
        HASH_CLEAR(hh, core->tasks);
}
