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
#include "proto/fds.h"
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
    uint32_t user_arrays_max;
    uint64_t user_shm_max;       /* bytes of the arrays of one uid, those of files aside */
    uint64_t shm_max;            /* of all */
    uint32_t user_stasks_max;    /* server tasks of one uid */
    uint64_t kill_grace_us;      /* from the request to stop to SIGKILL */
    uint64_t stuck_us;           /* from SIGKILL to giving up on the process */
    uint32_t stand_ins_max;      /* see nested.h; at most WORKERS_MAX, at least 1 */
    uint64_t stand_in_idle_us;   /* after this a stand-in for which there is nothing to do ends */
    uint32_t ahead_max;          /* tasks given to one worker at once, 1 to PAGE_SLOTS; 1: none ahead */
    uint64_t ahead_us;           /* estimated time that tasks given ahead may wait behind others (1000) */
    uint64_t ahead_task_us;      /* only functions whose usual time is below this are given ahead (200) */
    uint32_t recycle_tasks;      /* replace a worker after so many tasks; 0: never */
    uint32_t recycle_kb;         /* ... when its memory is above this; 0: never */
    uint32_t recycle_fds;        /* ... when it has so many descriptors more than at birth; 0: never */
    uint64_t backoff_min_us;     /* wait before a worker that died while starting is tried again ... */
    uint64_t backoff_max_us;     /* ... doubled each time, up to this */
    uint32_t user_queued_max;    /* queued tasks of one uid that have not ended */
    uint64_t user_queue_bytes_max; /* bytes of them */
    uint32_t user_kept_max;        /* that have ended: the oldest are forgotten that may be; or nothing new is taken */
    uint64_t user_kept_bytes_max;  /* bytes of these: the same */
    uint64_t result_max;         /* bytes of a value, if its task does not say */
    uint64_t keep_volatile_us;   /* how long a task is known after its end, if it does not say: a volatile one, ... */
    uint64_t keep_us;            /* ... any other */
    uint32_t breaker_kills;      /* workers killed by queued tasks of a user of one function ... (5; 0: never) */
    uint64_t breaker_window_us;  /* ... within this (60 s) ... */
    uint64_t breaker_wait_us;    /* ... and the others of the kind wait for this (60 s), ... */
    uint64_t breaker_wait_max_us; /* ... doubled each time, up to this (15 min) */
    double ageing;               /* by how much a priority gets better with each second of waiting; 0: not */
    bool journal;                /* there is one: else only volatile tasks are taken */
    uint64_t module_retry_us;    /* a broken module is tried again after this, doubled up to backoff_max_us */
};
void core_limits_default(struct core_limits *limits);

/* -- what should happen ------------------------------------------------------------------------ */

enum action_type {
    ACT_RUN,    /* give the task to the worker: worker, slot, task, attempt, uid, function, payload */
    ACT_REVOKE, /* try to take task back from (worker, slot), then call core_revoked() at once */
    ACT_LOOK,   /* look at which item of the batch `task` the worker is, then call core_looked() at once */
    ACT_CANCEL, /* tell the worker that its task shall stop: the page's flag and SIGTERM; worker, task */
    ACT_KILL,   /* SIGKILL to the worker's process group; worker */
    ACT_ABANDON, /* its process does not die of that: core_worker_gone() at once, if another may take its place, else
                  * when it has ended; worker */
    ACT_STOP,   /* ask the worker to end when it has done what it was given (LINK_STOP); worker */
    ACT_SPAWN,  /* make a process for this id, then core_worker_ready() or core_worker_gone(); worker */
    ACT_LOAD,   /* have the template load module `function`, then core_module_loaded() */
    ACT_ARRAY_MAKE,   /* reserve array: bytes, huge, or take it from the file; then core_array_made() */
    ACT_ARRAY_DROP,   /* its memory is the core's no more, also if it was still being made: array */
    ACT_ARRAY_MAP,    /* have the process `worker` ask for array and map it, before what it is given next */
    ACT_ARRAY_FORGET, /* have it unmap array, before what it is given next */
    ACT_ARRAY_GIVE,   /* answer FDS_MAKE of the process `worker`: array, or 0 and code, text */
    ACT_KILL_CALL,    /* SIGKILL to the server task's process `worker` if it still runs the call `task` */
    ACT_ANSWER, /* to client: answer, payload (the value; NULL if none) */
    ACT_EVENT,  /* to client: answer, which is an event; it may be dropped, with core_event_missed() */
    ACT_RECORD, /* write row into the journal, then core_recorded(); row; who takes it sets it to NULL there */
    ACT_FORGOTTEN, /* a queued command is forgotten, which began so many attempts: task, attempt, queued_ms */
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
    NOTE_MODULE_LOADED, NOTE_MODULE_BROKEN,
    NOTE_ARRAY_MADE, NOTE_ARRAY_ENDED,    /* text tells which, and why */
    NOTE_ARRAY_NOT_MAPPED,                /* by a worker; text tells which, and why */
    NOTE_STASKS_STARTED, NOTE_STASKS_ENDED,
    NOTE_STASK_DIED,      /* text tells how */
    NOTE_BREAKER_OPENED, NOTE_BREAKER_CLOSED /* see breaker.h; text tells whose */
};

