/* SPDX-License-Identifier: MIT */
/*
 * state -- struct core: all that the core knows. Inside the core only.
 *
 * Who owns what: the core owns clients, users, tasks, workers, sets, modules and functions; they point
 * at each other, and whoever goes first takes itself out of the others (task_free(), set_free(), ...).
 * Where something outlives what it names, it keeps the number, not the pointer (task.pinned, task.bound).
 */
#ifndef CORE_STATE_H
#define CORE_STATE_H

/* An element that could not be added for lack of memory has no table; who adds looks at hh.tbl. */
#define HASH_NONFATAL_OOM 1
#define HASH_FUNCTION(keyptr, keylen, hashv) ((hashv) = (unsigned)hash_bytes(keyptr, keylen))
#include <math.h>
#include <uthash.h>
#include <utlist.h>

#include "daemon/core/actions.h"
#include "daemon/core/core.h"
#include "daemon/core/hash.h"
#include "daemon/core/heap.h"
#include "proto/page.h"

struct array;
struct batch;
struct client;
struct function;
struct hold;
struct stasks;
struct module;
struct set;
struct task;
struct user;
struct worker;

/* The tasks that wait for one worker, or for the workers of one first-free set, by rank. */
struct queue {
    struct heap heap;
    struct heap nested;    /* those of them that are nested, by task.nested_node: the deepest first */
    struct set *set;      /* NULL: a worker's own */
    struct urgent *urgent; /* those with a priority, by user */
};
struct qtask;
struct watch;
struct watcher;

#include "daemon/core/backlog.h"

#include "daemon/core/array.h"
#include "daemon/core/batch.h"
#include "daemon/core/breaker.h"
#include "daemon/core/client.h"
#include "daemon/core/module.h"
#include "daemon/core/nested.h"
#include "daemon/core/qtask.h"
#include "daemon/core/set.h"
#include "daemon/core/stasks.h"
#include "daemon/core/task.h"
#include "daemon/core/worker.h"

struct core {
    struct core_limits limits;
    bool draining;

    struct client *clients;
    uint32_t last_client;
    struct user *users;

    struct task *tasks;     /* by number, in this order */
    struct task *requests;  /* those whose client waits for an answer, by client and request */
    struct task keeper;     /* in both tables for ever: uthash frees a table with its last entry */
    struct task *spare;     /* structs of ended tasks, by place_next */
    uint64_t next_task;
    struct heap deadlines;  /* of task.deadline_node, by time */

    struct set all;         /* first free, all workers but those being removed */
    struct set *sets;       /* all others, by number */
    uint32_t last_set;
    struct set *waiting;    /* first-free sets whose queue is not empty, by waiting_next */

    struct worker **workers; /* by id, rising; room for workers_max */
    uint32_t n_workers;
    uint32_t last_worker;
    struct worker **stand_ins; /* by id, rising; room for stand_ins_max */
    uint32_t n_stand_ins;
    struct worker **scratch; /* room for workers_max, for one function's use */
    struct worker *idle;     /* longest idle first, by idle_next; see idle_add() */
    struct worker *recycling; /* the one that is being replaced because of a limit; NULL: none */
    struct heap timers;      /* of worker.timer, by time */
    struct heap looks;       /* of batch.look, by time */
    uint64_t late_check_us;  /* when to look for tasks stuck behind a long one; CORE_NEVER: none given ahead */

    struct module *modules;
    struct function *functions; /* of all modules, by full name */

    struct array *arrays;      /* by number; those that ended and are still in use, too */
    struct array *named_arrays; /* by uid, prefix and name */
    uint64_t last_array;
    uint64_t shm_bytes;
    uint32_t n_untaken;        /* arrays that are values nobody has come for yet */
    struct heap leases;        /* of array.lease, by time */
    struct stasks *stasks;     /* handles, by number */
    struct stask *processes;   /* server tasks that have a process, by its number */
    uint64_t last_stasks;
    uint32_t n_stasks;         /* of all handles together */
    uint32_t last_process;
    struct heap stask_timers;  /* of stask.timer, by time */
    struct heap fate_timers;   /* of stask.fate_timer, by time */

