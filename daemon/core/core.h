/* SPDX-License-Identifier: MIT */
/*
 * core -- the one owner of tasks, workers, worker sets and modules, and the one who decides.
 *
 * Pure: no system call, no clock, no log, no socket. The program tells it what happened
 * (core_submit, core_worker_done, ...), with the time as an argument; what should happen goes out as
 * a list of actions, which the program carries out in order, at once, before it tells the next thing.
 * Assigning is a step of its own, core_assign(), called once at the end of each turn of the loop:
 * after it no runnable task waits beside a free worker that may run it.
 *
 * What holds at all times: each accepted task is in exactly one place (waiting in one queue, held by
 * one module, given to one worker) and ends exactly once, with one ACT_ANSWER if its client still
 * waits for one. A task is run at most once: one that had begun when its worker died is never given
 * again; one that had only been given goes back to its queue, until it was lost so with five workers.
 *
 * Time is uint64_t microseconds of a monotonic clock. Worker ids are small numbers that name a slot,
 * not a process: a replaced worker keeps its id. Task ids are the counter that core_new() was given.
 */
#ifndef CORE_CORE_H
#define CORE_CORE_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/bytes.h"
#include "proto/message.h"
#include "proto/report.h"

#define CORE_NEVER UINT64_MAX

struct core;

struct core_limits {
    uint32_t workers_max;        /* slots at a time, <= WORKERS_MAX */
    uint32_t user_tasks_max;     /* tasks of one uid that have not ended */
    uint64_t user_bytes_max;     /* bytes of their arguments */
    uint32_t user_sets_max;
    uint32_t modules_max;
    uint64_t kill_grace_us;      /* from the request to stop to SIGKILL */
    uint64_t stuck_us;           /* from SIGKILL to giving up on the process */
    uint32_t ahead_max;          /* tasks given to one worker at once, 1 to PAGE_SLOTS; 1: none ahead */
    uint64_t ahead_us;           /* estimated time that tasks given ahead may wait behind others (1000) */
    uint64_t ahead_task_us;      /* only functions whose usual time is below this are given ahead (200) */
    uint32_t recycle_tasks;      /* replace a worker after so many tasks; 0: never */
    uint32_t recycle_kb;         /* ... when its memory is above this; 0: never */
    uint32_t recycle_fds;        /* ... when it has so many descriptors more than at birth; 0: never */
    uint64_t backoff_min_us;     /* wait before a worker that died while starting is tried again ... */
    uint64_t backoff_max_us;     /* ... doubled each time, up to this */
    uint64_t module_retry_us;    /* a broken module is tried again after this, doubled up to backoff_max_us */
};
void core_limits_default(struct core_limits *limits);

/* -- what should happen ------------------------------------------------------------------------ */

enum action_type {
    ACT_RUN,    /* give the task to the worker: worker, slot, task, attempt, uid, function, payload */
    ACT_REVOKE, /* try to take task back from (worker, slot), then call core_revoked() at once */
    ACT_CANCEL, /* tell the worker that its task shall stop: the page's flag and SIGTERM; worker, task */
    ACT_KILL,   /* SIGKILL to the worker's process group; worker */
    ACT_STOP,   /* ask the worker to end when it has done what it was given (LINK_STOP); worker */
    ACT_SPAWN,  /* make a process for this id, then core_worker_ready() or core_worker_gone(); worker */
    ACT_LOAD,   /* have the template load module `function`, then core_module_loaded() */
    ACT_ANSWER, /* to client: answer, payload (the value; NULL if none) */
    ACT_NOTE,   /* something worth a line in the log; note, worker and task if they belong to it */
    ACT_BUG     /* an impossible step was refused; text */
};
enum note {
    NOTE_WORKER_DIED,     /* of a task, or on its own; task or 0 */
    NOTE_WORKER_RECYCLED, /* text tells why */
    NOTE_WORKER_REMOVED,
    NOTE_WORKER_STUCK,    /* does not die of SIGKILL */
    NOTE_BACKOFF,         /* text tells how long */
    NOTE_TASK_FAILED,     /* text tells code and message; also for detached tasks, whom nobody else tells */
    NOTE_MODULE_LOADED, NOTE_MODULE_BROKEN
};