/* The processes of server tasks are numbered beside the ids of workers: where an action or a function says worker,
 * a number with this bit is one of them. */
#define STASK_PROCESS_BIT 0x80000000u
static inline bool is_stask_process(uint32_t worker)
{
    return worker & STASK_PROCESS_BIT;
}

/* Where the arguments and the value of a large call are: see struct msg_call. */
struct core_large {
    uint64_t args, args_bytes, room, limit;
};

/* What is different when a task is a batch: see struct msg_call. items 0: it is none. */
struct core_batch {
    uint64_t map;     /* of the run, and of no other client's; 0: none */
    uint64_t captured, captured_bytes;
    uint32_t items, hand_back_ms;
    bool isolated;
    const char *init; /* ""; as long as the task is there ... */
    const char *op;   /* ... and this: of a reduction, "": it is none */
    uint32_t values;  /* of its items */
};

/* What the journal keeps of a queued task: one row that stays as it is, and one that changes. */
enum core_row_kind {
    ROW_NEW,    /* a task was submitted: everything up to `args` */
    ROW_LIFE,   /* takes the place of the one before: life, outcome, value */
    ROW_FORGET, /* both rows go */
    ROW_PAUSE,  /* of no task: uid; spec: the tag, or nothing, of what is paused ... */
    ROW_RESUME  /* ... and is not any more */
};
struct core_life {
    uint32_t state;        /* enum qtask_state: numbers that never change */
    uint32_t attempt, kills, losses, worker;
    uint32_t flags;
    double priority;
    uint64_t due_ms, started_ms, ended_ms; /* since 1970; 0: none */
    uint64_t detail; /* of target all: its parts; else a bit for each of `after` that is not waited for any more */
};
struct core_row {
    enum core_row_kind kind;
    bool durable;          /* it counts only when it is synced; else when it is written */
    bool more;             /* the next row belongs to it: both are written, or neither */
    bool refusable; /* without space it may be refused: a ROW_NEW, or one that nobody waits for; what is not may use
                       the reserve */
    uint64_t number;       /* 1, 2, ... in the order of the actions */
    uint64_t task;
    uint32_t uid;
    uint64_t parent, queued_ms;
    struct blob *spec;     /* the envelope of the MSG_TASK_SUBMIT */
    struct blob *args;     /* NULL: none */
    struct core_life life;
    struct blob *outcome;  /* the envelope of its MSG_REPLY or MSG_ERROR; NULL: it has not ended */
    struct blob *value;    /* NULL: none */
    struct core_row *next; /* for whoever has it */
};
struct core_row *core_row_free(struct core_row *row); /* with its references */

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
    struct core_large large; /* ACT_RUN */
    struct core_batch batch; /* ACT_RUN */
    uint64_t queued_ms;      /* ACT_RUN: 0: it is not queued */
    uint64_t array;
    uint64_t bytes;          /* ACT_ARRAY_MAKE, with the three behind it */
    uint64_t file, offset;   /* file 0: none */
    bool huge;
    bool kill_politely;      /* ACT_STOP of a server task: what it runs shall end too, if it can */
    ptools_err code;         /* ACT_ARRAY_GIVE */
    struct core_row *row;    /* ACT_RECORD */
    struct msg_answer answer; /* ACT_ANSWER; texts point into text, or to what the caller gave in */
    char text[256];
};
struct actions {
    struct action *v;
    size_t n, cap;
    bool no_memory; /* something was dropped for lack of memory: the program must end, loudly, and carry out nothing */
};
void actions_init(struct actions *a);
void actions_clear(struct actions *a);  /* drops references, keeps memory */
void actions_deinit(struct actions *a);

