/* SPDX-License-Identifier: MIT */
/*
 * queue.h -- queued tasks: work that the daemon keeps, orders, runs, repeats, and remembers.
 *
 * A queued task is a function and its arguments, given into the daemon's keeping: it is known by a number (its id),
 * goes on without the program that queued it, and can be asked for, waited for, changed and fetched by any program
 * of the same user, until it is forgotten: keep_ms after its end, or earlier, if its user has too many that have ended;
 * but one that is crashsafe or durable not before somebody has asked for its result.
 *
 * Order      Priority is a double, and lower runs first; the default is +infinity. Equal ones run in the order in
 *            which they were queued; of several clients whose tasks are equal, each in turn; between users, the one
 *            who has least running. A free worker takes the best of its own tasks, its host's, and those for any.
 * Delivery   PTOOLS_OK of the calls that queue means: accepted. What may die then without losing the task is its
 *            durability: PTOOLS_VOLATILE (workers and clients), PTOOLS_CRASHSAFE (the daemon too, killed at any
 *            moment), PTOOLS_DURABLE (the machine too: power). It ends exactly once, as one of the states below.
 *            It is begun at most once, unless it is idempotent (its module says so, or PTOOLS_TASK_IDEMPOTENT does):
 *            then, when a worker or the daemon dies of it or under it, it is tried again, never twice at the same
 *            time, `attempts` times in all. One that may have run and is not tried again says so (maybe_executed).
 *            One that has killed three workers is dead, whatever it was allowed.
 * Again      The library gives each task a key of its own, so that one that was sent when the connection broke is
 *            sent again and queued once. With a key of yours, equal tasks are one task: also from other programs.
 *            What waits for the end of tasks, futures, callbacks and watches, outlives its connection, too: the next
 *            wait, dispatch or call makes another and asks again, by the same ids. Waits and dispatches try at once,
 *            then ever more seldom, until the connect timeout is over; then futures and callbacks end with
 *            PTOOLS_ERR_LOST, and watches rest until a call connects. (An attempt is a short round trip, also in
 *            ptools_dispatch(pt, 0): of 100 ms at most, and of twice as much after each that was too short for a busy
 *            daemon. Between attempts ptools_fd() is a timer: poll it as always.)
 *            PTOOLS_ERR_LOST is also the end of what the daemon does not know any more: a volatile task, when the
 *            daemon was started anew. Such a daemon is not given a volatile task that its predecessor may have begun,
 *            unless PTOOLS_TASK_IDEMPOTENT is set; nor any connection a task for an anonymous set of another one.
 * Callbacks  run in ptools_dispatch(), like those of futures; they hold up no worker, and may queue more.
 *
 * The calls and their names come from PTools.jl (QueuedTasks).
 */
#ifndef PTOOLS_QUEUE_H
#define PTOOLS_QUEUE_H

#include <ptools/error.h>
#include <ptools/value.h>

#include <math.h>