struct action {
    enum action_type type;
    enum note note;
    uint32_t client;         /* ACT_ANSWER */
    uint32_t worker;
    uint32_t slot;
    uint32_t attempt;
    uint32_t uid;
    uint64_t task;
    const char *function;    /* ACT_RUN "module.function", ACT_LOAD "module"; lives as long as the core */
    struct blob *payload;    /* a reference that belongs to the action */
    struct msg_answer answer; /* ACT_ANSWER; texts point into text, or to what the caller gave in */
    char text[256];
};
struct actions {
    struct action *v;
    size_t n, cap;
    bool no_memory; /* an action was dropped for lack of memory: the program must end, loudly */
};
void actions_init(struct actions *a);
void actions_clear(struct actions *a);  /* drops references, keeps memory */
void actions_deinit(struct actions *a);

/* -- life ---------------------------------------------------------------------------------------- */

/* workers slots are made at once, with ids from 1: their ACT_SPAWN is in out. NULL: no memory. */
struct core *core_new(const struct core_limits *limits, uint64_t first_task, uint32_t workers, uint64_t now_us,
                      struct actions *out);
struct core *core_free(struct core *core);
DEFINE_AUTO(core)

/* The end of a turn: gives tasks to free workers, then ahead to busy ones (see assign.c). It may ask for tasks
 * back (ACT_REVOKE) that an idle worker could begin: to be called again until it adds no action. */
void core_assign(struct core *core, uint64_t now_us, struct actions *out);
/* What is due by now: deadlines, grace, back-off, tasks stuck behind a long one. */
void core_tick(struct core *core, uint64_t now_us, struct actions *out);
/* When core_tick() wants to be called next; CORE_NEVER if it does not. */
uint64_t core_next_us(const struct core *core);
/* No new work from now on (PTOOLS_ERR_DRAINING), waiting tasks end with that code; running ones go on.
 * hurry: they are cancelled too. */
void core_drain(struct core *core, uint64_t now_us, bool hurry, struct actions *out);
/* Tasks that have not ended. */
uint64_t core_tasks(const struct core *core);

/* -- clients -------------------------------------------------------------------------------------- */

/* *ret_client is never 0 and never used again. 0 or -ENOMEM. */
int core_client_add(struct core *core, uint32_t uid, uint32_t *ret_client);
/* Its tasks that are not detached are cancelled, its anonymous sets end. */
void core_client_gone(struct core *core, uint64_t now_us, uint32_t client, struct actions *out);

/* A call. Every outcome is an ACT_ANSWER for (client, request): now if refused, at the end if not; for a detached
 * one as soon as its module is known to have the function.
 * Takes a reference of payload (NULL: no arguments). -ENOMEM: nothing happened. */
int core_submit(struct core *core, uint64_t now_us, uint32_t client, uint64_t request, const struct msg_call *call,
                struct blob *payload, struct actions *out);
/* Answered with {done} or an error; the call itself is answered on its own when it has ended. */
void core_cancel(struct core *core, uint64_t now_us, uint32_t client, uint64_t request, const struct msg_cancel *cancel,
                 struct actions *out);
/* set-create, -open, -change, -destroy by kind. */
void core_set(struct core *core, uint64_t now_us, uint32_t client, uint64_t request, enum msg_kind kind,
              const struct msg_set *set, struct actions *out);
void core_workers_add(struct core *core, uint64_t now_us, uint32_t client, uint64_t request, uint32_t n,
                      struct actions *out);
void core_workers_remove(struct core *core, uint64_t now_us, uint32_t client, uint64_t request, uint32_t worker,
                         struct actions *out);

/* -- workers -------------------------------------------------------------------------------------- */