/* -- life ---------------------------------------------------------------------------------------- */

/* Random bytes that nobody else knows: see hash.h. Once in the life of the process, before the first core. */
enum { CORE_SEED_BYTES = 16 };
void core_seed(const uint8_t bytes[CORE_SEED_BYTES]);

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
/* When core_tick() wants to be called next; CORE_NEVER if it does not. A time that has come: there is more to do than
 * was done in this turn, see state.h; who asks for something may be heard before. */
uint64_t core_next_us(const struct core *core);
/* No new work from now on (PTOOLS_ERR_DRAINING), waiting tasks end with that code; running ones go on.
 * hurry: they are cancelled too. */
void core_drain(struct core *core, uint64_t now_us, bool hurry, struct actions *out);
/* Tasks that have not ended. */
uint64_t core_tasks(const struct core *core);
/* Values that were delivered in an array, and whose clients have not come for it yet. */
uint32_t core_values_untaken(const struct core *core);
/* Processes of server tasks that have not ended. */
uint32_t core_stask_processes(const struct core *core);

/* -- clients -------------------------------------------------------------------------------------- */

/* *ret_client is never 0 and never used again. 0 or -ENOMEM. */
int core_client_add(struct core *core, uint32_t uid, uint32_t *ret_client);
/* The client is in this process (a worker's id, or the number of a server task's; 0: in none of ours), which runs this
 * task now (0: none): told before each of its requests. What it waits for is nested: see nested.h. */
void core_client_inside(struct core *core, uint32_t client, uint32_t process, uint64_t task);
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
/* Answered at once: with {done} if that batch is not there. */
void core_call_limit(struct core *core, uint64_t now_us, uint32_t client, uint64_t request,
                     const struct msg_limit *limit, struct actions *out);
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
/* What a function returned: a blob (referenced; NULL: none), or so many bytes of an array that the task was given. */
struct core_value {
    struct blob *blob;
    uint64_t array, bytes;
};
/* A task ended. code PTOOLS_OK: value is the result, and facts may have its log; otherwise facts has code, message,
 * phase, log, backtrace, progress (borrowed for the call and until out is carried out). An attempt that is
 * not the current one is dropped and counted. rss_kb, fds: 0 if the worker did not look. */
void core_worker_done(struct core *core, uint64_t now_us, uint32_t worker, uint64_t task, uint32_t attempt,
                      ptools_err code, const struct core_value *value, const struct msg_failure *facts, uint64_t run_us,
                      uint32_t rss_kb, uint32_t fds, struct actions *out);
/* How many items of a batch are done, how many of them failed, and their records (referenced): before the end of it, or
 * of its worker, is told. Without, none is. */
void core_items(struct core *core, uint32_t worker, uint64_t task, uint32_t items, uint32_t failed,
                struct blob *records);
/* The result of ACT_LOOK: whether the batch has begun, and how many items are done. */
void core_looked(struct core *core, uint64_t now_us, uint32_t worker, uint64_t task, bool running, uint32_t items,
                 struct actions *out);
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

/* -- arrays --------------------------------------------------------------------------------------- */

/* array-create, -unlink, -close by kind. */
void core_array(struct core *core, uint64_t now_us, uint32_t client, uint64_t request, enum msg_kind kind,
                const struct msg_array *array, struct actions *out);
/* The result of ACT_ARRAY_MAKE. code other than PTOOLS_OK: why tells. */
struct core_memory {
    bool huge, read_only;
    uint64_t mapped_bytes;
};
void core_array_made(struct core *core, uint64_t now_us, uint64_t array, ptools_err code, const char *why,
                     const struct core_memory *memory, struct actions *out);
/* A client, or a process (a worker's id, or the number of a server task's), asks for an array (FDS_ARRAY, FDS_SHARED)
 * and will map it: *ret says what it is, or code and text. From a process: on behalf of the task that it runs. */
void core_array_take(struct core *core, bool is_client, uint32_t who, const struct fds_request *request,
                     struct fds_answer *ret);