#ifdef __cplusplus
extern "C" {
#endif
#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif

#define PTOOLS_PRIORITY_LAST ((double)INFINITY)

struct ptools;
struct ptools_future;
struct ptools_workerset;

typedef enum ptools_target {
    PTOOLS_TARGET_ANY,     /* one worker (PTools: :wrkr_any)                                        */
    PTOOLS_TARGET_ALL,     /* every worker that there is now, once each (:wrkr_all). The daemon and the caller are none
                              of them. The task has a part for each, queued tasks of their own, with the ids that follow
                              its own; it is done when all are, failed if one failed (PTOOLS_ERR_PARTS; or, as all of
                              them, cancelled or expired), and has no value itself             */
    PTOOLS_TARGET_WORKERS, /* one of these workers, whichever is free first                         */
    PTOOLS_TARGET_HOSTS,   /* one of the workers on one of these hosts: names or addresses          */
    PTOOLS_TARGET_SET,     /* one of the workers of a set, by the set's mode                        */
    PTOOLS_TARGET_WIDTH_ = 0x7fffffff
} ptools_target;

typedef enum ptools_durability {
    PTOOLS_VOLATILE = 1,
    PTOOLS_CRASHSAFE,
    PTOOLS_DURABLE,
    PTOOLS_DURABILITY_WIDTH_ = 0x7fffffff
} ptools_durability;

typedef enum ptools_queued_state {
    PTOOLS_QUEUED_WAITING = 1, /* for a time, another task, a target, a module, on hold, or paused:
                                  ptools_queued_why() tells                                         */
    PTOOLS_QUEUED_QUEUED,      /* for a worker                                                      */
    PTOOLS_QUEUED_RUNNING,     /* given to a worker                                                 */
    /* these are ends: */
    PTOOLS_QUEUED_DONE,
    PTOOLS_QUEUED_FAILED,
    PTOOLS_QUEUED_TIMEOUT,     /* stopped at its deadline                                           */
    PTOOLS_QUEUED_CANCELLED,
    PTOOLS_QUEUED_EXPIRED,     /* not begun within expire_ms                                        */
    PTOOLS_QUEUED_DEAD,        /* it has killed three workers; it is kept until it is kicked or forgotten */
    PTOOLS_QUEUED_LOST,        /* it ran when the daemon died, and is not to be run twice           */
    PTOOLS_QUEUED_WIDTH_ = 0x7fffffff
} ptools_queued_state;

/* "waiting", "queued", "running", "done", ...; never NULL, static. */
const char *ptools_queued_state_name(ptools_queued_state state);

enum { /* flags of ptools_worker_task */
    PTOOLS_TASK_IDEMPOTENT = 1,  /* running it twice is the same as once                            */
    PTOOLS_TASK_WAIT_TARGET = 2, /* workers, hosts or a set that are not there: wait until they are. Without this and
                                    the next they are refused: PTOOLS_ERR_NO_WORKER, _NO_SET        */
    PTOOLS_TASK_ANY_TARGET = 4,  /* ... or any worker will do                                       */
    PTOOLS_TASK_AFTER_ANY = 8,   /* `after`: when those have ended, well or not. Without: when they are done */
    PTOOLS_TASK_AFTER_KEEP = 16, /* one of `after` did not get done: go on waiting, it may be run anew. Without: this
                                    one is cancelled, and what waits for it too                     */
    PTOOLS_TASK_HOLD = 32,       /* not before it is released (PTOOLS_CHANGE_RELEASE)               */
    PTOOLS_TASK_BLOCK = 64       /* over a limit of the queue: wait for room, not PTOOLS_ERR_LIMIT  */
};
enum { /* which failures are tried again, as far as attempts are left: bits of retry_on */
    PTOOLS_RETRY_DIED = 1,   /* the worker or the daemon died; this alone is the default            */
    PTOOLS_RETRY_FAILED = 2, /* the function returned an error                                      */
    PTOOLS_RETRY_TIMEOUT = 4 /* it was stopped at its deadline                                      */
};

/* Called in ptools_dispatch(), once, when the task has ended: the future is done, tells value or failure, and is
 * borrowed. PTools: callback. */
typedef void (*ptools_worker_task_fn)(uint64_t task, struct ptools_future *result, void *arg);

/* PTools: QueuedWorkerTask(wtask, remote_method, callback, target). Nothing of it is kept: all is copied. */
typedef struct ptools_worker_task {
    uint32_t struct_size;            /* set by PTOOLS_WORKER_TASK_INIT                              */
    uint32_t flags;                  /* PTOOLS_TASK_...; unknown bits are refused                   */
    const char *function;            /* "module.function"; PTools: remote_method                    */
    const ptools_pack *args;         /* NULL: none; PTools: wtask                                   */
    ptools_worker_task_fn callback;  /* NULL: none; not for _execute_                               */
    void *arg;
    ptools_target target;
    uint32_t n_targets;              /* how many workers or hosts follow                            */
    const uint32_t *workers;         /* PTOOLS_TARGET_WORKERS: at most 1024                         */
    const char *const *hosts;        /* PTOOLS_TARGET_HOSTS: at most 64                             */
    struct ptools_workerset *set;    /* PTOOLS_TARGET_SET                                           */
    double priority;                 /* PTOOLS_PRIORITY_LAST by default; not NaN                    */
    ptools_durability durability;    /* 0: PTOOLS_VOLATILE                                          */
    uint32_t attempts;               /* at most; 0: 1, or 3 if it is idempotent. Up to 255; more than 1 only if it is
                                        idempotent: else PTOOLS_ERR_INVALID                         */
    uint32_t retry_on;               /* PTOOLS_RETRY_...; 0: PTOOLS_RETRY_DIED                      */
    int64_t backoff_ms;              /* before the second attempt, about; doubled for each further. 0: 500 */
    int64_t backoff_max_ms;          /* 0: 60000                                                    */
    int64_t delay_ms;                /* not before so long from now; 0: at once ...                 */
    int64_t start_ms;                /* ... or not before this time, in ms since 1970: it follows a clock that is set, and
                                        goes on while the machine sleeps, as delays do not; not both */
    int64_t expire_ms;               /* ends as expired if it has not begun so long from now; 0: never */
    int64_t deadline_ms;             /* each attempt is stopped after so long; 0: never             */
    int64_t grace_ms;                /* an attempt that is to stop is killed after so long; 0: as the daemon is set */
    int64_t keep_ms;                 /* how long it is known after its end, a part after that of its whole; 0: as the
                                        daemon is set                                               */
    uint64_t result_max;             /* bytes of its value; a larger one is a failure. 0: as the daemon is set */
    const void *key;                 /* at most 64 bytes; NULL: none of yours. One task of a user has it, until that is
                                        forgotten: queued again with the same content (function, args and durability:
                                        all else, such as target, priority and after, is as it was queued first) it is
                                        that task (its id is returned); with other content PTOOLS_ERR_KEY_REUSED */
    size_t key_bytes;
    const char *const *tags;         /* at most 16, each 1 to 64 of A-Z a-z 0-9 _ - . : / = @ +     */
    uint32_t n_tags;
    uint32_t n_after;
    const uint64_t *after;           /* ids of tasks that come first: at most 64. One that survives the daemon cannot
                                        wait for one that does not (PTOOLS_ERR_INVALID), unless that has come first */
} ptools_worker_task;
#define PTOOLS_WORKER_TASK_INIT { .struct_size = sizeof(ptools_worker_task), .priority = PTOOLS_PRIORITY_LAST }

/* -- the five calls --------------------------------------------------------------------------- */

/* Learns the workers, for ptools_num_remotes(). What is known is kept, unless force. Not calling it is no mistake: the
 * daemon knows its workers, and their hosts. One round trip. */
ptools_err ptools_prep_remotes(struct ptools *pt, bool force);
/* How many workers there are (PTools counted the caller too). Calls ptools_prep_remotes() if nobody has. */
ptools_err ptools_num_remotes(struct ptools *pt, uint32_t *ret_n);

/* Queues; returns when the daemon has accepted: one round trip, and what its durability takes. ret_task may be NULL.
 * With a callback, that is called at the end, by target ALL once for each worker (with the ids of the parts).
 * PTOOLS_ERR_NO_MODULE, _NO_FUNCTION, _NO_WORKER, _NO_SET, _NO_TASK (one of after), _LIMIT (the failure tells
 * which, and retry_ms when to try again; 0: it never fits, or there is room when somebody has asked how tasks ended
 * that are kept for that), _KEY_REUSED, _STORAGE, _NO_SPACE, _DRAINING, _INVALID (what it says does not go together:
 * attempts without idempotence, a set without a name for what survives the daemon, ...). When the connection breaks
 * meanwhile it is made anew and the task sent once more, within the connect timeout; only then PTOOLS_ERR_LOST: whether
 * it was accepted is unknown. PTOOLS_ERR_TIMEOUT: so is it, for the daemon did not answer within the connect timeout
 * (with PTOOLS_TASK_BLOCK it may take its time). After both no callback is called. A daemon that is away, and was there
 * before, is waited for within the connect timeout, but once only: PTOOLS_ERR_NO_DAEMON. */
ptools_err ptools_queue_worker_task(struct ptools *pt, const ptools_worker_task *task, uint64_t *ret_task);
/* The same without waiting (but for a daemon that is away): the future is done when it is accepted;
 * ptools_future_task() is the id. Freeing it earlier withdraws nothing, neither the task nor its callback; but
 * nobody tells you then that it was refused. */
ptools_err ptools_queue_worker_task_start(struct ptools *pt, const ptools_worker_task *task,
                                          struct ptools_future **ret_accepted);
/* Queues, waits for its end, and hands out the value or the failure; as ptools_remotecall_fetch(), but a wait that
 * times out leaves the task in the queue: *ret_future is set then (the third exception to the rule on ret_ parameters;
 * NULL: it could not even be sent), goes on, and ptools_future_task() of it tells the id (0: it had not been accepted
 * when the wait was over; the id is known at the end).
 * ptools_future_cancel() of it cancels the task. With target ALL the value is nil: the parts have the values. */
ptools_err ptools_execute_worker_task(struct ptools *pt, const ptools_worker_task *task, int64_t timeout_ms,
                                      struct ptools_future **ret_future, ptools_value *ret_value);

typedef enum ptools_dequeued {
    PTOOLS_DEQUEUED_REMOVED, /* it was not begun, and never will be: it is cancelled                */
    PTOOLS_DEQUEUED_RUNNING, /* a worker has it; of one of target ALL: has or had a part of it      */
    PTOOLS_DEQUEUED_ENDED,   /* it had ended                                                        */
    PTOOLS_DEQUEUED_UNKNOWN, /* there is none of that id                                            */
    PTOOLS_DEQUEUED_WIDTH_ = 0x7fffffff
} ptools_dequeued;
/* Takes one out that no worker has begun, of target ALL with all its parts; PTOOLS_OK in each of the four cases. */
ptools_err ptools_dequeue_worker_task(struct ptools *pt, uint64_t task, ptools_dequeued *ret);

/* A look at one task. Texts are never NULL; they and the lists live as long as what they came from. */
typedef struct ptools_queued_info {
    uint64_t id;
    uint64_t parent;         /* the task that this is a part of; 0: none                            */
    uint32_t parts;          /* of target ALL: ids id + 1 to id + parts                             */
    ptools_queued_state state;
    const char *function;
    const char *target;      /* "any", "all", "worker 2", "workers 2 3", "host a b", "set name"     */
    double priority;
    ptools_durability durability;
    uint32_t attempt;        /* begun so far                                                        */
    uint32_t attempts;       /* at most                                                             */
    uint32_t kills;          /* workers that died of it                                             */
    uint32_t worker;         /* that runs it, or ran it last; 0: none yet                           */
    bool hold, paused, idempotent;
    int64_t queued_ms;       /* when it was accepted: milliseconds since 1970, as the others; 0: not yet */
    int64_t due_ms;          /* not before                                                          */
    int64_t started_ms;      /* the last attempt                                                    */
    int64_t ended_ms;
    uint64_t run_us;         /* of the last attempt                                                 */
    uint64_t cpu_us;         /* ... its processor time, all threads, and of a command with what it has waited for; 0:
                                not measured, as of one that killed its worker                      */
    uint64_t peak_bytes;     /* ... largest memory: of the command's largest process, or of the worker since it was
                                started; 0: not measured, or less than the worker has               */
    uint64_t args_bytes, value_bytes;
    ptools_err code;         /* of what failed; PTOOLS_OK                                           */
    const char *message;     /* ... in a sentence; ""                                               */
    bool maybe_executed;
    const char *phase;       /* what it says it is at, while it runs                                */
    uint64_t progress, progress_of;
    const char *log;         /* the last lines it logged, in the last attempt, while it runs and once it has ended:
                                each ended by '\n'; ""                                              */
    const char *output;      /* of a command (command.run) that has begun: its last attempt writes into the files of
                                this path with .out and .err behind it, and with .old behind that what came before;
                                those that have nothing are not there. "": it is none               */
    const void *key;         /* one that was chosen by a user; NULL: none                           */
    size_t key_bytes;
    const char *const *tags;
    uint32_t n_tags;
    uint32_t n_after;
    const uint64_t *after;
    ptools_value args;       /* for calc and pick below, and with PTOOLS_LIST_ARGS: its arguments, a list; else, and if
                                they are no msgpack, nil. (In a list without memory for them, too, until it is looked
                                at again; calc and pick are not called without) */
} ptools_queued_info;

/* Takes all those out that no worker has begun and for which pick() is true (drop_if), or false (keep_if: PTools' own
 * meaning). pick() is called once for each waiting task of this user, here, by id, before anything is removed; all that
 * it picked are then taken out, 1024 at a time, but for those begun meanwhile (one of target ALL counts as one, with
 * its parts). What is looked at is borrowed until pick() returns. pick() must not call ptools. ret_removed may be
 * NULL. */
typedef bool (*ptools_queued_pick_fn)(const ptools_queued_info *task, void *arg);
ptools_err ptools_dequeue_worker_tasks_drop_if(struct ptools *pt, ptools_queued_pick_fn pick, void *arg,
                                               uint64_t *ret_removed);
ptools_err ptools_dequeue_worker_tasks_keep_if(struct ptools *pt, ptools_queued_pick_fn pick, void *arg,
                                               uint64_t *ret_removed);

/* Gives every waiting task of this user a new priority: calc() is called once for each, here, by id, with its target
 * and its priority until now; then all are changed at once, by one message (PTOOLS_ERR_TOO_LARGE, and none is changed:
 * there are more of them than 16 bytes each fit into the largest that the daemon takes). NaN leaves one as it is; or,
 * a part of one of target ALL that is given another, as that. Those that a worker has begun meanwhile are passed over,
 * and counted. Not a standing rule: what is queued later begins at its own. Both counts may be NULL. What is looked at
 * is borrowed until calc() returns. calc() must not call ptools. PTools: set_priorities(calc_prio). */
typedef double (*ptools_calc_prio_fn)(const char *target, const ptools_queued_info *task, double current, void *arg);
ptools_err ptools_set_priorities(struct ptools *pt, ptools_calc_prio_fn calc, void *arg, uint64_t *ret_changed,
                                 uint64_t *ret_skipped);

/* -- tasks by their ids ------------------------------------------------------------------------ */

/* Of target ALL: that of all its parts that wait. PTOOLS_ERR_NO_TASK: none of that id is this user's.
 * PTOOLS_ERR_NOT_NOW: it runs (of target ALL: all its parts do), or has ended. PTOOLS_ERR_STORAGE: the journal cannot
 * be written, and this task is in it. */
ptools_err ptools_queued_set_priority(struct ptools *pt, uint64_t task, double priority);

typedef struct ptools_queued ptools_queued; /* a list of looks at tasks                              */
enum {
    PTOOLS_LIST_ARGS = 1,   /* with their arguments                                                  */
    PTOOLS_LIST_NEWEST = 2  /* ptools_queued_list(): of all only the one queued last, if it is one of those */
};
/* One, by its id or by its key. PTOOLS_ERR_NO_TASK. */
ptools_err ptools_queued_get(struct ptools *pt, uint64_t task, uint32_t flags, ptools_queued **ret_list);
ptools_err ptools_queued_find(struct ptools *pt, const void *key, size_t key_bytes, uint32_t flags,
                              ptools_queued **ret_list);
/* All of this user, by id. states: bits 1 << ptools_queued_state, 0: all. tag NULL: all. Of many it is no snapshot:
 * they are asked for by the thousand. A list outlives its handle. */
ptools_err ptools_queued_list(struct ptools *pt, uint32_t states, const char *tag, uint32_t flags,
                              ptools_queued **ret_list);
size_t ptools_queued_count(const ptools_queued *list);
const ptools_queued_info *ptools_queued_at(const ptools_queued *list, size_t i); /* NULL beyond the end */
ptools_queued *ptools_queued_free(ptools_queued *list);

/* A future that is done when the task has ended, with its value or failure: as of a call. When the connection breaks,
 * it is asked for anew. Freeing or cancelling it does nothing to the task: cancelled, the future ends with
 * PTOOLS_ERR_CANCELLED at once. PTOOLS_ERR_NO_TASK comes through it. */
ptools_err ptools_queued_result(struct ptools *pt, uint64_t task, struct ptools_future **ret_future);

/* Waits until all have ended (any: until one has: *ret_index is the first of those, in the list's order). PTOOLS_OK
 * says nothing about how. At most 1024 tasks. timeout_ms 0 asks, and takes a round trip; so does a wait that is over in
 * vain. PTOOLS_ERR_TIMEOUT, _NO_TASK. */
ptools_err ptools_queued_wait(struct ptools *pt, const uint64_t *tasks, size_t n, bool any, int64_t timeout_ms,
                              size_t *ret_index);

typedef enum ptools_change {
    PTOOLS_CHANGE_DEQUEUE = 1, /* take it out if nobody has begun it                                */
    PTOOLS_CHANGE_CANCEL,      /* the same; if it runs, it is stopped, and killed after the grace time */
    PTOOLS_CHANGE_HOLD,        /* it stays where it is, and is not run                              */
    PTOOLS_CHANGE_RELEASE,
    PTOOLS_CHANGE_KICK,        /* now: one that is delayed, waits for another attempt or until its function is tried
                                * again, or is dead (with new attempts) */
    PTOOLS_CHANGE_RERUN,       /* one that has ended: again, with new attempts, under its id. Now: what it had to wait
                                   for, and when it was to expire, count no more. Not one of target ALL: its parts */
    PTOOLS_CHANGE_FORGET,      /* one that has ended: its id, result and key                        */
    PTOOLS_CHANGE_WIDTH_ = 0x7fffffff
} ptools_change;
/* To n tasks, up to 1024 at once; of one of target ALL, to those of its parts to which it can be done. *ret_changed of
 * them; to the others it could not be done in the state they are in, or there are none of these ids. n = 1 and none
 * changed: PTOOLS_ERR_NO_TASK or PTOOLS_ERR_NOT_NOW, with the reason. PTOOLS_ERR_LIMIT: they would run again after
 * their end, and there are more of them than the queue has room for: none is changed. PTOOLS_ERR_STORAGE: the journal
 * cannot be written, and one of these is in it; none is changed (as of all calls here that change tasks).
 * PTOOLS_ERR_LOST: the connection broke before the answer, and it may have been done. */
ptools_err ptools_queued_change(struct ptools *pt, const uint64_t *tasks, size_t n, ptools_change change,
                                uint64_t *ret_changed);

/* PTOOLS_CHANGE_CANCEL; but what runs, also if it was asked to end before, is killed after grace_ms from now, whatever
 * it was submitted with. 0: at once, with all processes below it, and it is not asked. */
ptools_err ptools_queued_stop(struct ptools *pt, const uint64_t *tasks, size_t n, int64_t grace_ms,
                              uint64_t *ret_changed);

/* None of this user's queued tasks is begun any more, or, with a tag, none that has it, whether it is there already or
 * is queued later, until the same is resumed; tasks wait as long as one pause is about them. What runs goes on, and so do
 * calls and ptools_pmap(); and one that a worker is about to begin at that moment may still be begun. Pauses outlive
 * this program, and, where the daemon has a journal, the daemon: when this returns. *ret_tasks (may be NULL) of those
 * that could have run wait now; or can run now. It is no failure if it was so already. PTOOLS_ERR_LIMIT: there are 64
 * pauses. PTOOLS_ERR_STORAGE. The document "status" of ptools_inspect() has the tags under queue.paused, "*" for all. */
ptools_err ptools_queue_pause(struct ptools *pt, const char *tag, uint64_t *ret_tasks);
ptools_err ptools_queue_resume(struct ptools *pt, const char *tag, uint64_t *ret_tasks);

/* What it waits for, in a sentence: asked of the scheduler itself. Valid until the next call on pt. */
ptools_err ptools_queued_why(struct ptools *pt, uint64_t task, const char **ret_reason);

/* -- events ------------------------------------------------------------------------------------ */

typedef enum ptools_event_kind {
    PTOOLS_EVENT_QUEUED = 1, /* accepted, or ready after a wait                                     */
    PTOOLS_EVENT_STARTED,
    PTOOLS_EVENT_PROGRESS,
    PTOOLS_EVENT_ENDED,
    PTOOLS_EVENT_RETRY,      /* an attempt has failed, another will be made                         */
    PTOOLS_EVENT_MISSED,     /* `missed` events were dropped, for this client did not read; 0: nobody knows how many,
                                for the connection broke and was made anew. With a code: the daemon did not take up the
                                watch again, for this reason, and there will be no more */
    PTOOLS_EVENT_WIDTH_ = 0x7fffffff
} ptools_event_kind;
typedef struct ptools_event {
    uint64_t seq;            /* of this connection, as the daemon counts; 0: it comes from the library */
    ptools_event_kind kind;
    uint64_t task;
    ptools_queued_state state;
    int64_t time_ms;
    uint32_t worker, attempt;
    ptools_err code;
    uint64_t progress, progress_of;
    uint64_t missed;
} ptools_event;
typedef struct ptools_watch ptools_watch;
/* Calls fn in ptools_dispatch() for what happens from now on to tasks of this user: all, or those with the tag, or the
 * one of that id (0: all). Not both. Returns when it has begun. event is borrowed. fn may call anything, also
 * ptools_watch_free() and ptools_close(). Events that wait for a dispatch are kept, up to 65536. */
typedef void (*ptools_event_fn)(const ptools_event *event, void *arg);
ptools_err ptools_watch_tasks(struct ptools *pt, const char *tag, uint64_t task, ptools_event_fn fn, void *arg,
                              ptools_watch **ret_watch);
/* Ends it; may be called after ptools_close(). */
ptools_watch *ptools_watch_free(ptools_watch *watch);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif
#endif