    struct msg_decoder *decoder; /* for specs and outcomes */
    struct msg_decoder *unblocking; /* for a submission that was blocked */
    uint64_t now_us;             /* of the event that is being told */
    uint64_t clock_ms;           /* see core_clock(); 0: not told */
    uint64_t wall_ms, wall_at_us; /* the time of day, then */
    int64_t wall_zero_ms;        /* what it was when the monotonic clock was 0, by which start_ms was last compared */
    char **host_names;           /* of this host; ends with NULL */
    char *target_text;           /* of the queued task that was looked at last; NULL: of none */
    struct queue_entry { uint64_t id; struct qtask *q; } *queue_table; /* by rising number, with holes */
    size_t n_queue_table, queue_table_cap;
    uint64_t n_queue;            /* in it */
    uint64_t n_qtasks[QT_STATES]; /* by state */
    struct qsession *queue_sessions; /* by user and name */
    struct heap queue_timers;    /* of qtask.timer, by time */
    struct backlog *backlogs;    /* that are not empty */
    struct backlog host_backlog;
    uint64_t n_backlog;          /* tasks in them */
    uint32_t n_breakers;         /* of all users */
    struct heap breaker_timers;  /* of breaker.timer, by time */
    unsigned n_barred;           /* tasks that core_assign() has put there in this turn */
    bool barring;                /* there may be more tasks that are to wait for a breaker: in the next turn */
    uint64_t served;             /* tasks given so far */
    bool calls_turn;             /* of equals, a call or a queued task: whose turn it is */
    uint64_t row_number;         /* of the last row */
    uint64_t recorded;           /* up to this one they are, see core_recorded() */
    struct pending *pending;     /* what waits for rows, in order: a ring ... */
    size_t pending_first, n_pending, pending_cap;
    const char *storage_failed;  /* why the journal is not written any more; NULL: it is */
    uint64_t queue_ended, queue_last_us, queue_rate_us; /* how often one ends */
    struct qtask *graveyard;     /* tasks that are gone, by next */
    uint64_t *settled;           /* tasks that have ended, and what follows from that has not been done */
    size_t n_settled, settled_cap;
    bool settling;
    bool to_follow;              /* not all that follows was done in this turn, nor all forgotten that makes room */
    uint64_t work_us;            /* see core_more_work(): the turn ... */
    uint32_t work;               /* ... and how much was done in it */
    struct asked *asked;         /* requests that wait for queued tasks, by client and request */
    struct watch *watches;

    uint64_t n_held, n_queued, n_booked, n_given; /* tasks by place; their sum is all tasks */
    uint64_t n_nested;                  /* of n_queued, those that are nested */
    uint32_t n_holding;                 /* workers that hold a task */
    struct core_stats stats;            /* the counters; what is "now" is filled in by core_view_stats() */
};

/* What one event makes of many queued tasks (ends of others, expiries, rows that are recorded) is done in pieces, so
 * that everybody is answered meanwhile: so many in a turn, and the rest in core_tick(), which core_next_us() wants at
 * once then. Whether one piece more is to be done now; a turn is told by its time. */
enum { TURN_WORK = 1024 };
bool core_more_work(struct core *core);

/* stop.c: why tasks end early, and all that follows */
void core_stop_task(struct core *core, uint64_t now_us, struct task *t, enum stop why, struct actions *out);
/* The same; and one that is being stopped, too, is killed grace_us from now, or at once if that is 0. */
void core_stop_task_within(struct core *core, uint64_t now_us, struct task *t, enum stop why, uint64_t grace_us,
                           struct actions *out);
void core_worker_due(struct core *core, uint64_t now_us, struct worker *w, struct actions *out);
void core_recall_late(struct core *core, uint64_t now_us, struct actions *out);

#endif