/* It could not be handed to the client after all, or the client has unmapped it. */
void core_array_untake(struct core *core, uint32_t client, uint64_t array);
/* A worker asks for room for a large value of its task, or a server task's process for one of a call of this client:
 * ACT_ARRAY_GIVE follows, now or later. */
void core_array_for_value(struct core *core, uint64_t now_us, uint32_t worker, uint32_t client, uint64_t task,
                          uint64_t bytes, struct actions *out);

/* -- server tasks ----------------------------------------------------------------------------------- */

/* stasks-start, -open, -restart, -stop, -fate, -cancel by kind. */
void core_stasks(struct core *core, uint64_t now_us, uint32_t client, uint64_t request, enum msg_kind kind,
                 const struct msg_stasks *m, struct actions *out);
/* A client asks for a lane: *ret names the process, or says code and text. */
void core_stask_lane(struct core *core, uint32_t client, const struct fds_request *request, struct fds_answer *ret);
/* What a server task's process is told at its birth. false: there is no such process any more. */
struct core_stask_place {
    uint32_t index, count, uid;
    const char *prefix;
};
bool core_stask_where(const struct core *core, uint32_t process, struct core_stask_place *ret);
/* The process that ACT_SPAWN asked for is up; what it maps it says next. */
void core_stask_ready(struct core *core, uint64_t now_us, uint32_t process, int32_t pid, struct actions *out);
/* It has mapped an array that it was told to map, or (code) could not. Also from workers, who are not waited for. */
void core_array_mapped(struct core *core, uint64_t now_us, uint32_t worker, uint64_t array, ptools_err code,
                       const char *why, struct actions *out);
/* The call runs, and was asked to stop: if it still runs after workers.kill_grace, the process is killed. */
void core_stask_stopping(struct core *core, uint64_t now_us, uint32_t process, uint64_t call);
/* The calls of a process, as its control page told at its end. */
enum { CORE_CALLS_KEPT = 64 };
struct core_calls {
    uint64_t running;                /* 0: none */
    uint64_t n;                      /* answered so far */
    uint64_t begun[CORE_CALLS_KEPT]; /* last, in any order; 0: no more */
};
/* It is gone, or could not be made (calls: all 0). */
void core_stask_gone(struct core *core, uint64_t now_us, uint32_t process, const struct msg_failure *facts,
                     const struct core_calls *calls, struct actions *out);

/* -- modules -------------------------------------------------------------------------------------- */

/* The answer to ACT_LOAD; report is copied. Tasks that waited for the module go on, or fail with its problem. */
void core_module_loaded(struct core *core, uint64_t now_us, const struct report *report, struct actions *out);

/* -- queued tasks (qtask.h) -------------------------------------------------------------------------- */

/* The time of day when the monotonic clock was 0, in ms since 1970, as it was when this machine started or soon after:
 * what is recorded is told in times that are counted from there, which nobody sets. Before the first row. */
void core_clock(struct core *core, uint64_t clock_ms);
/* The time of day, in ms since 1970, at now_us: at the start, and whenever it was looked at. It is shown, and is what
 * start_ms is compared with, anew when it was set by a tenth of a second or more, or went on while the machine slept;
 * delays do not follow it. */
void core_wall(struct core *core, uint64_t now_us, uint64_t wall_ms);
/* How this host is called: names and addresses, each copied. 0 or -ENOMEM. Once, before the first client. */
int core_host(struct core *core, const char *const *names, size_t n);
/* Kinds MSG_TASK_SUBMIT: spec is the envelope as it came, kept; payload the arguments, or NULL. -ENOMEM: nothing
 * happened. */
int core_queue(struct core *core, uint64_t now_us, uint32_t client, uint64_t request, const struct msg_submit *submit,
               struct blob *spec, struct blob *payload, struct actions *out);
/* MSG_TASK_RESULT, -WAIT, -CHANGE, -WHY, MSG_EVENTS, -END, MSG_QUEUE_PAUSE, -RESUME by kind. Without memory for a wait or a watch it is
 * refused, with PTOOLS_ERR_LIMIT. */
void core_queued(struct core *core, uint64_t now_us, uint32_t client, uint64_t request, enum msg_kind kind,
                 const struct msg_task *m, struct actions *out);