/* The process of ACT_SPAWN runs and takes tasks. */
void core_worker_ready(struct core *core, uint64_t now_us, uint32_t worker, int32_t pid, struct actions *out);
/* A task ended. code PTOOLS_OK: value (referenced) is the result; otherwise facts has code, message, phase,
 * log, backtrace, progress (borrowed for the call and until out is carried out). An attempt that is
 * not the current one is dropped and counted. rss_kb, fds: 0 if the worker did not look. */
void core_worker_done(struct core *core, uint64_t now_us, uint32_t worker, uint64_t task, uint32_t attempt,
                      ptools_err code, struct blob *value, const struct msg_failure *facts, uint64_t run_us,
                      uint32_t rss_kb, uint32_t fds, struct actions *out);
/* The worker passed over a task that was revoked: its slot is free again. */
void core_worker_skipped(struct core *core, uint64_t now_us, uint32_t worker, uint64_t task, struct actions *out);
/* The process is gone (or could not be made), after all that it sent was told. facts: exit or signal, last words;
 * code PTOOLS_ERR_WORKER_DIED or PTOOLS_ERR_OUT_OF_MEMORY, or PTOOLS_ERR_MODULE_BROKEN when it died while it
 * loaded a module. started: the tasks (by id) of this worker that had begun; all others it held go back. */
void core_worker_gone(struct core *core, uint64_t now_us, uint32_t worker, const struct msg_failure *facts,
                      const uint64_t *started, size_t n_started, struct actions *out);
/* The result of ACT_REVOKE. */
void core_revoked(struct core *core, uint64_t now_us, uint32_t worker, uint64_t task, bool taken_back,
                  struct actions *out);

/* -- modules -------------------------------------------------------------------------------------- */

/* The answer to ACT_LOAD; report is copied. Tasks that waited for the module go on, or fail with its problem. */
void core_module_loaded(struct core *core, uint64_t now_us, const struct report *report, struct actions *out);

/* -- looking, for inspect and tests ----------------------------------------------------------------- */

struct core_worker_view {
    uint32_t id;
    int32_t pid;
    const char *state;     /* starting, idle, busy, stopping, dead */
    uint64_t task;         /* the oldest it was given; 0 */
    const char *function;  /* of that task; "" */
    uint32_t given;        /* tasks it holds */
    uint64_t waiting;      /* bound to it, not given */
    uint64_t done, deaths, recycled;
    uint64_t rss_kb;
};
struct core_set_view {
    uint32_t id;           /* 0: the set of all workers */
    const char *name;      /* "" if anonymous; "all" */
    uint32_t mode;
    const uint32_t *members;
    uint32_t n;
    uint64_t waiting;
    uint32_t uid;
};
struct core_module_view {
    const char *state;     /* loading, loaded, broken, missing */
    const struct report *report; /* NULL while first loading */
    const char *name;
    uint64_t calls;        /* of all its functions */
};
struct core_stats {
    uint64_t submitted, done, failed, cancelled; /* tasks, since the start; failed includes deadline and deaths */
    uint64_t waiting, given;                     /* now */
    uint64_t stale;                              /* answers of old attempts that were dropped */
    uint64_t given_ahead, taken_back;
    uint32_t clients, workers, sets;
    uint64_t payload_bytes;
};
/* Index from 0; false beyond the end. Pointers are valid until the next change. */
bool core_view_worker(const struct core *core, size_t index, struct core_worker_view *ret);
bool core_view_set(const struct core *core, size_t index, struct core_set_view *ret);
bool core_view_module(const struct core *core, size_t index, struct core_module_view *ret);
bool core_view_function(const struct core *core, const char *module, size_t index, uint64_t *ret_calls,
                        uint64_t *ret_usual_us);
void core_view_stats(const struct core *core, struct core_stats *ret);
/* Checks every invariant that can be checked; NULL if all hold, else a sentence. For tests; O(all). */
const char *core_check(const struct core *core);

#endif