/* MSG_TASK_PRIORITIES: data is a sequence of struct msg_priority. */
void core_priorities(struct core *core, uint64_t now_us, uint32_t client, uint64_t request, const uint8_t *data,
                     size_t n, struct actions *out);
/* Whether a client watches queued tasks that are running. */
bool core_watched(const struct core *core);
/* The task that this worker runs says that it has done n of m. */
void core_progress(struct core *core, uint64_t now_us, uint32_t worker, uint64_t task, uint64_t n, uint64_t of,
                   struct actions *out);
/* The client does not read, and was not sent this event of the subscription `request`, nor will be any of those that
 * were put after it until core_events_caught_up(). The next one that it is sent says first how many it missed. */
void core_event_missed(struct core *core, uint32_t client, uint64_t request, const struct msg_event *event);
/* It reads again: it is told now what it missed. */
void core_events_caught_up(struct core *core, uint64_t now_us, uint32_t client, struct actions *out);
/* Rows up to this number are where they must be. */
void core_recorded(struct core *core, uint64_t now_us, uint64_t number, struct actions *out);
/* This ROW_NEW was refused for lack of space; told before core_recorded() of its number or a later one. */
void core_record_refused(struct core *core, uint64_t now_us, uint64_t number, const char *why, struct actions *out);
/* The journal has failed for good: nothing that is not recorded by now ever will be. */
void core_record_failed(struct core *core, uint64_t now_us, const char *why, struct actions *out);
/* At the start, before the first client, in the order of the numbers: what the journal has. life NULL: it has not
 * changed since it was submitted; submit is the decoded spec. What ran when the daemon ended is to be run again, or
 * is lost, as it was meant to be. 0; -ENOMEM; -EINVAL: why tells what makes no sense. */
int core_recover(struct core *core, uint64_t now_us, const struct core_row *task, const struct core_row *life,
                 const struct msg_submit *submit, struct actions *out, char why[256]);
/* A ROW_PAUSE, before all tasks. 0; -EINVAL: it is none; -ENOMEM. */
int core_recover_pause(struct core *core, uint32_t uid, struct text tag);
/* All rows were told. */
void core_recovered(struct core *core, uint64_t now_us, struct actions *out);

/* -- looking, for inspect and tests ----------------------------------------------------------------- */

struct core_worker_view {
    uint32_t id;
    uint32_t stands_for;   /* it is a stand-in of this worker; 0: it is none */
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
struct core_array_view {
    uint64_t id;
    const char *name, *prefix, *state; /* "making", "ready" */
    uint32_t type, order, ndims;
    const uint64_t *dims;
    uint64_t bytes, mapped_bytes, offset, until_us; /* until_us CORE_NEVER: not by time */
    uint32_t uid, client;  /* client 0: it is kept, or server tasks' */
    uint64_t stasks;
    bool keep, huge, file, read_only;
    const uint32_t *share;
    uint32_t n_share;
};
enum core_holder { HOLDER_CLIENT, HOLDER_WORKER, HOLDER_STASK };
struct core_stasks_view {
    uint64_t id;
    const char *name, *prefix;
    uint32_t uid, client, count, alive, n_arrays;
};
struct core_stask_view {
    uint32_t process;
    int32_t pid;
    const char *state;     /* "starting", "up", "stopping", "dead" */
    const char *why;       /* how it died; "" */
};
struct core_queued_view {
    uint64_t id, parent;
    uint32_t parts, state; /* enum task_shown */
    double priority;
    uint32_t durability, attempt, attempts, kills, worker;
    bool hold, paused, idempotent, running, maybe_executed;
    uint64_t queued_ms, due_ms, started_ms, ended_ms;
    ptools_err code;
    const char *target; /* valid until the next one is looked at */
    const struct blob *args, *value, *outcome; /* outcome: the envelope of its answer, once it has ended */
    struct msg_submit spec;
};
struct core_stats {
    uint64_t submitted, done, failed, cancelled; /* tasks, since the start; failed includes deadline and deaths */
    uint64_t waiting, given;                     /* now */
    uint64_t stale;                              /* answers of old attempts that were dropped */
    uint64_t given_ahead, taken_back;
    uint64_t queued, queue_waiting, queue_known; /* queued tasks: taken so far, not ended now, known now */
    uint32_t clients, workers, sets, stand_ins;
    uint64_t payload_bytes;
    uint64_t shm_bytes;
    uint32_t arrays, stasks;                     /* server tasks: handles */
};
/* Index from 0; false beyond the end. Pointers are valid until the next change. */
bool core_view_worker(const struct core *core, size_t index, struct core_worker_view *ret);
bool core_view_set(const struct core *core, size_t index, struct core_set_view *ret);
bool core_view_module(const struct core *core, size_t index, struct core_module_view *ret);
bool core_view_function(const struct core *core, const char *module, size_t index, uint64_t *ret_calls,
                        uint64_t *ret_usual_us);
/* The tag of a pause of this user, "" if it is of all its tasks; NULL beyond the end. */
const char *core_view_pause(const struct core *core, uint32_t uid, size_t index);
bool core_view_array(const struct core *core, size_t index, struct core_array_view *ret);
/* Whether this uid may see it: its own, or shared with it. */
bool core_array_seen_by(const struct core *core, uint64_t array, uint32_t uid);
/* Who maps it. */
bool core_view_holder(const struct core *core, uint64_t array, size_t index, enum core_holder *ret_kind,
                      uint32_t *ret_id);
bool core_view_stasks(const struct core *core, size_t index, struct core_stasks_view *ret);
bool core_view_stask(const struct core *core, uint64_t stasks, uint32_t index, struct core_stask_view *ret);
/* The id of its array of that index; 0 beyond the end. */
uint64_t core_view_stasks_array(const struct core *core, uint64_t stasks, uint32_t index);
/* This queued task of this user; false: there is none of it. */
/* Whether there is one of that number, of any user. */
bool core_knows_queued(const struct core *core, uint64_t task);
bool core_view_queued(struct core *core, uint32_t uid, uint64_t task, struct core_queued_view *ret);
/* A walk along the queued tasks of a user, by their numbers. It is stopped when so much was looked at, for there may be
 * a million that are not meant, also of others: a task that is passed over counts 1, one that is shown WALK_SHOWN. */
enum { WALK_SHOWN = 16 };
struct core_walk {
    uint32_t uid;
    uint32_t states; /* bits by enum task_shown; 0: all */
    uint64_t after;  /* where it is */
    uint32_t left;   /* to be looked at */
};
/* 1: the next; 0: there are no more; -EAGAIN: nothing is left to be looked at. */
int core_walk_queued(struct core *core, struct core_walk *walk, struct core_queued_view *ret);
/* The number of that which a user means by a number or by a key; false: there is none. */
bool core_queued_id(struct core *core, uint32_t uid, uint64_t task, struct text key, uint64_t *ret);
/* That of the last one which this user queued; 0: there is none. ret_looks: at so many it was looked for. */
uint64_t core_queued_newest(const struct core *core, uint32_t uid, size_t *ret_looks);
/* Rows that are not recorded yet, and that somebody waits for. */
uint64_t core_unrecorded(const struct core *core);
/* Whether a queued task runs, or will without anybody's doing: not those that are on hold, or whose target is not
 * there. */
bool core_queue_goes_on(const struct core *core);
/* Other limits, while it runs; those of workers and stand-ins in all, and whether there is a journal, stay. What is over a new
 * limit is not taken away. */
void core_limits_set(struct core *core, const struct core_limits *limits);
/* So many workers more, or fewer: the last ones go, each when it has done what it runs; one stays. */
void core_workers_change(struct core *core, uint64_t now_us, int32_t more, struct actions *out);
/* Each worker is replaced, when it has done what it runs: what they have loaded is old. */
void core_workers_renew(struct core *core, uint64_t now_us, struct actions *out);
/* Whether nothing would be lost, and nothing would happen later that should have happened sooner, if this core were put
 * away now and made anew from the journal when somebody comes: no client, no task, no array, set or server task, and of
 * queued tasks only recorded ones that do not go on. */
bool core_may_rest(const struct core *core);
/* Queued tasks that have not ended. */
uint64_t core_queue_waiting(const struct core *core);
void core_view_stats(const struct core *core, struct core_stats *ret);
/* Checks every invariant that can be checked; NULL if all hold, else a sentence. For tests; O(all). */
const char *core_check(const struct core *core);

#endif
